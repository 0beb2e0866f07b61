"""The engine's ladder, rung by rung, over what publish wrote into a real Valkey."""

import asyncio
import json
import tracemalloc
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
import redis
from scipy.sparse import csr_matrix

from dawnlist.cuts import format_iso, parse_as_of
from dawnlist.model.user_items import UserItems
from dawnlist.schema import CATALOGUE_SCHEMA
from dawnlist.serving.predictor.answers.engine import Answer, ServingEngine
from dawnlist.serving.predictor.answers.popular_ranking import PopularRanking
from dawnlist.serving.predictor.answers.question import Question, QuestionEvent
from dawnlist.serving.predictor.answers.static_catalogue import StaticCatalogue
from dawnlist.store import recent, versions
from dawnlist.store.client import connect_store
from dawnlist.store.toplists import TopLists
from tests.support.heard import Heard
from tests.support.servers import NOBODY
from tests.support.top_lists import bare

AS_OF = parse_as_of("2026-03-01T03:00:00Z")
LAST = AS_OF.timestamp()
DAY = 86_400
ITEMS = list("abcdefgh")
Y = np.array([[8, 0], [7, 1], [0, 8], [1, 7], [4, 4], [6, 0], [0, 0], [0, 0]], dtype=np.float32) / 8
"""g is known of its content alone, h not at all."""
Z = np.array([[1, 0], [0, 0], [0, 1], [0, 0], [0, 0], [0, 0], [1, 0], [0, 0]], dtype=np.float32)
STORED = np.array([1.0, -64 / 127])
"""ann's vector, (1, -0.5), in 8 bits"""
BIAS = np.array([0, 0, 0, 0, 0, 0, 0, 0.125], dtype=np.float32)
GENRES = [["war"], ["war", "art"], ["art"], ["art"], None, ["war"], ["new"], []]
CONFIG: dict[str, Any] = {
    "engine": "als",
    "factors": 2,
    "alpha": 2.0,
    "alpha0": 0.5,
    "nu": 1.0,
    "half_life": 4.0,
    "ridge_scale": 0.25,
    "content_share": 0.5,
    "content_pairs": 3.0,
}
MET = {"ann": {"c": (1.0, 2.0), "e": (2.0, 4.0)}, "bob": {"a": (1.0, 0.0)}}
"""user -> item -> (weight, days before as_of)."""


def shop(**changes: Any) -> TopLists:
    """ann's list is d, b, bob's b, e; everybody is shown b, a, c, mobiles in Germany e."""
    rows = [sorted(MET[user].items()) for user in ("ann", "bob")]
    pairs = [pair for row in rows for pair in row]
    indptr = np.cumsum([0, *map(len, rows)])
    weights = np.array([weight for _, (weight, _) in pairs], dtype=np.float32)
    met = csr_matrix((weights, [ITEMS.index(item) for item, _ in pairs], indptr), shape=(2, 8))
    segments = {"country=DE,device=mobile": [4, 1], "device=mobile": [5, 1], "country=DE": [3]}
    return bare(
        **{
            "user_ids": np.array(["ann", "bob"], dtype=object),
            "item_index": np.array([[3, 1], [1, 4]], dtype=np.uint32),
            "score": np.array([[0.75, 0.5], [1.0, 0.25]], dtype=np.float32),
            "lengths": np.array([2, 2]),
            "catalogue": pa.table(
                [ITEMS, [None, *(item.upper() for item in ITEMS[1:])], GENRES],
                schema=CATALOGUE_SCHEMA,
            ),
            "popular_index": np.array([1, 0, 2], dtype=np.uint32),
            "popular_score": np.array([9.0, 8.0, 7.0], dtype=np.float32),
            "vectors": np.array([[1.0, -0.5], [0.0, 1.0]], dtype=np.float32),
            "item_factors": Y,
            "item_content": Z,
            "item_bias": BIAS,
            "histories": UserItems(met, np.array([age for _, (_, age) in pairs], dtype=np.float32)),
            "segments": {
                name: (
                    np.array(index, dtype=np.uint32),
                    np.arange(len(index), 0, -1).astype(np.float32),
                )
                for name, index in segments.items()
            },
            "meta": {
                "k": 2,
                "winner": "challenger",
                "config": CONFIG,
                "event_weights": {"view": 1.0, "purchase": 5.0},
            },
            **changes,
        }
    )


def publish(
    url: str, lists: TopLists, as_of: datetime = AS_OF, run: str = "run-1"
) -> dict[str, Any]:
    with connect_store(url) as client:
        return versions.publish_version(client, "shop", lists, run, as_of).as_dict()


