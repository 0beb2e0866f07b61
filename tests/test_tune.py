from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from dawnlist.als.engine import FitEngine
from dawnlist.components.tune.contenders import ResumableFit
from dawnlist.components.tune.contest import NEWCOMER_SUFFIX, RungShard
from dawnlist.components.tune.daily_search import choose_repeat_mode, run_daily_search
from dawnlist.components.tune.edges import describe_edges
from dawnlist.components.tune.grid import (
    NO_CONTENT_BLEND,
    NO_POPULARITY_BLEND,
    NO_REPEAT_BLEND,
    REFERENCE_POPULARITY,
    REFERENCE_REPEATS,
    Grid,
    plan_search,
    read_champion_config,
)
from dawnlist.components.tune.grid_values import find_value_beyond
from dawnlist.components.tune.halving import plan_rungs, race_trials, schedule_sweeps
from dawnlist.components.tune.newcomers import Newcomers
from dawnlist.components.tune.sample import Sample
from dawnlist.components.tune.search import search_configs
from dawnlist.components.tune.trials import Trial, TrialArchive, TrialResult, format_config_name
from dawnlist.lake.lake import Lake
from dawnlist.model.config import ALSConfig
from dawnlist.model.content import ItemFeatures
from dawnlist.model.hybrid import Hybrid
from dawnlist.model.hyper_parameters import BY_NAME
from dawnlist.model.ids import IdMap
from dawnlist.model.metric_names import METRICS
from dawnlist.model.repeats import RepeatMode
from dawnlist.model.splits import Splits
from tests.support.literal import CUTS, two_tastes

GRID = Grid(factors=(1, 2, 4, 8), alpha=(1.0, 10.0), half_life=(0.0, 30.0), iterations=10, seed=1)
BLENDS = [NO_POPULARITY_BLEND, (0.1, 1.0), (50.0, 1.0)]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.open(str(tmp_path), "shop")


@pytest.fixture
def fitted(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, float, float, int]]:
    """Whose factors were asked for, and after how many sweeps."""
    asked: list[tuple[int, float, float, int]] = []
    real = ResumableFit.compute_factors

    def factors(self: ResumableFit, sweeps: int) -> Any:
        asked.append((self.config.factors, self.config.alpha, self.config.half_life, sweeps))
        return real(self, sweeps)

    monkeypatch.setattr(ResumableFit, "compute_factors", factors)
    return asked


def found(trials: list[Trial]) -> list[Trial]:
    """Without what the clock says."""
    return [
        {name: value for name, value in trial.items() if "seconds" not in name}
        | ({"curve": found(trial["curve"])} if "curve" in trial else {})
        for trial in trials
    ]


def test_the_grid_is_every_combination_and_casts_what_the_runner_made_floats() -> None:
    grid = Grid([8.0, 4.0], [0.1], [1, 10], half_life=[0, 30], iterations=5, seed=7)
    assert len(grid.configs()) == 8
    assert grid.configs()[0] == ALSConfig(8, 0.1, 1.0, 0.0, 5, 7)
    assert isinstance(grid.configs()[0].factors, int)
    with pytest.raises(ValueError, match=r"factors is 8.5: give a whole number"):
        Grid([8.5])
    with pytest.raises(ValueError, match="factors is -5: give a number from 1 to 4096"):
        Grid([16, -5])
    with pytest.raises(ValueError, match=r"popularity_share is -0\.1: give a number from 0"):
        Grid(popularity_share=[0, -0.1])
    with pytest.raises(ValueError, match="the grid is empty: give at least one value for nu"):
        Grid(nu=[])


def test_solvers_that_cannot_scale_their_regularization_search_without_it() -> None:
    grid = Grid(nu=(0, 0.5, 1), solver="implicit")
    assert [(config.nu, config.solver) for config in grid.configs()] == [(0, "implicit")]
    assert [config.nu for config in grid.configs_around(ALSConfig(nu=0.5))] == [0]


def test_around_a_configuration_one_hyper_parameter_moves_at_a_time() -> None:
    grid = Grid((16, 32, 64), (1.0,), (1, 10), half_life=(14, 60), iterations=5, seed=3)
    live = ALSConfig(32, 1.0, 5.0, 60.0, iterations=99, popularity_share=0.3)
    assert [(c.factors, c.alpha, c.half_life) for c in grid.configs_around(live)] == [
        (32, 5, 60), (16, 5, 60), (64, 5, 60), (32, 1, 60), (32, 10, 60), (32, 5, 14),
    ]  # fmt: skip
    assert {(c.iterations, c.seed, c.popularity_share) for c in grid.configs_around(live)} == {
        (5, 3, 0)
    }


