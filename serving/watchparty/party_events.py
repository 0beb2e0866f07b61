"""Tell the collector what people do in rooms: joins, moods, what they watch, how much they say."""

from typing import Any

from dawnlist.clients.event_client import EventClient
from dawnlist.serving.watchparty.session import Session
from dawnlist.serving.watchparty.watch_meter import WatchedFilm

PLACEMENT = "party"


class PartyEvents:
    """Sends events; without a collector it does nothing."""

    def __init__(self, client: EventClient | None) -> None:
        self._client = client

    def record(self, session: Session, event_type: str, **fields: Any) -> None:
        """Send an event of a member."""
        if self._client is None:
            return
        person = {"anonymous": session.member.id}
        if session.member.user:
            person = {"user": session.member.user}
        self._client.send(event_type, **person, placement=PLACEMENT, **fields)

    def record_watched(self, session: Session, film: WatchedFilm, is_seen: bool) -> None:
        """Send how long a member has watched a film.

        Args:
            session: The member's socket.
            film: What they have watched by it.
            is_seen: Whether they have seen half of the film now: then it counts as viewed.
        """
        properties = {"seconds": round(film.seconds, 1), "room": session.room}
        self.record(session, "watch", item=film.item, properties=properties)
        if is_seen:
            self.record(session, "view", item=film.item)

    def close(self) -> None:
        """Send what waits."""
        if self._client is not None:
            self._client.close()
