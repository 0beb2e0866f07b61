"""A group's list: exact against each member's own scores, and nothing that a member must not get."""

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import random as draw_sparse

from dawnlist.machine.embedded_valkey import run_embedded_valkey
from dawnlist.model.user_items import UserItems
from dawnlist.ranking.coarse import QuantisedIndex
from dawnlist.schema import CATALOGUE_SCHEMA
from dawnlist.serving.predictor.answers.engine import ServingEngine
from dawnlist.serving.predictor.answers.group import group_scores
from dawnlist.serving.predictor.answers.group.group_members import MemberTaste
from dawnlist.serving.predictor.answers.group.group_scores import find_best_items, score_items
from dawnlist.serving.predictor.answers.own_items import NO_OWN_ITEMS, OwnItems
from dawnlist.serving.predictor.protocols.group import encode_group_answer, parse_group_request
from dawnlist.store import recent
from dawnlist.store.client import connect_store
from dawnlist.store.withdrawals import withdraw_items
from tests.support.collecting import KEYS, read_stream
from tests.support.heard import Heard
from tests.support.published import metric
from tests.support.servers import running_predictor
from tests.support.top_lists import bare
from tests.test_engine import AS_OF, CONFIG, publish, shop

NOW = AS_OF.timestamp()
ITEMS = list("abcdefgh")
STRATEGIES = [("mean", None), ("least_misery", None), ("mix", 0.25), ("mix", 0.0), ("mix", 1.0)]


def post(url: str, status: int = 200, **body: Any) -> Any:
    answer = httpx.post(f"{url}/v1/group", json=body)
    assert answer.status_code == status, answer.text
    return answer.json()


def items_of(answer: Any) -> list[str]:
    return [item["item"] for item in answer["items"]]


def record_events(url: str, user: str, *events: tuple[str, str, float]) -> None:
    """Record recent events: item, type and seconds since the version's as_of."""
    with redis.from_url(url) as client:
        for item, event_type, seconds in events:
            recent.record_event(client, "shop", user, item, event_type, NOW + seconds)


def ask(url: str, **body: Any) -> Any:
    """The answer of an engine, as the predictor would encode it."""

    async def run() -> Any:
        engine = ServingEngine(url, "shop", metrics=Heard(), timeout=10.0)
        await engine.start()
        try:
            question = parse_group_request(json.dumps(body).encode())
            return json.loads(encode_group_answer(question, *await engine.answer_group(question)))
        finally:
            await engine.stop()

    return asyncio.run(run())


# The scores.


def score_for_group(scores: list[float], strategy: str, mix: float | None) -> np.float32:
    """The group's score by its definition, from what the predictor printed for each member."""
    single = [float(np.float32(score)) for score in scores]
    mean, lowest = sum(single) / len(single), min(single)
    weight = {"mean": 1.0, "least_misery": 0.0}.get(strategy, mix)
    assert weight is not None
    return np.float32(weight * mean + (1 - weight) * lowest)


def rank_by_brute_force(
    scores: np.ndarray[Any, Any], weight: float, allowed: np.ndarray[Any, Any], k: int
) -> tuple[list[int], list[float]]:
    """The best items from all scores, shape (members, items)."""
    total = np.zeros(scores.shape[1])
    for member in scores:
        total += member
    combined = weight * (total / len(scores)) + (1 - weight) * scores.min(axis=0).astype(float)
    combined = combined.astype(np.float32)
    rows = [row for row in range(len(combined)) if allowed[row]]
    rows.sort(key=lambda row: (-combined[row], row))
    return rows[:k], [float(combined[row]) for row in rows[:k]]


