"""The tensors of KServe's V2 protocol (Open Inference Protocol), the same over REST and gRPC.

Inputs: `user_id`, BYTES of shape [n] or [n, 1]. If users want different things, also `options`,
BYTES of the same shape: for each user a JSON object with the fields of a V1 instance but user_id,
or "". The parameters k, explain, repeats, where, device and country apply to all users whose options do
not say otherwise.

Outputs: `item_id`, `title` (BYTES) and `score` (FP32) of shape [n, k], a shorter list padded with
"" and 0; `tier` (BYTES) and `found` (INT32), the length without padding, of shape [n]; `because`
(BYTES, JSON) of shape [n, k] if any user asked for it.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import orjson

from dawnlist.serving.predictor.answers.question import Question
from dawnlist.serving.predictor.answers.recommendation import Recommendation
from dawnlist.serving.predictor.protocols.encoding import ServedCatalogue, describe_reasons
from dawnlist.serving.predictor.protocols.fields import (
    CONTEXT_PARAMETERS,
    check_user_count,
    parse_question,
)
from dawnlist.serving.predictor.protocols.turns import Turn
from dawnlist.serving.predictor.protocols.v1 import parse_json_object
from dawnlist.values import describe_value

V2_PARAMETERS: Final = ("k", "offset", "explain", "repeats", "where", *CONTEXT_PARAMETERS)
INPUT_NAMES: Final = ("user_id", "options")


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor of a request or of a response."""

    name: str
    """The tensor's name."""
    datatype: str
    """BYTES, FP32 or INT32."""
    shape: Sequence[int]
    """The lengths of its dimensions."""
    data: Any
    """All its values, in one flat sequence."""

    def to_json(self) -> dict[str, Any]:
        """Return the tensor as REST's JSON has it."""
        return {
            "name": self.name,
            "datatype": self.datatype,
            "shape": list(self.shape),
            "data": self.data,
        }


def parse_tensors(tensors: Sequence[Tensor], parameters: Mapping[str, Any]) -> list[Question]:
    """Return a question for each user of a request's input tensors.

    Raises:
        ValueError: the tensors do not have the form above, or a field is not allowed.
    """
    by_name = {tensor.name: tensor for tensor in tensors}
    has_duplicates = len(by_name) != len(tensors)
    unknown_names = by_name.keys() - set(INPUT_NAMES)
    if has_duplicates or "user_id" not in by_name or unknown_names:
        names = ", ".join(repr(tensor.name[:50]) for tensor in tensors[:5])
        raise ValueError(
            f"the inputs are {names}: there has to be user_id, and there may be options, each once"
        )
    user_ids = by_name["user_id"].data
    check_user_count(len(user_ids))
    for tensor in tensors:
        _check_tensor(tensor, len(user_ids))
    common_fields = _parse_common_fields(parameters)
    user_fields = [common_fields] * len(user_ids)
    if "options" in by_name:
        options = [_parse_options(i, text) for i, text in enumerate(by_name["options"].data)]
        user_fields = [{**common_fields, **own_fields} for own_fields in options]
    questions = []
    for i, (user_id, fields) in enumerate(zip(user_ids, user_fields, strict=True)):
        questions.append(parse_question(f"user_id[{i}]", user_id, fields))
    return questions


def _check_tensor(tensor: Tensor, n: int) -> None:
    """Raise ValueError unless the tensor holds one text for each of n users."""
    if tensor.datatype != "BYTES":
        raise ValueError(
            f"input {tensor.name} is of datatype {tensor.datatype[:50]!r}: it has to be BYTES"
        )
    if not tensor.data or not all(isinstance(text, str) for text in tensor.data):
        raise ValueError(f'input {tensor.name}: "data" has to be a list of at least one text')
    shape = list(tensor.shape)
    has_boolean = any(isinstance(length, bool) for length in shape)  # which equals 0 or 1
    if shape not in ([n], [n, 1]) or has_boolean or len(tensor.data) != n:
        raise ValueError(
            f"input {tensor.name}: shape {describe_value(shape)} and data for {n} users: "
            f"it has to be [{n}]"
        )


def _parse_common_fields(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that apply to all users; a parameter that is None counts as absent."""
    unknown_names = parameters.keys() - set(V2_PARAMETERS)
    if unknown_names:
        raise ValueError(
            f"{min(unknown_names)[:50]!r} is not a parameter: use {', '.join(V2_PARAMETERS)}, "
            "or options"
        )
    fields: dict[str, Any] = {}
    for name in ("k", "offset", "explain", "repeats", "where"):
        if parameters.get(name) is not None:
            fields[name] = parameters[name]
    context = {}
    for name in CONTEXT_PARAMETERS:
        if parameters.get(name) is not None:
            context[name] = parameters[name]
    if context:
        fields["context"] = context
    return fields


def _parse_options(i: int, text: str) -> dict[str, Any]:
    """Return one user's own fields; {} for an empty text."""
    if not text:
        return {}
    try:
        return parse_json_object(text.encode())
    except ValueError as error:
        raise ValueError(f"options[{i}]: {str(error).replace('the body', 'it')}") from None


async def build_output_tensors(
    questions: Sequence[Question],
    catalogue: ServedCatalogue,
    recommendations: Sequence[Recommendation],
) -> list[Tensor]:
    """Build a response's tensors, as the module's docstring describes them.

    Other requests get turns in between.
    """
    turn = Turn()
    n = len(recommendations)
    longest = max(len(recommendation.items) for recommendation in recommendations)
    k = max(longest, *(question.k or 0 for question in questions))
    item_ids = []
    titles = []
    for recommendation in recommendations:
        item_ids.append(catalogue.item_ids.take(recommendation.items))
        titles.append(catalogue.titles.take(recommendation.items))
        await turn.end_if_long()
    scores = _pad_lists([recommendation.scores for recommendation in recommendations], k, 0.0)
    # As float32, which orjson writes with fewer digits.
    score_array = np.array(scores, dtype=np.float32)
    tensors = [
        Tensor("item_id", "BYTES", [n, k], _pad_lists(item_ids, k, "")),
        Tensor("title", "BYTES", [n, k], _pad_lists(titles, k, "")),
        Tensor("score", "FP32", [n, k], score_array),
        Tensor("tier", "BYTES", [n], [recommendation.tier for recommendation in recommendations]),
        Tensor("found", "INT32", [n], [len(ids) for ids in item_ids]),
    ]
    if recommendations[0].id:
        answer_ids = [recommendation.id for recommendation in recommendations]
        tensors.append(Tensor("recommendation_id", "BYTES", [n], answer_ids))
    if any(recommendation.because is not None for recommendation in recommendations):
        reasons = []
        for recommendation in recommendations:
            reasons.append(_encode_reasons(catalogue, recommendation))
            await turn.end_if_long()
        tensors.append(Tensor("because", "BYTES", [n, k], _pad_lists(reasons, k, "")))
    return tensors


def _pad_lists(lists: Iterable[Sequence[Any]], k: int, filler: Any) -> list[Any]:
    """Return the lists' values one after another, each list padded to length k."""
    values: list[Any] = []
    for short_list in lists:
        values += short_list
        values += [filler] * (k - len(short_list))
    return values


def _encode_reasons(catalogue: ServedCatalogue, recommendation: Recommendation) -> list[str]:
    """Return each item's reasons as JSON text; an empty list if the user did not ask for them."""
    encoded = []
    for reasons in recommendation.because or []:
        encoded.append(orjson.dumps(describe_reasons(catalogue, reasons)).decode())
    return encoded
