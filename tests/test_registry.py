from datetime import UTC, datetime
from pathlib import Path

import pytest

from components import registry
from components.lake import Lake
from components.solver import ALSConfig
from components.train.fitting import fit_stage
from tests.literal import two_tastes


def meta(day: int, model: str = "m") -> dict[str, object]:
    at = f"2026-01-{day:02}T00:00:00Z"
    return {"as_of": at, "run": f"run-{day}", "model": model, "winner": "challenger", "metrics": {}, "k": 20}


def day(number: int) -> datetime:
    return datetime(2026, 1, number, tzinfo=UTC)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    found = Lake.open(str(tmp_path / "lake"), "shop")
    for version, number in enumerate((10, 11, 12), 1):
        registry.record(found, version, meta(number))
    return found


def version(found: registry.Publication | None) -> int | None:
    return found["version"] if found else None


def test_the_incumbent_is_the_newest_that_is_older(lake: Lake) -> None:
    assert [version(registry.incumbent(lake, day(n))) for n in (9, 10, 11, 12, 13)] == [None, None, 1, 2, 3]


def test_after_a_rollback_the_incumbent_is_what_is_live(lake: Lake) -> None:
    assert version(registry.champion(lake)) == 3
    registry.crown(lake, 1)
    assert version(registry.champion(lake)) == version(registry.incumbent(lake, day(13))) == 1
    with pytest.raises(ValueError, match="version 9 was not published from this lake"):
        registry.crown(lake, 9)


def test_before_the_first_publication_there_is_none(tmp_path: Path) -> None:
    empty = Lake.open(str(tmp_path), "other")
    assert (registry.champion(empty), registry.incumbent_model(empty, "2026-01-31T00:00:00Z")) == (None, None)


def test_the_incumbents_model_is_the_published_one(lake: Lake, tmp_path: Path) -> None:
    report = fit_stage(lake, two_tastes(), "refit", ALSConfig(2, iterations=1).as_dict(), "cpu", tmp_path / "model")
    registry.record(lake, 4, meta(31, report["model"]))
    model = registry.incumbent_model(lake, "2026-02-01T00:00:00Z")
    assert model is not None and model.lineage["as_of"] == "2026-01-31T00:00:00Z"
    registry.record(lake, 5, {**meta(30, report["model"])})
    with pytest.raises(ValueError, match="the registry was damaged"):
        registry.incumbent_model(lake, "2026-02-01T00:00:00Z")
