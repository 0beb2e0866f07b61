"""Clients that ask without a pause and look at every answer: `python -m tests.support.load URL [CONNECTIONS]`.
It prints a line once they are at it; when its input ends, each asks once more, and it prints what they saw as JSON.

The shop they know has versions of which every part tells its number n: as_of, the titles, the scores, every user's list
and the order of the catalogue. So an answer that mixes two versions, or an index of one with the items of another, is
found out; tests/support/faults.py publishes it.
"""

import asyncio
import contextlib
import json
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

ITEMS: Final = 60
USERS: Final = 400
K: Final = 10
BASE: Final = datetime(2026, 3, 1, 3, tzinfo=UTC)
LENGTH: Final = re.compile(rb"content-length: (\d+)")
KINDS: Final = ("lean",) * 4 + ("v1",) * 3 + ("v2",) * 2 + ("fold",)
SECONDS: Final = 10.0
WARM: Final = 64
"""Answers after which the clients are at it."""
Prediction = dict[str, Any]


def as_of(n: int) -> str:
    return (BASE + timedelta(minutes=n)).strftime("%Y-%m-%dT%H:%M:%SZ")


@lru_cache
def number(moment: str) -> int:
    """n of an as_of."""
    return round((datetime.fromisoformat(moment) - BASE) / timedelta(minutes=1))


def ranking(n: int, user: int) -> list[int]:
    """All items: the first K are the user's list in version n, the next two those that the user has met."""
    return [(7 * user + 3 * n + 11 * j) % ITEMS for j in range(ITEMS)]


def popular(n: int) -> list[int]:
    return [(13 * n + 17 * j) % ITEMS for j in range(ITEMS)]


