"""Recent events of a user, against a real Valkey."""

import threading

import pytest

from dawnlist.store import recent
from dawnlist.store.client import connect_store
from dawnlist.store.recent import RecentEvent


def test_events_come_back_oldest_first(valkey: str) -> None:
    with connect_store(valkey) as client:
        counts = [
            recent.record_event(client, "shop", "ann", item, kind, time)
            for item, kind, time in (("a", "view", 5.0), ('b\n"]', "cart", 6.5), ("ü", "view", 7.0))
        ]
        value = client.get(recent.build_recent_key("shop", "ann"))
        assert 2 * 86_400 - 5 < client.ttl(recent.build_recent_key("shop", "ann")) <= 2 * 86_400
        assert client.get(recent.build_recent_key("shop", "bob")) is None
    assert counts == [1, 2, 3]
    assert value == b'[5.0, "view", "a"]\n[6.5, "cart", "b\\n\\"]"]\n[7.0, "view", "\xc3\xbc"]\n'
    assert recent.parse_recent_events(value) == [
        RecentEvent("a", "view", 5.0),
        RecentEvent('b\n"]', "cart", 6.5),
        RecentEvent("ü", "view", 7.0),
    ]


def test_the_key_holds_nothing_of_the_user_s() -> None:
    assert (
        recent.build_recent_key("shop", "x:*{y}\r\n")
        == "dawnlist:shop:r:" + recent.build_recent_key("other", "x:*{y}\r\n")[-32:]
    )
    assert set(recent.build_recent_key("shop", "x:*{y}\r\n")[-32:]) <= set("0123456789abcdef")
    with pytest.raises(ValueError, match="is not usable"):
        recent.build_recent_key("a:b", "ann")


def test_only_the_newest_fifty_are_kept(valkey: str) -> None:
    with connect_store(valkey) as client:
        counts = [
            recent.record_event(client, "shop", "ann", f"i{n}", "view", float(n)) for n in range(60)
        ]
        events = recent.parse_recent_events(
            client.get(recent.build_recent_key("shop", "ann")) or b""
        )
    assert counts == [*range(1, 51), *[50] * 10]
    assert [event.item_id for event in events] == [f"i{n}" for n in range(10, 60)]


def test_events_of_many_writers_are_all_there(valkey: str) -> None:
    def write(writer: int) -> None:
        with connect_store(valkey) as client:
            for n in range(10):
                recent.record_event(client, "shop", "ann", f"{writer}-{n}", "view", 0.0)

    writers = [threading.Thread(target=write, args=(writer,)) for writer in range(5)]
    for thread in writers:
        thread.start()
    for thread in writers:
        thread.join()
    with connect_store(valkey) as client:
        events = recent.parse_recent_events(
            client.get(recent.build_recent_key("shop", "ann")) or b""
        )
    assert {event.item_id for event in events} == {
        f"{writer}-{n}" for writer in range(5) for n in range(10)
    }


def test_what_is_too_long_or_was_damaged_is_refused(valkey: str) -> None:
    with (
        connect_store(valkey) as client,
        pytest.raises(ValueError, match=r"an event of 2,018 bytes, 'xxx.*at most 1,000"),
    ):
        recent.record_event(client, "shop", "ann", "x" * 2_000, "view", 1.0)
    with pytest.raises(ValueError, match="Expecting"):
        recent.parse_recent_events(b'[5.0, "view",\n')
