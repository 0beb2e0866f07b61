"""The engine when versions switch, vanish or are broken, and when the store is silent: an answer every time."""

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import redis

from dawnlist.cuts import parse_as_of
from dawnlist.schema import CATALOGUE_SCHEMA
from dawnlist.serving.predictor.answers import version_follower
from dawnlist.serving.predictor.answers.engine import Answer, ServingEngine
from dawnlist.serving.predictor.answers.question import Question
from dawnlist.serving.predictor.answers.version_follower import VersionFollower
from dawnlist.store import recent, versions, wire
from dawnlist.store.client import connect_store
from dawnlist.urls import REDIS_PASSWORD
from tests.support.heard import Heard
from tests.support.stores import put_on, valkey_of
from tests.test_engine import AS_OF, GENRES, answer, best, later, publish, scored, shop


@contextlib.asynccontextmanager
async def running(url: str, heard: Heard, **more: Any) -> AsyncIterator[ServingEngine]:
    engine = ServingEngine(url, "shop", metrics=heard, **{"timeout": 10.0, **more})
    await engine.start()
    try:
        yield engine
    finally:
        await engine.stop()


def with_engine(
    url: str, use: Callable[[ServingEngine, Heard], Awaitable[None]], **more: Any
) -> None:
    async def run() -> None:
        heard = Heard()
        async with running(url, heard, **more) as engine:
            await use(engine, heard)

    asyncio.run(run())


