"""What somebody may claim who read a browser's key in the source of a page."""

from typing import Any

import httpx
import pytest

from dawnlist.settings import CollectorSettings
from dawnlist.urls import COLLECTOR_KEYS
from tests.support.collecting import KEYS, collector, count_entries, read_stream, send, statuses

ORIGIN = "https://shop.example"
BROWSER = {"x-api-key": "pk_shop", "origin": ORIGIN}
SERVER = {"x-api-key": "secret-1"}


@pytest.fixture(autouse=True)
def servers_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(COLLECTOR_KEYS, "secret-1,secret-2")


def answer(client: httpx.Client, headers: dict[str, str], **event: Any) -> dict[str, str]:
    """The answer to one event."""
    response = send(client, event, headers=headers)
    assert response.status_code == 202
    [status] = response.json()["events"]
    return dict(status)


def test_a_browser_sends_the_types_of_the_setting_alone(valkey: str) -> None:
    keys = {"pk_shop": [ORIGIN]}
    with collector(valkey, browser_keys=keys, browser_types=["view", "alias"]) as client:
        assert answer(client, BROWSER, type="view", user="u1")["status"] == "ok"
        refused = answer(client, BROWSER, type="purchase", user="u1", item="i1")
        assert refused["status"] == "dropped"
        assert refused["reason"] == (
            "type: a browser's key may not send 'purchase': send it from a server, or add it to "
            "collector.browser_types"
        )
        assert answer(client, SERVER, type="purchase", user="u1", item="i1")["status"] == "ok"
        picture = client.get("/v1/event.gif?type=purchase&user=u1&key=pk_shop")
        assert picture.headers["x-event-status"] == "dropped"
        seen = client.get("/v1/event.gif?type=view&user=u1&key=pk_shop")
        assert seen.headers["x-event-status"] == "ok"
    types = [record["type"] for record in read_stream(valkey, KEYS.accepted)]
    assert types == ["view", "purchase", "view"]
    assert count_entries(valkey, KEYS.dead) == 2


def test_a_browser_names_no_users_where_the_setting_says_so(valkey: str) -> None:
    with collector(valkey, browser_keys={"pk_shop": [ORIGIN]}, browser_users=False) as client:
        assert answer(client, BROWSER, type="view", anonymous="b1")["status"] == "ok"
        for event in ({"type": "view"}, {"type": "alias", "anonymous": "b1"}):
            refused = answer(client, BROWSER, user="victim", **event)
            assert refused["status"] == "dropped"
            assert refused["reason"].startswith("user: a browser's key may not say who the user is")
        assert answer(client, SERVER, type="alias", anonymous="b1", user="u1")["status"] == "ok"
    users = [record.get("user") for record in read_stream(valkey, KEYS.accepted)]
    assert users == [None, "u1"]


def test_by_default_browsers_send_all_types_and_name_users(valkey: str) -> None:
    with collector(valkey, browser_keys={"pk_shop": [ORIGIN]}) as client:
        assert answer(client, BROWSER, type="purchase", user="u1")["status"] == "ok"
        assert answer(client, BROWSER, type="alias", user="u1", anonymous="b1")["status"] == "ok"


def test_nobody_makes_the_events_of_others_duplicates(valkey: str) -> None:
    event = {"id": "order-1001", "type": "purchase", "user": "u1", "item": "i1"}
    with collector(valkey, browser_keys={"pk_shop": [ORIGIN]}) as client:
        for headers in (BROWSER, SERVER, {"x-api-key": "secret-2"}):
            assert statuses(send(client, event, headers=headers)) == ["ok"]
            assert statuses(send(client, event, headers=headers)) == ["duplicate"]
    assert count_entries(valkey, KEYS.accepted) == 3


@pytest.mark.parametrize("name", ["View", "", "a b", "-x", "a" * 65])
def test_a_type_that_no_event_can_have_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is no type of an event"):
        CollectorSettings(browser_types=["view", name])
    CollectorSettings(browser_types=["view", "add_to_cart", "a" * 64])
