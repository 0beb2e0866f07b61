"""Trim the stream of accepted events up to what every consumer group has done."""

from typing import Any

from dawnlist.events.event_table import StreamPosition, parse_stream_id
from dawnlist.events.stream_keys import EventKeys


def trim_accepted_stream(client: Any, keys: EventKeys) -> int:
    """Remove the entries that every group has processed, and return their number.

    A stream without a group keeps everything.
    """
    positions = []
    if not client.exists(keys.accepted):
        return 0
    for group in client.xinfo_groups(keys.accepted):
        positions.append(_find_first_open_entry(client, keys.accepted, group))
    if not positions:
        return 0
    milliseconds, sequence = min(positions)
    minid = f"{milliseconds}-{sequence}"
    return int(client.xtrim(keys.accepted, minid=minid, approximate=False))


def _find_first_open_entry(client: Any, stream: str, group: dict[str, Any]) -> StreamPosition:
    """Return the id of the first entry that a group has not processed, or could be the first."""
    if group["pending"]:
        return parse_stream_id(client.xpending(stream, group["name"])["min"])
    milliseconds, sequence = parse_stream_id(group["last-delivered-id"])
    return milliseconds, sequence + 1
