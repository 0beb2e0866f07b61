"""Compute from each user's days the habits by which the behaviour rule compares users.

How much a user does is no habit, since nobody is a robot for being busy. Each habit is an average
of some observations, which scatters more when there are fewer of them, so it comes with their
number. The SQL of the habits reads the view `totals`: the sums of a user's days.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, pi, sin
from typing import Final

import duckdb
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from dawnlist.arrays import BoolArray, Float64Array
from dawnlist.components.filter_bots.features import PAUSE_BOUNDS

HOURS_OF_DAY: Final = range(24)
HOUR_COLUMNS: Final = [f"hour_{hour}" for hour in HOURS_OF_DAY]
PAUSE_COLUMNS: Final = [f"pauses_{number}" for number in range(len(PAUSE_BOUNDS) + 1)]
MIN_OBSERVATIONS: Final = 5
"""A habit has no value for a user with fewer observations."""
DECIMALS: Final = 12
"""Variances and divergences are rounded to this many decimals before their root is taken.

Otherwise the root turns a rounding error of 1e-16 into 1e-8. They are computed from averages of a
few units, and are thousandths or more where people differ.
"""


@dataclass(frozen=True)
class Habit:
    """A property in which people resemble each other."""

    label: str
    """The habit's name in evidence and explanations."""
    value: str
    """SQL over `totals`. The value is NULL or NaN where a user gives no reason to judge."""
    count: str
    """SQL of the number of observations that the value is computed from."""
    robotic: int
    """+1: robots have higher values than people. -1: lower ones. 0: either."""
    covariate: str = "0"
    """SQL of a number that the value depends on, beside the count."""
    to_display: Callable[[float], float] = float
    """Converts a value to one that people can read."""


def _share_angle_sql(part: str, whole: str) -> str:
    """Return the angle whose squared sine is a share.

    It scatters by the same amount whatever the share is (Anscombe, 1948).
    """
    return f"asin(sqrt({part} / nullif({whole}, 0)))"


def _mean_sql(total: str, count: str) -> str:
    return f"{total} / 1000 / nullif({count}, 0)"


def _spread_sql(squares: str, total: str, count: str) -> str:
    return _root_sql(f"{_mean_sql(squares, count)} - power({_mean_sql(total, count)}, 2)")


def _divergence_sql(columns: list[str]) -> str:
    """Return the root of Kullback and Leibler's divergence from the histogram of all users.

    The user's histogram gets one more observation, which is distributed like that of all users.
    """
    count = " + ".join(columns)
    terms = []
    for column in columns:
        ratio = f"({column} / nullif(all_{column}, 0) + 1) / ({count} + 1)"
        terms.append(f"coalesce(({column} + all_{column}) * ln({ratio}), 0)")
    return _root_sql(f"({' + '.join(terms)}) / ({count} + 1)")


def _root_sql(value: str) -> str:
    """Return the square root of a value that can be negative by a rounding error only."""
    return f"sqrt(greatest(round({value}, {DECIMALS}), 0))"


def _direction_sql(cosines: str, sines: str) -> str:
    """Return the length of the mean direction of a user's sessions: 1 when all are alike."""
    return f"sqrt(power({cosines}, 2) + power({sines}, 2)) / 1000 / sessions"


def _angle_to_percentage(angle: float) -> float:
    return 100 * sin(min(max(angle, 0), pi / 2)) ** 2


def _build_share_habit(label: str, part: str, whole: str, count: str, robotic: int) -> Habit:
    """Build a habit that is a share of something, displayed in percent."""
    value = _share_angle_sql(part, whole)
    return Habit(label, value, count, robotic, to_display=_angle_to_percentage)


_SPREAD_OF_PAUSES = _spread_sql("log_pauses_squared", "log_pauses", "pauses")
_SPREAD_OF_STEPS = _spread_sql("log_steps_squared", "log_steps", "steps")
_SPREAD_OF_POPULARITY = _spread_sql("popularity_squared", "popularity", "events")
_PAUSE_UNEVENNESS = _mean_sql("pause_variation", "pause_pairs")
_GAP_UNEVENNESS = _mean_sql("gap_variation", "gap_pairs")
_POPULARITY_OF_ACTS = "(popularity_of_acts + 500) / 1000 / (events - views + 1)"
_TIME_DIRECTION = _direction_sql("clock_cosines", "clock_sines")
_MINUTE_DIRECTION = _direction_sql("minute_cosines", "minute_sines")

