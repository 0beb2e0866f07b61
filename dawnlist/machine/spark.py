"""A Spark session by URL: on this machine, in processes of its own, or on a cluster. One at a time, as Spark has it."""

import atexit
import os
import re
import socket
import subprocess
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import urlsplit

from dawnlist.machine.spark_jvm import launch_spark_session
from dawnlist.machine.spark_url import (
    classify_spark_url,
)

if TYPE_CHECKING:  # a second, and not everybody has it
    from pyspark.sql import SparkSession

JAVA_VERSIONS: Final = ("17", "21")
SPARK_CONNECT_PORT: Final = 15002
_SESSION_OPTIONS: Final = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.caseSensitive": "true",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "200000",  # a partition of createDataFrame is a batch
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
}
_running: "tuple[str, SparkSession, ExitStack] | None" = None


def open_spark_session(url: str) -> "SparkSession":
    """The running session of this URL, or a new one; a session of another URL is stopped first.

    Its time zone is UTC and columns' names are case-sensitive. What was started for it (a JVM, executors, a folder)
    ends with `stop`, or with the process. ValueError for what is no URL of Spark; RuntimeError in one line when
    pyspark, Java 17 or 21, or the server is missing.
    """
    global _running
    kind = classify_spark_url(url)
    if _running and _running[0] == url:
        return _running[1]
    stop_spark_session()
    if why := describe_missing_spark(url):
        raise RuntimeError(f"Spark was asked for at {url!r}: {why}")
    with ExitStack() as stack:
        if kind in ("sc", "spark"):
            _check_reachable(url)
        spark = (
            _connect_session(url, stack) if kind == "sc" else launch_spark_session(url, kind, stack)
        )
        for name, value in _SESSION_OPTIONS.items():
            spark.conf.set(name, value)
        _running = url, spark, stack.pop_all()
    return spark


@atexit.register
def stop_spark_session() -> None:
    """End the running session and what was started for it; without one, nothing."""
    global _running
    if _running:
        (_, _, stack), _running = _running, None
        stack.close()


def describe_missing_spark(url: str) -> str:
    """What this machine lacks for a session of the URL, and the command that helps; empty when it lacks nothing.

    A Spark Connect server has its own Java.
    """
    if find_spec("pyspark") is None:
        return "pyspark is not installed: pip install 'dawnlist[spark]'"
    if classify_spark_url(url) == "sc":
        return ""
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home, "bin", "java")) if home else "java"
    try:
        told = subprocess.run(
            [java, "-version"], capture_output=True, text=True, check=False
        ).stderr
    except OSError:
        found = f"there is no {java}" if home else "there is no java on the PATH, and no JAVA_HOME"
    else:
        version = re.search(r'version "(\d+)', told)
        if version and version[1] in JAVA_VERSIONS:
            return ""
        found = f"{java} is Java {version[1] if version else 'of an unknown version'}"
    return f"{found}, and Spark needs Java {' or '.join(JAVA_VERSIONS)}: apt-get install openjdk-17-jre-headless"


def _connect_session(url: str, stack: ExitStack) -> "SparkSession":
    from pyspark.sql import SparkSession

    stack.callback(os.environ.pop, "SPARK_CONNECT_MODE_ENABLED", None)  # pyspark leaves it set
    spark = SparkSession.builder.remote(url).getOrCreate()
    stack.callback(spark.stop)
    return spark


def _check_reachable(url: str) -> None:
    """ConnectionError in one line when nothing listens there; Spark itself tries for minutes."""
    place = urlsplit(url)
    try:
        socket.create_connection(
            (cast(str, place.hostname), place.port or SPARK_CONNECT_PORT), timeout=10
        ).close()
    except OSError as error:
        raise ConnectionError(
            f"no Spark answers at {url!r} ({error}): start one (docs/SPARK.md)"
        ) from None
