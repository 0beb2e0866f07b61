"""Clients that ask without a pause and check every answer.

`python -m tests.support.load URL [CONNECTIONS]` prints a line once the clients have had their first
answers. When its input ends, each client asks once more, and it prints a report as JSON.

The shop that the clients know has versions n = 0, 1, …; every part of a version says which n it is
of: as_of, the titles, the scores, every user's list and the order of the catalogue. So an answer
that mixes two versions, or rows of one with the items of another, is detected.
tests/support/faults.py publishes the shop.
"""

import asyncio
import contextlib
import json
import random
import re
import sys
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Final

ITEMS: Final = 60
USERS: Final = 400
K: Final = 10
"""The length of the users' lists."""
BASE: Final = datetime(2026, 3, 1, 3, tzinfo=UTC)
"""as_of of version 0; each later version's is a minute later."""
CONTENT_LENGTH: Final = re.compile(rb"content-length: (\d+)")
KINDS: Final = ("lean",) * 4 + ("v1",) * 3 + ("v2",) * 2 + ("fold",)
"""Kinds of requests, in proportion to how often each is sent."""
USERS_PER_REQUEST: Final = {"lean": 1, "v1": 18, "v2": 4, "fold": 1}
"""Known users in a request of each kind; all but lean also ask for an unknown user."""
RECENT_EVENTS: Final = 3
"""Events of each user in a request of kind fold."""
TIMEOUT_SECONDS: Final = 10.0
WARM_ANSWERS: Final = 64
"""Answers after which the first line is printed."""
MAX_EXAMPLES: Final = 10
"""Errors that the report has examples of."""
Prediction = dict[str, Any]
"""A question or an answer, as V1 has it."""


def as_of(n: int) -> str:
    """Return as_of of version n."""
    return (BASE + timedelta(minutes=n)).strftime("%Y-%m-%dT%H:%M:%SZ")


@lru_cache
def number(moment: str) -> int:
    """Return the n of the version with this as_of."""
    return round((datetime.fromisoformat(moment) - BASE) / timedelta(minutes=1))


def ranking(n: int, user: int) -> list[int]:
    """Return all items as version n ranks them for a user.

    The first K are the user's list, and the next two those that the user has met.
    """
    return [(7 * user + 3 * n + 11 * rank) % ITEMS for rank in range(ITEMS)]


def popular(n: int) -> list[int]:
    """Return all items as version n ranks them for unknown users."""
    return [(13 * n + 17 * rank) % ITEMS for rank in range(ITEMS)]


