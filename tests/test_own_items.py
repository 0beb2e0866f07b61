"""Own items in the predictor's answers, against the contract written out in tests/support/repeating_shop.py."""

import asyncio
import json
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis

from dawnlist.cuts import format_iso
from dawnlist.serving.predictor.answers.engine import Answer, ServingEngine
from dawnlist.serving.predictor.answers.question import Question, QuestionEvent
from dawnlist.store import recent, versions
from dawnlist.store.client import connect_store
from dawnlist.store.toplists import TopLists
from tests.support.heard import Heard
from tests.support.repeating_shop import (
    AS_OF,
    BIAS,
    CONFIG,
    DAY,
    ITEMS,
    LAST,
    MET,
    K,
    Pairs,
    build_shop,
    dense,
    explain,
    merge,
    own_scores,
    solve,
    solve_from,
    split_newest,
    stored,
    total,
)

NO_REPEATS = {**CONFIG, "repeat_share": 0.0}
OLDER_RELEASE = {
    name: value
    for name, value in CONFIG.items()
    if not name.startswith("repeat_") and name != "score_scale"
}


def publish(url: str, lists: TopLists) -> str:
    with connect_store(url) as client:
        report = versions.publish_version(client, "shop", lists, "run-1", AS_OF)
    return str(report.as_dict()["token"])


def asked(url: str, *questions: Question, heard: Heard | None = None, **more: Any) -> list[Answer]:
    async def run() -> list[Answer]:
        engine = ServingEngine(url, "shop", metrics=heard or Heard(), **{"timeout": 10.0, **more})
        await engine.start()
        try:
            return await engine.answer_questions(questions)
        finally:
            await engine.stop()

    return asyncio.run(run())


def ask(url: str, user_id: str, **fields: Any) -> Answer:
    [found] = asked(url, Question(user_id, **fields))
    return found


def event(item: int, days: float, kind: str = "view") -> QuestionEvent:
    return QuestionEvent(f"i{item}", kind, LAST + days * DAY)


def listed(found: Answer) -> list[int]:
    return [int(item_id[1:]) for item_id in found.item_ids]


def check(found: Answer, tier: str, wanted: list[tuple[int, float]]) -> None:
    """The items in their order; of items whose scores differ by the last bits any order."""
    assert found.tier == tier
    assert len(found.scores) == len(wanted)
    scores = dict(wanted)
    assert found.scores == pytest.approx([score for _, score in wanted], abs=1e-4)
    assert set(listed(found)) == scores.keys()
    by_item = dict(zip(listed(found), found.scores, strict=True))
    assert by_item == pytest.approx(scores, abs=1e-4)


def by_vector(user: str, k: int, hidden: Collection[int] = (), repeats: bool = True) -> Any:
    """The list of a known user without events, by the stored vector."""
    newest, older = split_newest(MET[user])
    scores = dense(stored(solve(MET[user])), newest, len(MET[user]))
    own = own_scores(newest) if repeats else {}
    met = set() if repeats else set(newest)
    return total(scores, own, {*hidden, *older, *met}, k)


def by_events(user: str, events: Pairs, days: float, k: int, repeats: bool = True) -> Any:
    """The list of a user with events; `days` is the time from as_of to the cut."""
    newest, older = split_newest(MET.get(user, {}))
    if older:
        pairs = merge(newest, events, 0.0)
        x = solve_from(stored(solve(MET[user])), newest, events)
    else:
        pairs = merge(newest, events, days)
        x = solve(pairs)
    scores = dense(x, pairs, len(pairs) + len(older - pairs.keys()))
    aged = merge(newest, events, days)
    if not repeats:
        return total(scores, {}, {*older, *aged}, k)
    own = own_scores(aged)
    return total(scores, own, (older | aged.keys()) - own.keys(), k)


@pytest.mark.parametrize("user", MET)
def test_the_stored_list_has_own_items_as_the_night_ranked_them(valkey: str, user: str) -> None:
    publish(valkey, lists := build_shop())
    found = ask(valkey, user, k=K)
    row = list(MET).index(user)
    assert (found.tier, listed(found)) == ("list", lists.item_index[row].tolist())
    assert set(listed(found)) & MET[user].keys()
    assert not set(listed(found)) & split_newest(MET[user])[1]


