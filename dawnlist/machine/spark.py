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

from dawnlist.machine.spark_jvm import launched, numbers
from dawnlist.urls import masked

if TYPE_CHECKING:  # a second, and not everybody has it
    from pyspark.sql import SparkSession

JAVA: Final = ("17", "21")
CONNECT_PORT: Final = 15002
TOKEN: Final = "SPARK_CONNECT_AUTHENTICATE_TOKEN"
LEAST_MEGABYTES: Final = 512
"""An executor with less heap does not start."""
_KINDS: Final = {
    "local": r"local\[(\*|[1-9]\d*)\]",
    "local-cluster": r"local-cluster\[([1-9]\d*),([1-9]\d*),([1-9]\d*)\]",
    "spark": r"spark://[\w.-]+:\d+",
    "k8s": r"k8s://\S+",
    "sc": r"sc://[\w.-]+(:\d+)?(/(;\S*)?)?",
}
_SQL: Final = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.caseSensitive": "true",
    "spark.sql.execution.arrow.pyspark.enabled": "true",
    "spark.sql.execution.arrow.maxRecordsPerBatch": "200000",  # a partition of createDataFrame is a batch
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
}
_running: "tuple[str, SparkSession, ExitStack] | None" = None


def kind_of(url: str) -> str:
    """`local`, `local-cluster`, `spark`, `k8s` or `sc`; ValueError for what is no URL of Spark or holds a token."""
    if masked(url) != url:
        raise ValueError(f"{masked(url)!r} holds a token, which would end up in logs: set {TOKEN} instead")
    kind = next((kind for kind, pattern in _KINDS.items() if re.fullmatch(pattern, url)), None)
    if kind is None:
        raise ValueError(
            f"Spark's URL is {url!r}: give local[CORES], local[*], local-cluster[EXECUTORS,CORES,MEGABYTES], "
            "spark://HOST:7077, k8s://https://HOST:443 or sc://HOST:15002"
        )
    if kind == "local-cluster" and numbers(url)[2] < LEAST_MEGABYTES:
        raise ValueError(f"Spark's URL is {url!r}: give an executor at least {LEAST_MEGABYTES} megabytes")
    return kind


def session(url: str) -> "SparkSession":
    """The running session of this URL, or a new one; a session of another URL is stopped first.

    Its time zone is UTC and columns' names are case-sensitive. What was started for it (a JVM, executors, a folder)
    ends with `stop`, or with the process. ValueError for what is no URL of Spark; RuntimeError in one line when
    pyspark, Java 17 or 21, or the server is missing.
    """
    global _running
    kind = kind_of(url)
    if _running and _running[0] == url:
        return _running[1]
    stop()
    if why := missing(url):
        raise RuntimeError(f"Spark was asked for at {url!r}: {why}")
    with ExitStack() as stack:
        if kind in ("sc", "spark"):
            _reach(url)
        spark = _connected(url, stack) if kind == "sc" else launched(url, kind, stack)
        for name, value in _SQL.items():
            spark.conf.set(name, value)
        _running = url, spark, stack.pop_all()
    return spark


@atexit.register
def stop() -> None:
    """End the running session and what was started for it; without one, nothing."""
    global _running
    if _running:
        (_, _, stack), _running = _running, None
        stack.close()


def missing(url: str) -> str:
    """What this machine lacks for a session of the URL, and the command that helps; empty when it lacks nothing.

    A Spark Connect server has its own Java.
    """
    if find_spec("pyspark") is None:
        return "pyspark is not installed: pip install 'dawnlist[spark]'"
    if kind_of(url) == "sc":
        return ""
    home = os.environ.get("JAVA_HOME")
    java = str(Path(home, "bin", "java")) if home else "java"
    try:
        told = subprocess.run([java, "-version"], capture_output=True, text=True, check=False).stderr
    except OSError:
        found = f"there is no {java}" if home else "there is no java on the PATH, and no JAVA_HOME"
    else:
        version = re.search(r'version "(\d+)', told)
        if version and version[1] in JAVA:
            return ""
        found = f"{java} is Java {version[1] if version else 'of an unknown version'}"
    return f"{found}, and Spark needs Java {' or '.join(JAVA)}: apt-get install openjdk-17-jre-headless"


def _connected(url: str, stack: ExitStack) -> "SparkSession":
    from pyspark.sql import SparkSession

    stack.callback(os.environ.pop, "SPARK_CONNECT_MODE_ENABLED", None)  # pyspark leaves it set
    spark = SparkSession.builder.remote(url).getOrCreate()
    stack.callback(spark.stop)
    return spark


def _reach(url: str) -> None:
    """ConnectionError in one line when nothing listens there; Spark itself tries for minutes."""
    place = urlsplit(url)
    try:
        socket.create_connection((cast(str, place.hostname), place.port or CONNECT_PORT), timeout=10).close()
    except OSError as error:
        raise ConnectionError(f"no Spark answers at {url!r} ({error}): start one (docs/SPARK.md)") from None