@settings(max_examples=80, derandomize=True, deadline=None, database=None)
@given(
    seed=st.integers(0, 10_000),
    members=st.sampled_from([1, 2, 7, 200]),
    items=st.sampled_from([1, 5, 300, 5_000]),
    weight=st.sampled_from([0.0, 0.3, 1.0]),
    kind=st.sampled_from(["plain", "close", "tied", "empty"]),
    k=st.sampled_from([1, 20, 100]),
)
def test_the_best_items_are_those_of_brute_force(
    seed: int, members: int, items: int, weight: float, kind: str, k: int
) -> None:
    random = np.random.default_rng(seed)
    vectors = random.normal(size=(items, 8)).astype(np.float32)
    if kind == "close":  # scores that single precision can hardly tell apart
        vectors = (1 + 1e-6 * vectors).astype(np.float32)
    if kind == "tied":
        vectors = vectors[random.integers(0, max(1, items // 4), items)]
    bias = random.random(items).astype(np.float32)
    if kind == "empty":  # most items have no vector and no bias
        vectors[random.random(items) < 0.9] = 0
        bias[:] = 0
    coarse = QuantisedIndex.of(vectors, bias)
    allowed = random.random(items) < 0.8
    tastes = []
    for number in range(members):
        own = NO_OWN_ITEMS
        if number % 3 == 0:
            rows = random.permutation(items)[: random.integers(0, 4)].astype(np.int64)
            own = OwnItems(rows, random.normal(size=len(rows)) * 3)
        tastes.append(MemberTaste(str(number), random.normal(size=8).astype(np.float32), own))
    everything = score_items(coarse, tastes, np.arange(items))
    plain = np.stack([vectors @ taste.vector + bias for taste in tastes])
    for taste, member_scores in zip(tastes, plain, strict=True):
        member_scores[taste.own.rows] = taste.own.scores
    assert everything == pytest.approx(plain, abs=1e-4)
    rows, scores, member_scores = find_best_items(coarse, tastes, weight, k, allowed)
    expected_rows, expected_scores = rank_by_brute_force(everything, weight, allowed, k)
    assert rows.tolist() == expected_rows
    assert scores.tolist() == expected_scores
    assert (member_scores == everything[:, expected_rows]).all()


def test_few_items_are_scored_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(1)
    vectors = random.normal(size=(20_000, 16)).astype(np.float32)
    vectors[10_000:] = 0  # their scores are all equal
    coarse = QuantisedIndex.of(vectors, np.zeros(20_000, np.float32))
    tastes = [
        MemberTaste(str(number), random.normal(size=16).astype(np.float32), NO_OWN_ITEMS)
        for number in range(200)
    ]
    scored = []
    original = group_scores.score_items

    def count_items(coarse: Any, tastes: Any, rows: Any) -> Any:
        scored.append(len(rows))
        return original(coarse, tastes, rows)

    monkeypatch.setattr(group_scores, "score_items", count_items)
    for weight in (0.0, 0.5, 1.0):
        find_best_items(coarse, tastes, weight, 20, np.ones(20_000, dtype=bool))
    assert max(scored) < 60


def test_an_item_whose_score_is_no_number_is_not_listed() -> None:
    vectors = np.ones((3, 2), np.float32)
    vectors[1, 0] = np.nan
    coarse = QuantisedIndex.of(vectors, np.array([0, 0, 1], np.float32))
    tastes = [MemberTaste("ann", np.ones(2, np.float32), NO_OWN_ITEMS)]
    for weight in (0.0, 1.0):
        rows, scores, _ = find_best_items(coarse, tastes, weight, 3, np.ones(3, dtype=bool))
        assert (rows.tolist(), scores.tolist()) == ([2, 0], [3.0, 2.0])


# Against the predictor's own scores, over HTTP.


def draw_shop(repeats: bool) -> Any:
    """A shop with 40 users, 300 items, and factors, content and biases that are drawn by chance."""
    random = np.random.default_rng(4)
    users, items = 40, 300
    met = draw_sparse(users, items, 0.05, "csr", random_state=4, dtype=np.float32)
    ids = [f"i{row}" for row in range(items)]
    catalogue = pa.table([ids, ids, [["g"]] * items], schema=CATALOGUE_SCHEMA)
    config = {**CONFIG, "factors": 6, "content_share": 0.3}
    if repeats:
        config |= {"repeat_share": 0.7, "repeat_half_life": 20.0}
    return SimpleNamespace(
        repeats=repeats,
        users=[f"u{number}" for number in range(users)],
        ids=ids,
        lists=bare(
            user_ids=np.array([f"u{number}" for number in range(users)], dtype=object),
            item_index=np.array([random.permutation(items)[:2] for _ in range(users)], np.uint32),
            score=np.tile(np.array([1.0, 0.5], np.float32), (users, 1)),
            lengths=np.full(users, 2),
            catalogue=catalogue,
            popular_index=np.arange(3, dtype=np.uint32),
            popular_score=np.array([3, 2, 1], np.float32),
            vectors=random.normal(size=(users, 6)).astype(np.float32),
            item_factors=random.normal(size=(items, 6)).astype(np.float32),
            item_content=random.normal(size=(items, 4)).astype(np.float32),
            item_bias=random.random(items).astype(np.float32),
            histories=UserItems(met, random.random(met.nnz).astype(np.float32) * 30),
            segments={},
            meta={"k": 2, "winner": "challenger", "config": config,
                  "event_weights": {"view": 1.0, "purchase": 5.0}},
        ),
    )  # fmt: skip


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "repeats"])
def drawn(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    drawn_shop = draw_shop(request.param)
    with run_embedded_valkey(tmp_path_factory.mktemp("group")) as url:
        publish(url, drawn_shop.lists)
        record_events(url, "u1", ("i7", "view", 10), ("i8", "purchase", 20))
        record_events(
            url, "new", ("i9", "view", 10), ("i3", "view", 20)
        )  # the version has them not
        with running_predictor(url, "shop") as running:
            drawn_shop.url = running.url
            yield drawn_shop


def ask_own_scores(drawn: Any, user: str) -> dict[str, float]:
    """The scores that the predictor gives a user for all items that it may give them."""
    scores: dict[str, float] = {}
    for begin in range(0, len(drawn.ids), 100):
        query = "&".join(f"item={item}" for item in drawn.ids[begin : begin + 100])
        answer = httpx.get(f"{drawn.url}/v1/rank/{user}?{query}").json()
        scores |= {item["item_id"]: item["score"] for item in answer["items"]}
    return scores


@pytest.mark.parametrize(("strategy", "mix"), STRATEGIES)
def test_scores_are_the_predictors_own_to_the_last_digit(
    drawn: Any, strategy: str, mix: float | None
) -> None:
    users = ["u0", "u1", "u2", "new", "nobody"]
    own = {user: ask_own_scores(drawn, user) for user in users[:4]}
    answer = post(drawn.url, users=users, strategy=strategy, mix=mix, num=100)
    assert (answer["tier"], answer["unknown"], len(answer["items"])) == ("group", ["nobody"], 100)
    compared = compared_own = 0
    for item in answer["items"]:
        assert list(item["scores"]) == users[:4]
        for user, score in item["scores"].items():
            if item["item"] in own[user]:
                compared += 1
                compared_own += user in item["seen_by"]
                assert score == own[user][item["item"]], (user, item)
            else:
                assert user in item["seen_by"]
        expected = score_for_group([*item["scores"].values()], strategy, mix)
        assert np.float32(item["score"]) == expected
    assert compared > 300
    # Lists of a shop with repeats have items again, and their scores have a part for that.
    assert (compared_own > 0) == drawn.repeats
    # Items that all may get: the best of them come in the order of the definition.
    shared = set.intersection(*(set(scores) for scores in own.values()))
    ranked = {}
    for item_id in shared:
        ranked[item_id] = score_for_group([own[user][item_id] for user in users[:4]], strategy, mix)
    order = sorted(ranked, key=lambda item_id: (-ranked[item_id], int(item_id[1:])))
    listed = [item_id for item_id in items_of(answer) if item_id in shared]
    assert listed == order[: len(listed)]
    scores = [item["score"] for item in answer["items"]]
    assert scores == sorted(scores, reverse=True)


def test_all_members_at_once_and_one_alone(drawn: Any) -> None:
    answer = post(drawn.url, users=drawn.users, num=5)
    assert len(answer["items"][0]["scores"]) == 40
    alone = post(drawn.url, users=["u3"], strategy="least_misery", num=100)
    own = httpx.get(f"{drawn.url}/v1/recommendations/u3?k=100&repeats=false").json()["items"]
    not_seen = [item for item in alone["items"] if not item["seen_by"]]
    assert not_seen == alone["items"], "what a group of one has seen, all have seen"
    assert [item["item"] for item in alone["items"]] == [item["item_id"] for item in own]
    assert [item["score"] for item in alone["items"]] == [item["score"] for item in own]


# What is left out, and what is marked.


@pytest.fixture
def store(valkey: str) -> str:
    publish(valkey, shop())
    return valkey


def test_seen_by_all_is_left_out_and_seen_by_one_is_marked(store: str) -> None:
    # ann has met c and e, bob a.
    answer = ask(store, users=["ann", "bob"])
    assert sorted(items_of(answer)) == ITEMS
    marks = {item["item"]: item["seen_by"] for item in answer["items"]}
    assert {item: users for item, users in marks.items() if users} == {
        "c": ["ann"], "e": ["ann"], "a": ["bob"],
    }  # fmt: skip
    record_events(store, "bob", ("c", "view", 10), ("b", "view", 20))
    answer = ask(store, users=["ann", "bob"])
    assert sorted(items_of(answer)) == [*"abdefgh"]
    [b] = [item for item in answer["items"] if item["item"] == "b"]
    assert b["seen_by"] == ["bob"]
    record_events(store, "guest", ("d", "view", 10))  # d has factors, so the guest counts
    assert ask(store, users=["ann", "bob", "guest"])["unknown"] == []
    assert sorted(items_of(ask(store, users=["ann", "bob", "guest"]))) == ITEMS


def test_what_any_member_dislikes_or_must_not_get_is_gone(store: str) -> None:
    record_events(store, "bob", ("d", "dislike", 10), ("e", "dislike", 10), ("e", "view", 20))
    with connect_store(store) as client:
        withdraw_items(client, "shop", ["f"])
    answer = ask(store, users=["ann", "bob"], exclude=["g", "unknown"])
    # e was met by both in the end.
    assert sorted(items_of(answer)) == ["a", "b", "c", "h"]
    assert sorted(items_of(ask(store, users=["ann"], exclude=["g"]))) == ["a", "b", "d", "h"]
    # Who has no vector may dislike things all the same.
    record_events(store, "guest", ("b", "dislike", 10))
    answer = ask(store, users=["ann", "guest"])
    assert answer["unknown"] == ["guest"] and "b" not in items_of(answer)
    answer = ask(store, users=["ann", "bob"], where='genres has "war"')
    assert sorted(items_of(answer)) == ["a", "b"]


def test_members_without_vectors_are_named_and_do_not_count(store: str) -> None:
    together = ask(store, users=["nobody", "ann", "h fan"], num=3)
    record_events(store, "h fan", ("h", "view", 10))  # the model knows nothing of h
    assert ask(store, users=["nobody", "ann", "h fan"], num=3)["unknown"] == ["nobody", "h fan"]
    alone = ask(store, users=["ann"], num=3)
    assert together["unknown"] == ["nobody", "h fan"]
    assert together["items"] == alone["items"]
    assert [*together["items"][0]["scores"]] == ["ann"]


def test_a_group_of_strangers_gets_the_popular_list(store: str) -> None:
    record_events(store, "h fan", ("b", "dislike", 10))
    answer = ask(store, users=["nobody", "h fan"], num=2, exclude=["a"])
    assert (answer["tier"], items_of(answer)) == ("popular", ["c", "h"])
    assert answer["unknown"] == ["nobody", "h fan"]
    assert answer["items"][0]["scores"] == {} and answer["items"][0]["score"] == 7.0


def test_a_member_whose_history_is_gone_does_not_count(store: str) -> None:
    whole = ask(store, users=["ann"])
    with redis.from_url(store) as client:
        histories = client.keys("dawnlist:shop:*:h:*")
        assert client.delete(*histories) > 0
    answer = ask(store, users=["ann"])
    assert whole["unknown"] == [] and answer["unknown"] == ["ann"]
    assert answer["tier"] == "popular"


def test_without_a_version_the_static_file_answers(valkey: str, tmp_path: Path) -> None:
    file = tmp_path / "static.json"
    file.write_text(
        '{"as_of": "2026-01-01T00:00:00Z", "items": [{"item_id": "x"}, {"item_id": "y"}]}'
    )

    async def run() -> Any:
        engine = ServingEngine(valkey, "nobody", static=file, metrics=Heard(), timeout=10.0)
        await engine.start()
        question = parse_group_request(b'{"users": ["ann"], "exclude": ["x"]}')
        body = encode_group_answer(question, *await engine.answer_group(question))
        await engine.stop()
        return json.loads(body)

    answer = asyncio.run(run())
    assert (answer["tier"], answer["version"], answer["token"]) == ("static", "0", None)
    assert items_of(answer) == ["y"] and answer["unknown"] == ["ann"]


# Requests.


def test_the_answer_names_its_version_and_what_was_asked(drawn: Any) -> None:
    answer = post(drawn.url, users=["u0", " 12.0 "], strategy="mix", mix=0.25, num=1)
    assert answer["unknown"] == [" 12.0 "]
    assert (answer["strategy"], answer["mix"], answer["version"]) == ("mix", 0.25, "1")
    assert answer["token"].startswith("1-") and answer["as_of"] == "2026-03-01T03:00:00Z"
    [item] = answer["items"]
    assert item.keys() == {"item", "title", "score", "scores", "seen_by"}
    assert item["title"] == item["item"]
    default = post(drawn.url, users=["u0"])
    assert (default["strategy"], default["mix"], len(default["items"])) == ("mix", 0.5, 20)
    assert "mix" not in post(drawn.url, users=["u0"], strategy="mean")


USERS_RULE = '"users" has to be a list of 1 to 200 ids'
MIX_RULE = '"mix" has to be a number from 0 (the lowest score alone) to 1 (the mean alone)'
STRATEGY_RULE = '"strategy" has to be one of mean, least_misery, mix'
NUM_RULE = '"num" has to be a whole number from 1 to 100'


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ({}, USERS_RULE),
        ({"users": []}, USERS_RULE),
        ({"users": "ann"}, USERS_RULE),
        ({"users": [str(number) for number in range(201)]}, USERS_RULE),
        ({"users": ["ann", ""]}, 'users[1]: "user_id" has to be text of 1 to 512 characters, such as "42"'),
        ({"users": [7]}, 'users[0]: "user_id" has to be text of 1 to 512 characters, such as "42"'),
        ({"users": ["12", "ann", "12.0"]}, "\"users\" has '12.0' twice: give each user once"),
        ({"users": ["ann"], "num": 0}, NUM_RULE),
        ({"users": ["ann"], "num": 101}, NUM_RULE),
        ({"users": ["ann"], "num": 1.5}, NUM_RULE),
        ({"users": ["ann"], "num": True}, NUM_RULE),
        ({"users": ["ann"], "mix": -0.01}, MIX_RULE),
        ({"users": ["ann"], "mix": 1.01}, MIX_RULE),
        ({"users": ["ann"], "mix": "1"}, MIX_RULE),
        ({"users": ["ann"], "strategy": "most"}, STRATEGY_RULE),
        ({"users": ["ann"], "strategy": {}}, STRATEGY_RULE),
        ({"users": ["ann"], "k": 3}, "'k' is not a field: use users, strategy, num, mix, exclude, where"),
        ({"users": ["ann"], "exclude": "a"}, 'the request: "exclude" has to be a list of at most 1000'),
        ({"users": ["ann"], "where": "price <"}, "price"),
    ],
)  # fmt: skip
def test_what_is_no_question_for_a_group_is_refused(drawn: Any, body: Any, reason: str) -> None:
    error = post(drawn.url, 400, **body)["error"]
    assert reason in error and "\n" not in error