def test_what_a_search_is_asked_to_try() -> None:
    grid = Grid((16, 32), alpha=(1, 10), popularity_share=(0.3, 0), popularity_half_life=(1, 7))
    live = ALSConfig(32, 0.1, 10.0, popularity_share=0.2, popularity_half_life=3)
    blends = [NO_POPULARITY_BLEND, (0.3, 1.0), (0.3, 7.0)]
    full = plan_search("full", grid, live)
    assert (grid.blends(), full.blends) == (blends, [*blends, (0.2, 3)])
    # The champion comes first, and all have its shares, as they would be served.
    assert [(c.factors, c.alpha) for c in full.configs] == [(32, 10), (16, 1), (16, 10), (32, 1)]
    assert full.has_favourite
    shares = {(c.popularity_share, c.popularity_half_life) for c in full.configs}
    assert shares == {(0.2, 3)}
    around = plan_search("around_champion", grid, live)
    assert [(c.factors, c.alpha, c.popularity_share) for c in around.configs] == [
        (32, 10, 0.2),
        (16, 10, 0.2),
        (32, 1, 0.2),
        (32, 100, 0.2),
    ]
    assert around.blends == [*blends, (0.2, 3)]  # .2 of 3 days is on no edge
    first = plan_search("around_champion", grid, None)
    assert (first.configs, first.description) == (
        grid.configs(),
        "the full grid: no ALS is champion yet",
    )
    off = plan_search("off", grid, live)
    assert ([(c.factors, c.alpha) for c in off.configs], off.blends) == ([(32, 10)], [(0.2, 3)])
    middle = plan_search("off", grid, None)
    assert ([(c.factors, c.alpha) for c in middle.configs], middle.blends) == (
        [(23, 3.16)],
        [NO_POPULARITY_BLEND],  # the reference shares are not in this grid
    )
    with pytest.raises(
        ValueError, match="search_mode is 'fast': give one of full, around_champion, off"
    ):
        plan_search("fast", grid, None)


def test_the_champion_is_that_of_the_splits(lake: Lake) -> None:
    splits = two_tastes()
    assert read_champion_config(lake, splits) is None
    splits.about["incumbent"] = {"model": "m"}
    lake.write_json(ALSConfig(alpha=3.0).as_dict(), "models", "m", "config.json")
    assert read_champion_config(lake, splits) == ALSConfig(alpha=3.0)
    lake.write_json({"engine": "popularity", "window": "7d"}, "models", "m", "config.json")
    assert read_champion_config(lake, splits) is None


def test_a_share_of_popularity_of_an_older_release_is_not_kept(lake: Lake) -> None:
    """It was added to scores that were not divided, so the same number means something else."""
    splits, live = two_tastes(), ALSConfig(popularity_share=0.3, popularity_half_life=14.0)
    splits.about["incumbent"] = {"model": "m"}
    lake.write_json(live.as_dict(), "models", "m", "config.json")
    older = read_champion_config(lake, splits)
    assert older is not None
    assert (older.popularity_share, older.popularity_half_life) == REFERENCE_POPULARITY
    lake.write_json({**live.as_dict(), "score_scale": 55.0}, "models", "m", "config.json")
    assert read_champion_config(lake, splits) == live


def test_the_repeats_that_each_mode_tries() -> None:
    grid = Grid(repeat_share=(0.0, 0.4, 1.2), repeat_half_life=(20.0, 100.0))
    pairs = [(0.4, 20), (0.4, 100), (1.2, 20), (1.2, 100)]
    assert grid.repeats("off") == [NO_REPEAT_BLEND]
    assert grid.repeats("auto") == [NO_REPEAT_BLEND, *pairs]
    assert grid.repeats("on") == pairs
    nothing = Grid(repeat_share=(0.0,))
    assert nothing.repeats("auto") == [NO_REPEAT_BLEND]
    with pytest.raises(
        ValueError, match=r"lists\.repeats is on and the grid of repeat_share has on"
    ):
        nothing.repeats("on")
    with pytest.raises(ValueError, match="give a share above 0"):
        plan_search("full", nothing, None, "on")


def test_the_reference_share_of_repeats_is_twice_their_odds() -> None:
    grid = Grid(repeat_share=(0.0, 0.3), repeat_half_life=(20.0,))
    half = grid.with_reference_repeats(0.5)
    assert half.reference_repeats == (2.0, 60.0)
    assert half.reference_blends("auto")[1] == (2.0, 60.0)
    assert half.reference_blends("off")[1] == NO_REPEAT_BLEND
    assert grid.with_reference_repeats(0.2).reference_repeats == (0.5, 60.0)
    assert grid.with_reference_repeats(0.9).reference_repeats == (18.0, 60.0)
    assert grid.with_reference_repeats(1.0).reference_repeats == (20.0, 60.0)
    # Without a share of repeats in the grid none is tried.
    nothing = Grid(repeat_share=(0.0,))
    assert nothing.with_reference_repeats(0.5) is nothing


