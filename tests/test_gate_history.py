from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from dawnlist.components.gate import history
from dawnlist.components.gate.history import GateRecord
from dawnlist.components.gate.judgement import judge_challenger
from dawnlist.cuts import format_iso, format_stamp
from dawnlist.lake.lake import Lake
from dawnlist.pipelines.cli import app
from dawnlist.records import registry
from dawnlist.settings import GateSettings
from dawnlist.store.version_reports import VersionReport
from dawnlist.upkeep.expiry import Expiry
from tests.support.gates import evaluation, past, spread_out
from tests.support.literal import AS_OF


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake.open(str(tmp_path), "shop")


def kept(lake: Lake, *gates: GateRecord) -> list[GateRecord]:
    for gate in gates:
        history.write_gate_record(lake, gate)
    return history.read_recent_gates(lake, AS_OF)


def test_what_was_kept_is_found_newest_first_four_weeks_back(lake: Lake) -> None:
    gates = [past(day) for day in (1, 2, 28, 29)]
    assert kept(lake, *gates, past(0), past(-1)) == gates[:3]
    assert history.read_recent_gates(Lake.open(lake.uri, "other"), AS_OF) == []


def test_a_run_replaces_its_own_and_of_several_the_one_that_passed_counts(lake: Lake) -> None:
    refused: dict[str, Any] = {"passed": False, "winner": "incumbent"}
    first, second, third = (
        past(1, run="a"),
        past(1, run="b", **refused),
        past(1, run="c", **refused),
    )
    assert kept(lake, second, third) == [third]
    assert kept(lake, first) == [first]
    assert kept(lake, second) == [first]
    assert kept(lake, past(1, run="a", **refused))[0].run == "a"  # newest of those that did not
    assert lake.names("gates", format_stamp(AS_OF - timedelta(days=1))) == [
        "a.json",
        "b.json",
        "c.json",
    ]


@pytest.mark.parametrize("damage", [b"", b"{", b"\xff\xfe", b"[]", b'{"as_of": 3}', b"NaN"])
def test_a_damaged_object_is_left_out(lake: Lake, damage: bytes) -> None:
    lake.write(damage, "gates", format_stamp(AS_OF - timedelta(days=1)), "run.json")
    lake.write(b"?", "gates", "notes.txt")
    wrong = past(3).model_dump_json().replace('"total":0.0', '"total":NaN')
    lake.write(wrong.encode(), "gates", format_stamp(AS_OF - timedelta(days=3)), "run.json")
    assert kept(lake, past(2)) == [past(2)]


def test_lift_is_of_what_was_live(lake: Lake) -> None:
    found = {"challenger": 1.5, "incumbent": 1.25}
    gates = [
        past(1).model_copy(update={"lift": found}),
        past(2, passed=False, winner="incumbent").model_copy(update={"lift": found}),
        past(3, winner="popularity"),
        past(4, lift=None),
        past(5, metric="recall"),
        past(6, forced="new shop system"),
        past(7),
    ]
    assert history.collect_live_lifts(gates, "ndcg", 20) == [1.5, 1.25, 1.0, 2.0]


def test_judging_reads_and_leaves_a_history(lake: Lake) -> None:
    users = spread_out(0.1)
    noisy = [value + (0.02 if place % 4 < 2 else -0.02) for place, value in enumerate(users)]
    alone = judge_challenger(lake, evaluation(noisy, users), GateSettings(), AS_OF, "run")
    assert alone.verdict.is_renewal and alone.gates == []
    before = [past(day, users=100_000, error=0.0001) for day in (1, 2)]
    kept(lake, *before)
    found = judge_challenger(lake, evaluation(noisy, users), GateSettings(), AS_OF, "run")
    assert found.verdict.winner == "challenger" and found.gates == before
    assert "passed" in found.markdown and "100,000" in found.page
    tomorrow = AS_OF + timedelta(days=1)
    assert history.read_recent_gates(lake, tomorrow) == [found.today, *before]
    assert found.today.lift == {"challenger": pytest.approx(2.0), "incumbent": pytest.approx(2.0)}
    again = judge_challenger(lake, evaluation(noisy, users), GateSettings(), AS_OF, "run")
    assert again == found  # a retry


def test_the_first_gate_has_no_evidence_and_a_lift(lake: Lake) -> None:
    first = judge_challenger(
        lake, evaluation([0.1] * 100, None), GateSettings(), AS_OF, "run"
    ).today
    assert (first.evidence.users, first.winner) == (0, "challenger")
    assert first.lift == {"challenger": pytest.approx(2.0)}


def test_a_blank_reason_leaves_nothing_behind(lake: Lake) -> None:
    with pytest.raises(ValueError, match="the reason of a forced pass is ''"):
        judge_challenger(lake, evaluation([0.1] * 100, None), GateSettings(), AS_OF, "run", "  ")
    assert lake.names("gates") == []


def test_what_is_live_is_asked_of_the_registry(lake: Lake) -> None:
    report = VersionReport(version=1, run="run-1", token="1-a", as_of=format_iso(AS_OF))
    registry.record_publication(lake, report, {"model": "m", "winner": "challenger", "metrics": {}})
    registry.set_champion(lake, report)
    found = judge_challenger(lake, evaluation([0.1] * 30, [0.1] * 30), GateSettings(), AS_OF, "run")
    assert "is live and not older" in found.verdict.reason


def test_old_gates_expire(lake: Lake) -> None:
    kept(lake, past(1), past(100))
    later = AS_OF + timedelta(days=9000)  # written long before, by the clock
    assert Expiry(lake, AS_OF, later).gates(90)["dropped"] == 1
    assert lake.names("gates") == [format_stamp(AS_OF - timedelta(days=1))]


@pytest.mark.parametrize(("days", "kept_days"), [(1, [28, 29]), (29, [28, 29]), (30, [28, 29, 30])])
def test_the_gates_of_four_weeks_stay_however_few_days_are_kept(
    lake: Lake, days: int, kept_days: list[int]
) -> None:
    """The gate of tomorrow still reads the 28 days before it."""
    kept(lake, past(28), past(29), past(30), past(31))
    later = AS_OF + timedelta(days=9000)
    Expiry(lake, AS_OF, later).gates(days)
    moments = [format_stamp(AS_OF - timedelta(days=day)) for day in reversed(kept_days)]
    assert lake.names("gates") == moments


@pytest.mark.parametrize("reason", ["", " ", "because"])
def test_a_command_that_gives_no_reason_runs_nothing(reason: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="the reason of a forced pass is"):
        app(
            ["run", "--local", "--home", str(tmp_path / "home"), "--force", reason],
            standalone_mode=False,
        )
    assert not (tmp_path / "home").exists()
