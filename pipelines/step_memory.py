"""Memory by the size of the shop: lines fitted to what steps used (benchmarks/memory.py, docs/NODES.md)."""

import math
from dataclasses import dataclass, fields
from typing import Final

MEMORY_MARGIN: Final = 1.5
"""Of the limit over the line: other data, more threads, the next year's growth."""
LEAST_MEMORY_MB: Final = 512
"""Megabytes that no step gets less than: Python and its libraries."""


@dataclass(frozen=True)
class ShopSize:
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
                raise ValueError(
                    f"{field.name} is {value:,}: give how many are expected, 1 or more"
                )


@dataclass(frozen=True)
class MemoryLine:
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

    def megabytes(self, size: ShopSize) -> float:
        """What a shop of this size is expected to take."""
        return (
            self.base
            + self.interactions * size.interactions / 1e6
            + self.users * size.users / 1e5
            + self.items * size.items / 1e5
            + self.vectors * (size.users + size.items) * size.factors / 1e6
        )


MEMORY_LINES: Final[dict[str, MemoryLine]] = {
    "fetch": MemoryLine(340),  # flat: docs/INGEST.md
    "clean": MemoryLine(
        1450
    ),  # flat once DuckDB's 1 GB is full, from a few million rows on: docs/CLEANING.md
    "filter-bots": MemoryLine(1500, users=121),
    "dataset": MemoryLine(405, interactions=265, items=184),
    "tune": MemoryLine(
        316, interactions=245, users=121, items=263, vectors=64
    ),  # 4 bytes for each of 16 trials
    "train": MemoryLine(275, interactions=122, users=13.2, vectors=28.1),
    "evaluate": MemoryLine(280, interactions=85.5, items=376, vectors=20.4),
    "gate": MemoryLine(103),
    "refit": MemoryLine(276, interactions=125, users=19.6, items=142, vectors=21.6),
    "recommend": MemoryLine(399, interactions=177, users=30.6, items=18.3, vectors=12),
    "publish": MemoryLine(349, interactions=22.3, users=63, items=131, vectors=6.9),
    "notify": MemoryLine(140),  # with pictures for a mail
}
"""Of benchmarks/memory.py; rounded up where shops differ by chance."""


def compute_memory_limit(step: str, size: ShopSize) -> str:
    """The limit of a step's memory as Kubernetes reads it, such as '4096Mi': its line with the margin, in 256 Mi."""
    mebibytes = (
        max(MEMORY_LINES[step].megabytes(size) * MEMORY_MARGIN, LEAST_MEMORY_MB) * 1e6 / 2**20
    )
    return f"{math.ceil(mebibytes / 256) * 256}Mi"
