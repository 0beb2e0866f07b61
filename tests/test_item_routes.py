"""Items go out of all answers of all predictors by HTTP, with a key of its own."""

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from dawnlist.machine.embedded_valkey import run_embedded_valkey
from dawnlist.messages.masking import mask_secrets
from dawnlist.store.client import connect_store
from dawnlist.store.withdrawals import read_withdrawals
from tests.support.published import metric, publish, shop
from tests.support.servers import NOBODY, running_predictor

ADMIN = {"x-api-key": "the admin key"}


@pytest.fixture(scope="module")
def replicas(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, list[str]]]:
    """The store and two predictors, which ask callers for another key."""
    environment = {"DAWNLIST_ADMIN_KEY": "old key, the admin key", "DAWNLIST_API_KEY": "a caller"}
    with run_embedded_valkey(tmp_path_factory.mktemp("items")) as store:
        publish(store, shop())
        with (
            running_predictor(store, "shop", environment) as first,
            running_predictor(store, "shop", environment) as second,
        ):
            yield store, [first.url, second.url]


def list_items(url: str) -> list[str]:
    answer = httpx.get(f"{url}/v1/popular", headers={"x-api-key": "a caller"})
    return [item["item_id"] for item in answer.json()["items"]]


def wait_for_items(urls: list[str], item: str, is_there: bool) -> None:
    deadline = time.monotonic() + 30
    while any((item in list_items(url)) != is_there for url in urls):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def change(url: str, action: str, status: int = 200, **options: Any) -> Any:
    answer = httpx.post(f"{url}/v1/items:{action}", **{"headers": ADMIN, **options})
    assert answer.status_code == status, answer.text
    return answer.json()


def test_an_item_goes_out_of_the_answers_of_all_replicas_and_comes_back(
    replicas: tuple[str, list[str]],
) -> None:
    store, urls = replicas
    answer = httpx.delete(f"{urls[0]}/v1/items/d", headers=ADMIN)
    assert (answer.status_code, answer.json()) == (200, {"withdrawn": 1, "unchanged": 0})
    wait_for_items(urls, "d", is_there=False)
    again = httpx.delete(f"{urls[1]}/v1/items/d", headers=ADMIN)
    assert again.json() == {"withdrawn": 0, "unchanged": 1}
    many = change(urls[0], "withdraw", json={"item_ids": ["d", "b", "b", "not/there yet"]})
    assert many == {"withdrawn": 2, "unchanged": 1}
    wait_for_items(urls, "b", is_there=False)
    with connect_store(store) as client:
        assert list(read_withdrawals(client, "shop")) == ["b", "d", "not/there yet"]
    restored = change(urls[1], "restore", json={"item_ids": ["d", "b", "a"]})
    assert restored == {"restored": 2, "unchanged": 1}
    wait_for_items(urls, "b", is_there=True)
    slash = httpx.delete(f"{urls[0]}/v1/items/not%2Fthere%20yet", headers=ADMIN)
    assert slash.json() == {"withdrawn": 0, "unchanged": 1}


@pytest.mark.parametrize("headers", [{}, {"x-api-key": "a caller"}, {"x-api-key": "the admin"}])
def test_the_key_is_one_of_its_own(
    replicas: tuple[str, list[str]], headers: dict[str, str]
) -> None:
    url = replicas[1][0]
    assert httpx.delete(f"{url}/v1/items/a", headers=headers).status_code == 401
    change(url, "withdraw", 401, headers=headers, json={"item_ids": ["a"]})
    assert httpx.get(f"{url}/v1/popular", headers=ADMIN).status_code == 401
    assert "a" in list_items(url) or "b" in list_items(url)


def test_a_key_before_the_newest_is_taken_too(replicas: tuple[str, list[str]]) -> None:
    change(replicas[1][0], "restore", headers={"x-api-key": "old key"}, json={"item_ids": ["x"]})


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{", "the body is not JSON"),
        (b"{}", 'the body has to be {"item_ids": ["22423", ...]}'),
        (b'{"item_ids": "a"}', 'the body has to be {"item_ids": ["22423", ...]}'),
        (b'{"item_ids": ["a"], "x": 1}', 'the body has to be {"item_ids": ["22423", ...]}'),
        (b'{"item_ids": []}', "0 items: give 1 to 10,000"),
        (b'{"item_ids": [%b]}' % b",".join([b'"a"'] * 10_001), "10,001 items: give 1 to 10,000"),
        (b'{"item_ids": [5]}', "an item id has to be text of 1 to 512 characters"),
        (b'{"item_ids": [""]}', "an item id has to be text of 1 to 512 characters"),
        (
            b'{"item_ids": ["%b"]}' % (b"a" * 513),
            "an item id has to be text of 1 to 512 characters",
        ),
    ],
    ids=["no JSON", "nothing", "a text", "more", "none", "too many", "a number", "empty", "long"],
)
def test_a_body_that_names_no_items_changes_nothing(
    replicas: tuple[str, list[str]], body: bytes, reason: str
) -> None:
    store, [url, _] = replicas
    with connect_store(store) as client:
        before = read_withdrawals(client, "shop")
        assert reason in change(url, "withdraw", 400, content=body)["error"]
        assert read_withdrawals(client, "shop") == before


def test_bodies_on_the_bound_are_taken(replicas: tuple[str, list[str]]) -> None:
    url = replicas[1][0]
    ids = [f"n{number}" for number in range(9_999)] + ["i" * 512]
    assert change(url, "withdraw", json={"item_ids": ids}) == {"withdrawn": 10_000, "unchanged": 0}
    assert change(url, "restore", json={"item_ids": ids}) == {"restored": 10_000, "unchanged": 0}


def test_without_a_key_nobody_changes_items() -> None:
    with running_predictor(f"redis://{NOBODY}/0", "shop") as running:
        answer = httpx.delete(f"{running.url}/v1/items/a")
        assert answer.status_code == 403
        assert answer.json()["error"] == "items can't be changed here: set DAWNLIST_ADMIN_KEY"


def test_a_store_that_is_away_is_told_and_no_fault_of_ours() -> None:
    environment = {"DAWNLIST_ADMIN_KEY": "the admin key"}
    with running_predictor(f"redis://{NOBODY}/0", "shop", environment) as running:
        answer = httpx.delete(f"{running.url}/v1/items/a", headers=ADMIN, timeout=60)
        assert answer.status_code == 503
        assert answer.json()["error"] == "the store does not answer: try again in a moment"
        assert metric(running.url, "dawnlist_failures_total") == 0


def test_the_key_is_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DAWNLIST_ADMIN_KEY", "first-admin-key,second-admin-key")
    assert mask_secrets("it was second-admin-key") == "it was ***"
