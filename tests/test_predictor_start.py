"""A predictor that is told to end before it answers."""

import signal
import socket
import subprocess
import sys

import pytest

from tests.support.servers import free_port

SERVE = """
import sys
from dawnlist.serving.predictor.server import run_predictor
run_predictor(sys.argv[1], "shop", int(sys.argv[2]))
"""


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_when_told_so_while_it_waits_for_its_first_version(sent: signal.Signals) -> None:
    with socket.create_server(("127.0.0.1", 0)) as store:  # that never answers
        store.settimeout(60)
        command = [
            sys.executable,
            "-c",
            SERVE,
            f"redis://127.0.0.1:{store.getsockname()[1]}/0",
            str(free_port()),
        ]
        with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as predictor:
            try:
                line = store.accept()[0]
                predictor.send_signal(sent)
                assert (predictor.wait(30), "Traceback" in predictor.communicate()[1]) == (0, False)
                line.close()
            finally:
                predictor.kill()
