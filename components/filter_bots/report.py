"""The drop report, for people. User agents and ids in it are hostile text."""

import re
from typing import Any

from jinja2 import Environment

Report = dict[str, Any]
_SHOWN = 160
_MARKUP = re.compile(r"[^A-Za-z0-9 ,;/%().-]|(?<!\d)\.|\.(?!\d)")  # dots outside numbers: www.… becomes a link


def escaped(text: object) -> str:
    """One line of text that is only text, in Markdown as in HTML: neither reads character references as markup."""
    line = " ".join(str(text).split())
    cut = line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…"
    return _MARKUP.sub(lambda found: f"&#{ord(found[0])};", cut)


def markdown(report: Report) -> str:
    """The report that `judge` returns, as Markdown."""
    lines = [
        "# Dropped interactions",
        "",
        f"{report['dropped_events']:,} of {report['events']:,} events ({report['share']:.1%}) by "
        f"{report['dropped_users']:,} of {report['users']:,} users were dropped; "
        f"{report['agents']:,} user agents were seen.",
        "",
        "| rule | mode | users | events | share |",
        "|---|---|---:|---:|---:|",
    ]
    for rule in report["rules"]:
        name = escaped(rule["rule"])
        lines.append(f"| {name} | {rule['mode']} | {rule['users']:,} | {rule['events']:,} | {rule['share']:.2%} |")
    for rule in report["rules"]:
        if rule["examples"]:
            lines += ["", f"## {escaped(rule['rule'])}", "", "| user | events | evidence |", "|---|---:|---|"]
        for example in rule["examples"]:
            lines.append(f"| {escaped(example['user_id'])} | {example['events']:,} | {escaped(example['evidence'])} |")
    return "\n".join(lines) + "\n"


def html(report: Report) -> str:
    """The same as a whole HTML page."""
    return _TEMPLATE.render(report=report)


_TEMPLATE = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
    """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Dropped interactions</title>
<style>
body { font-family: sans-serif; margin: 2em; } table { border-collapse: collapse; margin: 1em 0; }
td, th { border: 1px solid #ccc; padding: .3em .6em; text-align: left; } td.n { text-align: right; }
</style></head><body>
<h1>Dropped interactions</h1>
<p>{{ "{:,}".format(report.dropped_events) }} of {{ "{:,}".format(report.events) }} events
({{ "{:.1%}".format(report.share) }}) by {{ "{:,}".format(report.dropped_users) }} of
{{ "{:,}".format(report.users) }} users were dropped; {{ "{:,}".format(report.agents) }} user agents were seen.</p>
<table><tr><th>rule</th><th>mode</th><th>users</th><th>events</th><th>share</th></tr>
{% for rule in report.rules %}
<tr><td>{{ rule.rule }}</td><td>{{ rule.mode }}</td><td class="n">{{ "{:,}".format(rule.users) }}</td>
<td class="n">{{ "{:,}".format(rule.events) }}</td><td class="n">{{ "{:.2%}".format(rule.share) }}</td></tr>
{% endfor %}
</table>
{% for rule in report.rules if rule.examples %}
<h2>{{ rule.rule }}</h2>
<table><tr><th>user</th><th>events</th><th>evidence</th></tr>
{% for example in rule.examples %}
<tr><td>{{ example.user_id }}</td><td class="n">{{ "{:,}".format(example.events) }}</td>
<td>{{ example.evidence }}</td></tr>
{% endfor %}
</table>
{% endfor %}
</body></html>
"""
)
