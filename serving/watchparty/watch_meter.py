"""Measure how long a member has watched each film of a room."""

from dataclasses import dataclass, field
from typing import Final

from dawnlist.serving.watchparty.playback import PlaybackState, compute_position

SEEN_SHARE: Final = 0.5
"""A film counts for a member who has watched this share of it."""


@dataclass(slots=True)
class WatchedFilm:
    """How much of a film a member has watched by one socket."""

    item: str
    seconds: float = 0.0
    """Seconds during which it played."""
    film_seconds: float = 0.0
    """Seconds of the film that were played: twice as many at twice the rate."""
    duration: float = 0.0
    """Its length as the member's player says it; 0 while it is not known."""

    def becomes_seen(self, total: float) -> bool:
        """Whether this part completes half of the film.

        Args:
            total: The seconds of the film that the member has watched by all their sockets.
        """
        half = SEEN_SHARE * self.duration
        return self.duration > 0 and total - self.film_seconds < half <= total


@dataclass(slots=True)
class WatchMeter:
    """Adds up what a member watches. Times are in seconds since 1970."""

    film: WatchedFilm = field(default_factory=lambda: WatchedFilm(""))
    _state: PlaybackState = field(default_factory=PlaybackState)
    _counted_until: float = 0.0

    def follow(self, state: PlaybackState, now: float) -> WatchedFilm | None:
        """Follow a new state; return the film before, if it is another one now."""
        self.count(now)
        self._state = state
        if state.item == self.film.item:
            return None
        before = self.film
        self.film = WatchedFilm(state.item)
        return before

    def count(self, now: float) -> None:
        """Count what was watched up to now. A film that is at its end is watched no longer."""
        begin = compute_position(self._state, self._counted_until)
        end = compute_position(self._state, now)
        self._counted_until = now
        if self.film.duration > 0:
            end = min(end, self.film.duration)
        if end > begin:
            self.film.film_seconds += end - begin
            self.film.seconds += (end - begin) / self._state.rate
