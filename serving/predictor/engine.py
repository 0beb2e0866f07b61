"""The engine: answers questions from memory and one read of the store, by the ladder; knows no protocol."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final

from serving.predictor.metrics import Metrics, NoMetrics
from serving.predictor.question import Question

DEFAULT_K: Final = 20
MAX_K: Final = 100


@dataclass(slots=True)
class Answer:
    """One user's items, best first; the lists are aligned."""

    tier: str
    """The rung it is from: fold_in, vector, list, content, segment, popular or static."""
    version: int
    """Of the lists; 0 for the static file."""
    as_of: str
    item_ids: list[str]
    titles: list[str]
    """A missing title is ""."""
    scores: list[float]
    because: list[list[tuple[str, float]]] | None
    """Only when asked for: the past items that speak for each item, the strongest first, and what each adds."""


class Engine:
    """Belongs to one event loop. It follows the active version by itself from `start` to `stop`."""

    def __init__(
        self,
        redis: str,
        namespace: str,
        static: Path | None = None,
        metrics: Metrics = NoMetrics(),  # noqa: B008
        timeout: float = 0.05,
        threads: int = 1,
        waiting: int = 64,
    ) -> None:
        """`timeout`: seconds a read of the store may take. `threads` rank, and at most `waiting` questions wait for
        them. ValueError for a URL, a namespace or a static file that can't be used."""
        raise NotImplementedError

    async def start(self) -> None:
        """Begin to follow the active version; returns when the first one is loaded, or when there is none to load."""
        raise NotImplementedError

    async def stop(self) -> None:
        """Let go of the store and the threads."""
        raise NotImplementedError

    async def answers(self, questions: Sequence[Question]) -> list[Answer]:
        """One for each question in its order, all from one version.

        ValueError for what the caller did wrong (k, an attribute that items do not have); never another error.
        """
        raise NotImplementedError

    @property
    def ready(self) -> bool:
        """Whether a version is loaded and the kernels are compiled."""
        raise NotImplementedError

    @property
    def version(self) -> int | None:
        """That new questions are answered from; None while nothing is loaded."""
        raise NotImplementedError

    @property
    def as_of(self) -> datetime | None:
        """Of that version."""
        raise NotImplementedError

    @property
    def loaded_at(self) -> float | None:
        """When that version was loaded, seconds since 1970."""
        raise NotImplementedError

    @property
    def redis_ok(self) -> bool:
        """Whether the last read of the store was answered."""
        raise NotImplementedError
