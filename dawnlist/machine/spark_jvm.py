"""A Spark session whose driver is a JVM that this process starts, and ends completely."""

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

from dawnlist.machine.cgroups import read_memory_limits
from dawnlist.machine.cpu_cores import count_cores
from dawnlist.machine.spark_url import parse_url_numbers

if TYPE_CHECKING:  # pyspark takes a second to import, and it is an optional dependency.
    from pyspark import SparkConf
    from pyspark.sql import SparkSession


def launch_spark_session(url: str, kind: str, stack: ExitStack) -> "SparkSession":
    """Start a session whose driver is a JVM of this process. Closing `stack` ends both.

    Args:
        url: A URL of Spark that is not Spark Connect's.
        kind: What `classify_spark_url` says about it.
        stack: Gets a callback for everything that must end with the session.

    Raises:
        RuntimeError: Spark does not start.
    """
    from py4j.protocol import Py4JError
    from pyspark import SparkConf
    from pyspark.errors import PySparkRuntimeError

    temporary = tempfile.TemporaryDirectory(prefix="dawnlist-spark-", ignore_cleanup_errors=True)
    folder = Path(stack.enter_context(temporary))
    # The JVM writes many lines before its log level can be set.
    log = stack.enter_context((folder / "log").open("w+"))
    conf = SparkConf(loadDefaults=False).setAll(list(_build_conf(url, kind, folder).items()))
    try:
        with _scoped_environment(_build_environment(kind, folder)):
            return _start_session(conf, log, stack)
    except (Py4JError, PySparkRuntimeError) as error:
        raise RuntimeError(
            f"Spark did not start at {url!r}: {_explain_failure(error, log)}"
        ) from None


def _start_session(conf: "SparkConf", log: IO[str], stack: ExitStack) -> "SparkSession":
    from pyspark import SparkContext
    from pyspark.java_gateway import launch_gateway
    from pyspark.sql import SparkSession

    gateway = launch_gateway(conf, {"stderr": log})  # type: ignore[no-untyped-call]
    stack.callback(_stop_jvm, gateway)
    context = SparkContext(conf=conf, gateway=gateway)
    stack.callback(context.stop)
    spark = SparkSession(context)
    stack.callback(spark.stop)
    return spark


def _build_conf(url: str, kind: str, folder: Path) -> dict[str, str]:
    """Build the options of a new session.

    Users set other options in SPARK_CONF_DIR/spark-defaults.conf.
    """
    conf = {
        "spark.master": url,
        "spark.app.name": "dawnlist",
        "spark.log.level": "ERROR",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
        # The factors of many users take more than the default of 1 GB.
        "spark.driver.maxResultSize": "0",
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
        # The default is 1 GB, which a worker with less memory refuses.
        conf["spark.executor.memory"] = f"{parse_url_numbers(url)[2]}m"
    return conf


def _build_environment(kind: str, folder: Path) -> dict[str, str]:
    """Build the environment variables of a local session; none for a session on a cluster."""
    if kind not in ("local", "local-cluster"):
        return {}
    import pyspark

    # Executors of a local cluster write below SPARK_HOME, which must not be the installed package.
    home = folder / "home"
    home.mkdir()
    for path in Path(pyspark.__file__).parent.iterdir():
        (home / path.name).symlink_to(path)
    return {
        "SPARK_HOME": str(home),
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_LOCAL_HOSTNAME": "127.0.0.1",
    }


@contextlib.contextmanager
def _scoped_environment(environment: dict[str, str]) -> Iterator[None]:
    """Set environment variables for the body.

    After it the handler of Ctrl-C and sys.path, which Spark changes, are restored too.
    """
    variables = {name: os.environ.get(name) for name in environment}
    path = list(sys.path)
    handler = signal.getsignal(signal.SIGINT)
    os.environ.update(environment)
    try:
        yield
    finally:
        sys.path[:] = path
        # Only the main thread may set a handler. In another one Spark has not changed it either.
        with contextlib.suppress(ValueError):
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
    gateway.proc.stdin.close()  # The JVM ends when its input does.
    try:
        gateway.proc.wait(30)
    except subprocess.TimeoutExpired:
        gateway.proc.kill()
        gateway.proc.wait()
    SparkContext._gateway = SparkContext._jvm = None


def _explain_failure(error: Exception, log: IO[str]) -> str:
    """Say in one line why Spark did not start: from the Java error, or from the JVM's log."""
    java_error = getattr(error, "java_exception", None)
    if java_error is not None:
        return str(java_error.getMessage()).splitlines()[0]
    log.seek(0)
    lines = [line for line in log.read().splitlines() if line.strip()]
    if not lines:
        return "the JVM ended without a message"
    return f"the JVM ended with {lines[-1]!r}"


def _count_session_cores(url: str, kind: str) -> int:
    numbers = parse_url_numbers(url)
    if kind == "local-cluster":
        executors, cores, _ = numbers
        return executors * cores
    return numbers[0] if numbers else count_cores()


def _measure_total_megabytes() -> int:
    """Measure the memory of this machine or container."""
    machine_bytes = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min([machine_bytes, *read_memory_limits()]) // 2**20