@pytest.mark.parametrize("user", MET)
def test_a_longer_list_ranks_own_items_among_all_others(valkey: str, user: str) -> None:
    publish(valkey, build_shop())
    check(ask(valkey, user, k=100), "vector", by_vector(user, 100))


def test_filters_and_exclusions_hold_for_own_items_too(valkey: str) -> None:
    publish(valkey, build_shop())
    odd = set(range(1, ITEMS, 2))
    found = ask(valkey, "ann", k=30, filters=(("genres", ("even",)),), exclude=("i250", "i2"))
    check(found, "vector", by_vector("ann", 30, {*odd, 250, 2}))
    assert {4, 120} <= set(listed(found)) and not {17, 33, 250} & set(listed(found))
    found = ask(valkey, "ann", k=5, exclude=("i4",), repeats="only")
    check(found, "vector", [pair for pair in by_vector("ann", ITEMS, {4}) if pair[0] in MET["ann"]])
    found = ask(valkey, "ann", repeats="only", filters=(("genres", ("none such",)),))
    check(found, "vector", [])


EVENTS: dict[str, tuple[tuple[QuestionEvent, ...], Pairs, float]] = {
    "a new item": ((event(77, 2),), {77: (1.0, 0.0)}, 2.0),
    "an own item again": ((event(250, 3, "purchase"),), {250: (4.0, 0.0)}, 3.0),
    "both, twice": (
        (event(4, 1), event(4, 4, "purchase"), event(77, 3), event(310, 2)),
        {4: (5.0, 0.0), 77: (1.0, 1.0), 310: (1.0, 2.0)},
        4.0,
    ),
}


@pytest.mark.parametrize("name", EVENTS)
@pytest.mark.parametrize("user", [*MET, "new"])
def test_recent_events_are_own_items_with_a_fresh_age(valkey: str, user: str, name: str) -> None:
    publish(valkey, build_shop())
    events, pairs, days = EVENTS[name]
    mixed, new, only = asked(
        valkey,
        Question(user, 100, recent=events),
        Question(user, 100, recent=events, repeats=False),
        Question(user, 100, recent=events, repeats="only"),
    )
    met = {*pairs, *MET.get(user, {})}
    check(mixed, "fold_in", by_events(user, pairs, days, 100))
    check(new, "fold_in", by_events(user, pairs, days, 100, repeats=False))
    assert not met & set(listed(new))
    everything = by_events(user, pairs, days, ITEMS)
    check(only, "fold_in", [pair for pair in everything if pair[0] in met][:100])
    assert set(pairs) <= set(listed(only)) or user == "eve"


def test_what_was_just_bought_goes_down_and_what_is_due_comes_up(valkey: str) -> None:
    """By own(u, i) alone, as a version without repeats ranks own items."""
    publish(valkey, build_shop(NO_REPEATS))
    before, bought, later = asked(
        valkey,
        Question("ann", repeats="only"),
        Question("ann", repeats="only", recent=(event(33, 0.25, "purchase"),)),
        Question("ann", repeats="only", recent=(event(77, 3),)),
    )
    assert listed(before) == [250, 33, 17, 4, 120]
    assert listed(bought) == [250, 17, 4, 33, 120]
    # 120 was met six hours before as_of; three days later it counts in full
    assert listed(later) == [250, 17, 33, 120, 4, 77]


def test_an_older_item_that_is_met_again_can_be_repeated_and_the_others_not(valkey: str) -> None:
    publish(valkey, build_shop())
    older = sorted(split_newest(MET["eve"])[1])
    again = older[7]
    events = {again: (40.0, 0.0)}
    asks = (event(again, 1, "purchase"),) * 10
    found = ask(valkey, "eve", k=100, recent=asks, repeats="only")
    everything = by_events("eve", events, 1.0, ITEMS)
    check(found, "fold_in", [pair for pair in everything if pair[0] in MET["eve"]][:100])
    whole = ask(valkey, "eve", k=100, recent=asks)
    check(whole, "fold_in", everything[:100])
    assert again in listed(whole) and not set(older) - {again} & set(listed(whole))


