"""The KServe model behind every protocol, with a limit on what is answered at once."""

import time
from collections.abc import Sequence
from typing import Any

import kserve

from dawnlist.serving.predictor.answers.engine import ServingEngine
from dawnlist.serving.predictor.answers.group.group_answer import GroupAnswer
from dawnlist.serving.predictor.answers.group.group_question import GroupQuestion
from dawnlist.serving.predictor.answers.question import Question
from dawnlist.serving.predictor.answers.recommendation import Recommendation
from dawnlist.serving.predictor.answers.shelves.shelf_question import ShelfQuestion
from dawnlist.serving.predictor.protocols.encoding import ServedCatalogue
from dawnlist.serving.predictor.request_limiter import RequestLimiter
from dawnlist.serving.predictor.shown_log import ShownLog
from dawnlist.serving.predictor.watch.counts import PredictorMetrics


class DawnlistModel(kserve.Model):  # type: ignore[misc]
    """Recommends the items of one namespace."""

    def __init__(
        self,
        name: str,
        engine: ServingEngine,
        counts: PredictorMetrics,
        shown_log: ShownLog | None = None,
    ) -> None:
        super().__init__(name)
        self.engine = engine
        self.shown_log = shown_log
        self._counts = counts
        self._limiter = RequestLimiter(counts)
        self.ready = True  # kserve starts no server without it; probes ask healthy()

    async def healthy(self) -> bool:
        """Return whether there is a version to answer from, loaded and warm."""
        return self.engine.ready

    async def predict(
        self, payload: Sequence[Question], headers: Any = None, response_headers: Any = None
    ) -> tuple[ServedCatalogue, list[Recommendation]]:
        """Answer each question, in order, with rows of the catalogue that is returned.

        Raises:
            ValueError: a question asks for what is not allowed.
            OverloadedError: too many requests are being answered.
        """
        began = time.perf_counter()
        self._limiter.acquire(len(payload))
        try:
            catalogue, recommendations = await self.engine.recommend(payload)
        finally:
            self._limiter.release(len(payload))
        self._counts.count_answers(recommendations, time.perf_counter() - began)
        if self.shown_log is not None:
            self.shown_log.add(payload, catalogue, recommendations)
        return catalogue, recommendations

    async def answer_shelf(self, question: ShelfQuestion) -> tuple[ServedCatalogue, Recommendation]:
        """Answer with a shelf, as rows of the catalogue that is returned.

        Raises:
            ValueError: the question asks for what is not allowed.
            OverloadedError: too many requests are being answered.
        """
        began = time.perf_counter()
        self._limiter.acquire(1)
        try:
            catalogue, recommendation = await self.engine.answer_shelf(question)
        finally:
            self._limiter.release(1)
        self._counts.count_answers([recommendation], time.perf_counter() - began)
        if self.shown_log is not None:
            self.shown_log.add([question], catalogue, [recommendation])
        return catalogue, recommendation

    async def answer_group(self, question: GroupQuestion) -> tuple[ServedCatalogue, GroupAnswer]:
        """Answer with a group's list, as rows of the catalogue that is returned.

        Raises:
            ValueError: the question asks for what is not allowed.
            OverloadedError: too many requests are being answered.
        """
        began = time.perf_counter()
        members = len(question.members)
        self._limiter.acquire(members)
        try:
            catalogue, answer = await self.engine.answer_group(question)
        finally:
            self._limiter.release(members)
        self._counts.count_answers([answer.recommendation], time.perf_counter() - began)
        self._counts.count_members(len(answer.counted), len(answer.unknown))
        if self.shown_log is not None:
            self.shown_log.add([question], catalogue, [answer.recommendation])
        return catalogue, answer

    def get_input_types(self) -> list[dict[str, Any]]:
        """Return V2's input tensors, as docs/SERVING.md describes them; `options` is optional."""
        return [
            _describe_tensor("user_id", "BYTES", [-1]),
            _describe_tensor("options", "BYTES", [-1]),
        ]

    def get_output_types(self) -> list[dict[str, Any]]:
        """Return V2's output tensors, as docs/SERVING.md describes them."""
        return [
            _describe_tensor("item_id", "BYTES", [-1, -1]),
            _describe_tensor("title", "BYTES", [-1, -1]),
            _describe_tensor("score", "FP32", [-1, -1]),
            _describe_tensor("tier", "BYTES", [-1]),
            _describe_tensor("found", "INT32", [-1]),
        ]


def _describe_tensor(name: str, datatype: str, shape: list[int]) -> dict[str, Any]:
    """Describe a tensor as KServe's metadata do; -1 is any length."""
    return {"name": name, "datatype": datatype, "shape": shape}
