"""The report as one HTML page that needs nothing from outside itself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from matplotlib.figure import Figure

from dawnlist.components.notify import charts, formats, scores, tables
from dawnlist.components.notify.facts import Facts
from dawnlist.components.notify.outcome import outcome
from dawnlist.components.notify.tables import Table
from dawnlist.pages import rendered

Rows = Callable[[Facts], Table | None]
Notes = Callable[[Facts], list[str]]
Picture = Callable[[Facts], Figure | None]
Draw = Callable[[Figure], str]
"""Makes a picture into the address that it is shown by."""


@dataclass(frozen=True)
class Section:
    """One card of the page, ready to be shown."""

    title: str
    notes: Sequence[str] = ()
    tables: Sequence[Table] = ()
    picture: str = ""
    """The picture's address."""
    caption: str = ""
    code: str = ""
    wide: bool = False


@dataclass(frozen=True)
class Part:
    """What a card is made of; without rows, code or picture there is none."""

    title: str
    rows: Sequence[Rows] = ()
    notes: Notes = lambda facts: []
    picture: Picture = lambda facts: None
    caption: str = ""
    code: Callable[[Facts], str] = lambda facts: ""
    wide: bool = False

    def section(self, facts: Facts, draw: Draw) -> Section | None:
        """The card; one that can't be shown says why, since a report that fails hides the failure it is about."""
        try:
            found = [table for make in self.rows if (table := make(facts))]
            figure, code = self.picture(facts), self.code(facts)
            picture = draw(figure) if figure else ""
            shown = found or picture or code
            notes = self.notes(facts) if shown else []
        except Exception as error:
            return Section(self.title, [f"This part can't be shown: {type(error).__name__}: {error}"])
        return Section(self.title, notes, found, picture, self.caption, code, self.wide) if shown else None


def page(facts: Facts) -> str:
    """The whole page. Text of any origin comes out escaped."""
    sections = [section for part in PARTS if (section := part.section(facts, charts.svg))]
    return rendered(
        "components/notify/page.html", facts=facts, outcome=outcome(facts), about=about(facts), sections=sections
    )


def about(facts: Facts) -> list[tuple[str, str]]:
    """What stands under the headline."""
    versions = sorted({str(record["code_version"]) for record in facts.records if "code_version" in record})
    found = [("As of", facts.as_of), ("Run", facts.run), ("Shop", facts.shop)]
    if facts.of_step("publish", "version") is not None:
        found.append(("Version", formats.plain(facts.of_step("publish", "version"))))
    return [*found, ("Code", ", ".join(versions) or formats.UNKNOWN), ("Steps", formats.seconds(facts.step_seconds))]


def _where_it_broke(facts: Facts) -> list[str]:
    record = facts.broken or {}
    return [
        ", ".join(f"{name} {record[name]}" for name in ("step", "host", "pid", "started", "ended") if name in record)
    ]


def _traceback(facts: Facts) -> str:
    if facts.broken is None:
        return ""
    error = facts.broken.get("error")
    found = (error.get("traceback") or error.get("message")) if isinstance(error, dict) else None
    lines = str(found or "It left no traceback: a process that is killed can't write one.").splitlines()
    return "\n".join(line for line in lines if line.strip(" ^~") or not line.strip())  # marks below a line of code


def _judged(facts: Facts) -> list[str]:
    users = formats.count(facts.of_step("evaluate", "evaluated_users"))
    repeats = formats.percent(facts.of_step("evaluate", "repeat_share"))
    over = f"Over {users} users with history; {repeats} of the holdout are repeats, which no list can hit."
    return [over, *scores.compared(facts)]


def _reason(facts: Facts) -> list[str]:
    reason = str(facts.of_step("gate", "reason") or "")
    return [f"{reason[:1].upper()}{reason[1:]}."] if reason else []


def _searched(facts: Facts) -> list[str]:
    trials = facts.listing("tune", "trials")
    same = [name for name in scores.HYPER_PARAMETERS if name in trials[0] and name not in scores.varying(trials)]
    shown = f"The best {scores.MOST_TRIALS} of {len(trials)} trials. " if len(trials) > scores.MOST_TRIALS else ""
    tried = str(facts.of_step("tune", "searched") or "")
    notes = [f"{tried[:1].upper()}{tried[1:]}."] if tried else []
    return [*notes, f"{shown}The same in all: {scores.named(trials[0], same)}." if same else shown]


def _dropped(facts: Facts) -> list[str]:
    return [f"{tables.dropped(facts)}."]


def _filled(facts: Facts) -> list[str]:
    return [tables.fill(facts)[:1].upper() + tables.fill(facts)[1:]]


def _timed(facts: Facts) -> list[str]:
    return [f"Steps took {formats.seconds(facts.step_seconds)} in all; the run {formats.seconds(facts.wall_seconds)}."]


PARTS = (
    Part("Failure", notes=_where_it_broke, code=_traceback, wide=True),
    Part(
        "Models",
        [scores.metrics, scores.differences, scores.segments],
        _judged,
        charts.by_model,
        "On the holdout, higher is better",
        wide=True,
    ),
    Part("Gate", [scores.gate], _reason, wide=True),  # half a page would cut off what each rule says
    Part("Publication", [tables.published]),
    Part("Most shown", [tables.most_shown]),
    Part("Search", [scores.trials], _searched, charts.grid_results, "On validation, higher is better", wide=True),
    Part(
        "Learning curves",
        [scores.rungs],
        picture=charts.learning_curves,
        caption="By sweeps; grey: dropped; the best one's last step is its share of popularity",
        wide=True,
    ),
    Part("Trade-off", picture=charts.trade_off, caption="After the first rung, by factors; grey: dropped later"),
    Part("Rows", [tables.volumes], picture=charts.daily_volumes, caption="New clean rows a day", wide=True),
    Part("Late rows", [tables.late], _filled),
    Part("Freshness and drift", [tables.freshness]),
    Part("Bots", [tables.bots], _dropped, wide=True),
    Part("Splits", [tables.splits]),
    Part("Popularity by window", [scores.popularity_windows]),
    Part("Steps", [tables.durations], _timed, charts.step_durations, "Time by step", wide=True),
)
"""The page from top to bottom; a part whose step did not run is left out, and the steps say so."""
