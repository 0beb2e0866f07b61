"""Find users whose behaviour differs from that of this shop's people in several habits together.

What people are like is learned from the bulk of the shop's users, with robust statistics. A single
habit never suffices. For some habits the literature knows how robots differ: they are more
regular, look at more items, or come at odder hours. Then only that direction counts (a one-sided
test; Follmann, JASA 1996), and an unusually human user is in no danger. See docs/BOTS.md.
"""

from dataclasses import dataclass
from typing import Any, Final

import duckdb
import numpy as np
import pyarrow as pa

from dawnlist.arrays import Float64Array
from dawnlist.components.filter_bots.habits import HABITS, Population, measure_population
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
"""Users with fewer events are not judged."""
MIN_BEHAVIOUR_USERS: Final = 200
"""With fewer users to learn from the rule finds nobody."""
FALSE_DISCOVERY_RATE: Final = 0.005
"""Share of the found users who may be people if people's distances have the fitted distribution.

They have a longer tail.
"""
_HABITS_IN_EVIDENCE: Final = 3
_USUAL_RANGE_DEVIATIONS: Final = 1.645
"""Nine of ten people lie within this many standard deviations."""


@dataclass(frozen=True)
class _HabitScores:
    """How users compare with people. The arrays have the shape (users, habits)."""

    scores: Float64Array
    """Standard deviations in the direction of robots; 0 in the other one or without a value."""
    usual: Float64Array
    """The usual value of people with as many observations."""
    spread: Float64Array
    """The standard deviation of these people, in the unit of the habit."""

    def sort_habits(self, row: int) -> list[int]:
        """Return the numbers of the habits, that with the largest score of a user first."""
        order: list[int] = np.argsort(-np.abs(self.scores[row]), kind="stable").tolist()
        return order


def find_unusual_users(connection: duckdb.DuckDBPyConnection, settings: BotSettings) -> None:
    """Add the users of `user_days` who differ from people in several habits to `found`."""
    population = measure_population(connection, MIN_BEHAVIOUR_EVENTS)
    is_reference = population.is_reference
    if is_reference.sum() < MIN_BEHAVIOUR_USERS:
        return
    comparison = _score_habits(population)
    distances = mahalanobis_distances(comparison.scores, is_reference)
    probabilities = tail_probabilities(distances, is_reference)
    is_unusual = select_discoveries(probabilities, FALSE_DISCOVERY_RATE)
    rows = np.flatnonzero(is_unusual).tolist()
    evidence = [_format_evidence(population, comparison, row) for row in rows]
    table = pa.table(
        {
            "user_id": pa.array(population.users[rows], pa.string()),
            "evidence": pa.array(evidence, pa.string()),
        }
    )
    connection.register("unusual_users", table)
    connection.execute(
        f"INSERT INTO found SELECT user_id, NULL, '{BEHAVIOUR_RULE}', evidence FROM unusual_users"
    )
    connection.unregister("unusual_users")


def compare_habits(connection: duckdb.DuckDBPyConnection, user_id: str) -> list[dict[str, Any]]:
    """Compare a user's habits with those of people, the most unusual habit first.

    Returns:
        For each habit that the user has a value of: habit (its label), value, low and high (nine
        of ten people with as many observations lie between them), and score, standard deviations
        in the direction of robots. The list is empty for a user with fewer than
        MIN_BEHAVIOUR_EVENTS, and when there are fewer than MIN_BEHAVIOUR_USERS to compare with.
    """
    population = measure_population(connection, MIN_BEHAVIOUR_EVENTS)
    rows = np.flatnonzero(population.users == user_id)
    if population.is_reference.sum() < MIN_BEHAVIOUR_USERS or not len(rows):
        return []
    row = int(rows[0])
    comparison = _score_habits(population)
    habits = []
    for number in comparison.sort_habits(row):
        if not np.isfinite(population.values[row, number]):
            continue
        value, low, high = _display_values(population, comparison, row, number)
        habits.append(
            {
                "habit": HABITS[number].label,
                "value": value,
                "low": max(low, 0.0),
                "high": high,
                "score": float(comparison.scores[row, number]),
            }
        )
    return habits


def _score_habits(population: Population) -> _HabitScores:
    """Compare each user with people, habit by habit."""
    scores, usual_values, spreads = [], [], []
    for number, habit in enumerate(HABITS):
        deviations, usual, spread = measure_deviations(
            population.values[:, number],
            population.counts[:, number],
            population.covariates[:, number],
            population.is_reference,
        )
        score = np.nan_to_num(np.clip(deviations, -MAX_DEVIATION, MAX_DEVIATION))
        if habit.robotic:
            score = np.maximum(score * habit.robotic, 0)
        scores.append(score)
        usual_values.append(usual)
        spreads.append(spread)
    return _HabitScores(np.stack(scores, 1), np.stack(usual_values, 1), np.stack(spreads, 1))


def _display_values(
    population: Population, comparison: _HabitScores, row: int, number: int
) -> tuple[float, float, float]:
    """Return a user's value of a habit and the usual range, as people can read them."""
    usual = comparison.usual[row, number]
    reach = _USUAL_RANGE_DEVIATIONS * comparison.spread[row, number]
    to_display = HABITS[number].to_display
    value = to_display(population.values[row, number])
    return float(value), float(to_display(usual - reach)), float(to_display(usual + reach))


def _format_evidence(population: Population, comparison: _HabitScores, row: int) -> str:
    """Name a user's most unusual habits, with the values of the user and of people."""
    habits = []
    for number in comparison.sort_habits(row)[:_HABITS_IN_EVIDENCE]:
        if not comparison.scores[row, number]:
            continue
        value, low, high = _display_values(population, comparison, row, number)
        usual_range = f"{_format_number(max(low, 0))} to {_format_number(high)}"
        habits.append(f"{HABITS[number].label} {_format_number(value)} (people {usual_range})")
    return ", ".join(habits)


def _format_number(value: float) -> str:
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.2g}"
