"""V1, V2, gRPC and the lean route: the same answers from a real predictor over a real store, and the same refusals."""

import json
import struct
from collections.abc import Callable, Iterator
from typing import Any

import grpc  # type: ignore[import-untyped]
import httpx
import orjson
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

from dawnlist.serving.predictor.protocols.v1 import parse_json_object
from dawnlist.serving.predictor.transports.failures import parse_untrusted
from dawnlist.store.client import connect_store
from tests.support.published import metric
from tests.support.servers import Predictor

HOSTILE = "x\r\nSET a b\x00🦊*<script>/"
BEYOND = "a\r\nactive"
WHENCE = {"model_version": "1", "as_of": "2026-03-01T03:00:00Z"}
C = {"item_id": "c", "title": "<b>", "score": 0.5}
A = {"item_id": "a", "title": "Alien", "score": 0.25}


def v1(url: str, *instances: Any, **more: Any) -> httpx.Response:
    return httpx.post(
        f"{url}/v1/models/dawnlist:predict", json={"instances": list(instances)}, **more
    )


def v2(url: str, *tensors: Any, **more: Any) -> httpx.Response:
    return httpx.post(f"{url}/v2/models/dawnlist/infer", json={"inputs": list(tensors), **more})


def lean(url: str, user: str, query: str = "") -> httpx.Response:
    return httpx.get(httpx.URL(f"{url}/v1/recommendations/{user}?{query}".rstrip("?")))


def texts(name: str, *data: Any, **changes: Any) -> dict[str, Any]:
    return {"name": name, "datatype": "BYTES", "shape": [len(data)], "data": list(data), **changes}


def without_age(prediction: dict[str, Any]) -> dict[str, Any]:
    assert prediction.pop("age_seconds") > 0
    assert prediction.pop("token").startswith("1-")
    return prediction


def read_token(url: str) -> str:
    with connect_store(url) as client:
        return str(client.get("dawnlist:{shop}:active").decode())


def test_each_answer_carries_the_token_of_its_version(served: Predictor) -> None:
    token = read_token(served.redis)
    assert v1(served.url, {"user_id": "ann"}).json()["predictions"][0]["token"] == token
    assert v2(served.url, texts("user_id", "ann")).json()["parameters"]["token"] == token
    assert lean(served.url, "ann").json()["token"] == token


def test_v1_answers_each_instance_in_its_order(served: Predictor) -> None:
    response = v1(
        served.url, {"user_id": "ann"}, {"user_id": "nobody", "k": 1}, {"user_id": HOSTILE, "k": 1}
    )
    assert (response.status_code, response.headers["content-type"]) == (200, "application/json")
    assert list(map(without_age, response.json()["predictions"])) == [
        {"user_id": "ann", "tier": "list", **WHENCE, "items": [C, A]},
        {
            "user_id": "nobody",
            "tier": "popular",
            **WHENCE,
            "items": [{"item_id": "b", "title": "", "score": 9.0}],
        },
        {
            "user_id": HOSTILE,
            "tier": "list",
            **WHENCE,
            "items": [{"item_id": "a", "title": "Alien", "score": 1.0}],
        },
    ]
    assert v1(served.url, {"user_id": BEYOND}).json()["predictions"][0]["tier"] == "popular"


def test_v1_takes_all_that_can_be_asked(served: Predictor) -> None:
    ann = {"user_id": "ann"}
    response = v1(
        served.url,
        {**ann, "exclude": ["c"]},
        {
            **ann,
            "recent": [
                {"item_id": "d", "event_type": "purchase", "time": 1.8e9},
                {"item_id": "unknown"},
            ],
        },
        {"user_id": "nobody", "context": {"device": "mobile", "country": "DE"}},
        {**ann, "filters": {"genres": ["Drama", "Comedy"]}},
        {**ann, "where": 'genres has "Drama" and not genres has "Action"'},
        {**ann, "k": 1, "explain": True},
        {**ann, "k": 1.0, "exclude": [], "recent": None, "context": {}, "filters": None},
    )
    found = [
        (p["tier"], [item["item_id"] for item in p["items"]])
        for p in response.json()["predictions"]
    ]
    assert found == [
        ("vector", ["a", "d"]),
        ("fold_in", ["a", "c"]),
        ("segment", ["c", "a"]),
        ("vector", ["d", "c"]),
        ("vector", ["c"]),
        ("list", ["c"]),
        ("list", ["c"]),
    ]
    [reason] = response.json()["predictions"][5]["items"][0]["because"]
    assert reason["item_id"] == "b" and reason["score"] > 0


