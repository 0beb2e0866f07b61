"""A user's own items: what they add to scores, and how they come into lists."""

from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from dawnlist.model.repeats import (
    DEFAULT_GAP,
    MAX_OWN_ITEMS,
    RepeatSettings,
    mark_newest,
    merge_own_items,
)
from dawnlist.model.user_items import UserItems

SETTINGS = RepeatSettings(share=1.2, half_life=30.0, gap=28.0)


def build_history(rows: list[list[tuple[int, float, float]]], items: int) -> UserItems:
    """Build a history of users from (item, weight, age) of each pair."""
    indptr = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    pairs = [pair for row in rows for pair in row]
    columns = [pair[0] for pair in pairs]
    weights = np.array([pair[1] for pair in pairs], np.float32)
    matrix = csr_matrix((weights, columns, indptr), shape=(len(rows), items))
    return UserItems(matrix, np.array([pair[2] for pair in pairs], np.float32))


def draw_history(users: int, items: int, seed: int) -> UserItems:
    """Draw histories of 0 to all items; some weights are 0, many ages are equal."""
    random = np.random.default_rng(seed)
    rows = []
    for _ in range(users):
        met = np.sort(random.permutation(items)[: random.integers(0, items + 1)])
        weights = random.integers(0, 5, len(met)).tolist()
        ages = random.integers(0, 40, len(met)).tolist()
        rows.append(list(zip(met.tolist(), weights, ages, strict=True)))
    return build_history(rows, items)


def compute_slowly(history: UserItems, settings: RepeatSettings) -> np.ndarray:
    """own(u, i) as the docs have it, pair by pair; NaN where a pair can't be repeated."""
    own = np.full(history.weight.shape, np.nan)
    for user in range(len(own)):
        start, end = history.weight.indptr[user : user + 2]
        pairs = sorted(range(start, end), key=lambda pair: (history.age[pair], pair))
        frequency, readiness = {}, {}
        for pair in pairs[:200]:
            age, weight = float(history.age[pair]), float(history.weight.data[pair])
            readiness[pair] = min(1, (age + 0.5) / max(0.25 * settings.gap, 0.5))
            frequency[pair] = weight**0.5 * 0.5 ** (age / settings.half_life)
        divisor = sum(sorted(frequency.values())[-20:]) / 20
        for pair, value in frequency.items():
            item = history.weight.indices[pair]
            own[user, item] = 0
            if divisor:
                own[user, item] = settings.share * value * readiness[pair] / divisor
    return own


def as_dense(own: csr_matrix) -> np.ndarray:
    """The entries of a sparse matrix, zeros that are stored included; NaN elsewhere."""
    dense = np.full(own.shape, np.nan)
    rows = np.repeat(np.arange(own.shape[0]), np.diff(own.indptr))
    dense[rows, own.indices] = own.data
    return dense


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "settings", [SETTINGS, RepeatSettings(4.0, 1.0, 1.0), RepeatSettings(0.4, 365.0, 400.0)]
)
def test_own_items_are_scored_as_the_formula_says(seed: int, settings: RepeatSettings) -> None:
    history = draw_history(12, 60, seed)
    own = settings.score_all_own_items(history)
    assert own.dtype == np.float32
    np.testing.assert_allclose(as_dense(own), compute_slowly(history, settings), rtol=1e-5)


def test_of_a_long_history_the_newest_200_are_scored_as_the_formula_says() -> None:
    """With many equal ages at the border, of which the first pairs count."""
    history = draw_history(8, 500, seed=1)
    assert np.diff(history.weight.indptr).max() > MAX_OWN_ITEMS
    own = SETTINGS.score_all_own_items(history)
    assert np.diff(own.indptr).max() == MAX_OWN_ITEMS
    np.testing.assert_allclose(as_dense(own), compute_slowly(history, SETTINGS), rtol=1e-5)


def test_one_users_pairs_and_all_users_pairs_have_the_same_scores() -> None:
    """The predictor scores one user, the night all of them."""
    history = draw_history(10, 60, seed=9)
    own = SETTINGS.score_all_own_items(history)
    weight = history.weight
    for user in range(10):
        pairs = slice(*weight.indptr[user : user + 2])
        scores = SETTINGS.score_own_items(
            weight.data[pairs].astype(np.float64), history.age[pairs].astype(np.float64)
        )
        np.testing.assert_allclose(own[user].data, scores, rtol=1e-6)


