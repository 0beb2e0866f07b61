"""Settings of the collector: what it accepts, and what enrichment adds."""

import re
from ipaddress import ip_network
from typing import Literal

from pydantic import Field, field_validator

from dawnlist.settings.section import Section


class CollectorSettings(Section):
    """What the collector accepts, and how long what it keeps is kept (docs/COLLECTOR.md)."""

    browser_keys: dict[str, list[str]] = Field(default_factory=dict)
    """The publishable keys of browsers, each with the origins of the pages that may use it.

    E.g. {pk_shop: [https://shop.example]}. Servers' keys are secrets: DAWNLIST_COLLECTOR_KEYS.
    """
    browser_types: list[str] = Field(default_factory=list)
    """The types of events that browsers' keys may send; empty allows all.

    E.g. [view, click, cart, impression, mood, alias]: then purchases count from servers alone.
    """
    browser_users: bool = True
    """Believe a browser's key that names the user of an event.

    Everybody can read such a key and name any user. With false, browsers send anonymous ids alone,
    and a server joins them to users by `alias` events after a login.
    """
    events_per_second: float = Field(default=5000.0, gt=0)
    """Accept at most this many events a second with each key, in each process.

    Twice as many may come at once.
    """
    max_age_days: float = Field(default=7.0, gt=0, le=365)
    """Refuse an event that is older than this when it comes."""
    max_memory_share: float = Field(default=0.8, gt=0, lt=1)
    """Accept no event while the store uses more than this share of its maxmemory.

    Senders are asked to try again. Without maxmemory it is the share of the machine's memory.
    """
    durability: Literal["everysec", "always"] = "everysec"
    """What the store must do before an event counts as kept: its `appendfsync`.

    everysec: a crash of its machine may lose the last second, and a kill of the store while it
    waits for its disk up to two. always: nothing is lost. A store that does less is refused at
    start.
    """
    duplicate_minutes: float = Field(default=60.0, ge=1, le=1440)
    """Answer `duplicate` to an event that is sent again within so many minutes."""
    country_headers: list[str] = Field(default_factory=list)
    """Headers in which a trusted proxy or CDN names the sender's country, e.g. [CF-IPCountry].

    Name a header only if the proxy replaces what the sender wrote there. The first that is there
    counts, before place_file.
    """
    region_headers: list[str] = Field(default_factory=list)
    """Headers in which a trusted proxy or CDN names the part of the country."""
    trusted_proxies: list[str] = Field(default_factory=list)
    """Networks of proxies whose header X-Forwarded-For is believed, e.g. [10.0.0.0/8]."""
    place_file: str = ""
    """A file of MaxMind's format (.mmdb) that knows the places of addresses."""
    moods: dict[str, float] = Field(default_factory=dict)
    """The shop's moods and their signed weights, e.g. {"😍": 3, bored: -2}.

    What is given is added to the usual ones (docs/COLLECTOR.md) and wins over them.
    """
    session_minutes: float = Field(default=30.0, gt=0, le=1440)
    """A visit ends after so many minutes without an event."""
    alias_days: float = Field(default=30.0, gt=0, le=400)
    """Remember for so many days which user an anonymous id belongs to."""

    @field_validator("browser_types")
    @classmethod
    def _check_browser_types(cls, event_types: list[str]) -> list[str]:
        for event_type in event_types:
            if not re.fullmatch(r"[a-z0-9][a-z0-9_.-]{0,63}", event_type):
                raise ValueError(
                    f"{event_type!r} is no type of an event: give names in small letters such as "
                    "view or add_to_cart"
                )
        return event_types

    @field_validator("browser_keys")
    @classmethod
    def _check_browser_keys(cls, keys: dict[str, list[str]]) -> dict[str, list[str]]:
        for key, origins in keys.items():
            if not re.fullmatch(r"[A-Za-z0-9_-]{3,100}", key):
                raise ValueError(
                    f"the key {key!r} is not made of 3 to 100 letters, digits, _ and -"
                )
            for origin in origins:
                if not re.fullmatch(r"https?://[^/?#\s]+", origin):
                    raise ValueError(
                        f"the origin {origin!r} of {key} is not like https://shop.example: leave out "
                        "the path"
                    )
        return keys

    @field_validator("country_headers", "region_headers")
    @classmethod
    def _lower_headers(cls, names: list[str]) -> list[str]:
        return [name.strip().lower() for name in names]

    @field_validator("trusted_proxies")
    @classmethod
    def _check_proxies(cls, networks: list[str]) -> list[str]:
        for text in networks:
            try:
                ip_network(text)
            except ValueError as error:
                raise ValueError(
                    f"{text!r} is not a network ({error}): give e.g. 10.0.0.0/8"
                ) from None
        return networks

    @field_validator("moods")
    @classmethod
    def _check_moods(cls, moods: dict[str, float]) -> dict[str, float]:
        for mood, weight in moods.items():
            if not -1000 < weight < 1000:
                raise ValueError(f"the weight of {mood!r} is {weight}: give -999 to 999")
        return moods
