"""What keeps the predictor up: limits of connections, keys, bounded concurrency, logs that say nothing of anybody."""

import asyncio
import base64
import functools
import json
import logging
import re
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import grpc  # type: ignore[import-untyped]
import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub
from uvicorn.server import ServerState

from dawnlist.machine.embedded_valkey import run_embedded_valkey
from dawnlist.serving.predictor.answers.version_follower import VersionFollower
from dawnlist.serving.predictor.request_limiter import OverloadedError, RequestLimiter
from dawnlist.serving.predictor.server import run_predictor
from dawnlist.serving.predictor.transports import limits
from dawnlist.serving.predictor.transports.auth import (
    Authenticator,
    ForbiddenError,
    UnauthenticatedError,
)
from dawnlist.serving.predictor.transports.connection import HttpConnection
from dawnlist.serving.predictor.transports.context import ConnectionContext
from dawnlist.serving.predictor.transports.http import Request, Response
from dawnlist.serving.predictor.watch.counts import PredictorMetrics
from dawnlist.serving.predictor.watch.logs import JsonFormatter, MetricsLogger, describe_exception
from dawnlist.store.client import connect_store
from tests.support.published import metric
from tests.support.servers import NOBODY, Predictor, free_port, list_listeners, running_predictor

ANN = b"GET /v1/recommendations/ann?k=1 HTTP/1.1\r\nHost: x\r\n"
V1 = b"POST /v1/models/dawnlist:predict HTTP/1.1\r\nHost: x\r\n"
BODY = b'{"instances": [{"user_id": "ann"}]}'


def talk(url: str, *pieces: bytes, answers: int = 1) -> bytes:
    """Send the pieces one by one; all that comes back until the other side closes or nothing follows the answers."""
    answer = b""
    with socket.create_connection((urlsplit(url).hostname, urlsplit(url).port)) as line:
        line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in pieces:
            line.sendall(piece)
            time.sleep(0.005)
        try:
            while True:
                # what is still to come may take its time on a busy machine
                done = whole(answer) == answers and b"\r\nconnection: close\r\n" not in answer
                line.settimeout(0.2 if done else 60)
                if not (data := line.recv(1 << 16)):
                    return answer
                answer += data
        except TimeoutError:
            return answer + b"[still open]"


def whole(answer: bytes) -> int:
    """How many answers have come to their end, "100 Continue" left out."""
    found = at = 0
    while (end := answer.find(b"\r\n\r\n", at)) >= 0:
        length = re.search(rb"\r\ncontent-length: (\d+)", head := answer[at:end])
        at = end + 4 + (int(length[1]) if length else 0)
        found += len(answer) >= at and not head.startswith(b"HTTP/1.1 100 ")
    return found


def status(answer: bytes) -> int:
    return int(answer[9:12])


def test_pipelined_requests_are_answered_in_their_order(served: Predictor) -> None:
    live = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    answer = talk(served.url, (ANN + b"\r\n" + live) * 3, answers=6)
    bodies = [part.partition(b"\r\n\r\n")[2] for part in answer.split(b"HTTP/1.1 200 OK\r\n")[1:]]
    assert [b'"ann"' in body for body in bodies] == [True, False] * 3
    assert (
        talk(served.url, live * 3_000, answers=3_000).count(b"HTTP/1.1 200 OK") == 3_000
    )  # no recursion


def chunked(*pieces: bytes) -> list[bytes]:
    return [
        V1 + b"Transfer-Encoding: chunked\r\n\r\n",
        *(b"%x\r\n%b\r\n" % (len(p), p) for p in pieces),
        b"0\r\n\r\n",
    ]


