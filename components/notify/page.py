"""The report as one HTML page that needs nothing from outside itself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from dawnlist.components.notify import charts, formats, score_tables, tables
from dawnlist.components.notify.facts import Facts
from dawnlist.components.notify.outcome import determine_outcome
from dawnlist.components.notify.tables import TextTable
from dawnlist.pages import render_page

TableBuilder = Callable[[Facts], TextTable | None]
NotesBuilder = Callable[[Facts], list[str]]
FigureBuilder = Callable[[Facts], Figure | None]
FigureEncoder = Callable[[Figure], str]
"""Makes a picture into the address that it is shown by."""


@dataclass(frozen=True)
class PageSection:
    """One card of the page, ready to be shown."""

    title: str
    notes: Sequence[str] = ()
    tables: Sequence[TextTable] = ()
    picture: str = ""
    """The picture's address."""
    caption: str = ""
    code: str = ""
    wide: bool = False


@dataclass(frozen=True)
class SectionSpec:
    """What a card is made of; without rows, code or picture there is none."""

    title: str
    rows: Sequence[TableBuilder] = ()
    notes: NotesBuilder = lambda facts: []
    picture: FigureBuilder = lambda facts: None
    caption: str = ""
    code: Callable[[Facts], str] = lambda facts: ""
    wide: bool = False

    def section(self, facts: Facts, draw: FigureEncoder) -> PageSection | None:
        """The card; one that can't be shown says why, since a report that fails hides the failure it is about."""
        try:
            found = [table for make in self.rows if (table := make(facts))]
            figure, code = self.picture(facts), self.code(facts)
            picture = draw(figure) if figure else ""
            shown = found or picture or code
            notes = self.notes(facts) if shown else []
        except Exception as error:
            return PageSection(
                self.title, [f"This part can't be shown: {type(error).__name__}: {error}"]
            )
        return (
            PageSection(self.title, notes, found, picture, self.caption, code, self.wide)
            if shown
            else None
        )


def render_run_page(facts: Facts) -> str:
    """The whole page. Text of any origin comes out escaped."""
    sections = [
        section for part in PAGE_SECTIONS if (section := part.section(facts, charts.encode_svg))
    ]
    return render_page(
        "components/notify/page.html",
        facts=facts,
        outcome=determine_outcome(facts),
        about=list_run_attributes(facts),
        sections=sections,
    )


def list_run_attributes(facts: Facts) -> list[tuple[str, str]]:
    """What stands under the headline."""
    versions = sorted(
        {str(record["code_version"]) for record in facts.records if "code_version" in record}
    )
    found = [("As of", facts.as_of), ("Run", facts.run), ("Shop", facts.shop)]
    if facts.of_step("publish", "version") is not None:
        found.append(("Version", formats.format_json_value(facts.of_step("publish", "version"))))
    return [
        *found,
        ("Code", ", ".join(versions) or formats.MISSING_VALUE_MARK),
        ("Steps", formats.format_duration(facts.step_seconds)),
    ]


def _note_broken_step(facts: Facts) -> list[str]:
    record = facts.broken or {}
    return [
        ", ".join(
            f"{name} {record[name]}"
            for name in ("step", "host", "pid", "started", "ended")
            if name in record
        )
    ]


def _format_traceback(facts: Facts) -> str:
    if facts.broken is None:
        return ""
    error = facts.broken.get("error")
    found = (error.get("traceback") or error.get("message")) if isinstance(error, dict) else None
    lines = str(
        found or "It left no traceback: a process that is killed can't write one."
    ).splitlines()
    return "\n".join(
        line for line in lines if line.strip(" ^~") or not line.strip()
    )  # marks below a line of code


def _note_evaluation(facts: Facts) -> list[str]:
    users = formats.format_count(facts.of_step("evaluate", "evaluated_users"))
    repeats = formats.format_percent(facts.of_step("evaluate", "repeat_share"))
    over = f"Over {users} users with history; {repeats} of the holdout are repeats, which no list can hit."
    return [over, *score_tables.describe_comparison(facts)]


def _note_gate_reason(facts: Facts) -> list[str]:
    reason = str(facts.of_step("gate", "reason") or "")
    return [f"{reason[:1].upper()}{reason[1:]}."] if reason else []


def _note_search(facts: Facts) -> list[str]:
    trials = facts.listing("tune", "trials")
    same = [
        name
        for name in score_tables.HYPER_PARAMETERS
        if name in trials[0] and name not in score_tables.list_varying_parameters(trials)
    ]
    shown = (
        f"The best {score_tables.MAX_TABLE_TRIALS} of {len(trials)} trials. "
        if len(trials) > score_tables.MAX_TABLE_TRIALS
        else ""
    )
    tried = str(facts.of_step("tune", "searched") or "")
    notes = [f"{tried[:1].upper()}{tried[1:]}."] if tried else []
    return [
        *notes,
        f"{shown}The same in all: {score_tables.describe_trial(trials[0], same)}."
        if same
        else shown,
    ]


def _note_dropped_events(facts: Facts) -> list[str]:
    return [f"{tables.describe_dropped_events(facts)}."]


def _note_backfill(facts: Facts) -> list[str]:
    return [tables.describe_backfill(facts)[:1].upper() + tables.describe_backfill(facts)[1:]]


def _note_durations(facts: Facts) -> list[str]:
    return [
        f"Steps took {formats.format_duration(facts.step_seconds)} in all; the run {formats.format_duration(facts.wall_seconds)}."
    ]


PAGE_SECTIONS = (
    SectionSpec("Failure", notes=_note_broken_step, code=_format_traceback, wide=True),
    SectionSpec(
        "Models",
        [
            score_tables.build_metrics_table,
            score_tables.build_differences_table,
            score_tables.build_segments_table,
        ],
        _note_evaluation,
        charts.plot_models,
        "On the holdout, higher is better",
        wide=True,
    ),
    SectionSpec(
        "Gate", [score_tables.build_gate_table], _note_gate_reason, wide=True
    ),  # half a page would cut off what each rule says
    SectionSpec("Publication", [tables.build_publication_table]),
    SectionSpec("Most shown", [tables.build_most_shown_table]),
    SectionSpec(
        "Search",
        [score_tables.build_trials_table],
        _note_search,
        charts.plot_trials,
        "On validation, higher is better",
        wide=True,
    ),
    SectionSpec(
        "Learning curves",
        [score_tables.build_rungs_table],
        picture=charts.plot_learning_curves,
        caption="By sweeps; grey: dropped; the best one's last step is its share of popularity",
        wide=True,
    ),
    SectionSpec(
        "Trade-off",
        picture=charts.plot_trade_off,
        caption="After the first rung, by factors; grey: dropped later",
    ),
    SectionSpec(
        "Rows",
        [tables.build_volumes_table],
        picture=charts.plot_daily_volumes,
        caption="New clean rows a day",
        wide=True,
    ),
    SectionSpec("Late rows", [tables.build_late_rows_table], _note_backfill),
    SectionSpec("Freshness and drift", [tables.build_freshness_table]),
    SectionSpec("Bots", [tables.build_bots_table], _note_dropped_events, wide=True),
    SectionSpec("Splits", [tables.build_splits_table]),
    SectionSpec("Popularity by window", [score_tables.build_popularity_windows_table]),
    SectionSpec(
        "Steps",
        [tables.build_durations_table],
        _note_durations,
        charts.plot_step_durations,
        "Time by step",
        wide=True,
    ),
)
"""The page from top to bottom; a part whose step did not run is left out, and the steps say so."""
