"""A Spark session by URL: on this machine, in processes of its own, or on a cluster. One at a time, as Spark has it."""

import atexit
import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from importlib.util import find_spec
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, cast
from urllib.parse import urlsplit

from components.urls import masked

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
    if kind == "local-cluster" and _numbers(url)[2] < LEAST_MEGABYTES:
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
        spark = _connected(url, stack) if kind == "sc" else _launched(url, kind, stack)
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

    _reach(url, CONNECT_PORT)
    stack.callback(os.environ.pop, "SPARK_CONNECT_MODE_ENABLED", None)  # pyspark leaves it set
    spark = SparkSession.builder.remote(url).getOrCreate()
    stack.callback(spark.stop)
    return spark


def _launched(url: str, kind: str, stack: ExitStack) -> "SparkSession":
    from py4j.protocol import Py4JError
    from pyspark import SparkConf, SparkContext
    from pyspark.errors import PySparkRuntimeError
    from pyspark.java_gateway import launch_gateway
    from pyspark.sql import SparkSession

    if kind == "spark":
        _reach(url)
    folder = Path(
        stack.enter_context(tempfile.TemporaryDirectory(prefix="dawnlist-spark-", ignore_cleanup_errors=True))
    )
    log = stack.enter_context((folder / "log").open("w+"))  # the JVM says much before it can be told to be quiet
    conf = SparkConf(loadDefaults=False).setAll(list(_conf(url, kind, folder).items()))
    try:
        with _undisturbed(_environment(kind, folder)):
            gateway = launch_gateway(conf, {"stderr": log})  # type: ignore[no-untyped-call]
            stack.callback(_end, gateway)
            context = SparkContext(conf=conf, gateway=gateway)
            stack.callback(context.stop)
            spark = SparkSession(context)
            stack.callback(spark.stop)
            return spark
    except (Py4JError, PySparkRuntimeError) as error:
        raise RuntimeError(f"Spark did not start at {url!r}: {_reason(error, log)}") from None


def _conf(url: str, kind: str, folder: Path) -> dict[str, str]:
    """What is said of a session when it starts; for the rest there is SPARK_CONF_DIR/spark-defaults.conf."""
    conf = {
        "spark.master": url,
        "spark.app.name": "dawnlist",
        "spark.log.level": "ERROR",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        "spark.driver.maxResultSize": "0",  # factors of many users are more than the 1 GB that it allows
    }
    if kind not in ("local", "local-cluster"):
        return conf
    cores = _cores(url, kind)
    conf |= {
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.memory": f"{_megabytes() // 2}m",
        "spark.local.dir": str(folder / "local"),
        "spark.checkpoint.dir": str(folder / "checkpoints"),
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.sql.shuffle.partitions": str(2 * cores),
    }
    if kind == "local-cluster":
        conf["spark.executor.memory"] = f"{_numbers(url)[2]}m"  # else 1 GB, which a smaller worker refuses
    return conf


def _environment(kind: str, folder: Path) -> dict[str, str]:
    if kind not in ("local", "local-cluster"):
        return {}
    import pyspark

    home = folder / "home"  # executors of a local cluster write below it: not into the installed package
    home.mkdir()
    for path in Path(pyspark.__file__).parent.iterdir():
        (home / path.name).symlink_to(path)
    loopback = {"SPARK_LOCAL_IP": "127.0.0.1", "SPARK_LOCAL_HOSTNAME": "127.0.0.1"}
    return {"SPARK_HOME": str(home), "PYSPARK_PYTHON": sys.executable, **loopback}


@contextlib.contextmanager
def _undisturbed(environment: dict[str, str]) -> Iterator[None]:
    """Environment variables for the body; Ctrl-C and the path of modules stay as they are, which Spark changes."""
    variables = {name: os.environ.get(name) for name in environment}
    path, handler = list(sys.path), signal.getsignal(signal.SIGINT)
    os.environ.update(environment)
    try:
        yield
    finally:
        sys.path[:] = path
        with contextlib.suppress(ValueError):  # not the main thread, where Spark has not touched it
            signal.signal(signal.SIGINT, handler)
        for name, value in variables.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _end(gateway: Any) -> None:
    """End the JVM, which `SparkContext.stop` leaves running."""
    from pyspark import SparkContext

    gateway.shutdown()
    gateway.proc.stdin.close()  # at its end the JVM goes
    try:
        gateway.proc.wait(30)
    except subprocess.TimeoutExpired:
        gateway.proc.kill()
        gateway.proc.wait()
    SparkContext._gateway = SparkContext._jvm = None


def _reason(error: Exception, log: IO[str]) -> str:
    java = getattr(error, "java_exception", None)
    if java is not None:
        return str(java.getMessage()).splitlines()[0]
    log.seek(0)
    said = [line for line in log.read().splitlines() if line.strip()]
    return f"the JVM ended with {said[-1]!r}" if said else "the JVM ended without a word"


def _reach(url: str, port: int | None = None) -> None:
    """ConnectionError in one line when nothing listens there; Spark itself tries for minutes."""
    place = urlsplit(url)
    try:
        socket.create_connection((place.hostname, cast(int, place.port or port)), timeout=10).close()
    except OSError as error:
        raise ConnectionError(f"no Spark answers at {url!r} ({error}): start one (docs/SPARK.md)") from None


def _numbers(url: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", url)]


def _cores(url: str, kind: str) -> int:
    if kind == "local-cluster":
        executors, cores, _ = _numbers(url)
        return executors * cores
    return next(iter(_numbers(url)), len(os.sched_getaffinity(0)))


def _megabytes() -> int:
    """What this machine or container has of memory."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for file in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):  # another version of cgroups, or `max`
            limits.append(int(Path(file).read_text()))
    return min(limits) // 2**20
