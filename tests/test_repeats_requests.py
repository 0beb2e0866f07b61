"""`repeats` in requests: V1, V2, gRPC, the lean route and its sister for items to buy again."""

from collections.abc import Callable, Iterator
from typing import Any

import grpc  # type: ignore[import-untyped]
import httpx
import orjson
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

from dawnlist.machine.embedded_valkey import run_embedded_valkey
from dawnlist.store import versions
from dawnlist.store.client import connect_store
from tests.support.published import metric
from tests.support.repeating_shop import AS_OF, MET, K, build_shop
from tests.support.servers import Predictor, free_port, running_predictor

OWN = {f"i{item}" for item in MET["ann"]}
RULE = '"repeats" has to be false (nothing that the user has met) or "only" (nothing else)'


@pytest.fixture(scope="module")
def repeating(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Predictor]:
    """A predictor of a shop whose lists have repeats."""
    with run_embedded_valkey(tmp_path_factory.mktemp("repeating")) as url:
        with connect_store(url) as client:
            versions.publish_version(client, "shop", build_shop(), "run-1", AS_OF)
        with running_predictor(url, "shop", grpc_port=free_port()) as running:
            yield running


def ask_v1(server: Predictor, **fields: Any) -> httpx.Response:
    instance = {"user_id": "ann", "k": K, **fields}
    return httpx.post(f"{server.url}/v1/models/dawnlist:predict", json={"instances": [instance]})


def ask_v2(server: Predictor, options: str = "", **parameters: Any) -> httpx.Response:
    inputs = [{"name": "user_id", "datatype": "BYTES", "shape": [1], "data": ["ann"]}]
    if options:
        inputs.append({"name": "options", "datatype": "BYTES", "shape": [1], "data": [options]})
    body = {"inputs": inputs, "parameters": {"k": K, **parameters}}
    return httpx.post(f"{server.url}/v2/models/dawnlist/infer", json=body)


def ask_lean(server: Predictor, query: str, route: str = "recommendations") -> httpx.Response:
    return httpx.get(f"{server.url}/v1/{route}/ann?k={K}&{query}".rstrip("&"))


def ask_grpc(server: Predictor, value: Any = None) -> Any:
    request = pb.ModelInferRequest(model_name="dawnlist")
    request.inputs.add(name="user_id", datatype="BYTES", shape=[1])
    request.inputs[0].contents.bytes_contents.append(b"ann")
    request.parameters["k"].int64_param = K
    if isinstance(value, bool):
        request.parameters["repeats"].bool_param = value
    elif value is not None:
        request.parameters["repeats"].string_param = value
    with grpc.insecure_channel(server.grpc) as channel:
        return GRPCInferenceServiceStub(channel).ModelInfer(request)


def read_prediction(prediction: dict[str, Any]) -> tuple[str, list[str]]:
    return prediction["tier"], [item["item_id"] for item in prediction["items"]]


def read_v1(response: httpx.Response) -> tuple[str, list[str]]:
    return read_prediction(response.json()["predictions"][0])


def read_v2(response: httpx.Response) -> tuple[str, list[str]]:
    outputs = {tensor["name"]: tensor["data"] for tensor in response.json()["outputs"]}
    return outputs["tier"][0], [item_id for item_id in outputs["item_id"] if item_id]


def read_lean(response: httpx.Response) -> tuple[str, list[str]]:
    return read_prediction(response.json())


def read_grpc(response: Any) -> tuple[str, list[str]]:
    outputs = {tensor.name: tensor.contents.bytes_contents for tensor in response.outputs}
    return outputs["tier"][0].decode(), [text.decode() for text in outputs["item_id"] if text]


def test_every_protocol_gives_the_same_answers(repeating: Predictor) -> None:
    mixed = read_v1(ask_v1(repeating))
    new = read_v1(ask_v1(repeating, repeats=False))
    only = read_v1(ask_v1(repeating, repeats="only"))
    assert [mixed[0], new[0], only[0]] == ["list", "vector", "vector"]
    assert set(mixed[1]) & OWN
    assert len(new[1]) == K and not set(new[1]) & OWN
    assert set(only[1]) == OWN
    assert read_v1(ask_v1(repeating, repeats=None)) == mixed
    assert read_lean(ask_lean(repeating, "")) == mixed
    assert read_lean(ask_lean(repeating, "repeats=false")) == new
    assert read_lean(ask_lean(repeating, "repeats=only")) == only
    assert read_lean(ask_lean(repeating, "", "buy-again")) == only
    assert read_v2(ask_v2(repeating)) == mixed
    assert read_v2(ask_v2(repeating, repeats=None)) == mixed
    assert read_v2(ask_v2(repeating, repeats=False)) == new
    assert read_v2(ask_v2(repeating, repeats="only")) == only
    assert read_v2(ask_v2(repeating, '{"repeats": "only"}', repeats=False)) == only
    assert read_grpc(ask_grpc(repeating)) == mixed
    assert read_grpc(ask_grpc(repeating, False)) == new
    assert read_grpc(ask_grpc(repeating, "only")) == only


