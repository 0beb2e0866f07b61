"""DawnlistModel: the KServe model that answers from the active version of the store."""

from typing import Any

import kserve
from kserve.errors import InvalidInput
from redis import RedisError

from components.store_layout import NothingPublishedError
from components.store_reader import Reader, Snapshot, connect_reader
from serving.predictor import protocol


class DawnlistModel(kserve.Model):  # type: ignore[misc]
    """Top-k lists of one namespace; V1 and V2 requests as their JSON objects."""

    def __init__(self, name: str, redis: str, namespace: str) -> None:
        super().__init__(name)
        self._reader = Reader(connect_reader(redis), namespace)
        self.ready = True  # kserve serves no model without it; probes ask healthy()

    async def healthy(self) -> bool:
        """Whether there is a version to answer from, loaded."""
        try:
            await self._reader.lists([])
        except (NothingPublishedError, RedisError, RuntimeError):
            return False
        return True

    async def predict(self, payload: Any, headers: Any = None, response_headers: Any = None) -> dict[str, Any]:
        """Answer `instances` (V1) or `inputs` (V2).

        InvalidInput for what the caller did wrong, NothingPublishedError while that is so, redis.RedisError when the
        store does not answer, RuntimeError when what it holds can't be read.
        """
        if not isinstance(payload, dict):
            raise InvalidInput("the body has to be a JSON object")
        try:
            return await (self._answer_v2(payload) if "inputs" in payload else self._answer_v1(payload))
        except ValueError as error:
            raise InvalidInput(str(error)) from error

    async def _answer_v1(self, body: dict[str, Any]) -> dict[str, Any]:
        questions = protocol.questions_v1(body)
        snapshot, answers = await self._answers(questions)
        return protocol.response_v1(snapshot, questions, answers)

    async def _answer_v2(self, body: dict[str, Any]) -> dict[str, Any]:
        questions = protocol.questions_v2(body)
        request_id = body.get("id")
        if not isinstance(request_id, str | None):
            raise ValueError('"id" has to be text')
        snapshot, answers = await self._answers(questions)
        k = questions[0].k or min(protocol.DEFAULT_K, snapshot.k)
        return protocol.response_v2(self.name, snapshot, request_id, k, answers)

    async def _answers(self, questions: list[protocol.Question]) -> tuple[Snapshot, list[protocol.Answer]]:
        """All from one version."""
        snapshot, lists = await self._reader.lists([question.user_id for question in questions])
        protocol.check_k(questions, snapshot.k)
        pairs = zip(questions, lists, strict=True)
        return snapshot, [protocol.answer(snapshot, packed, question.k) for question, packed in pairs]

    def get_input_types(self) -> list[dict[str, Any]]:
        return [{"name": "user_id", "datatype": "BYTES", "shape": [-1]}]

    def get_output_types(self) -> list[dict[str, Any]]:
        shapes = {"item_id": "BYTES", "title": "BYTES", "score": "FP32"}
        lists = [{"name": name, "datatype": datatype, "shape": [-1, -1]} for name, datatype in shapes.items()]
        return [*lists, {"name": "tier", "datatype": "BYTES", "shape": [-1]}]