def test_recorded_events_are_own_items_too(valkey: str) -> None:
    publish(valkey, build_shop())
    with connect_store(valkey) as client:
        recent.record_event(client, "shop", "ann", "i17", "purchase", LAST + 2 * DAY)
        # the night has seen this one, whatever it made of it
        recent.record_event(client, "shop", "ann", "i33", "view", LAST - DAY)
        recent.record_event(client, "shop", "bob", "i8", "view", LAST - DAY)
    found = asked(valkey, Question("ann", 60), Question("bob", K))
    check(found[0], "fold_in", by_events("ann", {17: (4.0, 0.0)}, 2.0, 60))
    assert (found[1].tier, listed(found[1])[0]) == ("list", 8)


def test_an_event_without_a_weight_hides_its_item(valkey: str) -> None:
    """How much it counts is not known before the next night."""
    publish(valkey, build_shop())
    with connect_store(valkey) as client:
        recent.record_event(client, "shop", "ann", "i17", "rename", LAST + DAY)
    found = asked(
        valkey,
        Question("ann", 100),
        Question("ann", repeats="only"),
        Question("ann", K - 1),
        Question("ann", 5, recent=(event(17, 1),), repeats="only"),
    )
    check(found[0], "vector", by_vector("ann", 100, {17}))
    assert 17 not in listed(found[1]) + listed(found[2])
    assert [one.tier for one in found] == ["vector", "vector", "list", "fold_in"]
    assert 17 in listed(found[3])


def test_without_repeats_a_list_has_new_items_alone(valkey: str) -> None:
    publish(valkey, lists := build_shop())
    row = lists.item_index[list(MET).index("ann")].tolist()
    new = [item for item in row if item not in MET["ann"]]
    found = asked(
        valkey,
        Question("ann", 20, repeats=False),
        Question("ann", K, repeats=False),
        Question("ann", 20, repeats=False, explain=True),
        Question("eve", 100, repeats=False),
        Question("new", 2, repeats=False),
    )
    assert [one.tier for one in found] == ["list", "vector", "list", "vector", "popular"]
    assert listed(found[0]) == listed(found[2]) == new[:20]
    check(found[1], "vector", by_vector("ann", K, repeats=False))
    check(found[3], "vector", by_vector("eve", 100, repeats=False))
    assert listed(found[4]) == [1, 17]


def test_own_items_alone(valkey: str) -> None:
    publish(valkey, build_shop())
    for user, pairs in MET.items():
        found = ask(valkey, user, k=100, repeats="only")
        everything = by_vector(user, ITEMS)
        check(found, "vector", [pair for pair in everything if pair[0] in pairs][:100])
    nothing = Answer("none", 1, AS_OF, [], [], [], None)
    assert ask(valkey, "new", repeats="only") == nothing
    unknown = (QuestionEvent("not in the catalogue"),)
    assert ask(valkey, "new", repeats="only", recent=unknown) == nothing
    explained = ask(valkey, "new", repeats="only", explain=True)
    assert (explained.tier, explained.because) == ("none", [])


@pytest.mark.parametrize("config", [NO_REPEATS, OLDER_RELEASE], ids=["no repeats", "older release"])
def test_a_version_without_repeats_shows_own_items_only_where_they_are_asked_for(
    valkey: str, config: dict[str, Any]
) -> None:
    publish(valkey, lists := build_shop(config))
    pairs = MET["ann"]
    events = (event(77, 2), event(17, 1, "purchase"))
    merged = merge(pairs, {77: (1.0, 0.0), 17: (4.0, 1.0)}, 2.0)
    found = asked(
        valkey,
        Question("ann", K),
        Question("ann", K, repeats=False),
        Question("ann", 100),
        Question("ann", 100, recent=events),
        Question("ann", repeats="only"),
        Question("ann", repeats="only", recent=events, explain=True),
        Question("new", repeats="only", recent=events),
    )
    row = lists.item_index[0].tolist()
    assert [(one.tier, listed(one)) for one in found[:2]] == [("list", row)] * 2
    scores = dense(stored(solve(pairs)), pairs, len(pairs), config)
    check(found[2], "vector", total(scores, {}, pairs, 100))
    scores = dense(solve(merged), merged, len(merged), config)
    check(found[3], "fold_in", total(scores, {}, merged, 100))
    for answered, tier, own in (
        (found[4], "vector", own_scores(pairs, config, 1.0)),
        (found[5], "fold_in", own_scores(merged, config, 1.0)),
        (found[6], "fold_in", own_scores({77: (1.0, 0.0), 17: (4.0, 1.0)}, config, 1.0)),
    ):
        check(answered, tier, sorted(own.items(), key=lambda pair: -pair[1]))
    for item, score, reasons in zip(
        found[5].item_ids, found[5].scores, found[5].because or (), strict=True
    ):
        [(reason, added)] = reasons
        assert reason == item
        assert added == pytest.approx(score)


