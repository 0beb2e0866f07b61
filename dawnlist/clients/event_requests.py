"""Requests to the collector: encode events, post them, and read what became of each."""

import gzip
import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

MIN_COMPRESSED_BYTES: Final = 1_000
"""A smaller body is not compressed."""
MAX_BODY_BYTES: Final = 900_000
"""Bytes of a body; the collector takes a megabyte."""

MAX_RETRY_SECONDS: Final = 300
"""The longest wait that a collector may ask for."""

Outcome = tuple[str, str]
"""A status (ok, duplicate, dropped or retry) and the reason for the last two."""


@dataclass(frozen=True)
class EventRequest:
    """What all requests of a client have in common."""

    url: str
    """The collector's address."""
    key: str
    """The key for servers; empty if none is asked for."""
    timeout: float
    """Seconds that a request may take."""

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            raise ValueError(f"the address {self.url!r} does not begin with http:// or https://")


@dataclass(frozen=True)
class Reply:
    """What became of each event of a batch."""

    outcomes: Sequence[Outcome]
    """In the order of the events."""
    retry_seconds: float = 0.0
    """How long to wait before the next request, as the collector says."""


@dataclass
class EncodedBatch:
    """The events of a batch that are JSON, and what is known of the others."""

    texts: list[bytes] = field(default_factory=list)
    """The events as JSON."""
    positions: list[int] = field(default_factory=list)
    """Their positions in the batch."""
    outcomes: list[Outcome] = field(default_factory=list)
    """An outcome for each event of the batch."""


def post_events(request: EventRequest, events: Sequence[dict[str, Any]]) -> Reply:
    """Post a batch of events. It raises nothing: what failed is to be sent again or is dropped."""
    batch = _encode_events(events)
    if not batch.texts:
        return Reply(batch.outcomes)
    sent_at = json.dumps(datetime.now(UTC).isoformat())
    body = b'{"sent_at":%b,"events":[%b]}' % (sent_at.encode(), b",".join(batch.texts))
    reply = _post_body(request, body, len(batch.texts))
    for position, outcome in zip(batch.positions, reply.outcomes, strict=True):
        batch.outcomes[position] = outcome
    return Reply(batch.outcomes, reply.retry_seconds)


def _encode_events(events: Sequence[dict[str, Any]]) -> EncodedBatch:
    """Encode events. What does not fit into this body is sent with the next one."""
    batch = EncodedBatch()
    size = 0
    for position, event in enumerate(events):
        try:
            # Half a surrogate pair can't be encoded, and the collector could not read it.
            text = json.dumps(event, allow_nan=False, ensure_ascii=False).encode()
        except (TypeError, ValueError, RecursionError) as error:
            batch.outcomes.append(("dropped", f"the event is no JSON: {error}"))
            continue
        if len(text) > MAX_BODY_BYTES:
            batch.outcomes.append(("dropped", f"the event has more than {MAX_BODY_BYTES:,} bytes"))
            continue
        batch.outcomes.append(("retry", "the request was full"))
        size += len(text) + 1
        if size <= MAX_BODY_BYTES:
            batch.texts.append(text)
            batch.positions.append(position)
    return batch


def _post_body(request: EventRequest, body: bytes, events: int) -> Reply:
    headers = {"content-type": "application/json", "user-agent": "dawnlist-python"}
    if request.key:
        headers["x-api-key"] = request.key
    if len(body) >= MIN_COMPRESSED_BYTES:
        headers["content-encoding"] = "gzip"
        body = gzip.compress(body, 1)
    address = f"{request.url.rstrip('/')}/v1/events"
    post = urllib.request.Request(address, body, headers, method="POST")
    try:
        with urllib.request.urlopen(post, timeout=request.timeout) as answer:
            return _read_answer(answer.read(), answer.headers, events)
    except urllib.error.HTTPError as error:
        return _read_error(error, events)
    except (OSError, ValueError, KeyError, TypeError, http.client.HTTPException) as error:
        return Reply([("retry", f"the collector does not answer: {error}")] * events)


def _read_answer(data: bytes, headers: Any, events: int) -> Reply:
    """Read the status of each event.

    Raises:
        ValueError: the answer is not the collector's.
    """
    answers = json.loads(data)["events"]
    if len(answers) != events:
        raise ValueError(f"the answer has {len(answers)} statuses for {events} events")
    outcomes = [(str(answer["status"]), str(answer.get("reason", ""))) for answer in answers]
    return Reply(outcomes, _read_seconds(headers))


def _read_error(error: urllib.error.HTTPError, events: int) -> Reply:
    """Read an answer that is no success: 503 has statuses, and 4xx is about the whole request."""
    data = error.read()
    if error.code == 503:
        try:
            return _read_answer(data, error.headers, events)
        except (ValueError, KeyError, TypeError):
            pass
    reason = f"the collector answers {error.code}: {data[:200].decode(errors='replace')}"
    if error.code in (400, 413, 415):
        return Reply([("dropped", reason)] * events)
    # A key that is wrong may be mended, and a busy collector asks to wait.
    return Reply([("retry", reason)] * events, _read_seconds(error.headers))


def _read_seconds(headers: Any) -> float:
    text = headers.get("retry-after") or ""
    if not text.isdecimal():
        return 0.0
    return float(min(int(text[:9]), MAX_RETRY_SECONDS))
