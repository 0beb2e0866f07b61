"""Truncate the addresses of people to networks: the lake keeps no more of them."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

from dawnlist.settings import NETWORK_BITS

Address = IPv4Address | IPv6Address


def parse_address(text: str) -> Address | None:
    """Parse an address; None if the text is none. ::ffff:192.0.2.1 is an IPv4 address."""
    try:
        address = ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def truncate_address(address: Address) -> str:
    """Return the /24 (IPv4) or /48 (IPv6) of an address, such as 203.0.113.0/24."""
    return str(ip_network((address, NETWORK_BITS[address.version]), strict=False))
