"""Rooms of a watch party over real sockets: joining, playback in step, chat, hosts, and hostile frames."""

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect
from websockets.typing import Origin

from dawnlist.serving.watchparty.page.routes import DEMO_FILM
from tests.support.party_members import PartyMember, ask_ticket, create_room, party_process
from tests.support.servers import free_port
from tests.support.stores import valkey_of


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with valkey_of(tmp_path_factory.mktemp("party"), "--appendonly", "yes") as port:
        yield f"redis://127.0.0.1:{port}/0"


@pytest.fixture(scope="module")
def party(store: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    settings = tmp_path_factory.mktemp("settings") / "settings.yaml"
    settings.write_text(
        "party: {room_size: 5, origins: ['https://shop.example'], film_url: 'https://films.example/{item}.mp4'}"
    )
    with party_process(store, f"--settings={settings}") as (address, _):
        yield address


@pytest.fixture
def room(party: str) -> str:
    return str(create_room(party)["room"])


@pytest.fixture
def host(party: str) -> Iterator[PartyMember]:
    created = create_room(party)
    member = PartyMember(party, created["room"], created["ticket"])
    yield member
    member.leave()


# Rooms and tickets.

FIELDS = "name, access, control, strategy, guests, password, item, person"


def test_a_room_is_created_listed_and_described(party: str) -> None:
    created = create_room(party, name="  Friday \u202e night ", item="alien")
    facts = httpx.get(f"{party}/v1/rooms/{created['room']}").json()
    assert facts == {
        "room": created["room"], "name": "Friday  night", "access": "open", "guests": True, "locked": False,
        "members": 0,
    }  # fmt: skip
    listed = {room["room"]: room for room in httpx.get(f"{party}/v1/rooms").json()["rooms"]}
    assert listed[created["room"]]["item"] == "alien"
    hidden = create_room(party, access="invitation")
    rooms = httpx.get(f"{party}/v1/rooms").json()["rooms"]
    assert hidden["room"] not in {room["room"] for room in rooms}
    assert httpx.get(f"{party}/v1/rooms/nothing").status_code == 404


@pytest.mark.parametrize(
    ("wish", "reason"),
    [
        ({"name": ""}, "name has to have 1 to 32 letters, and has 0"),
        ({"name": "\u200b"}, "name has to have 1 to 32 letters, and has 0"),
        ({"name": "a" * 33}, "name has to have 1 to 32 letters, and has 33"),
        ({"name": 5}, "name has to be text of 1 to 32 letters"),
        ({"access": "secret"}, "access has to be one of open, invitation"),
        ({"guests": "yes"}, "guests has to be one of true, false"),
        ({"colour": "red"}, f"'colour' is no field: use {FIELDS}"),
        ({"password": "p" * 129}, "password has to have 1 to 128 letters, and has 129"),
        ({"item": "i" * 513}, "item has to have 1 to 512 letters, and has 513"),
    ],
)  # fmt: skip
def test_a_room_that_can_not_be_is_refused(party: str, wish: dict[str, Any], reason: str) -> None:
    assert create_room(party, 400, **wish)["error"] == reason


def test_names_on_the_bound_are_taken(party: str) -> None:
    create_room(party, name="a" * 32, password="p" * 128, item="i" * 512)


@pytest.mark.parametrize(("body", "status"), [(b"{", 400), (b"[]", 400), (b'"' + b"a" * 5000, 413)])
def test_a_body_that_is_no_wish_is_refused(party: str, body: bytes, status: int) -> None:
    answer = httpx.post(f"{party}/v1/rooms", content=body)
    assert answer.status_code == status and list(answer.json()) == ["error"]


def test_a_password_and_an_invitation_keep_others_out(party: str) -> None:
    created = create_room(party, access="invitation", password="open sesame")
    name = created["room"]
    assert "invitation" in ask_ticket(party, name, 403, password="open sesame")["error"]
    invitation = created["invitation"]
    assert (
        ask_ticket(party, name, 403, invitation=invitation)["error"] == "this room has a password"
    )
    wrong = ask_ticket(party, name, 403, invitation=invitation, password="open")
    assert wrong["error"] == "the password is wrong"
    ask_ticket(party, name, invitation=invitation, password="open sesame")


def test_guests_stay_outside_where_the_room_says_so(party: str) -> None:
    room = create_room(party, guests=False)["room"]
    assert ask_ticket(party, room, 403)["error"] == "guests may not come in: log in first"
    refused = ask_ticket(party, room, 401, headers={"authorization": "Bearer x"})
    assert refused["error"] == "there is no key to check tokens with"


def test_who_comes_in_is_told_what_is_there(party: str, host: PartyMember) -> None:
    guest = PartyMember.join(party, host.room, "Bob")
    joined = host.receive("joined")["member"]
    assert joined == {
        "id": guest.id,
        "name": "Bob",
        "host": False,
        "user_known": False,
        "behind": False,
    }
    assert [(member["id"], member["host"]) for member in guest.welcome["members"]] == [
        (host.id, True), (guest.id, False),
    ]  # fmt: skip
    assert guest.welcome["state"]["url"] == DEMO_FILM and guest.welcome["queue"] == []
    guest.leave()
    assert host.receive("left")["member"] == {"id": guest.id}


def test_a_member_has_one_socket_and_comes_back_with_the_resumed_ticket(
    party: str, host: PartyMember
) -> None:
    guest = PartyMember.join(party, host.room, "Bob")
    again = PartyMember(party, host.room, guest.welcome["resume"])
    assert again.id == guest.id
    assert guest.read_close_code() == 4409
    again.say("still here")
    assert host.receive("chat")["entry"]["name"] == "Bob"
    again.leave()


def test_a_full_room_takes_nobody_else(party: str, host: PartyMember) -> None:
    guests = [PartyMember.join(party, host.room, f"guest {n}") for n in range(4)]
    ticket = ask_ticket(party, host.room)["ticket"]
    assert close_code(party, host.room, {"type": "hello", "ticket": ticket}) == 4507
    guests[0].leave()
    host.receive("left")
    PartyMember.join(party, host.room, "the last").leave()
    for guest in guests:
        guest.leave()


# Playback.


def test_all_see_the_same_state_and_a_late_change_is_refused(party: str, host: PartyMember) -> None:
    guest = PartyMember.join(party, host.room, "Bob")
    seen = host.state["seq"]
    host.set(paused=False)
    for member in (host, guest):
        state = member.receive_state(paused=False)
        assert (state["seq"], state["held"]) == (seen + 1, False)
    guest.send("set", seq=seen, changes={"paused": True})
    refused = guest.receive("refused")
    assert (refused["what"], refused["reason"]) == ("set", "somebody else has changed it")
    assert refused["state"]["seq"] == seen + 1
    guest.set(rate=1.5)
    assert host.receive_state(rate=1.5)["media_time"] > 0  # it has played on meanwhile
    guest.leave()


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, "give paused, rate, media_time or item"),
        ({"volume": 3}, "give paused, rate, media_time or item"),
        ({"paused": 1}, "paused has to be true or false"),
        ({"rate": 0.24}, "rate has to be a number from 0.25 to 4"),
        ({"rate": 4.1}, "rate has to be a number from 0.25 to 4"),
        ({"rate": True}, "rate has to be a number from 0.25 to 4"),
        ({"media_time": -0.1}, "media_time has to be a number from 0 to 1e+06"),
        ({"media_time": "0"}, "media_time has to be a number from 0 to 1e+06"),
        ({"item": ""}, "item has to have 1 to 512 letters, and has 0"),
    ],
)
def test_a_change_that_is_none_is_refused(
    host: PartyMember, changes: dict[str, Any], reason: str
) -> None:
    host.set(**changes)
    assert host.receive("refused")["reason"] == reason


