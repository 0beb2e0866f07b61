"""What `dawnlist bots …` shows on a terminal; agents, ids and evidence are hostile text."""

from typing import Any

from rich.markup import escape
from rich.table import Table

from dawnlist.pipelines.terminal import err, out
from dawnlist.urls import replace_unprintable


def show_drop_counts(report: dict[str, Any], said: str) -> None:
    """What became of a file and what each rule has found, on stderr, so that it is in nobody's table."""
    lines = [said]
    for rule in report["rules"]:
        if rule["events"] or rule["mode"] != "on":
            lines.append(
                f"{rule['rule']} ({rule['mode']}): {rule['users']:,} users, {rule['events']:,} events"
            )
    lines.append(
        f"dropped: {report['dropped_events']:,} of {report['events']:,} events ({report['share']:.1%}), "
        f"{report['dropped_users']:,} of {report['users']:,} users"
    )
    for line in lines:
        err.print(replace_unprintable(line), markup=False, soft_wrap=True)


def show_explanation(found: dict[str, Any]) -> None:
    """Print what every rule says of a user."""
    _print_line(f"user {found['user_id']} is {found['verdict']}: {found['because']}", "bold")
    _print_line(
        f"{found['events']:,} events on {found['days']:,} days of [{found['start']}, {found['end']})"
    )
    for agent in found["agents"]:
        rule = f", {agent['rule']}" if agent["rule"] else ""
        _print_line(f"  {agent['events']:,} by {agent['user_agent'] or 'no agent'}{rule}", "dim")
    for network in found["networks"]:
        _print_line(f"  {network['events']:,} from {network['ip'] or 'no address'}", "dim")
    table = Table("rule", "mode", "effect", "says", box=None, pad_edge=False)
    for rule in found["rules"]:
        table.add_row(
            rule["rule"],
            rule["mode"],
            *(
                escape(replace_unprintable(text))
                for text in _describe_rule_effect(rule, found["allowed"])
            ),
        )
    out.print()
    out.print(table)
    if found["habits"]:
        out.print()
        out.print(_build_habits_table(found["habits"]))


def _build_habits_table(habits: list[dict[str, Any]]) -> Table:
    table = Table("habit", box=None, pad_edge=False)
    for heading in ("this user", "people: from", "to", "sd towards robots"):
        table.add_column(heading, justify="right")
    for one in habits:
        numbers = (f"{one[name]:,.3g}" for name in ("value", "low", "high", "score"))
        table.add_row(one["habit"], *numbers)
    return table


def _describe_rule_effect(rule: dict[str, Any], allowed: bool) -> tuple[str, str]:
    if rule["evidence"] is None:
        return "", "nothing"
    if allowed and rule["rule"] != "deny":
        return "none: in allow", rule["evidence"]
    return {"on": "drops", "shadow": "none: in shadow", "off": "none: off"}[rule["mode"]], rule[
        "evidence"
    ]


def _print_line(line: str, style: str = "") -> None:
    out.print(replace_unprintable(line), style=style, markup=False, soft_wrap=True)
