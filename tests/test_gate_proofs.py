"""benchmarks/gate.py in small: what the gate lets through and stops over many days, on metrics most of which are 0."""

import importlib
import os
from math import sqrt

import numpy as np
import pytest

from dawnlist.components.gate.evidence import Evidence, weigh_evidence
from dawnlist.settings import GateSettings

benchmark = importlib.import_module("benchmarks.gate")
PROVE = bool(os.environ.get("DAWNLIST_PROVE"))


@pytest.fixture(scope="module")
def days() -> list[object]:
    """Three of four users have no hit; one in ten has another value under the other model."""
    random = np.random.default_rng(1)

    def drawn() -> np.ndarray:
        return np.where(random.random(2000) < 0.75, 0, random.gamma(1, 0.3, 2000))

    found = []
    for _ in range(3):
        used = drawn()
        other = np.where(random.random(2000) < 0.1, drawn(), used)
        found.append(benchmark.Day(used, other, drawn() / 1.3))
    return found


def test_the_best_of_24_equal_models_passes_no_more_often_than_the_interval_says(
    days: list[object],
) -> None:
    rounds = 4000 if PROVE else 200
    passed = benchmark.best_of(days, 500, 24, rounds, seed=1)
    assert np.mean(passed["judged by others"]) <= most(rounds)
    assert np.mean(passed["judged by those who chose, 95%"]) > 0.1


def test_asking_today_and_then_four_weeks_errs_no_more_often_either() -> None:
    random, rounds = np.random.default_rng(1), 4000

    def equal(gates: int) -> Evidence:
        return Evidence(500 * gates, random.normal(0, sqrt(gates)), gates, 50.0 * gates)

    answers = [
        weigh_evidence(today := equal(1), today + equal(27), 0.0, 20)[0] for _ in range(rounds)
    ]
    assert 0.01 < np.mean([answer is True for answer in answers]) <= most(rounds)


def most(rounds: int) -> float:
    """What a share that is 2.5% hardly ever exceeds."""
    return 0.025 + 3 * sqrt(0.025 * 0.975 / rounds)


@pytest.mark.parametrize("users", [500, 5000])
def test_models_each_half_a_percent_worse_are_stopped(days: list[object], users: int) -> None:
    chained = benchmark.courses(days, users, 5 if PROVE else 2, worse=0.005, chained=True)
    assert all(one.stops and one.loss < 0.05 for one in chained)  # 26% if all went live
    unjudged = benchmark.course(
        benchmark.Line(days, users, np.random.default_rng(1), GateSettings(margin=0.99)), 0.005, 3
    )
    assert unjudged.loss == pytest.approx(1 - 0.995**3)


def test_equally_good_models_go_live_in_a_shop_of_some_size(days: list[object]) -> None:
    found = benchmark.courses(days, 20_000, 5 if PROVE else 1, worse=0.0)
    assert np.mean([one.passed for one in found]) > 0.9 * benchmark.LENGTH
