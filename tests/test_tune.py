import json
from pathlib import Path

import pytest

from components.lake import Lake
from components.solver import ALSConfig
from components.tune.search import Trial, fingerprint_of, grid, search
from tests.literal import two_tastes

GRID = {"regularization": [0.1], "alpha": [1.0, 10.0], "half_life": [0.0], "iterations": 3, "seed": 1}


def test_the_grid_is_every_combination_and_casts_what_the_runner_made_floats() -> None:
    configs = grid([8.0, 4.0], [0.1], [1, 10], [0, 30], 5, 7)
    assert len(configs) == 8
    assert configs[0] == ALSConfig(8, 0.1, 1.0, 0.0, 5, 7)
    assert isinstance(configs[0].factors, int)
    with pytest.raises(ValueError, match=r"factors is 8.5: give a whole number"):
        grid([8.5], [0.1], [1], [0], 5, 7)


def test_two_configurations_never_share_a_name() -> None:
    names = {fingerprint_of(ALSConfig(seed=seed), "cpu") for seed in (20250101, 20250102)}
    assert len(names) == 2


def test_trials_come_best_first_with_their_metrics(tmp_path: Path) -> None:
    lake = Lake.open(str(tmp_path), "shop")
    trials = search(lake, two_tastes(), grid([1, 4], **GRID), "ndcg", k=5)  # type: ignore[arg-type]
    values = [trial["ndcg@5"] for trial in trials]
    assert values == sorted(values, reverse=True)
    assert trials[0]["factors"] == 4  # one factor can't hold two tastes
    assert values[0] > 0.5 > 0.1 < trials[0]["recall@5"]


def test_a_retry_goes_on_with_the_trials_that_were_finished(tmp_path: Path) -> None:
    lake = Lake.open(str(tmp_path), "shop")
    told: list[Trial] = []
    search(lake, two_tastes(), grid([2, 4], **GRID), "ndcg", k=5)  # type: ignore[arg-type]
    [place] = (tmp_path / "shop/trials").iterdir()
    lost, kept, *others = sorted(place.iterdir())
    lost.unlink()
    kept.write_text(json.dumps({**json.loads(kept.read_text()), "mark": 1}))
    again = search(lake, two_tastes(), grid([2, 4], **GRID), "ndcg", k=5, progress=told.append)  # type: ignore[arg-type]
    assert len(told) == 4 and len(others) == 2
    assert [trial.get("mark") for trial in again].count(1) == 1
    assert lost.exists()


def test_an_unknown_metric_or_an_empty_grid_is_refused(tmp_path: Path) -> None:
    lake = Lake.open(str(tmp_path), "shop")
    with pytest.raises(ValueError, match="metric 'auc' is unknown: give one of ndcg, recall, map"):
        search(lake, two_tastes(), [ALSConfig()], "auc", k=5)
    with pytest.raises(ValueError, match="the grid is empty"):
        search(lake, two_tastes(), [], "ndcg", k=5)
