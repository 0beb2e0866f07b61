"""Find machines by signs that a person can't give or does not give. See docs/BOTS.md.

A user is convicted by a proof and at least one other sign beside it. A user who is unlike the
others, who does much, or who does all in one evening shows none of them.
"""

from typing import Any, Final

import duckdb

from dawnlist.components.filter_bots.signs import Sign
from dawnlist.components.filter_bots.signs_of_time import SIGNS_OF_TIME
from dawnlist.components.filter_bots.signs_of_visits import SIGNS_OF_VISITS
from dawnlist.settings import BotSettings

BEHAVIOUR_RULE: Final = "behaviour"
MIN_BEHAVIOUR_EVENTS: Final = 30
"""Users with fewer events are not judged."""
MAX_PURCHASE_SHARE: Final = 0.1
"""A user with a larger share of purchases among the events is a customer and not judged."""
MIN_CAUSES: Final = 2
"""A user is convicted by signs of at least so many causes, of which one is a proof."""
COMMON_SHARE: Final = 0.1
"""A sign that a larger share of the judged users gives is a habit of this shop's people."""
MIN_COMMON_USERS: Final = 5
"""A sign that no more users give is never common."""
SIGNS: Final[tuple[Sign, ...]] = (*SIGNS_OF_TIME, *SIGNS_OF_VISITS)


def find_machines(connection: duckdb.DuckDBPyConnection, settings: BotSettings) -> None:
    """Add the users of `user_days` who give a proof and another sign of a machine to `found`.

    This fills `judged_days`, the days of the users who are judged, `signs` and `mute_signs`, which
    CREATE_SIGN_TABLES creates.
    """
    connection.execute(_SELECT_JUDGED_DAYS)
    for sign in SIGNS:
        reason = _explain_silence(connection, sign)
        if reason is None:
            connection.execute(
                f"INSERT INTO signs SELECT user_id, ?, ?, is_proof, evidence FROM ({sign.query})",
                [sign.name, sign.cause],
            )
        else:
            connection.execute("INSERT INTO mute_signs VALUES (?, ?)", [sign.name, reason])
    connection.execute(_MUTE_COMMON_SIGNS)
    connection.execute(_CONVICT)


def _explain_silence(connection: duckdb.DuckDBPyConnection, sign: Sign) -> str | None:
    """Say why a sign can't be seen in this source, or return None."""
    days, judged_days = connection.execute(_COUNT_DAYS).fetchall()[0]
    if not judged_days:
        return (
            f"nobody is judged: no user has {MIN_BEHAVIOUR_EVENTS} events of which at most "
            f"{MAX_PURCHASE_SHARE:.0%} are purchases"
        )
    if days < sign.min_days:
        return f"it needs {sign.min_days} days with events, there are {days}"
    reason: str | None = connection.execute(sign.mute).fetchall()[0][0]
    return reason


def report_signs(connection: duckdb.DuckDBPyConnection) -> list[dict[str, Any]]:
    """Report what each sign has found.

    Returns:
        For each sign: sign (its name), users and proofs (how many users give it, and how many as
        a proof) and mute (why it does not count, or None).
    """
    rows = connection.execute(_COUNT_SIGNS).fetchall()
    counts = {sign: (users, proofs) for sign, users, proofs in rows}
    reasons = dict(connection.execute("SELECT sign, reason FROM mute_signs").fetchall())
    reports = []
    for sign in SIGNS:
        users, proofs = counts.get(sign.name, (0, 0))
        mute = reasons.get(sign.name)
        reports.append({"sign": sign.name, "users": users, "proofs": proofs, "mute": mute})
    return reports


def list_signs_of_user(connection: duckdb.DuckDBPyConnection, user_id: str) -> list[dict[str, Any]]:
    """List what each sign says of a user.

    Returns:
        For each sign: sign (its name), strength (proof, hint, none or mute) and evidence, which of
        a mute sign is the reason. The list is empty for a user who is not judged.
    """
    is_judged = "SELECT count(*) FROM judged_days WHERE user_id = ?"
    if not connection.execute(is_judged, [user_id]).fetchall()[0][0]:
        return []
    rows = connection.execute(
        "SELECT sign, is_proof, evidence FROM signs WHERE user_id = ?", [user_id]
    ).fetchall()
    shown = {sign: (is_proof, evidence) for sign, is_proof, evidence in rows}
    reasons = dict(connection.execute("SELECT sign, reason FROM mute_signs").fetchall())
    listing = []
    for sign in SIGNS:
        strength, evidence = "none", ""
        if sign.name in reasons:
            strength, evidence = "mute", reasons[sign.name]
        elif sign.name in shown:
            is_proof, evidence = shown[sign.name]
            strength = "proof" if is_proof else "hint"
        listing.append({"sign": sign.name, "strength": strength, "evidence": evidence})
    return listing


CREATE_SIGN_TABLES: Final = """
    CREATE TEMP TABLE judged_days AS FROM user_days LIMIT 0;
    CREATE TEMP TABLE signs
        (user_id VARCHAR, sign VARCHAR, cause VARCHAR, is_proof BOOLEAN, evidence VARCHAR);
    CREATE TEMP TABLE mute_signs (sign VARCHAR, reason VARCHAR);
"""
"""Creates the tables that `find_machines` fills."""
# Who pays is a customer, also if the orders come by subscription or from a list.
_SELECT_JUDGED_DAYS = f"""
    INSERT INTO judged_days
    SELECT * FROM user_days WHERE user_id IN (
        SELECT user_id FROM user_days GROUP BY user_id
        HAVING sum(events) >= {MIN_BEHAVIOUR_EVENTS}
            AND sum(purchases) <= {MAX_PURCHASE_SHARE} * sum(events))
"""
# Users whom another rule has found are no people of this shop.
_MUTE_COMMON_SIGNS = f"""
    INSERT INTO mute_signs
    WITH unnamed AS (
        SELECT DISTINCT user_id FROM judged_days
        WHERE user_id NOT IN (SELECT user_id FROM found WHERE event_id IS NULL)),
    judged AS (SELECT count(*) AS judged_users FROM unnamed)
    SELECT sign, format('{{}} of {{}} judged users give it: a habit of this shop', count(*), judged_users)
    FROM signs SEMI JOIN unnamed USING (user_id), judged
    GROUP BY sign, judged_users
    HAVING count(*) > {MIN_COMMON_USERS} AND count(*) > {COMMON_SHARE} * judged_users
"""
_CONVICT = f"""
    INSERT INTO found
    SELECT user_id, NULL, '{BEHAVIOUR_RULE}',
        string_agg(evidence, '; ' ORDER BY is_proof DESC, evidence)
    FROM signs ANTI JOIN mute_signs USING (sign)
    GROUP BY user_id HAVING count(DISTINCT cause) >= {MIN_CAUSES} AND bool_or(is_proof)
"""
_COUNT_DAYS = (
    "SELECT (SELECT count(DISTINCT event_date) FROM user_days), (SELECT count(*) FROM judged_days)"
)
_COUNT_SIGNS = "SELECT sign, count(*), count(*) FILTER (is_proof) FROM signs GROUP BY sign"
