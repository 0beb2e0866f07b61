"""Encode answers as JSON, from pieces that are kept: an item's id and title are encoded once."""

import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Any, Final

import numpy as np
import orjson

from dawnlist.cuts import format_iso
from dawnlist.serving.predictor.answers.question import Question
from dawnlist.serving.predictor.answers.recommendation import ItemReasons, Recommendation
from dawnlist.serving.predictor.answers.snapshot import Snapshot
from dawnlist.serving.predictor.answers.static_catalogue import StaticCatalogue

NUMPY_JSON_OPTION: Final = orjson.OPT_SERIALIZE_NUMPY

ServedCatalogue = Snapshot | StaticCatalogue
"""What an answer's item rows refer to."""


class PredictionEncoder:
    """Encodes predictions, and keeps the encoded items of one catalogue.

    It belongs to one event loop.
    """

    def __init__(self) -> None:
        self._catalogue: ServedCatalogue | None = None
        # By row: b'},{"item_id":"17","title":"Alien","score":', or b"" if not encoded yet.
        self._items: list[bytes] = []

    def encode_prediction(
        self, question: Question, catalogue: ServedCatalogue, recommendation: Recommendation
    ) -> bytes:
        """Encode `{"user_id", "tier", "model_version", "token", "as_of", "age_seconds", "items": […]}`.

        Before the items comes "recommendation_id" if answers are logged.
        An item is `{"item_id", "title", "score"}`, with "because" if the question asked for it.
        """
        subject = {"user_id": question.given_id or question.user_id}
        return self.encode_answer(subject, catalogue, recommendation)

    def encode_answer(
        self,
        subject: Mapping[str, str],
        catalogue: ServedCatalogue,
        recommendation: Recommendation,
    ) -> bytes:
        """Encode an answer that begins with the id of whom or what it is about."""
        header: dict[str, Any] = {
            **subject,
            "tier": recommendation.tier,
            **describe_origin(catalogue),
        }
        if recommendation.id:
            header["recommendation_id"] = recommendation.id
        header["items"] = []
        head = orjson.dumps(header)[:-2]  # without the end, "]}"
        rows = recommendation.items
        if not rows:
            return head + b"]}"
        # As float32, which orjson writes with fewer digits.
        scores = np.asarray(recommendation.scores, dtype=np.float32)
        endings = orjson.dumps(scores, option=NUMPY_JSON_OPTION)[1:-1].split(b",")
        if recommendation.because is not None:
            endings = _append_reasons(endings, catalogue, recommendation.because)
        pieces: list[Any] = [None] * (2 * len(rows))
        pieces[::2] = self._encode_items(catalogue, rows)
        pieces[1::2] = endings
        # Each item's piece begins with "}," for the item before it, which the first does not need.
        return b"%b%b}]}" % (head, b"".join(pieces)[2:])

    def _encode_items(self, catalogue: ServedCatalogue, rows: Sequence[int]) -> list[bytes]:
        """Return the encoded id and title of each item, up to where its score follows."""
        if self._catalogue is not catalogue:
            self._items = [b""] * len(catalogue.item_ids)
            self._catalogue = catalogue
        encoded = self._items
        pieces = [encoded[row] for row in rows]
        if not all(pieces):
            for row in rows:
                item = {"item_id": catalogue.item_ids[row], "title": catalogue.titles[row]}
                encoded[row] = b'},%b,"score":' % orjson.dumps(item)[:-1]
            pieces = [encoded[row] for row in rows]
        return pieces


def describe_origin(catalogue: ServedCatalogue) -> dict[str, Any]:
    """Return an answer's model_version, token, as_of and age_seconds.

    The token is None for a static file, and the last two for one without a time.
    """
    as_of, age = None, None
    if catalogue.as_of is not None:
        as_of, seconds = _describe_time(catalogue.as_of)
        age = int(time.time() - seconds)
    return {
        "model_version": str(catalogue.version),
        "token": catalogue.token,
        "as_of": as_of,
        "age_seconds": age,
    }


@lru_cache(maxsize=16)
def _describe_time(as_of: datetime) -> tuple[str, float]:
    """Return the time as text, and in seconds since 1970. Every answer of a version has the same."""
    return format_iso(as_of), as_of.timestamp()


def describe_reasons(catalogue: ServedCatalogue, reasons: ItemReasons) -> list[dict[str, Any]]:
    """Return the past items that contributed to a score, and how much each contributed."""
    item_ids = catalogue.item_ids
    return [{"item_id": item_ids[row], "score": round(score, 6)} for row, score in reasons]


def _append_reasons(
    endings: Sequence[bytes], catalogue: ServedCatalogue, because: Sequence[ItemReasons]
) -> list[bytes]:
    """Append to each item's encoded score the reasons for it."""
    explained = []
    for ending, reasons in zip(endings, because, strict=True):
        encoded = orjson.dumps(describe_reasons(catalogue, reasons))
        explained.append(b'%b,"because":%b' % (ending, encoded))
    return explained