def test_the_lean_route_is_v1_of_one_user(served: Predictor) -> None:
    assert without_age(lean(served.url, "ann").json()) == {
        "user_id": "ann",
        "tier": "list",
        **WHENCE,
        "items": [C, A],
    }
    user = "x%0D%0ASET%20a%20b%00%F0%9F%A6%8A*%3Cscript%3E%2F"
    assert without_age(lean(served.url, user, "k=1").json())["user_id"] == HOSTILE
    queries = [
        "exclude=c&exclude=b",
        "recent=d",
        "genres=Drama&genres=Comedy",
        "where=genres%20has%20'Action'",
        "explain=true&k=1",
        "explain=0&k=1",
    ]
    found = [lean(served.url, "ann", query).json() for query in queries]
    assert [(p["tier"], [item["item_id"] for item in p["items"]]) for p in found] == [
        ("vector", ["a", "d"]),
        ("fold_in", ["a", "c"]),
        ("vector", ["d", "c"]),
        ("vector", ["d"]),
        ("list", ["c"]),
        ("list", ["c"]),
    ]
    assert ["because" in p["items"][0] for p in found] == [False, False, False, False, True, False]
    assert lean(served.url, "nobody", "device=mobile&country=").status_code == 400
    assert lean(served.url, "nobody", "device=mobile").json()["tier"] == "segment"


OUTPUTS = [
    {
        "name": "item_id",
        "datatype": "BYTES",
        "shape": [2, 3],
        "data": ["c", "a", "", "b", "d", "c"],
    },
    {
        "name": "title",
        "datatype": "BYTES",
        "shape": [2, 3],
        "data": ["<b>", "Alien", "", "", "Drive", "<b>"],
    },
    {"name": "score", "datatype": "FP32", "shape": [2, 3], "data": [0.5, 0.25, 0.0, 9.0, 8.0, 0.3]},
    {"name": "tier", "datatype": "BYTES", "shape": [2], "data": ["list", "popular"]},
    {"name": "found", "datatype": "INT32", "shape": [2], "data": [2, 3]},
]


def test_v2_answers_in_tensors(served: Predictor) -> None:
    options = texts("options", '{"k": 2}', "")
    answer = v2(
        served.url, texts("user_id", "ann", "nobody"), options, id="7", parameters={"k": 3}
    ).json()
    assert without_age(answer["parameters"]) == WHENCE
    assert {**answer, "parameters": {}} == {
        "id": "7",
        "model_name": "dawnlist",
        "model_version": "1",
        "parameters": {},
        "outputs": OUTPUTS,
    }
    described = httpx.get(f"{served.url}/v2/models/dawnlist").json()
    assert [tensor["name"] for tensor in described["outputs"]] == [
        tensor["name"] for tensor in OUTPUTS
    ]


def test_v2_explains_as_json_text(served: Predictor) -> None:
    parameters = {"k": 1, "explain": True, "device": "mobile"}
    outputs = v2(served.url, texts("user_id", "ann", "nobody"), parameters=parameters).json()[
        "outputs"
    ]
    because = outputs[-1]
    assert (because["name"], because["shape"]) == ("because", [2, 1])
    assert [[reason["item_id"] for reason in orjson.loads(text)] for text in because["data"]] == [
        ["b"],
        [],
    ]
    assert outputs[3]["data"] == ["list", "segment"]


@pytest.fixture(scope="module")
def stub(served: Predictor) -> Iterator[Any]:
    with grpc.insecure_channel(served.grpc) as channel:
        yield GRPCInferenceServiceStub(channel)


def infer_request(*users: str, raw: bool = False, **parameters: int) -> Any:
    request = pb.ModelInferRequest(model_name="dawnlist", id="7")
    tensor = request.inputs.add(name="user_id", datatype="BYTES", shape=[len(users)])
    if raw:
        packed = [struct.pack("<I", len(user.encode())) + user.encode() for user in users]
        request.raw_input_contents.append(b"".join(packed))
    else:
        tensor.contents.bytes_contents.extend(user.encode() for user in users)
    for name, value in parameters.items():
        request.parameters[name].int64_param = value
    return request


