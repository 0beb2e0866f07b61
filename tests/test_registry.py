from dataclasses import replace
from datetime import UTC, datetime, timedelta
from importlib.metadata import version as version_of
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from dawnlist.als.engine import FitEngine
from dawnlist.components.dataset.split_pairs import build_splits
from dawnlist.components.filter_bots.verdicts import judge_interactions
from dawnlist.components.train.fitting import fit_stage
from dawnlist.lake.lake import Lake
from dawnlist.lake.manifest import write_manifest
from dawnlist.model.config import ALSConfig
from dawnlist.model.factor_model import FactorModel
from dawnlist.records import registry
from dawnlist.settings import BotSettings, Settings
from dawnlist.store.version_reports import VersionReport
from tests.support.literal import AS_OF, two_tastes, write_interactions


def report(day: int, version: int) -> VersionReport:
    """What the store says of a version."""
    as_of = f"2026-01-{day:02}T00:00:00Z"
    return VersionReport(
        version=version, token=f"{version}-0", as_of=as_of, run=f"run-{day}", users=9
    )


def go_live(lake: Lake, day: int, version: int, model: str = "m") -> None:
    registry.record_publication(
        lake, report(day, version), {"model": model, "winner": "challenger", "metrics": {}, "k": 20}
    )
    registry.set_champion(lake, report(day, version))


def incumbent_model(lake: Lake) -> FactorModel:
    """As the dataset and evaluate steps find it, on the first of February."""
    found = registry.find_incumbent(lake, datetime(2026, 2, 1, tzinfo=UTC))
    assert found is not None
    return registry.load_model(lake, found)


def day(number: int) -> datetime:
    return datetime(2026, 1, number, tzinfo=UTC)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    found = Lake.open(str(tmp_path / "lake"), "shop")
    for version, number in enumerate((10, 11, 12), 1):
        go_live(found, number, version)
    return found


def version(found: registry.Publication | None) -> int | None:
    return found["version"] if found else None


def test_a_publication(lake: Lake) -> None:
    assert registry.find_incumbent(lake, day(12)) == {
        "version": 2,
        "token": "2-0",
        "as_of": "2026-01-11T00:00:00Z",
        "run": "run-11",
        "model": "m",
        "winner": "challenger",
        "metrics": {},
    }


def test_the_incumbent_is_the_newest_that_is_older(lake: Lake) -> None:
    assert [version(registry.find_incumbent(lake, day(n))) for n in (9, 10, 11, 12, 13)] == [
        None,
        None,
        1,
        2,
        3,
    ]


def test_after_a_rollback_the_incumbent_is_what_is_live(lake: Lake) -> None:
    assert version(registry.read_champion(lake)) == 3
    registry.set_champion(lake, report(10, 1))
    assert (
        version(registry.read_champion(lake))
        == version(registry.find_incumbent(lake, day(13)))
        == 1
    )
    go_live(lake, 13, 4)
    assert [version(registry.find_incumbent(lake, day(n))) for n in (11, 12, 13, 14)] == [
        1,
        1,
        1,
        4,
    ]


def test_what_this_lake_did_not_publish_is_never_crowned(lake: Lake) -> None:
    for stranger in (report(13, 4), replace(report(10, 1), token="1-1")):
        registry.set_champion(lake, stranger)
        assert version(registry.read_champion(lake)) == 3


def test_a_publisher_in_between_stays_in_the_history(lake: Lake) -> None:
    """Between reading the champion and replacing it, another run crowns the day before."""
    for number in (13, 14):
        registry.record_publication(
            lake, report(number, number), {"model": "m", "winner": "challenger", "metrics": {}}
        )
    others = [13]

    class Interrupted(Lake):
        def read_json(self, *parts: str, types: Any = None) -> Any:
            if others:
                registry.set_champion(lake, report(others.pop(), 13))
            return super().read_json(*parts, types=types)

    registry.set_champion(Interrupted(lake.uri, lake.objects), report(14, 14))
    assert [entry["run"] for entry in lake.read_json("champion.json")["history"]][-3:] == [
        "run-12",
        "run-13",
        "run-14",
    ]


def test_an_emptied_store_has_no_champion_and_keeps_its_history(lake: Lake) -> None:
    registry.set_champion(lake, None)
    assert (registry.read_champion(lake), version(registry.find_incumbent(lake, day(13)))) == (
        None,
        3,
    )