def test_the_item_itself_is_a_reason(valkey: str) -> None:
    publish(valkey, build_shop())
    listed_one, folded, vector, new = asked(
        valkey,
        Question("ann", 20, explain=True),
        Question("ann", 20, explain=True, recent=(event(33, 1, "purchase"),)),
        Question("ann", 100, explain=True, repeats="only"),
        Question("ann", 20, explain=True, recent=(event(33, 1),), repeats=False),
    )
    assert [one.tier for one in (listed_one, folded, vector, new)] == [
        "list",
        "fold_in",
        "vector",
        "fold_in",
    ]
    merged = merge(MET["ann"], {33: (4.0, 0.0)}, 1.0)
    for item, reasons in zip(listed(folded), folded.because or (), strict=True):
        added = sorted(explain(merged, item).items(), key=lambda pair: -pair[1])
        for (past, contribution), reason in zip(added, reasons, strict=False):
            assert reason[0] == f"i{past}"
            assert reason[1] == pytest.approx(contribution, abs=1e-4)
        assert len(reasons) == sum(contribution > 0 for _, contribution in added[:5])
    assert {4, 17, 33, 120, 250} <= {*listed(folded), *listed(vector)}
    for found in (listed_one, vector):
        for item, reasons in zip(listed(found), found.because or (), strict=True):
            assert (reasons[0][0] == f"i{item}") == (item in MET["ann"])
    for reasons in new.because or ():
        assert reasons


def test_reasons_add_up_to_the_score(valkey: str) -> None:
    """By few items: five reasons are named, and only those that speak for an item."""
    publish(valkey, build_shop())
    found = ask(valkey, "new", k=100, explain=True, recent=(event(250, 1, "purchase"), event(4, 0)))
    pairs: Pairs = {250: (4.0, 0.0), 4: (1.0, 1.0)}
    checked = 0
    for item, score, reasons in zip(listed(found), found.scores, found.because or (), strict=True):
        if len(reasons) == len(pairs):
            assert sum(added for _, added in reasons) == pytest.approx(score - BIAS[item], abs=1e-4)
            checked += 1
    assert checked > 10


def test_popularity_with_repeats(valkey: str) -> None:
    config = {
        "engine": "popularity",
        "window": "7d",
        **{name: CONFIG[name] for name in ("repeat_share", "repeat_half_life", "repeat_gap")},
    }
    nothing = np.zeros((ITEMS, 0), np.float32)
    lists = replace(
        build_shop(),
        vectors=nothing[: len(MET)],
        item_factors=nothing,
        item_content=nothing,
    )
    lists.meta["config"] = config
    publish(valkey, lists)
    merged = merge(MET["ann"], {17: (4.0, 0.0)}, 2.0)
    events = (event(17, 2, "purchase"),)
    found = asked(
        valkey,
        Question("ann", 100),
        Question("ann", 100, recent=events, explain=True),
        Question("new", 100, recent=events),
        Question("new", 100, recent=events, repeats=False),
        Question("new", 2),
    )
    popular = BIAS.astype(np.float64)
    check(found[0], "vector", total(popular, own_scores(MET["ann"]), (), 100))
    check(found[1], "fold_in", total(popular, own_scores(merged), (), 100))
    check(found[2], "popular", total(popular, own_scores({17: (4.0, 0.0)}), (), 100))
    assert (found[3].tier, listed(found[3])[:2], 17 in listed(found[3])) == (
        "popular",
        [1, 2],
        False,
    )
    assert (found[4].tier, listed(found[4])) == ("popular", [1, 17])
    for item, reasons in zip(listed(found[1]), found[1].because or (), strict=True):
        assert [reason for reason, _ in reasons] == [f"i{item}"] * (item in merged)


