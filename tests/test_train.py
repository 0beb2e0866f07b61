from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy.sparse import csr_matrix

from dawnlist.als.engine import FitEngine
from dawnlist.als.training import fit_als
from dawnlist.components.refit.winner import load_warm_start, select_winning_config
from dawnlist.components.train.arms import fit_arms, name_models
from dawnlist.components.train.fitting import fit_challenger, fit_stage
from dawnlist.cuts import Cuts, format_iso
from dawnlist.lake.lake import Lake
from dawnlist.model import popularity
from dawnlist.model.config import ALSConfig
from dawnlist.model.content import ItemFeatures
from dawnlist.model.factor_model import FactorModel
from dawnlist.model.ids import IdMap
from dawnlist.model.score_scales import compute_score_scales
from dawnlist.model.splits import Splits
from dawnlist.model.user_items import UserItems
from dawnlist.ranking.normal_equations import compute_gram
from dawnlist.records import challengers
from dawnlist.records.registry import load_model_by_name
from dawnlist.upkeep.expiry import Expiry
from tests.support.literal import AS_OF, CUTS, two_tastes

CONFIG = ALSConfig(factors=4, iterations=3).as_dict()


def test_the_model_is_fitted_on_the_stage_and_says_where_it_is_from(tmp_path: Path) -> None:
    lake, splits = Lake.open(str(tmp_path / "lake"), "shop"), two_tastes()
    report = fit_stage(lake, splits, "train", CONFIG, FitEngine(), tmp_path / "model")
    model = FactorModel.load(tmp_path / "model")
    np.testing.assert_array_equal(
        model.user_factors[:, :4],
        fit_als(splits.user_items("train"), ALSConfig(4, iterations=3))[0],
    )
    assert model.config == {
        **CONFIG,
        "ridge_scale": 0.1,
        "fitted_items": 20,
        "score_scale": 55.0,
        "repeat_gap": 1.0,
    }  # what a fold-in needs beside
    assert (report["config"], report["reused"], report["users"]) == (CONFIG, False, 40)
    assert (model.lineage["as_of"], model.lineage["stage"]) == ("2026-01-30T00:00:00Z", "train")
    assert model.lineage["interactions_version"] == 0


def test_a_rerun_copies_what_was_fitted_and_another_stage_does_not(tmp_path: Path) -> None:
    lake, splits = Lake.open(str(tmp_path / "lake"), "shop"), two_tastes()
    first = fit_stage(lake, splits, "train", CONFIG, FitEngine(), tmp_path / "one")
    again = fit_stage(lake, splits, "train", CONFIG, FitEngine(), tmp_path / "two")
    splits.about["interactions_version"] = 9  # another version of the table may hold the same rows
    third = fit_stage(lake, splits, "train", CONFIG, FitEngine(), tmp_path / "third")
    assert third["reused"]
    other = fit_stage(lake, splits, "refit", CONFIG, FitEngine(), tmp_path / "three")
    assert (first["model"], again["reused"], other["reused"]) == (again["model"], True, False)
    assert (tmp_path / "one/MANIFEST").read_text() == (tmp_path / "two/MANIFEST").read_text()


def test_popularity_is_refitted_like_any_model(tmp_path: Path) -> None:
    lake = Lake.open(str(tmp_path / "lake"), "shop")
    config = select_winning_config("popularity", CONFIG, "7d", None)
    fit_stage(lake, two_tastes(), "refit", config, FitEngine(), tmp_path / "model")
    model = FactorModel.load(tmp_path / "model")
    assert (model.config, model.item_factors.shape) == (
        {"engine": "popularity", "window": "7d"},
        (20, 1),
    )


def test_only_a_winner_is_refitted() -> None:
    assert select_winning_config("challenger", {**CONFIG, "fit_seconds": 3}, "7d", None) == CONFIG
    popular = {"engine": "popularity", "window": "24h"}
    assert select_winning_config("incumbent", CONFIG, "7d", popular) == popular
    with pytest.raises(ValueError, match="'incumbent': only a challenger, popularity, or an incum"):
        select_winning_config("incumbent", CONFIG, "7d", None)