def test_values_on_the_bounds_are_answered(drawn: Any) -> None:
    answer = post(drawn.url, users=["u0", *(str(n) for n in range(199))], num=100, mix=0)
    assert (len(answer["unknown"]), len(answer["items"])) == (199, 100)
    assert len(post(drawn.url, users=["u0"], num=1.0, mix=1)["items"]) == 1
    absent: dict[str, Any] = dict.fromkeys(("num", "mix", "strategy", "exclude", "where"))
    assert len(post(drawn.url, users=["u0"], **absent)["items"]) == 20
    for body in (b"", b"[]", b"{", b"[" * 5_000):
        assert httpx.post(f"{drawn.url}/v1/group", content=body).status_code == 400
    assert httpx.get(f"{drawn.url}/v1/group").status_code == 405


def test_groups_are_counted(drawn: Any) -> None:
    labels = {"route": "group", "status": "200"}
    before = metric(drawn.url, "dawnlist_requests_total", **labels)
    counted = metric(drawn.url, "dawnlist_group_members_total", kind="counted")
    unknown = metric(drawn.url, "dawnlist_group_members_total", kind="unknown")
    post(drawn.url, users=["u0", "u1", "nobody"])
    assert metric(drawn.url, "dawnlist_requests_total", **labels) == before + 1
    assert metric(drawn.url, "dawnlist_group_members_total", kind="counted") == counted + 2
    assert metric(drawn.url, "dawnlist_group_members_total", kind="unknown") == unknown + 1
    assert metric(drawn.url, "dawnlist_answers_total", tier="group") > 0
    assert metric(drawn.url, "dawnlist_failures_total") == 0


def test_a_group_needs_a_key_and_its_answer_is_logged(valkey: str) -> None:
    publish(valkey, shop())
    key = {"DAWNLIST_API_KEY": "a key"}
    body = {"users": ["ann", "bob"], "num": 2}
    with running_predictor(valkey, "shop", key, logs_answers=True) as running:
        route = f"{running.url}/v1/group"
        assert httpx.post(route, json=body).status_code == 401
        answer = httpx.post(route, json=body, headers={"x-api-key": "a key"}).json()
        written = 'dawnlist_shown_total{result="written",shop="shop"} 1.0'
        deadline = time.monotonic() + 60
        while written not in httpx.get(f"{running.url}/metrics").text:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    entries: list[Any] = read_stream(valkey, KEYS.shown)
    [[entry]] = entries
    assert (entry["id"], entry["user"], entry["tier"]) == (answer["recommendation_id"], "", "group")
    assert entry["items"] == items_of(answer)
