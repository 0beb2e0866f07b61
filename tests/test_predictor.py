"""The predictor as a process: it follows the store, ends in order, and its clients say what is wrong in one line."""

import re
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from dawnlist.machine.embedded_valkey import run_embedded_valkey
from dawnlist.serving.predictor.client import predict_from_store, request_prediction
from dawnlist.serving.predictor.server import run_predictor
from dawnlist.store import versions
from dawnlist.store.client import connect_store
from tests.support.published import publish, serve_shop, shop
from tests.support.servers import NOBODY, Predictor, free_port, running_predictor
from tests.support.threads import meanwhile

READY = ("/v2/health/ready", "/v2/models/dawnlist/ready", "/v1/models/dawnlist")


@pytest.fixture
def redis_url(tmp_path: Path) -> Iterator[str]:
    with run_embedded_valkey(tmp_path) as url:
        yield url


def test_it_becomes_ready_follows_every_switch_and_never_mixes_versions(redis_url: str) -> None:
    with running_predictor(redis_url, "shop") as running:
        assert [httpx.get(running.url + path).status_code for path in READY] == [503, 503, 503]
        serve_shop(redis_url, running.url, shop(prefix="1"))
        assert [httpx.get(running.url + path).status_code for path in READY] == [200, 200, 200]
        body = {"instances": [{"user_id": user} for user in ("ann", "bob", "nobody")]}
        answers = list[Any]()

        def read() -> None:
            response = http.post(f"{running.url}/v1/models/dawnlist:predict", json=body)
            assert response.status_code == 200
            answers.append(response.json()["predictions"])

        with httpx.Client() as http, meanwhile(read):
            for day in range(2, 6):
                serve_shop(redis_url, running.url, shop(prefix=str(day)), day)
            with connect_store(redis_url) as client:
                versions.roll_back_version(client, "shop", 4)
            deadline = time.monotonic() + 60
            while request_prediction(running.url, "ann")["model_version"] != "4":
                assert time.monotonic() < deadline
        for predictions in answers:
            [version] = {prediction["model_version"] for prediction in predictions}
            assert {prediction["as_of"] for prediction in predictions} == {
                f"2026-03-0{version}T03:00:00Z"
            }
            assert {
                item["item_id"][0] for prediction in predictions for item in prediction["items"]
            } == {version}
            assert [prediction["tier"] for prediction in predictions] == ["list", "list", "popular"]
        _ends_in_order(running)


def _ends_in_order(running: Predictor) -> None:
    """An idle connection is closed at once, a request that has begun is answered, and the process leaves."""
    address = ("127.0.0.1", urlsplit(running.url).port)
    with socket.create_connection(address) as idle, socket.create_connection(address) as busy:
        busy.sendall(b"GET /v1/recommendations/ann HTTP/1.1\r\n")
        time.sleep(0.05)
        running.process.send_signal(signal.SIGTERM)
        assert idle.recv(1) == b""
        busy.sendall(b"Host: x\r\n\r\n")  # or the process would wait for it, for all of its grace
        with busy.makefile("rb") as answer:
            assert answer.read().startswith(b"HTTP/1.1 200 OK\r\n")
        assert running.process.wait(60) in (0, -signal.SIGTERM)
    assert not any("Traceback" in line for line in running.lines)


def test_two_shops_in_one_store_do_not_see_each_other(served: Predictor, valkey: str) -> None:
    publish(valkey, shop(prefix="other-"), day=2, namespace="shop-2")
    assert request_prediction(served.url, "ann", 1)["items"][0]["item_id"] == "c"
    assert predict_from_store(valkey, "shop-2", "ann", 1)["items"][0]["item_id"] == "other-c"
    with pytest.raises(LookupError, match="nothing has been published yet in namespace shop"):
        predict_from_store(valkey, "shop", "ann")


def test_the_clients_errors_are_one_clear_line(served: Predictor, valkey: str) -> None:
    with pytest.raises(
        ConnectionError,
        match=rf"no predictor answers at http://{re.escape(NOBODY)}: start one with `dawnlist serve`",
    ):
        request_prediction(f"http://{NOBODY}", "ann")
    bare = served.url.removeprefix("http://")
    with pytest.raises(
        ValueError,
        match=rf"'{bare}' is not a URL of a predictor: give one like http://127\.0\.0\.1:8080",
    ):
        request_prediction(bare, "ann")
    with pytest.raises(
        RuntimeError,
        match=r'answers 400: instances\[0\]: "k" has to be a whole number from 1 to 100',
    ):
        request_prediction(served.url, "ann", 101)
    with pytest.raises(RuntimeError, match=r"answers 404: there is no such route"):
        request_prediction(served.url, "ann", name="other")
    with pytest.raises(
        ConnectionError, match=rf"no store answers at redis://{re.escape(NOBODY)}/0"
    ):
        predict_from_store(f"redis://{NOBODY}/0", "shop", "ann")
    publish(valkey, shop())
    with pytest.raises(ValueError, match='"k" is 101'):
        predict_from_store(valkey, "shop", "ann", 101)


@pytest.mark.parametrize(
    ("redis_url", "message"),
    [("http://x", "of a kind that can't be used"), ("redis://:secret@x/0", "holds a password")],
    ids=["kind", "password"],
)
def test_a_store_that_can_not_be_used_is_one_clear_line(redis_url: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        run_predictor(redis_url, "shop", free_port())
