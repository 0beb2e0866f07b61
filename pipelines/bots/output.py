"""Print what the commands `dawnlist bots …` found.

User agents, ids and evidence come from outside, so what a terminal would obey is taken out of them.
"""

from typing import Any, Final

from rich.markup import escape
from rich.table import Table

from dawnlist.components.filter_bots.behaviour import MAX_PURCHASE_SHARE, MIN_BEHAVIOUR_EVENTS
from dawnlist.pipelines.terminal import err, out
from dawnlist.urls import replace_unprintable

MODE_EFFECTS: Final = {"on": "drops", "shadow": "none: in shadow", "off": "none: off"}
"""The effect of a rule that found something, by its mode."""
UNJUDGED_USER: Final = (
    f"not judged, since the user has fewer than {MIN_BEHAVIOUR_EVENTS} events, or more than "
    f"{MAX_PURCHASE_SHARE:.0%} of them are purchases"
)


def show_drop_counts(report: dict[str, Any], summary: str) -> None:
    """Print what each rule found and what was dropped, on stderr, apart from the rows.

    Args:
        report: The drop report of the bot filter.
        summary: A line about the file that was read, to print first.
    """
    lines = [summary]
    if report["shadow_reason"] is not None:
        lines.append(report["shadow_reason"])
    for rule in report["rules"]:
        if rule["events"] or rule["mode"] != "on":
            counts = f"{rule['users']:,} users, {rule['events']:,} events"
            lines.append(f"{rule['rule']} ({rule['mode']}): {counts}")
    lines.append(
        f"dropped: {report['dropped_events']:,} of {report['events']:,} events ({report['share']:.1%}), "
        f"{report['dropped_users']:,} of {report['users']:,} users"
    )
    for line in lines:
        err.print(replace_unprintable(line), markup=False, soft_wrap=True)


def show_mute_rules(mute_rules: dict[str, str]) -> None:
    """Print on stderr which rules judged nobody, and why."""
    for rule, reason in mute_rules.items():
        err.print(f"{rule} judged nobody: {reason}", markup=False, soft_wrap=True)


def show_explanation(explanation: dict[str, Any]) -> None:
    """Print the verdict on a user, what it was judged on, and what every rule says."""
    user, verdict = explanation["user_id"], explanation["verdict"]
    _print_styled(f"user {user} is {verdict}: {explanation['because']}", "bold")
    _print_styled(
        f"{explanation['events']:,} events on {explanation['days']:,} days of "
        f"[{explanation['start']}, {explanation['end']})"
    )
    for agent in explanation["agents"]:
        rule = f", {agent['rule']}" if agent["rule"] else ""
        name = agent["user_agent"] or "no agent"
        _print_styled(f"  {agent['events']:,} by {name}{rule}", "dim")
    for network in explanation["networks"]:
        address = network["ip"] or "no address"
        _print_styled(f"  {network['events']:,} from {address}", "dim")
    out.print()
    out.print(_build_rules_table(explanation["rules"], explanation["allowed"]))
    out.print()
    if explanation["signs"]:
        out.print(_build_signs_table(explanation["signs"]))
    else:
        _print_styled(f"behaviour: {UNJUDGED_USER}", "dim")


def _build_rules_table(rules: list[dict[str, Any]], user_is_allowed: bool) -> Table:
    table = Table("rule", "mode", "effect", "says", box=None, pad_edge=False)
    for rule in rules:
        effect = _describe_rule_effect(rule, user_is_allowed)
        evidence = rule["evidence"]
        if evidence is None:
            evidence = "nothing"
        table.add_row(rule["rule"], rule["mode"], effect, escape(replace_unprintable(evidence)))
    return table


def _describe_rule_effect(rule: dict[str, Any], user_is_allowed: bool) -> str:
    if rule["evidence"] is None:
        return ""
    if user_is_allowed and rule["rule"] != "deny":
        return "none: in allow"
    return MODE_EFFECTS[rule["mode"]]


def _build_signs_table(signs: list[dict[str, Any]]) -> Table:
    table = Table("sign of a machine", "shown as", "evidence", box=None, pad_edge=False)
    for sign in signs:
        evidence = escape(replace_unprintable(sign["evidence"]))
        table.add_row(sign["sign"], sign["strength"], evidence)
    return table


def _print_styled(line: str, style: str = "") -> None:
    out.print(replace_unprintable(line), style=style, markup=False, soft_wrap=True)
