"""Read the body of a request: at most 1 MB, as it is or compressed by gzip, and JSON in it."""

import zlib
from collections.abc import AsyncIterable
from typing import Any, Final

import orjson
from starlette.requests import ClientDisconnect

MAX_BODY_BYTES: Final = 1_000_000
"""Bytes of a body, also of what is compressed in it."""
MAX_EVENTS: Final = 1_000
"""Events in one request."""
_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS


class BodyError(ValueError):
    """The body can't be used.

    Args:
        status: The HTTP status to answer with.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


async def read_body(chunks: AsyncIterable[bytes], encoding: str) -> bytes:
    """Read a body.

    Args:
        chunks: The body as it comes.
        encoding: The header Content-Encoding; empty if there is none.

    Raises:
        BodyError: the body is too large, damaged, cut off, or compressed in another way.
    """
    body = bytearray()
    try:
        async for chunk in chunks:
            body += chunk
            if len(body) > MAX_BODY_BYTES:
                raise BodyError(413, f"the body has more than {MAX_BODY_BYTES:,} bytes: send less")
    except ClientDisconnect:
        raise BodyError(400, "the connection ended in the middle of the body") from None
    if encoding in ("", "identity"):
        return bytes(body)
    if encoding in ("gzip", "x-gzip"):
        return _decompress(bytes(body))
    raise BodyError(415, f"content-encoding {encoding[:40]!r} is not known: use gzip or none")


def _decompress(body: bytes) -> bytes:
    decompressor = zlib.decompressobj(_GZIP_WINDOW)
    try:
        data = decompressor.decompress(body, MAX_BODY_BYTES + 1)
    except zlib.error:
        raise BodyError(
            400, "the body is not compressed by gzip, as content-encoding says"
        ) from None
    if len(data) > MAX_BODY_BYTES:
        raise BodyError(413, f"the body has more than {MAX_BODY_BYTES:,} bytes: send less")
    if not decompressor.eof:
        raise BodyError(400, "the body ends in the middle of what gzip has compressed")
    return data


def parse_batch(body: bytes) -> dict[str, Any]:
    """Parse a batch of events: {"events": [...], "sent_at": ..., "key": ...}.

    Raises:
        BodyError: it is not JSON of this form.
    """
    try:
        batch = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BodyError(400, f"the body is not JSON: {error}") from None
    if not isinstance(batch, dict) or not isinstance(batch.get("events"), list):
        raise BodyError(400, 'the body is not like {"events": [{"type": "view", ...}]}')
    unknown = sorted(set(batch) - {"events", "sent_at", "key"})
    if unknown:
        raise BodyError(400, f"{unknown[0][:50]!r} is not known: give events, sent_at and key")
    if len(batch["events"]) > MAX_EVENTS:
        raise BodyError(
            413, f"{len(batch['events']):,} events: send at most {MAX_EVENTS:,} at once"
        )
    return batch
