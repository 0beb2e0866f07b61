"""The behaviour rule: users who are, all in all, unlike the people of this shop; no single habit convicts.

People are the bulk: what they are like is learned from the users themselves, robustly. Where the literature knows in
which way robots differ, more regular, wider, at odder hours, only that way counts (a one-sided test; Follmann, JASA
1996), so that somebody who is unusually human is in no danger. See docs/BOTS.md.
"""

from typing import Any, Final

import duckdb
import numpy as np
import pyarrow as pa

from dawnlist.arrays import Float64Array
from dawnlist.components.filter_bots.habits import HABITS, Habit, Population, measure_population
from dawnlist.components.filter_bots.robust_statistics import (
    MAX_DEVIATION,
    mahalanobis_distances,
    measure_deviations,
    select_discoveries,
    tail_probabilities,
)
from dawnlist.settings import BotSettings

BEHAVIOUR_RULE: Final = "behaviour"
MIN_BEHAVIOUR_EVENTS: Final = 30
"""A user with fewer events is not judged."""
MIN_BEHAVIOUR_USERS: Final = 200
"""Fewer users than this to learn from are no people to compare with: the rule says nothing."""
FALSE_DISCOVERY_RATE: Final = 0.005
"""Share of the convicted who may be people, were their distances normal; they have a longer tail."""
_HABITS_IN_EVIDENCE: Final = 3
_USUAL_RANGE_DEVIATIONS: Final = 1.645
"""Nine of ten people are within so many standard deviations."""


def find_unusual_users(connection: duckdb.DuckDBPyConnection, settings: BotSettings) -> None:
    """Add to `found` the users who differ from this shop's people in several habits together."""
    judged = measure_population(connection, MIN_BEHAVIOUR_EVENTS)
    if judged.learned.sum() < MIN_BEHAVIOUR_USERS:
        return
    scores, usual, spread = _score_habits(judged)
    found = tail_probabilities(mahalanobis_distances(scores, judged.learned), judged.learned)
    convicted = np.flatnonzero(select_discoveries(found, FALSE_DISCOVERY_RATE)).tolist()
    rows = pa.table(
        {
            "user_id": pa.array(judged.users[convicted], pa.string()),
            "evidence": pa.array(
                [_format_evidence(judged, scores, usual, spread, row) for row in convicted],
                pa.string(),
            ),
        }
    )
    connection.register("convicted", rows)
    connection.execute(
        f"INSERT INTO found SELECT user_id, NULL, '{BEHAVIOUR_RULE}', evidence FROM convicted"
    )
    connection.unregister("convicted")


def compare_habits(connection: duckdb.DuckDBPyConnection, user_id: str) -> list[dict[str, Any]]:
    """A user's habits beside those of people with as many events, the farthest first.

    Each has the habit, value, low and high (nine of ten people lie between), and score, standard deviations towards
    robots. Empty for a user with fewer than EVENTS, and where fewer than PEOPLE are there to compare with.
    """
    judged = measure_population(connection, MIN_BEHAVIOUR_EVENTS)
    rows = np.flatnonzero(judged.users == user_id)
    if judged.learned.sum() < MIN_BEHAVIOUR_USERS or not len(rows):
        return []
    scores, usual, spread = (table[rows[0]] for table in _score_habits(judged))
    found = []
    for number in np.argsort(-np.abs(scores), kind="stable"):
        value, reach = judged.values[rows[0], number], _USUAL_RANGE_DEVIATIONS * spread[number]
        if np.isfinite(value):
            shown = (
                HABITS[number].shown(one)
                for one in (value, usual[number] - reach, usual[number] + reach)
            )
            told, low, high = map(float, shown)
            found.append({"habit": HABITS[number].said, "value": told, "low": max(low, 0.0), "high": high,
                          "score": float(scores[number])})  # fmt: skip
    return found


def _score_habits(judged: Population) -> tuple[Float64Array, Float64Array, Float64Array]:
    """Scores, what is usual, and its standard deviation: of each user in each habit.

    Scores are standard deviations towards robots, 0 in the other direction and where nothing is known.
    """
    columns = []
    for number, habit in enumerate(HABITS):
        values, counts, given = (
            table[:, number] for table in (judged.values, judged.counts, judged.given)
        )
        away, usual, spread = measure_deviations(values, counts, given, judged.learned)
        score = np.nan_to_num(np.clip(away, -MAX_DEVIATION, MAX_DEVIATION))
        columns.append(
            (np.maximum(score * habit.robotic, 0) if habit.robotic else score, usual, spread)
        )
    scores, usual, spread = (np.stack(parts, 1) for parts in zip(*columns, strict=True))
    return scores, usual, spread


def _format_evidence(
    judged: Population, scores: Float64Array, usual: Float64Array, spread: Float64Array, row: int
) -> str:
    farthest = np.argsort(-np.abs(scores[row]), kind="stable")[:_HABITS_IN_EVIDENCE]
    return ", ".join(
        _format_habit(
            HABITS[number], judged.values[row, number], usual[row, number], spread[row, number]
        )
        for number in farthest
        if scores[row, number]
    )


def _format_habit(habit: Habit, value: float, usual: float, spread: float) -> str:
    told, low, high = (
        habit.shown(number)
        for number in (
            value,
            usual - _USUAL_RANGE_DEVIATIONS * spread,
            usual + _USUAL_RANGE_DEVIATIONS * spread,
        )
    )
    return f"{habit.said} {_format_number(told)} (people {_format_number(max(low, 0))} to {_format_number(high)})"


def _format_number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"
