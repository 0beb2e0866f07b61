"""Run the tests of mutants, each in a fork of one process that has imported the large libraries.

    python benchmarks/mutant_tests.py TREE

TREE is a copy of the project. Each line of the input is JSON: {"tests": [...], "limit": seconds}.
Each line of the output is pytest's exit code, or null when the tests took longer than the limit.
"""

import importlib
import json
import os
import signal
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path

import pytest

LIBRARIES = (
    "numpy", "scipy.sparse", "pandas", "pyarrow.dataset", "pyarrow.parquet", "pyarrow.csv", "duckdb",
    "ibis.backends.duckdb", "deltalake", "redis.cluster", "hypothesis", "jwt", "httpx", "grpc", "kserve",
    "numba", "pydantic", "prometheus_client", "obstore",
)  # fmt: skip
OPTIONS = ("-n", "0", "-x", "-q", "-p", "no:cacheprovider", "--assert=plain")


def run_tests(tree: Path, tests: list[str], limit: float) -> int | None:
    """Run the tests in a fork, and end all processes that they started."""
    child = os.fork()
    if child == 0:
        os.setsid()
        output = os.open(tree.parent / "output", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(output, 1)
        os.dup2(output, 2)
        code = 3
        try:
            code = pytest.main([*OPTIONS, f"--basetemp={tree.parent / 'temporary'}", *tests])
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(int(code))
    deadline = time.monotonic() + limit
    status = 0
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended or time.monotonic() > deadline:
            break
        time.sleep(0.02)
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    if not ended:
        os.waitpid(child, 0)
        return None
    return os.waitstatus_to_exitcode(status)


def main() -> None:
    """Answer each line of the input."""
    tree = Path(sys.argv[1])
    os.chdir(tree)
    for name in LIBRARIES:
        with suppress(ImportError):
            importlib.import_module(name)
    for line in sys.stdin:
        request = json.loads(line)
        print(json.dumps(run_tests(tree, request["tests"], request["limit"])), flush=True)


if __name__ == "__main__":
    main()