def test_what_was_met_more_often_and_later_counts_more() -> None:
    settings = RepeatSettings(share=1.0, half_life=10.0, gap=2.0)
    frequency = settings.compute_frequency(np.array([1.0, 4.0, 4.0]), np.array([0.0, 0.0, 10.0]))
    assert frequency.tolist() == [1, 2, 1]
    # One user's values always have the same sum, so those of few items are larger.
    scores = settings.score_own_items(np.array([1.0, 4.0, 4.0]), np.array([0.0, 0.0, 10.0]))
    assert scores.tolist() == [5, 10, 5]


def test_the_sum_of_the_twenty_largest_is_twenty_shares() -> None:
    settings = RepeatSettings(share=0.5, half_life=10.0, gap=1.0)
    for items in (1, 19, 20):
        scores = settings.score_own_items(np.arange(1.0, items + 1), np.zeros(items))
        assert scores.sum() == pytest.approx(10)
    scores = settings.score_own_items(np.concatenate([np.ones(20), [0.25]]), np.zeros(21))
    assert scores.tolist() == [0.5] * 20 + [0.25]  # the 21st changes nothing


@pytest.mark.parametrize(
    ("gap", "age", "readiness"),
    [
        (28.0, 6.5, 1.0),  # a quarter of the gap, and from there on
        (28.0, 7.0, 1.0),
        (28.0, 3.0, 0.5),
        (28.0, 0.0, 1 / 14),  # just now
        (2.0, 0.0, 1.0),  # the pause is never shorter than half a day
        (1.0, 0.0, 1.0),
        (0.0, 0.0, 1.0),
        (4.0, 0.0, 0.5),
    ],
)
def test_what_was_met_just_now_waits_for_a_quarter_of_the_gap(
    gap: float, age: float, readiness: float
) -> None:
    settings = RepeatSettings(1.0, 1e9, gap)
    assert settings.compute_readiness(np.array([age])) == pytest.approx([readiness], rel=1e-7)


def test_an_only_item_that_was_met_just_now_counts_less() -> None:
    """The sum by which a user's values are divided is that of the frequencies alone."""
    settings = RepeatSettings(1.0, 1e9, gap=28.0)
    assert settings.score_own_items(np.ones(1), np.array([0.0])) == pytest.approx([20 / 14])
    assert settings.score_own_items(np.ones(1), np.array([7.0])) == pytest.approx([20.0])


def test_a_weight_of_0_adds_nothing_and_may_be_listed() -> None:
    """A user may give nothing but ratings of 0."""
    history = build_history([[(0, 0.0, 1.0), (2, 4.0, 1.0)], [(1, 0.0, 1.0)], []], 3)
    own = RepeatSettings(1.0, 10.0, 1.0).score_all_own_items(history)
    np.testing.assert_array_equal(
        as_dense(own), [[0, np.nan, 20], [np.nan, 0, np.nan], [np.nan] * 3]
    )
    assert SETTINGS.score_own_items(np.zeros(2), np.ones(2)).tolist() == [0, 0]
    assert SETTINGS.score_own_items(np.zeros(0), np.zeros(0)).shape == (0,)
    # A weight below 0 counts as 0.
    assert SETTINGS.compute_frequency(np.array([-1.0]), np.array([9.0])).tolist() == [0]


def test_very_old_pairs_are_no_error() -> None:
    """Their values are 0 in 64 bits, and so is their sum."""
    scores = RepeatSettings(1.0, 1e-3, 1.0).score_own_items(np.ones(2), np.array([1e4, 2e4]))
    assert scores.tolist() == [0, 0]


def test_the_settings_are_those_of_a_models_config() -> None:
    config = {"repeat_share": 0.4, "repeat_half_life": 20.0, "repeat_gap": 7.0, "factors": 64}
    assert RepeatSettings.from_config(config) == RepeatSettings(0.4, 20.0, 7.0)
    assert RepeatSettings.from_config({}).share == 0  # of an older release
    assert RepeatSettings.from_config({}).gap == DEFAULT_GAP


