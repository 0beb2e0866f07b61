"""The pictures of a report, and how they are shown: on the page as SVG in data URIs, which can neither run a script nor
fetch anything; in a mail as PNG, since mail clients know no SVG."""

import base64
import io
from collections.abc import Sequence
from datetime import date
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from dawnlist.components.notify import formats
from dawnlist.components.notify.facts import Facts
from dawnlist.components.notify.score_tables import (
    describe_trial,
    format_arm_name,
    list_varying_parameters,
)

# Okabe and Ito's colours, told apart by colour-blind people too
BLUE, ORANGE, GREEN, PURPLE, RED, GREY = (
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#CC79A7",
    "#D55E00",
    "#A9B4BF",
)
SLATE = "#5F7183"
INK, RULE = "#24303C", "#DDE3E9"
FIGURE_WIDTH = 4.7
MAX_BARS = 24
MAX_LABEL_LETTERS = 44
MAX_DAY_TICKS = 5
MAX_DAY_COLUMNS = 60
MIN_AXIS_DAYS = 6  # a bar of one day is no wider than a bar of seven


def plot_trials(facts: Facts) -> Figure | None:
    """The trials by the metric that the search compares."""
    trials = [
        trial
        for trial in facts.listing("tune", "trials")
        if formats.parse_finite(trial.get(facts.metric)) is not None
    ]
    shown = trials[:MAX_BARS]
    names = list_varying_parameters(trials)
    words = [describe_trial(trial, names) for trial in shown]
    if max(map(len, words), default=0) > MAX_LABEL_LETTERS:  # as the table has them, in its order
        words = [
            " / ".join(formats.format_json_value(trial.get(name)) for name in names)
            for trial in shown
        ]
    labels = [f"{place}:  {text}" for place, text in enumerate(words, 1)]
    return _plot_bars(
        labels,
        [trial[facts.metric] for trial in shown],
        _colour_trials(shown),
        formats.format_score,
    )


def _colour_trials(trials: Sequence[dict[str, Any]]) -> list[str]:
    """The best trial's colour, that of those who went as far as it did, and that of those who were dropped before."""
    furthest = trials[0].get("sweeps") if trials else None
    return [BLUE if not place else SLATE if trial.get("sweeps") == furthest else GREY
            for place, trial in enumerate(trials)]  # fmt: skip


def plot_learning_curves(facts: Facts) -> Figure | None:
    """The metric of each trial by sweeps; those who went all the way in front, with the best one's value."""
    trials = facts.listing("tune", "trials")
    curves = [_read_curve_points(trial, "sweeps", facts.metric) for trial in trials]
    if not any(len(curve) > 1 for curve in curves):
        return None
    figure, axes = _create_figure(2.8)
    for curve, colour in reversed(list(zip(curves, _colour_trials(trials), strict=True))):
        axes.plot(
            *zip(*curve, strict=True),
            color=colour,
            linewidth=2 if colour == BLUE else 1,
            marker=".",
        )
    axes.set_xticks(sorted({sweeps for curve in curves for sweeps, _ in curve}))
    return _format_metric_axes(figure, axes, "sweeps", facts.metric)


def plot_trade_off(facts: Facts) -> Figure | None:
    """The metric of each trial by its factors, in the first rung: after equal sweeps, of equal users."""
    trials = facts.listing("tune", "trials")
    found = [(formats.parse_finite(trial.get("factors")), _read_curve_points(trial, "sweeps", facts.metric)[:1], colour)
             for trial, colour in zip(trials, _colour_trials(trials), strict=True)]  # fmt: skip
    sizes = sorted({factors for factors, points, _ in found if factors is not None and points})
    if len(sizes) < 2:
        return None
    figure, axes = _create_figure(2.8)
    for factors, points, colour in reversed(found):
        if factors is not None and points:
            axes.scatter(sizes.index(factors), points[0][1], color=colour, s=36, linewidth=0)
    axes.set_xticks(range(len(sizes)), [formats.format_count(size) for size in sizes])
    axes.set_xlim(-0.5, len(sizes) - 0.5)
    return _format_metric_axes(figure, axes, "factors", facts.metric)


def _read_curve_points(trial: dict[str, Any], x: str, y: str) -> list[tuple[float, float]]:
    """The trial at the end of each rung."""
    curve = trial.get("curve")
    found = [
        (formats.parse_finite(rung.get(x)), formats.parse_finite(rung.get(y)))
        for rung in curve or ()
        if isinstance(rung, dict)
    ]
    return [(one, other) for one, other in found if one is not None and other is not None]


def _format_metric_axes(figure: Figure, axes: Axes, x: str, y: str) -> Figure:
    """A picture with a metric upwards."""
    axes.grid(axis="y", color=RULE, linewidth=0.8)
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: formats.format_score(value)))
    axes.set_xlabel(x, color=INK, fontsize=9)
    axes.set_ylabel(y, color=INK, fontsize=9)
    return figure