def asked(url: str, *questions: Question, heard: Heard | None = None, **more: Any) -> list[Answer]:
    async def run() -> list[Answer]:
        engine = ServingEngine(url, "shop", metrics=heard or Heard(), **{"timeout": 10.0, **more})
        await engine.start()
        try:
            return await engine.answer_questions(questions)
        finally:
            await engine.stop()

    return asyncio.run(run())


def ask(url: str, user_id: str = "ann", **fields: Any) -> Answer:
    [answer] = asked(url, Question(user_id, **fields))
    return answer


def answer(tier: str, items: Sequence[str], scores: Sequence[float]) -> Answer:
    titles = ["" if item == "a" else item.upper() for item in items]
    near: Any = pytest.approx(list(scores))
    return Answer(tier, 1, AS_OF, list(items), titles, near, None)


def scored(met: dict[str, tuple[float, float]], older: int = 0) -> npt.NDArray[np.float64]:
    """All items' scores of a user, by equation 2 as it is written and the hybrid score; met: item -> (weight, age)."""
    c = np.array(
        [2 * met[item][0] * 2 ** (-met[item][1] / 4) if item in met else 0 for item in ITEMS]
    )
    known = np.array([item in met for item in ITEMS])
    wide = Y.astype(np.float64)
    left = 0.5 * wide.T @ wide + 0.25 * (c.sum() + 0.5 * 8) * np.eye(2) + (wide.T * c) @ wide
    taste = c @ Z
    length = np.linalg.norm(taste)
    share = 0.5 * 3 / (3 + len(met) + older)
    x = np.linalg.solve(left, wide.T @ np.where(known, 0.5 + c, 0))
    found: npt.NDArray[np.float64] = wide @ x + BIAS + share * Z @ (taste / (length or 1))
    return found


def best(tier: str, scores: npt.NDArray[np.float64], hidden: str, k: int = 2) -> Answer:
    """The whole answer: what is not hidden by its score."""
    shown = sorted(
        (item for item in ITEMS if item not in hidden), key=lambda item: -scores[ITEMS.index(item)]
    )[:k]
    return answer(tier, shown, [scores[ITEMS.index(item)] for item in shown])


def later(days: float, item: str, kind: str = "view") -> QuestionEvent:
    return QuestionEvent(item, kind, LAST + days * DAY)


def test_a_known_user_gets_the_stored_list(valkey: str) -> None:
    publish(valkey, shop())
    assert asked(
        valkey, Question("ann"), Question("bob", k=1), Question("ann", exclude=("nothing known",))
    ) == [
        answer("list", "db", [0.75, 0.5]),
        answer("list", "b", [1.0]),
        answer("list", "db", [0.75, 0.5]),
    ]


def test_recent_events_are_folded_in_over_the_stored_history(valkey: str) -> None:
    publish(valkey, shop())
    events = (later(1, "b"), later(2, "b", "purchase"), later(2, "e"), later(2, "unknown"))
    merged = {"c": (1.0, 4.0), "e": (3.0, 0.0), "b": (6.0, 0.0)}
    assert ask(valkey, recent=events, k=3) == best("fold_in", scored(merged), hidden="ceb", k=3)


def test_recorded_events_count_unless_the_request_has_its_own(valkey: str) -> None:
    publish(valkey, shop())
    with connect_store(valkey) as client:
        recent.record_event(client, "shop", "ann", "f", "view", LAST + 2 * DAY)
        recent.record_event(
            client, "shop", "ann", "a", "rename", LAST + 2 * DAY
        )  # of an unknown type: hidden, no weight
    merged = {"c": (1.0, 4.0), "e": (2.0, 6.0), "f": (1.0, 0.0)}
    assert ask(valkey) == best("fold_in", scored(merged), hidden="cefa")
    merged = {"c": (1.0, 4.0), "e": (2.0, 6.0), "b": (1.0, 0.0)}
    assert ask(valkey, recent=(later(2, "b"),)) == best("fold_in", scored(merged), hidden="ceb")


def test_what_was_recorded_before_as_of_is_hidden_and_not_counted_twice(valkey: str) -> None:
    publish(valkey, shop())
    with connect_store(valkey) as client:
        recent.record_event(client, "shop", "ann", "d", "view", LAST - 60)
    assert ask(valkey, k=1) == answer("list", "b", [0.5])


def test_an_event_without_a_time_is_now(valkey: str) -> None:
    publish(valkey, shop(), as_of := parse_as_of("2999-01-01T00:00:00Z"))
    found = ask(valkey, recent=(QuestionEvent("b"),))
    wanted = best(
        "fold_in", scored({"c": (1.0, 2.0), "e": (2.0, 4.0), "b": (1.0, 0.0)}), hidden="ceb"
    )
    wanted.as_of = as_of
    assert found == wanted


