"""Sessions of each kind, really started: in this process's JVM, with executors of their own, and by Spark Connect."""

import os
import signal
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from dawnlist.als.engine import FitEngine
from dawnlist.als.training import fit_als
from dawnlist.machine import spark
from dawnlist.machine.spark import describe_missing_spark, open_spark_session, stop_spark_session
from dawnlist.machine.spark_url import classify_spark_url
from dawnlist.model.config import ALSConfig
from dawnlist.settings import Settings
from tests.support.servers import free_port
from tests.support.spark_sessions import connect_server, needs_spark
from tests.test_solver import checkerboard

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

TWO = "local-cluster[2,1,512]"
NOON = datetime(2026, 1, 31, 12, tzinfo=UTC)
TABLE = pa.table(
    {
        "a": [1, 2, 3],
        "A": ["x", "y", None],
        "time": pa.array([NOON, NOON, None], pa.timestamp("us", "UTC")),
    }
)


def test_the_kinds_of_urls() -> None:
    urls = [
        "local[*]",
        "local[2]",
        TWO,
        "spark://host:7077",
        "k8s://https://host:443",
        "sc://host",
        "sc://h:1/;use_ssl=true",
    ]
    assert [classify_spark_url(url) for url in urls] == [
        "local",
        "local",
        "local-cluster",
        "spark",
        "k8s",
        "sc",
        "sc",
    ]


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("yarn", r"Spark's URL is 'yarn': give local\[CORES\], "),
        ("local[0]", r"Spark's URL is 'local\[0\]': give local"),
        ("spark://host", "Spark's URL is 'spark://host': give local"),
        ("local-cluster[2,1,256]", "give an executor at least 512 megabytes"),
        (
            "sc://host:15002/;token=abcdef",
            r"'sc://host:15002/;token=\*\*\*' holds a token.* set SPARK_CONNECT_AUTH",
        ),
    ],
)
def test_what_is_no_url_is_refused_in_one_line(url: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=message) as error:
        classify_spark_url(url)
    assert "\n" not in str(error.value)
    (tmp_path / "settings.yaml").write_text(f"engines: {{spark: '{url}'}}")
    with pytest.raises(ValueError, match=r"engines\.spark is") as error:
        Settings.load(str(tmp_path / "settings.yaml"))
    assert "abcdef" not in str(error.value)


def test_what_is_missing_is_said_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install = "and Spark needs Java 17 or 21: apt-get install openjdk-17-jre-headless"
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert (
        describe_missing_spark("local[1]")
        == f"there is no java on the PATH, and no JAVA_HOME, {install}"
    )
    assert describe_missing_spark("sc://host") == ""  # the server has its own
    java = tmp_path / "java"
    java.write_text("#!/bin/sh\necho 'openjdk version \"11.0.2\" 2019-01-15' >&2\n")
    java.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    assert describe_missing_spark("local[1]") == f"java is Java 11, {install}"
    stop_spark_session()  # what other tests left: it would be given, whatever is missing
    with pytest.raises(RuntimeError, match="Spark was asked for at 'local"):
        open_spark_session("local[1]")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path))
    assert describe_missing_spark("local[1]") == f"there is no {tmp_path}/bin/java, {install}"
    monkeypatch.setattr(spark, "find_spec", lambda name: None)
    assert (
        describe_missing_spark("sc://host")
        == "pyspark is not installed: pip install 'dawnlist[spark]'"
    )


def test_a_fit_without_pyspark_says_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    stop_spark_session()
    for name in ("pyspark", "pyspark.ml.recommendation"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(
        RuntimeError, match=r"Spark was asked for at .*: pyspark is not installed: pip install"
    ):
        fit_als(checkerboard(), ALSConfig(2, iterations=1, solver="spark"))


@pytest.mark.parametrize("scheme", ["sc", "spark"])
@needs_spark
def test_a_server_that_is_not_there_is_one_line(scheme: str) -> None:
    url = f"{scheme}://127.0.0.1:{free_port()}"
    with pytest.raises(
        ConnectionError, match=f"no Spark answers at '{url}' .*Connection refused.* start one"
    ):
        open_spark_session(url)


@needs_spark
@pytest.mark.usefixtures("quick_java")
def test_a_local_cluster_then_spark_connect_and_nothing_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    before = surroundings()
    with connect_server() as url:
        cluster = open_spark_session(TWO)
        assert open_spark_session(TWO) is cluster
        takes_and_gives_arrow(cluster)
        running = processes(cluster, 2)
        assert len(running) == 2
        there = open_spark_session(url)  # and so the cluster is stopped
        assert {pid for pid in running if Path(f"/proc/{pid}/exe").exists()} == set()
        takes_and_gives_arrow(there)
        users, items = fit_als(
            checkerboard(),
            ALSConfig(2, 0.05, 20, iterations=3, solver="spark"),
            engine=FitEngine(spark_url=url),
        )
        board = np.indices((40, 40)).sum(axis=0) % 2 == 0
        assert ((users @ items.T > 0.5) == board).all()  # the held-out diagonal too
        stop_spark_session()
        stop_spark_session()
        assert surroundings() == before


def takes_and_gives_arrow(running: "SparkSession") -> None:
    """Columns whose names differ in case, and times, which are in UTC."""
    shown = running.createDataFrame(TABLE).selectExpr(
        "a", "A", "time", "cast(time AS string) AS text"
    )
    expected = TABLE.append_column(
        "text", pa.array(["2026-01-31 12:00:00", "2026-01-31 12:00:00", None])
    )
    assert shown.toArrow().sort_by("a").to_pylist() == expected.to_pylist()


def processes(running: "SparkSession", count: int) -> set[str]:
    """The ids of the processes in which tasks run, asked until there are as many; executors come one by one."""
    found: set[str] = set()
    deadline = time.monotonic() + 120
    while len(found) < count and time.monotonic() < deadline:
        asked = running.range(0, 8, 1, 8).selectExpr(
            "java_method('java.lang.ProcessHandle', 'current') AS pid"
        )
        found |= set(asked.toArrow()["pid"].to_pylist())
    return found


def surroundings() -> list[Any]:
    """What a session could leave otherwise than it was."""
    variables = {name for name in os.environ if "SPARK" in name} - {
        "SPARK_AUTH_SOCKET_TIMEOUT",
        "SPARK_BUFFER_SIZE",
    }
    files = sorted(Path(tempfile.gettempdir()).iterdir())
    return [variables, files, list(sys.path), signal.getsignal(signal.SIGINT)]
