"""Withdrawn items: what the store keeps of them, and that no answer of any kind has one."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc  # type: ignore[import-untyped]
import httpx
import numpy as np
import pytest
import redis
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

from dawnlist.cuts import parse_as_of
from dawnlist.machine.embedded_valkey import run_embedded_valkey
from dawnlist.serving.predictor.answers.engine import Answer, ServingEngine
from dawnlist.serving.predictor.answers.question import Question, QuestionEvent
from dawnlist.serving.predictor.client import predict_from_store
from dawnlist.store import versions
from dawnlist.store.client import connect_store
from dawnlist.store.layout import StoreKeys
from dawnlist.store.toplists import TopLists
from dawnlist.store.withdrawals import (
    find_unknown_ids,
    read_withdrawals,
    read_withdrawn_ids,
    restore_items,
    withdraw_items,
)
from tests.support.heard import Heard
from tests.support.published import metric, publish, shop
from tests.support.servers import free_port, running_predictor
from tests.support.stores import cluster

NOW = parse_as_of("2026-03-01T12:00:00Z")
LATER = parse_as_of("2026-03-02T12:00:00Z")
KEYS = StoreKeys("shop")
SECONDS = 5.0
"""How long a predictor may take to follow. It asks every quarter of a second."""

QUESTIONS = {
    "list": Question("ann"),
    "list, explained": Question("bob", explain=True),
    "vector": Question("ann", k=4),
    "vector, filtered": Question("ann", filters=(("genres", ("Drama", "Horror")),)),
    "fold_in": Question("ann", recent=(QuestionEvent("d"),)),
    "fold_in, explained": Question("ann", recent=(QuestionEvent("c"),), explain=True),
    "newcomer's fold_in": Question("new", recent=(QuestionEvent("c"),), explain=True),
    "segment": Question("new", context=(("device", "mobile"),)),
    "popular": Question("new"),
    "popular, all": Question("new", k=4),
    "popular, filtered": Question("new", k=4, filters=(("genres", ("Drama",)),)),
}


@pytest.fixture
def client(valkey: str) -> Any:
    with connect_store(valkey) as opened:
        yield opened


def ask(url: str, *questions: Question, **options: Any) -> list[Answer]:
    """Ask a new engine, which has to find the withdrawn items before its first answer."""

    async def run() -> list[Answer]:
        engine = ServingEngine(url, "shop", **{"timeout": 10.0, **options})
        await engine.start()
        try:
            return await engine.answer_questions(questions)
        finally:
            await engine.stop()

    return asyncio.run(run())


def wait_until(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.02)


# What the store keeps


def test_withdraw_and_restore(client: Any) -> None:
    assert read_withdrawals(client, "shop") == {}
    assert withdraw_items(client, "shop", ["b", "a", "b"], NOW) == 2
    assert withdraw_items(client, "shop", ["b", "é\n:"], LATER) == 1
    assert read_withdrawals(client, "shop") == {
        "a": "2026-03-01T12:00:00Z",
        "b": "2026-03-01T12:00:00Z",
        "é\n:": "2026-03-02T12:00:00Z",
    }
    assert restore_items(client, "shop", ["a", "é\n:", "other"]) == 2
    assert read_withdrawn_ids(client, KEYS) == {"b"}
    assert read_withdrawals(client, "other") == {}


def test_the_digits_change_with_the_items_and_only_with_them(client: Any) -> None:
    seen = [client.get(KEYS.withdrawal)]
    for change in (withdraw_items, withdraw_items, restore_items, restore_items):
        change(client, "shop", ["a"])
        seen.append(client.get(KEYS.withdrawal))
    first, withdrawn, again, restored, restored_again = seen
    assert first is None
    assert withdrawn == again
    assert restored == restored_again
    assert len({first, withdrawn, restored}) == 3


def test_many_items_go_in_several_scripts(client: Any) -> None:
    ids = [f"item {number}" for number in range(4_001)]
    assert withdraw_items(client, "shop", ids) == 4_001
    assert read_withdrawn_ids(client, KEYS) == set(ids)
    assert restore_items(client, "shop", ids[1:]) == 4_000
    assert read_withdrawn_ids(client, KEYS) == {"item 0"}


@pytest.mark.parametrize("length", [0, 513])
def test_an_id_of_another_length_is_refused_and_nothing_is_withdrawn(
    client: Any, length: int
) -> None:
    with pytest.raises(ValueError, match=f"has {length} characters: give 1 to 512"):
        withdraw_items(client, "shop", ["a", "x" * length])
    assert withdraw_items(client, "shop", ["x" * 512]) == 1
    assert len(read_withdrawals(client, "shop")) == 1


def test_ids_that_the_active_version_lacks(client: Any, valkey: str) -> None:
    assert find_unknown_ids(client, "shop", ["a", "z"]) == []  # nothing is published
    publish(valkey, shop())
    assert find_unknown_ids(client, "shop", ["z", "a", "y"]) == ["z", "y"]


# What the predictor answers


@pytest.mark.parametrize("withdrawn", ["a", "b", "c", "d"])
def test_no_answer_has_a_withdrawn_item(client: Any, valkey: str, withdrawn: str) -> None:
    publish(valkey, shop())
    before = dict(zip(QUESTIONS, ask(valkey, *QUESTIONS.values()), strict=True))
    shown = {item for answer in before.values() for item in answer.item_ids}
    assert shown == {"a", "b", "c", "d"}
    withdraw_items(client, "shop", [withdrawn])
    after = dict(zip(QUESTIONS, ask(valkey, *QUESTIONS.values()), strict=True))
    for name, answer in after.items():
        assert withdrawn not in answer.item_ids
        for reasons in answer.because or []:
            assert withdrawn not in dict(reasons)
        assert len(answer.item_ids) >= len(before[name].item_ids) - 1
    for name in ("list", "segment", "popular"):  # another item takes the place
        assert len(after[name].item_ids) == 2
    restore_items(client, "shop", [withdrawn])
    restored = dict(zip(QUESTIONS, ask(valkey, *QUESTIONS.values()), strict=True))
    for name, answer in restored.items():
        assert (answer.tier, answer.item_ids) == (before[name].tier, before[name].item_ids)


def test_another_item_takes_the_place(client: Any, valkey: str) -> None:
    """ann has met b, so without c the next one after a is d, from her vector."""
    publish(valkey, shop())
    withdraw_items(client, "shop", ["c"])
    [own, mobile] = ask(valkey, QUESTIONS["list"], QUESTIONS["segment"])
    assert (own.tier, own.item_ids) == ("vector", ["a", "d"])
    # The list of mobiles has one item left, the popular one has two.
    assert (mobile.tier, mobile.item_ids) == ("popular", ["b", "d"])


def test_because_names_no_withdrawn_item(client: Any, valkey: str) -> None:
    publish(valkey, shop())
    question = Question("ann", recent=(QuestionEvent("a"),), explain=True)
    [before] = ask(valkey, question)
    assert before.because is not None
    assert {item for reasons in before.because for item, _ in reasons} >= {"b"}
    withdraw_items(client, "shop", ["b"])
    [after] = ask(valkey, question)
    assert after.because is not None
    assert {item for reasons in after.because for item, _ in reasons} == {"a"}
    assert after.scores == pytest.approx(before.scores)  # what she met still counts


def test_a_busy_predictor_shows_a_shorter_list(client: Any, valkey: str) -> None:
    publish(valkey, shop())
    withdraw_items(client, "shop", ["c"])
    heard = Heard()
    [answer] = ask(valkey, QUESTIONS["list"], waiting=0, metrics=heard)
    assert (answer.tier, answer.item_ids) == ("list", ["a"])
    assert heard.said[0] == "1 withdrawn"
    assert heard.said[2:] == ["overload"]


def test_the_static_file_and_the_store_without_a_version(
    client: Any, valkey: str, tmp_path: Path
) -> None:
    path = tmp_path / "static.json"
    items = [{"item_id": item} for item in "xyz"]
    path.write_text(json.dumps({"as_of": "2026-03-01T03:00:00Z", "items": items}))
    withdraw_items(client, "shop", ["y"])
    [answer] = ask(valkey, Question("ann", k=2), static=path)
    assert (answer.tier, answer.item_ids) == ("static", ["x", "z"])


def test_items_that_the_run_left_out(client: Any, valkey: str) -> None:
    """Nobody's list has d, but the catalogue has it. `restore` does not bring it back."""
    lists = shop()
    without_d = replace(
        lists,
        popular_index=np.array([1], np.uint32),
        popular_score=np.array([9.0], np.float32),
        item_bias=np.array([0.1, 0.2, 0.3, 0.4], np.float32),
        withdrawn=np.array([3]),
    )
    publish(valkey, without_d)
    restore_items(client, "shop", ["d"])
    for answer in ask(valkey, *QUESTIONS.values()):
        assert "d" not in answer.item_ids
    withdraw_items(client, "shop", ["c"])
    for answer in ask(valkey, *QUESTIONS.values()):
        assert not {"c", "d"} & set(answer.item_ids)
    [popular] = ask(valkey, QUESTIONS["popular, all"])
    assert popular.item_ids == ["b", "a"]