def arrays(response: Any) -> dict[str, list[Any]]:
    contents = {"BYTES": "bytes_contents", "FP32": "fp32_contents", "INT32": "int_contents"}
    found = {
        out.name: list(getattr(out.contents, contents[out.datatype])) for out in response.outputs
    }
    return {
        name: [v.decode() if isinstance(v, bytes) else v for v in values]
        for name, values in found.items()
    }


@pytest.mark.parametrize("raw", [False, True])
def test_grpc_answers_the_same(served: Predictor, stub: Any, raw: bool) -> None:
    response = stub.ModelInfer(infer_request("ann", HOSTILE, raw=raw, k=2))
    assert (response.id, response.model_name, response.model_version) == ("7", "dawnlist", "1")
    assert response.parameters["as_of"].string_param == WHENCE["as_of"]
    assert response.parameters["token"].string_param == read_token(served.redis)
    assert response.parameters["age_seconds"].int64_param > 0
    assert arrays(response) == {
        "item_id": ["c", "a", "a", "b"],
        "title": ["<b>", "Alien", "Alien", ""],
        "score": [0.5, 0.25, 1.0, 0.5],
        "tier": ["list", "list"],
        "found": [2, 2],
    }
    assert metric(served.url, "dawnlist_requests_total", route="grpc", status="200") > 0


def test_grpc_tells_of_itself_and_is_closed_where_rest_is(served: Predictor, stub: Any) -> None:
    assert stub.ServerLive(pb.ServerLiveRequest()).live
    assert stub.ServerReady(pb.ServerReadyRequest()).ready
    assert stub.ModelReady(pb.ModelReadyRequest(name="dawnlist")).ready
    assert stub.ServerMetadata(pb.ServerMetadataRequest()).name == "kserve"
    metadata = stub.ModelMetadata(pb.ModelMetadataRequest(name="dawnlist"))
    assert [(tensor.name, list(tensor.shape)) for tensor in metadata.inputs] == [
        ("user_id", [-1]),
        ("options", [-1]),
    ]
    for call, request in (
        (stub.RepositoryModelUnload, pb.RepositoryModelUnloadRequest(model_name="dawnlist")),
        (stub.RepositoryModelLoad, pb.RepositoryModelLoadRequest(model_name="dawnlist")),
    ):
        with pytest.raises(grpc.RpcError) as caught:
            call(request)
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
    assert stub.ModelReady(pb.ModelReadyRequest(name="dawnlist")).ready


def spoilt(**changes: Any) -> Any:
    request = infer_request("ann")
    for name, value in changes.items():
        setattr(request.inputs[0], name, value)
    return request


def cut_short() -> Any:
    request = infer_request("ann", raw=True)
    request.raw_input_contents[0] = request.raw_input_contents[0][:-1]
    return request


def another_model() -> Any:
    request = infer_request("ann")
    request.model_name = "other"
    return request


