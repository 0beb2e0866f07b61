"""DawnlistModel: the KServe model behind every protocol; counted and bounded."""

import time
from collections.abc import Sequence
from typing import Any

import kserve

from dawnlist.serving.predictor.answers.engine import ServingEngine
from dawnlist.serving.predictor.answers.ladder import Recommendation
from dawnlist.serving.predictor.answers.question import Question
from dawnlist.serving.predictor.protocols.encoding import ServedCatalogue
from dawnlist.serving.predictor.request_limiter import RequestLimiter
from dawnlist.serving.predictor.watch.counts import PredictorMetrics


class DawnlistModel(kserve.Model):  # type: ignore[misc]
    """Top-k lists of one namespace."""

    def __init__(self, name: str, engine: ServingEngine, counts: PredictorMetrics) -> None:
        super().__init__(name)
        self.engine = engine
        self._counts, self._gate = counts, RequestLimiter(counts)
        self.ready = True  # kserve starts no server without it; probes ask healthy()

    async def healthy(self) -> bool:
        """Whether there is a version to answer from, loaded and warm."""
        return self.engine.ready

    async def predict(
        self, payload: Sequence[Question], headers: Any = None, response_headers: Any = None
    ) -> tuple[ServedCatalogue, list[Recommendation]]:
        """What was found for each question, and the catalogue that all of it is from.

        ValueError for what the caller did wrong, OverloadedError for too much at once.
        """
        began = time.perf_counter()
        self._gate.acquire(len(payload))
        try:
            catalogue, found = await self.engine.find(payload)
        finally:
            self._gate.release(len(payload))
        self._counts.count_answers(found, time.perf_counter() - began)
        return catalogue, found

    def get_input_types(self) -> list[dict[str, Any]]:
        """What docs/SERVING.md says of V2; `options` may be left out."""
        return [
            {"name": name, "datatype": "BYTES", "shape": [-1]} for name in ("user_id", "options")
        ]

    def get_output_types(self) -> list[dict[str, Any]]:
        shapes = {"item_id": "BYTES", "title": "BYTES", "score": "FP32"}
        lists = [
            {"name": name, "datatype": datatype, "shape": [-1, -1]}
            for name, datatype in shapes.items()
        ]
        counts = {"tier": "BYTES", "found": "INT32"}
        return [
            *lists,
            *(
                {"name": name, "datatype": datatype, "shape": [-1]}
                for name, datatype in counts.items()
            ),
        ]