def live_splits(lake: Lake, config: dict[str, Any], folder: Path) -> Splits:
    """Splits of a day on which a model of this configuration is live."""
    model = fit_stage(lake, two_tastes(), "refit", config, FitEngine(), folder)["model"]
    splits = two_tastes()
    splits.about["incumbent"] = {"model": model, "as_of": format_iso(AS_OF - timedelta(days=1))}
    return splits


def test_the_live_configuration_is_fitted_beside_the_challenger(tmp_path: Path) -> None:
    lake = Lake.open(str(tmp_path / "lake"), "shop")
    splits = live_splits(lake, {**CONFIG, "alpha": 3.0}, tmp_path / "live")
    report = fit_arms(lake, splits, CONFIG, FitEngine(), tmp_path / "challenger")
    assert (report["config"], report["incumbent"]["config"]) == (CONFIG, {**CONFIG, "alpha": 3.0})
    incumbent = load_model_by_name(lake, report["incumbent"]["model"])
    assert incumbent.lineage["stage"] == "train"
    assert incumbent.lineage["as_of"] == format_iso(CUTS.train_end)
    names = name_models(report)
    assert load_warm_start(lake, "challenger", names).name == report["model"]
    assert load_warm_start(lake, "incumbent", names).name == report["incumbent"]["model"]


def test_a_challenger_of_the_live_configuration_is_fitted_once(tmp_path: Path) -> None:
    lake = Lake.open(str(tmp_path / "lake"), "shop")
    splits = live_splits(lake, CONFIG, tmp_path / "live")
    report = fit_arms(lake, splits, CONFIG, FitEngine(), tmp_path / "challenger")
    assert report["incumbent"]["model"] == report["model"]
    assert len(lake.names("models")) == 2  # with the one that is live


def test_popularity_that_is_live_is_made_anew(tmp_path: Path) -> None:
    lake = Lake.open(str(tmp_path / "lake"), "shop")
    popular = {"engine": "popularity", "window": "7d"}
    splits = live_splits(lake, popular, tmp_path / "live")
    report = fit_arms(lake, splits, CONFIG, FitEngine(), tmp_path / "challenger")
    assert report["incumbent"]["config"] == popular
    assert report["incumbent"]["interactions"] == report["interactions"]


def test_without_a_live_model_the_challenger_is_alone(tmp_path: Path) -> None:
    lake = Lake.open(str(tmp_path / "lake"), "shop")
    report = fit_arms(lake, two_tastes(), CONFIG, FitEngine(), tmp_path / "challenger")
    assert (report["incumbent"], name_models(report)["incumbent_in_lake"]) == (None, "")


def test_a_live_model_that_is_lost_is_an_error(tmp_path: Path) -> None:
    lake, splits = Lake.open(str(tmp_path / "lake"), "shop"), two_tastes()
    splits.about["incumbent"] = {"model": "lost", "as_of": "2026-01-30T00:00:00Z"}
    with pytest.raises(ValueError, match=r"has no models/lost/config.json any more"):
        fit_arms(lake, splits, CONFIG, FitEngine(), tmp_path / "challenger")


def days_later(splits: Splits, days: int) -> Splits:
    """The same rows, of a shop so many days later."""
    by = timedelta(days=days)
    cuts = Cuts(
        *(
            moment + by
            for moment in (splits.cuts.validation_start, splits.cuts.train_end, splits.cuts.as_of)
        )
    )
    last = np.where(splits.last > 0, splits.last + int(by.total_seconds() * 1e6), 0)
    return replace(splits, cuts=cuts, last=last, about=dict(splits.about))


def one_more(splits: Splits) -> Splits:
    """The same with a user and an item before all others, whom nobody knew."""
    users, items = (
        IdMap(pa.concat_arrays([pa.array(["a"]), ids.ids]))
        for ids in (splits.user_ids, splits.item_ids)
    )
    met = np.array([[1.0], [0.0], [0.0]])
    return replace(
        splits, user_ids=users, item_ids=items,
        user_index=np.concatenate([[0], splits.user_index + 1]).astype(np.int32),
        item_index=np.concatenate([[0], splits.item_index + 1]).astype(np.int32),
        weight=np.hstack([met, splits.weight]).astype(np.float32),
        last=np.hstack([met * splits.last.max() - met * 1e12, splits.last]).astype(np.int64),
    )  # fmt: skip


