"""The predictor: a real process asked over HTTP, behind it a real store."""

import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa
import pytest

from components import store
from components.embedded import embedded_valkey
from components.schema import CATALOGUE
from components.store_layout import connect
from components.toplists import TopLists
from serving.predictor.client import ask, ask_store
from serving.predictor.server import serve
from tests.servers import predictor

HOSTILE = "x\r\nSET a b\x00🦊*<script>"


def lists(*users: str, prefix: str = "i", k: int = 3) -> TopLists:
    """User number u's list begins with item u; titles are the ids in capitals, but for the first, which has none."""
    item_ids = [f"{prefix}{i}" for i in range(max(len(users), 1) + k)]
    titles = [None, *(item_id.upper() for item_id in item_ids[1:])]
    order = np.arange(len(users))[:, None] + np.arange(k)
    return TopLists(
        user_ids=np.array(users, dtype=object),
        item_index=order.astype(np.uint32),
        score=np.broadcast_to(np.array([0.3, 0.2, 0.1], dtype=np.float32)[:k], order.shape),
        lengths=np.full(len(users), k),
        catalogue=pa.table([item_ids, titles, [None] * len(item_ids)], schema=CATALOGUE),
        popular_index=np.array([2, 0], dtype=np.uint32),
        popular_score=np.array([7.0, 5.0], dtype=np.float32),
        meta={"k": k, "winner": "challenger"},
    )


def publish(url: str, namespace: str, top_lists: TopLists, day: int) -> dict[str, Any]:
    with connect(url) as client:
        return store.publish(client, namespace, top_lists, f"run-{day}", f"2026-01-{day:02d}T03:00:00Z")


@pytest.fixture(scope="module")
def server(valkey_server: str) -> Iterator[str]:
    with predictor(valkey_server, "shop") as url:
        yield url


def v1(url: str, *instances: Any, **more: Any) -> httpx.Response:
    return httpx.post(f"{url}/v1/models/dawnlist:predict", json={"instances": list(instances)}, **more)


def v2(url: str, data: Any, **changes: Any) -> httpx.Response:
    tensor = {"name": "user_id", "datatype": "BYTES", "shape": [len(data)], "data": data}
    more = {name: changes.pop(name) for name in ("id", "parameters") if name in changes}
    return httpx.post(f"{url}/v2/models/dawnlist/infer", json={"inputs": [{**tensor, **changes}], **more})


def test_a_known_user_gets_the_list_and_an_unknown_one_what_is_popular(valkey: str, server: str) -> None:
    publish(valkey, "shop", lists("ann", "bob"), day=1)
    response = v1(server, {"user_id": "bob", "k": 2}, {"user_id": "nobody"})
    same = {"model_version": "1", "as_of": "2026-01-01T03:00:00Z"}
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    assert response.json() == {
        "predictions": [
            {
                "user_id": "bob",
                "tier": "list",
                **same,
                "items": [
                    {"item_id": "i1", "title": "I1", "score": 0.3},
                    {"item_id": "i2", "title": "I2", "score": 0.2},
                ],
            },
            {
                "user_id": "nobody",
                "tier": "popular",
                **same,
                "items": [
                    {"item_id": "i2", "title": "I2", "score": 7.0},
                    {"item_id": "i0", "title": "", "score": 5.0},
                ],
            },
        ]
    }


def test_v2_answers_in_tensors(valkey: str, server: str) -> None:
    publish(valkey, "shop", lists("ann", "bob"), day=1)
    assert v2(server, ["bob", "nobody"], id="7", parameters={"k": 3}).json() == {
        "id": "7",
        "model_name": "dawnlist",
        "model_version": "1",
        "parameters": {"model_version": "1", "as_of": "2026-01-01T03:00:00Z"},
        "outputs": [
            {"name": "item_id", "datatype": "BYTES", "shape": [2, 3], "data": ["i1", "i2", "i3", "i2", "i0", ""]},
            {"name": "title", "datatype": "BYTES", "shape": [2, 3], "data": ["I1", "I2", "I3", "I2", "", ""]},
            {"name": "score", "datatype": "FP32", "shape": [2, 3], "data": [0.3, 0.2, 0.1, 7.0, 5.0, 0.0]},
            {"name": "tier", "datatype": "BYTES", "shape": [2], "data": ["list", "popular"]},
        ],
    }
    described = httpx.get(f"{server}/v2/models/dawnlist").json()
    assert [tensor["name"] for tensor in described["outputs"]] == ["item_id", "title", "score", "tier"]


