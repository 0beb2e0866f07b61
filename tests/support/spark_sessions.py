"""Spark for the tests: why it can't run here, and a Spark Connect server of its own process."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from dawnlist.machine.spark import describe_missing_spark
from tests.support.servers import free_port, listens, running

SERVER = "org.apache.spark.sql.connect.service.SparkConnectServer"
QUICK = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"
"""Options of a JVM that lives for seconds: with them it takes a third less of the processor's time to start."""

needs_spark = pytest.mark.skipif(
    bool(describe_missing_spark("local[1]")),
    reason=describe_missing_spark("local[1]") or "nothing is missing",
)


@contextlib.contextmanager
def connect_server() -> Iterator[str]:
    """The URL of a real Spark Connect server, a process of its own."""
    import pyspark

    home, port = Path(pyspark.__file__).parent, free_port()
    conf = {
        "connect.grpc.binding.address": "127.0.0.1",
        "connect.grpc.binding.port": port,
        "ui.enabled": "false",
    }
    options = [part for name, value in conf.items() for part in ("--conf", f"spark.{name}={value}")]
    command = [
        str(home / "bin" / "spark-submit"),
        "--class",
        SERVER,
        "--master",
        "local[1]",
        *options,
        "spark-internal",
    ]
    environment = {"SPARK_HOME": str(home), "SPARK_LOCAL_IP": "127.0.0.1"}
    with running(command, lambda: listens(port), environment):
        yield f"sc://127.0.0.1:{port}"
