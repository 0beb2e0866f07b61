"""Measure how long a member has watched each film of a room."""

from dataclasses import dataclass, field
from typing import Final

from dawnlist.serving.watchparty.playback import PlaybackState

SEEN_SHARE: Final = 0.5
"""A film counts for a member who has watched this share of it."""


@dataclass(slots=True)
class WatchedFilm:
    """How much of a film a member has watched."""

    item: str
    seconds: float = 0.0
    """Seconds during which it played."""
    duration: float = 0.0
    """Its length as the member's player says it; 0 while it is not known."""

    @property
    def is_seen(self) -> bool:
        """Whether the film counts for the member."""
        return self.duration > 0 and self.seconds >= SEEN_SHARE * self.duration


@dataclass(slots=True)
class WatchMeter:
    """Adds up what a member watches. Times are in seconds since 1970."""

    film: WatchedFilm = field(default_factory=lambda: WatchedFilm(""))
    _is_playing: bool = False
    _counted_until: float = 0.0

    def follow(self, state: PlaybackState, now: float) -> WatchedFilm | None:
        """Follow a new state; return the film before, if it is another one now."""
        self.count(now)
        self._is_playing = not state.paused and not state.held
        if state.item == self.film.item:
            return None
        before = self.film
        self.film = WatchedFilm(state.item)
        return before

    def count(self, now: float) -> None:
        """Count what was watched up to now."""
        if self._is_playing:
            self.film.seconds += max(0.0, now - self._counted_until)
        self._counted_until = now
