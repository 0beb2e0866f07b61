"""Signs of a machine in when a user comes, and in how fast."""

from typing import Final

from dawnlist.components.filter_bots.features import LOGARITHM_UNIT
from dawnlist.components.filter_bots.signs import (
    DECIMALS,
    HINT_SURPRISE,
    PROOF_SURPRISE,
    TIMES_OF_DAYS,
    Sign,
    surprise_sql,
)

MAX_SPREAD: Final = (0.45, 0.6)
"""Standard deviation of the logarithms of even pauses, of a proof and of a hint. People's: 0.9."""
MIN_EVEN_PAUSES: Final = (12, 10)
MIN_EVEN_PAUSE_DAYS: Final = (5, 4)
"""An evening at a page of lists is no evidence, however even its pauses are."""
MIN_EXACT_DAYS: Final = 6
MAX_PERIOD: Final = 30
MIN_DAYS_OF_ONE_TIME: Final = (8, 6)
SAME_TIME_SECONDS: Final = 1_800
SLEEPLESS_HOURS: Final = 22
"""Hours of a day with events, from which on nobody can have slept."""
SLEEPLESS_DAYS: Final = (3, 2)
FAST_HOURS: Final = (12, 6)
FAST_EVENTS: Final = 400
"""Events an hour, over so many hours of one day: one every nine seconds."""

_EVEN_PAUSES = f"""
    WITH totals AS (
        SELECT user_id, sum(pauses) AS pauses, sum(clear_pauses) AS clear,
            count(*) FILTER (clear_pauses > 0) AS days,
            sum(log_pauses) / {LOGARITHM_UNIT}.0 / clear AS mean,
            sum(log_pauses_squared) / {LOGARITHM_UNIT}.0 / clear - mean * mean AS variance
        FROM judged_days GROUP BY user_id HAVING sum(clear_pauses) >= {MIN_EVEN_PAUSES[1]}),
    spreads AS (
        SELECT *, round(sqrt(greatest(variance, 0)), {DECIMALS}) AS spread FROM totals)
    SELECT user_id,
        spread <= {MAX_SPREAD[0]} AND clear >= {MIN_EVEN_PAUSES[0]}
            AND days >= {MIN_EVEN_PAUSE_DAYS[0]} AS is_proof,
        format('even pauses on {{}} days, mostly {{:.0f}} to {{:.0f}} seconds',
            days, exp(mean - spread), exp(mean + spread)) AS evidence
    FROM spreads
    WHERE spread <= {MAX_SPREAD[1]} AND days >= {MIN_EVEN_PAUSE_DAYS[1]} AND 5 * clear >= 4 * pauses
"""
# Weeks are people's calendar, so their multiples are no machine's. The period and the first day are
# those that fit best, so what is surprising is less so by the number of choices.
_EXACT_DAYS = f"""
    WITH gaps AS (
        SELECT user_id, event_date,
            event_date - lag(event_date) OVER (PARTITION BY user_id ORDER BY event_date) AS gap
        FROM judged_days),
    gap_counts AS (SELECT user_id, gap, count(*) AS n FROM gaps GROUP BY ALL),
    periods AS (
        SELECT user_id, arg_max(gap, (n, -gap)) AS period
        FROM gap_counts WHERE gap IS NOT NULL GROUP BY user_id),
    residues AS (
        SELECT user_id, period, (event_date - DATE '1970-01-01') % period AS residue, count(*) AS n
        FROM judged_days JOIN periods USING (user_id)
        WHERE period BETWEEN 2 AND {MAX_PERIOD} AND period % 7 <> 0 GROUP BY ALL),
    calendars AS (
        SELECT user_id, period, sum(n) AS days, max(n) AS hits FROM residues GROUP BY ALL),
    surprises AS (
        SELECT *, {surprise_sql("hits", "days", "(1.0 / period)")}
            - round(ln({MAX_PERIOD} * period), {DECIMALS}) AS surprise
        FROM calendars)
    SELECT user_id, surprise >= {PROOF_SURPRISE} AND 20 * hits >= 17 * days AS is_proof,
        format('every {{}} days exactly, {{}} of {{}} days', period, hits, days) AS evidence
    FROM surprises
    WHERE days >= {MIN_EXACT_DAYS} AND surprise >= {HINT_SURPRISE} AND 5 * hits >= 3 * days
"""
_ONE_TIME_OF_DAY = f"""
    WITH firsts AS (
        SELECT user_id, first_second AS second, count(*) OVER (PARTITION BY user_id) AS days
        FROM judged_days),
    -- The next day's times come after a day's, so that no window ends at midnight.
    times AS (FROM firsts UNION ALL SELECT user_id, second + 86400, days FROM firsts),
    windows AS (
        SELECT *, count(*) OVER (PARTITION BY user_id ORDER BY second
            RANGE BETWEEN CURRENT ROW AND {SAME_TIME_SECONDS} FOLLOWING) AS hits
        FROM times),
    fullest AS (
        SELECT user_id, days, max(hits) AS hits, arg_max(second, (hits, -second)) AS start
        FROM windows WHERE days >= {MIN_DAYS_OF_ONE_TIME[1]} GROUP BY ALL)
    SELECT user_id, days >= {MIN_DAYS_OF_ONE_TIME[0]} AND 4 * hits >= 3 * days AS is_proof,
        format('first visit of {{}} of {{}} days in the half hour after {{:02d}}:{{:02d}} UTC',
            hits, days, start // 3600 % 24, start // 60 % 60) AS evidence
    FROM fullest WHERE 5 * hits >= 3 * days
"""
_NO_SLEEP = f"""
    WITH sleepless AS (
        SELECT user_id, event_date, row_number() OVER (PARTITION BY user_id ORDER BY event_date)
            AS number
        FROM judged_days WHERE bit_count(hours) >= {SLEEPLESS_HOURS}),
    runs AS (
        SELECT user_id, count(*) AS days FROM sleepless
        GROUP BY user_id, event_date - number::INTEGER)
    SELECT user_id, max(days) >= {SLEEPLESS_DAYS[0]} AS is_proof,
        format('no sleep: {{}} days in a row with events in {SLEEPLESS_HOURS} hours or more',
            max(days)) AS evidence
    FROM runs GROUP BY user_id HAVING max(days) >= {SLEEPLESS_DAYS[1]}
"""
_SPEED = f"""
    SELECT user_id, max(bit_count(hours)) >= {FAST_HOURS[0]} AS is_proof,
        format('{{:,}} events in {{}} hours of a day', arg_max(events, (bit_count(hours), events)),
            max(bit_count(hours))) AS evidence
    FROM judged_days
    WHERE events >= {FAST_EVENTS} * bit_count(hours) AND bit_count(hours) >= {FAST_HOURS[1]}
    GROUP BY user_id
"""

SIGNS_OF_TIME: Final = (
    Sign("even pauses", _EVEN_PAUSES, TIMES_OF_DAYS, "pauses", MIN_EVEN_PAUSE_DAYS[1]),
    Sign("every k days exactly", _EXACT_DAYS, "SELECT NULL", "days", MIN_EXACT_DAYS),
    Sign("one time of the day", _ONE_TIME_OF_DAY, TIMES_OF_DAYS, "hours", MIN_DAYS_OF_ONE_TIME[1]),
    Sign("no sleep for days", _NO_SLEEP, TIMES_OF_DAYS, "sleep", SLEEPLESS_DAYS[1]),
    Sign("speed over hours", _SPEED, TIMES_OF_DAYS, "speed"),
)
