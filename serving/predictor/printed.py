"""An answer as JSON, put together from pieces: each item's id and title are written once for a version."""

import time
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np
import orjson

from components.cuts import parse_as_of
from serving.predictor.engine import Answer
from serving.predictor.question import Question

NUMBERS: Final = orjson.OPT_SERIALIZE_NUMPY


class Printer:
    """Belongs to one event loop; holds the pieces of one version's items that have been asked for."""

    def __init__(self) -> None:
        self._pieces: dict[str, bytes] = {}
        self._of: tuple[int, str] | None = None

    def prediction(self, question: Question, answer: Answer) -> bytes:
        """`{"user_id", "tier", "model_version", "as_of", "age_seconds", "items": [{"item_id", "title", "score"}]}`."""
        head = orjson.dumps({"user_id": question.user_id, "tier": answer.tier, **origin(answer), "items": []})
        return b"%b%b]}" % (head[:-2], self._items(answer))

    def _items(self, answer: Answer) -> bytes:
        if not answer.item_ids:
            return b""
        # as float32, which the JSON writer prints in its own few digits
        scores = orjson.dumps(np.asarray(answer.scores, dtype=np.float32), option=NUMBERS)[1:-1].split(b",")
        pieces = self._pieces_of(answer)
        if answer.because is not None:
            reasons = [orjson.dumps(reasons_of(one)) for one in answer.because]
            scores = [b'%b,"because":%b' % pair for pair in zip(scores, reasons, strict=True)]
        return b"},".join(map(b"%b%b".__mod__, zip(pieces, scores, strict=True))) + b"}"

    def _pieces_of(self, answer: Answer) -> list[bytes]:
        if self._of != (answer.version, answer.as_of):
            self._pieces, self._of = {}, (answer.version, answer.as_of)
        known = self._pieces
        try:
            return [known[item_id] for item_id in answer.item_ids]
        except KeyError:
            for item_id, title in zip(answer.item_ids, answer.titles, strict=True):
                known[item_id] = orjson.dumps({"item_id": item_id, "title": title})[:-1] + b',"score":'
            return [known[item_id] for item_id in answer.item_ids]


def origin(answer: Answer) -> dict[str, Any]:
    """Where an answer is from: model_version, as_of and age_seconds, the last two null for lists of no run."""
    begun = _seconds(answer.as_of)
    age = None if begun is None else int(time.time() - begun)
    return {"model_version": str(answer.version), "as_of": answer.as_of or None, "age_seconds": age}


def reasons_of(reasons: Sequence[tuple[str, float]]) -> list[dict[str, Any]]:
    """The past items that speak for a result, and how much of its score each is."""
    return [{"item_id": item_id, "score": round(score, 6)} for item_id, score in reasons]


@lru_cache(maxsize=16)
def _seconds(as_of: str) -> float | None:
    return parse_as_of(as_of).timestamp() if as_of else None
