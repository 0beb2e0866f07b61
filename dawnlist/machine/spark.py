"""Spark sessions by URL: on this machine, in processes of their own, or on a cluster.

A process has one session at a time, as Spark requires.
"""

import atexit
import os
import re
import socket
import subprocess
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import urlsplit

from dawnlist.machine.spark_jvm import launch_spark_session
from dawnlist.machine.spark_url import classify_spark_url

if TYPE_CHECKING:  # pyspark takes a second to import, and it is an optional dependency.
    from pyspark.sql import SparkSession

JAVA_VERSIONS: Final = ("17", "21")
"""The versions of Java that Spark runs on."""
SPARK_CONNECT_PORT: Final = 15002
"""The port of a Spark Connect server whose URL has none."""
_SESSION_OPTIONS: Final = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.caseSensitive": "true",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    # Each partition of createDataFrame is one batch.
    "spark.sql.execution.arrow.maxRecordsPerBatch": "200000",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
}


@dataclass(frozen=True)
class RunningSession:
    """The session of this process, and what must end with it."""

    url: str
    spark: "SparkSession"
    resources: ExitStack


_running: RunningSession | None = None


def open_spark_session(url: str) -> "SparkSession":
    """Return the running session of this URL, or start one. A session of another URL is stopped.

    Its time zone is UTC, and names of columns are case-sensitive. What was started for it (a JVM,
    executors, a folder) ends with `stop_spark_session`, or with the process.

    Raises:
        ConnectionError: No server answers at the URL.
        RuntimeError: pyspark or Java is missing, or the session does not start.
        ValueError: The URL is none of Spark's.
    """
    global _running
    kind = classify_spark_url(url)
    if _running is not None and _running.url == url:
        return _running.spark
    stop_spark_session()
    problem = describe_missing_spark(url)
    if problem:
        raise RuntimeError(f"Spark was asked for at {url!r}: {problem}")
    with ExitStack() as stack:
        spark = _start_session(url, kind, stack)
        for name, value in _SESSION_OPTIONS.items():
            spark.conf.set(name, value)
        _running = RunningSession(url, spark, stack.pop_all())
    return spark


def _start_session(url: str, kind: str, stack: ExitStack) -> "SparkSession":
    """Start a session of a kind that `classify_spark_url` returns. Closing `stack` ends it."""
    if kind in ("sc", "spark"):
        _check_reachable(url)
    if kind == "sc":
        return _connect_session(url, stack)
    return launch_spark_session(url, kind, stack)


@atexit.register
def stop_spark_session() -> None:
    """End the running session and what was started for it. Without a session, do nothing."""
    global _running
    if _running is not None:
        resources = _running.resources
        _running = None
        resources.close()


def describe_missing_spark(url: str) -> str:
    """Say what this machine lacks for a session of the URL, with the command that installs it.

    The text is empty when nothing is missing. A Spark Connect server has its own Java.
    """
    if find_spec("pyspark") is None:
        return "pyspark is not installed: pip install 'dawnlist[spark]'"
    if classify_spark_url(url) == "sc":
        return ""
    problem = _describe_missing_java()
    if not problem:
        return ""
    versions = " or ".join(JAVA_VERSIONS)
    return f"{problem}, and Spark needs Java {versions}: apt-get install openjdk-17-jre-headless"


def _describe_missing_java() -> str:
    """Say what is wrong with the machine's Java; an empty text when it is a version for Spark."""
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home, "bin", "java")) if home else "java"
    try:
        process = subprocess.run([java, "-version"], capture_output=True, text=True, check=False)
    except OSError:
        if home:
            return f"there is no {java}"
        return "there is no java on the PATH, and no JAVA_HOME"
    match = re.search(r'version "(\d+)', process.stderr)
    if match is None:
        return f"{java} is Java of an unknown version"
    if match[1] in JAVA_VERSIONS:
        return ""
    return f"{java} is Java {match[1]}"


def _connect_session(url: str, stack: ExitStack) -> "SparkSession":
    from pyspark.sql import SparkSession

    # pyspark sets this variable and leaves it set.
    stack.callback(os.environ.pop, "SPARK_CONNECT_MODE_ENABLED", None)
    spark = SparkSession.builder.remote(url).getOrCreate()
    stack.callback(spark.stop)
    return spark


def _check_reachable(url: str) -> None:
    """Raise ConnectionError when nothing listens at the URL. Spark itself would try for minutes."""
    address = urlsplit(url)
    host = cast(str, address.hostname)
    port = address.port or SPARK_CONNECT_PORT
    try:
        socket.create_connection((host, port), timeout=10).close()
    except OSError as error:
        raise ConnectionError(
            f"no Spark answers at {url!r} ({error}): start one (docs/SPARK.md)"
        ) from None