def plot_models(facts: Facts) -> Figure | None:
    """The deciding metric of each arm and of popularity's other windows."""
    colours = {"challenger": BLUE, "incumbent": ORANGE, "item_knn": PURPLE, "popularity": GREEN}
    found = [
        (format_arm_name(facts, arm), colours.get(arm, GREY), means)
        for arm, means in facts.mapping("evaluate", "arms").items()
    ]
    strongest = facts.of_step("evaluate", "popularity_window")
    windows = facts.mapping("evaluate", "popularity_windows").items()
    found += [
        (f"popularity ({window})", GREY, means) for window, means in windows if window != strongest
    ]
    scored = [
        (name, colour, formats.parse_finite(means.get(facts.metric)))
        for name, colour, means in found
        if isinstance(means, dict)
    ]
    kept = [(name, colour, value) for name, colour, value in scored if value is not None]
    return _plot_bars(
        [n for n, _, _ in kept],
        [v for _, _, v in kept],
        [c for _, c, _ in kept],
        formats.format_score,
    )


def plot_step_durations(facts: Facts) -> Figure | None:
    """Seconds by step, in the order they started."""
    timed = [
        record
        for record in facts.records
        if formats.parse_finite(record.get("seconds")) is not None
    ]
    colours = [BLUE if record.get("state") == "succeeded" else RED for record in timed]
    return _plot_bars(
        [str(record.get("step")) for record in timed],
        [r["seconds"] for r in timed],
        colours,
        formats.format_duration,
    )


def plot_daily_volumes(facts: Facts) -> Figure | None:
    """Clean rows by day."""
    found = {
        _parse_day(day): formats.parse_finite(rows)
        for day, rows in sorted(facts.mapping("clean", "days").items())
    }
    rows = {day: value for day, value in found.items() if day and value is not None}
    if not rows:
        return None
    figure, axes = _create_figure(2.5)
    if len(rows) > MAX_DAY_COLUMNS:  # hundreds of columns would only shimmer
        axes.fill_between(list(rows), list(rows.values()), step="mid", color=BLUE, linewidth=0)
    else:
        axes.bar(list(rows), list(rows.values()), color=BLUE)
    axes.grid(axis="y", color=RULE, linewidth=0.8)
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.0f}"))
    shown = _choose_day_ticks(
        list(rows), max(max(rows) - min(rows), MIN_AXIS_DAYS) / (MAX_DAY_TICKS - 1)
    )
    axes.set_xticks(shown, [date.fromordinal(day).isoformat() for day in shown])
    axes.set_xlim(min(*rows, max(rows) - MIN_AXIS_DAYS) - 0.6, max(rows) + 0.6)
    return figure


def _choose_day_ticks(days: Sequence[int], apart: float) -> list[int]:
    """Of days in their order the last one, and of those before it so many that their names don't touch."""
    kept = [days[-1]]
    for day in reversed(days):
        if kept[-1] - day >= 0.9 * apart:
            kept.append(day)
    return kept[::-1]


def _parse_day(text: str) -> int:
    """The day's number, 0 for what is no date."""
    try:
        return date.fromisoformat(text).toordinal()
    except ValueError:
        return 0


def _plot_bars(
    labels: Sequence[str], values: Sequence[float], colours: Sequence[str], unit: Any
) -> Figure | None:
    """Horizontal bars from zero, the first on top, each with its value in words."""
    if not labels:
        return None
    figure, axes = _create_figure(0.35 + 0.27 * len(labels))
    bars = axes.barh(range(len(labels)), values, color=colours, height=0.66)
    axes.bar_label(bars, [unit(value) for value in values], padding=4, color=INK, fontsize=9)
    axes.invert_yaxis()
    axes.set_yticks(
        range(len(labels)), [_shorten_label(label) for label in labels], parse_math=False
    )
    axes.set_xticks([])
    axes.set_xlim(min(0.0, *values), max(max(values), 1e-9) * 1.2)
    axes.spines["bottom"].set_visible(False)
    return figure


def _shorten_label(label: str) -> str:
    line = " ".join(label.split())
    return line if len(line) <= MAX_LABEL_LETTERS else f"{line[: MAX_LABEL_LETTERS - 1]}…"


def _create_figure(height: float) -> tuple[Figure, Axes]:
    figure = Figure(
        figsize=(FIGURE_WIDTH, height), layout="constrained"
    )  # no pyplot: it keeps figures in global state
    axes = figure.add_subplot()
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(RULE)
    axes.tick_params(length=0, pad=6, labelsize=9, labelcolor=INK)
    axes.set_axisbelow(True)
    return figure, axes


def encode_svg(figure: Figure) -> str:
    """A data URI."""
    buffer = io.BytesIO()
    # letters as outlines look the same everywhere; a fixed salt and no date make the same report the same bytes
    with matplotlib.rc_context({"svg.fonttype": "path", "svg.hashsalt": "dawnlist"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode()


def encode_png(figure: Figure) -> bytes:
    """The bytes of a picture, of twice the pixels that it is shown in."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=200)
    return buffer.getvalue()
