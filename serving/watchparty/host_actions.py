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
        facts = await self._store.read_facts(session.room)
        if session.member.id not in facts.hosts:
            raise WishError("only hosts may do that")
        action = str(message.get("action"))
        if action == "close":
            await self._store.close(session.room)
        elif action in SETTINGS:
            await self._set(facts, action, message.get("value"))
        elif action in ("hand_over", "add", "kick"):
            member = str(message.get("member"))
            await self._act_on_member(facts, session.member.id, action, member)
        else:
            raise WishError("give an action: hand_over, add, kick, control, links, strategy, close")

    async def _set(self, facts: RoomFacts, name: str, value: Any) -> None:
        if not any(value is choice or value == choice for choice in SETTINGS[name]):
            raise WishError(f"{name} can't have this value")
        setattr(facts, name, value)
        await self._store.write_facts(facts)

    async def _act_on_member(self, facts: RoomFacts, host: str, action: str, member: str) -> None:
        members = {entry.id: entry for entry in await self._store.read_members(facts.room)}
        if member not in members:
            raise WishError("this member is not in the room")
        if action == "kick":
            await self._kick(facts, member, members[member].socket)
            return
        if member not in facts.hosts:
            facts.hosts.append(member)
        if action == "hand_over" and member != host:
            facts.hosts.remove(host)
        await self._store.write_facts(facts)
        await self._store.tell_members(facts)

    async def _kick(self, facts: RoomFacts, member: str, socket: str) -> None:
        """Take a member out, who may not come back."""
        await self._store.client.sadd(self._store.keys.part("kicked", facts.room), member)
        if member in facts.hosts:
            facts.hosts.remove(member)
            await self._store.write_facts(facts)
        await self._store.publish(facts.room, {"close": CloseCode.FORBIDDEN, "member": member})
        await self._store.leave(facts.room, member, socket)
