"""Settings of what is served: which items are withdrawn, what the lists may hold, and what a challenger must show."""

import re
from typing import Final, Literal

from pydantic import Field, field_validator

from dawnlist.filters.columns import ColumnKind
from dawnlist.schema import ITEMS_SCHEMA
from dawnlist.settings.section import Section

RESERVED_COLUMNS: Final = (*ITEMS_SCHEMA.names, "stock", "discontinued", "withdrawn")
"""Names of items' columns that have a meaning of their own."""


class ItemSettings(Section):
    """Which columns of items filters may use, and which items are withdrawn.

    A withdrawn item is in no list, and in no answer of the predictor.

    `dawnlist items withdraw` withdraws items within a second, without a run.
    """

    blocked: list[str] = Field(default_factory=list)
    """The ids of items that no list may have."""
    catalogue: Literal["auto", "full", "partial"] = "auto"
    """What it means that the items table lacks an item. Without a table nothing is withdrawn.

    partial: the item is withdrawn only if an earlier items table listed it. full: it is withdrawn.
    auto: full if the table lists at least 95% of what people met in the last 28 days, and of what
    nobody met before them, else partial.
    """
    unavailable_words: list[str] = Field(default_factory=list)
    """Words by which the source says that an item is not available, besides the usual ones.

    The usual ones are false, no, 0, out of stock, sold out, unavailable, discontinued and others;
    see docs/CLEANING.md. source.columns.available names the column if it has an unusual name.
    """
    max_coverage_fall: float = Field(default=0.5, ge=0, le=1)
    """Accept an items table that covers at most this share less of what people used lately.

    It is compared with the table before, by the events of the last 28 days. A table that covers
    less is taken for damaged, and the one before stays. Likewise, a column that makes more of this
    unavailable is ignored. 1 accepts any table.
    """

    columns: dict[str, ColumnKind] = Field(default_factory=dict, max_length=50)
    """Columns of items that filters may use, and what they hold (docs/FILTERS.md).

    The kinds are text, list, number, boolean and time, e.g. {price: number, brand: text}.
    source.columns names the source's column if it has another name, e.g. {price: [unit_price]}.
    """

    @field_validator("columns")
    @classmethod
    def _check_columns(cls, columns: dict[str, ColumnKind]) -> dict[str, ColumnKind]:
        for name in columns:
            if not re.fullmatch(r"[^\W\d]\w{0,59}", name):
                raise ValueError(f"{name!r} is not a name of 1 to 60 letters, digits and _")
            if name in RESERVED_COLUMNS:
                raise ValueError(f"{name!r} is a column that all items have: give another name")
        return columns

    @field_validator("blocked", "unavailable_words")
    @classmethod
    def _check_not_blank(cls, texts: list[str]) -> list[str]:
        if any(not text.strip() for text in texts):
            raise ValueError("a blank text names nothing: remove it")
        return texts


class ListSettings(Section):
    """What the lists may hold."""

    repeats: Literal["auto", "on", "off"] = "auto"
    """Whether a list may hold items that the user has met.

    With auto the search decides: it also tries lists without them, and items that users met again
    count as hits for both. With off such items are in no list and are no hits.
    """


class GateSettings(Section):
    """What a challenger must show before its configuration goes live, and a day before any does.

    docs/GATE.md explains each rule.
    """

    margin: float = Field(default=0.01, ge=0, lt=1)
    """Accept a challenger whose metric is lower than the incumbent's by at most this share.

    The evidence must show that the loss is not larger; it must also not show that the challenger
    is behind the popularity list by more. 0 accepts no loss.
    """
    min_users: int = Field(default=100, ge=1)
    """Require this many evaluated users, together with those of the gates of the last 28 days.

    The holdout, and the validation period before it, go back as many days as it takes to have so
    many, up to 28. With fewer users for validation nothing is searched. Segments with fewer users
    are not judged.
    """
    max_lift_fall: float = Field(default=0.03, ge=0, lt=1)
    """Accept a lift over popularity at most this share below its median of the last 28 days.

    The challengers of the last 28 days together may lose no more than this share, either. 0 accepts
    no fall.
    """
    min_coverage: float = Field(default=0.5, ge=0, le=1)
    """Require that the lists show at least this share of the items that the incumbent's show.

    A challenger that is shown to be better than the incumbent need not. All lists together must
    show as many items as one list has. 0 requires only that.
    """
    max_segment_fall: float = Field(default=0.2, ge=0, le=1)
    """Accept a metric that is at most this share below the incumbent's, in each segment.

    Three standard errors are allowed in addition. 1 accepts any loss.
    """
    min_events: int = Field(default=100, ge=0)
    """Require this many events in the last 24 hours; 0 requires none.

    On a weekday that usually has few events, fewer are enough: those that `max_volume_fall` accepts.
    """
    max_dropped: float = Field(default=0.8, ge=0, le=1)
    """Publish nothing if the bot filter dropped more than this share of the last 24 hours' events.

    1 accepts any share.
    """
    max_volume_fall: float = Field(default=0.4, ge=0, le=1)
    """Accept a last day with at most this share fewer events than the same weekday usually has.

    Usual is the median of the last four weeks. 1 accepts a day without events.
    """
    max_churn: float = Field(default=0.9, ge=0, le=1)
    """Accept a challenger that replaces at most this share of the items in the live lists.

    If more than this share of the live model's items is gone from the events, or of the last day's
    events has items that nobody met before, nothing is published.
    1 accepts lists that are entirely different.
    """
    max_drift: float = Field(default=0.25, ge=0)
    """Accept at most this population stability index of the event types.

    It compares the last day with the 28 days before. 0 accepts no change at all.
    """