def test_a_search_without_a_champion_begins_with_the_reference_shares() -> None:
    wide = Grid(
        popularity_share=(0.0, REFERENCE_POPULARITY[0]),
        popularity_half_life=(0.5, REFERENCE_POPULARITY[1]),
        repeat_share=(0.0, REFERENCE_REPEATS[0]),
        repeat_half_life=(20.0, REFERENCE_REPEATS[1]),
    )
    assert wide.reference_blends("auto") == (REFERENCE_POPULARITY, REFERENCE_REPEATS)
    assert wide.reference_blends("off") == (REFERENCE_POPULARITY, NO_REPEAT_BLEND)
    other = Grid(popularity_share=(0.4,), repeat_share=(0.7,), repeat_half_life=(20.0,))
    assert other.reference_blends("auto") == (NO_POPULARITY_BLEND, NO_REPEAT_BLEND)
    assert other.reference_blends("on") == (NO_POPULARITY_BLEND, (0.7, 20.0))
    for search in ("full", "off"):
        [config] = plan_search(search, wide, None, "auto").configs
        assert (config.popularity_share, config.popularity_half_life) == REFERENCE_POPULARITY
        assert (config.repeat_share, config.repeat_half_life) == REFERENCE_REPEATS


@pytest.mark.parametrize(
    ("mode", "share", "kept"),
    [
        ("auto", 2.0, (2.0, 30.0)),
        ("auto", 0.0, (0.0, 30.0)),
        ("on", 2.0, (2.0, 30.0)),
        ("on", 0.0, REFERENCE_REPEATS),
        ("off", 2.0, NO_REPEAT_BLEND),
        ("off", 0.0, (0.0, 30.0)),
    ],
)
def test_the_champions_repeats_are_kept_where_the_settings_allow_them(
    mode: RepeatMode, share: float, kept: tuple[float, float]
) -> None:
    grid = Grid(repeat_share=(0.0, REFERENCE_REPEATS[0]), repeat_half_life=(REFERENCE_REPEATS[1],))
    live = ALSConfig(repeat_share=share, repeat_half_life=30.0)
    for search in ("full", "around_champion", "off"):
        plan = plan_search(search, grid, live, mode)
        assert {(one.repeat_share, one.repeat_half_life) for one in plan.configs} == {kept}
        assert kept in plan.repeats
    assert plan.repeats == [kept]


def with_repeats(repeated: int, new: int, mode: str) -> Splits:
    """Of the validation's pairs so many were met before, and so many were not."""
    splits = two_tastes(users=60)
    moment = splits.last[1].max()
    gone = np.flatnonzero(splits.last[1] > 0)[new:]
    splits.last[1, gone], splits.weight[1, gone] = 0, 0
    again = np.flatnonzero(splits.last[0] > 0)[:repeated]
    splits.last[1, again], splits.weight[1, again] = moment, 1
    splits.about["repeats"] = mode
    return splits


@pytest.mark.parametrize(
    ("repeated", "new", "mode", "chosen"),
    [
        (1, 99, "auto", "auto"),  # 1% of the pairs
        (1, 100, "auto", "off"),
        (0, 0, "auto", "off"),
        (9, 0, "auto", "auto"),
        (0, 100, "on", "on"),
        (50, 50, "off", "off"),
    ],
)
def test_repeats_are_tried_from_1_percent_of_the_pairs_on(
    repeated: int, new: int, mode: str, chosen: str
) -> None:
    assert choose_repeat_mode(with_repeats(repeated, new, mode)) == chosen


def test_splits_of_an_older_release_have_no_repeats() -> None:
    splits = with_repeats(50, 50, "auto")
    del splits.about["repeats"]
    assert choose_repeat_mode(splits) == "off"


def of_habit(mode: str) -> Splits:
    """Everyone met two items nine times as often as others; in validation these two alone."""
    splits = two_tastes()
    splits.last[1], splits.weight[1] = 0, 0
    for user in range(40):
        pairs = np.flatnonzero((splits.user_index == user) & (splits.last[0] > 0))[:2]
        splits.weight[0, pairs] = 9
        splits.last[1, pairs] = int(CUTS.validation_start.timestamp() * 1e6) + 10**9
        splits.weight[1, pairs] = 1
    splits.about["repeats"] = mode
    return splits


def test_repeats_are_added_where_they_help(lake: Lake) -> None:
    configs, repeats = [ALSConfig(factors=2, iterations=3)], [NO_REPEAT_BLEND, (50.0, 100.0)]
    [alone] = search_configs(lake, of_habit("auto"), configs, "ndcg", 2)
    [again] = search_configs(lake, of_habit("auto"), configs, "ndcg", 2, repeats=repeats)
    assert (alone["repeat_share"], alone["ndcg@2"]) == (0, 0)
    assert (again["repeat_share"], again["repeat_half_life"], again["ndcg@2"]) == (50, 100, 1)
    # Nobody comes back to anything here.
    fresh = two_tastes()
    fresh.about["repeats"] = "auto"
    [taste] = search_configs(lake, fresh, configs, "ndcg", 2, repeats=repeats)
    assert taste["repeat_share"] == 0


def test_a_days_search_tries_repeats_as_the_settings_say(lake: Lake) -> None:
    grid = Grid((2,), iterations=3, repeat_share=(0.0, 50.0), repeat_half_life=(100.0,))
    for number, (mode, share) in enumerate((("auto", 50), ("on", 50), ("off", 0))):
        splits = of_habit(mode)
        if mode == "off":
            splits = two_tastes()  # with no truth at all the grid's first one would be taken
        run = f"run-{number}"
        report = run_daily_search(lake, splits, grid, "full", "ndcg", 2, FitEngine(), run, None)
        assert report["trials"][0]["repeat_share"] == share
    grid = replace(grid, repeat_share=(0.0,))
    with pytest.raises(ValueError, match=r"lists\.repeats is on"):
        run_daily_search(lake, of_habit("on"), grid, "full", "ndcg", 2, FitEngine(), "run-3", None)