def test_a_hostile_id_and_a_hostile_title_are_data(valkey: str, server: str) -> None:
    publish(valkey, "shop", lists("ann", HOSTILE, prefix="</script>\n"), day=1)
    [prediction] = v1(server, {"user_id": HOSTILE, "k": 1}).json()["predictions"]
    assert prediction["user_id"] == HOSTILE
    assert prediction["items"] == [{"item_id": "</script>\n1", "title": "</SCRIPT>\n1", "score": 0.3}]
    assert v1(server, {"user_id": "a\r\nactive"}).json()["predictions"][0]["tier"] == "popular"


def refused(send: Callable[[str], httpx.Response], status: int, message: str) -> Any:
    return pytest.param(send, status, message, id=message)


@pytest.mark.parametrize(
    ("send", "status", "message"),
    [
        refused(lambda url: v1(url), 400, '"instances" has to be a list'),
        refused(lambda url: v1(url, "ann"), 400, "instances[0] has to be an object"),
        refused(
            lambda url: v1(url, {"user_id": "ann"}, {"k": 2}), 400, 'instances[1]: "user_id" is missing or no text'
        ),
        refused(lambda url: v1(url, {"user_id": 42}), 400, "give one like"),
        refused(lambda url: v1(url, {"user_id": "ann", "k": True}), 400, "whole number from 1"),
        refused(lambda url: v1(url, {"user_id": "ann", "k": "2"}), 400, "whole number"),
        refused(lambda url: v1(url, {"user_id": "ann", "k": 0}), 400, "from 1"),
        refused(
            lambda url: v1(url, {"user_id": "ann", "k": 4}), 400, '"k" is 4, but the lists that are published hold 3'
        ),
        refused(lambda url: v1(url, *[{"user_id": "ann"}] * 1001), 400, "1001 users in one request: ask for 1000"),
        refused(lambda url: post(url, b"user=ann"), 400, "the body is no JSON"),
        refused(lambda url: post(url, b"\xff\xfe"), 400, "no JSON"),
        refused(lambda url: post(url, b'{"instances": [{"user_id": "\\ud800"}]}'), 400, "JSON"),
        refused(lambda url: post(url, b"[" * 100_000), 400, "is no JSON"),
        refused(lambda url: post(url, b"[1]"), 400, 'a JSON object with "instances"'),
        refused(lambda url: post(url, b'{"instances": {"user_id": "ann"}}'), 400, "to be a list"),
        refused(lambda url: post(url, b" " * (1 << 20) + b" "), 413, ""),
        refused(lambda url: v2(url, []), 400, "at least one user id"),
        refused(lambda url: v2(url, [1]), 400, "as text"),
        refused(lambda url: v2(url, "ann"), 400, '"data" has to be'),
        refused(lambda url: v2(url, ["ann"], datatype="FP32"), 400, "of datatype 'FP32'"),
        refused(lambda url: v2(url, ["ann"], name="user"), 400, "input 'user'"),
        refused(lambda url: v2(url, ["ann"], shape=[2]), 400, "shape [2] does not fit 1 ids"),
        refused(lambda url: v2(url, ["ann"], shape="1"), 400, "shape '1'"),
        refused(lambda url: v2(url, ["ann"], parameters={"k": 1.5}), 400, 'parameters: "k" has to be'),
        refused(lambda url: v2(url, ["ann"], parameters=[1]), 400, '"parameters" has to be'),
        refused(lambda url: v2(url, ["ann"], id=3), 400, '"id" has to be text'),
        refused(lambda url: v2(url, ["ann"] * 1001), 400, "1001 users"),
        refused(lambda url: httpx.post(f"{url}/v2/models/dawnlist/infer", json={"inputs": []}), 400, "one tensor"),
        refused(lambda url: binary_v2(url), 400, "raw bytes"),
        refused(lambda url: httpx.post(f"{url}/v2/repository/models/dawnlist/unload"), 403, "unloaded"),
        refused(lambda url: httpx.post(f"{url}/v1/models/other:predict", json={}), 404, "other does not exist"),
    ],
)
def test_bad_input_gets_a_clear_4xx(
    valkey: str, server: str, send: Callable[[str], httpx.Response], status: int, message: str
) -> None:
    publish(valkey, "shop", lists("ann"), day=1)
    response = send(server)
    assert response.status_code == status
    assert message in (response.json()["error"] if message else "")
    assert v1(server, {"user_id": "ann"}).status_code == 200