def test_an_event_of_which_the_model_knows_nothing(valkey: str) -> None:
    publish(valkey, build_shop())
    events = (event(311, 1),)
    found = ask(valkey, "new", k=100, recent=events)
    scores = dense(np.zeros(6), {}, 1)
    check(found, "popular", total(scores, own_scores({311: (1.0, 0.0)}), (), 100))
    content = ask(valkey, "new", k=100, recent=(event(310, 1),))
    pairs: Pairs = {310: (1.0, 0.0)}
    scores = dense(np.zeros(6), pairs, 1)
    assert content.tier == "content"
    by_item = dict(total(scores, own_scores(pairs), (), ITEMS))
    assert content.scores == pytest.approx([by_item[item] for item in listed(content)], abs=1e-4)
    assert listed(content)[0] == 310


def test_without_popularity_an_unknown_item_leaves_the_popular_list(valkey: str) -> None:
    publish(valkey, replace(build_shop(), item_bias=np.zeros(ITEMS, np.float32)))
    found = asked(
        valkey,
        Question("new", 3, recent=(event(311, 1), event(17, 1))),
        Question("new", 3, recent=(event(311, 1),)),
        Question("new", 3, recent=(event(311, 1),), repeats="only"),
    )
    assert [one.tier for one in found] == ["fold_in", "popular", "fold_in"]
    assert [listed(one) for one in found[1:]] == [[1, 17, 2], [311]]


def test_too_much_at_once_is_the_stored_list_without_what_was_just_met(valkey: str) -> None:
    publish(valkey, lists := build_shop())
    row = lists.item_index[0].tolist()
    events = (event(row[0], 1),)
    heard = Heard()
    found = asked(
        valkey,
        Question("ann", K, recent=events),
        Question("ann", K, recent=events, repeats=False),
        Question("ann", K, repeats="only"),
        Question("new", 2, recent=(event(17, 1),), repeats="only", explain=True),
        waiting=0,
        heard=heard,
    )
    assert row[0] in MET["ann"]
    met = [item for item in row if item in MET["ann"]]
    assert [listed(one) for one in found] == [
        row[1:],
        [item for item in row if item not in MET["ann"]],
        met,
        [],
    ]
    assert [one.tier for one in found] == ["list", "list", "list", "none"]
    assert heard.said.count("overload") == 4


def test_a_broken_history(valkey: str) -> None:
    token = publish(valkey, lists := build_shop())
    row = lists.item_index[0].tolist()
    with redis.from_url(valkey) as client:
        for bucket in range(len(client.keys(f"dawnlist:shop:{token}:h:*"))):
            client.set(f"dawnlist:shop:{token}:h:{bucket}", b"broken")
    found = asked(
        valkey,
        Question("ann", K),
        Question("ann", K, recent=(event(row[0], 1),)),
        Question("ann", K, repeats="only"),
        Question("ann", K, repeats=False),
    )
    # which of them are own items is not known
    assert [(one.tier, listed(one)) for one in found] == [
        ("list", row),
        ("list", row[1:]),
        ("list", []),
        ("list", row),
    ]


def test_questions_of_one_call_do_not_change_each_other(valkey: str) -> None:
    publish(valkey, build_shop())
    questions = []
    for user in (*MET, "new"):
        for repeats in (None, False, "only"):
            for k, events in ((20, ()), (100, (event(77, 2), event(4, 1))), (100, ())):
                questions.append(Question(user, k, recent=events, repeats=repeats))
    alone = [asked(valkey, question)[0] for question in questions[::4]]
    assert asked(valkey, *questions)[::4] == alone


def test_nothing_published_has_no_own_items(valkey: str, tmp_path: Path) -> None:
    path = tmp_path / "static.json"
    path.write_text(json.dumps({"as_of": format_iso(AS_OF), "items": [{"item_id": "x"}]}))
    found = asked(
        valkey, Question("ann", repeats="only"), Question("ann", repeats=False), static=path
    )
    assert [one.item_ids for one in found] == [[], ["x"]]
    assert [one.tier for one in found] == ["static"] * 2
