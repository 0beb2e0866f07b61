"""A full disk: the log loses its end, and nothing else."""

import os
from pathlib import Path

import pytest

from dawnlist.pipelines.local_run import _close_log


def test_a_log_that_does_not_fit_is_closed_without_an_error() -> None:
    log = Path("/dev/full").open("w")  # noqa: SIM115
    log.write("the end of the log")
    _close_log(log)
    assert log.closed


def test_another_error_of_the_log_is_raised(tmp_path: Path) -> None:
    log = (tmp_path / "log").open("w")
    log.write("the end of the log")
    os.close(log.fileno())
    with pytest.raises(OSError, match="Bad file descriptor"):
        _close_log(log)
