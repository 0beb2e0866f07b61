"""Requests of memory and CPU by the size of the shop: lines fitted to what steps used (benchmarks/memory.py)."""

import math
from dataclasses import dataclass, fields
from typing import Final

MARGIN: Final = 1.5
"""Of the limit over the line: other data, more threads, the next year's growth."""
LEAST: Final = 512
"""Megabytes that no step gets less than: Python and its libraries."""


@dataclass(frozen=True)
class Size:
    """How large a shop is expected to be, in the window that models learn from."""

    interactions: int = 20_000_000
    """Clean rows in the window, or better the different pairs of user and item among them, which the lines count."""
    users: int = 400_000
    items: int = 50_000
    factors: int = 64
    """The longest vectors that the search tries."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not 1 <= value <= 10**11:
                raise ValueError(f"{field.name} is {value:,}: give how many are expected, 1 or more")


@dataclass(frozen=True)
class Line:
    """Peak memory of a step in megabytes: the sum of what each of these takes."""

    base: float
    """Of a shop with next to nothing in it."""
    interactions: float = 0.0
    """A million."""
    users: float = 0.0
    """A hundred thousand."""
    items: float = 0.0
    """A hundred thousand."""
    vectors: float = 0.0
    """A million numbers: users and items, times factors."""

    def megabytes(self, size: Size) -> float:
        """What a shop of this size is expected to take."""
        return (
            self.base
            + self.interactions * size.interactions / 1e6
            + self.users * size.users / 1e5
            + self.items * size.items / 1e5
            + self.vectors * (size.users + size.items) * size.factors / 1e6
        )


LINES: Final[dict[str, Line]] = {
    "fetch": Line(350),
    "clean": Line(1400),
    "filter-bots": Line(1700),
    "dataset": Line(400, interactions=150),
    "tune": Line(300, interactions=80, vectors=40),
    "train": Line(300, interactions=80, vectors=16),
    "evaluate": Line(300, interactions=80, vectors=16),
    "gate": Line(110),
    "refit": Line(300, interactions=80, vectors=16),
    "recommend": Line(300, interactions=80, vectors=16),
    "publish": Line(300, users=200),
    "notify": Line(200),
}


def memory(step: str, size: Size) -> str:
    """The limit of a step's memory as Kubernetes reads it, such as '4096Mi': its line with the margin, in 256 Mi."""
    mebibytes = max(LINES[step].megabytes(size) * MARGIN, LEAST) * 1e6 / 2**20
    return f"{math.ceil(mebibytes / 256) * 256}Mi"
