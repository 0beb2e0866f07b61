"""Decide who may send events: servers by secret keys, browsers by publishable keys and origins.

Servers' keys are in the environment variable DAWNLIST_COLLECTOR_KEYS, separated by commas.
Browsers' keys are in the settings, each with the origins of the pages that may use it. Without any
key anybody may send events.
"""

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dawnlist.serving.api_keys import read_key_digests
from dawnlist.urls import COLLECTOR_KEYS


class UnknownSenderError(Exception):
    """The request has no valid key, or a browser's key is used from another page."""


@dataclass(frozen=True, slots=True)
class Senders:
    """The keys that may send events."""

    server_keys: Mapping[str, bytes]
    """Names of servers' keys and their SHA-256 digests: comparing them takes the same time."""
    browser_keys: Mapping[str, list[str]]
    """Browsers' keys, and the origins that may use them."""

    @classmethod
    def from_environment(
        cls, environment: Mapping[str, str], browser_keys: Mapping[str, list[str]]
    ) -> "Senders":
        """Read the servers' keys.

        Raises:
            ValueError: the variable is set but holds no key, or a key that no header can hold.
        """
        digests = read_key_digests(environment, COLLECTOR_KEYS)
        server_keys = {f"server-{number}": digest for number, digest in enumerate(digests, 1)}
        return cls(server_keys, browser_keys)

    def is_browser(self, sender: str) -> bool:
        """Say whether the name of a sender is a browser's key."""
        return sender in self.browser_keys

    @property
    def is_open(self) -> bool:
        """Whether anybody may send events."""
        return not self.server_keys and not self.browser_keys

    def identify_sender(self, key: str, origin: str) -> str:
        """Return the name of a request's key; empty where anybody may send.

        Args:
            key: The key of the request; empty if it has none.
            origin: The header Origin; empty if a server sent the request.

        Raises:
            UnknownSenderError: the key is missing, unknown, or not for this origin.
        """
        if self.is_open:
            return ""
        if not key:
            raise UnknownSenderError("give a key, in the header x-api-key or as ?key=")
        origins = self.browser_keys.get(key)
        if origins is not None:
            if origin not in origins:
                raise UnknownSenderError(
                    f"the key is not for pages of {origin[:100] or 'no origin'!r}"
                )
            return key
        digest = hashlib.sha256(key.encode()).digest()
        for name, expected in self.server_keys.items():
            if hmac.compare_digest(digest, expected):
                return name
        raise UnknownSenderError("the key is not known")

    def identify_picture_sender(self, key: str) -> str:
        """Return the name of the key in a picture's address, which everybody can read.

        A mail program sends no origin, so a browser's key is taken without one.

        Raises:
            UnknownSenderError: the key is not a browser's.
        """
        if self.is_open or key in self.browser_keys:
            return key
        raise UnknownSenderError("give a browser's key as ?key=")

    def allows_origin(self, origin: str) -> bool:
        """Say whether a page of an origin may ask, for the browser's check before a request."""
        if self.is_open:
            return True
        return any(origin in origins for origins in self.browser_keys.values())


@dataclass(frozen=True, slots=True)
class BrowserRules:
    """What a browser's key may claim. Everybody can read such a key in a page and use it."""

    event_types: frozenset[str]
    """The types of events that it may send; empty if it may send all."""
    may_name_users: bool
    """Whether it may say which user an event is of."""

    def explain_refusal(self, event: Mapping[str, Any]) -> str | None:
        """Return why a browser may not send a valid event, in one line; None if it may."""
        if self.event_types and event["type"] not in self.event_types:
            return (
                f"type: a browser's key may not send {event['type']!r}: send it from a server, or "
                "add it to collector.browser_types"
            )
        if "user" in event and not self.may_name_users:
            return (
                "user: a browser's key may not say who the user is (collector.browser_users): "
                "send the anonymous id, and join it to the user by an alias from a server"
            )
        return None


class RateLimiter:
    """Limits the events of each key: a bucket of tokens that fills at a constant rate."""

    def __init__(self, events_per_second: float) -> None:
        self._rate = events_per_second
        self._capacity = 2 * events_per_second
        # Tokens of a key, and when they were counted, in seconds.
        self._buckets: dict[str, tuple[float, float]] = {}

    def take_tokens(self, sender: str, events: int, now: float) -> float:
        """Take a token for each event, and return 0; or return the seconds to wait for them.

        A request of more events than the bucket holds is accepted when the bucket is full.
        """
        tokens, counted = self._buckets.get(sender, (self._capacity, now))
        tokens = min(self._capacity, tokens + (now - counted) * self._rate)
        needed = min(events, self._capacity)
        if tokens < needed:
            self._buckets[sender] = (tokens, now)
            return (needed - tokens) / self._rate
        self._buckets[sender] = (tokens - events, now)
        return 0.0
