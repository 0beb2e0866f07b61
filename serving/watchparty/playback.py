"""The playback of a room: what is on, where it is, and for whom the room waits.

A position is computed from the state alone: `media_time` while the room is paused or held, and else
media_time + rate * (now - server_time). Functions return a new state and change nothing.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Final

BARRIER_SECONDS: Final = 5.0
"""A room waits at most this long for members that buffer."""
START_SECONDS: Final = 0.3
"""All start together so many seconds after the room is released, when the news has come to them."""
MIN_RATE, MAX_RATE = 0.25, 4.0
MAX_MEDIA_SECONDS: Final = 1_000_000.0


class ChangeError(ValueError):
    """A change that the room does not take; the message is the reason in one line."""


@dataclass(frozen=True, slots=True)
class PlaybackState:
    """The playback of a room. Times are in seconds; server_time and held_until since 1970."""

    seq: int = 0
    """Grows by one with each change that members are told."""
    item: str = ""
    """The id of the film; empty for the demo film."""
    title: str = ""
    url: str = ""
    """Where the film lies."""
    paused: bool = True
    rate: float = 1.0
    media_time: float = 0.0
    """The position at server_time."""
    server_time: float = 0.0
    held: bool = False
    """Whether the room waits for members that buffer."""
    waiting_for: tuple[str, ...] = ()
    """The ids of these members."""
    held_until: float = 0.0
    """When the room goes on without them."""

    def encode(self) -> str:
        """Encode the state for the store."""
        return json.dumps(asdict(self), ensure_ascii=False)

    @classmethod
    def decode(cls, text: str | bytes) -> "PlaybackState":
        """Decode a state of the store."""
        fields = json.loads(text)
        fields["waiting_for"] = tuple(fields["waiting_for"])
        return cls(**fields)

    def to_message(self) -> dict[str, Any]:
        """Return what members are told of the state."""
        message = asdict(self)
        del message["held_until"]
        message["waiting_for"] = list(self.waiting_for)
        return message


def compute_position(state: PlaybackState, now: float) -> float:
    """Compute the position of a room in seconds of its film."""
    if state.paused or state.held:
        return state.media_time
    return state.media_time + state.rate * max(0.0, now - state.server_time)


def apply_changes(
    state: PlaybackState, changes: Mapping[str, Any], members: tuple[str, ...], now: float
) -> PlaybackState:
    """Apply changes of `paused`, `rate` and `media_time`. A seek holds the room.

    Args:
        state: The state that the member saw.
        changes: What the member wants; `item` is changed by `put_on`.
        members: The members whom the room waits for after a seek.
        now: Seconds since 1970.

    Raises:
        ChangeError: a value is none that the room takes.
    """
    _check_changes(changes)
    media_time = compute_position(state, now)
    if "media_time" in changes:
        media_time = float(changes["media_time"])
    changed = replace(
        state,
        seq=state.seq + 1,
        paused=changes.get("paused", state.paused),
        rate=float(changes.get("rate", state.rate)),
        media_time=media_time,
        server_time=now,
    )
    if "media_time" in changes:
        return _hold(changed, members, now)
    return changed


def put_on(
    state: PlaybackState, item: str, title: str, url: str, members: tuple[str, ...], now: float
) -> PlaybackState:
    """Put another film on, from its beginning, and wait until all can play it."""
    changed = replace(
        state,
        seq=state.seq + 1,
        item=item,
        title=title,
        url=url,
        media_time=0.0,
        server_time=now,
    )
    return _hold(changed, members, now)


def hold_for(state: PlaybackState, member: str, now: float) -> PlaybackState:
    """Hold a room that plays, because a member buffers; a room that does not play stays as it is."""
    if state.paused or state.held:
        return state
    changed = replace(
        state, seq=state.seq + 1, media_time=compute_position(state, now), server_time=now
    )
    return _hold(changed, (member,), now)


def stop_waiting_for(state: PlaybackState, member: str, now: float) -> PlaybackState:
    """Note that a member is ready, or gone; the room goes on when it waits for nobody else."""
    if not state.held or member not in state.waiting_for:
        return state
    others = tuple(other for other in state.waiting_for if other != member)
    if others:
        return replace(state, waiting_for=others)
    return release(state, now)


def release(state: PlaybackState, now: float) -> PlaybackState:
    """Let a held room go on, for all at the same time."""
    return replace(
        state,
        seq=state.seq + 1,
        held=False,
        waiting_for=(),
        held_until=0.0,
        server_time=now + START_SECONDS,
    )


def _hold(state: PlaybackState, members: tuple[str, ...], now: float) -> PlaybackState:
    if not members:
        return replace(state, held=False, waiting_for=(), held_until=0.0)
    return replace(state, held=True, waiting_for=members, held_until=now + BARRIER_SECONDS)


def _check_changes(changes: Mapping[str, Any]) -> None:
    if not changes or set(changes) - {"paused", "rate", "media_time"}:
        raise ChangeError("give paused, rate, media_time or item")
    if not isinstance(changes.get("paused", False), bool):
        raise ChangeError("paused has to be true or false")
    for name, smallest, largest in (
        ("rate", MIN_RATE, MAX_RATE),
        ("media_time", 0.0, MAX_MEDIA_SECONDS),
    ):
        value = changes.get(name, smallest)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if not is_number or not smallest <= value <= largest:
            raise ChangeError(f"{name} has to be a number from {smallest:g} to {largest:g}")
