"""The shelf of what one user has met lately, the newest first: `continue`."""

import time
from typing import Final

from dawnlist.serving.predictor.answers.recommendation import Recommendation
from dawnlist.serving.predictor.answers.shelves.item_shelves import slice_shelf
from dawnlist.serving.predictor.answers.shelves.shelf_question import ShelfQuestion
from dawnlist.serving.predictor.answers.snapshot import Snapshot
from dawnlist.store import recent
from dawnlist.store.histories import UserHistory, find_history
from dawnlist.store.layout import StoreKeys
from dawnlist.store.nodes import ReadFailure, ReadResult
from dawnlist.store.reader import StoreReader, extract_body
from dawnlist.store.user_buckets import locate_user

DAY_SECONDS: Final = 86_400.0


async def answer_seen_items(
    snapshot: Snapshot, reader: StoreReader, namespace: str, question: ShelfQuestion
) -> Recommendation:
    """Answer with the items of a user's recent events and stored history, the newest first.

    A score is the time of the last event in seconds since 1970. Items that the user disliked and
    withdrawn ones are left out. What the store does not give is left out, too.
    """
    bucket, fingerprint = locate_user(question.user_id, snapshot.salt, snapshot.buckets)
    keys = [
        recent.build_recent_key(namespace, question.user_id),
        StoreKeys(namespace).histories(snapshot.token, bucket),
    ]
    recorded, history_value = await reader.read(keys)
    times = _read_history_times(snapshot, history_value, fingerprint)
    _apply_recent_events(snapshot, recorded, times)
    hidden = snapshot.withdrawn | snapshot.item_ids.find_rows(question.exclude)
    if question.where:
        allowed = snapshot.filters.compute_mask(question.where)
        hidden = hidden.union(row for row in times if not allowed[row])
    rows = [row for row in times if row not in hidden]
    rows.sort(key=lambda row: (-times[row], row))
    return slice_shelf("continue", rows, [times[row] for row in rows], question)


def _read_history_times(
    snapshot: Snapshot, value: ReadResult, fingerprint: bytes
) -> dict[int, float]:
    """Return when the user last met each item of the stored history."""
    body = extract_body(value)
    if isinstance(body, ReadFailure):
        return {}
    history: UserHistory | None = find_history(body, fingerprint)
    if history is None:
        return {}
    times = snapshot.as_of_seconds - history.age.astype(float) * DAY_SECONDS
    return dict(zip(history.item_index.tolist(), times.tolist(), strict=True))


def _apply_recent_events(snapshot: Snapshot, recorded: ReadResult, times: dict[int, float]) -> None:
    """Add recorded events to the times; a dislike takes its item out, unless it was met later."""
    if not recorded or isinstance(recorded, ReadFailure):
        return
    try:
        events = recent.parse_recent_events(recorded)
    except (ValueError, TypeError, RecursionError):
        return
    now = time.time()
    for event in sorted(events, key=lambda event: event.time or now):
        row = snapshot.item_ids.find_row(event.item_id)
        if row is None:
            continue
        if event.event_type == recent.DISLIKE_TYPE:
            times.pop(row, None)
        else:
            times[row] = min(event.time or now, now)
