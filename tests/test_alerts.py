"""What nobody expected in a service: told once an interval for each distinct error, beside the answers."""

import json
import logging
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable

import pytest

from dawnlist.messages.alerts import AlertHandler, Alerts
from dawnlist.messages.message import Message
from tests.support.mail import mail_server, parts
from tests.support.published import publish, shop
from tests.support.servers import free_port, is_alive

pytestmark = pytest.mark.filterwarnings("ignore:'imghdr' is deprecated:DeprecationWarning")


class Kept:
    """A channel that keeps what it is told, and may refuse it at first."""

    name = "kept"
    key = "kept"

    def __init__(self, refusals: int = 0) -> None:
        self.told: list[Message] = []
        self.refusals = refusals

    def send(self, message: Message) -> None:
        if self.refusals:
            self.refusals -= 1
            raise ConnectionError("not now")
        self.told.append(message)


def raised(error: Exception) -> Exception:
    try:
        raise error
    except Exception as caught:
        return caught


def elsewhere(error: Exception) -> Exception:
    try:
        raise error
    except Exception as caught:
        return caught


def test_each_error_is_told_once_an_interval_with_how_often_it_was_met() -> None:
    kept = Kept()
    alerts = Alerts("predictor of shop", [kept])
    for _ in range(4):
        alerts.report(raised(KeyError("anna@mail.example")), "a request")
    alerts.report(elsewhere(KeyError("x")), "a request")
    alerts.report(raised(TypeError("x")), "a request")
    alerts._interval = 0.0  # as if an hour had passed
    alerts.report(raised(KeyError("y")), "a request")
    alerts.close()
    where = [f"tests/test_alerts.py:{line} {name}" for line, name in ((raised.__code__.co_firstlineno + 2, "raised"),
             (elsewhere.__code__.co_firstlineno + 2, "elsewhere"))]  # fmt: skip
    assert [message.subject for message in kept.told] == [
        f"[predictor of shop] ERROR: {name} at {place}"
        for name, place in (("KeyError", where[0]), ("KeyError", where[1]), ("TypeError", where[0]),
                            ("KeyError", where[0]))
    ]  # fmt: skip
    assert "It occurred 3 times more since the last message about it." in kept.told[3].text
    assert "more since" not in kept.told[0].text
    assert "raise error" in kept.told[0].text and "anna" not in kept.told[0].text


def test_the_errors_behind_an_error_are_told_without_their_words() -> None:
    kept = Kept()
    alerts = Alerts("x", [kept])
    try:
        try:
            raise KeyError("hush")
        except KeyError as error:
            raise RuntimeError("user 17850") from error
    except RuntimeError as error:
        alerts.report(error, "a request")
    alerts.close()
    text = kept.told[0].text
    assert text.index("KeyError\n") < text.index("RuntimeError\n") and "raise RuntimeError" in text
    assert "hush" not in kept.told[0].short


def test_reporting_never_waits_however_deaf_people_are() -> None:
    stuck = threading.Event()
    taken: list[Message] = []

    class Stuck(Kept):
        def send(self, message: Message) -> None:
            stuck.wait(600)
            taken.append(message)

    alerts = Alerts("x", [Stuck()])
    functions: list[Callable[[], None]] = []
    for number in range(400):  # as many distinct ones as there can be, and more
        space: dict[str, Callable[[], None]] = {}
        exec(compile(f"def raising{number}(): raise ValueError", f"/a/{number}.py", "exec"), space)
        functions.append(space[f"raising{number}"])
    for function in functions:
        try:
            function()
        except ValueError as error:
            alerts.report(error, "a request")
    assert taken == []  # no report waited for a send to end
    stuck.set()


def test_a_message_that_is_not_taken_is_sent_again(caplog: pytest.LogCaptureFixture) -> None:
    kept = Kept(refusals=2)
    alerts = Alerts("x", [kept], pauses=(0.01, 0.01))
    alerts.report(raised(ValueError()), "a request")
    alerts.close()
    assert len(kept.told) == 1
    assert caplog.messages == ["kept took no message: not now"] * 2


def test_what_is_logged_with_its_error_is_told_unless_it_was() -> None:
    kept = Kept()
    alerts = Alerts("x", [kept])
    log = logging.Logger("test")
    log.addHandler(AlertHandler(alerts))
    log.error("no error with it")
    log.warning("no error of ours", exc_info=raised(ValueError()))
    log.error("told before", exc_info=raised(TypeError()), extra={"told": True})
    log.error("following failed", exc_info=raised(KeyError()))
    alerts.close()
    assert [message.short.partition(" failed in x")[0] for message in kept.told] == ["Following"]


def test_nobody_to_tell_costs_nothing() -> None:
    alerts = Alerts("x", [])
    alerts.report(raised(ValueError()), "a request")
    alerts.close()
    assert not alerts._states


BROKEN = """
import json, sys, threading
from dawnlist.serving.predictor import model, server
from dawnlist.serving.predictor.watch import logs

async def predict(self, questions):
    raise RuntimeError(f"no vector of user {questions[0].user_id}")

def write(self):
    if self.counts.failures:
        raise OSError("the digest" + " broke")  # Python 3.13 shows the line of a -c script

model.DawnlistModel.predict = predict
logs.MetricsLogger.write = write
logs.LOG_INTERVAL_SECONDS = 0.1
server.run_predictor(**json.loads(sys.argv[1]))
"""


def test_a_predictor_tells_of_failing_requests_and_of_the_end_of_its_task(valkey: str) -> None:
    publish(valkey, shop())
    port = free_port()
    with mail_server() as server:
        given = json.dumps({"redis": valkey, "namespace": "shop", "port": port})
        process = subprocess.Popen(
            [sys.executable, "-c", BROKEN, given], stderr=subprocess.PIPE, text=True,
            env={**os.environ, "DAWNLIST_NOTIFY_URLS": server.url},
        )  # fmt: skip
        try:
            deadline = time.monotonic() + 180
            while not is_alive(f"http://127.0.0.1:{port}/") and time.monotonic() < deadline:
                time.sleep(0.05)
            for _ in range(3):
                with pytest.raises(urllib.error.HTTPError, match="500"):
                    urllib.request.urlopen(
                        f"http://127.0.0.1:{port}/v1/recommendations/17850", timeout=10
                    )
            while len(server.mails) < 2 and time.monotonic() < deadline:
                time.sleep(0.05)
        finally:
            process.terminate()
            said = process.communicate(timeout=30)[1]
    subjects = sorted(mail["Subject"].split(" at ")[0] for mail in server.mails)
    assert subjects == [
        "[predictor of shop] ERROR: OSError",
        "[predictor of shop] ERROR: RuntimeError",
    ], said
    texts = "".join(parts(mail)[0] for mail in server.mails)
    assert (
        "A request failed in predictor of shop on " in texts
        and "A task of the server failed in" in texts
    )
    assert "17850" not in texts and "17850" not in said and "the digest broke" not in texts