@pytest.mark.parametrize("changes", [{"rate": 0.25}, {"rate": 4}, {"media_time": 0}])
def test_a_change_on_the_bound_is_taken(host: PartyMember, changes: dict[str, Any]) -> None:
    host.set(**changes)
    host.receive("state")


def test_a_seek_waits_until_all_are_ready_and_all_start_together(
    party: str, host: PartyMember
) -> None:
    guest = PartyMember.join(party, host.room, "Bob")
    host.set(paused=False)
    guest.receive_state(paused=False)
    host.receive_state(paused=False)
    host.set(media_time=30)
    held = guest.receive_state(held=True)
    assert (held["media_time"], sorted(held["waiting_for"])) == (30, sorted([host.id, guest.id]))
    host.receive_state(held=True)
    guest.report("ready")
    host.report("ready")
    released = host.receive_state(held=False)
    assert released["media_time"] == 30 and released["waiting_for"] == []
    assert released["seq"] == held["seq"] + 1
    assert guest.receive_state(held=False) == released
    guest.leave()


def test_a_member_who_never_answers_is_waited_for_once_and_five_seconds(
    party: str, host: PartyMember
) -> None:
    silent = PartyMember.join(party, host.room, "Silent")
    host.receive("joined")
    host.set(media_time=10)
    host.receive_state(held=True)
    began = time.monotonic()
    host.report("ready")
    host.receive_state(held=False)
    assert time.monotonic() - began > 3.0  # five seconds after the seek, and not before
    behind = {member["id"]: member["behind"] for member in host.receive("members")["members"]}
    assert behind == {host.id: False, silent.id: True}
    host.set(media_time=20)
    assert host.receive_state(held=True)["waiting_for"] == [host.id]
    host.report("ready")
    host.receive_state(held=False)
    # A laggard who buffers holds nobody; once ready they count again.
    silent.receive_state(held=False, media_time=20)
    silent.report("waiting")
    silent.report("ready")
    behind = {member["id"]: member["behind"] for member in host.receive("members")["members"]}
    assert behind == {host.id: False, silent.id: False}
    silent.leave()


