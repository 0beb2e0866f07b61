"""Paired differences of the primary metric between challenger and incumbent.

Three sums are enough to compute the mean of the differences and its standard error. So a gate keeps
a few numbers for later gates and not a list of users, and the sums of gates with disjoint holdouts
can be added. The interval is mean ± z standard errors. The percentile bootstrap, which the report
shows, is too narrow for the few hundred users of a small shop: most of them have a metric of 0 with
both models (docs/GATE.md has the figures).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf, sqrt
from statistics import NormalDist

import numpy as np

LOOKS = 2
"""The gate looks twice, at today's users and at those of four weeks; both share the 5% error."""
CRITICAL_Z = NormalDist().inv_cdf(1 - 0.05 / 2 / LOOKS)


@dataclass(frozen=True)
class Evidence:
    """Sums over users; a difference is the challenger's metric minus the incumbent's."""

    users: int = 0
    """The number of users."""
    total: float = 0.0
    """The sum of the differences."""
    spread: float = 0.0
    """The sum of the variance of each user's difference, which is that of the user's own gate."""
    incumbent: float = 0.0
    """The sum of the incumbent's metric."""

    @classmethod
    def from_users(cls, per_user: dict[str, list[float]] | None) -> "Evidence":
        """Sum up one holdout; the result is empty for fewer than two users, who have no variance.

        `per_user` is {"challenger": [...], "incumbent": [...]} in one order of users, or None.
        """
        metrics = per_user or {}
        challenger = np.asarray(metrics.get("challenger", ()), dtype=float)
        incumbent = np.asarray(metrics.get("incumbent", ()), dtype=float)
        users = len(incumbent)
        if users < 2:
            return cls()
        difference = challenger - incumbent
        spread = float(users * difference.var(ddof=1))
        return cls(users, float(difference.sum()), spread, float(incumbent.sum()))

    @classmethod
    def pool(cls, evidence: Iterable["Evidence"]) -> "Evidence":
        """Add the sums of gates with disjoint holdouts."""
        return sum(evidence, start=cls())

    def __add__(self, other: "Evidence") -> "Evidence":
        return Evidence(
            self.users + other.users,
            self.total + other.total,
            self.spread + other.spread,
            self.incumbent + other.incumbent,
        )

    @property
    def has_hits(self) -> bool:
        """Whether any user had a hit with either model."""
        return bool(self.incumbent or self.total)

    @property
    def has_differences(self) -> bool:
        """Whether the two models had different metrics for any user."""
        return bool(self.spread or self.total)

    def relative_difference(self, errors: float = 0.0) -> float:
        """Return the mean difference plus `errors` standard errors, over the incumbent's mean.

        It is infinite where the incumbent's mean is 0 and the difference is not.
        """
        difference = self.total + errors * sqrt(self.spread)
        if self.incumbent:
            return difference / self.incumbent
        return inf * difference if difference else 0.0

    @property
    def low(self) -> float:
        """The lower bound, as a share of the incumbent's mean."""
        return self.relative_difference(-CRITICAL_Z)

    @property
    def high(self) -> float:
        """The upper bound, as a share of the incumbent's mean."""
        return self.relative_difference(CRITICAL_Z)

    def is_not_worse(self, margin: float, min_users: int) -> bool | None:
        """Say whether the challenger loses at most `margin`; None when the evidence is not enough.

        Equal models have no difference and no error, so they pass with a margin of 0 too.
        """
        if self.users < min_users or not self.has_hits:
            return None
        if self.low >= -margin:
            return True
        if self.high < -margin:
            return False
        return None


def weigh_evidence(
    today: Evidence, pooled: Evidence, margin: float, min_users: int
) -> tuple[bool | None, Evidence, str]:
    """Decide whether the challenger is not worse: by today's users, else by those of four weeks.

    Returns the answer (None: not enough evidence), the evidence that it follows from, and a note.
    Earlier days can't outweigh a loss that today's users prove, even if its size is uncertain.
    """
    answer = today.is_not_worse(margin, min_users)
    if answer is not None or pooled.users == today.users:
        note = "" if today.has_hits else "no user had a hit with either model"
        return answer, today, note
    if today.high < 0:
        return None, today, "a loss for sure, and too few users to tell how much"
    return pooled.is_not_worse(margin, min_users), pooled, "with the users of the last gates"
