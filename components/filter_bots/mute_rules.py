"""Explain which rules can judge nobody, since the events or the settings lack what they need."""

from collections.abc import Callable
from typing import Final

from dawnlist.components.filter_bots.behaviour import BEHAVIOUR_RULE, report_signs
from dawnlist.components.filter_bots.rules import DENY_RULE, STAFF_RULE, DuckDBConnection
from dawnlist.rows.user_agents import CRAWLER_RULE, PREVIEW_RULE
from dawnlist.settings import BotSettings


def explain_mute_rules(connection: DuckDBConnection, settings: BotSettings) -> dict[str, str]:
    """Say why rules judged nobody: rule -> reason. Rules that are off are left out.

    The connection needs the tables of dawnlist.components.filter_bots.decision, after the rules
    were applied.
    """
    reasons = {}
    for rule, explain in _EXPLANATIONS.items():
        is_off = rule != DENY_RULE and getattr(settings, rule) == "off"
        if is_off:
            continue
        reason = explain(connection, settings)
        if reason is not None:
            reasons[rule] = reason
    return reasons


def _explain_agents(connection: DuckDBConnection, settings: BotSettings) -> str | None:
    if _has_rows(connection, "visits WHERE user_agent IS NOT NULL"):
        return None
    return "no event has a user agent; if the source has them, name their column in source.columns"


def _explain_staff(connection: DuckDBConnection, settings: BotSettings) -> str | None:
    lacks = []
    if not settings.staff_ids:
        lacks.append("staff_ids is empty")
    if not settings.internal_networks:
        lacks.append("internal_networks is empty")
    elif not _has_rows(connection, "visits WHERE ip IS NOT NULL"):
        lacks.append("no event has an address to compare with internal_networks")
    if not _has_rows(connection, "users WHERE role IS NOT NULL OR email IS NOT NULL"):
        lacks.append("no account has a role or an e-mail address")
    if len(lacks) < _STAFF_WAYS:
        return None
    return ", ".join(lacks)


def _explain_behaviour(connection: DuckDBConnection, settings: BotSettings) -> str | None:
    reasons = [sign["mute"] for sign in report_signs(connection)]
    if None in reasons:
        return None
    return "; ".join(dict.fromkeys(reasons))


def _explain_deny(connection: DuckDBConnection, settings: BotSettings) -> str | None:
    if settings.deny or settings.deny_agents:
        return None
    return "deny and deny_agents are empty"


def _has_rows(connection: DuckDBConnection, table: str) -> bool:
    return bool(connection.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchall())


_STAFF_WAYS: Final = 3
"""In how many ways the rule recognises staff: by id, by network, and by account."""
_EXPLANATIONS: Final[dict[str, Callable[[DuckDBConnection, BotSettings], str | None]]] = {
    CRAWLER_RULE: _explain_agents,
    PREVIEW_RULE: _explain_agents,
    STAFF_RULE: _explain_staff,
    BEHAVIOUR_RULE: _explain_behaviour,
    DENY_RULE: _explain_deny,
}
