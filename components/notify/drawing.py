"""Axes, bars and colours of the report's pictures."""

from collections.abc import Callable, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from dawnlist.components.notify.formats import format_score

# The colours of Okabe and Ito, which colour-blind people can tell apart too.
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
"""In inches."""
MAX_LABEL_LETTERS = 44


def create_figure(height: float) -> tuple[Figure, Axes]:
    """Create a figure of that height in inches, with axes in the report's style."""
    # pyplot is not used, because it keeps figures in global state.
    figure = Figure(figsize=(FIGURE_WIDTH, height), layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(RULE)
    axes.tick_params(length=0, pad=6, labelsize=9, labelcolor=INK)
    axes.set_axisbelow(True)
    return figure, axes


def draw_bars(
    labels: Sequence[str],
    values: Sequence[float],
    colours: Sequence[str],
    format_value: Callable[[Any], str],
) -> Figure | None:
    """Draw horizontal bars from zero, the first on top, each with its value as text."""
    if not labels:
        return None
    figure, axes = create_figure(0.35 + 0.27 * len(labels))
    positions = range(len(labels))
    bars = axes.barh(positions, values, color=colours, height=0.66)
    axes.bar_label(bars, list(map(format_value, values)), padding=4, color=INK, fontsize=9)
    axes.invert_yaxis()
    axes.set_yticks(positions, list(map(_shorten_label, labels)), parse_math=False)
    axes.set_xticks([])
    axes.set_xlim(min(0.0, *values), max(max(values), 1e-9) * 1.2)
    axes.spines["bottom"].set_visible(False)
    return figure


def _shorten_label(label: str) -> str:
    line = " ".join(label.split())
    if len(line) <= MAX_LABEL_LETTERS:
        return line
    return f"{line[: MAX_LABEL_LETTERS - 1]}…"


def format_metric_axes(axes: Axes, x_label: str, y_label: str) -> None:
    """Label both axes, the vertical one with scores."""
    axes.grid(axis="y", color=RULE, linewidth=0.8)
    axes.yaxis.set_major_locator(MaxNLocator(5))
    axes.yaxis.set_major_formatter(FuncFormatter(_format_score_tick))
    axes.set_xlabel(x_label, color=INK, fontsize=9)
    axes.set_ylabel(y_label, color=INK, fontsize=9)


def _format_score_tick(value: float, position: int | None) -> str:
    return format_score(value)


def format_count_axis(axes: Axes) -> None:
    """Label the vertical axis with counts."""
    axes.grid(axis="y", color=RULE, linewidth=0.8)
    axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.yaxis.set_major_formatter(FuncFormatter(_format_count_tick))


def _format_count_tick(value: float, position: int | None) -> str:
    return f"{value:,.0f}"