def test_a_member_who_buffers_holds_the_room_until_ready_or_gone(
    party: str, host: PartyMember
) -> None:
    guest = PartyMember.join(party, host.room, "Bob")
    host.set(paused=False)
    guest.receive_state(paused=False)
    guest.report("waiting")
    held = host.receive_state(held=True)
    assert held["waiting_for"] == [guest.id]
    guest.receive_state(held=True)
    guest.report("ready")
    host.receive_state(held=False)
    guest.receive_state(held=False)
    guest.report("waiting")
    host.receive_state(held=True)
    guest.socket.close()
    host.receive_state(held=False)


def test_films_have_their_address_and_the_queue_its_votes(party: str, host: PartyMember) -> None:
    guest = PartyMember.join(party, host.room, "Bob")
    for item in ("a b", "alien", "c"):
        host.send("queue", action="add", item=item)
        queue = guest.receive("queue")["queue"]
    assert [entry["item"] for entry in queue] == ["a b", "alien", "c"]
    host.send("queue", action="remove", item="c")
    assert len(guest.receive("queue")["queue"]) == 2
    for member in (host, guest):
        member.send("vote", item="alien", **{"for": True})
        votes = host.receive("votes")["votes"]
    assert votes == {"alien": 2}
    guest.send("vote", item="alien", **{"for": False})
    assert host.receive("votes")["votes"] == {"alien": 1}
    host.send("queue", action="next")
    state = guest.receive_state(item="alien")
    assert (state["url"], state["held"]) == ("https://films.example/alien.mp4", True)
    assert guest.receive("queue")["queue"][0]["item"] == "a b"
    host.send("set", seq=state["seq"], changes={"item": "a/b?"})
    assert guest.receive_state(item="a/b?")["url"] == "https://films.example/a%2Fb%3F.mp4"
    host.send("suggest")
    assert "there is no predictor" in host.receive("refused")["reason"]
    guest.leave()


def test_clocks_are_compared_by_four_stamps(host: PartyMember) -> None:
    before = time.time()
    host.send("ping", t0=12.5)
    pong = host.receive("pong")
    assert pong["t0"] == 12.5
    assert before <= pong["t1"] <= pong["t2"] <= time.time()


# Chat.