def test_newcomers_get_none_of_their_own_items(lake: Lake) -> None:
    """What they met is in their truth here, and a share of repeats changes none of their scores."""
    splits = of_habit("auto")
    sample = Sample.from_splits(splits, Hybrid.of(splits, "tune"), 2, "cpu").short_history_sample
    factors = np.ones((len(sample.users), 1), np.float32), np.ones((20, 1), np.float32)
    one, other = (ALSConfig(1, repeat_share=share) for share in (0.0, 9.0))
    scores = [sample.score_newcomers(factors, config, 0, 5) for config in (one, other)]
    np.testing.assert_array_equal(scores[0], scores[1])
    assert not scores[0].any()
    assert sample.values(factors, other, 0, 5).any()


def test_a_rung_has_a_third_of_the_trials_and_three_times_the_sweeps() -> None:
    assert {n: schedule_sweeps(n) for n in (1, 3, 4, 10, 15, 27)} == {
        1: [1], 3: [3], 4: [3, 4], 10: [3, 4, 10], 15: [3, 5, 15], 27: [3, 9, 27],
    }  # fmt: skip
    assert plan_rungs(24, 15) == [(3, 8), (5, 3), (15, 3)]
    assert plan_rungs(8, 15) == [(3, 3), (15, 3)]  # the rung that would drop nobody is left out
    assert plan_rungs(2, 10) == [(10, 2)]


def test_a_race_asks_no_more_users_than_the_order_needs() -> None:
    asked: dict[str, int] = {}
    apart = {"best": 0.0, "good": 0.01, "close": 0.05, "bad": 0.5}
    swing = np.tile([1.0, -1.0], 4000)  # a difference of 0.05 is 2 standard errors of 1,600 users

    def values(trial: str, users: int) -> Any:
        asked[trial] = max(users, asked.get(trial, 0))
        return (swing[:users] if trial in ("good", "close") else np.zeros(users)) - apart[trial]

    assert race_trials(["bad", "best"], values, 1, 8000) == ["best"]
    assert asked == {"bad": 1000, "best": 1000}
    assert race_trials(["bad", "close", "good", "best"], values, 2, 8000) == ["best", "good"]
    assert asked == {"bad": 1000, "close": 2000, "good": 2000, "best": 2000}
    assert race_trials(["good", "best"], values, 1, 8000) == ["best"]
    assert asked["good"] == 8000


def test_equal_trials_are_asked_of_everyone_and_stay_in_order() -> None:
    asked: list[int] = []

    def values(trial: str, users: int) -> Any:
        asked.append(users)
        return np.ones(users)

    assert race_trials(["a", "b"], values, 1, 3500) == ["a"]
    assert max(asked) == 3500


def test_the_best_trials_come_first_and_went_all_the_way(lake: Lake) -> None:
    trials = search_configs(lake, two_tastes(), GRID.configs(), "ndcg", k=5)
    assert len(trials) == 16
    assert [trial["sweeps"] for trial in trials] == [10] * 3 + [4] * 3 + [3] * 10
    assert [trial["dropped"] for trial in trials] == [False] + [True] * 15
    values = [trial["ndcg@5"] for trial in trials[:3]]
    assert values == sorted(values, reverse=True)
    assert trials[0]["factors"] > 1  # one can't hold two tastes
    assert values[0] > 0.5 > 0.1 < trials[0]["recall@5"]
    assert [(point["sweeps"], point["users"]) for point in trials[0]["curve"]] == [
        (3, 40),
        (4, 40),
        (10, 40),
        (10, 40),  # the last one in the race of the shares of popularity
    ]


def test_a_trial_is_what_a_fit_of_its_own_would_be(lake: Lake, tmp_path: Path) -> None:
    best = search_configs(lake, two_tastes(), GRID.configs(), "ndcg", k=5)[0]
    alone = search_configs(
        Lake.open(str(tmp_path), "other"), two_tastes(), [ALSConfig.from_dict(best)], "ndcg", k=5
    )[0]
    assert (alone["ndcg@5"], alone["map@5"]) == (best["ndcg@5"], best["map@5"])


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """What a search finds that nothing interrupts."""
    lake = Lake.open(str(tmp_path_factory.mktemp("unbroken")), "unbroken")
    return found(search_configs(lake, two_tastes(), GRID.configs(), "ndcg", 5, blends=BLENDS))


