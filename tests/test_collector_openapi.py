"""The collector's OpenAPI document against the collector itself, and the commands of its page in the docs."""

import json
import os
import re
import shutil
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode

from tests.support.collecting import KEYS, collector, count_entries

EXAMPLES = 1_000 if os.environ.get("DAWNLIST_PROVE") else 30
PAGE = Path(__file__).parents[1] / "docs" / "COLLECTOR.md"


@pytest.mark.parametrize("mode", list(GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize(("method", "path"), [("POST", "/v1/events"), ("GET", "/v1/event.gif")])
def test_each_request_is_answered_as_the_document_says_and_each_event_accounted_for(
    valkey: str, mode: GenerationMode, method: str, path: str
) -> None:
    answers = Counter[str]()
    with collector(valkey) as client:
        document = client.get("/openapi.json").json()
        schema = schemathesis.openapi.from_dict(document)
        schema.config.update(base_url=str(client.base_url).rstrip("/"))

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
            response = case.call()
            # A field that is wrong costs its event and not the request, whatever the schema says.
            assert str(response.status_code) in document["paths"][path][method.lower()]["responses"]
            assert response.status_code in (200, 202, 400, 401, 413, 415)
            answers.update(list_statuses(response))

        answered()
        assert client.get("/readyz").status_code == 200
    assert set(answers) <= {"ok", "duplicate", "dropped"}
    assert count_entries(valkey, KEYS.accepted) == answers["ok"]
    dead_letters = count_entries(valkey, KEYS.dead)
    assert dead_letters == answers["dropped"]
    if mode is GenerationMode.POSITIVE and path == "/v1/events":
        assert answers["ok"] > 0


def list_statuses(response: Any) -> list[str]:
    """The status of each event of a response; none if the request was refused."""
    status = response.headers.get("x-event-status")
    if status is not None:
        return [status[0]]
    if response.status_code != 202:
        return []
    return [event["status"] for event in response.json()["events"]]


def read_example() -> tuple[str, Any]:
    """The page's first command, and the answer that it shows."""
    page = PAGE.read_text()
    [command] = re.findall(r"```sh\n(curl -s localhost:8081/v1/events .*?)```", page, re.DOTALL)
    [answer] = re.findall(r"```json\n(\{\"events\".*?)```", page, re.DOTALL)
    return command, json.loads(answer)


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl here")
def test_the_command_of_the_docs_has_the_answer_of_the_docs(valkey: str) -> None:
    command, expected = read_example()
    with collector(valkey) as client:
        address = str(client.base_url).removeprefix("http://").rstrip("/")
        done = subprocess.run(
            ["bash", "-c", command.replace("localhost:8081", address)],
            capture_output=True,
            check=True,
            timeout=60,
        )
    answer = json.loads(done.stdout)
    first, second, third = answer["events"]
    assert first == expected["events"][0]
    assert second == {"status": "ok", "id": second["id"]} and len(second["id"]) == 32
    assert third == expected["events"][2]


def test_a_request_without_a_command_of_the_docs_is_refused(valkey: str) -> None:
    with collector(valkey) as client:
        refused: httpx.Response = client.post("/v1/events", content=b"{")
    assert refused.status_code == 400 and list(refused.json()) == ["error"]
