"""A search's table says of each trial what it was."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dawnlist.arrays import Float64Array
from dawnlist.components.tune.contenders import (
    Contender,
    ResumableFit,
    expand_blends,
    expand_repeats,
)
from dawnlist.components.tune.contest import Contest
from dawnlist.components.tune.trials import TrialArchive, TrialResult
from dawnlist.lake.lake import Lake
from dawnlist.model.config import ALSConfig
from dawnlist.model.metric_names import METRICS

CONFIG = ALSConfig(4, iterations=3)
VALUES = np.linspace(0.1, 0.2, 50)
GAINS = {(0.1, 0.0): -0.01, (0.1, 0.1): 0.05}
"""Of shares of popularity and content; no other is worth anything."""
FITTED: Any = None


def worth(config: ALSConfig) -> Float64Array:
    return VALUES + GAINS.get((config.popularity_share, config.content_share), 0.0)


@pytest.fixture
def contest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Contest:
    def asked(
        self: Contest, one: Contender, sweeps: int, known: TrialResult, users: int
    ) -> TrialResult:
        return TrialResult(
            np.tile(worth(one.config)[:users].astype(np.float32), (len(METRICS), 1)), 0.0, 0.0
        )

    monkeypatch.setattr(Contest, "_score_more_users", asked)
    monkeypatch.setattr(Contest, "score_as_newcomers", lambda self, one, sweeps: worth(one.config))
    sample: Any = SimpleNamespace(users=np.arange(len(VALUES)), k=20)
    return Contest(
        sample,
        TrialArchive(Lake.open(str(tmp_path), "shop"), "work", "cpu"),
        "ndcg",
        lambda trial: None,
        (),
    )


def test_a_hybrid_of_a_blend_has_a_row_of_its_own_where_no_share_of_popularity_was_ahead(
    contest: Contest,
) -> None:
    """The row is what is trained: hybrids that shared one were all trained as the last of them."""
    left = contest.halve([Contender(CONFIG, ResumableFit(FITTED, CONFIG))], [(3, 1)])
    blended = contest.blend(left, [(0.0, 1.0), (0.1, 1.0)], 2)
    assert [one.config.popularity_share for one in blended] == [0, 0.1]
    ranked = contest.choose_hybrids(blended, [(0.0, 5.0), (0.1, 5.0), (0.3, 5.0)])
    assert (ranked[0].config.popularity_share, ranked[0].config.content_share) == (0.1, 0.1)
    for one in ranked:
        assert ALSConfig.from_dict(one.rows[-1]) == one.config
        assert one.rows[-1]["ndcg@20"] == pytest.approx(float(worth(one.config).mean()), abs=1e-6)
    assert len(contest.rows) == 3 + len(ranked)


AT_THE_BOUND = np.array([0.5, 0.25])
"""Two users gain .375 on average, and its standard error is .125: three of them, to the last bit."""
BEYOND_IT = np.array([0.5, 0.26])


def race(
    contest: Contest,
    monkeypatch: pytest.MonkeyPatch,
    values: dict[tuple[float, float], Float64Array],
    has_favourite: bool = True,
) -> list[Contender]:
    """Race one fit with a share of popularity of 0 or 1, then the best with one of repeats.

    `values` has the metric of two users for each of these two shares; without one it is 0.
    """

    def score(
        self: Contest, one: Contender, sweeps: int, known: TrialResult, users: int
    ) -> TrialResult:
        shares = (one.config.popularity_share, one.config.repeat_share)
        user_values = values.get(shares, np.zeros(2)).astype(np.float32)
        return TrialResult(np.tile(user_values[:users], (len(METRICS), 1)), 0.0, 0.0)

    monkeypatch.setattr(Contest, "_score_more_users", score)
    contest.has_favourite = has_favourite
    sample: Any = contest.sample
    sample.users = sample.users[:2]
    left = contest.halve([Contender(CONFIG, ResumableFit(FITTED, CONFIG))], [(3, 1)])
    blended = contest.blend(left, [(0.0, 1.0), (1.0, 1.0)], 2)
    return contest.add_repeats(blended[:2], [(0.0, 90.0), (1.0, 90.0)], 1)


@pytest.mark.parametrize(
    ("values", "winner"),
    [
        ({(1, 0): AT_THE_BOUND}, (0, 0)),
        ({(1, 0): BEYOND_IT}, (1, 0)),
        ({(0, 1): AT_THE_BOUND}, (0, 0)),
        ({(0, 1): BEYOND_IT}, (0, 1)),
        # The first one is kept from race to race, though two others were a little ahead of it.
        ({(1, 0): AT_THE_BOUND, (1, 1): AT_THE_BOUND}, (0, 0)),
        # It is the first one that has to be beaten clearly, not the best of the others.
        ({(1, 0): AT_THE_BOUND, (1, 1): BEYOND_IT}, (1, 1)),
        ({(1, 0): -AT_THE_BOUND, (0, 1): -AT_THE_BOUND, (1, 1): -AT_THE_BOUND}, (0, 0)),
    ],
)  # fmt: skip
def test_the_shares_of_the_beginning_stay_until_others_are_clearly_better(
    contest: Contest,
    monkeypatch: pytest.MonkeyPatch,
    values: dict[tuple[float, float], Float64Array],
    winner: tuple[float, float],
) -> None:
    ranked = race(contest, monkeypatch, values)
    shares = [(one.config.popularity_share, one.config.repeat_share) for one in ranked]
    assert shares[0] == winner
    assert sorted(shares) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert [one.rows[-1]["dropped"] for one in ranked] == [False, True, True, True]


def test_without_a_favourite_the_best_comes_first(
    contest: Contest, monkeypatch: pytest.MonkeyPatch
) -> None:
    [best, *_] = race(contest, monkeypatch, {(1, 1): np.array([0.1, -0.05])}, has_favourite=False)
    assert (best.config.popularity_share, best.config.repeat_share) == (1, 1)


def test_a_contender_with_its_own_shares_stays_itself() -> None:
    one = Contender(CONFIG, ResumableFit(FITTED, CONFIG))
    two = Contender(replace(CONFIG, repeat_share=1.0), one.fit)
    assert expand_blends([one], [(0.0, 1.0)]) == [one]
    repeats = expand_repeats([one, two], [(0.0, 90.0), (1.0, 90.0), (1.0, 20.0)])
    assert [(other.config.repeat_share, other.config.repeat_half_life) for other in repeats] == [
        (0, 90), (1, 90), (1, 20), (0, 90), (1, 90), (1, 20),
    ]  # fmt: skip
    assert repeats[0] is one and repeats[4] is two
    assert {id(other.fit) for other in repeats} == {id(one.fit)}
    repeats[1].rows.append({})
    assert one.rows == []