def test_a_history_that_is_cut_begins_with_the_stored_vector(
    valkey: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dawnlist.store.content.MAX_NEWEST_PAIRS", 1)
    publish(
        valkey, shop(meta={**shop().meta, "config": {**CONFIG, "nu": 0.0, "content_share": 0.0}})
    )
    found = ask(valkey, recent=(later(2, "b"),), k=3)
    wide = Y.astype(np.float64)
    known, b = wide[2], wide[1]  # of ann's two, c is the newer
    c_known, c = 2 * 2 ** (-2 / 4), 2.0
    left = 0.5 * wide.T @ wide + 0.25 * np.eye(2) + c_known * np.outer(known, known)
    x = np.linalg.solve(left + c * np.outer(b, b), left @ STORED + (0.5 + c) * b)
    shown = [item for item in "adfgh" if item]
    scores = {item: float(wide[ITEMS.index(item)] @ x + BIAS[ITEMS.index(item)]) for item in shown}
    wanted = sorted(shown, key=lambda item: -scores[item])[:3]
    assert found == answer("fold_in", wanted, [scores[item] for item in wanted])


VECTOR = Y @ STORED + BIAS + 0.5 * 3 / 5 * Z @ [0, 1]  # ann's history has content in c alone


def by_vector(items: str) -> Answer:
    return answer("vector", items, [VECTOR[ITEMS.index(item)] for item in items])


@pytest.mark.parametrize(
    ("fields", "items"),
    [
        ({"k": 4}, "abfh"),
        ({"k": 100}, "abfhgd"),
        ({"exclude": ("d",)}, "ab"),
        ({"filters": (("genres", ("war", "none such")),)}, "ab"),
        ({"filters": (("genres", ("art", "new")),), "k": 3}, "bgd"),
        ({"filters": (("genres", ("war",)), ("genres", ("art",)))}, "b"),
        ({"filters": (("genres", ("none such",)),)}, ""),
    ],
)
def test_beyond_the_list_the_stored_vector_ranks(
    valkey: str, fields: dict[str, Any], items: str
) -> None:
    publish(valkey, shop())
    assert ask(valkey, **fields) == by_vector(items)


def test_a_list_that_is_not_full_has_all_there_is(valkey: str) -> None:
    publish(valkey, shop(lengths=np.array([1, 2])))
    assert ask(valkey, k=2) == answer("list", "d", [0.75])


def test_an_unknown_user_is_folded_in_from_recent_events(valkey: str) -> None:
    publish(valkey, shop())
    found = ask(valkey, "new", recent=(later(-3, "c"), later(-1, "a", "purchase")))
    assert found == best(
        "fold_in", scored({"c": (1.0, 3.0), "a": (5.0, 1.0)}), hidden="ca"
    )  # the cut is as_of


@pytest.mark.parametrize(
    ("weights", "weight"), [({"order": 5.0, "wish": 2.0}, 2.0), ({"hint": 0.5, "view": 3.0}, 3.0)]
)
def test_an_event_without_a_type_is_a_view_or_what_weighs_least(
    valkey: str, weights: dict[str, float], weight: float
) -> None:
    """The lean route has no way to name a type: in a shop without views each of its events was refused."""
    publish(
        valkey,
        shop(meta={"k": 2, "winner": "challenger", "config": CONFIG, "event_weights": weights}),
    )
    found = ask(valkey, "new", recent=(QuestionEvent("c", time=LAST - DAY),))
    assert found == best("fold_in", scored({"c": (weight, 1.0)}), hidden="c")


def test_an_item_without_factors_speaks_by_its_content(valkey: str) -> None:
    publish(valkey, shop())
    assert ask(valkey, "new", recent=(later(1, "g"),)) == best(
        "content", scored({"g": (1.0, 0.0)}), hidden="g"
    )
    assert ask(valkey, "new", recent=(later(1, "h"),)) == answer("popular", "ba", [9, 8])


MOBILE, DE = ("device", "mobile"), ("country", "DE")


@pytest.mark.parametrize(
    ("context", "tier", "items", "scores"),
    [
        ((MOBILE, DE), "segment", "eb", [2, 1]),
        ((MOBILE, ("country", "FR")), "segment", "fb", [2, 1]),
        ((DE,), "popular", "ba", [9, 8]),  # its list is too short
        ((("device", "desktop"),), "popular", "ba", [9, 8]),
        ((), "popular", "ba", [9, 8]),
    ],
)
def test_an_unknown_user_gets_the_list_of_the_context(
    valkey: str, context: Any, tier: str, items: str, scores: list[float]
) -> None:
    publish(valkey, shop())
    assert ask(valkey, "new", context=context) == answer(tier, items, scores)


def test_popular_lists_are_filtered_and_end_with_what_has_a_bias(valkey: str) -> None:
    publish(valkey, shop())
    assert ask(valkey, "new", exclude=("b",), k=10) == answer("popular", "ach", [8, 7, 0.125])
    assert ask(valkey, "new", filters=(("genres", ("art",)),)) == answer("popular", "bc", [9, 7])
    found = ask(valkey, "new", context=(MOBILE,), filters=(("genres", ("war",)),), k=1)
    assert found == answer("segment", "f", [2])


def test_a_few_more_than_the_popular_list_has_are_not_looked_for_among_all_items() -> None:
    """It is done on the event loop, where a list of a hundred thousand items would hold all others up."""
    rest = np.arange(2, 100_000)
    popular = PopularRanking([0, 1], [9.0, 8.0], rest, (1 / rest).astype(np.float32))
    tracemalloc.start()
    try:
        items, scores = popular.select_best(4, {1, 3}, None)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (items, scores) == ([0, 2, 4, 5], [9.0, 0.5, 0.25, pytest.approx(0.2)])
    assert most < 20_000


def test_popularity_as_the_model_has_nothing_to_fold(valkey: str) -> None:
    nothing = np.zeros((8, 0), np.float32)
    popular = np.array([5, 9, 7, 0, 1, 0, 0, 2], dtype=np.float32)
    lists = shop(
        vectors=np.zeros((2, 0), np.float32),
        item_factors=nothing,
        item_content=nothing,
        item_bias=popular,
        meta={**shop().meta, "config": {"engine": "popularity", "window": "7d"}},
    )
    publish(valkey, lists)
    assert ask(valkey, recent=(later(1, "b"),), k=1) == answer("list", "d", [0.75])
    assert ask(valkey, k=3) == answer("vector", "bah", [9, 5, 2])
    assert ask(valkey, "new", recent=(later(1, "b"),), k=1) == answer("popular", "a", [8])


def test_an_explanation_names_what_speaks_for_each_result(valkey: str) -> None:
    publish(
        valkey,
        shop(
            meta={**shop().meta, "config": {**CONFIG, "content_share": 0.0}},
            item_bias=np.zeros(8, "f4"),
        ),
    )
    listed, folded, popular, vector = asked(
        valkey,
        Question("ann", explain=True),
        Question("ann", explain=True, recent=(later(0, "b"),)),
        Question("new", explain=True),
        Question("ann", explain=True, k=5),
    )
    assert (listed.tier, listed.item_ids, popular.because) == ("list", ["d", "b"], [[], []])
    assert [[item for item, _ in reasons] for reasons in listed.because or ()] == [
        ["c", "e"],
        ["e"],
    ]
    for item, score, reasons in zip(
        folded.item_ids, folded.scores, folded.because or (), strict=True
    ):
        if item in "af":  # on whom all that was met speaks for it
            assert sum(added for _, added in reasons) >= score * (1 - 1e-6)
    assert [len(found.because or ()) for found in (folded, vector)] == [2, 5]


def test_an_explanation_of_nothing_costs_no_other_answer(valkey: str) -> None:
    publish(valkey, shop())
    heard = Heard()
    nothing = Question("ann", explain=True, filters=(("genres", ("opera",)),))
    empty, folded = asked(valkey, nothing, Question("ann", recent=(later(0, "b"),)), heard=heard)
    assert (empty.tier, empty.item_ids, empty.because) == ("vector", [], [])
    assert folded.tier == "fold_in"  # they were ranked together
    assert "overload" not in heard.said


def test_an_explanation_adds_up_with_content(valkey: str) -> None:
    publish(valkey, shop(item_factors=np.abs(Y), item_bias=np.zeros(8, np.float32)))
    found = ask(valkey, "bob", explain=True, recent=(later(0, "f"),), k=6)
    scores = scored({"a": (1.0, 0.0), "f": (1.0, 0.0)}) - BIAS
    by_item = dict(zip(found.item_ids, found.because or (), strict=True))
    assert {item for item, _ in by_item["b"]} == {"a", "f"}
    assert sum(added for _, added in by_item["b"]) == pytest.approx(scores[1])
    assert sum(added for _, added in by_item["g"]) == pytest.approx(scores[6])
    assert [item for item, _ in by_item["g"]] == ["a"]


def test_an_item_that_is_twice_in_the_static_file_is_shown_once(tmp_path: Path) -> None:
    items = [{"item_id": "a", "title": "A"}, {"item_id": "b"}, {"item_id": "a", "title": "A"}]
    (tmp_path / "static.json").write_text(json.dumps({"as_of": format_iso(AS_OF), "items": items}))
    found = StaticCatalogue.load(tmp_path / "static.json")
    assert (found.item_ids, found.titles) == (["a", "b"], ["A", ""])


def test_nothing_published_is_the_static_file(valkey: str, tmp_path: Path) -> None:
    path = tmp_path / "static.json"
    items = [{"item_id": "x", "title": "X"}, {"item_id": "y"}, {"item_id": "z", "title": None}]
    path.write_text(json.dumps({"as_of": format_iso(AS_OF), "items": items}))
    found = asked(
        valkey, Question("ann", k=2), Question("ann", exclude=("x",), explain=True), static=path
    )
    assert found == [
        Answer("static", 0, AS_OF, ["x", "y"], ["X", ""], [0, 0], None),
        Answer("static", 0, AS_OF, ["y", "z"], ["", ""], [0, 0], [[], []]),
    ]
    assert asked(valkey, Question("ann")) == [Answer("static", 0, None, [], [], [], None)]
    assert asked(f"redis://{NOBODY}/0", Question("ann"), static=path)[0].item_ids == [
        "x",
        "y",
        "z",
    ]


@pytest.mark.parametrize("text", ["no JSON", "[]", '{"items": []}', '{"as_of": "2026-03-01", "items": []}',
                                  '{"as_of": "2026-03-01T03:00:00Z", "items": [{"item_id": 3}]}'])  # fmt: skip
def test_a_static_file_that_is_none(text: str, tmp_path: Path) -> None:
    (tmp_path / "static.json").write_text(text)
    with pytest.raises(ValueError, match=r"the static file .* is needed"):
        ServingEngine(f"redis://{NOBODY}/0", "shop", tmp_path / "static.json")
    with pytest.raises(ValueError, match=r"can't be read \(No such file"):
        ServingEngine(f"redis://{NOBODY}/0", "shop", tmp_path / "none.json")


@pytest.mark.parametrize(
    ("question", "message"),
    [
        (Question("ann", k=101), '"k" is 101: give a whole number from 1 to 100'),
        (Question("ann", k=0), '"k" is 0'),
        (
            Question("ann", filters=(("colour", ("red",)),)),
            "no attribute 'colour' to filter by; the catalogue has: genres",
        ),
        (
            Question("ann", recent=(QuestionEvent("a", "gaze"),)),
            "event type 'gaze' is unknown: give one of purchase, view",
        ),
    ],
)
def test_what_the_caller_did_wrong(valkey: str, question: Question, message: str) -> None:
    publish(valkey, shop())
    with pytest.raises(ValueError, match=message):
        asked(valkey, Question("ann"), question)


def test_a_thousand_users_in_one_call(valkey: str) -> None:
    publish(valkey, shop())
    six = [
        Question(user, recent=events)
        for user in ("ann", "bob", "new")
        for events in ((later(2, "f"),), ())
    ]
    alone = [asked(valkey, question)[0] for question in six]
    found = asked(valkey, *(six[i % 6] for i in range(1000)))
    assert found == [alone[i % 6] for i in range(1000)]
    assert {one.tier for one in found} == {"fold_in", "list", "popular"}


def test_too_much_at_once_is_the_stored_list(valkey: str) -> None:
    publish(valkey, shop())
    heard = Heard()
    found = asked(valkey, Question("ann", recent=(later(2, "d"),)), heard=heard, waiting=0)
    assert found == [answer("list", "b", [0.5])]
    assert heard.said == [(1, AS_OF), "overload"]


def test_a_cluster_answers_the_same(valkey: str, tmp_path: Path) -> None:
    from tests.support.stores import cluster

    publish(valkey, shop())
    questions = [
        Question("ann"),
        Question("ann", recent=(later(2, "b"),)),
        Question("new"),
        Question("bob", k=5),
    ]
    with cluster(tmp_path) as url:
        publish(url, shop())
        assert asked(url, *questions) == asked(valkey, *questions)


def test_no_user_is_in_a_key(valkey: str) -> None:
    publish(valkey, shop())
    with redis.from_url(valkey) as client, client.monitor() as monitor:
        asked(valkey, Question("u\r\nGET x", recent=()), Question("ann", exclude=("*",)))
        client.ping()
        names = []
        while (command := monitor.next_command()["command"]) != "PING":
            names.append(command)
    assert not [name for name in names if "u\\r" in name or "ann" in name]