def test_what_is_said_is_in_the_same_order_for_all_and_once(party: str, host: PartyMember) -> None:
    guest = PartyMember.join(party, host.room, "<b>Bob</b>")
    first = guest.say("<script>alert(1)</script> \u202eevil")
    entry = host.receive("chat")["entry"]
    assert (entry["seq"], entry["id"], entry["member"]) == (1, first, guest.id)
    assert (entry["name"], entry["text"]) == ("<b>Bob</b>", "<script>alert(1)</script> evil")
    guest.receive("chat")
    guest.say("again", first)  # sent again after a lost answer
    assert guest.receive("chat")["entry"]["text"].startswith("<script>")
    host.say("second")
    assert guest.receive("chat")["entry"]["seq"] == 2
    late = PartyMember.join(party, host.room, "Late")
    assert [entry["seq"] for entry in late.said] == [1, 2]
    back = PartyMember(party, host.room, late.welcome["resume"], last_chat=first)
    assert [entry["seq"] for entry in back.said] == [2]
    for member in (guest, back):
        member.leave()


def test_chat_has_its_limits(host: PartyMember) -> None:
    for text in ("", "  ", "a" * 501, "\u200b"):
        host.say(text)
        refused = host.receive("refused")
        assert (refused["what"], refused["reason"]) == ("chat", "a message has 1 to 500 letters")
    for number in range(5):
        host.say("a" * 500)
        assert host.receive("chat")["entry"]["seq"] == number + 1
    sixth = host.say("one too many")
    refused = host.receive("refused")
    assert (refused["id"], refused["reason"]) == (
        sixth,
        "you say more than five things in five seconds",
    )


def test_reactions_are_normalised_and_typing_is_for_the_others(
    party: str, host: PartyMember
) -> None:
    guest = PartyMember.join(party, host.room, "Bob")
    guest.send("react", emoji="\U0001f44d\U0001f3fd")
    assert host.receive("react") == {"type": "react", "member": guest.id, "emoji": "\U0001f44d"}
    guest.receive("react")
    guest.send("react", emoji="no emoji")
    assert guest.receive("refused")["reason"] == "a reaction is an emoji"
    guest.send("typing")
    assert host.receive("typing")["member"] == guest.id
    host.say("hello")
    assert guest.take()["type"] == "chat"  # and not the guest's own typing
    guest.leave()


# Hosts.


def test_hosts_rule(party: str, host: PartyMember) -> None:
    guest = PartyMember.join(party, host.room, "Bob")
    guest.send("host", action="close")
    assert guest.receive("refused")["reason"] == "only hosts may do that"
    host.send("host", action="control", value="hosts")
    assert guest.receive("room")["room"]["control"] == "hosts"
    guest.set(paused=False)
    assert guest.receive("refused")["reason"] == "only hosts may do that in this room"
    host.send("host", action="strategy", value="worst")
    assert host.receive("refused")["reason"] == "strategy can't have this value"
    host.send("host", action="add", member=guest.id)
    members = guest.receive("members")["members"]
    assert [member["host"] for member in members] == [True, True]
    guest.set(paused=False)
    guest.receive_state(paused=False)
    host.send("host", action="hand_over", member=guest.id)
    members = guest.receive("members")["members"]
    assert {member["id"]: member["host"] for member in members} == {host.id: False, guest.id: True}
    guest.send("host", action="kick", member=host.id)
    assert host.read_close_code() == 4403
    assert guest.receive("left")["member"] == {"id": host.id}
    ticket = {"type": "hello", "ticket": host.welcome["resume"]}
    assert close_code(party, guest.room, ticket) == 4403
    guest.send("host", action="close")
    assert guest.read_close_code() == 4404
    assert httpx.get(f"{party}/v1/rooms/{guest.room}").status_code == 404


def test_the_member_who_came_first_becomes_host_when_the_last_host_leaves(
    party: str, host: PartyMember
) -> None:
    first = PartyMember.join(party, host.room, "first")
    second = PartyMember.join(party, host.room, "second")
    host.leave()
    members = second.receive("members")["members"]
    assert {member["id"]: member["host"] for member in members} == {
        first.id: True,
        second.id: False,
    }
    for member in (first, second):
        member.leave()


# Hostile frames.