def test_all_items_can_be_withdrawn(client: Any, valkey: str) -> None:
    publish(valkey, shop())
    withdraw_items(client, "shop", "abcd")
    for answer in ask(valkey, *QUESTIONS.values()):
        assert answer.item_ids == []


def test_a_cluster_keeps_them_too(tmp_path: Path) -> None:
    with cluster(tmp_path) as url, connect_store(url) as client:
        publish(url, shop())
        assert withdraw_items(client, "shop", ["c", "z"], NOW) == 2
        assert list(read_withdrawals(client, "shop")) == ["c", "z"]
        assert find_unknown_ids(client, "shop", ["c", "z"]) == ["z"]
        [answer] = ask(url, QUESTIONS["list"])
        assert answer.item_ids == ["a", "d"]


async def expect(engine: ServingEngine, version: int, items: list[str]) -> None:
    """Wait until ann's list is this one of this version."""
    deadline = time.monotonic() + SECONDS
    while await list_items(engine) != (version, items):
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def list_items(engine: ServingEngine) -> tuple[int, list[str]]:
    """Ask for ann's list: the version and the items."""
    [answer] = await engine.answer_questions([QUESTIONS["list"]])
    return answer.version, answer.item_ids


def test_a_running_engine_follows_and_no_version_loses_them(client: Any, valkey: str) -> None:
    async def follow(engine: ServingEngine) -> None:
        await expect(engine, 1, ["c", "a"])
        withdraw_items(client, "shop", ["c"])
        await expect(engine, 1, ["a", "d"])
        publish(valkey, shop(), day=2)
        while (found := await list_items(engine))[0] == 1:
            assert found[1] == ["a", "d"]
            await asyncio.sleep(0.001)
        assert await list_items(engine) == (2, ["a", "d"])
        versions.roll_back_version(client, "shop", 1)
        await expect(engine, 1, ["a", "d"])
        restore_items(client, "shop", ["c"])
        await expect(engine, 1, ["c", "a"])
        withdraw_items(client, "shop", ["c"])
        await expect(engine, 1, ["a", "d"])
        client.flushall()  # an empty store is no reason to show it again
        await asyncio.sleep(1)
        [answer] = await engine.answer_questions([QUESTIONS["popular, all"]])
        assert answer.item_ids == ["b", "d", "a"]

    async def run() -> None:
        engine = ServingEngine(valkey, "shop", timeout=10.0)
        await engine.start()
        try:
            await follow(engine)
        finally:
            await engine.stop()

    publish(valkey, shop())
    asyncio.run(run())