def test_buy_again_takes_the_parameters_of_the_lean_route(repeating: Predictor) -> None:
    found = ask_lean(repeating, "exclude=i4&genres=even&explain=1", "buy-again").json()
    assert {item["item_id"] for item in found["items"]} == {"i120", "i250"}
    assert all(item["because"][0]["item_id"] == item["item_id"] for item in found["items"])
    found = ask_lean(repeating, "recent=i77", "buy-again").json()
    assert found["tier"] == "fold_in" and "i77" in {item["item_id"] for item in found["items"]}
    nobody = httpx.get(f"{repeating.url}/v1/buy-again/nobody").json()
    assert (nobody["tier"], nobody["items"]) == ("none", [])
    assert metric(repeating.url, "dawnlist_requests_total", route="buy_again", status="200") > 0
    assert metric(repeating.url, "dawnlist_answers_total", tier="none") > 0


@pytest.mark.parametrize("path", ["/v1/buy-again", "/v1/buy-again/", "/v1/buy-again/ann/x"])
def test_buy_again_needs_a_user(repeating: Predictor, path: str) -> None:
    assert httpx.get(repeating.url + path).status_code == 404
    assert httpx.get(repeating.url + "/v1/buy-again/ann%2Fx").json()["user_id"] == "ann/x"
    assert httpx.post(repeating.url + "/v1/buy-again/ann").status_code == 405


def refused(send: Callable[[Predictor], httpx.Response], message: str) -> Any:
    return pytest.param(send, message)


@pytest.mark.parametrize(
    ("send", "message"),
    [
        refused(lambda server: ask_v1(server, repeats=True), f"instances[0]: {RULE}"),
        refused(lambda server: ask_v1(server, repeats="false"), RULE),
        refused(lambda server: ask_v1(server, repeats=0), RULE),
        refused(lambda server: ask_v1(server, repeats=["only"]), RULE),
        refused(lambda server: ask_v2(server, repeats=True), f"user_id[0]: {RULE}"),
        refused(lambda server: ask_v2(server, '{"repeats": "none"}'), RULE),
        refused(lambda server: ask_lean(server, "repeats=true"), f"the request: {RULE}"),
        refused(lambda server: ask_lean(server, "repeats="), RULE),
        refused(
            lambda server: ask_lean(server, "repeats=only&repeats=only"),
            "'repeats' is given 2 times: give it once",
        ),
        refused(
            lambda server: ask_lean(server, "repeats=only", "buy-again"),
            "'repeats' is not a parameter of this route",
        ),
    ],
)
def test_another_value_is_refused_in_one_line(
    repeating: Predictor, send: Callable[[Predictor], httpx.Response], message: str
) -> None:
    response = send(repeating)
    assert response.status_code == 400
    [error] = orjson.loads(response.content).values()
    assert message in error and "\n" not in error


def test_grpc_refuses_another_value_too(repeating: Predictor) -> None:
    for value in (True, "false"):
        with pytest.raises(grpc.RpcError) as caught:
            ask_grpc(repeating, value)
        assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
        assert RULE in caught.value.details()


def test_what_a_user_dislikes_is_in_no_answer_until_they_meet_it_again(
    repeating: Predictor,
) -> None:
    def ask(*events: tuple[str, str, float], **fields: Any) -> list[str]:
        recent = [
            {"item_id": item, "event_type": kind, "time": time} for item, kind, time in events
        ]
        answer = ask_v1(repeating, recent=recent, **fields)
        assert answer.status_code == 200, answer.text
        return [item["item_id"] for item in answer.json()["predictions"][0]["items"]]

    now = AS_OF.timestamp() + 3600
    own, other = ask()[0], next(item for item in ask(repeats=False) if item not in OWN)
    assert own in OWN
    for item in (own, other):
        assert item not in ask((item, "dislike", now))
        assert item not in ask((item, "view", now - 60), (item, "dislike", now))
        assert item in ask((item, "dislike", now - 60), (item, "purchase", now))
    assert own not in ask((own, "dislike", now), repeats="only")