def close_code(address: str, room: str, *frames: Any, **options: Any) -> int:
    """The code by which the server closes a socket that sends these frames."""
    url = f"{address.replace('http', 'ws', 1)}/v1/rooms/{room}/socket"
    with connect(url, **options) as socket:
        with contextlib.suppress(ConnectionClosed):
            for frame in frames:
                socket.send(json.dumps(frame) if isinstance(frame, dict) else frame)
            while True:
                socket.recv(30)
        code: int | None = socket.close_code
    assert code is not None
    return code


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        ("{", 4400),
        ("[]", 4400),
        ("null", 4400),
        ('{"type": 5}', 4400),
        ('{"type": "set"}', 4400),
        ("[" * 4096, 4400),
        (b"\x00\x01", 4400),
        ("a" * 4096, 4400),
        ("a" * 4097, 4413),
        ({"type": "hello"}, 4401),
        ({"type": "hello", "ticket": "a.b"}, 4401),
        ({"type": "hello", "ticket": "é" * 10}, 4401),
    ],
)
def test_a_socket_that_begins_with_something_else_is_closed(
    party: str, room: str, frame: Any, code: int
) -> None:
    assert close_code(party, room, frame) == code


def test_a_socket_without_hello_is_closed_after_five_seconds(party: str, room: str) -> None:
    assert close_code(party, room) == 4408


def test_a_page_of_another_origin_is_refused(party: str, room: str) -> None:
    ticket = ask_ticket(party, room)["ticket"]
    hello = {"type": "hello", "ticket": ticket}
    assert close_code(party, room, hello, origin="https://evil.example") == 4403
    url = f"{party.replace('http', 'ws', 1)}/v1/rooms/{room}/socket"
    for origin in ("https://shop.example", party):
        with connect(url, origin=Origin(origin)) as socket:
            socket.send(json.dumps(hello))
            assert json.loads(socket.recv())["type"] == "welcome"


def test_a_ticket_is_for_its_room_and_whole(party: str, room: str) -> None:
    ticket = ask_ticket(party, room)["ticket"]
    other = create_room(party)["room"]
    assert close_code(party, other, {"type": "hello", "ticket": ticket}) == 4401
    for position in range(0, len(ticket), 7):
        letter = "A" if ticket[position] != "A" else "B"
        damaged = ticket[:position] + letter + ticket[position + 1 :]
        assert close_code(party, room, {"type": "hello", "ticket": damaged}) == 4401


@pytest.mark.parametrize(
    ("frames", "code"),
    [
        ([{"type": "unknown"}], 4400),
        (["{"], 4400),
        (['{"type": "chat", "id": "a", "text": "\\ud83d"}'], 4400),  # half a letter
        (["[" * 2000 + "]" * 2000], 4400),
        (["a" * 5000], 4413),
        ([{"type": "typing"}] * 60, 4429),
    ],
)
def test_a_member_who_sends_what_is_not_understood_is_out_and_nobody_else(
    party: str, host: PartyMember, frames: list[Any], code: int
) -> None:
    guest = PartyMember.join(party, host.room, "Bob")
    with contextlib.suppress(ConnectionClosed):
        for frame in frames:
            guest.socket.send(json.dumps(frame) if isinstance(frame, dict) else frame)
    assert guest.read_close_code() == code
    host.say("still here")
    host.receive("chat")


@pytest.mark.parametrize(
    "kind", ["set", "waiting", "ready", "chat", "react", "queue", "vote", "host", "ping"]
)
def test_fields_of_any_kind_are_answered(party: str, host: PartyMember, kind: str) -> None:
    values: list[Any] = [None, True, 5, -1.5, "x", [], {}, [[]], {"a": 1}, 10**15]
    names = (
        "seq",
        "changes",
        "media_time",
        "id",
        "text",
        "emoji",
        "action",
        "item",
        "for",
        "member",
        "value",
        "t0",
    )
    for value in values:
        host.send(kind, **dict.fromkeys(names, value))
        host.send("ping", t0=1)
        host.receive("pong")
        time.sleep(0.05)  # so that the rate is no part of this test
    assert httpx.get(f"{party}/healthz").status_code == 200


