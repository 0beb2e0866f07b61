"""Compute each step's memory, its request and its limit, from the size of the shop.

The lines were fitted to the memory that steps used (benchmarks/memory.py, docs/NODES.md).
"""

import math
from dataclasses import dataclass, fields
from typing import Final

from dawnlist.pipelines.compact.pods import list_pod_steps

MEMORY_MARGIN: Final = 1.5
"""The limit is this many times the line's value, which is the request. The margin is for other
data, for more threads and for a year's growth."""
LEAST_LIMIT_MB: Final = 512
"""The smallest limit of any step: Python and its libraries need this much."""


@dataclass(frozen=True)
class ShopSize:
    """The expected size of a shop, within the days that models learn from."""

    interactions: int = 10_000_000
    """Clean rows. Better still, the distinct pairs of user and item, which the lines count."""
    users: int = 200_000
    """Distinct users in the window."""
    items: int = 30_000
    """Distinct items in the window."""
    factors: int = 64
    """The length of the longest vectors that the search tries."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not 1 <= value <= 10**11:
                message = f"{field.name} is {value:,}: give how many are expected, 1 or more"
                raise ValueError(message)


@dataclass(frozen=True)
class MemoryLine:
    """The peak memory of a step in megabytes, as a linear function of the shop's size."""

    base: float
    """Megabytes for a nearly empty shop."""
    interactions: float = 0.0
    """Megabytes for each million interactions."""
    users: float = 0.0
    """Megabytes for each hundred thousand users."""
    items: float = 0.0
    """Megabytes for each hundred thousand items."""
    vectors: float = 0.0
    """Megabytes for each million numbers in the vectors: (users + items) times factors."""

    def megabytes(self, size: ShopSize) -> float:
        """Compute the megabytes that the step is expected to use for a shop of this size."""
        return (
            self.base
            + self.interactions * size.interactions / 1e6
            + self.users * size.users / 1e5
            + self.items * size.items / 1e5
            + self.vectors * (size.users + size.items) * size.factors / 1e6
        )


MEMORY_LINES: Final[dict[str, MemoryLine]] = {
    # The same for every size of shop (docs/INGEST.md).
    "fetch": MemoryLine(340),
    # Constant from a few million rows on, where DuckDB's 1 GB is full (docs/CLEANING.md).
    "clean": MemoryLine(1450),
    "filter-bots": MemoryLine(1500, users=121),
    "dataset": MemoryLine(405, interactions=265, items=184),
    # The vectors take 4 bytes for each number of each of 16 trials.
    "tune": MemoryLine(316, interactions=245, users=121, items=263, vectors=64),
    "train": MemoryLine(275, interactions=122, users=13.2, vectors=28.1),
    "evaluate": MemoryLine(280, interactions=85.5, items=376, vectors=20.4),
    "gate": MemoryLine(103),
    "refit": MemoryLine(276, interactions=125, users=19.6, items=142, vectors=21.6),
    "recommend": MemoryLine(399, interactions=177, users=30.6, items=18.3, vectors=12),
    "publish": MemoryLine(349, interactions=22.3, users=63, items=131, vectors=6.9),
    # A mail with pictures.
    "notify": MemoryLine(140),
}
"""One line for each step, measured by benchmarks/memory.py. Values that differed between shops by
chance were rounded up."""


def compute_memory_request(step: str, size: ShopSize) -> str:
    """Compute the memory that a node must have free for a step, such as '2816Mi'.

    It is the step's line, rounded up to the next 256 MiB: what the step is expected to use.
    """
    return _format_memory(_compute_expected_megabytes(step, size))


def compute_memory_limit(step: str, size: ShopSize) -> str:
    """Compute a step's memory limit in Kubernetes' notation, such as '4096Mi'.

    The limit is the step's line times the margin, rounded up to the next 256 MiB.
    """
    expected = _compute_expected_megabytes(step, size)
    return _format_memory(max(expected * MEMORY_MARGIN, LEAST_LIMIT_MB))


def _compute_expected_megabytes(task: str, size: ShopSize) -> float:
    """Compute the peak memory of a task. Of several steps in one pod the largest counts."""
    return max(MEMORY_LINES[step].megabytes(size) for step in list_pod_steps(task))


def _format_memory(megabytes: float) -> str:
    mebibytes = megabytes * 1e6 / 2**20
    rounded = math.ceil(mebibytes / 256) * 256
    return f"{rounded}Mi"
