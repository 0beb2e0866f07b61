"""What is told of a run: a mail that every client can show, its plain text, and a few lines for a chat."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from matplotlib.figure import Figure

from dawnlist.components.notify import charts, formats, rerun, score_tables, tables
from dawnlist.components.notify.facts import Facts
from dawnlist.components.notify.outcome import Outcome, determine_outcome
from dawnlist.components.notify.page import PAGE_SECTIONS, SectionSpec, list_run_attributes
from dawnlist.components.notify.summary import align_rows, summarise_steps
from dawnlist.components.notify.tables import TextTable
from dawnlist.cuts import format_stamp, parse_as_of
from dawnlist.messages.masking import anonymise_json
from dawnlist.messages.message import Message
from dawnlist.pages import render_page, render_text
from dawnlist.records.registry import Publication
from dawnlist.records.run_records import StepRecord
from dawnlist.settings import NotifySettings
from dawnlist.urls import mask_passwords

MAIL_SECTIONS: Final = (
    "Models",
    "Gate",
    "Publication",
    "Rows",
    "Late rows",
    "Freshness and drift",
    "Bots",
    "Search",
    "Steps",
)
"""Of the page's parts; a mail tells less."""
PICTURED_SECTIONS: Final = ("Models", "Rows", "Steps")
MAX_MAIL_ROWS: Final = 16
"""Of a table; the page has them all."""


@dataclass(frozen=True)
class MessageContext:
    """What a message says that the run's record does not."""

    parameters: Mapping[str, Any]
    """What the run was given."""
    champion: Publication | None
    """What is live."""
    links: Mapping[str, str]
    """Words -> address."""


def build_report_links(settings: NotifySettings, as_of: str, run: str) -> dict[str, str]:
    """Where a browser shows the run and its report, as far as the settings say."""
    found = {}
    if settings.kubeflow_url:
        found["The run in Kubeflow"] = f"{settings.kubeflow_url}/#/runs/details/{run}"
    if settings.reports_url:
        found["The whole report"] = (
            f"{settings.reports_url}/{format_stamp(parse_as_of(as_of))}/{run}.html"
        )
    return found


def build_run_message(facts: Facts, around: MessageContext) -> Message:
    """The message about a run. Nothing in it is secret or personal."""
    facts = replace(facts, records=anonymise_json(facts.records))
    verdict = determine_outcome(facts)
    pictures: dict[str, bytes] = {}

    def draw(figure: Figure) -> str:
        name = f"picture-{len(pictures) + 1}"
        pictures[name] = charts.encode_png(figure)
        return f"cid:{name}"

    parts = [*_select_urgent_sections(verdict, around), *_select_report_sections(verdict)]
    shown = {
        "facts": facts,
        "outcome": verdict,
        "about": list_run_attributes(facts),
        "sections": [section for part in parts if (section := part.section(facts, draw))],
        "most_rows": MAX_MAIL_ROWS,
        "links": around.links,
    }
    return Message(
        _build_message_key(facts),
        datetime.now(UTC),
        _format_subject(facts, verdict),
        render_text("components/notify/mail.md", **shown, aligned=align_rows),
        render_text(
            "components/notify/chat.md",
            **shown,
            lines=summarise_steps(facts),
            failing=_describe_failed_rules(facts),
        ),
        render_page("components/notify/mail.html", **shown),
        pictures,
    )


def _select_urgent_sections(verdict: Outcome, around: MessageContext) -> list[SectionSpec]:
    """What to know and to do when a run broke; what is live when it changed nothing."""
    live = SectionSpec(
        "Live meanwhile", [lambda facts: _tabulate_live_version(facts, around.champion)]
    )
    if verdict.tone != "bad":
        return [] if verdict.state == "published" else [live]
    given = rerun.select_changed_parameters(around.parameters)
    own = "; ".join(f"{name} {rerun.format_parameter(value)}" for name, value in around.parameters.items()
                    if name not in given and value != "")  # fmt: skip
    return [
        PAGE_SECTIONS[0],
        SectionSpec(
            "Run it again",
            code=lambda facts: mask_passwords(rerun.build_rerun_command(around.parameters)),
        ),
        live,
        SectionSpec(
            "Parameters",
            [lambda facts: _tabulate_pairs(given)],
            lambda facts: [f"The others are the pipeline's own: {own}."],
        ),
    ]


