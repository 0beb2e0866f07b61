"""Requests that two servers in a row might cut in two places: neither server of ours answers the hidden one."""

import re
import socket
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from dawnlist.machine.embedded_valkey import run_embedded_valkey
from tests.support.collecting import collector
from tests.support.servers import NOBODY, running_predictor

HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n"
"""What an attacker wants to be taken for a request of its own; the answer would be a 404."""
HEADERS = {
    "length and chunks": b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n",
    "two lengths": b"Content-Length: 0\r\nContent-Length: 38\r\n\r\n",
    "two lengths in a line": b"Content-Length: 0, 38\r\n\r\n",
    "a sign before the length": b"Content-Length: +0\r\n\r\n",
    "a length below 0": b"Content-Length: -1\r\n\r\n",
    "a length of hexadecimal digits": b"Content-Length: 0x0\r\n\r\n",
    "a length that is empty": b"Content-Length: \r\n\r\n",
    "a length with an underscore": b"Content-Length: 0_0\r\n\r\n",
    "a blank before the colon": b"Content-Length : 0\r\n\r\n",
    "chunks of another name": b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "chunks that are not last": b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "a blank before the colon of chunks": b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "a chunk size with a sign": b"Transfer-Encoding: chunked\r\n\r\n+0\r\n\r\n",
    "a chunk size with 0x": b"Transfer-Encoding: chunked\r\n\r\n0x0\r\n\r\n",
    "a chunk size with an underscore": b"Transfer-Encoding: chunked\r\n\r\n0_0\r\n\r\n",
    "a chunk without its end": b"Transfer-Encoding: chunked\r\n\r\n1\r\naXX0\r\n\r\n",
    "a zero byte in a header": b"A: b\0c\r\nContent-Length: 0\r\n\r\n",
    "a header without a colon": b"Content-Length 0\r\n\r\n",
}  # fmt: skip


@pytest.fixture(scope="module")
def urls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The addresses of a predictor and of a collector, each with the path that takes a body."""
    home: Path = tmp_path_factory.mktemp("store")
    with (
        run_embedded_valkey(home) as store,
        collector(store) as client,
        running_predictor(f"redis://{NOBODY}/0", "shop") as predictor,
    ):
        yield {
            "predictor": f"{predictor.url}/v1/models/dawnlist:predict",
            "collector": f"{client.base_url}".rstrip("/") + "/v1/events",
        }


def send(url: str, data: bytes, ends: bool = True) -> bytes:
    """Send bytes, and end our side unless the server is asked to; return all that comes back."""
    place = urlsplit(url)
    with socket.create_connection((place.hostname, place.port), timeout=60) as line:
        line.sendall(data)
        if ends:
            line.shutdown(socket.SHUT_WR)
        answer = b""
        while block := line.recv(65_536):
            answer += block
        return answer


def list_statuses(answer: bytes) -> list[bytes]:
    """List the statuses of the answers, in their order."""
    return re.findall(rb"HTTP/1\.1 ([0-9]{3}) ", answer)


@pytest.mark.parametrize("server", ["predictor", "collector"])
@pytest.mark.parametrize("headers", HEADERS.values(), ids=HEADERS.keys())
def test_a_request_of_two_lengths_is_refused_and_nothing_after_it_is_read(
    urls: dict[str, str], server: str, headers: bytes
) -> None:
    path = urlsplit(urls[server]).path.encode()
    head = b"POST " + path + b" HTTP/1.1\r\nHost: x\r\n"
    answer = send(urls[server], head + headers + HIDDEN)
    assert list_statuses(answer) == [b"400"], answer[:200]


@pytest.mark.parametrize("server", ["predictor", "collector"])
def test_two_sound_requests_are_both_answered(urls: dict[str, str], server: str) -> None:
    path = urlsplit(urls[server]).path.encode()
    first = b"POST " + path + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
    # uvicorn answers no second request of a client that has ended its side.
    last = HIDDEN.replace(b"Host: x", b"Host: x\r\nConnection: close")
    answer = send(urls[server], first + last, ends=False)
    statuses = list_statuses(answer)
    assert len(statuses) == 2 and statuses[1] == b"404"
