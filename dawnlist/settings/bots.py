"""Settings of the rules that drop interactions which no customer made."""

from ipaddress import ip_network
from typing import Final

from pydantic import Field, field_validator

from dawnlist.settings.section import RuleMode, Section

NETWORK_BITS: Final = {4: 24, 6: 48}
"""How many bits of an address the lake keeps, by IP version."""


class BotSettings(Section):
    """Which interactions are dropped because no customer made them."""

    declared_crawlers: RuleMode = "on"
    """Drop crawlers and programs that name themselves in their user agent."""
    previews_and_monitors: RuleMode = "on"
    """Drop programs that preview links (such as Facebook and Slack) or monitor the shop."""
    staff: RuleMode = "on"
    """Drop internal and test accounts.

    They are described by staff_domains, staff_roles, staff_ids and internal_networks.
    """
    behaviour: RuleMode = "on"
    """Drop users who do what people can't or don't do, such as no sleep for days; see docs/BOTS.md."""
    max_behaviour_share: float = Field(default=0.01, ge=0, le=1)
    """Put the behaviour rule into shadow by itself when it would drop more than this share of events.

    It also goes into shadow when it would drop one of the hundred users with most purchases.
    """
    staff_domains: list[str] = Field(default_factory=list)
    """The domains of the e-mail addresses of the shop's staff, e.g. [shop.example]."""
    staff_roles: list[str] = Field(default_factory=lambda: ["staff", "test", "internal", "admin"])
    """The roles that mark internal and test accounts, in any case. It replaces the default."""
    staff_ids: list[str] = Field(default_factory=list)
    """The user ids of internal and test accounts."""
    internal_networks: list[str] = Field(default_factory=list)
    """The shop's own networks as CIDR ranges, e.g. [10.0.0.0/8, 2001:db8:7::/48].

    A range may not be narrower than /24 (IPv4) or /48 (IPv6), since the lake keeps no more of an
    address.
    """
    allow: list[str] = Field(default_factory=list)
    """The ids of users whom no rule drops."""
    allow_agents: list[str] = Field(default_factory=lambda: ["MetaIAB"])
    """Texts that mark a person's user agent; what is given is added to the default.

    Add the shop's own apps, e.g. [ShopApp/], if the library that they use names itself. The default
    is Facebook's browser for people, which the list crawler-user-agents takes for the link preview.
    """
    deny_agents: list[str] = Field(default_factory=list)
    """Texts that mark a user agent as a program's if it contains one of them.

    They are judged by the rule `deny`, which is always on, and win over allow_agents. Their case
    counts. Add what the lists don't know, e.g. [PriceWatch/].
    """
    deny: list[str] = Field(default_factory=list)
    """The ids of users who are always dropped, even if `allow` names them."""

    @field_validator(
        "staff_domains",
        "staff_roles",
        "staff_ids",
        "allow",
        "allow_agents",
        "deny_agents",
        "deny",
    )
    @classmethod
    def _check_not_blank(cls, texts: list[str]) -> list[str]:
        if any(not text.strip() for text in texts):
            raise ValueError("a blank text would match everybody who has no value: remove it")
        return texts

    @field_validator("allow_agents")
    @classmethod
    def _add_default_agents(cls, texts: list[str]) -> list[str]:
        default = cls.model_fields["allow_agents"].get_default(call_default_factory=True)
        return list(dict.fromkeys([*default, *texts]))

    @field_validator("internal_networks")
    @classmethod
    def _check_networks(cls, networks: list[str]) -> list[str]:
        for text in networks:
            try:
                network = ip_network(text)
            except ValueError as error:
                raise ValueError(
                    f"{text!r} is not a network ({error}): give e.g. 10.0.0.0/8"
                ) from None
            finest = NETWORK_BITS[network.version]
            if network.prefixlen > finest:
                raise ValueError(
                    f"{text!r} is narrower than the /{finest} that the lake keeps of an address: "
                    f"give {network.supernet(new_prefix=finest)}, if all of it is internal"
                )
        return networks
