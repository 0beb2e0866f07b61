"""The message about a run: a mail for every client, its plain text, and a few lines for a chat."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

from matplotlib.figure import Figure

from dawnlist.components.notify import charts, notes, rerun, score_tables, step_tables
from dawnlist.components.notify.facts import Facts
from dawnlist.components.notify.formats import format_json_value, sanitise_json
from dawnlist.components.notify.outcome import Outcome, determine_outcome
from dawnlist.components.notify.page import (
    FAILURE_SECTION,
    PAGE_SECTIONS,
    SectionSpec,
    build_sections,
    list_run_attributes,
)
from dawnlist.components.notify.summary import align_rows, summarise_steps
from dawnlist.components.notify.tables import TextTable
from dawnlist.cuts import format_stamp, parse_as_of
from dawnlist.messages.masking import anonymise_json
from dawnlist.messages.message import Message
from dawnlist.pages import render_page, render_text
from dawnlist.records.registry import Publication
from dawnlist.records.winner_names import describe_winner
from dawnlist.settings import NotifySettings
from dawnlist.urls import mask_passwords

MAIL_SECTIONS: Final = (
    "Models",
    "Gate",
    "Publication",
    "Rows",
    "Unknown events",
    "Late rows",
    "Freshness and drift",
    "Bots",
    "Search",
    "Steps",
)
"""The cards of the page that a mail has too."""
PICTURED_SECTIONS: Final = ("Models", "Rows", "Steps")
"""The cards that have a picture in the mail, unless the run broke."""
MAX_MAIL_ROWS: Final = 16
"""A table has at most so many rows in a mail; the page has them all."""


@dataclass(frozen=True)
class MessageContext:
    """What a message needs beside the run's record."""

    parameters: Mapping[str, Any]
    """The parameters that the run was started with."""
    champion: Publication | None
    """The version that is live, or None."""
    links: Mapping[str, str]
    """The text of each link -> its address."""


@dataclass
class _MailPictures:
    """The pictures of a mail, by the names that its HTML refers to."""

    by_name: dict[str, bytes] = field(default_factory=dict)

    def add(self, figure: Figure) -> str:
        """Add a picture, and return the address for its image."""
        name = f"picture-{len(self.by_name) + 1}"
        self.by_name[name] = charts.encode_png(figure)
        return f"cid:{name}"


def build_report_links(settings: NotifySettings, as_of: datetime, run: str) -> dict[str, str]:
    """Build the links to the run and to its report, where the settings have the addresses."""
    links = {}
    if settings.kubeflow_url:
        links["The run in Kubeflow"] = f"{settings.kubeflow_url}/#/runs/details/{run}"
    if settings.reports_url:
        day = format_stamp(as_of)
        links["The whole report"] = f"{settings.reports_url}/{day}/{run}.html"
    return links


def build_run_message(facts: Facts, context: MessageContext) -> Message:
    """Build the message about a run. Secrets and personal data are masked."""
    facts = replace(facts, records=anonymise_json(facts.records))
    outcome = determine_outcome(facts)
    specs = _select_urgent_sections(outcome, context) + _select_report_sections(outcome)
    pictures = _MailPictures()
    variables = {
        "facts": facts,
        "outcome": outcome,
        "about": list_run_attributes(facts),
        "sections": build_sections(specs, facts, pictures.add),
        "most_rows": MAX_MAIL_ROWS,
        "links": context.links,
    }
    chat_variables = {
        "lines": summarise_steps(facts),
        "failing": score_tables.describe_failed_rules(facts),
    }
    return Message(
        _build_message_key(facts),
        datetime.now(UTC),
        _format_subject(facts, outcome),
        render_text("components/notify/mail.md", **variables, aligned=align_rows),
        render_text("components/notify/chat.md", **variables, **chat_variables),
        render_page("components/notify/mail.html", **variables),
        pictures.by_name,
    )


def _select_urgent_sections(outcome: Outcome, context: MessageContext) -> list[SectionSpec]:
    """Select the cards at the top: how to repair a broken run, and what is live without it."""
    tabulate_live_version = partial(_tabulate_live_version, champion=context.champion)
    live_section = SectionSpec("Live version", [tabulate_live_version])
    if outcome.state == "published":
        return []
    if outcome.tone != "bad":
        return [live_section]
    return [
        FAILURE_SECTION,
        _specify_rerun_section(context.parameters),
        live_section,
        _specify_parameter_section(context.parameters),
    ]