def test_every_protocol_follows(tmp_path: Path) -> None:
    """The lean route, V1, V2 and gRPC of one predictor, for a known user and a newcomer."""
    with run_embedded_valkey(tmp_path) as url, connect_store(url) as client:
        publish(url, shop())
        with running_predictor(url, "shop", grpc_port=free_port()) as running:
            assert {"c", "b"} <= set(ask_all(running))
            withdraw_items(client, "shop", ["b", "c"])
            wait_until(lambda: metric(running.url, "dawnlist_withdrawn_items") == 2)
            assert set(ask_all(running)) == {"a", "d", ""}  # V2 fills up with ""
            restore_items(client, "shop", ["b", "c"])
            wait_until(lambda: metric(running.url, "dawnlist_withdrawn_items") == 0)
            assert {"c", "b"} <= set(ask_all(running))


def ask_all(running: Any) -> list[str]:
    """Ask for ann and a newcomer by each protocol, for lists and for all items; the items' ids."""
    shown: list[str] = []
    with grpc.insecure_channel(running.grpc) as channel:
        stub = GRPCInferenceServiceStub(channel)
        for user in ("ann", "new"):
            for k in (2, 4):
                shown += ask_http(running.url, user, k)
                request = pb.ModelInferRequest(model_name="dawnlist")
                tensor = request.inputs.add(name="user_id", datatype="BYTES", shape=[1])
                tensor.contents.bytes_contents.append(user.encode())
                request.parameters["k"].int64_param = k
                outputs = stub.ModelInfer(request).outputs
                shown += [item.decode() for item in outputs[0].contents.bytes_contents]
    return shown


