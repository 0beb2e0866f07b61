"""The evaluation of a challenger, which passes from evaluate to gate, refit, recommend and notify.

docs/EVALUATION.md says how the figures come about. An arm is one of `challenger`, `incumbent` (the
live configuration, fitted on the challenger's rows), `live` (the published model as it is),
`item_knn`, `popularity` and, where lists may hold items that the user has met, `own_items`.
"""

from dataclasses import dataclass, field
from typing import Any

from dawnlist.dataclass_json import JSON_KEY, OMIT_NONE, from_json, to_json

MetricMeans = dict[str, float]
"""Name of a metric, such as `ndcg@20` -> its mean over the users; empty without users."""


@dataclass(frozen=True)
class Difference:
    """How far the challenger is ahead of another arm in the primary metric."""

    mean: float
    """The mean over the users; negative where the challenger is behind."""
    low: float
    """The lower bound of the interval of 95%."""
    high: float
    """The upper bound."""


@dataclass(frozen=True)
class Lift:
    """The challenger's primary metric divided by popularity's."""

    value: float
    """The ratio of the two means."""
    low: float
    """The lower bound of the interval of 95%."""
    high: float
    """The upper bound."""


@dataclass(frozen=True)
class SegmentScores:
    """The primary metric of the users of one segment."""

    segment: str
    """The segment's name."""
    users: int
    """The number of its users."""
    arms: dict[str, float]
    """Name of an arm -> its mean."""
    difference: Difference | None = field(default=None, metadata={OMIT_NONE: True})
    """How far the challenger is ahead of the incumbent; None without an incumbent."""


@dataclass(frozen=True)
class HoldoutFacts:
    """Which holdout the arms are scored on."""

    start: str = field(metadata={JSON_KEY: "from"})
    """Its first moment, ISO-8601 in UTC."""
    end: str = field(metadata={JSON_KEY: "to"})
    """The first moment after it, ISO-8601 in UTC."""
    fingerprint: str = ""
    """A digest of its pairs."""
    pairs: int = 0
    """The number of pairs of a user and an item that is new to the user."""
    first_seen: str | None = field(default=None, metadata={OMIT_NONE: True})
    """The fingerprint that the day's first run saw, where it was another one."""


@dataclass(frozen=True)
class Traffic:
    """The events of the last day and of the four weeks before; None for what was not counted."""

    before: list[int] | None = field(default=None, metadata={OMIT_NONE: True})
    """The events of each earlier day, the newest first."""
    events: int | None = field(default=None, metadata={OMIT_NONE: True})
    """The events of the last 24 hours."""
    dropped: int | None = field(default=None, metadata={OMIT_NONE: True})
    """The events of the last 24 hours that the bot filter dropped; they are not in `events`."""
    known_items: float | None = field(default=None, metadata={OMIT_NONE: True})
    """The share of the last 24 hours' events whose items had events before; None without events."""
    mix: dict[str, float] | None = field(default=None, metadata={OMIT_NONE: True})
    """Event type -> its share of the last day's events."""
    mix_before: dict[str, float] | None = field(default=None, metadata={OMIT_NONE: True})
    """Event type -> its share of all earlier events."""


@dataclass(frozen=True, kw_only=True)
class Evaluation:
    """The scores of all arms on one holdout."""

    k: int
    """The length of the lists."""
    metric: str
    """The primary metric, such as `ndcg`."""
    evaluated_users: int
    """The users who met items both before the holdout and in it."""
    items: int
    """The items that a user met in the window."""
    repeat_share: float = 0.0
    """The share of the holdout's events that are of items which their users had met."""
    holdout: HoldoutFacts
    """The holdout that the arms are scored on."""
    popularity_window: str
    """The window in which popularity scores best: the arm `popularity` has it."""
    arms: dict[str, MetricMeans]
    """Name of an arm -> the means of its metrics."""
    popularity_windows: dict[str, MetricMeans] = field(default_factory=dict)
    """Each window of popularity -> the means of its metrics."""
    differences: dict[str, Difference]
    """Name of an arm -> how far the challenger is ahead of it."""
    lift: Lift | None = None
    """The challenger's lift over popularity; None when popularity hits nobody."""
    segments: list[SegmentScores] = field(default_factory=list)
    """The segments that have users."""
    churn: float | None = field(default=None, metadata={OMIT_NONE: True})
    """The share of the live lists that the challenger's lists don't have."""
    kept_items: float | None = field(default=None, metadata={OMIT_NONE: True})
    """The share of the live model's items that the window still has; None when nothing is live."""
    traffic: Traffic | None = None
    """The events of the last weeks, which the gate compares."""
    per_user: dict[str, list[float]] | None = field(default=None, metadata={OMIT_NONE: True})
    """The primary metric of each user, of `challenger`, `incumbent` and, if it was scored, `live`.

    All have one order of users.
    """

    @property
    def metric_name(self) -> str:
        """The name of the primary metric among those of an arm, such as `ndcg@20`."""
        return f"{self.metric}@{self.k}"

    def as_dict(self) -> dict[str, Any]:
        """Return the evaluation for JSON. A lift of None is an empty dictionary there."""
        values = to_json(self)
        values["lift"] = values["lift"] or {}
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Evaluation":
        """Return the evaluation of what `as_dict` returned, or an older release wrote."""
        return from_json(cls, {**values, "lift": values.get("lift") or None})
