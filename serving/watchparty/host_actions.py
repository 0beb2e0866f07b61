"""What hosts may do besides: make hosts, take people out, change the rules, close the room."""

from collections.abc import Mapping
from typing import Any, Final

from dawnlist.serving.watchparty.hub import Hub
from dawnlist.serving.watchparty.room_facts import STRATEGIES, RoomFacts, WishError
from dawnlist.serving.watchparty.session import CloseCode, Session

SETTINGS: Final[Mapping[str, tuple[Any, ...]]] = {
    "control": ("all", "hosts"),
    "links": (True, False),
    "strategy": STRATEGIES,
}
"""What a host may set, and the values."""


class HostActions:
    """Does what hosts say."""

    def __init__(self, hub: Hub) -> None:
        self._store = hub.store

    async def act(self, session: Session, message: Mapping[str, Any]) -> None:
        """Do what a host says.

        Raises:
            WishError: the member is no host, or the action is none.
        """
        room, host = session.room, session.member.id
        _require_host(await self._store.read_facts(room), host)
        action = str(message.get("action"))
        if action == "close":
            await self._store.close(room)
        elif action in SETTINGS:
            await self._set(room, host, action, message.get("value"))
        elif action in ("hand_over", "add", "kick"):
            await self._act_on_member(room, host, action, str(message.get("member")))
        else:
            raise WishError("give an action: hand_over, add, kick, control, links, strategy, close")

    async def _set(self, room: str, host: str, name: str, value: Any) -> None:
        if not any(value is choice or value == choice for choice in SETTINGS[name]):
            raise WishError(f"{name} can't have this value")

        def change(facts: RoomFacts) -> None:
            _require_host(facts, host)
            setattr(facts, name, value)

        await self._store.change_facts(room, change)

    async def _act_on_member(self, room: str, host: str, action: str, member: str) -> None:
        members = {entry.id: entry for entry in await self._store.read_members(room)}
        if member not in members:
            raise WishError("this member is not in the room")
        if action == "kick":
            await self._kick(room, host, member, members[member].socket)
            return

        def change(facts: RoomFacts) -> None:
            _require_host(facts, host)
            if member not in facts.hosts:
                facts.hosts.append(member)
            if action == "hand_over" and member != host:
                facts.hosts.remove(host)

        await self._store.tell_members(await self._store.change_facts(room, change))

    async def _kick(self, room: str, host: str, member: str, socket: str) -> None:
        """Take a member out, who may not come back."""

        def change(facts: RoomFacts) -> None:
            _require_host(facts, host)
            if member in facts.hosts:
                facts.hosts.remove(member)

        await self._store.change_facts(room, change)
        await self._store.client.sadd(self._store.keys.part("kicked", room), member)
        await self._store.publish(room, {"close": CloseCode.FORBIDDEN, "member": member})
        await self._store.leave(room, member, socket)


def _require_host(facts: RoomFacts, member: str) -> None:
    if member not in facts.hosts:
        raise WishError("only hosts may do that")
