"""The client for servers in Python, against a real collector: every event is accounted for, and none is sent twice."""

import json
import os
import socket
import subprocess
import sys
import threading
import time
from typing import Any

import httpx
import pytest
import redis

from dawnlist.clients import event_client, event_requests
from dawnlist.clients.event_client import EventClient, EventCounts
from dawnlist.clients.event_requests import EventRequest, post_events
from dawnlist.serving.collector import routes
from tests.support.chromium import wait_until
from tests.support.collecting import KEYS, collector, collector_at, count_entries, read_stream
from tests.support.servers import NOBODY, listening


def address(client: httpx.Client) -> str:
    return str(client.base_url).rstrip("/")


def test_events_are_sent_in_batches_and_counted(valkey: str) -> None:
    lost: list[tuple[str, str]] = []
    with collector(valkey) as server:
        client = EventClient(
            address(server), on_drop=lambda event, why: lost.append((event["type"], why))
        )
        for number in range(1200):
            client.send("view", user=f"u{number}", item="i1")
        client.send("Bad", user="u")
        client.send("view", user="u", properties={"x": {1, 2}})
        client.send("view", id="given", user="u", item="i1")
        client.send("view", id="given", user="u", item="i1")
        assert client.flush(60)
        assert client.counts == EventCounts(sent=1204, ok=1201, duplicate=1, dropped=2)
        client.close()
    assert [event_type for event_type, _ in lost] == ["Bad", "view"]
    assert "does not match" in lost[0][1] and "no JSON" in lost[1][1]
    assert count_entries(valkey, KEYS.accepted) == 1201


def test_an_event_keeps_its_id_and_its_time(valkey: str) -> None:
    with collector(valkey) as server:
        client = EventClient(address(server), batch_seconds=0.0)
        event_id = client.send(
            "purchase", user="ü", item="i1", quantity=2, time="2026-11-30T10:00:00Z"
        )
        client.close(60)
    [record] = read_stream(valkey, KEYS.accepted)
    assert (record["id"], record["user"], record["quantity"]) == (event_id, "ü", 2)


def test_what_is_not_taken_is_sent_again_with_the_same_id(
    valkey: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_client, "FIRST_BACKOFF_SECONDS", 0.01)
    with collector(valkey) as server:
        replies: list[Any] = []

        def lose_the_first_answer(request: Any, events: Any) -> Any:
            reply = post_events(request, events)
            replies.append(reply)
            if len(replies) > 1:
                return reply
            return event_requests.Reply([("retry", "lost")] * len(events))

        monkeypatch.setattr(event_client, "post_events", lose_the_first_answer)
        client = EventClient(address(server))
        client.send("view", user="u1", item="i1")
        client.send("view", user="u2", item="i1")
        assert client.flush(60)
        assert client.counts == EventCounts(sent=2, duplicate=2)
        client.close()
    assert count_entries(valkey, KEYS.accepted) == 2