def _tabulate_live_version(facts: Facts, found: Publication | None) -> TextTable:
    """The last good version."""
    if found is None:
        return _tabulate_pairs({"version": "none was ever published"})
    age = (parse_as_of(facts.as_of) - parse_as_of(found["as_of"])).total_seconds() / 86400
    named = {name.replace("_", " "): found[name] for name in ("version", "as_of", "winner", "run")}
    return _tabulate_pairs(named | {"older than this run by": f"{age:.1f} days"})


def _tabulate_pairs(values: Mapping[str, Any]) -> TextTable:
    rows = [
        [name, formats.sanitise_json(rerun.format_parameter(value))]
        for name, value in values.items()
        if value != ""
    ]
    return TextTable(["", ""], rows, (0, 1))


def _select_report_sections(verdict: Outcome) -> list[SectionSpec]:
    """What the report's page says, in less."""
    pictures = PICTURED_SECTIONS if verdict.tone != "bad" else ()
    kept = {part.title: part for part in PAGE_SECTIONS if part.title in MAIL_SECTIONS}
    kept["Search"] = replace(kept["Search"], rows=[score_tables.build_best_trials_table])
    kept["Steps"] = replace(
        kept["Steps"],
        rows=[lambda facts: tables.build_durations_table(facts, missing=False)],
        notes=_note_missing_steps,
    )
    return [
        part if part.title in pictures else replace(part, picture=lambda facts: None)
        for part in kept.values()
    ]


def _note_missing_steps(facts: Facts) -> list[str]:
    return [f"Did not run: {', '.join(facts.not_run)}."] if facts.not_run else []


def _describe_failed_rules(facts: Facts) -> list[str]:
    """The gate's rules that stopped the run, with what they found."""
    table = score_tables.build_gate_table(facts)
    rows = zip(facts.listing("gate", "rules"), table.rows if table else [], strict=True)
    return [f"{name}: {value}, {limit}: {answer}" for rule, (name, value, limit, answer) in rows
            if rule.get("passed") is not True]  # fmt: skip


def _build_message_key(facts: Facts) -> str:
    """The shop, the run, and what its record says: a run that was tried again and ended otherwise is told again."""
    said = hashlib.sha256(json.dumps(facts.records).encode()).hexdigest()[:16]
    return f"{facts.shop}/{format_stamp(parse_as_of(facts.as_of))}/{facts.run}/{said}"


def _format_subject(facts: Facts, verdict: Outcome) -> str:
    """What to know before opening it: the shop, what happened, the day."""
    broken: StepRecord = facts.broken or {}
    error = broken["error"] if isinstance(broken.get("error"), dict) else {}
    detail = {
        "published": f"version {formats.format_json_value(facts.of_step('publish', 'version'))}",
        "failed": f"{broken.get('step')}: {error.get('type', 'an error')}",
        "killed": str(broken.get("step")),
        "stopped": f"before {next(iter(facts.not_run), 'its end')}",
        "kept": str(facts.of_step("gate", "reason") or "").partition(":")[0],
    }.get(verdict.state, "")
    label = verdict.label.upper() if verdict.tone == "bad" else verdict.label
    day = f"{parse_as_of(facts.as_of):%Y-%m-%d %H:%M}"
    return (
        f"[{facts.shop}] {label}: {detail}, {day} UTC"
        if detail
        else f"[{facts.shop}] {label}, {day} UTC"
    )