class Load:
    """Counts of the requests and of what was wrong with their answers."""

    def __init__(self) -> None:
        self.requests = 0
        # Answers with an item that their user has met.
        self.seen = 0
        self.errors: Counter[str] = Counter()
        self.examples: list[str] = []
        self.tiers: Counter[str] = Counter()
        self.versions: Counter[str] = Counter()
        self.seconds: list[float] = []

    def error(self, kind: str, example: object = "") -> None:
        """Count an error."""
        self.errors[kind] += 1
        if len(self.examples) < MAX_EXAMPLES:
            self.examples.append(f"{kind}: {str(example)[:400]}")

    def check(
        self, asked_questions: Sequence[Prediction], predictions: Sequence[Prediction]
    ) -> None:
        """Check every answer of a request, and that all are of one version."""
        versions = {(answer["model_version"], answer["as_of"]) for answer in predictions}
        if len(versions) != 1:
            self.error("mixed", predictions)
        for question, prediction in zip(asked_questions, predictions, strict=True):
            self.tiers[prediction["tier"]] += 1
            mistake = self._find_mistake(question, prediction)
            if mistake:
                self.error(mistake, [question, prediction])
        self.versions[predictions[0]["as_of"]] += 1

    def _find_mistake(self, question: Prediction, prediction: Prediction) -> str | None:
        """Return what is wrong with an answer in a word; None if it is right."""
        tier = prediction["tier"]
        items = prediction["items"]
        if question["user_id"] != prediction["user_id"]:
            return "another's"
        if not items:
            return "empty"
        if tier == "static":
            all_static = all(item["item_id"].startswith("static") for item in items)
            return None if all_static else "mixed"
        n = number(prediction["as_of"])
        for item in items:
            if item["title"] != f"{n}:{item['item_id']}" or abs(item["score"] - 10 * n) > 4:
                return "mixed"
        answered_items = [int(item["item_id"][1:]) for item in items]
        return self._find_mistake_in_items(n, tier, answered_items, question)

    def _find_mistake_in_items(
        self, n: int, tier: str, items: list[int], question: Prediction
    ) -> str | None:
        recent = [int(event["item_id"][1:]) for event in question.get("recent", [])]
        is_known = question["user_id"][0] == "u"
        user = int(question["user_id"][1:])
        met = set(ranking(n, user)[K : K + 2])
        if is_known and met.intersection(items):
            self.seen += 1
        if set(items).intersection(recent) or len(set(items)) != len(items):
            return "hidden"
        shortest = K
        if tier == "list":
            shortest = K - len(recent)
        if tier in ("list", "popular"):
            order = ranking(n, user)[:K] if tier == "list" else popular(n)
            visible = [item for item in order if item not in recent]
            if items != visible[: len(items)]:
                return "mixed"
        return "short" if len(items) < shortest else None

    def report(self, seconds: float) -> dict[str, Any]:
        """Return the counts, and percentiles of the answers' times in milliseconds."""
        return {
            "requests": self.requests,
            "answers": sum(self.tiers.values()),
            "errors": dict(self.errors),
            "p50": self._percentile(50),
            "p99": self._percentile(99),
            "max": self._percentile(100),
            "seconds": round(seconds, 1),
            "tiers": dict(self.tiers),
            "versions": len(self.versions),
            "seen": self.seen,
            "examples": self.examples,
        }

    def _percentile(self, percent: int) -> float:
        ascending = sorted(self.seconds) or [0.0]
        position = min(len(ascending) - 1, len(ascending) * percent // 100)
        return round(1000 * ascending[position], 1)


def questions(kind: str, rng: random.Random) -> list[Prediction]:
    """Draw the questions of one request."""
    users = [f"u{rng.randrange(USERS)}" for _ in range(USERS_PER_REQUEST[kind])]
    drawn: list[Prediction] = [{"user_id": user} for user in users]
    if kind != "lean":
        drawn.append({"user_id": f"x{rng.randrange(USERS)}"})
    if kind == "fold":
        for question in drawn:
            items = rng.sample(range(ITEMS), RECENT_EVENTS)
            question["recent"] = [{"item_id": f"i{item}"} for item in items]
    return drawn


def request(kind: str, asked_questions: Sequence[Prediction]) -> bytes:
    """Return the bytes of a request."""
    if kind == "lean":
        user = asked_questions[0]["user_id"]
        return f"GET /v1/recommendations/{user} HTTP/1.1\r\nhost: a\r\n\r\n".encode()
    if kind == "v2":
        data = [question["user_id"] for question in asked_questions]
        tensor = {"name": "user_id", "datatype": "BYTES", "shape": [len(data)], "data": data}
        path = "/v2/models/dawnlist/infer"
        body = json.dumps({"inputs": [tensor]})
    else:
        path = "/v1/models/dawnlist:predict"
        body = json.dumps({"instances": asked_questions})
    return f"POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode()


def parse_predictions(
    kind: str, asked_questions: Sequence[Prediction], body: bytes
) -> list[Prediction]:
    """Return a response's answers as V1's predictions."""
    content: dict[str, Any] = json.loads(body)
    if kind == "lean":
        return [content]
    if kind != "v2":
        predictions: list[Prediction] = content["predictions"]
        return predictions
    outputs = {output["name"]: output for output in content["outputs"]}
    data = {name: output["data"] for name, output in outputs.items()}
    width = outputs["item_id"]["shape"][1]
    rows = zip(asked_questions, data["tier"], data["found"], strict=True)
    answers = []
    for row, (question, tier, count) in enumerate(rows):
        items = []
        for position in range(row * width, row * width + count):
            items.append({name: data[name][position] for name in ("item_id", "title", "score")})
        answer = {
            "user_id": question["user_id"],
            "tier": tier,
            "model_version": content["parameters"]["model_version"],
            "as_of": content["parameters"]["as_of"],
            "items": items,
        }
        answers.append(answer)
    return answers


async def client(host: str, port: int, load: Load, stop: asyncio.Event, seed: int) -> None:
    """Use one connection after another.

    A connection that is refused, closed before an answer, or cut within one is an error. The last
    request begins after the stop, so that it sees what there was by then, however slow the machine.
    """
    rng = random.Random(seed)
    is_last = False
    while not is_last:
        is_last = stop.is_set()
        try:
            reader, writer = await asyncio.open_connection(host, port)
        except OSError:
            load.error("refused")
            await asyncio.sleep(0.1)
            continue
        with contextlib.closing(writer):
            while await exchange(reader, writer, load, rng) and not is_last:
                is_last = stop.is_set()


async def exchange(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, load: Load, rng: random.Random
) -> bool:
    """Send one request and check its answers; return whether the connection can be used again."""
    kind = rng.choice(KINDS)
    drawn = questions(kind, rng)
    head = b""
    began = time.perf_counter()
    load.requests += 1
    try:
        async with asyncio.timeout(TIMEOUT_SECONDS):
            writer.write(request(kind, drawn))
            head = await reader.readuntil(b"\r\n\r\n")
            match = CONTENT_LENGTH.search(head)
            body = await reader.readexactly(int(match[1]) if match else 0)
    except TimeoutError:
        load.error("timeout", drawn)
        return False
    except (OSError, asyncio.IncompleteReadError) as error:
        has_begun = head or getattr(error, "partial", b"")
        load.error("cut" if has_begun else "closed", drawn)
        return False
    load.seconds.append(time.perf_counter() - began)
    if len(load.seconds) == WARM_ANSWERS:
        print("asking", flush=True)
    status = head[9:12].decode()
    if status == "200":
        load.check(drawn, parse_predictions(kind, drawn, body))
    else:
        load.error(status, body)
    return b"connection: close" not in head


async def main(url: str, connections: str = "16") -> None:
    """Run the clients until the standard input ends, and print the report."""
    host, port = url.removeprefix("http://").split(":")
    load = Load()
    stop = asyncio.Event()
    began = time.perf_counter()
    input_end = asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    input_end.add_done_callback(lambda _: stop.set())
    clients = [client(host, int(port), load, stop, seed) for seed in range(int(connections))]
    await asyncio.gather(*clients)
    print(json.dumps(load.report(time.perf_counter() - began)))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
