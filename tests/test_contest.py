"""A search's table says of each trial what it was."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from dawnlist.arrays import Float64Array
from dawnlist.components.tune.contenders import Contender, ResumableFit
from dawnlist.components.tune.contest import Contest
from dawnlist.components.tune.trials import TrialArchive, TrialResult
from dawnlist.lake.lake import Lake
from dawnlist.model.config import ALSConfig
from dawnlist.model.metrics import METRICS

CONFIG = ALSConfig(4, iterations=3)
VALUES = np.linspace(0.1, 0.2, 50)
GAINS = {(0.1, 0.0): -0.01, (0.1, 0.1): 0.05}
"""Of shares of popularity and content; no other is worth anything."""


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
    fitted: Any = None
    left = contest.halve([Contender(CONFIG, ResumableFit(fitted, CONFIG))], [(3, 1)])
    blended = contest.blend(left, [(0.0, 1.0), (0.1, 1.0)], 2)
    assert [one.config.popularity_share for one in blended] == [0, 0.1]
    ranked = contest.choose_hybrids(blended, [(0.0, 5.0), (0.1, 5.0), (0.3, 5.0)])
    assert (ranked[0].config.popularity_share, ranked[0].config.content_share) == (0.1, 0.1)
    for one in ranked:
        assert ALSConfig.from_dict(one.rows[-1]) == one.config
        assert one.rows[-1]["ndcg@20"] == pytest.approx(float(worth(one.config).mean()), abs=1e-6)
    assert len(contest.rows) == 2 + len(ranked)
