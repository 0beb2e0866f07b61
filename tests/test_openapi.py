"""The OpenAPI document against the predictor itself: what schemathesis makes of it is answered as it says, never a 500.

DAWNLIST_PROVE=1 tries many more requests.
"""

import os
from collections import Counter
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import positive_data_acceptance

from tests.support.published import metric
from tests.support.servers import Predictor

EXAMPLES = 1_000 if os.environ.get("DAWNLIST_PROVE") else 15
ROUTES = [
    ("GET", "/v1/recommendations/{user}"),
    ("GET", "/v1/buy-again/{user}"),
    ("GET", "/v1/similar/{item}"),
    ("GET", "/v1/bought-together/{item}"),
    ("GET", "/v1/trending"),
    ("GET", "/v1/popular"),
    ("GET", "/v1/continue/{user}"),
    ("GET", "/v1/rank/{user}"),
    ("POST", "/v1/group"),
    ("POST", "/v1/models/dawnlist:predict"),
    ("POST", "/v2/models/dawnlist/infer"),
]
TOO_LONG = (414, 431)
WHERE = ['genres has "Drama"', "not genres is missing"]


def document(served: Predictor) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{served.url}/openapi.json").json()
    return found


def narrow_filters(node: Any) -> Any:
    """The document with filters that this shop can answer: no schema can say which columns items have."""
    if isinstance(node, list):
        return [narrow_filters(element) for element in node]
    if not isinstance(node, dict):
        return node
    if node.get("name") == "where":
        return {**node, "schema": {"enum": WHERE}}
    narrowed = {name: narrow_filters(value) for name, value in node.items()}
    if "where" in node:
        narrowed["where"] = {"enum": WHERE}
    if "filters" in node:
        values = {
            **node["filters"],
            "properties": {"genres": node["filters"]["additionalProperties"]},
        }
        narrowed["filters"] = {**values, "additionalProperties": False}
    return narrowed


def fitted(tensor: dict[str, Any]) -> dict[str, Any]:
    """The input tensor, its shape that of its data: no schema can say that."""
    users = [text[:512] or "-" for text in tensor["data"]]
    return {**tensor, "name": "user_id", "data": users, "shape": [len(users)]}


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize(("method", "path"), ROUTES, ids=[path for _, path in ROUTES])
def test_what_the_document_allows_is_answered_and_the_rest_refused(
    served: Predictor, mode: GenerationMode, method: str, path: str
) -> None:
    schema = schemathesis.openapi.from_dict(narrow_filters(document(served)))
    schema.config.update(base_url=served.url)
    statuses = Counter[int]()

    @given(case=schema[path][method].as_strategy(generation_mode=mode))
    @settings(
        max_examples=EXAMPLES,
        derandomize=True,
        deadline=None,
        database=None,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def answered(case: Any) -> None:
        if mode is GenerationMode.POSITIVE and path.startswith("/v2"):
            case.body["inputs"] = [fitted(case.body["inputs"][0])]
        response = case.call()
        statuses[response.status_code] += 1
        if response.status_code in TOO_LONG:  # no schema can say how long a URL becomes
            case.validate_response(response, checks=[not_a_server_error])
            return
        # nor which events a shop counts
        unsaid = (
            [positive_data_acceptance]
            if "is unknown: give one of purchase, view" in response.text
            else []
        )
        case.validate_response(response, excluded_checks=unsaid)

    answered()
    told = ", ".join(f"{count:,} of {status}" for status, count in sorted(statuses.items()))
    print(f"\n{method} {path}, {mode.value}: {statuses.total():,} requests, answers: {told}")
    assert statuses.keys() <= {200, 400, *TOO_LONG}
    assert (200 if mode is GenerationMode.POSITIVE else 400) in statuses
    assert httpx.get(f"{served.url}/v1/recommendations/ann").json()["tier"] == "list"
    assert metric(served.url, "dawnlist_failures_total") == 0


def test_the_document_has_every_route_and_no_other(served: Predictor) -> None:
    described = document(served)
    assert described["openapi"] == "3.1.0"
    for path, operations in described["paths"].items():
        [method] = operations
        url = served.url + path.replace("{user}", "ann").replace("{item}", "a")
        if path.startswith("/v1/items"):
            answer = httpx.request(method, url, content=b"{}")
            assert answer.status_code == 403 and "403" in operations[method]["responses"]
            continue
        if path.startswith("/v1/rank/"):
            url += "?item=a"
        answer = httpx.request(method, url, content=b"{}" if method == "post" else None)
        assert answer.status_code == (400 if method == "post" else 200), path
        assert str(answer.status_code) in operations[method]["responses"]
        [kind] = operations[method]["responses"][str(answer.status_code)]["content"]
        assert answer.headers["content-type"].startswith(kind)
    for path in (
        "/docs",
        "/redoc",
        "/v2/models",
        "/v2/repository/index",
        "/v1/models/dawnlist:explain",
    ):
        assert httpx.get(served.url + path).status_code == 404, path