@pytest.mark.parametrize(("after", "fits"), [(1, 1), (17, 17), (20, 20), (26, 25), (27, 26)])
def test_a_search_that_was_killed_goes_on_and_fits_nothing_twice(
    lake: Lake, unbroken: Any, fitted: list[Any], after: int, fits: int
) -> None:
    """The 26th row is of a finalist as it is, whose scores are kept already."""

    told: list[Trial] = []

    def progress(trial: Trial) -> None:
        told.append(trial)
        if len(told) == after:
            raise InterruptedError

    with pytest.raises(InterruptedError):
        search_configs(
            lake, two_tastes(), GRID.configs(), "ndcg", k=5, progress=progress, blends=BLENDS
        )
    finished = fitted.copy()
    assert len(finished) == fits
    fitted.clear()
    again = search_configs(lake, two_tastes(), GRID.configs(), "ndcg", k=5, blends=BLENDS)
    assert found(again) == unbroken
    blended = {trial for trial in finished if finished.count(trial) > 1 or trial[3] == 10}
    assert not set(fitted) & (set(finished) - blended)
    fitted.clear()
    third = search_configs(lake, two_tastes(), GRID.configs(), "ndcg", k=5, blends=BLENDS)
    assert found(third) == unbroken
    assert fitted == []


def test_three_nodes_find_what_one_finds(lake: Lake, tmp_path: Path, fitted: list[Any]) -> None:
    alone = search_configs(
        Lake.open(str(tmp_path), "alone"), two_tastes(), GRID.configs(), "ndcg", k=5, blends=BLENDS
    )
    for rung in range(4):  # one more than there are
        for shard in range(3):
            fitted.clear()
            search_configs(
                lake,
                two_tastes(),
                GRID.configs(),
                "ndcg",
                5,
                blends=BLENDS,
                shard=RungShard(rung, shard, 3),
            )
            assert (
                len({trial[:3] for trial in fitted})
                in ({0: (5, 6), 1: (2,), 2: (1,), 3: (0,)}[rung])
            )
    fitted.clear()
    assert found(
        search_configs(lake, two_tastes(), GRID.configs(), "ndcg", k=5, blends=BLENDS)
    ) == found(alone)
    assert fitted == []


