"""Count the events that are rejected because the settings give their names no weight."""

import re
from collections import Counter

from dawnlist.components.clean.engine import CleaningEngine, TableExpression
from dawnlist.components.clean.fates import UNKNOWN_EVENT
from dawnlist.rows.coercions import map_event_name
from dawnlist.settings import SourceSettings

UNKNOWN_EVENTS_SHOWN = 10
"""How many names are counted, those of most rows."""


def count_unknown_events(
    engine: CleaningEngine,
    texts: TableExpression,
    fates: TableExpression,
    settings: SourceSettings,
) -> dict[str, int]:
    """Return name of an unknown event -> rows, the most frequent first.

    The names are as source.events and source.weights have to spell them, in lower case.

    Args:
        engine: The engine of the tables.
        texts: The view of create_text_view.
        fates: The key and the fate of each row.
        settings: The source's settings.
    """
    unknown_rows = texts.semi_join(fates.filter(fates.fate == UNKNOWN_EVENT), "key")
    names = unknown_rows.select(event=map_event_name(unknown_rows.event_type, settings.events))
    counted = names.group_by("event").agg(rows=names.count())
    ranked = counted.order_by(counted["rows"].desc(), counted.event).limit(UNKNOWN_EVENTS_SHOWN)
    counts: Counter[str] = Counter()
    for row in engine.to_arrow(ranked).to_pylist():
        counts[_mask_event_name(row["event"])] += row["rows"]
    return dict(counts)


def _mask_event_name(event: str) -> str:
    """Shorten the name of an event and keep only printable ASCII."""
    return re.sub(r"[^\x20-\x7e]", "?", event)[:40]