def loss(splits: Splits, model: FactorModel) -> float:
    """How far the scores of what was met before the cut are from 1."""
    aligned = model.align(splits.user_ids, splits.item_ids)
    users, items = splits.user_items("train").weight.nonzero()
    scores = (aligned.user_factors[users] * aligned.item_factors[items]).sum(axis=1)
    return float(((scores - 1) ** 2).mean())


def test_tomorrows_challenger_goes_on_from_todays(tmp_path: Path) -> None:
    lake, today, tomorrow = (
        Lake.open(str(tmp_path / "lake"), "shop"),
        two_tastes(),
        days_later(one_more(two_tastes()), 1),
    )
    config = ALSConfig(factors=4, iterations=9).as_dict()
    first = fit_challenger(lake, today, config, FitEngine(), tmp_path / "first")
    second = fit_challenger(lake, tomorrow, config, FitEngine(), tmp_path / "second")
    assert (first["start"], first["sweeps"], second["start"], second["sweeps"]) == (
        None,
        9,
        first["model"],
        3,
    )
    lineage = FactorModel.load(tmp_path / "second").lineage
    assert (lineage["start"], lineage["sweeps"]) == (first["model"], 3)
    assert lake.read_json("challengers", "20260201T000000Z.json") == {
        "model": second["model"], "before": "2026-01-31T00:00:00Z", "config": config,
    }  # fmt: skip
    model = FactorModel.load(tmp_path / "second")
    assert (
        model.user_ids.ids[0].as_py() == "a" and np.abs(model.user_factors[0]).max() > 0.1
    )  # no longer near zero


def test_three_sweeps_from_yesterday_fit_as_well_as_nine(tmp_path: Path) -> None:
    lake, tomorrow = (
        Lake.open(str(tmp_path / "lake"), "shop"),
        days_later(one_more(two_tastes()), 1),
    )
    config = ALSConfig(factors=8, alpha=1.0, regularization=1.0, iterations=9).as_dict()
    fit_challenger(lake, two_tastes(), config, FitEngine(), tmp_path / "first")
    fit_challenger(lake, tomorrow, config, FitEngine(), tmp_path / "warm")
    fit_stage(lake, tomorrow, "train", config, FitEngine(), tmp_path / "cold")
    fit_stage(lake, tomorrow, "train", {**config, "iterations": 3}, FitEngine(), tmp_path / "short")
    warm, cold, short = (
        loss(tomorrow, FactorModel.load(tmp_path / name)) for name in ("warm", "cold", "short")
    )
    assert abs(warm - cold) < abs(short - cold)


def test_a_rerun_starts_from_where_its_first_run_did(tmp_path: Path) -> None:
    lake, config = Lake.open(str(tmp_path / "lake"), "shop"), {**CONFIG, "iterations": 6}
    days = [days_later(two_tastes(), day) for day in range(3)]
    reports = [
        fit_challenger(lake, day, config, FitEngine(), tmp_path / str(n))
        for n, day in enumerate(days)
    ]
    assert [report["start"] for report in reports] == [
        None,
        reports[0]["model"],
        reports[1]["model"],
    ]
    for number, day in enumerate(days):
        again = fit_challenger(lake, day, config, FitEngine(), tmp_path / f"again-{number}")
        assert (again["model"], again["reused"]) == (reports[number]["model"], True)


