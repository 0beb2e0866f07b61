"""Versions switch, publishers and predictors die, and nobody who asks gets a mixed, an empty or no answer."""

import os
import random
import signal
import time

import pytest

from dawnlist.store import versions
from dawnlist.store.client import connect_store
from tests.support.faults import Shop, flip, hammered, reaches, ready, served, wait
from tests.support.load import as_of, number
from tests.support.published import metric
from tests.support.threads import meanwhile

PROVE = "DAWNLIST_PROVE" in os.environ
SWITCHES = 200 if PROVE else 12
LADDER = {"list", "popular", "fold_in"}


@pytest.mark.timeout(600)
def test_switches_and_rollbacks_under_load(hurt: Shop) -> None:
    taken = []
    with hammered(hurt.url) as load:
        for step in range(SWITCHES):
            n = hurt.rollback() if step % 4 == 3 else hurt.publish()
            taken.append(reaches(hurt.url, n))
    slowest, middle = max(taken), sorted(taken)[len(taken) // 2]
    load.passed(
        f"{SWITCHES} switches, followed after {middle:.2f} s, the slowest after {slowest:.2f} s"
    )
    assert middle < (1 if PROVE else 3)  # seconds, of a busy machine
    assert load["versions"] > SWITCHES / 2 and load["tiers"].keys() <= LADDER


def test_switches_that_nobody_waits_for(hurt: Shop) -> None:
    """Versions come and go faster than they can be loaded; the last one is served soon."""
    with hammered(hurt.url) as load:
        for _ in range(SWITCHES // 3):
            hurt.publish()
            hurt.publish()
            n = hurt.rollback()
        took = reaches(hurt.url, n)
    load.passed(f"{SWITCHES} switches in a row, the last one followed after {took:.2f} s")
    assert load["tiers"].keys() <= LADDER


POINTS = ["begun", "writing", "written", "verified", "switched", "dropping"]


@pytest.mark.parametrize("point", POINTS if PROVE else POINTS[1::2])
def test_a_publisher_that_is_killed_under_load(hurt: Shop, point: str) -> None:
    """The same run finishes what it left; nobody has seen anything of a version that is not whole."""
    n, went_live = hurt.n + 1, point in POINTS[-2:]
    with hammered(hurt.url) as load:
        hurt.killed_publish(n, f"run-{n}", point)
        if went_live:
            reaches(hurt.url, n)
        else:
            time.sleep(0.3)
            assert served(hurt.url) == n - 1
        assert hurt.publish() == n
        reaches(hurt.url, n)
    load.passed(f"a publisher killed at {point!r}, and its run again")
    with connect_store(hurt.store.url) as client:
        live = versions.read_active_version(client, "shop")
        assert live and live.as_of == as_of(n)
        hurt.publish()
        assert not client.exists("dawnlist:{shop}:building")
        tokens = {key.split(b":")[2] for key in client.scan_iter("dawnlist:shop:*")}
        assert tokens == {
            version.token.encode() for version in versions.list_versions(client, "shop")
        }


def test_publishers_that_are_killed_at_random(hurt: Shop) -> None:
    """Each run is killed some times and another one follows; what was left is gone at the end."""
    rng, kills = random.Random(1), 100 if PROVE else 6
    with hammered(hurt.url) as load:
        for attempt in range(kills):
            hurt.killed_publish(
                hurt.n + 1, f"run-{hurt.n + 1}-{attempt % 3}", str(rng.uniform(0.01, 0.12))
            )
            hurt.n = active(hurt)  # it may have been quicker
            if attempt % 5 == 4:
                reaches(hurt.url, hurt.publish())
        reaches(hurt.url, hurt.publish())
    load.passed(f"{kills} publishers killed at random")
    with connect_store(hurt.store.url) as client:
        hurt.publish()
        tokens = {key.split(b":")[2] for key in client.scan_iter("dawnlist:shop:*")}
        assert tokens == {
            version.token.encode() for version in versions.list_versions(client, "shop")
        }


def active(shop: Shop) -> int:
    return number(shop.meta()["as_of"])


def switch(shop: Shop) -> None:
    """Two versions are published and one of them is rolled back."""
    shop.publish()
    time.sleep(0.1)
    shop.publish()
    shop.rollback()
    time.sleep(0.1)


@pytest.mark.timeout(600)
def test_a_predictor_that_is_killed_and_started_with_everything_against_it(hurt: Shop) -> None:
    """Killed while versions switch, started while the store is away and then with a broken version; all is well as soon
    as there is a sound one, among others that come and go.
    """
    away = (
        hurt.store.paused if PROVE else hurt.store.stopped
    )  # a store that hangs is waited for 10 s
    with hammered(hurt.url) as load:
        for _ in range(3 if PROVE else 1):
            with meanwhile(lambda: switch(hurt)):
                assert hurt.predictor.end(signal.SIGKILL) == -signal.SIGKILL
            with connect_store(hurt.store.url) as client:
                hurt.publish(lambda token: flip(client, f"dawnlist:shop:{token}:f:0"))
            with away():
                hurt.predictor.begin()
                hurt.predictor.awaited()
                assert (served(hurt.url), ready(hurt.url)) == (0, False)
            wait(lambda: metric(hurt.url, "dawnlist_corrupt_total", what="version") > 0)
            assert (served(hurt.url), ready(hurt.url)) == (0, False)
            with meanwhile(lambda: switch(hurt)):
                took = wait(lambda: ready(hurt.url))
                time.sleep(0.5)
            last = wait(lambda: served(hurt.url) == active(hurt))
    load.passed(
        f"killed and started, ready {took:.2f} s after a sound version, the last followed after {last:.2f} s",
        *("refused", "closed", "cut"),
    )
    assert load["tiers"].keys() <= {*LADDER, "static"}


def test_a_predictor_that_is_told_to_end_finishes_its_answers(hurt: Shop) -> None:
    with hammered(hurt.url) as load:
        time.sleep(0.5)
        assert hurt.predictor.end(signal.SIGTERM) in (0, -signal.SIGTERM)
    load.passed("told to end", "refused")
