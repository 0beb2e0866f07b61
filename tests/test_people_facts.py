"""Whose agent and address an event has: those of the person, never those of a server that speaks for them."""

from typing import Any

import orjson
import pytest
import redis

from dawnlist.urls import COLLECTOR_KEYS
from tests.support.collecting import KEYS, collector, read_stream, send, statuses

ORIGIN = "https://shop.example"
PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15"
LIBRARY = "python-requests/2.32"
VIEW = {"type": "view", "user": "u1", "item": "i1"}
ONLY_SERVERS = "only a server gives it; that of a page is known by its request"
DEVICE = {"agent": PHONE, "address": "203.0.113.77"}


def describe_device(record: dict[str, Any]) -> tuple[str | None, str | None]:
    """The agent and the network of a record."""
    return record.get("agent"), record.get("network")


def test_a_server_gives_each_event_its_persons_device_or_none(
    valkey: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(COLLECTOR_KEYS, "secret")
    headers = {"x-api-key": "secret", "user-agent": LIBRARY, "origin": ORIGIN}
    with collector(valkey, browser_keys={"pk_shop": [ORIGIN]}) as client:
        send(client, VIEW, {**VIEW, **DEVICE}, headers=headers)
        browser = {"x-api-key": "pk_shop", "user-agent": PHONE, "origin": ORIGIN}
        send(client, VIEW, headers=browser)
        client.get("/v1/event.gif?type=open&user=u1&key=pk_shop", headers={"user-agent": PHONE})
    plain, described, page, picture = read_stream(valkey, KEYS.accepted)
    assert describe_device(plain) == (None, None)
    assert describe_device(described) == (PHONE, "203.0.113.0/24")
    assert describe_device(page) == describe_device(picture) == (PHONE, "127.0.0.0/24")
    assert "203.0.113.77" not in repr([plain, described, page, picture])


def test_where_no_key_is_asked_for_a_page_is_known_by_its_origin(valkey: str) -> None:
    with collector(valkey) as client:
        send(client, VIEW, headers={"user-agent": LIBRARY})
        send(client, VIEW, headers={"user-agent": PHONE, "origin": ORIGIN})
    server, page = read_stream(valkey, KEYS.accepted)
    assert (describe_device(server), describe_device(page)) == (
        (None, None),
        (PHONE, "127.0.0.0/24"),
    )


@pytest.mark.parametrize(
    ("fields", "headers", "reason"),
    [
        ({"agent": PHONE}, {"origin": ORIGIN}, f"agent: {ONLY_SERVERS}"),
        ({"address": "203.0.113.77"}, {"origin": ORIGIN}, f"address: {ONLY_SERVERS}"),
        ({"address": "203.0.113"}, {}, "address: '203.0.113' is no IP address"),
        ({"address": "1" * 65}, {}, None),
        ({"agent": "a" * 1001}, {}, None),
    ],
)  # fmt: skip
def test_what_can_not_be_a_persons_device_is_dropped(
    valkey: str, fields: dict[str, str], headers: dict[str, str], reason: str | None
) -> None:
    with collector(valkey) as client:
        answer = send(client, {**VIEW, **fields}, headers=headers)
    assert statuses(answer) == ["dropped"]
    if reason is not None:
        assert answer.json()["events"][0]["reason"] == reason
    with redis.from_url(valkey) as store:
        [(_, letter)] = store.xrange(KEYS.dead)
    # A dead letter keeps no address of a person.
    assert "address" not in orjson.loads(letter[b"e"])


@pytest.mark.parametrize("fields", [{"address": "2001:db8::1"}, {"agent": "a" * 1000}])
def test_a_device_on_the_bound_is_taken(valkey: str, fields: dict[str, str]) -> None:
    with collector(valkey) as client:
        assert statuses(send(client, {**VIEW, **fields})) == ["ok"]


def test_people_without_consent_whom_a_server_sends_stay_apart(valkey: str) -> None:
    def refusing(**fields: Any) -> dict[str, Any]:
        return {"type": "view", "item": "i1", "consent": False, **fields}

    events = [
        refusing(user="u1"), refusing(user="u1"), refusing(user="u2"), refusing(anonymous="u1"),
        refusing(**DEVICE), refusing(user="u1", **DEVICE), refusing(), refusing(),
    ]  # fmt: skip
    with collector(valkey) as client:
        assert set(statuses(send(client, *events))) == {"ok"}
    people = [record["anonymous"] for record in read_stream(valkey, KEYS.accepted)]
    assert people[0] == people[1]
    assert people[4] == people[5]  # one device, one person
    assert len(set(people)) == 6
    assert all(person.startswith("unknown-") for person in people)
