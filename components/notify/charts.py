"""The pictures of a report, and their encodings.

The page has them as SVG in data URIs, which can neither run a script nor fetch anything. A mail has
them as PNG, because mail clients do not show SVG.
"""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import matplotlib
from matplotlib.figure import Figure

from dawnlist.components.notify import drawing
from dawnlist.components.notify.drawing import (
    BLUE,
    GREEN,
    GREY,
    MAX_LABEL_LETTERS,
    ORANGE,
    PURPLE,
    RED,
    SLATE,
)
from dawnlist.components.notify.facts import Facts
from dawnlist.components.notify.formats import (
    format_count,
    format_duration,
    format_json_value,
    format_score,
    parse_finite,
)
from dawnlist.components.notify.model_tables import format_arm_name
from dawnlist.components.notify.score_tables import describe_trial, list_varying_parameters

ARM_COLOURS = {
    "challenger": BLUE,
    "incumbent": ORANGE,
    "item_knn": PURPLE,
    "popularity": GREEN,
}
MAX_BARS = 24
MAX_DAY_TICKS = 5
MAX_DAY_COLUMNS = 60
"""More days than this are drawn as an area."""
MIN_AXIS_DAYS = 6
"""The axis is at least so long, so that the bar of a single day is not wider than one of seven."""


def plot_trials(facts: Facts) -> Figure | None:
    """Draw the metric of each trial as a bar."""
    trials = []
    for trial in facts.get_listing("tune", "trials"):
        if parse_finite(trial.get(facts.metric)) is not None:
            trials.append(trial)
    parameters = list_varying_parameters(trials)
    trials = trials[:MAX_BARS]
    labels = _label_trials(trials, parameters)
    scores = [trial[facts.metric] for trial in trials]
    return drawing.draw_bars(labels, scores, _colour_trials(trials), format_score)


def _label_trials(trials: Sequence[dict[str, Any]], parameters: Sequence[str]) -> list[str]:
    """Label each trial with its rank and its parameters, without their names if they don't fit."""
    descriptions = [describe_trial(trial, parameters) for trial in trials]
    if max(map(len, descriptions), default=0) > MAX_LABEL_LETTERS:
        descriptions = [_join_parameters(trial, parameters) for trial in trials]
    return [f"{rank}:  {text}" for rank, text in enumerate(descriptions, 1)]


def _join_parameters(trial: dict[str, Any], parameters: Sequence[str]) -> str:
    return " / ".join(format_json_value(trial.get(name)) for name in parameters)


def _colour_trials(trials: Sequence[dict[str, Any]]) -> list[str]:
    """Colour the best trial blue, those with as many sweeps slate, and dropped ones grey."""
    colours: list[str] = []
    for trial in trials:
        if not colours:
            colours.append(BLUE)
        elif trial.get("sweeps") == trials[0].get("sweeps"):
            colours.append(SLATE)
        else:
            colours.append(GREY)
    return colours


def plot_learning_curves(facts: Facts) -> Figure | None:
    """Draw the metric of each trial by sweeps; the trials that were not dropped are in front."""
    trials = facts.get_listing("tune", "trials")
    curves = [_read_curve_points(trial, facts.metric) for trial in trials]
    if max(map(len, curves), default=0) < 2:
        return None
    figure, axes = drawing.create_figure(2.8)
    colours = _colour_trials(trials)
    all_sweeps: set[float] = set()
    for curve, colour in zip(reversed(curves), reversed(colours), strict=True):
        width = 2 if colour == BLUE else 1
        axes.plot(*zip(*curve, strict=True), color=colour, linewidth=width, marker=".")
        for sweeps, _ in curve:
            all_sweeps.add(sweeps)
    axes.set_xticks(sorted(all_sweeps))
    drawing.format_metric_axes(axes, "sweeps", facts.metric)
    return figure


def plot_trade_off(facts: Facts) -> Figure | None:
    """Draw the metric of each trial by its factors.

    The metric is that of the first rung, where all trials have equal sweeps and equal users.
    """
    trials = facts.get_listing("tune", "trials")
    points: list[tuple[float, float, str]] = []
    factor_counts: set[float] = set()
    for trial, colour in zip(trials, _colour_trials(trials), strict=True):
        factors = parse_finite(trial.get("factors"))
        curve = _read_curve_points(trial, facts.metric)
        if factors is not None and curve:
            points.append((factors, curve[0][1], colour))
            factor_counts.add(factors)
    sizes = sorted(factor_counts)
    if len(sizes) < 2:
        return None
    figure, axes = drawing.create_figure(2.8)
    for factors, score, colour in reversed(points):
        axes.scatter(sizes.index(factors), score, color=colour, s=36, linewidth=0)
    axes.set_xticks(range(len(sizes)), list(map(format_count, sizes)))
    axes.set_xlim(-0.5, len(sizes) - 0.5)
    drawing.format_metric_axes(axes, "factors", facts.metric)
    return figure