def test_a_start_that_does_not_serve_is_passed_over(tmp_path: Path) -> None:
    lake, later = Lake.open(str(tmp_path / "lake"), "shop"), days_later(two_tastes(), 2)
    as_of, cut = later.cuts.as_of, later.cuts.train_end
    first = fit_challenger(lake, two_tastes(), CONFIG, FitEngine(), tmp_path / "first")

    def found(splits: Splits = later, **other: Any) -> str | None:
        start = challengers.find_warm_start(
            lake, splits.cuts.as_of, splits.cuts.train_end, {**CONFIG, **other}
        )
        return start.name if start else None

    assert found(alpha=3.0) == found(solver="implicit") == found() == first["model"]
    assert found(factors=8) is found(solver="spark") is None
    assert (
        challengers.find_warm_start(lake, as_of, cut, {"engine": "popularity", "window": "7d"})
        is None
    )
    assert found(days_later(two_tastes(), -1)) is None  # a backfill of the day before
    assert (
        challengers.find_warm_start(lake, as_of, CUTS.train_end - timedelta(hours=1), CONFIG)
        is None
    )  # it has seen more
    pointer = lake.read_json("challengers", "20260131T000000Z.json")
    lake.write_json(
        {**pointer, "before": "2026-01-29T00:00:00Z"}, "challengers", "20260131T000000Z.json"
    )
    assert found() is None  # the model says that it has seen more than the pointer does
    lake.write_json(pointer, "challengers", "20260131T000000Z.json")
    lake.write(b"", "models", first["model"], "user_factors.npy")
    assert found() is None


def test_a_model_that_has_seen_what_it_will_be_scored_on_is_refused(tmp_path: Path) -> None:
    lake, splits = Lake.open(str(tmp_path / "lake"), "shop"), two_tastes()
    refitted = fit_stage(lake, splits, "refit", CONFIG, FitEngine(), tmp_path / "refit")
    start = challengers.WarmStart(refitted["model"], FactorModel.load(tmp_path / "refit"))
    with pytest.raises(
        ValueError,
        match=r"has seen rows up to 2026-01-31T00:00:00Z, and the train stage ends at 2026-",
    ):
        fit_stage(lake, splits, "train", CONFIG, FitEngine(), tmp_path / "model", start=start)
    assert not (tmp_path / "model").exists()


def test_a_refit_goes_on_from_the_challenger_and_popularity_from_nothing(tmp_path: Path) -> None:
    lake, splits, config = (
        Lake.open(str(tmp_path / "lake"), "shop"),
        two_tastes(),
        {**CONFIG, "iterations": 4},
    )
    first = fit_challenger(lake, splits, config, FitEngine(), tmp_path / "first")
    start = challengers.WarmStart(first["model"], FactorModel.load(tmp_path / "first"))
    report = fit_stage(lake, splits, "refit", config, FitEngine(), tmp_path / "refit", start=start)
    assert (report["start"], report["sweeps"]) == (first["model"], 2)
    popular = {"engine": "popularity", "window": "7d"}
    assert (
        fit_stage(lake, splits, "refit", popular, FitEngine(), tmp_path / "popular", start=start)[
            "start"
        ]
        is None
    )


def test_a_share_of_popularity_is_in_a_column_that_a_start_has_not(tmp_path: Path) -> None:
    lake, splits = Lake.open(str(tmp_path / "lake"), "shop"), two_tastes()
    plain = ALSConfig(factors=4, iterations=3)
    shared = replace(plain, popularity_share=0.5, popularity_half_life=2.0)
    fit_stage(lake, splits, "train", plain.as_dict(), FitEngine(), tmp_path / "plain")
    first = fit_challenger(lake, splits, shared.as_dict(), FitEngine(), tmp_path / "shared")
    without, with_ = (FactorModel.load(tmp_path / name) for name in ("plain", "shared"))
    np.testing.assert_array_equal(with_.user_factors, without.user_factors)
    np.testing.assert_array_equal(without.item_factors[:, 4], np.zeros(20))
    scales = compute_score_scales(
        with_.user_factors[:, :4], compute_gram(with_.item_factors[:, :4])
    )
    np.testing.assert_array_equal(with_.user_factors[:, 4], scales)
    popular = popularity.compute_popularity(splits.user_items("train"), 2.0)
    np.testing.assert_array_equal(with_.item_factors[:, 4], np.float32(0.5) * popular)
    start = challengers.find_warm_start(
        lake, CUTS.as_of + timedelta(days=1), CUTS.as_of, plain.as_dict()
    )
    assert start is not None and start.name == first["model"]
    users, items = start.factors(splits.user_ids, splits.item_ids, plain)
    np.testing.assert_array_equal(users, with_.user_factors[:, :4])
    assert items.shape == (20, 4)