async def until(holds: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


async def ask(engine: ServingEngine, user_id: str = "ann", **fields: Any) -> Answer:
    [found] = await engine.answer_questions([Question(user_id, **fields)])
    return found


LIST, POPULAR = answer("list", "db", [0.75, 0.5]), answer("popular", "ba", [9, 8])


def lettered(letter: str) -> Any:
    ids = [f"{letter}{item}" for item in "abcdefgh"]
    return shop(catalogue=pa.table([ids, ids, GENRES], schema=CATALOGUE_SCHEMA))


def test_switches_and_rollbacks_mix_no_answer(valkey: str) -> None:
    """Version v's items begin with its letter."""
    letters = "abcdefghijklmnopqrstuvw"
    publish(valkey, lettered(letters[1]))
    events = (later(90, "none"),)
    questions = [
        Question("ann"),
        Question("new"),
        Question("bob", k=6),
        Question("new", recent=events),
    ]

    async def use(engine: ServingEngine, heard: Heard) -> None:
        answers: list[list[Answer]] = []
        stop = asyncio.Event()

        async def read() -> None:
            while not stop.is_set():
                answers.append(await engine.answer_questions(questions * 9))

        readers = [asyncio.create_task(read()) for _ in range(4)]
        for day in range(2, 9):
            as_of = parse_as_of(f"2026-03-{day:02d}T03:00:00Z")
            await asyncio.to_thread(publish, valkey, lettered(letters[day]), as_of, f"run-{day}")
            await until(lambda day=day: engine.version == day)  # type: ignore[misc]
            if day % 4 == 0:
                await asyncio.to_thread(rolled_back_and_released, valkey)
                await until(lambda day=day: engine.version == day - 1)  # type: ignore[misc]
        stop.set()
        await asyncio.gather(*readers)
        for found in answers:
            version = found[0].version
            assert {one.version for one in found} == {version}
            assert {one.as_of for one in found} == {parse_as_of(f"2026-03-{version:02d}T03:00:00Z")}
            assert {item[0] for one in found for item in one.item_ids} == {letters[version]}
            assert [one.tier for one in found] == ["list", "popular", "vector", "popular"] * 9
            assert [len(one.item_ids) for one in found] == [2, 2, 6, 2] * 9
        assert len({found[0].version for found in answers}) > 5
        assert [said for said in heard.said if isinstance(said, str) and said != "fold_in"] == []

    with_engine(valkey, use)


def rolled_back_and_released(url: str) -> None:
    with connect_store(url) as client:
        versions.roll_back_version(client, "shop")
        versions.release_hold(client, "shop")


def test_a_broken_chunk_leaves_the_old_version_until_it_is_mended(valkey: str) -> None:
    publish(valkey, shop())

    async def use(engine: ServingEngine, heard: Heard) -> None:
        with redis.from_url(valkey) as client:
            token = publish(valkey, lettered("x"), AS_OF + timedelta(days=1), "run-2")["token"]
            key = f"dawnlist:shop:{token}:f:0"
            whole = client.get(key)
            client.set(key, whole[:-1] + b"?")
            await until(lambda: "corrupt version" in heard.said or engine.version == 2)
            if engine.version == 2:  # it was quicker than the damage
                return
            assert (await ask(engine), engine.ready) == (LIST, True)
            client.set(key, whole)
            await until(lambda: engine.version == 2)
            assert (await ask(engine)).item_ids == ["xd", "xb"]

    with_engine(valkey, use)


@pytest.mark.parametrize("part", ["c:0", "f:0", "p"])
@pytest.mark.parametrize("damage", ["gone", "broken", "short"])
def test_no_part_of_a_version_is_loaded_broken(valkey: str, part: str, damage: str) -> None:
    token = publish(valkey, shop())["token"]
    with redis.from_url(valkey) as client:
        key = f"dawnlist:shop:{token}:{part}"
        whole: bytes = client.get(key)
        if damage == "gone":
            client.delete(key)
        else:
            client.set(
                key,
                whole[:9] + bytes([whole[9] ^ 1]) + whole[10:] if damage == "broken" else whole[:3],
            )

    async def use(engine: ServingEngine, heard: Heard) -> None:
        assert not engine.ready
        assert (engine.version, engine.as_of, engine.loaded_at) == (None, None, None)
        assert await ask(engine) == Answer("static", 0, None, [], [], [], None)
        assert heard.said == ["corrupt version"]

    with_engine(valkey, use)


def test_a_meta_that_contradicts_the_content_is_not_served(valkey: str) -> None:
    publish(valkey, shop())
    with redis.from_url(valkey) as client:
        meta = json.loads(client.hget("dawnlist:{shop}:versions", "1"))
        for change in (
            {"items": 9},
            {"items": 7},
            {"layout": 3},
            {"factors": 3},
            {"buckets": "x"},
        ):
            client.hset("dawnlist:{shop}:versions", "1", json.dumps({**meta, **change}))

            async def use(engine: ServingEngine, heard: Heard) -> None:
                assert not engine.ready
                assert heard.said == ["corrupt version"]

            with_engine(valkey, use)


def test_a_broken_bucket_and_a_broken_history(valkey: str) -> None:
    token = publish(valkey, shop())["token"]

    async def use(engine: ServingEngine, heard: Heard) -> None:
        with redis.from_url(valkey) as client:
            history = client.get(f"dawnlist:shop:{token}:h:0")
            client.set(f"dawnlist:shop:{token}:h:0", history[:-1])
            assert await ask(engine, recent=(later(1, "b"),)) == answer("list", "d", [0.75])
            assert await ask(engine, k=5, filters=(("genres", ("war",)),)) == answer(
                "list", "b", [0.5]
            )
            client.delete(f"dawnlist:shop:{token}:h:0")
            assert await ask(engine, explain=True) == Answer(
                "list", 1, AS_OF, ["d", "b"], ["D", "B"], [0.75, 0.5], [[], []]
            )
            client.set(f"dawnlist:shop:{token}:u:0", b"broken")
            assert await ask(engine) == POPULAR
            client.set(f"dawnlist:shop:{token}:u:0", b"")
            assert await ask(engine, context=(("device", "mobile"),)) == answer(
                "segment", "fb", [2, 1]
            )
        assert heard.said[1:] == [
            *["corrupt history", "corrupt"] * 2,
            *["corrupt history", "gone"],
            *["corrupt bucket", "corrupt"] * 2,
        ]

    with_engine(valkey, use)


def test_recorded_events_that_are_no_events(valkey: str) -> None:
    publish(valkey, shop())
    for value in (
        b"x",
        b"[1]\n",
        b"[1, 2, 3]\n",
        b'{"a": 1}\n',
        b'["x", "view", "b"]\n',
        b"\xff\n",
        b"[null, null, null]\n",
    ):
        with redis.from_url(valkey) as client:
            client.set(recent.build_recent_key("shop", "ann"), value)

        async def use(engine: ServingEngine, heard: Heard) -> None:
            assert await ask(engine) == LIST
            assert heard.said[1:] in (["corrupt recent"], [])

        with_engine(valkey, use)


def test_an_emptied_store_is_answered_from_memory_until_it_is_published_to_again(
    valkey: str,
) -> None:
    publish(valkey, shop())

    async def use(engine: ServingEngine, heard: Heard) -> None:
        assert await ask(engine) == LIST
        with redis.from_url(valkey) as client:
            client.flushall()
        assert await ask(engine) == POPULAR
        assert await ask(engine, recent=(later(1, "b"),)) == best(
            "fold_in", scored({"b": (1.0, 0.0)}), hidden="b"
        )
        assert {"corrupt bucket", "gone"} <= set(heard.said[1:])
        publish(valkey, lettered("n"))
        await until(lambda: (1, AS_OF) in heard.said[1:])
        assert (await ask(engine)).item_ids == ["nd", "nb"]  # version 1 as well, and another one

    with_engine(valkey, use)


def test_the_store_hangs_dies_and_comes_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        wire, "BREAKER_REST_SECONDS", 60.0
    )  # the loop's clock is put on by it: what is slow here ends no rest
    with valkey_of(tmp_path) as port:
        url = f"redis://127.0.0.1:{port}/0"
        publish(url, shop())
        with redis.from_url(url) as client:
            pid = client.info("server")["process_id"]

        async def use(engine: ServingEngine, heard: Heard) -> None:
            assert (await ask(engine), engine.redis_ok) == (LIST, True)
            os.kill(pid, signal.SIGSTOP)
            for _ in range(50):
                assert await ask(engine) == POPULAR
            assert heard.said.count("TimeoutError") == 5  # then the breaker, not fifty times
            assert (engine.ready, engine.redis_ok) == (True, False)
            os.kill(pid, signal.SIGCONT)
            put_on(60)
            assert (await ask(engine), engine.redis_ok) == (LIST, True)
            os.kill(pid, signal.SIGKILL)
            for _ in range(10):
                assert await ask(engine) == POPULAR
            with valkey_of(tmp_path, port=port):
                publish(url, lettered("n"))
                await until(lambda: heard.said.count((1, AS_OF)) == 2)
                put_on(60)
                assert (await ask(engine)).item_ids == ["nd", "nb"]

        with_engine(url, use, timeout=1.0)


def test_a_follower_makes_its_client_anew_after_a_lost_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A client that is kept would go on with the password that it was made with."""
    monkeypatch.setattr(version_follower, "FOLLOWER_POLL_SECONDS", 0.1)
    monkeypatch.setenv(REDIS_PASSWORD, "first")
    with valkey_of(tmp_path, "--requirepass", "first") as port:
        url = f"redis://127.0.0.1:{port}/0"
        publish(url, shop())
        follower = VersionFollower(url, "shop", Heard(), lambda: None)
        follower.start()
        try:
            wait_until(lambda: follower.snapshot is not None)
            with redis.from_url(url, password="first") as client:
                client.config_set("requirepass", "second")
                monkeypatch.setenv(REDIS_PASSWORD, "second")
                client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
            publish(url, lettered("n"), AS_OF + timedelta(days=1), "run-2")
            wait_until(lambda: follower.snapshot is not None and follower.snapshot.version == 2)
        finally:
            follower.stop()


def wait_until(is_reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not is_reached():
        assert time.monotonic() < deadline
        time.sleep(0.02)
