"""A Spark session whose driver is a JVM that this process starts, and ends whole."""

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from dawnlist.machine.cpu_cores import count_cores
from dawnlist.machine.spark_url import parse_url_numbers

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def launch_spark_session(url: str, kind: str, stack: ExitStack) -> "SparkSession":
    """A session whose driver is a JVM of this process; `stack` ends it. RuntimeError when it does not start."""
    from py4j.protocol import Py4JError
    from pyspark import SparkConf, SparkContext
    from pyspark.errors import PySparkRuntimeError
    from pyspark.java_gateway import launch_gateway
    from pyspark.sql import SparkSession

    folder = Path(
        stack.enter_context(
            tempfile.TemporaryDirectory(prefix="dawnlist-spark-", ignore_cleanup_errors=True)
        )
    )
    log = stack.enter_context(
        (folder / "log").open("w+")
    )  # the JVM says much before it can be told to be quiet
    conf = SparkConf(loadDefaults=False).setAll(list(_build_conf(url, kind, folder).items()))
    try:
        with _scoped_environment(_build_environment(kind, folder)):
            gateway = launch_gateway(conf, {"stderr": log})  # type: ignore[no-untyped-call]
            stack.callback(_stop_jvm, gateway)
            context = SparkContext(conf=conf, gateway=gateway)
            stack.callback(context.stop)
            spark = SparkSession(context)
            stack.callback(spark.stop)
            return spark
    except (Py4JError, PySparkRuntimeError) as error:
        raise RuntimeError(
            f"Spark did not start at {url!r}: {_explain_failure(error, log)}"
        ) from None


def _build_conf(url: str, kind: str, folder: Path) -> dict[str, str]:
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
    cores = _count_session_cores(url, kind)
    conf |= {
        "spark.driver.host": "127.0.0.1",
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.memory": f"{_measure_total_megabytes() // 2}m",
        "spark.local.dir": str(folder / "local"),
        "spark.checkpoint.dir": str(folder / "checkpoints"),
        "spark.sql.warehouse.dir": str(folder / "warehouse"),
        "spark.sql.shuffle.partitions": str(2 * cores),
    }
    if kind == "local-cluster":
        conf["spark.executor.memory"] = (
            f"{parse_url_numbers(url)[2]}m"  # else 1 GB, which a smaller worker refuses
        )
    return conf


def _build_environment(kind: str, folder: Path) -> dict[str, str]:
    if kind not in ("local", "local-cluster"):
        return {}
    import pyspark

    home = (
        folder / "home"
    )  # executors of a local cluster write below it: not into the installed package
    home.mkdir()
    for path in Path(pyspark.__file__).parent.iterdir():
        (home / path.name).symlink_to(path)
    loopback = {"SPARK_LOCAL_IP": "127.0.0.1", "SPARK_LOCAL_HOSTNAME": "127.0.0.1"}
    return {"SPARK_HOME": str(home), "PYSPARK_PYTHON": sys.executable, **loopback}


@contextlib.contextmanager
def _scoped_environment(environment: dict[str, str]) -> Iterator[None]:
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


def _stop_jvm(gateway: Any) -> None:
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


def _explain_failure(error: Exception, log: IO[str]) -> str:
    java = getattr(error, "java_exception", None)
    if java is not None:
        return str(java.getMessage()).splitlines()[0]
    log.seek(0)
    said = [line for line in log.read().splitlines() if line.strip()]
    return f"the JVM ended with {said[-1]!r}" if said else "the JVM ended without a word"


def _count_session_cores(url: str, kind: str) -> int:
    if kind == "local-cluster":
        executors, cores, _ = parse_url_numbers(url)
        return executors * cores
    return next(iter(parse_url_numbers(url)), count_cores())


def _measure_total_megabytes() -> int:
    """What this machine or container has of memory."""
    limits = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for file in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        with contextlib.suppress(OSError, ValueError):  # another version of cgroups, or `max`
            limits.append(int(Path(file).read_text()))
    return min(limits) // 2**20