def test_decayed_popularity_counts_users_by_when_they_last_came() -> None:
    weight = csr_matrix(np.array([[9.0, 1, 0], [0, 1, 0], [0, 1, 0]], np.float32))
    user_items = UserItems(weight, np.array([0.0, 2, 4, 6], np.float32))
    np.testing.assert_allclose(
        popularity.compute_popularity(user_items, 2.0), np.array([1, 0.875, 0]) / 0.625, rtol=1e-6
    )  # the mean of the three items is .625
    np.testing.assert_allclose(
        popularity.compute_popularity(user_items, 1e6), [0.75, 2.25, 0], rtol=1e-5
    )
    nobody = UserItems(csr_matrix((2, 2), dtype=np.float32), np.zeros(0, np.float32))
    np.testing.assert_array_equal(popularity.compute_popularity(nobody, 1.0), [0, 0])
    no_items = UserItems(csr_matrix((2, 0), dtype=np.float32), np.zeros(0, np.float32))
    assert popularity.compute_popularity(no_items, 1.0).shape == (0,)


def test_the_twenty_most_popular_items_have_the_mean_1() -> None:
    """Item n is met by n + 1 users; a twenty-first item changes nothing, a better one does."""
    for items, highest in ((20, 10.5), (21, 11.5)):
        met = np.triu(np.ones((items, items), np.float32))
        user_items = UserItems(csr_matrix(met), np.zeros(int(met.sum()), np.float32))
        np.testing.assert_allclose(
            popularity.compute_popularity(user_items, 1.0),
            np.arange(1, items + 1) / highest,
            rtol=1e-6,
        )


def test_expiry_keeps_the_newest_challenger(tmp_path: Path) -> None:
    lake = Lake.open(str(tmp_path / "lake"), "shop")
    days = [days_later(two_tastes(), day) for day in (1, 2)]
    old, new = (
        fit_challenger(lake, day, CONFIG, FitEngine(), tmp_path / f"{n}")
        for n, day in enumerate(days)
    )
    expiry = Expiry(lake, AS_OF + timedelta(days=400), datetime.now(UTC) + timedelta(days=1))
    assert expiry.expire_models(90)["kept"] == {"the newest challenger": 1}
    assert (lake.names("models"), old["model"]) == ([new["model"]], new["start"])
    lake.write_json([], "searches", "20260131T000000Z", "run.json")
    assert expiry.expire_searches(90)["dropped"] == 1


def test_a_models_name_hangs_on_the_words_of_items_and_a_warm_start_knows_new_ones(
    tmp_path: Path,
) -> None:
    lake, plain = Lake.open(str(tmp_path / "lake"), "shop"), two_tastes()
    ids = IdMap(pa.concat_arrays([plain.item_ids.ids, pa.array(["new"])]))
    content = np.ones((21, 1), np.float32)
    today = replace(plain, item_ids=ids, stock=ItemFeatures(content, np.ones(21, np.int64), 1, 1))
    other = replace(today, stock=ItemFeatures(-content, np.ones(21, np.int64), 1, 1))
    reports = [
        fit_challenger(lake, each, CONFIG, FitEngine(), tmp_path / str(n))
        for n, each in enumerate((plain, today))
    ]
    assert (
        fit_stage(lake, other, "train", CONFIG, FitEngine(), tmp_path / "other")["model"]
        != reports[1]["model"]
    )
    assert [report["items"] for report in reports] == [20, 21]
    models = [FactorModel.load(tmp_path / str(n)) for n in range(2)]
    np.testing.assert_array_equal(
        models[0].item_factors, models[1].item_factors[:20]
    )  # the fit is none of its business
    np.testing.assert_array_equal(models[0].user_factors, models[1].user_factors)
    assert models[1].config["fitted_items"] == 20
    tomorrow = days_later(today, 1)
    start = challengers.find_warm_start(lake, tomorrow.cuts.as_of, tomorrow.cuts.train_end, CONFIG)
    assert start is not None
    np.testing.assert_array_equal(
        start.factors(ids, ids, ALSConfig(4))[1][20], models[1].item_factors[20, :4]
    )
    assert (
        fit_challenger(lake, tomorrow, CONFIG, FitEngine(), tmp_path / "warm")["start"]
        == reports[1]["model"]
    )