HABITS: Final = (
    Habit("spread of the number of events a day", "spread_of_day", "days", -1, "log_day"),
    Habit("spread of the days between visits", "spread_of_away", "days - 1", -1, "log_away"),
    _build_share_habit("% of events at weekends", "weekend", "events", "days", 0),
    _build_share_habit("% of visits with one event", "single_events", "sessions", "sessions", -1),
    Habit("seconds of a pause", _mean_sql("log_pauses", "pauses"), "pauses", 0, to_display=exp),
    Habit("spread of pauses", _SPREAD_OF_PAUSES, "pauses", -1),
    Habit("spread of the time on an item", _SPREAD_OF_STEPS, "steps", -1),
    Habit("unevenness of pauses in a row", _PAUSE_UNEVENNESS, "pause_pairs", -1),
    Habit("unevenness of gaps in a row", _GAP_UNEVENNESS, "gap_pairs", -1),
    Habit("oddness of pauses", _divergence_sql(PAUSE_COLUMNS), "pauses", 1),
    Habit("oddness of hours", _divergence_sql(HOUR_COLUMNS), "days", 1),
    Habit("visits at one time of the day", _TIME_DIRECTION, "sessions", 0),
    Habit("visits at one minute of the hour", _MINUTE_DIRECTION, "sessions", 1),
    _build_share_habit("different items per 100 events", "items", "events", "events", 1),
    Habit("popularity of items", _mean_sql("popularity", "events"), "events", -1),
    Habit("spread of popularity", _SPREAD_OF_POPULARITY, "events", 0),
    Habit(
        "popularity of what is acted on",
        _POPULARITY_OF_ACTS,
        "events - views",
        0,
        "popularity / events",
    ),
    _build_share_habit("% of steps to a higher item number", "ascents", "steps", "steps", 0),
    _build_share_habit("% of events that are no views", "(events - views)", "events", "events", 0),
    _build_share_habit("% of events that are clicks", "clicks", "events", "events", 0),
    _build_share_habit("% of events that are likes", "likes", "events", "events", 0),
    _build_share_habit("% of events that are carts", "carts", "events", "events", 0),
    _build_share_habit("% of events that are purchases", "purchases", "events", "events", 0),
)


@dataclass(frozen=True)
class Population:
    """Users and their habits. The arrays of numbers have the shape (users, habits)."""

    users: npt.NDArray[np.object_]
    """Ids, in ascending order."""
    values: Float64Array
    """The columns are in the order of HABITS. NaN: fewer than MIN_OBSERVATIONS observations."""
    counts: Float64Array
    """Numbers of observations."""
    covariates: Float64Array
    is_reference: BoolArray
    """Whether the user is one to learn from: no other rule has found the user."""


def measure_population(connection: duckdb.DuckDBPyConnection, min_events: int) -> Population:
    """Compute the habits of the users of `user_days` who have at least `min_events` events.

    The table `found` has the users whom other rules have found.
    """
    totals = _totals_sql(connection, min_events)
    connection.execute(f"CREATE OR REPLACE TEMP VIEW totals AS {totals}")
    connection.execute(f"CREATE OR REPLACE TEMP TABLE habits AS {_habits_sql()}")
    table = connection.sql("FROM habits ORDER BY user_id").to_arrow_table()
    values = _stack_columns(table, "value")
    counts = _stack_columns(table, "count")
    covariates = _stack_columns(table, "covariate")
    values[~(counts >= MIN_OBSERVATIONS)] = np.nan
    return Population(
        users=table["user_id"].to_numpy(),
        values=values,
        counts=np.nan_to_num(counts),
        covariates=np.nan_to_num(covariates),
        is_reference=table["is_reference"].to_numpy().astype(bool),
    )


def _stack_columns(table: pa.Table, kind: str) -> Float64Array:
    columns = [table[f"{kind}_{number}"].to_numpy() for number in range(len(HABITS))]
    return np.stack([column.astype(float) for column in columns], 1)


def _totals_sql(connection: duckdb.DuckDBPyConnection, min_events: int) -> str:
    """Return the query of each user's sums over days."""
    sums = []
    for name, *_ in connection.execute("DESCRIBE user_days").fetchall():
        if name not in ("event_date", "user_id", "hours"):
            sums.append(f"sum({name})::DOUBLE AS {name}")
    for hour in HOURS_OF_DAY:
        sums.append(f"sum((hours >> {hour}) & 1)::DOUBLE AS hour_{hour}")
    return f"""
    WITH visits AS (
        SELECT *, event_date - lag(event_date) OVER (PARTITION BY user_id ORDER BY event_date)
            AS away
        FROM user_days)
    SELECT user_id, {", ".join(sums)}, count(*)::DOUBLE AS days,
        coalesce(sum(events) FILTER (isodow(event_date) > 5), 0)::DOUBLE AS weekend,
        avg(ln(events)) AS log_day, stddev_pop(ln(events)) AS spread_of_day,
        avg(ln(away)) AS log_away, stddev_pop(ln(away)) AS spread_of_away,
        user_id NOT IN (SELECT user_id FROM found WHERE event_id IS NULL) AS is_reference
    FROM visits GROUP BY user_id HAVING sum(events) >= {min_events}
    """


def _habits_sql() -> str:
    """Return the query of each user's habits."""
    columns = []
    for number, habit in enumerate(HABITS):
        columns += [
            f"({habit.value})::DOUBLE AS value_{number}",
            f"({habit.count})::DOUBLE AS count_{number}",
            f"({habit.covariate})::DOUBLE AS covariate_{number}",
        ]
    averages = _average_shares_sql(PAUSE_COLUMNS) + _average_shares_sql(HOUR_COLUMNS)
    return f"""
    SELECT user_id, is_reference, {", ".join(columns)}
    FROM totals, (SELECT {", ".join(averages)} FROM totals)
    """


def _average_shares_sql(columns: list[str]) -> list[str]:
    """Return the histogram of all reference users, as `all_{column}`."""
    count = " + ".join(columns)
    averages = []
    for column in columns:
        share = f"{column} / nullif({count}, 0)"
        averages.append(f"avg({share}) FILTER (is_reference) AS all_{column}")
    return averages