@pytest.mark.parametrize(("pairs", "marked"), [(199, 199), (200, 200), (201, 200)])
def test_two_hundred_pairs_of_a_user_can_be_repeated(pairs: int, marked: int) -> None:
    rows = np.array([0] * pairs + [1] * 3)
    ages = np.concatenate([np.arange(pairs), [900, 901, 902]]).astype(np.float32)
    is_newest = mark_newest(rows, ages)
    assert is_newest[:pairs].sum() == marked
    assert is_newest[:marked].all()
    assert is_newest[pairs:].all()  # however old another user's are
    assert MAX_OWN_ITEMS == 200


def test_of_pairs_of_one_age_the_first_ones_can_be_repeated() -> None:
    ages = np.full(203, 5, np.float32)
    ages[201] = 4
    is_newest = mark_newest(np.zeros(203, np.int64), ages)
    assert np.flatnonzero(~is_newest).tolist() == [199, 200, 202]
    assert mark_newest(np.zeros(0, np.int64), np.zeros(0, np.float32)).shape == (0,)


def merge(items: list[list[int]], scores: Any, own: csr_matrix, k: int) -> list[Any]:
    lists = merge_own_items((np.array(items), np.array(scores, np.float32)), own, k)
    assert [part.dtype.name for part in lists] == ["int64", "float32"]
    return [lists[0].tolist(), lists[1].tolist()]


def test_own_items_come_where_their_scores_put_them() -> None:
    own = csr_matrix(
        (np.array([2.5, -1, 9, 1, 0], np.float32), [5, 6, 7, 5, 6], [0, 2, 3, 3, 5]), shape=(4, 8)
    )
    items = [[0, 1, 2], [0, -1, -1], [3, 4, -1], [-1, -1, -1]]
    scores = [[3, 2, 1], [1, 0, 0], [2, 1, 0], [0, 0, 0]]
    assert merge(items, scores, own, 3) == [
        [[0, 5, 1], [7, 0, -1], [3, 4, -1], [5, 6, -1]],
        [[3, 2.5, 2], [9, 1, 0], [2, 1, 0], [1, 0, 0]],
    ]


def test_of_equal_scores_the_smaller_index_comes_first() -> None:
    own = csr_matrix((np.array([1, 1], np.float32), [2, 9], [0, 2]), shape=(1, 10))
    assert merge([[4, 7]], [[1, 1]], own, 2) == [[[2, 4]], [[1, 1]]]
    own = csr_matrix((np.array([1, 1], np.float32), [5, 6], [0, 2]), shape=(1, 10))
    assert merge([[4, 7]], [[1, 1]], own, 2) == [[[4, 5]], [[1, 1]]]


def test_without_own_items_lists_stay_as_they_are() -> None:
    nothing = csr_matrix((2, 4), dtype=np.float32)
    items, scores = [[1, 0], [-1, -1]], [[2.0, 1.0], [0.0, 0.0]]
    assert merge(items, scores, nothing, 2) == [items, scores]
    no_users = csr_matrix((0, 4), dtype=np.float32)
    empty = (np.zeros((0, 2), np.int64), np.zeros((0, 2), np.float32))
    assert merge_own_items(empty, no_users, 2)[0].shape == (0, 2)


def test_users_keep_their_ages_when_some_are_selected() -> None:
    """Also an age of 0, and a weight of 0."""
    history = build_history(
        [[(0, 1.0, 0.0), (3, 2.0, 7.0)], [], [(1, 0.0, 4.0), (2, 5.0, 0.0), (3, 1.0, 9.0)]], 4
    )
    some = history.select_users(np.array([2, 1, 0, 2]))
    assert some.weight.shape == (4, 4)
    assert some.weight.indices.tolist() == [1, 2, 3, 0, 3, 1, 2, 3]
    assert some.weight.data.tolist() == [0, 5, 1, 1, 2, 0, 5, 1]
    assert some.age.tolist() == [4, 0, 9, 0, 7, 4, 0, 9]
    nobody = history.select_users(np.array([], np.int64))
    assert (nobody.weight.shape, nobody.age.shape) == ((0, 4), (0,))