def _specify_rerun_section(parameters: Mapping[str, Any]) -> SectionSpec:
    """Specify the card with the command that runs the day again."""

    def format_command(facts: Facts) -> str:
        return mask_passwords(rerun.build_rerun_command(parameters))

    return SectionSpec("Run it again", code=format_command)


def _specify_parameter_section(parameters: Mapping[str, Any]) -> SectionSpec:
    """Specify the card with the run's parameters: changed ones in a table, others in a note."""
    changed_parameters = rerun.select_changed_parameters(parameters)
    defaults = []
    for name, value in rerun.list_parameters(parameters).items():
        if name not in changed_parameters and value != "":
            defaults.append(f"{name} {rerun.format_parameter(value)}")

    def tabulate_changes(facts: Facts) -> TextTable:
        return _tabulate_pairs(changed_parameters)

    def note_defaults(facts: Facts) -> list[str]:
        return [f"The other parameters have the pipeline's defaults: {'; '.join(defaults)}."]

    return SectionSpec("Parameters", [tabulate_changes], note_defaults)


def _tabulate_live_version(facts: Facts, champion: Publication | None) -> TextTable:
    """Show the version that is live, and how much older it is than the run's day."""
    if champion is None:
        return _tabulate_pairs({"version": "none has been published yet"})
    age = facts.as_of - parse_as_of(champion["as_of"])
    days = age.total_seconds() / 86400
    values = {
        "version": champion["version"],
        "as of": champion["as_of"],
        "winner": describe_winner(champion),
        "run": champion["run"],
        "older than this run by": f"{days:.1f} days",
    }
    return _tabulate_pairs(values)


def _tabulate_pairs(values: Mapping[str, Any]) -> TextTable:
    """Show names and values, without empty values."""
    rows = []
    for name, value in values.items():
        if value != "":
            rows.append([name, sanitise_json(rerun.format_parameter(value))])
    return TextTable(["", ""], rows, words=(0, 1))


def _select_report_sections(outcome: Outcome) -> list[SectionSpec]:
    """Select the cards of the page that the mail has too, some of them shortened."""
    sections = []
    for spec in PAGE_SECTIONS:
        if spec.title in MAIL_SECTIONS:
            shortened = _shorten_section(spec)
            if outcome.tone == "bad" or spec.title not in PICTURED_SECTIONS:
                shortened = replace(shortened, picture=_draw_nothing)
            sections.append(shortened)
    return sections


def _shorten_section(spec: SectionSpec) -> SectionSpec:
    if spec.title == "Search":
        return replace(spec, tables=[score_tables.build_best_trials_table])
    if spec.title == "Steps":
        build_table = partial(step_tables.build_durations_table, missing=False)
        return replace(spec, tables=[build_table], notes=notes.note_missing_steps)
    return spec


def _draw_nothing(facts: Facts) -> None:
    return None


def _build_message_key(facts: Facts) -> str:
    """Build the key from the shop, the run, and the content of its record.

    A run that was tried again and ended otherwise has another key, so a message is sent again.
    """
    digest = hashlib.sha256(json.dumps(facts.records).encode()).hexdigest()[:16]
    return f"{facts.shop}/{format_stamp(facts.as_of)}/{facts.run}/{digest}"


def _format_subject(facts: Facts, outcome: Outcome) -> str:
    """Write the subject: the shop, what happened, and the day."""
    label = outcome.label.upper() if outcome.tone == "bad" else outcome.label
    detail = _format_detail(facts, outcome)
    if detail:
        label = f"{label}: {detail}"
    return f"[{facts.shop}] {label}, {facts.as_of:%Y-%m-%d %H:%M} UTC"


def _format_detail(facts: Facts, outcome: Outcome) -> str:
    """Add the most important detail to the subject, or nothing."""
    broken_record = facts.broken_record or {}
    match outcome.state:
        case "published":
            version = facts.get_value("publish", "version")
            return f"version {format_json_value(version)}"
        case "failed":
            return f"{broken_record.get('step')}: {_get_error_type(broken_record.get('error'))}"
        case "killed":
            return str(broken_record.get("step"))
        case "stopped":
            return f"before {next(iter(facts.not_run), 'its end')}"
        case "kept":
            return str(facts.get_value("gate", "reason") or "").partition(":")[0]
        case _:
            return ""


def _get_error_type(error: Any) -> str:
    if isinstance(error, dict):
        return str(error.get("type", "an error"))
    return "an error"