def test_a_small_sample_is_asked_first(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Trials that are clearly worse, here those of one factor, are dropped after ten users."""
    monkeypatch.setattr("dawnlist.components.tune.halving.FIRST_RACE_USERS", 10)
    score_users = Sample.values

    def score_one_factor_with_0(
        self: Sample, factors: Any, config: ALSConfig, first: int, last: int
    ) -> Any:
        scores = score_users(self, factors, config, first, last)
        return np.zeros_like(scores) if config.factors == 1 else scores

    monkeypatch.setattr(Sample, "values", score_one_factor_with_0)
    trials = search_configs(lake, two_tastes(), GRID.configs(), "ndcg", k=5)
    asked = [trial["users"] for trial in trials]
    assert asked[:3] == [40, 40, 40] and set(asked) <= {10, 20, 40}
    assert [trial["users"] for trial in trials if trial["factors"] == 1] == [10] * 4
    everyone = search_configs(
        Lake.open(lake.uri, "all"), two_tastes(), [ALSConfig.from_dict(trials[0])], "ndcg", k=5
    )
    assert everyone[0]["ndcg@5"] == trials[0]["ndcg@5"]


def lately_popular() -> Splits:
    """Ten users met items 0 and 1 an hour before the validation cut, the other twenty do so after it."""
    random = np.random.default_rng(0)
    met = [
        (user, item, 0, 60 * 24)
        for user in range(30)
        for item in random.permutation(np.arange(2, 12))[:4]
    ]
    met += [(user, item, int(user >= 10), 1) for user in range(30) for item in (0, 1)]
    user, item, part, hours = np.array(sorted(met)).T
    last = np.zeros((3, len(met)), np.int64)
    cut = int(CUTS.validation_start.timestamp() * 1e6)
    last[part, np.arange(len(met))] = cut + np.where(part, 1, -1) * hours * 3_600_000_000
    ids = [
        IdMap(pa.array([f"{kind}{n:02}" for n in range(size)]))
        for kind, size in (("u", 30), ("i", 12))
    ]
    weight = (last > 0).astype(np.float32)
    return Splits(
        ids[0],
        ids[1],
        user.astype(np.int32),
        item.astype(np.int32),
        weight,
        last,
        CUTS,
        {"incumbent": None},
    )


def test_popularity_is_added_where_it_helps_and_not_where_it_does_not(lake: Lake) -> None:
    configs = [ALSConfig(factors=4, iterations=3)]
    blends = [NO_POPULARITY_BLEND, (50.0, 1.0), (50.0, 1000.0)]
    [tastes] = search_configs(lake, two_tastes(), configs, "ndcg", 5, blends=blends)
    [alone] = search_configs(lake, lately_popular(), configs, "ndcg", 5)
    [hot] = search_configs(lake, lately_popular(), configs, "ndcg", 5, blends=blends)
    assert tastes["popularity_share"] == 0
    assert (hot["popularity_share"], hot["popularity_half_life"]) == (50, 1)
    assert hot["ndcg@5"] > 0.99 > alone["ndcg@5"]


def test_the_table_of_trials_is_kept_as_they_are_made(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = []

    def tell(trial: Trial) -> None:
        sizes.append(len(lake.read_json("searches", "day", "run.json")))

    trials = search_configs(
        lake,
        two_tastes(),
        GRID.configs(),
        "ndcg",
        5,
        progress=tell,
        blends=BLENDS,
        table=("searches", "day", "run.json"),
    )
    assert sizes == list(range(1, 16 + 6 + 3 + 9 + 1))
    table = lake.read_json("searches", "day", "run.json")
    assert [row["dropped"] for row in table].count(False) == 6 + 3 + 3 + 1
    assert {row["sweeps"]: row["users"] for row in table} == {3: 40, 4: 40, 10: 40}
    assert sum(row["popularity_share"] > 0 for row in table) == 6
    assert {name: trials[0][name] for name in table[0] if name != "seconds"} in [
        {name: row[name] for name in row if name != "seconds"} for row in table
    ]


def test_a_days_search_says_what_it_did(lake: Lake) -> None:
    report = run_daily_search(
        lake, two_tastes(), GRID, "around_champion", "ndcg", 5, FitEngine(), "run-1", None
    )
    assert report["searched"] == "the full grid: no ALS is champion yet"
    assert report["rungs"] == [
        {"sweeps": 3, "users": 40, "trials": 16, "kept": 6},
        {"sweeps": 4, "users": 40, "trials": 6, "kept": 3},
        {"sweeps": 10, "users": 40, "trials": 3, "kept": 1},
    ]
    assert lake.names("searches", "20260131T000000Z") == ["run-1.json"]


def test_without_a_judged_user_the_grids_middle_stands(lake: Lake) -> None:
    splits = two_tastes()
    splits.last[1], splits.weight[1] = 0, 0
    trials = search_configs(lake, splits, GRID.configs(), "ndcg", k=5)
    assert trials[0] == GRID.configs()[0].as_dict()
    report = run_daily_search(lake, splits, GRID, "full", "ndcg", 5, FitEngine(), "run-1", None)
    assert (report["trials"], report["rungs"]) == ([GRID.middle().as_dict()], [])


@pytest.mark.parametrize(("min_users", "searched"), [(40, True), (41, False)])
def test_too_few_users_choose_nothing(lake: Lake, min_users: int, searched: bool) -> None:
    """Forty users can be judged on validation; the live configuration is kept as it is."""
    live = ALSConfig(4, 0.1, 7.0, half_life=3.0, iterations=4, popularity_share=0.7)
    splits = two_tastes()
    config = {**live.as_dict(), "ridge_scale": 1.0, "score_scale": 55.0}
    lake.write_json(config, "models", "m", "config.json")
    splits.about["incumbent"] = {"model": "m"}
    small = Grid((4,), (0.1,), (1.0, 7.0), half_life=(3.0,), iterations=2)
    report = run_daily_search(
        lake, splits, small, "full", "ndcg", 5, FitEngine(), "run-1", None, min_users
    )
    assert (len(report["trials"]) == 2) == searched
    if not searched:
        assert report["trials"] == [live.as_dict()]
        assert report["searched"] == (
            "nothing was searched: only 40 known users can be judged in the validation period, and "
            "gate.min_users is 41; the challenger has the champion's configuration"
        )
    shard = RungShard(0, 0, 2)
    of_shard = run_daily_search(
        lake, splits, small, "full", "ndcg", 5, FitEngine(), "run-1", shard, min_users
    )
    assert of_shard["trials"] == []


@pytest.mark.parametrize(("mode", "share"), [("off", 0.0), ("auto", 2.0), ("on", 2.0)])
def test_a_live_share_of_repeats_stays_without_a_search_where_the_settings_allow_it(
    lake: Lake, mode: str, share: float
) -> None:
    """Nobody meets anything again in validation, which so few users would say by chance too."""
    live = ALSConfig(4, iterations=3, repeat_share=2.0, repeat_half_life=30.0)
    splits = two_tastes()
    splits.about.update({"incumbent": {"model": "m"}, "repeats": mode})
    lake.write_json({**live.as_dict(), "score_scale": 55.0}, "models", "m", "config.json")
    grid = Grid((4,), repeat_share=(0.5,), repeat_half_life=(10.0,), iterations=3)
    report = run_daily_search(lake, splits, grid, "full", "ndcg", 5, FitEngine(), "run", None, 41)
    assert [trial["repeat_share"] for trial in report["trials"]] == [share]


def test_trials_that_hit_nobody_choose_nothing(lake: Lake) -> None:
    """In validation all forty users meet what nobody had met before, so that no model can list it."""
    splits = two_tastes(items=20)
    in_validation = splits.last[1] > 0
    items = splits.item_index.copy()
    items[in_validation] += 20
    ids = IdMap(pa.array([f"i{number:02}" for number in range(40)]))
    apart = replace(splits, item_ids=ids, item_index=items)
    report = run_daily_search(lake, apart, GRID, "full", "ndcg", 5, FitEngine(), "run-1", None)
    assert report["trials"] == [GRID.middle().as_dict()]
    assert report["searched"] == (
        "nothing was chosen: no trial hit any of 40 users of the validation period; the challenger "
        "has the grid's middle, since no ALS is champion yet"
    )


def test_the_middle_of_a_grid_is_geometric_and_no_corner() -> None:
    grid = Grid(
        factors=(32, 64), regularization=(100, 30), alpha=(1, 10, 90), half_life=(0, 14),
        popularity_share=(0, 0.1, 0.3, 1, 3), popularity_half_life=(0.5, 3, 14),
    )  # fmt: skip
    middle = grid.middle()
    assert (middle.factors, middle.regularization, middle.alpha) == (45, 54.8, 10)
    assert (middle.half_life, middle.popularity_share, middle.popularity_half_life) == (14, 0.3, 3)


@pytest.mark.parametrize(
    ("values", "value", "beyond"),
    [
        ([1.0, 10.0], 10.0, 100.0),
        ([1.0, 10.0], 1.0, 0.1),
        ([1.0, 10.0], 5.0, None),  # within
        ([1.0, 10.0], 100.0, 1000.0),  # the night after
        ([30.0, 100.0], 100.0, 333.0),
        ([1.0, 10.0], 1e6, None),  # the highest that is allowed
        ([1.0, 10.0], 5e5, 1e6),
        ([1.0, 10.0], 1e-6, None),
        ([0.0, 14.0], 14.0, None),  # the ratio to 0 says nothing
        ([0.0, 14.0], 0.0, None),
        ([10.0], 10.0, None),
    ],
)
def test_beyond_an_edge_the_last_step_is_made_again(
    values: list[float], value: float, beyond: float | None
) -> None:
    assert find_value_beyond(values, value, BY_NAME["alpha"]) == beyond
    assert find_value_beyond(values, value, BY_NAME["factors"]) is None


def test_a_neighbourhood_goes_beyond_the_edges_that_the_champion_is_on(lake: Lake) -> None:
    grid = Grid(
        (16, 32), (30.0, 100.0), (1, 10), popularity_share=(0, 1, 3), popularity_half_life=(1, 3)
    )
    live = ALSConfig(32, 100.0, 1.0, popularity_share=3.0, popularity_half_life=1.0)
    plan = plan_search("around_champion", grid, live)
    assert [(c.factors, c.regularization, c.alpha) for c in plan.configs] == [
        (32, 100, 1), (16, 100, 1), (32, 30, 1), (32, 333, 1), (32, 100, 0.1), (32, 100, 10),
    ]  # fmt: skip
    assert {share for share, _ in plan.blends} == {0, 1, 3, 9}
    assert {days for share, days in plan.blends if share} == {0.333, 1, 3}
    best = {**plan.configs[3].as_dict(), "popularity_share": 9.0, "popularity_half_life": 1.0}
    assert describe_edges(plan, best) == [
        "factors 32 is the greatest value that was tried; give more values with --factors to go "
        "beyond it",
        "regularization 333 is the greatest value that was tried; if it goes live, the next run "
        "tries 1110 too",
        "popularity 9 is the greatest value that was tried; if it goes live, the next run tries 27 "
        "too",
    ]
    inside = {**plan.configs[0].as_dict(), "factors": 0, "popularity_share": 0.0}
    assert describe_edges(plan, inside) == []


def test_repeats_on_the_grids_edge_are_named() -> None:
    grid = Grid(repeat_share=(0.0, 0.3, 0.8), repeat_half_life=(20.0, 60.0))
    plan = plan_search("full", grid, None, "auto")
    best = ALSConfig(repeat_share=0.8, repeat_half_life=20.0)
    assert describe_edges(plan, best.as_dict()) == [
        "repeats 0.8 is the greatest value that was tried; if it goes live, the next run tries "
        "2.13 too",
        "repeats' half-life 20 is the least value that was tried; if it goes live, the next run "
        "tries 6.67 too",
    ]
    for share in (0.3, 0.0):
        inside = ALSConfig(repeat_share=share, repeat_half_life=60.0 + (share == 0))
        found = describe_edges(plan, inside.as_dict())
        assert [sentence.split(" is ")[0] for sentence in found] == ["repeats' half-life 60"] * (
            share > 0
        )


def test_mistakes_are_refused(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(
        ValueError, match="metric 'auc' is unknown: give one of ndcg, recall, map, mrr, hit_rate"
    ):
        search_configs(lake, two_tastes(), [ALSConfig()], "auc", k=5)
    with pytest.raises(ValueError, match="the grid is empty"):
        search_configs(lake, two_tastes(), [], "ndcg", k=5)
    monkeypatch.setattr("dawnlist.machine.free_memory.measure_free_memory", lambda: 10_000)
    with pytest.raises(
        MemoryError, match=r"the factors of 16 trials at once need 0\.00 GB, and 0\.00 GB are free"
    ):
        search_configs(lake, two_tastes(), GRID.configs(), "ndcg", k=5)


def test_two_configurations_never_share_a_name() -> None:
    names = {format_config_name(ALSConfig(seed=seed), "cpu") for seed in (20250101, 20250102)}
    assert len(names) == 2


def test_numbers_with_all_their_digits_fit_into_the_name_of_a_file(lake: Lake) -> None:
    long = ALSConfig(
        64,
        10**-2.5,
        10**1.5,
        popularity_share=10**-0.5,
        content_share=10**-1.5,
        content_pairs=10**0.5,
    )
    archive, judged = (
        TrialArchive(lake, "work", "cpu"),
        TrialResult(np.ones((len(METRICS), 3), np.float32), 1.0, 2.0),
    )
    archive.write(long, 1000, judged, NEWCOMER_SUFFIX)
    assert archive.read(long, 1000, NEWCOMER_SUFFIX).users == 3
    assert archive.read(replace(long, content_pairs=10**0.6), 1000, NEWCOMER_SUFFIX).users == 0


def told_by_words(users: int = 60) -> Splits:
    """Everyone has met two items of one of six kinds, in no order; in validation they meet two others of it."""
    random = np.random.default_rng(4)
    met = []
    for user in range(users):
        mine = 10 * (user % 6) + random.permutation(10)
        met += [(user, item, int(place > 1)) for place, item in enumerate(mine[:4])]
    user, item, part = np.array(sorted(met)).T
    last = np.zeros((3, len(met)), np.int64)
    last[part, np.arange(len(met))] = (
        int(CUTS.validation_start.timestamp() * 1e6) + np.where(part, 1, -1) * 10**9
    )
    ids = [
        IdMap(pa.array([f"{kind}{n:02}" for n in range(size)]))
        for kind, size in (("u", users), ("i", 60))
    ]
    content = np.repeat(np.eye(6, dtype=np.float32), 10, axis=0)
    stock = ItemFeatures(content, np.ones(60, np.int64), 1, 0)
    pairs = (user.astype(np.int32), item.astype(np.int32), (last > 0).astype(np.float32), last)
    return Splits(ids[0], ids[1], *pairs, CUTS, {"incumbent": None}, stock)


CONTENTS = [NO_CONTENT_BLEND, (0.01, 2.0), (10.0, 10.0)]


def test_content_is_added_where_it_clearly_helps(lake: Lake) -> None:
    splits, configs = told_by_words(), [ALSConfig(factors=1, regularization=100.0, iterations=3)]
    [alone] = search_configs(lake, splits, configs, "ndcg", 5)
    trials = search_configs(
        lake, splits, configs, "ndcg", 5, contents=CONTENTS, table=("searches", "day", "run.json")
    )
    assert (trials[0]["content_share"], trials[0]["content_pairs"]) != NO_CONTENT_BLEND
    assert trials[0]["ndcg@5"] > alone["ndcg@5"] + 0.2
    assert trials[0]["newcomers"] > alone["ndcg@5"]
    rows = [row for row in lake.read_json("searches", "day", "run.json") if "newcomers" in row]
    assert [row["dropped"] for row in rows].count(False) == 1 and len(rows) == 3
    assert found(search_configs(lake, splits, configs, "ndcg", 5, contents=CONTENTS)) == found(
        trials
    )  # from what was kept


def test_newcomers_are_solved_once_for_all_hybrids_of_a_fit(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    solved: list[int] = []
    real = Newcomers.vectors

    def vectors(self: Newcomers, *given: Any) -> Any:
        solved.append(len(self.met))
        return real(self, *given)

    monkeypatch.setattr(Newcomers, "vectors", vectors)
    search_configs(
        lake,
        told_by_words(),
        [ALSConfig(factors=1, iterations=3)],
        "ndcg",
        5,
        blends=BLENDS,
        contents=CONTENTS,
    )
    assert solved == [60]


def test_content_that_says_nothing_is_left_out(lake: Lake) -> None:
    """Words of no meaning, and none at all: the search finds what it finds without."""
    configs, random = [ALSConfig(factors=4, iterations=3)], np.random.default_rng(0)
    [alone] = search_configs(lake, two_tastes(), configs, "ndcg", 5)
    [same] = search_configs(lake, two_tastes(), configs, "ndcg", 5, contents=CONTENTS)
    assert found([same]) == found([alone])
    noise = random.standard_normal((20, 3)).astype(np.float32)
    stock = ItemFeatures(
        noise / np.linalg.norm(noise, axis=1, keepdims=True), np.ones(20, np.int64), 1, 0
    )
    [chosen] = search_configs(
        lake, replace(two_tastes(), stock=stock), configs, "ndcg", 5, contents=CONTENTS
    )
    assert (chosen["content_share"], chosen["ndcg@5"]) == (0, alone["ndcg@5"])


def test_a_search_that_is_off_keeps_the_champions_share_of_content(lake: Lake) -> None:
    live = ALSConfig(4, iterations=3, content_share=0.2, content_pairs=3.0)
    plan = plan_search(
        "off", Grid((4,), content_share=(0.0, 0.5), content_pairs=(1.0,), iterations=3), live
    )
    assert plan.contents == [(0.2, 3.0)]
    [kept] = search_configs(
        lake, told_by_words(), plan.configs, "ndcg", 5, blends=plan.blends, contents=plan.contents
    )
    assert (kept["content_share"], kept["content_pairs"]) == (0.2, 3.0)
    assert plan_search("full", Grid(content_share=(0.0, 0.5), content_pairs=(1.0, 2.0)), None).contents == [
        NO_CONTENT_BLEND, (0.5, 1.0), (0.5, 2.0),
    ]  # fmt: skip
