"""What is told of a run: a mail that every client can show, its plain text, and a few lines for a chat."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from matplotlib.figure import Figure

from dawnlist.components.notify import charts, formats, rerun, scores, tables
from dawnlist.components.notify.facts import Facts
from dawnlist.components.notify.outcome import Outcome, outcome
from dawnlist.components.notify.page import PARTS, Part, about
from dawnlist.components.notify.summary import aligned, lines
from dawnlist.components.notify.tables import Table
from dawnlist.cuts import parse_as_of, stamp
from dawnlist.messages.message import Message
from dawnlist.messages.privacy import anonymised
from dawnlist.pages import plain, rendered
from dawnlist.records.registry import Publication
from dawnlist.records.runs import Record
from dawnlist.settings import NotifySettings
from dawnlist.urls import masked

SHOWN: Final = ("Models", "Gate", "Publication", "Rows", "Late rows", "Freshness and drift", "Bots", "Search", "Steps")
"""Of the page's parts; a mail tells less."""
WITH_PICTURE: Final = ("Models", "Rows", "Steps")
MOST_ROWS: Final = 16
"""Of a table; the page has them all."""


@dataclass(frozen=True)
class Around:
    """What a message says that the run's record does not."""

    parameters: Mapping[str, Any]
    """What the run was given."""
    champion: Publication | None
    """What is live."""
    links: Mapping[str, str]
    """Words -> address."""


def links(settings: NotifySettings, as_of: str, run: str) -> dict[str, str]:
    """Where a browser shows the run and its report, as far as the settings say."""
    found = {}
    if settings.kubeflow_url:
        found["The run in Kubeflow"] = f"{settings.kubeflow_url}/#/runs/details/{run}"
    if settings.reports_url:
        found["The whole report"] = f"{settings.reports_url}/{stamp(parse_as_of(as_of))}/{run}.html"
    return found


def message(facts: Facts, around: Around) -> Message:
    """The message about a run. Nothing in it is secret or personal."""
    facts = replace(facts, records=anonymised(facts.records))
    verdict = outcome(facts)
    pictures: dict[str, bytes] = {}

    def draw(figure: Figure) -> str:
        name = f"picture-{len(pictures) + 1}"
        pictures[name] = charts.png(figure)
        return f"cid:{name}"

    parts = [*_urgent(verdict, around), *_measured(verdict)]
    shown = {
        "facts": facts,
        "outcome": verdict,
        "about": about(facts),
        "sections": [section for part in parts if (section := part.section(facts, draw))],
        "most_rows": MOST_ROWS,
        "links": around.links,
    }
    return Message(
        _key(facts),
        datetime.now(UTC),
        _subject(facts, verdict),
        plain("components/notify/mail.md", **shown, aligned=aligned),
        plain("components/notify/chat.md", **shown, lines=lines(facts), failing=_failing(facts)),
        rendered("components/notify/mail.html", **shown),
        pictures,
    )


def _urgent(verdict: Outcome, around: Around) -> list[Part]:
    """What to know and to do when a run broke; what is live when it changed nothing."""
    live = Part("Live meanwhile", [lambda facts: _live(facts, around.champion)])
    if verdict.tone != "bad":
        return [] if verdict.state == "published" else [live]
    given = rerun.changed(around.parameters)
    own = "; ".join(f"{name} {rerun.text(value)}" for name, value in around.parameters.items()
                    if name not in given and value != "")  # fmt: skip
    return [
        PARTS[0],
        Part("Run it again", code=lambda facts: masked(rerun.command(around.parameters))),
        live,
        Part("Parameters", [lambda facts: _pairs(given)], lambda facts: [f"The others are the pipeline's own: {own}."]),
    ]


def _live(facts: Facts, found: Publication | None) -> Table:
    """The last good version."""
    if found is None:
        return _pairs({"version": "none was ever published"})
    age = (parse_as_of(facts.as_of) - parse_as_of(found["as_of"])).total_seconds() / 86400
    named = {name.replace("_", " "): found[name] for name in ("version", "as_of", "winner", "run")}
    return _pairs(named | {"older than this run by": f"{age:.1f} days"})


def _pairs(values: Mapping[str, Any]) -> Table:
    rows = [[name, formats.cleaned(rerun.text(value))] for name, value in values.items() if value != ""]
    return Table(["", ""], rows, (0, 1))


def _measured(verdict: Outcome) -> list[Part]:
    """What the report's page says, in less."""
    pictures = WITH_PICTURE if verdict.tone != "bad" else ()
    kept = {part.title: part for part in PARTS if part.title in SHOWN}
    kept["Search"] = replace(kept["Search"], rows=[scores.best])
    kept["Steps"] = replace(kept["Steps"], rows=[lambda facts: tables.durations(facts, missing=False)], notes=_not_run)
    return [part if part.title in pictures else replace(part, picture=lambda facts: None) for part in kept.values()]


def _not_run(facts: Facts) -> list[str]:
    return [f"Did not run: {', '.join(facts.not_run)}."] if facts.not_run else []


def _failing(facts: Facts) -> list[str]:
    """The gate's rules that stopped the run, with what they found."""
    table = scores.gate(facts)
    rows = zip(facts.listing("gate", "rules"), table.rows if table else [], strict=True)
    return [f"{name}: {value}, {limit}: {answer}" for rule, (name, value, limit, answer) in rows
            if rule.get("passed") is not True]  # fmt: skip


def _key(facts: Facts) -> str:
    """The shop, the run, and what its record says: a run that was tried again and ended otherwise is told again."""
    said = hashlib.sha256(json.dumps(facts.records).encode()).hexdigest()[:16]
    return f"{facts.shop}/{stamp(parse_as_of(facts.as_of))}/{facts.run}/{said}"


def _subject(facts: Facts, verdict: Outcome) -> str:
    """What to know before opening it: the shop, what happened, the day."""
    broken: Record = facts.broken or {}
    error = broken["error"] if isinstance(broken.get("error"), dict) else {}
    detail = {
        "published": f"version {formats.plain(facts.of_step('publish', 'version'))}",
        "failed": f"{broken.get('step')}: {error.get('type', 'an error')}",
        "killed": str(broken.get("step")),
        "stopped": f"before {next(iter(facts.not_run), 'its end')}",
        "kept": str(facts.of_step("gate", "reason") or "").partition(":")[0],
    }.get(verdict.state, "")
    label = verdict.label.upper() if verdict.tone == "bad" else verdict.label
    day = f"{parse_as_of(facts.as_of):%Y-%m-%d %H:%M}"
    return f"[{facts.shop}] {label}: {detail}, {day} UTC" if detail else f"[{facts.shop}] {label}, {day} UTC"
