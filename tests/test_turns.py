"""A large answer is encoded in turns, so that it holds up nobody."""

import asyncio
from typing import Any

import pytest

from dawnlist.serving.predictor.protocols import turns
from dawnlist.serving.predictor.protocols.turns import MAX_TURN_SECONDS, Turn
from dawnlist.serving.predictor.protocols.v1 import encode_v1_response


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


class SlowEncoder:
    """Encodes each prediction in the same time."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        self._clock = clock
        self._seconds = seconds

    def encode_prediction(self, question: Any, catalogue: Any, recommendation: Any) -> bytes:
        self._clock.now += self._seconds
        return b"%d" % recommendation


async def count_turns_of_others(encoder: Any, users: int) -> tuple[int, bytes]:
    """Encode an answer for so many users; return how often another task ran meanwhile."""
    turns_of_others = 0

    async def run_again_and_again() -> None:
        nonlocal turns_of_others
        while True:
            turns_of_others += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(run_again_and_again())
    answer = await encode_v1_response(encoder, [None] * users, None, range(users))  # type: ignore
    other.cancel()
    return turns_of_others, answer


@pytest.mark.parametrize(
    ("seconds", "expected_turns"),
    [(MAX_TURN_SECONDS, 6), (MAX_TURN_SECONDS / 2, 3), (MAX_TURN_SECONDS / 8, 0)],
    ids=["each user takes a turn", "two users take a turn", "all users take less than a turn"],
)
def test_others_run_after_each_turn(
    seconds: float, expected_turns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Clock()
    monkeypatch.setattr(turns, "time", clock)
    encoder = SlowEncoder(clock, seconds)
    turns_of_others, answer = asyncio.run(count_turns_of_others(encoder, users=6))
    assert turns_of_others == expected_turns
    assert answer == b'{"predictions":[0,1,2,3,4,5]}'


def test_a_turn_begins_anew_after_others_ran(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(turns, "time", clock)

    async def take_turns() -> list[int]:
        ran: list[int] = []
        turn = Turn()
        for number, moment in enumerate([0.0, 1.0, 1.0, 1.001, 1.0025]):
            clock.now = moment
            asyncio.get_running_loop().call_soon(ran.append, number)
            await turn.end_if_long()
        return ran

    assert asyncio.run(take_turns()) == [0, 1, 2, 3, 4]
