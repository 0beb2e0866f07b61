"""The behaviour rule: users who are, all in all, unlike the people of this shop; no single habit convicts.

People are the bulk: what they are like is learned from the users themselves, robustly. Where the literature knows in
which way robots differ, more regular, wider, at odder hours, only that way counts (a one-sided test; Follmann, JASA
1996), so that somebody who is unusually human is in no danger. See docs/BOTS.md.
"""

from typing import Any, Final

import duckdb
import numpy as np
import pyarrow as pa

from dawnlist.components.filter_bots.habits import HABITS, Floats, Habit, Population, population
from dawnlist.components.filter_bots.people import FAR, chances, deviations, discoveries, distances
from dawnlist.settings import BotSettings

BEHAVIOUR: Final = "behaviour"
EVENTS: Final = 30
"""A user with fewer events is not judged."""
PEOPLE: Final = 200
"""Fewer users than this to learn from are no people to compare with: the rule says nothing."""
FALSE: Final = 0.005
"""Share of the convicted who may be people, were their distances normal; they have a longer tail."""
_NAMED: Final = 3
_RANGE: Final = 1.645
"""Nine of ten people are within so many standard deviations."""


def behaviour(connection: duckdb.DuckDBPyConnection, settings: BotSettings) -> None:
    """Add to `found` the users who differ from this shop's people in several habits together."""
    judged = population(connection, EVENTS)
    if judged.learned.sum() < PEOPLE:
        return
    scores, usual, spread = _compared(judged)
    found = chances(distances(scores, judged.learned), judged.learned)
    convicted = np.flatnonzero(discoveries(found, FALSE)).tolist()
    rows = pa.table(
        {
            "user_id": pa.array(judged.users[convicted], pa.string()),
            "evidence": pa.array([_evidence(judged, scores, usual, spread, row) for row in convicted], pa.string()),
        }
    )
    connection.register("convicted", rows)
    connection.execute(f"INSERT INTO found SELECT user_id, NULL, '{BEHAVIOUR}', evidence FROM convicted")
    connection.unregister("convicted")


def compared(connection: duckdb.DuckDBPyConnection, user_id: str) -> list[dict[str, Any]]:
    """A user's habits beside those of people with as many events, the farthest first.

    Each has the habit, value, low and high (nine of ten people lie between), and score, standard deviations towards
    robots. Empty for a user with fewer than EVENTS, and where fewer than PEOPLE are there to compare with.
    """
    judged = population(connection, EVENTS)
    rows = np.flatnonzero(judged.users == user_id)
    if judged.learned.sum() < PEOPLE or not len(rows):
        return []
    scores, usual, spread = (table[rows[0]] for table in _compared(judged))
    found = []
    for number in np.argsort(-np.abs(scores), kind="stable"):
        value, reach = judged.values[rows[0], number], _RANGE * spread[number]
        if np.isfinite(value):
            shown = (HABITS[number].shown(one) for one in (value, usual[number] - reach, usual[number] + reach))
            told, low, high = map(float, shown)
            found.append({"habit": HABITS[number].said, "value": told, "low": max(low, 0.0), "high": high,
                          "score": float(scores[number])})  # fmt: skip
    return found


def _compared(judged: Population) -> tuple[Floats, Floats, Floats]:
    """Scores, what is usual, and its standard deviation: of each user in each habit.

    Scores are standard deviations towards robots, 0 in the other direction and where nothing is known.
    """
    columns = []
    for number, habit in enumerate(HABITS):
        values, counts, given = (table[:, number] for table in (judged.values, judged.counts, judged.given))
        away, usual, spread = deviations(values, counts, given, judged.learned)
        score = np.nan_to_num(np.clip(away, -FAR, FAR))
        columns.append((np.maximum(score * habit.robotic, 0) if habit.robotic else score, usual, spread))
    scores, usual, spread = (np.stack(parts, 1) for parts in zip(*columns, strict=True))
    return scores, usual, spread


def _evidence(judged: Population, scores: Floats, usual: Floats, spread: Floats, row: int) -> str:
    farthest = np.argsort(-np.abs(scores[row]), kind="stable")[:_NAMED]
    return ", ".join(
        _said(HABITS[number], judged.values[row, number], usual[row, number], spread[row, number])
        for number in farthest
        if scores[row, number]
    )


def _said(habit: Habit, value: float, usual: float, spread: float) -> str:
    told, low, high = (habit.shown(number) for number in (value, usual - _RANGE * spread, usual + _RANGE * spread))
    return f"{habit.said} {_number(told)} (people {_number(max(low, 0))} to {_number(high)})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.2g}"
