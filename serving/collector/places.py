"""Find out where a request comes from: its address, its network and its place.

An address is used here and goes no further: what leaves the collector is the network, /24 or /48.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from ipaddress import ip_network
from pathlib import Path
from typing import Any, Final

import maxminddb

from dawnlist.rows.networks import Address, parse_address, truncate_address
from dawnlist.settings import CollectorSettings

UNKNOWN_COUNTRIES: Final = ("", "XX", "T1", "ZZ")
"""What CDNs write where they know no country; T1 is Tor."""
MAX_PLACE_LENGTH: Final = 10
CACHED_ADDRESSES: Final = 10_000


@dataclass(frozen=True, slots=True)
class Place:
    """Where a request comes from; empty texts for what is not known."""

    network: str = ""
    """The network of the address, such as 203.0.113.0/24."""
    country: str = ""
    """The ISO code, such as DE."""
    region: str = ""
    """The ISO code of the part of the country, such as BE."""


class PlaceFinder:
    """Finds places by trusted headers, or in a file of addresses."""

    def __init__(self, settings: CollectorSettings) -> None:
        """Open the file.

        Raises:
            ValueError: the file is missing or damaged.
        """
        self._country_headers = settings.country_headers
        self._region_headers = settings.region_headers
        self._proxies = [ip_network(network) for network in settings.trusted_proxies]
        # Most requests come from few addresses.
        self._locate = lru_cache(maxsize=CACHED_ADDRESSES)(self._find_place_of_address)
        self._reader: Any = None
        if settings.place_file:
            self._reader = _open_place_file(settings.place_file)

    def find_place(self, peer: str, headers: Mapping[str, str]) -> Place:
        """Find the place of a request.

        Args:
            peer: The address of the connection; empty if it has none.
            headers: The request's headers, by names in lower case.
        """
        place = self._locate(peer, headers.get("x-forwarded-for", ""))
        country = _read_first_header(headers, self._country_headers)
        if country in UNKNOWN_COUNTRIES:
            return place
        region = _read_first_header(headers, self._region_headers)
        return Place(place.network, country, region)

    def _find_place_of_address(self, peer: str, forwarded: str) -> Place:
        address = self._find_address(peer, forwarded)
        if address is None:
            return Place()
        return Place(truncate_address(address), *self._look_up(address))

    def _find_address(self, peer: str, forwarded: str) -> Address | None:
        """Return the sender's address: the last one that no trusted proxy has."""
        addresses = [text for text in forwarded.split(",") if text.strip()]
        address = _parse_forwarded_address(peer)
        while address is not None and addresses and self._is_proxy(address):
            address = _parse_forwarded_address(addresses.pop())
        return address

    def _is_proxy(self, address: Address) -> bool:
        return any(address in network for network in self._proxies)

    def _look_up(self, address: Address) -> tuple[str, str]:
        """Look up country and region in the file."""
        if self._reader is None:
            return "", ""
        answer = self._reader.get(address) or {}
        country = answer.get("country") or answer.get("registered_country") or {}
        subdivisions = answer.get("subdivisions") or [{}]
        return country.get("iso_code", ""), subdivisions[0].get("iso_code", "")


def _parse_forwarded_address(text: str) -> Address | None:
    """Parse an address, with or without a port or brackets; None if it is none."""
    bare = text.strip().strip('"')
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:
        bare = bare.partition(":")[0]
    return parse_address(bare)


def _read_first_header(headers: Mapping[str, str], names: Sequence[str]) -> str:
    for name in names:
        value = headers.get(name, "").strip().upper()
        if value:
            return value[:MAX_PLACE_LENGTH]
    return ""


def _open_place_file(path: str) -> Any:
    try:
        return maxminddb.open_database(path, maxminddb.MODE_MMAP_EXT)
    except (OSError, maxminddb.InvalidDatabaseError, ValueError) as error:
        raise ValueError(
            f"collector.place_file is {str(Path(path))!r}: {error}; give a file of MaxMind's format"
        ) from None