# Several processes.


@pytest.fixture
def two(tmp_path: Path) -> Iterator[tuple[Any, Any, int]]:
    """Two processes with one store, and the store's port."""
    port = free_port()
    url = f"redis://127.0.0.1:{port}/0"
    with (
        valkey_of(tmp_path, "--appendonly", "yes", "--appendfsync", "always", port=port),
        party_process(url) as first,
        party_process(url) as second,
    ):
        yield first, second, port


def test_a_room_spans_processes_and_survives_the_death_of_one(two: tuple[Any, Any, int]) -> None:
    (first, first_process), (second, _), _ = two
    created = create_room(first)
    host = PartyMember(first, created["room"], created["ticket"])
    guest = PartyMember.join(second, created["room"], "Bob")
    host.receive("joined")
    host.set(paused=False)
    host.receive_state(paused=False)
    guest.receive_state(paused=False)
    for number in range(3):
        host.say(f"host {number}")
        guest.say(f"guest {number}")
    while len(host.said) < 6 or len(guest.said) < 6:
        (host if len(host.said) < 6 else guest).take()
    assert host.said == guest.said
    first_process.kill()
    # The host is missed, comes back to the other process, and nothing was lost.
    assert guest.receive("left")["member"] == {"id": host.id}
    again = PartyMember(
        second, created["room"], host.welcome["resume"], last_chat=host.said[2]["id"]
    )
    assert again.said == host.said[3:]
    assert again.welcome["members"][1]["host"] is True
    again.set(media_time=5)
    held = guest.receive_state(held=True)
    guest.report("ready")
    again.receive_state(held=True)
    again.report("ready")
    assert guest.receive_state(held=False)["seq"] == held["seq"] + 1
    for member in (guest, again):
        member.leave()


def test_a_member_who_never_answers_freezes_no_room_whose_other_process_died(
    two: tuple[Any, Any, int],
) -> None:
    (first, first_process), (second, _), _ = two
    created = create_room(first)
    host = PartyMember(first, created["room"], created["ticket"])
    guest = PartyMember.join(second, created["room"], "Bob")
    host.set(media_time=5)
    guest.receive_state(held=True)
    guest.report("ready")
    first_process.kill()
    guest.receive_state(held=False)
    guest.leave()


def test_a_store_that_restarts_costs_nobody_the_room(
    two: tuple[Any, Any, int], tmp_path: Path
) -> None:
    import redis

    (first, _), (second, _), port = two
    created = create_room(first)
    host = PartyMember(first, created["room"], created["ticket"])
    guest = PartyMember.join(second, created["room"], "Bob")
    host.say("before")
    guest.receive("chat")
    with redis.Redis(port=port) as client, contextlib.suppress(redis.ConnectionError):
        client.shutdown(nosave=True)
    with valkey_of(tmp_path, "--appendonly", "yes", "--appendfsync", "always", port=port):
        deadline = time.monotonic() + 30
        said: list[str] = []
        members = {"host": host, "guest": guest}
        while "after" not in said:
            assert time.monotonic() < deadline
            members = {name: come_back(member, second) for name, member in members.items()}
            with contextlib.suppress(ConnectionClosed, TimeoutError):
                members["host"].say("after", "after-1")
                said = [members["guest"].receive("chat", 1.0)["entry"]["text"]]
        texts = [entry["text"] for entry in members["guest"].said]
        assert texts.count("after") == 1 and texts[0] == "before"
        members["host"].set(paused=False)
        members["guest"].receive_state(paused=False)
        for member in members.values():
            member.leave()


def come_back(member: PartyMember, address: str) -> PartyMember:
    """The member, by a new socket if the old one is closed."""
    with contextlib.suppress(ConnectionClosed, TimeoutError):
        member.send("ping", t0=1)
        member.receive("pong", 2.0)
        return member
    with contextlib.suppress(OSError, ConnectionClosed, TimeoutError):
        again = PartyMember(address, member.room, member.welcome["resume"], member.said[-1]["id"])
        again.said = [*member.said, *again.said]
        return again
    time.sleep(0.1)
    return member
