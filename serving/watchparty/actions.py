"""What members do: each kind of message has an action."""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from dawnlist.serving.collector.enrich.emojis import find_emoji
from dawnlist.serving.watchparty.films import Films, NoSuggestionsError
from dawnlist.serving.watchparty.host_actions import HostActions
from dawnlist.serving.watchparty.hub import Hub
from dawnlist.serving.watchparty.playback import (
    ChangeError,
    PlaybackState,
    apply_changes,
    hold_for,
    put_on,
    stop_waiting_for,
)
from dawnlist.serving.watchparty.room_facts import (
    MAX_ITEM,
    Member,
    WishError,
    check_text,
    is_visible,
)
from dawnlist.serving.watchparty.room_store import Queue
from dawnlist.serving.watchparty.session import CloseCode, Session, SocketClosedError

MAX_CHAT_LETTERS: Final = 500
MAX_CHAT_ID: Final = 64
MAX_QUEUE: Final = 100
MAX_VOTES: Final = 100
"""Films for which one member may vote."""
MAX_EMOJI: Final = 64

Message = Mapping[str, Any]


class RefusedError(Exception):
    """The room does not do what a member wants; the message is the reason in one line."""


class Actions:
    """Does what members say."""

    def __init__(self, hub: Hub, films: Films) -> None:
        self._hub = hub
        self._store = hub.store
        self._films = films
        self._hosts = HostActions(hub)
        self._actions: dict[str, Callable[[Session, Message], Awaitable[None]]] = {
            "set": self._set,
            "waiting": self._wait,
            "ready": self._report_ready,
            "chat": self._say,
            "typing": self._type,
            "react": self._react,
            "queue": self._queue,
            "vote": self._vote,
            "suggest": self._suggest,
            "host": self._hosts.act,
        }

    async def act(self, session: Session, message: Message) -> None:
        """Do what a message says, or tell the member why not.

        Raises:
            SocketClosedError: the message is of no kind that there is.
        """
        kind = message["type"]
        action = self._actions.get(kind)
        if action is None:
            raise SocketClosedError(CloseCode.NOT_UNDERSTOOD)
        try:
            await action(session, message)
        except (RefusedError, WishError, ChangeError) as error:
            refusal: dict[str, Any] = {"type": "refused", "what": kind, "reason": str(error)}
            if kind == "set":
                refusal["state"] = (await self._store.read_state(session.room)).to_message()
            if "id" in message:
                refusal["id"] = message["id"]
            session.send(refusal)

    async def _set(self, session: Session, message: Message) -> None:
        """Change the playback, if nobody has changed it meanwhile."""
        changes = message.get("changes")
        if not isinstance(changes, dict):
            raise RefusedError("give changes as an object")
        await self._require_control(session)
        present = await self._list_present(session.room)
        now = time.time()
        item, title, url = await self._read_item(changes)

        def change(state: PlaybackState) -> PlaybackState:
            if state.seq != message.get("seq"):
                raise RefusedError("somebody else has changed it")
            if item is not None:
                return put_on(state, item, title, url, present, now)
            return apply_changes(state, changes, present, now)

        state = await self._store.change_state(session.room, change, session.member.id)
        if "paused" in changes:
            event_type = "pause" if state.paused else "play"
            self._hub.events.record(session, event_type, item=state.item or "demo")

    async def _read_item(self, changes: Message) -> tuple[str | None, str, str]:
        """Return the film that changes put on, its title and its address; None if they put on none."""
        if "item" not in changes:
            return None, "", ""
        item = check_text("item", changes["item"], MAX_ITEM)
        return item, self._films.get_title(item), self._films.build_url(item)

    async def _require_control(self, session: Session) -> None:
        facts = await self._store.read_facts(session.room)
        if facts.control == "hosts" and session.member.id not in facts.hosts:
            raise RefusedError("only hosts may do that in this room")

    async def _list_present(self, room: str) -> tuple[str, ...]:
        """List the members whom a room waits for: those who keep up."""
        members = await self._store.read_members(room)
        return tuple(member.id for member in members if not member.behind)

    async def _wait(self, session: Session, message: Message) -> None:
        """Hold the room for a member who buffers, unless it has gone on without them before."""
        member = await self._find_member(session)
        if member is None or member.behind:
            return

        def hold(state: PlaybackState) -> PlaybackState:
            if state.seq != message.get("seq"):
                return state
            return hold_for(state, session.member.id, time.time())

        await self._store.change_state(session.room, hold, session.member.id)

    async def _report_ready(self, session: Session, message: Message) -> None:
        """Note that a member can play; the room goes on when it waits for nobody else."""
        duration = message.get("duration")
        if isinstance(duration, int | float) and not isinstance(duration, bool) and duration > 0:
            session.meter.film.duration = float(duration)

        def note(state: PlaybackState) -> PlaybackState:
            if state.seq != message.get("seq"):
                return state
            return stop_waiting_for(state, session.member.id, time.time())

        await self._store.change_state(session.room, note)
        member = await self._find_member(session)
        if member is not None and member.behind:
            facts = await self._store.read_facts(session.room)
            await self._store.mark_behind(facts, [member], False)

    async def _find_member(self, session: Session) -> Member | None:
        for member in await self._store.read_members(session.room):
            if member.id == session.member.id:
                return member
        return None

    async def _say(self, session: Session, message: Message) -> None:
        said_id = check_text("id", message.get("id"), MAX_CHAT_ID)
        text = message.get("text")
        if not isinstance(text, str) or not 0 < len(text.strip()) <= MAX_CHAT_LETTERS:
            raise RefusedError(f"a message has 1 to {MAX_CHAT_LETTERS} letters")
        text = "".join(letter for letter in text if letter == "\n" or is_visible(letter)).strip()
        if not text:
            raise RefusedError(f"a message has 1 to {MAX_CHAT_LETTERS} letters")
        if not session.chat_limit.take(time.monotonic()):
            raise RefusedError("you say more than five things in five seconds")
        session.said += 1
        known = await self._store.say(session.room, session.member, said_id, text, time.time())
        if known is not None:
            session.send({"type": "chat", "entry": known})

    async def _type(self, session: Session, message: Message) -> None:
        member = session.member.id
        typing = {"type": "typing", "member": member}
        await self._store.publish(session.room, {"message": typing, "except": member})

    async def _react(self, session: Session, message: Message) -> None:
        emoji = find_emoji(check_text("emoji", message.get("emoji"), MAX_EMOJI))
        if not emoji:
            raise RefusedError("a reaction is an emoji")
        reaction = {"type": "react", "member": session.member.id, "emoji": emoji}
        await self._store.publish(session.room, {"message": reaction})
        item = session.meter.film.item
        if item:
            self._hub.events.record(session, "mood", item=item, mood=emoji)

    async def _queue(self, session: Session, message: Message) -> None:
        action = message.get("action")
        if action == "next":
            await self._play_next(session)
            return
        item = check_text("item", message.get("item"), MAX_ITEM)
        if action not in ("add", "remove"):
            raise RefusedError("give the action add, remove or next")

        def change(queue: Queue) -> Queue:
            entries = [entry for entry in queue if entry["item"] != item]
            if action == "add":
                entries.append({"item": item, "title": self._films.get_title(item)})
            if len(entries) > MAX_QUEUE:
                raise RefusedError(f"the queue has {MAX_QUEUE} films")
            return entries

        await self._store.change_queue(session.room, change)

    async def _play_next(self, session: Session) -> None:
        """Put on the film of the queue that has most votes, the oldest of equals.

        When two members ask at the same time the second one is refused: no film is passed over.
        """
        await self._require_control(session)
        room = session.room
        seq = (await self._store.read_state(room)).seq
        queue = await self._store.read_queue(room)
        if not queue:
            raise RefusedError("nothing is queued")
        votes = await self.count_votes(room)
        item = max(queue, key=lambda entry: votes.get(entry["item"], 0))["item"]
        present = await self._list_present(room)
        title, url = self._films.get_title(item), self._films.build_url(item)

        def change(state: PlaybackState) -> PlaybackState:
            if state.seq != seq:
                raise RefusedError("somebody else has changed it")
            return put_on(state, item, title, url, present, time.time())

        def take_out(queue: Queue) -> Queue:
            return [entry for entry in queue if entry["item"] != item]

        await self._store.change_state(room, change, session.member.id)
        await self._store.change_queue(room, take_out)

    async def _vote(self, session: Session, message: Message) -> None:
        item = check_text("item", message.get("item"), MAX_ITEM)
        key = self._store.keys.part("votes", session.room)
        name = f"{session.member.id} {item}"
        if message.get("for"):
            await self._require_few_votes(key, session.member.id)
            await self._store.client.hset(key, name, 1)
        else:
            await self._store.client.hdel(key, name)
        votes = await self.count_votes(session.room)
        await self._store.publish(session.room, {"message": {"type": "votes", "votes": votes}})

    async def _require_few_votes(self, key: str, member: str) -> None:
        names = await self._store.client.hkeys(key)
        votes = [name for name in names if name.startswith(f"{member} ".encode())]
        if len(votes) >= MAX_VOTES:
            raise RefusedError(f"you have voted for {MAX_VOTES} films: take a vote back")

    async def count_votes(self, room: str) -> dict[str, int]:
        """Count the votes of each film."""
        votes: dict[str, int] = {}
        for name in await self._store.client.hkeys(self._store.keys.part("votes", room)):
            item = name.decode().partition(" ")[2]
            votes[item] = votes.get(item, 0) + 1
        return votes

    async def _suggest(self, session: Session, message: Message) -> None:
        facts = await self._store.read_facts(session.room)
        members = await self._store.read_members(session.room)
        try:
            items = await self._films.suggest(members, facts.strategy)
        except NoSuggestionsError as error:
            raise RefusedError(str(error)) from None
        session.send({"type": "suggestions", "items": items})