def post(url: str, content: bytes) -> httpx.Response:
    return httpx.post(f"{url}/v1/models/dawnlist:predict", content=content)


def binary_v2(url: str) -> httpx.Response:
    headers = {"inference-header-content-length": "x"}
    return httpx.post(f"{url}/v2/models/dawnlist/infer", content=b"\0", headers=headers)


def test_a_charset_in_the_content_type_is_fine(valkey: str, server: str) -> None:
    publish(valkey, "shop", lists("ann"), day=1)
    for content_type in ("application/json; charset=utf-8", "text/plain"):
        assert v1(server, {"user_id": "ann"}, headers={"content-type": content_type}).status_code == 200


READY = ("/v2/health/ready", "/v2/models/dawnlist/ready", "/v1/models/dawnlist")


def test_not_ready_until_something_is_published(valkey: str, server: str) -> None:
    assert [httpx.get(server + path).status_code for path in READY] == [503, 503, 503]
    response = v1(server, {"user_id": "ann"})
    assert response.status_code == 503
    assert response.json() == {"error": "nothing has been published yet in namespace shop: run the pipeline first"}
    publish(valkey, "other-shop", lists("ann"), day=1)
    assert v2(server, ["ann"]).status_code == 503
    publish(valkey, "shop", lists("ann"), day=1)
    assert [httpx.get(server + path).status_code for path in READY] == [200, 200, 200]


def test_two_shops_in_one_store_do_not_see_each_other(valkey: str, server: str) -> None:
    publish(valkey, "shop", lists("ann"), day=1)
    publish(valkey, "shop-2", lists("ann", "bob", prefix="j"), day=2)
    assert ask(server, "ann", 1)["items"][0]["item_id"] == "i0"
    assert ask_store(valkey, "shop-2", "ann", 1)["items"][0]["item_id"] == "j0"
    assert ask(server, "bob")["tier"] == "popular"


def test_an_emptied_store_that_counts_from_one_again_is_noticed(valkey: str, server: str) -> None:
    publish(valkey, "shop", lists("ann", prefix="old"), day=1)
    assert ask(server, "ann", 1)["items"][0]["item_id"] == "old0"
    with connect(valkey) as client:
        client.flushall()
    publish(valkey, "shop", lists("ann", prefix="new"), day=1)
    assert ask(server, "ann", 1)["items"][0]["item_id"] == "new0"