class Load:
    """What was asked and seen."""

    def __init__(self) -> None:
        self.requests = self.seen = 0
        """Of `seen`: answers with an item that their user has met."""
        self.errors: Counter[str] = Counter()
        self.examples: list[str] = []
        self.tiers: Counter[str] = Counter()
        self.versions: Counter[str] = Counter()
        self.seconds: list[float] = []

    def error(self, kind: str, example: object = "") -> None:
        self.errors[kind] += 1
        if len(self.examples) < 10:
            self.examples.append(f"{kind}: {str(example)[:400]}")

    def check(self, asked: Sequence[Prediction], predictions: Sequence[Prediction]) -> None:
        """Every answer, and that all are of one version."""
        if len({(p["model_version"], p["as_of"]) for p in predictions}) != 1:
            self.error("mixed", predictions)
        for question, prediction in zip(asked, predictions, strict=True):
            self.tiers[prediction["tier"]] += 1
            if wrong := self._wrong(question, prediction):
                self.error(wrong, [question, prediction])
        self.versions[predictions[0]["as_of"]] += 1

    def _wrong(self, question: Prediction, prediction: Prediction) -> str | None:
        tier, items = prediction["tier"], prediction["items"]
        if question["user_id"] != prediction["user_id"]:
            return "another's"
        if not items:
            return "empty"
        if tier == "static":
            return None if all(item["item_id"].startswith("static") for item in items) else "mixed"
        n, ids = number(prediction["as_of"]), [item["item_id"] for item in items]
        if any(
            item["title"] != f"{n}:{item['item_id']}" or abs(item["score"] - 10 * n) > 4
            for item in items
        ):
            return "mixed"
        return self._wrong_items(n, tier, [int(item_id[1:]) for item_id in ids], question)

    def _wrong_items(self, n: int, tier: str, found: list[int], question: Prediction) -> str | None:
        recent = [int(event["item_id"][1:]) for event in question.get("recent", [])]
        known, user = question["user_id"][0] == "u", int(question["user_id"][1:])
        if known and set(found) & set(ranking(n, user)[K : K + 2]):
            self.seen += 1
        if set(found) & set(recent) or len(set(found)) != len(found):
            return "hidden"
        if tier in ("list", "popular"):
            order = ranking(n, user)[:K] if tier == "list" else popular(n)
            if found != [item for item in order if item not in recent][: len(found)]:
                return "mixed"
        return "short" if len(found) < (K - len(recent) if tier == "list" else K) else None

    def report(self, seconds: float) -> dict[str, Any]:
        taken = sorted(self.seconds) or [0.0]
        at = {
            f"p{p}": round(1000 * taken[min(len(taken) - 1, len(taken) * p // 100)], 1)
            for p in (50, 99)
        }
        return {
            "requests": self.requests, "answers": sum(self.tiers.values()), "errors": dict(self.errors), **at,
            "max": round(1000 * taken[-1], 1), "seconds": round(seconds, 1), "tiers": dict(self.tiers),
            "versions": len(self.versions), "seen": self.seen, "examples": self.examples,
        }  # fmt: skip


def questions(kind: str, rng: random.Random) -> list[Prediction]:
    """Of one request."""
    users = [f"u{rng.randrange(USERS)}" for _ in range({"v1": 18, "v2": 4}.get(kind, 1))]
    asked: list[Prediction] = [{"user_id": user} for user in users]
    if kind != "lean":
        asked.append({"user_id": f"x{rng.randrange(USERS)}"})
    if kind == "fold":
        for question in asked:
            question["recent"] = [{"item_id": f"i{item}"} for item in rng.sample(range(ITEMS), 3)]
    return asked


def request(kind: str, asked: Sequence[Prediction]) -> bytes:
    if kind == "lean":
        return f"GET /v1/recommendations/{asked[0]['user_id']} HTTP/1.1\r\nhost: a\r\n\r\n".encode()
    if kind == "v2":
        data = [question["user_id"] for question in asked]
        tensor = {"name": "user_id", "datatype": "BYTES", "shape": [len(data)], "data": data}
        path, body = "/v2/models/dawnlist/infer", json.dumps({"inputs": [tensor]})
    else:
        path, body = "/v1/models/dawnlist:predict", json.dumps({"instances": asked})
    return f"POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode()


def predictions_of(kind: str, asked: Sequence[Prediction], body: bytes) -> list[Prediction]:
    found: dict[str, Any] = json.loads(body)
    if kind == "lean":
        return [found]
    if kind != "v2":
        predictions: list[Prediction] = found["predictions"]
        return predictions
    outputs = {output["name"]: output for output in found["outputs"]}
    width = outputs["item_id"]["shape"][1]

    def items(row: int, count: int) -> Iterator[dict[str, Any]]:
        for at in range(row * width, row * width + count):
            yield {name: outputs[name]["data"][at] for name in ("item_id", "title", "score")}

    whence = {name: found["parameters"][name] for name in ("model_version", "as_of")}
    rows = enumerate(zip(asked, outputs["tier"]["data"], outputs["found"]["data"], strict=True))
    return [
        {"user_id": question["user_id"], "tier": tier, **whence, "items": list(items(row, count))}
        for row, (question, tier, count) in rows
    ]


async def client(host: str, port: int, load: Load, stop: asyncio.Event, seed: int) -> None:
    """One connection after another; what is refused, closed before an answer, or cut in its middle is an error.

    The last request is begun after the stop: what was there by then is seen, however slow the machine is.
    """
    rng, last = random.Random(seed), False
    while not last:
        last = stop.is_set()
        try:
            reader, writer = await asyncio.open_connection(host, port)
        except OSError:
            load.error("refused")
            await asyncio.sleep(0.1)
            continue
        with contextlib.closing(writer):
            while await exchange(reader, writer, load, rng) and not last:
                last = stop.is_set()


async def exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, load: Load, rng: random.Random
) -> bool:
    """One request; whether the connection can be used again."""
    kind = rng.choice(KINDS)
    asked, head, began = questions(kind, rng), b"", time.perf_counter()
    load.requests += 1
    try:
        async with asyncio.timeout(SECONDS):
            writer.write(request(kind, asked))
            head = await reader.readuntil(b"\r\n\r\n")
            found = LENGTH.search(head)
            body = await reader.readexactly(int(found[1]) if found else 0)
    except TimeoutError:
        load.error("timeout", asked)
        return False
    except (OSError, asyncio.IncompleteReadError) as error:
        load.error("cut" if head or getattr(error, "partial", b"") else "closed", asked)
        return False
    load.seconds.append(time.perf_counter() - began)
    if len(load.seconds) == WARM:
        print("asking", flush=True)
    if head[9:12] != b"200":
        load.error(head[9:12].decode(), body)
    else:
        load.check(asked, predictions_of(kind, asked, body))
    return b"connection: close" not in head


async def main(url: str, connections: str = "16") -> None:
    host, port = url.removeprefix("http://").split(":")
    load, stop, began = Load(), asyncio.Event(), time.perf_counter()
    ended = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    ended.add_done_callback(lambda _: stop.set())
    await asyncio.gather(
        *(client(host, int(port), load, stop, seed) for seed in range(int(connections)))
    )
    print(json.dumps(load.report(time.perf_counter() - began)))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
