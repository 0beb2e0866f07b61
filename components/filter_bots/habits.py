"""What a user is like, from what the user did on each day: the numbers that the behaviour rule compares people by.

How much a user does is none of them: nobody is a robot for being busy. Each is an average of something, and scatters
the more the fewer there are of it, so each comes with that count.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import exp, pi, sin
from typing import Final

import duckdb
import numpy as np
import numpy.typing as npt

from dawnlist.arrays import BoolArray, Float64Array
from dawnlist.components.filter_bots.features import PAUSE_BOUNDS

HOURS_OF_DAY: Final = range(24)
HOUR_COLUMNS: Final = [f"hour_{hour}" for hour in HOURS_OF_DAY]
PAUSE_COLUMNS: Final = [f"pauses_{number}" for number in range(len(PAUSE_BOUNDS) + 1)]
MIN_OBSERVATIONS: Final = 5
"""Fewer observations say nothing."""
DECIMALS: Final = 12
"""Variances and divergences are rounded to so many decimals, else the root of a rounding error of 1e-16 shows as 1e-8.

They are computed from averages of a few units, and are thousandths or more where people differ.
"""


@dataclass(frozen=True)
class Habit:
    """One way in which people are alike."""

    said: str
    """For the evidence."""
    value: str
    """SQL over `totals`; NULL or NaN where a user gives no reason to judge."""
    count: str
    """SQL of how many observations it is drawn from."""
    robotic: int
    """+1: robots have more of it than people, -1: less, 0: more or less."""
    given: str = "0"
    """SQL of what it depends on beside its count."""
    shown: Callable[[float], float] = float
    """Makes a value readable."""


def _share_angle_sql(part: str, whole: str) -> str:
    """The angle whose squared sine is the share, which scatters alike whatever the share is (Anscombe 1948)."""
    return f"asin(sqrt({part} / nullif({whole}, 0)))"


def _mean_sql(total: str, count: str) -> str:
    return f"{total} / 1000 / nullif({count}, 0)"


def _spread_sql(squares: str, total: str, count: str) -> str:
    return _root_sql(f"{_mean_sql(squares, count)} - power({_mean_sql(total, count)}, 2)")


def _divergence_sql(columns: list[str]) -> str:
    """Kullback and Leibler's, of a user's histogram (with one observation as all users') from that of all users."""
    whole = " + ".join(columns)
    terms = [
        f"coalesce(({column} + all_{column}) * ln(({column} / nullif(all_{column}, 0) + 1) / ({whole} + 1)), 0)"
        for column in columns
    ]
    return _root_sql(f"({' + '.join(terms)}) / ({whole} + 1)")


def _root_sql(value: str) -> str:
    """The square root of a value that is negative by rounding only."""
    return f"sqrt(greatest(round({value}, {DECIMALS}), 0))"


def _angle_to_percentage(angle: float) -> float:
    return 100 * sin(min(max(angle, 0), pi / 2)) ** 2


HABITS: Final = (
    Habit("spread of the number of events a day", "spread_of_day", "days", -1, "log_day"),
    Habit("spread of the days between visits", "spread_of_away", "days - 1", -1, "log_away"),
    Habit(
        "% of events at weekends",
        _share_angle_sql("weekend", "events"),
        "days",
        0,
        shown=_angle_to_percentage,
    ),
    Habit(
        "% of visits with one event",
        _share_angle_sql("single_events", "sessions"),
        "sessions",
        -1,
        shown=_angle_to_percentage,
    ),
    Habit("seconds of a pause", _mean_sql("log_pauses", "pauses"), "pauses", 0, shown=exp),
    Habit(
        "spread of pauses", _spread_sql("log_pauses_squared", "log_pauses", "pauses"), "pauses", -1
    ),
    Habit(
        "spread of the time on an item",
        _spread_sql("log_steps_squared", "log_steps", "steps"),
        "steps",
        -1,
    ),
    Habit(
        "unevenness of pauses in a row",
        _mean_sql("pause_variation", "pause_pairs"),
        "pause_pairs",
        -1,
    ),
    Habit("unevenness of gaps in a row", _mean_sql("gap_variation", "gap_pairs"), "gap_pairs", -1),
    Habit("oddness of pauses", _divergence_sql(PAUSE_COLUMNS), "pauses", 1),
    Habit("oddness of hours", _divergence_sql(HOUR_COLUMNS), "days", 1),
    Habit(
        "visits at one time of the day",
        "sqrt(power(clock_cosines, 2) + power(clock_sines, 2)) / 1000 / sessions",
        "sessions",
        0,
    ),
    Habit(
        "visits at one minute of the hour",
        "sqrt(power(minute_cosines, 2) + power(minute_sines, 2)) / 1000 / sessions",
        "sessions",
        1,
    ),
    Habit(
        "different items per 100 events",
        _share_angle_sql("items", "events"),
        "events",
        1,
        shown=_angle_to_percentage,
    ),
    Habit("popularity of items", _mean_sql("popularity", "events"), "events", -1),
    Habit(
        "spread of popularity",
        _spread_sql("popularity_squared", "popularity", "events"),
        "events",
        0,
    ),
    Habit(
        "popularity of what is acted on",
        "(popularity_of_acts + 500) / 1000 / (events - views + 1)",
        "events - views",
        0,
        "popularity / events",
    ),
    Habit(
        "% of steps to a higher item number",
        _share_angle_sql("ascents", "steps"),
        "steps",
        0,
        shown=_angle_to_percentage,
    ),
    Habit(
        "% of events that are no views",
        _share_angle_sql("(events - views)", "events"),
        "events",
        0,
        shown=_angle_to_percentage,
    ),
    Habit(
        "% of events that are clicks",
        _share_angle_sql("clicks", "events"),
        "events",
        0,
        shown=_angle_to_percentage,
    ),
    Habit(
        "% of events that are likes",
        _share_angle_sql("likes", "events"),
        "events",
        0,
        shown=_angle_to_percentage,
    ),
    Habit(
        "% of events that are carts",
        _share_angle_sql("carts", "events"),
        "events",
        0,
        shown=_angle_to_percentage,
    ),
    Habit(
        "% of events that are purchases",
        _share_angle_sql("purchases", "events"),
        "events",
        0,
        shown=_angle_to_percentage,
    ),
)


@dataclass(frozen=True)
class Population:
    """Users in the order of their ids, and their habits in the order of HABITS, a column each."""

    users: npt.NDArray[np.object_]
    values: Float64Array
    """NaN where there are fewer than FEW observations."""
    counts: Float64Array
    given: Float64Array
    learned: BoolArray
    """Whom to learn from: no other rule has found them."""


def measure_population(connection: duckdb.DuckDBPyConnection, events: int) -> Population:
    """The users of `user_days` with so many events at least; `found` tells whom other rules have found."""
    connection.execute(f"CREATE OR REPLACE TEMP VIEW totals AS {_totals_sql(connection, events)}")
    connection.execute(f"CREATE OR REPLACE TEMP TABLE habits AS {_habits_sql()}")
    table = connection.sql("FROM habits ORDER BY user_id").to_arrow_table()
    values, counts, given = (
        np.stack(
            [table[f"{kind}_{number}"].to_numpy().astype(float) for number in range(len(HABITS))], 1
        )
        for kind in ("value", "count", "given")
    )
    values[~(counts >= MIN_OBSERVATIONS)] = np.nan
    users, learned = table["user_id"].to_numpy(), table["learned"].to_numpy().astype(bool)
    return Population(users, values, np.nan_to_num(counts), np.nan_to_num(given), learned)


def _totals_sql(connection: duckdb.DuckDBPyConnection, events: int) -> str:
    columns = [name for name, *_ in connection.execute("DESCRIBE user_days").fetchall()]
    sums = [
        f"sum({name})::DOUBLE AS {name}"
        for name in columns
        if name not in ("event_date", "user_id", "hours")
    ]
    sums += [f"sum((hours >> {hour}) & 1)::DOUBLE AS hour_{hour}" for hour in HOURS_OF_DAY]
    return f"""
    WITH visits AS (
        SELECT *, event_date - lag(event_date) OVER (PARTITION BY user_id ORDER BY event_date) AS away FROM user_days)
    SELECT user_id, {", ".join(sums)}, count(*)::DOUBLE AS days,
        coalesce(sum(events) FILTER (isodow(event_date) > 5), 0)::DOUBLE AS weekend,
        avg(ln(events)) AS log_day, stddev_pop(ln(events)) AS spread_of_day,
        avg(ln(away)) AS log_away, stddev_pop(ln(away)) AS spread_of_away,
        user_id NOT IN (SELECT user_id FROM found WHERE event_id IS NULL) AS learned
    FROM visits GROUP BY user_id HAVING sum(events) >= {events}
    """


def _habits_sql() -> str:
    usual = [
        f"avg({column} / nullif({' + '.join(columns)}, 0)) FILTER (learned) AS all_{column}"
        for columns in (PAUSE_COLUMNS, HOUR_COLUMNS)
        for column in columns
    ]
    shown = [
        f"({habit.value})::DOUBLE AS value_{number}, ({habit.count})::DOUBLE AS count_{number}, "
        f"({habit.given})::DOUBLE AS given_{number}"
        for number, habit in enumerate(HABITS)
    ]
    return f"SELECT user_id, learned, {', '.join(shown)} FROM totals, (SELECT {', '.join(usual)} FROM totals)"