def _read_curve_points(trial: dict[str, Any], metric: str) -> list[tuple[float, float]]:
    """Return the sweeps and the metric of a trial at the end of each rung."""
    points = []
    for rung in trial.get("curve") or ():
        if not isinstance(rung, dict):
            continue
        sweeps = parse_finite(rung.get("sweeps"))
        score = parse_finite(rung.get(metric))
        if sweeps is not None and score is not None:
            points.append((sweeps, score))
    return points


@dataclass
class _ModelBars:
    """The labels, scores and colours of bars, without models that have no score."""

    labels: list[str]
    scores: list[float]
    colours: list[str]

    def add(self, label: str, means: Any, metric: str, colour: str) -> None:
        if not isinstance(means, dict):
            return
        score = parse_finite(means.get(metric))
        if score is not None:
            self.labels.append(label)
            self.scores.append(score)
            self.colours.append(colour)


def plot_models(facts: Facts) -> Figure | None:
    """Draw the deciding metric of each arm, and of popularity with other windows."""
    bars = _ModelBars([], [], [])
    for arm, means in facts.get_mapping("evaluate", "arms").items():
        label = format_arm_name(facts, arm)
        bars.add(label, means, facts.metric, ARM_COLOURS.get(arm, GREY))
    own_window = facts.get_value("evaluate", "popularity_window")
    for window, means in facts.get_mapping("evaluate", "popularity_windows").items():
        if window != own_window:
            bars.add(f"popularity ({window})", means, facts.metric, GREY)
    return drawing.draw_bars(bars.labels, bars.scores, bars.colours, format_score)


def plot_step_durations(facts: Facts) -> Figure | None:
    """Draw the seconds of each step, in the order the steps started."""
    labels, durations, colours = [], [], []
    for record in facts.records:
        if parse_finite(record.get("seconds")) is not None:
            labels.append(str(record.get("step")))
            durations.append(record["seconds"])
            colours.append(BLUE if record.get("state") == "succeeded" else RED)
    return drawing.draw_bars(labels, durations, colours, format_duration)


def plot_daily_volumes(facts: Facts) -> Figure | None:
    """Draw the clean rows of each day."""
    rows = _read_daily_rows(facts)
    if not rows:
        return None
    days = list(rows)
    figure, axes = drawing.create_figure(2.5)
    if len(days) > MAX_DAY_COLUMNS:  # hundreds of narrow columns can't be told apart
        axes.fill_between(days, list(rows.values()), step="mid", color=BLUE, linewidth=0)
    else:
        axes.bar(days, list(rows.values()), color=BLUE)
    drawing.format_count_axis(axes)
    axis_days = max(days[-1] - days[0], MIN_AXIS_DAYS)
    ticks = _choose_day_ticks(days, axis_days / (MAX_DAY_TICKS - 1))
    axes.set_xticks(ticks, [date.fromordinal(day).isoformat() for day in ticks])
    axes.set_xlim(min(days[0], days[-1] - MIN_AXIS_DAYS) - 0.6, days[-1] + 0.6)
    return figure


def _read_daily_rows(facts: Facts) -> dict[int, float]:
    """Return the clean rows by the day's ordinal number, in the order of days."""
    rows: dict[int, float] = {}
    for text, value in sorted(facts.get_mapping("clean", "days").items()):
        day, count = _parse_day(text), parse_finite(value)
        if day and count is not None:
            rows[day] = count
    return rows


def _choose_day_ticks(days: Sequence[int], distance: float) -> list[int]:
    """Choose the last day, and of the earlier ones so many that their labels don't overlap."""
    ticks = [days[-1]]
    for day in reversed(days):
        if ticks[-1] - day >= 0.9 * distance:
            ticks.append(day)
    return ticks[::-1]


def _parse_day(text: str) -> int:
    """Return the day's ordinal number, or 0 for a text that is not a date."""
    try:
        return date.fromisoformat(text).toordinal()
    except ValueError:
        return 0


def encode_svg(figure: Figure) -> str:
    """Encode a picture as SVG in a data URI, which can be the `src` of an image."""
    buffer = io.BytesIO()
    # Letters become outlines, which look the same everywhere. A fixed salt and no date make the
    # same report the same bytes.
    with matplotlib.rc_context({"svg.fonttype": "path", "svg.hashsalt": "dawnlist"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode()


def encode_png(figure: Figure) -> bytes:
    """Encode a picture as PNG, with twice the pixels that it is shown in."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=200)
    return buffer.getvalue()