def ask_http(url: str, user: str, k: int) -> list[str]:
    lean = httpx.get(f"{url}/v1/recommendations/{user}?k={k}").json()
    instances = {"instances": [{"user_id": user, "k": k}]}
    [prediction] = httpx.post(f"{url}/v1/models/dawnlist:predict", json=instances).json()[
        "predictions"
    ]
    tensor = {"name": "user_id", "datatype": "BYTES", "shape": [1], "data": [user]}
    v2 = httpx.post(
        f"{url}/v2/models/dawnlist/infer", json={"inputs": [tensor], "parameters": {"k": k}}
    ).json()
    items = [item["item_id"] for item in lean["items"] + prediction["items"]]
    return items + list(v2["outputs"][0]["data"])


# The commands

COMMAND = (sys.executable, "-m", "dawnlist.pipelines.cli", "items")


def dawnlist(url: str, *words: str, given: str = "") -> tuple[int, str]:
    done = subprocess.run(
        [*COMMAND, *words, "--redis", url, "--namespace", "shop"],
        capture_output=True,
        text=True,
        check=False,
        input=given,
    )
    return done.returncode, (done.stdout + done.stderr).strip()


def test_the_commands(valkey: str, client: Any, tmp_path: Path) -> None:
    publish(valkey, shop())
    assert dawnlist(valkey, "withdrawn") == (0, "no item is withdrawn in namespace 'shop'")
    (tmp_path / "ids.txt").write_text("\ufeffa\r\n\n  z \na\n", encoding="utf-8")
    assert dawnlist(valkey, "withdraw", "c", "--file", str(tmp_path / "ids.txt")) == (
        0,
        "3 items withdrawn, 0 were withdrawn before\n"
        "1 of them are not in the active version: z; check the ids",
    )
    assert dawnlist(valkey, "withdraw", "c") == (
        0,
        "0 items withdrawn, 1 were withdrawn before",
    )
    assert predict_from_store(valkey, "shop", "ann")["items"][0]["item_id"] == "d"
    code, text = dawnlist(valkey, "withdrawn", "--format", "json")
    assert (code, list(json.loads(text))) == (0, ["a", "c", "z"])
    assert dawnlist(valkey, "restore", "--file", "-", given="c\nq\n") == (
        0,
        "1 items restored, 1 were not withdrawn",
    )
    code, text = dawnlist(valkey, "withdrawn")
    assert [line.split()[1] for line in text.splitlines()] == ["a", "z"]


@pytest.mark.parametrize("command", ["withdraw", "restore"])
def test_a_command_without_an_id_is_one_clear_line(valkey: str, command: str) -> None:
    assert dawnlist(valkey, command) == (
        1,
        "dawnlist: there is no id of an item: give ids, or --file with an id a line",
    )


def test_a_predictor_that_may_only_read(valkey: str, client: Any) -> None:
    """The predictor needs MGET and HSCAN, and no right to write."""
    publish(valkey, shop())
    withdraw_items(client, "shop", ["c"])
    client.execute_command(
        "ACL", "SETUSER", "reader", "on", "nopass", "~dawnlist:*", "+@read", "+@connection"
    )
    url = valkey.replace("redis://", "redis://reader@")
    [answer] = ask(url, QUESTIONS["list"])
    assert answer.item_ids == ["a", "d"]
    with pytest.raises(redis.ResponseError), connect_store(url) as reader:
        withdraw_items(reader, "shop", ["a"])


def build_large_shop(items: int) -> TopLists:
    """Build the shop of `shop` with a popular list of more items than anybody asks for."""
    return replace(
        shop(),
        popular_index=np.arange(items, dtype=np.uint32),
        popular_score=np.arange(items, 0, -1).astype(np.float32),
    )


def test_a_deeper_popular_list_fills_the_place(client: Any, valkey: str) -> None:
    publish(valkey, build_large_shop(4))
    withdraw_items(client, "shop", ["a"])
    [answer] = ask(valkey, QUESTIONS["popular"])
    assert (answer.tier, answer.item_ids) == ("popular", ["b", "c"])
