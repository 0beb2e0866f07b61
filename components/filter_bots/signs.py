"""The signs of a machine: what a person can't do or does not do, each with its evidence in words.

A sign is strong enough to be a proof, or only a hint. The behaviour rule convicts a user by a
proof and another sign beside it (see behaviour.py). Nothing compares a user with the others.
"""

from dataclasses import dataclass
from typing import Final

PROOF_SURPRISE: Final = 9.25
"""A proof of an order or a calendar is chance less than once in ten thousand (exp(9.25) is 10,405).

Surprises are natural logarithms, by Chernoff's bound of the binomial tail.
"""
HINT_SURPRISE: Final = 7.0
"""A hint is chance less than once in a thousand."""
DECIMALS: Final = 6
"""Computed values are rounded before they are compared, so that no last bit of a float decides."""

TIMES_OF_DAYS: Final = """
    SELECT CASE WHEN 2 * count(*) FILTER (first_second % 900 = 0) > count(*)
        THEN 'the source has days, but no times of the day' END
    FROM user_days
"""
"""Why a sign of the time of the day is mute: most days begin at a full quarter of an hour."""


@dataclass(frozen=True)
class Sign:
    """Something that a person can't do or does not do."""

    name: str
    """The sign's name in reports and explanations."""
    query: str
    """SQL that selects user_id, is_proof and evidence of the users of `judged_days` who show it.

    `judged_days` has the rows of `user_days` of the users who are judged.
    """
    mute: str
    """SQL that selects why the source can't show the sign, or NULL."""
    cause: str
    """Signs of one cause count once: a person at a page of lists gives several."""
    min_days: int = 1
    """The sign is mute where the window has events on fewer days."""


def surprise_sql(hits: str, trials: str, chance: str) -> str:
    """Return SQL of how surprising it is that at least `hits` of `trials` happened by chance.

    The number is a lower bound of minus the logarithm of the probability, and 0 where fewer
    happened than could be expected.
    """
    share = f"({hits} / ({trials})::DOUBLE)"
    rest = f"(1 - {share})"
    divergence = (
        f"{share} * ln({share} / ({chance})) + "
        f"CASE WHEN {hits} < {trials} THEN {rest} * ln({rest} / (1 - {chance})) ELSE 0 END"
    )
    return (
        f"CASE WHEN {share} <= {chance} THEN 0 "
        f"ELSE round({trials} * ({divergence}), {DECIMALS}) END"
    )
