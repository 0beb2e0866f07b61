"""Settings of the source: where it keeps its data, and what its columns and values mean."""

import re
import zoneinfo
from collections.abc import Mapping
from typing import Any

from pydantic import Field, field_validator

from dawnlist.schema import EVENT_WEIGHTS
from dawnlist.settings.section import Section


class SourceSettings(Section):
    """Where the source keeps its data, and what its columns and values mean."""

    interactions: str = "interactions"
    """The table, folder or file that holds the interactions."""
    items: str = "items"
    """The table or file that holds the items. The source may lack it."""
    users: str = "users"
    """The table or file that holds the users. The source may lack it."""
    time_column: str = "received_at"
    """In a database, the indexed column, in UTC, by which the rows of a window are selected.

    Files have no such column: their rows are selected by the time of the event.
    """
    overlap_minutes: float = Field(default=60.0, ge=0)
    """Begin a window this many minutes before the end of the last one.

    This catches rows that were committed later than their time says; with 0 they are missed. Files
    that are named by day are read without an overlap.
    """
    check_days: int = Field(default=7, ge=0, le=30)
    """Count the source's rows again for this many days before a window, at most 30.

    The report names the days that have got more rows since they were fetched. 0 counts no day
    again.
    """
    statement_timeout_seconds: float = Field(default=600.0, gt=0)
    """Cancel a query on the source database after this many seconds."""
    collected_events: bool = False
    """Learn from the events that the collector landed, too (docs/COLLECTOR.md).

    An event that the source has under the same event_id counts once.
    """
    columns: dict[str, list[str]] = Field(default_factory=dict)
    """The source's names for our columns, in addition to the usual ones, e.g. {user_id: [visitor]}.

    Case, underscores, dots and blanks make no difference. A path names a value inside a column of
    objects, e.g. {item_id: [properties.product_id]}; its keys are written as the source does. An
    empty list says that the source has no such column, whatever its names are, e.g. {event_id: []}.
    """
    events: dict[str, str] = Field(default_factory=dict)
    """The event type for each of the source's event names, e.g. {addtocart: cart}.

    The source's names are converted to lower case first.
    """
    default_event: str = ""
    """The event type of all rows if the source has no event column, e.g. view.

    If this is empty, a source without an event column is refused.
    """
    weights: dict[str, float] = Field(default_factory=lambda: dict(EVENT_WEIGHTS))
    """How much an event of each type counts, where a view counts 1; below 1000.

    What is given is added to the defaults and wins over them, e.g. {purchase: 10, wishlist: 2}.
    0 says that events of this type are not wanted: they are rejected, and no limit counts them.
    Rows with an event type that is not listed here are rejected as unknown.
    """
    rating_scale: float | None = Field(default=None, gt=0)
    """The highest possible rating; a rating counts weights.rating * rating / rating_scale.

    None takes the scale of the recognised layout (5 for MovieLens and Amazon), or else 10.
    """
    double_click_seconds: float = Field(default=2.0, ge=0)
    """Count repeated events of one type by one user on one item as one within this many seconds.

    0 counts every event.
    """
    time_zone: str = "UTC"
    """The IANA time zone of event times that do not name one, e.g. Europe/Berlin.

    The time column of a database is always in UTC.
    """
    time_format: str = ""
    """The format of event times that are neither ISO-8601 nor numbers, e.g. %d/%m/%Y %H:%M.

    It may contain %Y %m %b %d %H %I %p %M %S %f %z %a, blanks and : , . / -. Without it, ISO-8601,
    RFC 2822 (Mon, 05 Jan 2026 10:11:12 +0100), Apache's form and numbers are read.
    """

    def fill_from_hints(self, hints: Mapping[str, Any]) -> "SourceSettings":
        """Return these settings, completed by what is known about the source's layout.

        The settings win over the hints. The result always has a rating_scale.

        Args:
            hints: May have columns, events, default_event and rating_scale; see
                dawnlist.components.fetch.layouts.
        """
        columns = dict(self.columns)
        for name, names in hints.get("columns", {}).items():
            columns[name] = [*self.columns.get(name, []), *names]
        default_event = self.default_event or hints.get("default_event", "")
        rating_scale = self.rating_scale or hints.get("rating_scale") or 10.0
        return self.model_copy(
            update={
                "columns": columns,
                "events": {**hints.get("events", {}), **self.events},
                "default_event": default_event,
                "rating_scale": rating_scale,
            }
        )

    @property
    def wanted_weights(self) -> dict[str, float]:
        """The weights of the event types that are wanted, all above 0."""
        return {event: weight for event, weight in self.weights.items() if weight > 0}

    @field_validator("weights")
    @classmethod
    def _add_default_weights(cls, weights: dict[str, float]) -> dict[str, float]:
        for event, weight in weights.items():
            if not 0 <= weight < 1000:
                raise ValueError(
                    f"the weight of {event!r} is {weight}: give a number below 1000, "
                    "or 0 if these events are not wanted"
                )
        given_weights = {event.strip().lower(): weight for event, weight in weights.items()}
        all_weights = {**EVENT_WEIGHTS, **given_weights}
        if not any(all_weights.values()):
            raise ValueError("every event type has the weight 0: name one that is wanted")
        return all_weights

    @field_validator("events")
    @classmethod
    def _lower_event_types(cls, events: dict[str, str]) -> dict[str, str]:
        return {name: event_type.strip().lower() for name, event_type in events.items()}

    @field_validator("time_zone")
    @classmethod
    def _check_time_zone(cls, zone: str) -> str:
        try:
            zoneinfo.ZoneInfo(zone)
        except (KeyError, ValueError, OSError):
            raise ValueError(
                "this is not the name of an IANA time zone, such as UTC or Europe/Berlin"
            ) from None
        return zone

    @field_validator("time_format")
    @classmethod
    def _check_time_format(cls, time_format: str) -> str:
        if time_format and not re.fullmatch(r"(%[YmbdHIpMSafz]|[ :,./-])+", time_format):
            raise ValueError(
                "give a format of %Y %m %b %d %H %I %p %M %S %f %z %a, with blanks and : , . / - "
                "between them"
            )
        return time_format