@pytest.mark.parametrize(
    ("request_", "code", "message"),
    [
        (infer_request(), "INVALID_ARGUMENT", "at least one text"),
        (infer_request("ann", k=0), "INVALID_ARGUMENT", "whole number from 1 to 100"),
        (infer_request("ann", kk=1), "INVALID_ARGUMENT", "'kk' is not a parameter"),
        (infer_request(*["ann"] * 1001), "INVALID_ARGUMENT", "1001 users in one request"),
        (spoilt(name="user"), "INVALID_ARGUMENT", "the inputs are 'user'"),
        (spoilt(datatype="FP32"), "INVALID_ARGUMENT", "of datatype 'FP32'"),
        (cut_short(), "INVALID_ARGUMENT", "end in the middle"),
        (another_model(), "NOT_FOUND", "the one here is dawnlist"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_grpc_refuses_in_one_line(
    served: Predictor, stub: Any, request_: Any, code: str, message: str
) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        stub.ModelInfer(request_)
    assert caught.value.code().name == code
    assert message in caught.value.details()


def refused(send: Callable[[str], httpx.Response], status: int, message: str) -> Any:
    return pytest.param(send, status, message, id=message)


def post(url: str, content: bytes) -> httpx.Response:
    return httpx.post(f"{url}/v1/models/dawnlist:predict", content=content)


def raw_v2(url: str) -> httpx.Response:
    headers = {"inference-header-content-length": "x"}
    return httpx.post(f"{url}/v2/models/dawnlist/infer", content=b"\0", headers=headers)


ANN = {"user_id": "ann"}
USER = texts("user_id", "ann")
LONG = "u" * 513


DEEP = "a list with 1,000 levels"
"""The JSON parser takes 1,024 levels, and this stands in a request of four."""


def post_deep(url: str, body: Any) -> httpx.Response:
    """Send a body in which DEEP stands for a list that is nested deeply."""
    content = json.dumps(body).replace(json.dumps(DEEP), "[" * 1_000 + "]" * 1_000)
    return httpx.post(url, content=content.encode())


def deep_v1(url: str, **fields: Any) -> httpx.Response:
    return post_deep(f"{url}/v1/models/dawnlist:predict", {"instances": [{**ANN, **fields}]})


def deep_v2(url: str, *tensors: Any, **more: Any) -> httpx.Response:
    return post_deep(f"{url}/v2/models/dawnlist/infer", {"inputs": list(tensors), **more})


@pytest.mark.parametrize(
    ("send", "status", "message"),
    [
        refused(lambda url: v1(url), 400, '"instances" has to be a list'),
        refused(lambda url: deep_v2(url, texts("user_id", "ann", shape=DEEP)), 400, "shape [[["),
        refused(
            lambda url: deep_v2(url, texts("user_id", "ann", datatype=DEEP)), 400, '"datatype"'
        ),
        refused(lambda url: deep_v2(url, texts("user_id", DEEP)), 400, "at least one text"),
        refused(
            lambda url: deep_v2(url, USER, parameters={"k": DEEP}), 400, '"k" has to be a whole'
        ),
        refused(
            lambda url: v2(url, texts("user_id", "ann", shape=[1] * 200_000)),
            400,
            "shape [1, 1, 1, 1, ...] and data",
        ),
        refused(lambda url: deep_v1(url, context={"a": DEEP}), 400, "context 'a' has"),
        refused(lambda url: deep_v1(url, recent=DEEP), 400, "an event of"),
        refused(lambda url: deep_v1(url, filters={"a": DEEP}), 400, "a value of filter"),
        refused(lambda url: deep_v1(url, exclude=DEEP), 400, 'an item of "exclude"'),
        refused(lambda url: deep_v1(url, repeats=DEEP), 400, '"repeats" has to be false'),
        refused(
            lambda url: post(url, b'{"instances": ' + b"[" * 2_000 + b"]" * 2_000 + b"}"),
            400,
            "depth limit exceeded",
        ),
        refused(
            lambda url: post(url, b'{"instances": [{"user_id": "ann", "k": %b}]}' % (b"1" * 5_000)),
            400,
            "the body is not JSON",
        ),
        refused(lambda url: lean(url, "ann", "k=" + "1" * 5_000), 400, '"k" has to'),
        refused(lambda url: v1(url, "ann"), 400, "instances[0] has to be an object"),
        refused(
            lambda url: v1(url, ANN, {"k": 2}),
            400,
            'instances[1]: "user_id" has to be text of 1 to 512',
        ),
        refused(lambda url: v1(url, {"user_id": 42}), 400, "has to be text"),
        refused(lambda url: v1(url, {"user_id": ""}), 400, "text of 1 to"),
        refused(lambda url: v1(url, {"user_id": LONG}), 400, "to 512 characters"),
        refused(lambda url: v1(url, {**ANN, "k": True}), 400, "whole number from 1"),
        refused(lambda url: v1(url, {**ANN, "k": "2"}), 400, "whole number"),
        refused(lambda url: v1(url, {**ANN, "k": 1.5}), 400, 'instances[0]: "k"'),
        refused(lambda url: v1(url, {**ANN, "k": 0}), 400, "from 1 to 100"),
        refused(lambda url: v1(url, {**ANN, "k": 101}), 400, "to 100"),
        refused(
            lambda url: v1(url, {**ANN, "kk": 1}),
            400,
            "'kk' is not a field: use user_id, k, offset, only, exclude",
        ),
        refused(lambda url: v1(url, {**ANN, "kk": None}), 400, "'kk' is not a field"),
        refused(
            lambda url: v1(url, {**ANN, "exclude": "c"}),
            400,
            '"exclude" has to be a list of at most 1000',
        ),
        refused(
            lambda url: v1(url, {**ANN, "exclude": ["c"] * 1001}), 400, "a list of at most 1000"
        ),
        refused(
            lambda url: v1(url, {**ANN, "exclude": [3]}), 400, 'an item of "exclude" has to be text'
        ),
        refused(lambda url: v1(url, {**ANN, "recent": [{}]}), 400, '"item_id" of an event'),
        refused(
            lambda url: v1(url, {**ANN, "recent": ["c"]}),
            400,
            'an event of "recent" has to be an object',
        ),
        refused(
            lambda url: v1(url, {**ANN, "recent": [{"item_id": "c", "at": 1}]}),
            400,
            "has no field 'at'",
        ),
        refused(
            lambda url: v1(url, {**ANN, "recent": [{"item_id": "c", "time": "now"}]}),
            400,
            "seconds since 1970",
        ),
        refused(
            lambda url: v1(url, {**ANN, "recent": [{"item_id": "c", "time": 1.8e12}]}),
            400,
            "has to be seconds",
        ),
        refused(
            lambda url: v1(url, {**ANN, "recent": [{"item_id": "c"}] * 51}),
            400,
            "a list of at most 50",
        ),
        refused(
            lambda url: v1(url, {**ANN, "recent": [{"item_id": "c", "event_type": "wink"}]}),
            400,
            "event type 'wink'",
        ),
        refused(
            lambda url: v1(url, {**ANN, "context": ["mobile"]}),
            400,
            '"context" has to be an object',
        ),
        refused(
            lambda url: v1(url, {**ANN, "context": {"device": 1}}),
            400,
            "context 'device' has to be text",
        ),
        refused(
            lambda url: v1(url, {**ANN, "filters": {"genres": "Drama"}}),
            400,
            "filter 'genres' has to be a list",
        ),
        refused(lambda url: v1(url, {**ANN, "filters": {"genres": []}}), 400, "at least one value"),
        refused(
            lambda url: v1(url, {**ANN, "where": "colour = 'red'"}),
            400,
            "there is no column 'colour': the columns are genres (list)",
        ),
        refused(lambda url: v1(url, {**ANN, "where": "genres"}), 400, "compare it by has"),
        refused(
            lambda url: v1(url, {**ANN, "where": ""}), 400, "a filter of 1 to 1,000 characters"
        ),
        refused(lambda url: v1(url, {**ANN, "where": 7}), 400, "a filter of 1 to 1,000 characters"),
        refused(
            lambda url: v1(url, {**ANN, "where": "x" * 1001}),
            400,
            "a filter of 1 to 1,000 characters",
        ),
        refused(lambda url: lean(url, "ann", "where=genres&where=genres"), 400, "give it once"),
        refused(
            lambda url: v1(url, {**ANN, "filters": {"colour": ["red"]}}),
            400,
            "no attribute 'colour'",
        ),
        refused(
            lambda url: v1(url, {**ANN, "explain": 1}), 400, '"explain" has to be true or false'
        ),
        refused(lambda url: v1(url, *[ANN] * 1001), 400, "1001 users in one request: ask for 1000"),
        refused(lambda url: post(url, b""), 400, "the body is not JSON"),
        refused(lambda url: post(url, b"user=ann"), 400, "is not JSON"),
        refused(lambda url: post(url, b"\xff\xfe"), 400, "not JSON"),
        refused(lambda url: post(url, b'{"instances": [{"user_id": "\\ud800"}]}'), 400, "JSON"),
        refused(lambda url: post(url, b"[" * 100_000), 400, "body is not JSON"),
        refused(lambda url: post(url, b"[1]"), 400, "the body has to be a JSON object"),
        refused(lambda url: post(url, b'{"instances": {"user_id": "ann"}}'), 400, "to be a list"),
        refused(lambda url: v2(url), 400, '"inputs" has to be a list of tensors'),
        refused(lambda url: v2(url, texts("user_id")), 400, "at least one text"),
        refused(
            lambda url: v2(url, texts("user_id", 1)),
            400,
            '"data" has to be a list of at least one text',
        ),
        refused(
            lambda url: v2(url, texts("user_id", data="ann")),
            400,
            '"shape" and "data" have to be lists',
        ),
        refused(lambda url: v2(url, {**USER, "datatype": "FP32"}), 400, "of datatype 'FP32'"),
        refused(lambda url: v2(url, {**USER, "datatype": None}), 400, 'a "name" and a "datatype"'),
        refused(lambda url: v2(url, {**USER, "name": "user"}), 400, "the inputs are 'user'"),
        refused(lambda url: v2(url, USER, USER), 400, "each once"),
        refused(lambda url: v2(url, {**USER, "shape": [2]}), 400, "shape [2] and data for 1 users"),
        refused(lambda url: v2(url, {**USER, "shape": [True]}), 400, "shape [True]"),
        refused(
            lambda url: v2(url, USER, texts("options", "{}", "{}")), 400, "input options: shape [2]"
        ),
        refused(
            lambda url: v2(url, USER, texts("options", "{")), 400, "options[0]: it is not JSON"
        ),
        refused(
            lambda url: v2(url, USER, texts("options", '{"user_id": "b"}')),
            400,
            "'user_id' is not a field",
        ),
        refused(lambda url: v2(url, USER, parameters={"k": 1.5}), 400, 'user_id[0]: "k" has to be'),
        refused(
            lambda url: v2(url, USER, parameters={"exclude": "c"}),
            400,
            "'exclude' is not a parameter",
        ),
        refused(lambda url: v2(url, USER, parameters=[1]), 400, '"parameters" has to be'),
        refused(lambda url: v2(url, USER, parameters=[]), 400, '"parameters" has to be'),
        refused(lambda url: v2(url, USER, id=3), 400, '"id" has to be text'),
        refused(lambda url: v2(url, texts("user_id", *["ann"] * 1001)), 400, "1001 users"),
        refused(lambda url: raw_v2(url), 400, "raw bytes"),
        refused(lambda url: lean(url, "ann", "k=x"), 400, 'the request: "k" has to be'),
        refused(lambda url: lean(url, "ann", "k=1&k=2"), 400, "'k' is given 2 times"),
        refused(
            lambda url: lean(url, "ann", "kk=1"),
            400,
            "'kk' is not a parameter: use k, offset, device",
        ),
        refused(lambda url: lean(url, "ann", "explain=yes"), 400, "true or false"),
        refused(lambda url: lean(url, "ann", "genres=%FF"), 400, "the URL is not UTF-8"),
        refused(lambda url: lean(url, "%FF"), 400, "URL is not UTF-8"),
        refused(lambda url: lean(url, LONG), 400, "1 to 512 characters"),
        refused(lambda url: lean(url, ""), 404, "there is no such route"),
        refused(lambda url: lean(url, "a/b"), 404, "/openapi.json lists them"),
        refused(
            lambda url: httpx.post(f"{url}/v1/models/other:predict", json={}), 404, "no such route"
        ),
        refused(
            lambda url: httpx.post(f"{url}/v2/repository/models/dawnlist/unload"),
            404,
            "route: /openapi.json",
        ),
        refused(lambda url: httpx.get(f"{url}/docs"), 404, "such route: /openapi"),
        refused(
            lambda url: httpx.delete(f"{url}/v1/recommendations/ann"),
            405,
            "the method has to be GET",
        ),
        refused(lambda url: httpx.get(f"{url}/v1/models/dawnlist:predict"), 405, "has to be POST"),
    ],
)
def test_bad_input_gets_a_clear_4xx(
    served: Predictor, send: Callable[[str], httpx.Response], status: int, message: str
) -> None:
    logged = len(served.lines)
    response = send(served.url)
    assert (response.status_code, message in response.json()["error"]) == (status, True), (
        response.text
    )
    assert "\n" not in response.json()["error"]
    assert v1(served.url, ANN).status_code == 200
    assert not [line for line in served.lines[logged:] if "Traceback" in line or '"error"' in line]


@pytest.mark.parametrize("kind", ["application/json; charset=utf-8", "text/plain", ""])
def test_any_content_type_is_fine(served: Predictor, kind: str) -> None:
    assert v1(served.url, ANN, headers={"content-type": kind}).status_code == 200


@pytest.mark.parametrize("error", [RecursionError, KeyError, MemoryError, AttributeError])
def test_what_a_parser_raises_is_never_an_error_of_the_predictor(error: type[Exception]) -> None:
    def fail(body: bytes) -> None:
        raise error(body)

    with pytest.raises(
        ValueError, match=rf"the request can't be read \({error.__name__}\)"
    ) as told:
        parse_untrusted(fail, b"secret")
    assert "secret" not in str(told.value)


def test_a_parsers_own_message_is_kept() -> None:
    with pytest.raises(ValueError, match=r"^the body is not JSON: "):
        parse_untrusted(parse_json_object, b"{")
    assert parse_untrusted(parse_json_object, b"{}") == {}