def test_no_answer_is_mixed_while_versions_switch(valkey: str, server: str) -> None:
    """Version v's items all begin with its letter; the answer's users, catalogue and version have to agree."""
    letters = "abcdefghijklmnopqrstuvw"
    users = [f"u{i}" for i in range(30)]
    publish(valkey, "shop", lists(*users, prefix=letters[1]), day=1)
    stop, answers = threading.Event(), []

    def read() -> None:
        with httpx.Client() as http:
            while not stop.is_set():
                body = {"instances": [{"user_id": user} for user in [*users, "nobody"]]}
                response = http.post(f"{server}/v1/models/dawnlist:predict", json=body)
                assert response.status_code == 200
                answers.append(response.json()["predictions"])

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    for day in range(2, 22):
        publish(valkey, "shop", lists(*users, prefix=letters[day]), day=day)
        if day % 5 == 0:
            with connect(valkey) as client:
                store.rollback(client, "shop")
        time.sleep(0.02)
    stop.set()
    for reader in readers:
        reader.join()
    for predictions in answers:
        version = int(predictions[0]["model_version"])
        assert {p["model_version"] for p in predictions} == {str(version)}
        assert {p["as_of"] for p in predictions} == {f"2026-01-{version:02d}T03:00:00Z"}
        assert {item["item_id"][0] for p in predictions for item in p["items"]} == {letters[version]}
        assert [p["tier"] for p in predictions] == ["list"] * 30 + ["popular"]
    assert len({predictions[0]["model_version"] for predictions in answers}) > 10
    assert ask(server, "u0")["model_version"] == "21"


def test_it_listens_on_loopback_only(server: str) -> None:
    port = int(server.rsplit(":", 1)[1])
    with socket.socket() as other:  # free, unless the predictor had bound all addresses
        other.bind(("127.0.0.2", port))
        other.listen()


def test_a_port_that_is_taken_is_one_clear_line(server: str) -> None:
    port = int(server.rsplit(":", 1)[1])
    with pytest.raises(OSError, match=rf"can't listen on 127\.0\.0\.1:{port} .*: choose another port"):
        serve("redis://127.0.0.1/0", "shop", port)


def test_a_store_that_is_down_is_a_503_without_its_address_and_comes_back(tmp_path: Path) -> None:
    with embedded_valkey(tmp_path) as redis_url:
        publish(redis_url, "shop", lists("ann"), day=1)
        with predictor(redis_url, "shop") as url:
            assert ask(url, "ann")["tier"] == "list"
            with connect(redis_url) as client:
                pid = client.info("server")["process_id"]
            os.kill(pid, signal.SIGSTOP)  # hangs
            started = time.monotonic()
            response = v1(url, {"user_id": "ann"})
            assert time.monotonic() - started < 4
            assert (response.status_code, response.json()) == (
                503,
                {"error": "the store does not answer: try again in a moment"},
            )
            os.kill(pid, signal.SIGCONT)
            assert ask(url, "ann")["tier"] == "list"
            os.kill(pid, signal.SIGKILL)
            response = v1(url, {"user_id": "ann"})
            assert (response.status_code, response.json()) == (
                503,
                {"error": "the store does not answer: try again in a moment"},
            )
            assert httpx.get(f"{url}/v2/models/dawnlist/ready").status_code == 503


def test_the_clients_errors_are_one_clear_line(valkey: str, server: str) -> None:
    with pytest.raises(
        ConnectionError, match=r"no predictor answers at http://127\.0\.0\.1:1: start one with `dawnlist serve`"
    ):
        ask("http://127.0.0.1:1", "ann")
    with pytest.raises(RuntimeError, match="answers 503: nothing has been published yet in namespace shop"):
        ask(server, "ann")
    with pytest.raises(LookupError, match="nothing has been published yet in namespace shop"):
        ask_store(valkey, "shop", "ann")
    with pytest.raises(ConnectionError, match=r"no store answers at redis://127\.0\.0\.1:1/0"):
        ask_store("redis://127.0.0.1:1/0", "shop", "ann")
    publish(valkey, "shop", lists("ann"), day=1)
    with pytest.raises(RuntimeError, match='answers 400: "k" is 4'):
        ask(server, "ann", 4)
    with pytest.raises(ValueError, match='"k" is 4'):
        ask_store(valkey, "shop", "ann", 4)
    assert ask(server, "ann") == ask_store(valkey, "shop", "ann")