@pytest.mark.parametrize(
    ("pieces", "code", "stays"),
    [
        pytest.param([ANN + b"\r\n"], 200, True, id="get"),
        pytest.param([ANN[:7], ANN[7:] + b"\r", b"\n"], 200, True, id="in pieces"),
        pytest.param(chunked(BODY[:9], BODY[9:]), 200, True, id="chunked"),
        pytest.param([b"GET / HTTP/1.0\r\n\r\n"], 200, False, id="HTTP/1.0"),
        pytest.param([ANN + b"Connection: close\r\n\r\n"], 200, False, id="close"),
        pytest.param(
            [ANN + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n"], 200, False, id="h2c is offered"
        ),
        pytest.param([b"DELETE / HTTP/1.1\r\nHost: x\r\n\r\n"], 405, True, id="method"),
        pytest.param([b"\x16\x03\x01 TLS\r\n\r\n"], 400, False, id="TLS"),
        pytest.param([b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"], 400, False, id="HTTP/2"),
        pytest.param(
            [V1 + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"],
            400,
            False,
            id="smuggled",
        ),
        pytest.param([b"GET /" + b"a" * 8_200 + b" HTTP/1.1\r\n\r\n"], 414, False, id="URL"),
        pytest.param([ANN + b"a: " + b"a" * 33_000 + b"\r\n\r\n"], 431, False, id="headers"),
        pytest.param([ANN + b"a: ", *[b"a" * 4_000] * 10], 431, False, id="headers without an end"),
        pytest.param([V1 + b"Content-Length: 1048577\r\n\r\n"], 413, False, id="said to be large"),
        pytest.param(
            [V1 + b"Content-Length: 1048577\r\n\r\n", *[b"a" * 100_000] * 10],
            413,
            False,
            id="large",
        ),
        pytest.param(chunked(*[b"a" * 100_000] * 11), 413, False, id="large in chunks"),
        pytest.param(
            chunked(b"a")[:1] + [b"1\r\na\r\n" * 20_000] * 25, 413, False, id="chunks of a byte"
        ),
    ],
)
def test_requests_are_read_within_limits(
    served: Predictor, pieces: list[bytes], code: int, stays: bool
) -> None:
    answer = talk(served.url, *pieces)
    assert (status(answer), answer.endswith(b"[still open]")) == (code, stays), answer[:200]
    assert stays or b"\r\nconnection: close\r\n" in answer
    assert status(talk(served.url, ANN + b"\r\n")) == 200


def test_a_client_that_asks_first_is_told_to_go_on(served: Predictor) -> None:
    head = V1 + b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n" % len(BODY)
    answer = talk(served.url, head, BODY)
    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")


def test_a_client_that_asks_first_after_another_request_is_told_after_its_answer(
    served: Predictor,
) -> None:
    head = V1 + b"Expect: 100-Continue\r\nContent-Length: %d\r\n\r\n" % len(BODY)
    with socket.create_connection(("127.0.0.1", urlsplit(served.url).port)) as line:
        line.sendall(ANN + b"\r\n" + head)
        answer = b""
        while not answer.endswith(b"HTTP/1.1 100 Continue\r\n\r\n"):
            data = line.recv(1 << 16)
            assert data, answer
            answer += data
        line.sendall(BODY)
        assert line.recv(1 << 16).startswith(b"HTTP/1.1 200 OK")
    assert answer.startswith(b"HTTP/1.1 200 OK") and answer.count(b"HTTP/1.1 ") == 2


@pytest.mark.parametrize(
    "head",
    [
        V1.replace(b"HTTP/1.1", b"HTTP/1.0") + b"Expect: 100-continue\r\n",
        V1 + b"Expect: something else\r\n",
    ],
    ids=["HTTP/1.0", "something else"],
)
def test_a_client_that_does_not_know_it_is_not_told_to_go_on(
    served: Predictor, head: bytes
) -> None:
    answer = talk(served.url, head + b"Content-Length: %d\r\n\r\n" % len(BODY), BODY)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n") and b" 100 " not in answer


def test_head_is_get_without_the_body(served: Predictor) -> None:
    got, head = (
        getattr(httpx, method)(f"{served.url}/v1/recommendations/ann") for method in ("get", "head")
    )
    assert (head.status_code, head.content, head.headers["content-length"]) == (
        200,
        b"",
        str(len(got.content)),
    )


def answered(request: Request) -> Any:
    async def slow() -> Response:
        await asyncio.sleep(60)
        return Response(200, b"{}")

    return slow() if request.path == b"/slow" else Response(200, b"{}")


async def connected(pieces: bytes, waited: float, seconds: float = 60) -> bytes:
    """What a client that has sent this gets when the sweep comes by so much later, until the end or for `seconds`."""
    state = ServerState()
    shared = ConnectionContext(
        answered, lambda: Response(503, b"late"), lambda code, text: Response(code, text.encode())
    )
    loop = asyncio.get_running_loop()
    protocols: list[HttpConnection] = []

    def protocol() -> HttpConnection:
        protocols.append(HttpConnection(shared, None, state, None))
        return protocols[-1]

    server = await loop.create_server(protocol, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(pieces)
    for _ in range(
        20
    ):  # turns of the loop, not one pause: on a busy machine that is over before anything was read
        await asyncio.sleep(0.002)
    protocols[0].expire(loop.time() + waited)
    try:
        return await asyncio.wait_for(reader.read(), seconds)
    except TimeoutError:
        return b"[still open]"
    finally:
        protocols[0].shutdown()
        writer.close()
        server.close()


@pytest.mark.parametrize(
    ("pieces", "waited", "answer"),
    [
        pytest.param(b"", limits.KEEP_ALIVE_SECONDS - 1, b"[still open]", id="idle"),
        pytest.param(b"", limits.KEEP_ALIVE_SECONDS + 1, b"", id="idle too long"),
        pytest.param(b"GET / HT", limits.TRANSFER_TIMEOUT_SECONDS - 1, b"[still open]", id="slow"),
        pytest.param(b"GET / HT", limits.TRANSFER_TIMEOUT_SECONDS + 1, b"", id="too slow"),
        pytest.param(
            b"GET /slow HTTP/1.1\r\n\r\n",
            limits.ANSWER_TIMEOUT_SECONDS - 1,
            b"[still open]",
            id="a slow answer",
        ),
        pytest.param(
            b"GET /slow HTTP/1.0\r\n\r\n",
            limits.ANSWER_TIMEOUT_SECONDS + 1,
            b"late",
            id="too slow an answer",
        ),
    ],
)
def test_what_takes_too_long_is_given_up(pieces: bytes, waited: float, answer: bytes) -> None:
    seconds = 0.2 if answer == b"[still open]" else 60
    assert asyncio.run(connected(pieces, waited, seconds)).rpartition(b"\r\n")[2] == answer


class Line:
    """A transport, and a clock, of which a test says how they go on."""

    def __init__(self) -> None:
        self.now, self.taken, self.reading, self.aborted = 0.0, b"", True, False

    def time(self) -> float:
        return self.now

    def write(self, data: bytes) -> None:
        self.taken += data

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def is_closing(self) -> bool:
        return self.aborted

    def abort(self) -> None:
        self.aborted = True

    close = abort


def test_a_client_that_does_not_read_its_answers_is_not_read_from_either() -> None:
    shared = ConnectionContext(
        answered, lambda: Response(503, b"late"), lambda code, text: Response(code, text.encode())
    )
    line = Line()
    client = HttpConnection(shared, None, ServerState(), None, line)
    client.connection_made(line)
    client.pause_writing()
    line.now = limits.TRANSFER_TIMEOUT_SECONDS - 1
    client.data_received(b"GET / HTTP/1.1\r\n\r\nGET / HT")
    assert (line.taken, line.reading) == (b"", False)
    client.resume_writing()
    assert line.taken.startswith(b"HTTP/1.1 200") and line.reading
    line.now += limits.TRANSFER_TIMEOUT_SECONDS - 1
    client.expire(line.now)
    assert not line.aborted  # the second request has had no more time than that
    client.pause_writing()
    line.now += limits.TRANSFER_TIMEOUT_SECONDS - 1
    client.data_received(b"TP/1.1\r\n\r\nGET / HT")
    line.now += 2
    client.expire(line.now)
    assert line.aborted  # asking on does not put it off


def build_context(max_connections: int) -> ConnectionContext:
    return ConnectionContext(
        answered,
        lambda: Response(503, b"late"),
        lambda code, text: Response(code, text.encode()),
        max_connections,
    )


def connect_line(
    context: ConnectionContext, state: ServerState, *pieces: bytes
) -> tuple[Line, HttpConnection]:
    """Connect a client that sends the pieces."""
    line = Line()
    client = HttpConnection(context, None, state, None, line)
    client.connection_made(line)
    for piece in pieces:
        client.data_received(piece)
    return line, client


def test_the_client_that_waits_longest_makes_room_for_one_more() -> None:
    closed: list[int] = []
    context = build_context(max_connections=3)
    context.count_closed = lambda: closed.append(1)
    state = ServerState()
    first, first_client = connect_line(context, state)
    slow, _ = connect_line(context, state, b"GET / HT")
    last, _ = connect_line(context, state)
    first_client.data_received(b"GET / HTTP/1.1\r\n\r\n")
    assert not (first.aborted or slow.aborted or last.aborted or closed)  # as many as there may be
    probe, _ = connect_line(context, state, b"GET / HTTP/1.1\r\n\r\n")
    assert (first.aborted, slow.aborted, last.aborted) == (False, True, False)
    assert probe.taken.startswith(b"HTTP/1.1 200") and len(closed) == 1
    connect_line(context, state)
    connect_line(context, state)
    assert (first.aborted, last.aborted, probe.aborted) == (True, True, False)
    assert len(closed) == 3


def test_a_client_that_does_not_read_makes_room_too() -> None:
    context, state = build_context(max_connections=1), ServerState()
    line, client = connect_line(context, state, b"GET / HTTP/1.1\r\n\r\n")
    client.pause_writing()
    probe, _ = connect_line(context, state, b"GET / HTTP/1.1\r\n\r\n")
    assert line.aborted and probe.taken.startswith(b"HTTP/1.1 200")


def test_a_client_too_many_is_refused_only_while_all_others_are_being_answered() -> None:
    async def connect_two() -> tuple[bytes, bytes]:
        state, context = ServerState(), build_context(max_connections=1)
        loop = asyncio.get_running_loop()
        protocol = functools.partial(HttpConnection, context, None, state, None)
        server = await loop.create_server(protocol, "127.0.0.1", 0)
        address = server.sockets[0].getsockname()
        async with server:
            reader, writer = await asyncio.open_connection(*address)
            writer.write(b"GET /slow HTTP/1.1\r\n\r\n")
            while context.waiting or not state.connections:
                await asyncio.sleep(0.002)
            other_reader, other_writer = await asyncio.open_connection(*address)
            refused = await other_reader.read()
            connections: list[Any] = list(state.connections)
            for each in connections:
                each.expire(loop.time() + limits.ANSWER_TIMEOUT_SECONDS + 1)
            late = await reader.readuntil(b"late")
            writer.close()
            other_writer.close()
        return refused, late

    refused, late = asyncio.run(connect_two())
    assert refused.startswith(b"HTTP/1.1 503") and b"too many connections" in refused
    assert late.startswith(b"HTTP/1.1 503")


def test_closed_connections_leave_nothing_behind() -> None:
    context, state = build_context(max_connections=2), ServerState()
    _, client = connect_line(context, state, b"GET / HTTP/1.1\r\n\r\n")
    client.connection_lost(None)
    assert not context.waiting and not state.connections


BAD = b"\x00bad\r\n\r\n"
LONG_URL = b"GET /" + b"a" * 8_200 + b" HTTP/1.1\r\n\r\n"


@pytest.mark.parametrize(
    ("pieces", "codes"),
    [
        pytest.param([ANN + b"\r\n" + BAD], [200, 400], id="at once"),
        pytest.param([(ANN + b"\r\n") * 3 + BAD], [200, 200, 200, 400], id="three before it"),
        pytest.param([ANN + b"\r\n", BAD], [200, 400], id="in two pieces"),
        pytest.param([ANN + b"\r\n" + LONG_URL + ANN + b"\r\n"], [200, 414], id="nothing after it"),
        pytest.param([ANN + b"Connection: close\r\n\r\n" + BAD], [200], id="after the last"),
        pytest.param([BAD + ANN + b"\r\n"], [400], id="bad at first"),
    ],
)
def test_good_requests_before_a_bad_one_are_answered(
    served: Predictor, pieces: list[bytes], codes: list[int]
) -> None:
    answer = talk(served.url, *pieces, answers=len(codes))
    heads = re.findall(rb"HTTP/1\.1 (\d+) [^\r]*\r\n(?:[^\r]+\r\n)*?\r\n", answer)
    assert [int(code) for code in heads] == codes, answer
    assert answer.count(b"connection: close") == 1
    assert not answer.endswith(b"[still open]")


@pytest.mark.parametrize("requests", [1, 2])
def test_a_client_that_sends_no_more_gets_its_answers(served: Predictor, requests: int) -> None:
    address = (urlsplit(served.url).hostname, urlsplit(served.url).port)
    with socket.create_connection(address) as line:
        line.sendall((ANN + b"\r\n") * requests)
        line.shutdown(socket.SHUT_WR)
        with line.makefile("rb") as stream:
            answer = stream.read()
    assert answer.count(b"HTTP/1.1 200 OK") == requests


def test_the_gate_counts_requests_and_questions() -> None:
    gate = RequestLimiter(PredictorMetrics("shop"), requests=2, questions=10)
    gate.acquire(11)  # alone, a batch of any size
    with pytest.raises(OverloadedError, match="too many requests at once"):
        gate.acquire(1)
    gate.release(11)
    gate.acquire(4)
    gate.acquire(4)
    assert gate.counts.in_flight == 2
    with pytest.raises(OverloadedError):
        gate.acquire(1)
    gate.release(4)
    gate.release(4)
    assert gate.counts.in_flight == 0


def test_too_much_at_once_is_a_503_with_retry_after(served: Predictor) -> None:
    """A store that stands still holds requests; the 257th and later ones are told to come again."""
    before = metric(served.url, "dawnlist_requests_total", route="lean", status="503")
    with connect_store(served.redis) as client:
        client.execute_command("CLIENT", "PAUSE", 500)
    lines = [socket.create_connection(("127.0.0.1", urlsplit(served.url).port)) for _ in range(400)]
    for line in lines:
        line.sendall(ANN + b"Connection: close\r\n\r\n")
    answers = [b"".join(iter(lambda line=line: line.recv(1 << 16), b"")) for line in lines]  # type: ignore[misc]
    for line in lines:
        line.close()
    statuses = {code: sum(status(answer) == code for answer in answers) for code in (200, 503)}
    assert statuses[200] >= 256 and statuses[200] + statuses[503] == 400
    for answer in answers:
        assert b"redis" not in answer.lower() and b"127.0.0.1" not in answer
        assert (b"retry-after: 1" in answer) is (status(answer) == 503)
    assert (
        metric(served.url, "dawnlist_requests_total", route="lean", status="503") - before
        == statuses[503]
    )
    assert metric(served.url, "dawnlist_in_flight") == 0
    assert httpx.get(f"{served.url}/v1/recommendations/ann").json()["tier"] == "list"


def test_it_listens_on_loopback_only(served: Predictor) -> None:
    for address in (served.url.removeprefix("http://"), served.grpc):
        listeners = list_listeners(int(address.rsplit(":", 1)[1]))
        assert [listener.removeprefix("::ffff:") for listener in listeners] == ["127.0.0.1"]


def test_a_port_that_is_taken_is_one_clear_line(served: Predictor) -> None:
    http, rpc = (int(address.rsplit(":", 1)[1]) for address in (served.url, served.grpc))
    with pytest.raises(
        OSError, match=rf"can't listen on 127\.0\.0\.1:{http} .*: choose another port"
    ):
        run_predictor("redis://127.0.0.1/0", "shop", http)
    with pytest.raises(
        OSError, match=rf"can't listen on 127\.0\.0\.1:{rpc} .*: choose another port"
    ):
        run_predictor("redis://127.0.0.1/0", "shop", free_port(), grpc_port=rpc)
    for host in ("192.0.2.1", "300.1.1.1"):
        with pytest.raises(
            OSError, match=rf"can't listen on {host}:.*: give --host an address of this machine"
        ):
            run_predictor("redis://127.0.0.1/0", "shop", free_port(), host)


# keys

RSA = rsa.generate_private_key(65537, 2048)
OTHER = rsa.generate_private_key(65537, 2048)
SECRET = "s" * 32


def pem(key: Any) -> str:
    return str(
        key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    )


def token(key: Any = RSA, algorithm: str = "RS256", **changes: Any) -> str:
    claims = {"exp": time.time() + 3_600, "aud": "dawnlist", **changes}
    return jwt.encode(
        {name: value for name, value in claims.items() if value is not None}, key, algorithm
    )


def bearer(text: str) -> dict[bytes, bytes]:
    return {b"authorization": b"Bearer " + text.encode()}


def test_without_a_key_everybody_may_ask() -> None:
    Authenticator.from_environment({}).check({})
    absent = dict.fromkeys(
        ["DAWNLIST_API_KEY", "DAWNLIST_JWT_KEY", "DAWNLIST_JWT_KEY_FILE", "DAWNLIST_JWT_AUDIENCE"],
        "",
    )
    assert Authenticator.from_environment(absent).is_open


def test_an_api_key_opens_and_two_while_one_takes_the_others_place() -> None:
    doorkeeper = Authenticator.from_environment({"DAWNLIST_API_KEY": " old,, new\n,"})
    doorkeeper.check({b"x-api-key": b"old"})
    doorkeeper.check({b"x-api-key": b"new "})
    for headers in (
        {},
        {b"x-api-key": b""},
        {b"x-api-key": b"ol"},
        {b"x-api-key": b"o ld"},
        {b"x-api-key": "ö".encode()},
        bearer(token()),
    ):
        with pytest.raises(UnauthenticatedError):
            doorkeeper.check(headers)


@pytest.mark.parametrize(
    ("text", "key", "algorithm"),
    [
        (pem(RSA), RSA, "RS256"),
        (pem(RSA), RSA, "PS512"),
        (pem(elliptic := ec.generate_private_key(ec.SECP256R1())), elliptic, "ES256"),
        (pem(edwards := ed25519.Ed25519PrivateKey.generate()), edwards, "EdDSA"),
        (SECRET, SECRET, "HS256"),
    ],
    ids=["RS256", "PS512", "ES256", "EdDSA", "HS256"],
)
def test_a_signed_token_opens(text: str, key: Any, algorithm: str, tmp_path: Path) -> None:
    (tmp_path / "key").write_text(text + "\n")
    doorkeeper = Authenticator.from_environment(
        {"DAWNLIST_JWT_KEY_FILE": str(tmp_path / "key"), "DAWNLIST_JWT_AUDIENCE": "dawnlist"}
    )
    shown = bearer(token(key, algorithm))
    doorkeeper.check(shown)
    doorkeeper.check(shown)  # remembered


@pytest.mark.parametrize(
    ("text", "error"),
    [
        (token(exp=time.time() - 1), "the token has expired"),
        (token(OTHER), "the token is not valid"),
        (token(SECRET, "HS256"), "not valid"),
        (jwt.encode({"exp": time.time() + 3_600}, "", "none"), "is not valid"),
        (token(nbf=time.time() + 3_000), "token is not valid"),
        ("", "the token is"),
        ("a.b.c", "token is not"),
    ],
    ids=[
        "expired",
        "another key",
        "another algorithm",
        "no signature",
        "not yet",
        "empty",
        "garbage",
    ],
)
def test_a_token_that_is_not_believed(text: str, error: str) -> None:
    doorkeeper = Authenticator.from_environment(
        {"DAWNLIST_JWT_KEY": pem(RSA), "DAWNLIST_JWT_AUDIENCE": "dawnlist"}
    )
    with pytest.raises(UnauthenticatedError, match=error):
        doorkeeper.check(bearer(text))


def nested_token(depth: int) -> str:
    """Return a token whose header is nested deeper than Python's JSON parser goes."""
    header = b'{"alg": ' + b"[" * depth + b"]" * depth + b"}"
    return base64.urlsafe_b64encode(header).decode().rstrip("=") + ".e30.AA"


@pytest.mark.parametrize(
    "text",
    [
        nested_token(10_000),
        token(SECRET, "HS256", exp=10**400),
        token(SECRET, "HS256", exp=float("inf")),
        token(SECRET, "HS256", exp=[1]),
        token(SECRET, "HS256", nbf={}),
    ],
    ids=["nested", "a huge time", "an infinite time", "a list as time", "an object as time"],
)
def test_a_token_that_breaks_the_library_is_not_believed(text: str) -> None:
    doorkeeper = Authenticator.from_environment({"DAWNLIST_JWT_KEY": SECRET})
    with pytest.raises(UnauthenticatedError, match="the token is not valid"):
        doorkeeper.check(bearer(text))


def test_a_token_of_another_curve_is_not_believed() -> None:
    doorkeeper = Authenticator.from_environment(
        {"DAWNLIST_JWT_KEY": pem(ec.generate_private_key(ec.SECP256R1()))}
    )
    with pytest.raises(UnauthenticatedError, match="the token is not valid"):
        doorkeeper.check(bearer(token(ec.generate_private_key(ec.SECP521R1()), "ES512")))


@pytest.mark.parametrize("changes", [{"aud": "billing"}, {"aud": None}, {"exp": None}], ids=str)
def test_a_token_for_another_service_is_forbidden(changes: dict[str, Any]) -> None:
    doorkeeper = Authenticator.from_environment(
        {"DAWNLIST_JWT_KEY": pem(RSA), "DAWNLIST_JWT_AUDIENCE": "dawnlist"}
    )
    with pytest.raises(ForbiddenError, match="the token is not for this service"):
        doorkeeper.check(bearer(token(**changes)))


def test_blanks_around_a_secret_and_an_audience_do_not_count() -> None:
    doorkeeper = Authenticator.from_environment(
        {"DAWNLIST_JWT_KEY": f" {'s' * 32}\n", "DAWNLIST_JWT_AUDIENCE": " dawnlist\n"}
    )
    doorkeeper.check(bearer(token("s" * 32, "HS256")))


def test_a_public_key_is_no_shared_secret() -> None:
    doorkeeper = Authenticator.from_environment({"DAWNLIST_JWT_KEY": pem(RSA)})
    assert not any(algorithm.startswith("HS") for algorithm in doorkeeper.algorithms)
    doorkeeper.check(bearer(token(aud="anything")))


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        (
            {"DAWNLIST_JWT_KEY": "short"},
            r"\(DAWNLIST_JWT_KEY or DAWNLIST_JWT_KEY_FILE\) is shorter than 32 bytes",
        ),
        (
            {"DAWNLIST_JWT_KEY": "-----BEGIN PUBLIC KEY-----\nx\n-----END PUBLIC KEY-----"},
            "no public key in PEM",
        ),
        (
            {"DAWNLIST_JWT_KEY_FILE": "/nowhere"},
            r"JWT_KEY_FILE can't be read \(FileNotFoundError\)",
        ),
        ({"DAWNLIST_JWT_KEY_FILE": "/dev/null"}, "JWT_KEY_FILE names an empty file"),
        ({"DAWNLIST_JWT_KEY": "s" * 31 + "\n"}, "is shorter than 32 bytes"),
        ({"DAWNLIST_JWT_KEY": " " * 32}, "DAWNLIST_JWT_KEY is set, but holds only blanks"),
        ({"DAWNLIST_JWT_KEY_FILE": " "}, "DAWNLIST_JWT_KEY_FILE is set, but holds only blanks"),
        ({"DAWNLIST_API_KEY": " "}, "DAWNLIST_API_KEY is set, but holds only blanks"),
        ({"DAWNLIST_API_KEY": "\n"}, "DAWNLIST_API_KEY is set, but holds only blanks"),
        ({"DAWNLIST_API_KEY": ",, "}, "DAWNLIST_API_KEY is set, but holds no key"),
        ({"DAWNLIST_API_KEY": "one\ntwo"}, "separate keys by commas"),
        ({"DAWNLIST_JWT_AUDIENCE": "shop"}, "set DAWNLIST_JWT_KEY or DAWNLIST_JWT_KEY_FILE"),
        (
            {"DAWNLIST_JWT_AUDIENCE": "shop", "DAWNLIST_API_KEY": "k"},
            "DAWNLIST_JWT_AUDIENCE is set, but there is no key",
        ),
        (
            {"DAWNLIST_JWT_AUDIENCE": " ", "DAWNLIST_JWT_KEY": SECRET},
            "DAWNLIST_JWT_AUDIENCE is set, but holds only blanks",
        ),
    ],
    ids=[
        "short",
        "no key",
        "no file",
        "empty file",
        "31 bytes and a line end",
        "blank key of tokens",
        "blank file",
        "blank API key",
        "line end as API key",
        "commas as API key",
        "two lines as API key",
        "audience alone",
        "audience beside an API key",
        "blank audience",
    ],
)
def test_a_key_that_can_not_be_used_is_one_clear_line(
    environment: dict[str, str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Authenticator.from_environment(environment)


@pytest.fixture(scope="module")
def locked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Predictor]:
    """A predictor that wants a key, over an empty store, with a static file."""
    home = tmp_path_factory.mktemp("locked")
    items = [{"item_id": "s", "title": "Static"}]
    (home / "static.json").write_text(json.dumps({"as_of": "2026-01-01T03:00:00Z", "items": items}))
    environment = {
        "DAWNLIST_API_KEY": "a key",
        "DAWNLIST_JWT_KEY": pem(RSA),
        "DAWNLIST_JWT_AUDIENCE": "dawnlist",
    }
    with run_embedded_valkey(home / "valkey") as redis_url:
        static = home / "static.json"
        with running_predictor(
            redis_url, "shop", environment, static, grpc_port=free_port()
        ) as running:
            yield running


FREE = (
    "/",
    "/metrics",
    "/v2/health/live",
    "/v2/health/ready",
    "/v1/models/dawnlist",
    "/v2/models/dawnlist/ready",
)
LOCKED = ("/v1/recommendations/ann", "/openapi.json", "/v1/models", "/v2", "/v2/models/dawnlist")


def test_only_probes_and_metrics_need_no_key(locked: Predictor) -> None:
    assert {httpx.get(locked.url + path).status_code for path in FREE} == {200, 503}
    for path in LOCKED:
        response = httpx.get(locked.url + path)
        assert (response.status_code, list(response.json())) == (401, ["error"])
        assert httpx.get(locked.url + path, headers={"x-api-key": "a key"}).status_code == 200
    for path in ("/v1/models/dawnlist:predict", "/v2/models/dawnlist/infer"):
        assert httpx.post(locked.url + path, content=b"{}").status_code == 401
    for text, code in ((token(), 200), (token(aud="billing"), 403), (token(OTHER), 401)):
        headers = {"authorization": f"bearer {text}"}
        assert (
            httpx.get(f"{locked.url}/v1/recommendations/ann", headers=headers).status_code == code
        )
    schemes = httpx.get(f"{locked.url}/openapi.json", headers={"x-api-key": "a key"}).json()[
        "components"
    ]
    assert list(schemes["securitySchemes"]) == ["apiKey", "token"]


def test_grpc_wants_the_same_key(locked: Predictor) -> None:
    with grpc.insecure_channel(locked.grpc) as channel:
        stub = GRPCInferenceServiceStub(channel)
        assert stub.ServerLive(pb.ServerLiveRequest()).live
        assert not stub.ServerReady(pb.ServerReadyRequest()).ready
        request = pb.ModelInferRequest(model_name="dawnlist")
        request.inputs.add(
            name="user_id", datatype="BYTES", shape=[1]
        ).contents.bytes_contents.append(b"ann")
        ways: list[tuple[list[tuple[str, str]], str]] = [
            ([], "UNAUTHENTICATED"),
            ([("x-api-key", "wrong")], "UNAUTHENTICATED"),
            ([("authorization", f"Bearer {token(aud='billing')}")], "PERMISSION_DENIED"),
        ]
        for metadata, code in ways:
            for call, asked in (
                (stub.ModelInfer, request),
                (stub.ModelMetadata, pb.ModelMetadataRequest(name="dawnlist")),
            ):
                with pytest.raises(grpc.RpcError) as caught:
                    call(asked, metadata=metadata)
                assert caught.value.code().name == code
        assert stub.ModelInfer(request, metadata=[("x-api-key", "a key")]).outputs[0].shape == [
            1,
            1,
        ]


def test_without_a_version_the_static_file_answers_and_nothing_is_ready(locked: Predictor) -> None:
    response = httpx.get(f"{locked.url}/v1/recommendations/ann", headers={"x-api-key": "a key"})
    assert {**response.json(), "age_seconds": 0} == {
        "user_id": "ann",
        "tier": "static",
        "model_version": "0",
        "token": None,
        "as_of": "2026-01-01T03:00:00Z",
        "age_seconds": 0,
        "items": [{"item_id": "s", "title": "Static", "score": 0.0}],
    }
    assert [httpx.get(locked.url + path).status_code for path in FREE[3:]] == [503, 503, 503]
    assert metric(locked.url, "dawnlist_ready") == 0
    assert metric(locked.url, "dawnlist_answers_total", tier="static") > 0


# logs


def test_logs_are_json_and_say_nothing_of_anybody(served: Predictor) -> None:
    for user in ("private-person", "%FF"):
        httpx.get(f"{served.url}/v1/recommendations/{user}", headers={"x-api-key": "hidden"})
    with ThreadPoolExecutor(4) as pool:
        posts = [
            pool.submit(httpx.post, f"{served.url}/v1/models/dawnlist:predict", content=b"{")
            for _ in range(20)
        ]
        assert {done.result().status_code for done in posts} == {400}
    lines = [json.loads(line) for line in served.lines]
    assert [line["event"] for line in lines if line["event"] != "errors"] == ["start", "version"]
    assert lines[0]["access"] == "anybody may ask" and lines[1]["version"] == 1
    assert not any(
        word in line for line in served.lines for word in ("private-person", "hidden", "%FF", "ann")
    )
    assert {"time", "level", "event"} <= lines[0].keys()


def test_why_the_store_can_not_be_followed_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    looks = threading.Semaphore(0)
    follower = VersionFollower(
        f"redis://{NOBODY}/0", "shop", PredictorMetrics("shop"), looks.release
    )
    follower.start()
    assert all(looks.acquire(timeout=20) for _ in range(3))
    follower.stop()
    [line] = [
        record.getMessage() for record in caplog.records if record.name == "dawnlist.predictor"
    ]
    assert line.startswith(
        f"the active version can't be followed: no store answers at redis://{NOBODY}/0 ("
    )
    assert "refused" in line


def test_an_error_is_logged_by_its_class_and_places_only() -> None:
    try:
        raise ValueError("user ann@example.com at redis://:password@host")
    except ValueError as error:
        record = logging.LogRecord(
            "x", logging.ERROR, "", 0, "a request failed", None, (type(error), error, None)
        )
        line = json.loads(JsonFormatter().format(record))
        assert describe_exception(error)["at"][0].startswith("tests/test_guard.py:")
    assert (line["event"], line["error"]) == ("a request failed", "ValueError")
    assert "example.com" not in str(line) and "password" not in str(line)


def test_errors_are_logged_once_in_an_interval_with_their_number(
    caplog: pytest.LogCaptureFixture,
) -> None:
    counts = PredictorMetrics("shop")
    digest = MetricsLogger(counts)
    caplog.set_level(logging.INFO, "dawnlist.predictor")
    report = functools.partial(counts.report_store_error, "TimeoutError")
    for _ in range(3):
        report()
    counts.count_request("lean", 503)
    counts.count_request("lean", 400)
    digest.write()
    digest.write()
    report()
    digest.write()
    told = [getattr(record, "fields") for record in caplog.records]  # noqa: B009
    assert [(line.get("redis_errors"), line.get("responses")) for line in told] == [
        ({"TimeoutError": 3}, {"lean 503": 1}),
        ({"TimeoutError": 1}, None),
    ]
