"""The report as one self-contained HTML page."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from dawnlist.components.notify import (
    charts,
    glossary,
    item_tables,
    model_tables,
    score_tables,
    step_tables,
    tables,
    unknown_events,
)
from dawnlist.components.notify import notes as section_notes
from dawnlist.components.notify.facts import Facts
from dawnlist.components.notify.formats import (
    MISSING_VALUE_MARK,
    format_duration,
    format_json_value,
)
from dawnlist.components.notify.outcome import determine_outcome
from dawnlist.components.notify.tables import TextTable
from dawnlist.pages import render_page

TableBuilder = Callable[[Facts], TextTable | None]
NotesBuilder = Callable[[Facts], list[str]]
FigureBuilder = Callable[[Facts], Figure | None]
FigureEncoder = Callable[[Figure], str]
"""Encodes a picture, and returns the address for the `src` of its image."""


@dataclass(frozen=True)
class PageSection:
    """One card of the page, as the template takes it."""

    title: str
    """The heading."""
    notes: Sequence[str] = ()
    """The paragraphs above the tables."""
    tables: Sequence[TextTable] = ()
    """The tables, one below the other."""
    picture: str = ""
    """The picture's address."""
    caption: str = ""
    """The text above the picture."""
    code: str = ""
    """Text in a fixed-width font."""
    wide: bool = False
    """Whether the card takes the whole width of the page."""


@dataclass(frozen=True)
class SectionSpec:
    """How to make one card. Without tables, code and picture there is no card."""

    title: str
    """The heading."""
    tables: Sequence[TableBuilder] = ()
    """The functions that build the tables."""
    notes: NotesBuilder = lambda facts: []
    """The function that writes the paragraphs above the tables."""
    picture: FigureBuilder = lambda facts: None
    """The function that draws the picture."""
    caption: str = ""
    """The text above the picture."""
    code: Callable[[Facts], str] = lambda facts: ""
    """The function that writes text in a fixed-width font."""
    wide: bool = False
    """Whether the card takes the whole width of the page."""

    def build_section(self, facts: Facts, encode: FigureEncoder) -> PageSection | None:
        """Build the card, or return None if it would be empty.

        A card that can't be built says why. The report must not fail, because it may be about
        a failure itself.
        """
        try:
            return self._build_content(facts, encode)
        except Exception as error:
            reason = f"This part can't be shown: {type(error).__name__}: {error}"
            return PageSection(self.title, [reason])

    def _build_content(self, facts: Facts, encode: FigureEncoder) -> PageSection | None:
        built_tables = [build_table(facts) for build_table in self.tables]
        filled_tables = [table for table in built_tables if table is not None]
        figure = self.picture(facts)
        code = self.code(facts)
        picture = encode(figure) if figure else ""
        if not (filled_tables or picture or code):
            return None
        return PageSection(
            title=self.title,
            notes=self.notes(facts),
            tables=filled_tables,
            picture=picture,
            caption=self.caption,
            code=code,
            wide=self.wide,
        )


def build_sections(
    specs: Sequence[SectionSpec], facts: Facts, encode: FigureEncoder
) -> list[PageSection]:
    """Build the cards, without those that would be empty."""
    sections = [spec.build_section(facts, encode) for spec in specs]
    return [section for section in sections if section is not None]


def render_run_page(facts: Facts) -> str:
    """Render the page. All text is escaped, wherever it comes from."""
    return render_page(
        "components/notify/page.html",
        facts=facts,
        outcome=determine_outcome(facts),
        about=list_run_attributes(facts),
        sections=build_sections(PAGE_SECTIONS, facts, charts.encode_svg),
    )


def list_run_attributes(facts: Facts) -> list[tuple[str, str]]:
    """List what stands below the headline."""
    attributes = [("As of", facts.as_of_text), ("Run", facts.run), ("Shop", facts.shop)]
    version = facts.get_value("publish", "version")
    if version is not None:
        attributes.append(("Version", format_json_value(version)))
    code_versions = {
        str(record["code_version"]) for record in facts.records if "code_version" in record
    }
    code = ", ".join(sorted(code_versions)) or MISSING_VALUE_MARK
    attributes.append(("Code", code))
    attributes.append(("Steps", format_duration(facts.step_seconds)))
    attributes += facts.registrations.items()
    return attributes


FAILURE_SECTION = SectionSpec(
    "Failure",
    notes=section_notes.note_broken_step,
    code=section_notes.format_traceback,
    wide=True,
)
PAGE_SECTIONS = (
    FAILURE_SECTION,
    SectionSpec(
        "Models",
        [
            model_tables.build_metrics_table,
            model_tables.build_differences_table,
            model_tables.build_segments_table,
        ],
        section_notes.note_evaluation,
        charts.plot_models,
        "On the holdout, higher is better",
        wide=True,
    ),
    # The card is wide because half a page would cut off the names of the rules.
    SectionSpec("Gate", [score_tables.build_gate_table], section_notes.note_gate_reason, wide=True),
    SectionSpec("Publication", [step_tables.build_publication_table]),
    SectionSpec("Most shown", [step_tables.build_most_shown_table]),
    SectionSpec(
        "Search",
        [score_tables.build_trials_table],
        section_notes.note_search,
        charts.plot_trials,
        "On validation, higher is better",
        wide=True,
    ),
    SectionSpec(
        "Learning curves",
        [score_tables.build_rungs_table],
        picture=charts.plot_learning_curves,
        caption="The metric by sweeps. Grey trials were dropped. The last step of the best trial "
        "is its share of popularity",
        wide=True,
    ),
    SectionSpec(
        "Trade-off",
        picture=charts.plot_trade_off,
        caption="The metric after the first rung, by factors. Grey trials were dropped later",
    ),
    SectionSpec(
        "Rows",
        [tables.build_volumes_table],
        picture=charts.plot_daily_volumes,
        caption="New clean rows of each day",
        wide=True,
    ),
    SectionSpec(
        "Unknown events",
        [unknown_events.build_unknown_events_table],
        section_notes.note_unknown_events,
    ),
    SectionSpec("Files", [tables.build_passed_over_table]),
    SectionSpec("Late rows", [tables.build_late_rows_table], section_notes.note_backfill),
    SectionSpec("Withdrawn items", [item_tables.build_withdrawn_table]),
    SectionSpec("Freshness and drift", [tables.build_freshness_table]),
    SectionSpec("Bots", [tables.build_bots_table], section_notes.note_dropped_events, wide=True),
    SectionSpec("Splits", [step_tables.build_splits_table]),
    SectionSpec("Popularity by window", [model_tables.build_popularity_windows_table], wide=True),
    SectionSpec(
        "Steps",
        [step_tables.build_durations_table],
        section_notes.note_durations,
        charts.plot_step_durations,
        "Time of each step",
        wide=True,
    ),
    SectionSpec("Words", [glossary.build_glossary_table], wide=True),
)
"""The cards from top to bottom. A card whose step did not run is left out."""