def test_closing_tries_once_more_while_the_client_pauses(
    valkey: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = threading.Event()

    def fail_at_first(request: Any, events: Any) -> Any:
        if failed.is_set():
            return post_events(request, events)
        failed.set()
        return event_requests.Reply([("retry", "full")] * len(events), 300.0)

    monkeypatch.setattr(event_client, "post_events", fail_at_first)
    with collector(valkey) as server:
        client = EventClient(address(server), batch_seconds=0.0)
        client.send("view", user="u", item="i1")
        assert failed.wait(60)
        client.close(60)
    assert client.counts == EventCounts(sent=1, ok=1)


def test_a_collector_that_restarts_loses_no_event(
    valkey: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_client, "FIRST_BACKOFF_SECONDS", 0.01)
    with socket.socket() as reserved:
        # Bound and not listening: nobody else gets the port while the collector is away.
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        client = EventClient(f"http://127.0.0.1:{port}", batch_seconds=0.0)
        for restart in range(3):
            client.send("view", user=f"away-{restart}", item="i1")
            with collector_at(valkey, port):
                client.send("view", user=f"up-{restart}", item="i1")
                assert client.flush(60)
        client.close()
    assert client.counts == EventCounts(sent=6, ok=6)
    users = sorted(record["user"] for record in read_stream(valkey, KEYS.accepted))
    assert users == [f"{state}-{restart}" for state in ("away", "up") for restart in range(3)]


def test_a_full_collector_is_asked_again_until_it_has_room(
    valkey: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_client, "FIRST_BACKOFF_SECONDS", 0.01)
    monkeypatch.setattr(routes, "RETRY_AFTER_SECONDS", 0)
    with collector(valkey) as server, redis.from_url(valkey) as store:
        store.config_set("maxmemory", "1mb")
        try:
            client = EventClient(address(server), batch_seconds=0.0)
            client.send("view", user="u1", item="i1")
            wait_until(lambda: 'status="retry"' in server.get("/metrics").text)
            assert count_entries(valkey, KEYS.accepted) == 0
        finally:
            store.config_set("maxmemory", "0")
        assert client.flush(60)
        client.close()
    assert client.counts == EventCounts(sent=1, ok=1)
    assert count_entries(valkey, KEYS.accepted) == 1


def test_a_collector_that_limits_the_rate_gets_all_events_in_the_end(
    valkey: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_client, "FIRST_BACKOFF_SECONDS", 0.01)
    with collector(valkey, events_per_second=2) as server:
        client = EventClient(address(server), batch_seconds=0.0)
        for number in range(7):
            client.send("view", user=f"u{number}", item="i1")
            client.flush(0.01)
        assert client.flush(60)
        client.close()
    assert client.counts == EventCounts(sent=7, ok=7)
    assert count_entries(valkey, KEYS.accepted) == 7


def test_a_full_queue_and_a_collector_that_is_away_never_block(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(event_client, "FIRST_BACKOFF_SECONDS", 0.01)
    lost: list[str] = []
    client = EventClient(
        f"http://{NOBODY}", max_waiting=3, on_drop=lambda _, reason: lost.append(reason)
    )
    for _ in range(5):
        client.send("view", user="u")
    assert client.counts == EventCounts(sent=5, given_up=2, waiting=3)
    assert not client.flush(0.05)
    client.close(0.05)
    deadline = time.monotonic() + 60
    while client.counts.waiting and time.monotonic() < deadline:
        time.sleep(0.01)
    client.send("view", user="u")
    assert client.counts == EventCounts(sent=6, given_up=6)
    assert lost[:2] == ["3 events wait already"] * 2 and len(lost) == 6
    assert lost[-1] == "the client is closed"


def test_a_fault_of_the_callback_is_not_raised(valkey: str) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError

    with collector(valkey) as server:
        client = EventClient(address(server), on_drop=fail)
        client.send("Bad", user="u")
        client.send("view", user="u")
        assert client.flush(60)
        assert client.counts == EventCounts(sent=2, ok=1, dropped=1)
        client.close()


@pytest.mark.parametrize(
    ("answer", "outcome", "seconds"),
    [
        ((429, {"retry-after": "7"}, b"slow"), "retry", 7.0),
        ((503, {"retry-after": "2"}, b"no JSON"), "retry", 2.0),
        ((503, {}, b'{"events": [{"status": "retry", "reason": "full"}]}'), "retry", 0.0),
        ((500, {}, b""), "retry", 0.0),
        ((401, {}, b"key"), "retry", 0.0),
        ((400, {}, b"wrong"), "dropped", 0.0),
        ((413, {}, b"large"), "dropped", 0.0),
        ((202, {}, b"{}"), "retry", 0.0),
        ((202, {}, b'{"events": []}'), "retry", 0.0),
        ((429, {"retry-after": "300"}, b""), "retry", 300.0),
        ((429, {"retry-after": "301"}, b""), "retry", 300.0),
        ((503, {"retry-after": "9" * 400}, b""), "retry", 300.0),
        ((202, {"retry-after": "soon"}, b'{"events": [{"status": "ok"}]}'), "ok", 0.0),
    ],
)  # fmt: skip
def test_each_answer_has_its_meaning(answer: Any, outcome: str, seconds: float) -> None:
    with answering(*answer) as url:
        reply = post_events(EventRequest(url, "k", 30.0), [{"type": "view"}])
    assert [status for status, _ in reply.outcomes] == [outcome]
    assert reply.retry_seconds == seconds


def answering(status: int, headers: dict[str, str], body: bytes) -> Any:
    """A server that gives this answer."""
    import contextlib
    import http.server

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(status)
            for name, value in {**headers, "content-length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Log nothing."""

    @contextlib.contextmanager
    def serve() -> Any:
        with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
            thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
            thread.start()
            try:
                yield f"http://127.0.0.1:{server.server_address[1]}"
            finally:
                server.shutdown()
                thread.join()

    return serve()


def test_a_server_that_speaks_no_http_and_a_fault_of_ours_end_no_thread(
    valkey: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with listening(lambda connection: connection.sendall(b"no http\r\n\r\n")) as port:
        reply = post_events(EventRequest(f"http://127.0.0.1:{port}", "", 30.0), [{"type": "view"}])
    assert [status for status, _ in reply.outcomes] == ["retry"]
    monkeypatch.setattr(event_client, "FIRST_BACKOFF_SECONDS", 0.01)
    failures = [RuntimeError("a fault")]

    def fail_at_first(request: Any, events: Any) -> Any:
        if failures:
            raise failures.pop()
        return post_events(request, events)

    monkeypatch.setattr(event_client, "post_events", fail_at_first)
    with collector(valkey) as server:
        client = EventClient(address(server))
        client.send("view", user="u", item="i1")
        assert client.flush(60)
        assert client.counts == EventCounts(sent=1, ok=1)
        client.close()


def test_half_a_letter_costs_its_own_event_alone(valkey: str) -> None:
    with collector(valkey) as server:
        request = EventRequest(address(server), "", 30.0)
        events = [{"type": "view", "user": "u\ud800"}, {"type": "view", "user": "é🦊"}]
        outcomes = post_events(request, events).outcomes
    assert [status for status, _ in outcomes] == ["dropped", "ok"]
    assert [record["user"] for record in read_stream(valkey, KEYS.accepted)] == ["é🦊"]


def test_a_thread_that_can_not_start_is_tried_again(
    valkey: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with collector(valkey) as server:
        client = EventClient(address(server))
        with monkeypatch.context() as patch:

            def fail(_: threading.Thread) -> None:
                raise RuntimeError("can't start new thread")

            patch.setattr(threading.Thread, "start", fail)
            client.send("view", user="u1")
        client.send("view", user="u2")
        assert client.flush(60)
        assert client.counts == EventCounts(sent=2, ok=2)
        client.close()


def test_bodies_have_a_largest_size(valkey: str, monkeypatch: pytest.MonkeyPatch) -> None:
    event = {"id": "e", "type": "view", "user": "u"}
    size = len(json.dumps(event))
    with collector(valkey) as server:
        request = EventRequest(address(server), "", 30.0)
        monkeypatch.setattr(event_requests, "MAX_BODY_BYTES", 2 * (size + 1))
        outcomes = post_events(
            request, [event, {**event, "id": "f"}, {**event, "id": "g"}]
        ).outcomes
        assert [status for status, _ in outcomes] == ["ok", "ok", "retry"]
        monkeypatch.setattr(event_requests, "MAX_BODY_BYTES", size - 1)
        assert post_events(request, [event]).outcomes[0][0] == "dropped"


def test_an_address_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="does not begin with http"):
        EventClient("collector.example")


SCRIPT = """
import os, sys
from dawnlist.clients.event_client import EventClient
assert "numpy" not in sys.modules and "pydantic" not in sys.modules
client = EventClient(sys.argv[1], batch_seconds=600)
client.send("view", user="parent", item="i1")
child = os.fork()
if not child:
    assert client.counts.sent == 0
    client.send("view", user="child", item="i1")
    client.close(60)
    os._exit(0)
os.waitpid(child, 0)
"""


def test_a_process_that_ends_or_forks_sends_its_own_events_once(valkey: str) -> None:
    with collector(valkey) as server:
        subprocess.run(
            [sys.executable, "-c", SCRIPT, address(server)], env=os.environ, check=True, timeout=120
        )
    users = sorted(record["user"] for record in read_stream(valkey, KEYS.accepted))
    assert users == ["child", "parent"]