def test_before_the_first_publication_there_is_none(tmp_path: Path) -> None:
    empty = Lake.open(str(tmp_path), "other")
    assert (registry.read_champion(empty), registry.find_incumbent(empty, day(31))) == (None, None)
    registry.set_champion(empty, None)
    assert not empty.exists("champion.json")


def test_the_incumbents_model_is_the_published_one(lake: Lake, tmp_path: Path) -> None:
    fitted = fit_stage(
        lake,
        two_tastes(),
        "refit",
        ALSConfig(2, iterations=1).as_dict(),
        FitEngine(),
        tmp_path / "model",
    )
    go_live(lake, 31, 4, fitted["model"])
    model = incumbent_model(lake)
    assert model.lineage["as_of"] == "2026-01-31T00:00:00Z"
    go_live(lake, 30, 5, fitted["model"])
    with pytest.raises(ValueError, match="the registry was damaged"):
        incumbent_model(lake)


def test_a_models_lineage_names_what_it_was_made_from(tmp_path: Path) -> None:
    lake, settings = (
        Lake.open(str(tmp_path / "lake"), "other"),
        Settings(bots=BotSettings(staff="off")),
    )
    write_interactions(
        lake, ("ann", "tea", 100.0), ("bob", "tea", 60.0), ("ann", "jam", 30.0), ("bob", "jam", 3.0)
    )
    verdicts, _ = judge_interactions(lake, 0, (AS_OF - timedelta(days=30), AS_OF), settings)
    pq.write_table(verdicts, tmp_path / "verdicts.parquet")  # as it passes between the steps
    splits, _ = build_splits(
        lake, 0, pq.read_table(tmp_path / "verdicts.parquet"), AS_OF, window_days=30
    )
    fitted = fit_stage(
        lake,
        splits,
        "refit",
        {"engine": "popularity", "window": "7d"},
        FitEngine(),
        tmp_path / "model",
    )
    go_live(lake, 31, 1, fitted["model"])
    assert incumbent_model(lake).lineage == {
        "as_of": "2026-01-31T00:00:00Z",
        "stage": "refit",
        "code_version": version_of("dawnlist"),
        "interactions_version": 0,
        "window_days": 30,
        "settings": settings.digest,
        "incumbent": None,
        "holdout": splits.holdout_fingerprint,
        "repeats": "auto",
        "repeat_gap": 1.0,
        "start": None,
        "sweeps": 0,
    }
    assert settings.digest != Settings().digest


def test_a_model_that_was_tampered_with_is_not_loaded(lake: Lake, tmp_path: Path) -> None:
    """Neither with a file that MANIFEST does not name as it is, nor with a pickle that it does."""
    fitted = fit_stage(
        lake,
        two_tastes(),
        "refit",
        ALSConfig(2, iterations=1).as_dict(),
        FitEngine(),
        tmp_path / "model",
    )
    go_live(lake, 31, 4, fitted["model"])
    factors = tmp_path / "model/user_factors.npy"
    np.save(factors, np.array([print]), allow_pickle=True)
    lake.upload(factors, "models", fitted["model"], factors.name)
    with pytest.raises(ValueError, match="is not the file that MANIFEST names"):
        incumbent_model(lake)
    write_manifest(tmp_path / "model")
    lake.upload_folder(tmp_path / "model", "models", fitted["model"])
    with pytest.raises(ValueError, match="allow_pickle=False"):
        incumbent_model(lake)


def test_what_a_lifecycle_rule_took_is_named_with_what_to_do(lake: Lake, tmp_path: Path) -> None:
    todo = "keep the bucket's lifecycle rules off models/ and publications/; or delete .*/shop/champion.json"
    with pytest.raises(
        ValueError,
        match=rf"the lake file://.*/shop has no models/m any more, .* 2026-01-12.*{todo}",
    ):
        incumbent_model(lake)
    for publication in (tmp_path / "lake/shop/publications").iterdir():
        publication.unlink()
    with pytest.raises(
        ValueError, match=rf"has no publications/20260112T000000Z-run-12-3-0\.json any more.*{todo}"
    ):
        registry.find_incumbent(lake, day(13))
