"""An answer as JSON, put together from pieces: each item's id and title are written once for a version."""

import time
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

import numpy as np
import orjson

from dawnlist.cuts import parse_as_of
from dawnlist.serving.predictor.answers.ladder import Recommendation
from dawnlist.serving.predictor.answers.question import Question
from dawnlist.serving.predictor.answers.snapshot import Snapshot
from dawnlist.serving.predictor.answers.static_catalogue import StaticCatalogue

NUMPY_JSON_OPTION: Final = orjson.OPT_SERIALIZE_NUMPY

ServedCatalogue = Snapshot | StaticCatalogue


class PredictionEncoder:
    """Belongs to one event loop; holds the pieces of one catalogue, of the items that have been asked for."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._of: ServedCatalogue | None = None

    def prediction(
        self, question: Question, catalogue: ServedCatalogue, found: Recommendation
    ) -> bytes:
        """`{"user_id", "tier", "model_version", "as_of", "age_seconds", "items": [{"item_id", "title", "score"}]}`."""
        head = orjson.dumps(
            {
                "user_id": question.user_id,
                "tier": found.tier,
                **describe_origin(catalogue),
                "items": [],
            }
        )[:-2]
        rows = found.items
        if not rows:
            return head + b"]}"
        # as float32, which the JSON writer prints in its own few digits
        scores = orjson.dumps(np.asarray(found.scores, dtype=np.float32), option=NUMPY_JSON_OPTION)[
            1:-1
        ].split(b",")
        if found.because is not None:
            reasons = [orjson.dumps(describe_reasons(catalogue, one)) for one in found.because]
            scores = [b'%b,"because":%b' % pair for pair in zip(scores, reasons, strict=True)]
        parts: list[Any] = [None] * (2 * len(rows))
        parts[::2], parts[1::2] = self._pieces_of(catalogue, rows), scores
        return b"%b%b}]}" % (head, b"".join(parts)[2:])  # each piece closes the item before it

    def _pieces_of(self, catalogue: ServedCatalogue, rows: Sequence[int]) -> list[bytes]:
        if self._of is not catalogue:
            self._pieces, self._of = [b""] * len(catalogue.item_ids), catalogue
        known = self._pieces
        pieces = [known[row] for row in rows]
        if not all(pieces):
            for row in rows:
                item = {"item_id": catalogue.item_ids[row], "title": catalogue.titles[row]}
                known[row] = b"},%b" % orjson.dumps(item)[:-1] + b',"score":'
            pieces = [known[row] for row in rows]
        return pieces


def describe_origin(catalogue: ServedCatalogue) -> dict[str, Any]:
    """Where an answer is from: model_version, as_of and age_seconds, the last two null for lists of no run."""
    begun = _parse_timestamp(catalogue.as_of)
    age = None if begun is None else int(time.time() - begun)
    return {
        "model_version": str(catalogue.version),
        "as_of": catalogue.as_of or None,
        "age_seconds": age,
    }


def describe_reasons(
    catalogue: ServedCatalogue, reasons: Sequence[tuple[int, float]]
) -> list[dict[str, Any]]:
    """The past items that speak for a result, and how much of its score each is."""
    return [
        {"item_id": catalogue.item_ids[row], "score": round(score, 6)} for row, score in reasons
    ]


@lru_cache(maxsize=16)
def _parse_timestamp(as_of: str) -> float | None:
    return parse_as_of(as_of).timestamp() if as_of else None
