"""What users say of challenger and incumbent: paired differences of the primary metric, of one gate or of several.

Three sums say all that the mean of the differences and its standard error hang on, so what a gate keeps for the next
ones is a few numbers and not a list of users; the sums of gates with disjoint holdouts add up. The interval is mean
± z standard errors. The percentile bootstrap, which the report shows, is too narrow for the few hundred users of a
small shop, most of whom have a metric of 0 either way (docs/GATE.md has the figures).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import reduce
from math import inf, sqrt
from operator import add
from statistics import NormalDist

import numpy as np

LOOKS = 2
"""Today's users are asked first, then all of the last weeks: the error of a 95% interval is shared between them."""
CRITICAL_Z = NormalDist().inv_cdf(1 - 0.05 / 2 / LOOKS)


@dataclass(frozen=True)
class Evidence:
    """Sums over users; differences are challenger minus incumbent."""

    users: int = 0
    total: float = 0.0
    """Of the differences."""
    spread: float = 0.0
    """Of the variance of each user's difference, which is that of the user's own gate."""
    incumbent: float = 0.0
    """Of the incumbent's metric."""

    @classmethod
    def of(cls, per_user: dict[str, list[float]] | None) -> "Evidence":
        """The evidence of one holdout: {"challenger": [..], "incumbent": [..]} in one order of users, or None."""
        arms = [
            np.asarray((per_user or {}).get(arm, ()), dtype=float)
            for arm in ("challenger", "incumbent")
        ]
        users = len(arms[1])
        if users < 2:  # one user has no variance
            return cls()
        difference = arms[0] - arms[1]
        return cls(
            users,
            float(difference.sum()),
            float(users * difference.var(ddof=1)),
            float(arms[1].sum()),
        )

    @classmethod
    def all(cls, parts: Iterable["Evidence"]) -> "Evidence":
        """All of them together."""
        return reduce(add, parts, cls())

    def __add__(self, other: "Evidence") -> "Evidence":
        return Evidence(
            self.users + other.users,
            self.total + other.total,
            self.spread + other.spread,
            self.incumbent + other.incumbent,
        )

    def share(self, errors: float = 0.0) -> float:
        """The mean difference plus so many of its standard errors, as a share of the incumbent's mean.

        Infinite where the incumbent's mean is 0 and the difference is not.
        """
        difference = self.total + errors * sqrt(self.spread)
        return (
            difference / self.incumbent
            if self.incumbent
            else inf * difference
            if difference
            else 0.0
        )

    @property
    def low(self) -> float:
        """The lower bound, as a share of the incumbent's mean."""
        return self.share(-CRITICAL_Z)

    @property
    def high(self) -> float:
        """The upper bound, as a share of the incumbent's mean."""
        return self.share(CRITICAL_Z)

    def not_worse(self, margin: float, min_users: int) -> bool | None:
        """Whether the challenger is shown not to lose more than `margin`; None when nothing is shown.

        Equal models have no difference and no error, and pass a margin of 0 too.
        """
        if self.users < min_users or not (self.incumbent or self.total):  # nobody was hit by either
            return None
        return True if self.low >= -margin else False if self.high < -margin else None


def weigh_evidence(
    today: Evidence, pooled: Evidence, margin: float, min_users: int
) -> tuple[bool | None, Evidence, str]:
    """Whether the challenger is not worse: what today's users say, else what those of the last weeks say with them.

    Returns the answer (None: not enough evidence), the evidence that gave it, and a note. Other days can't excuse a
    loss that today's users show for sure, even if its size is not.
    """
    answer = today.not_worse(margin, min_users)
    if answer is not None or pooled.users == today.users:
        return answer, today, "" if today.incumbent or today.total else "nobody was hit by either"
    if today.high < 0:
        return None, today, "a loss for sure, and too few users to tell how much"
    return pooled.not_worse(margin, min_users), pooled, "with the users of the last gates"
