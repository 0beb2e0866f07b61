"""What an ablation is run on: interactions, settings, and the people to judge by."""

from dataclasses import dataclass, field

import pyarrow as pa

from dawnlist.als.engine import FitEngine
from dawnlist.components.dataset.split_pairs import build_splits
from dawnlist.lake.lake import Lake
from dawnlist.model.splits import Splits
from dawnlist.settings import Settings


@dataclass(frozen=True)
class InteractionsVersion:
    """A version of a lake's interactions."""

    lake: Lake
    version: int
    apply_bot_rules: bool = True
    """Whether the bot rules are applied to them."""


@dataclass(frozen=True)
class AblationStudy:
    """What all days of an ablation share."""

    table: InteractionsVersion
    settings: Settings
    window_days: int
    k: int
    """The length of a list."""
    humans: pa.StringArray | None
    """The ids of the truth's humans. None without a truth: then the users whom every rule keeps are
    judged."""
    other_tables: dict[str, InteractionsVersion] = field(default_factory=dict)
    """More interactions to fit on, by the name of the arm, such as the same source cleaned in
    another way."""

    @property
    def engine(self) -> FitEngine:
        """Where the fits of all arms run."""
        return FitEngine.from_settings(self.settings.engines)

    @property
    def judged_on(self) -> str:
        """The users whose holdout the arms are judged by, in words for the report."""
        if self.humans is None:
            return "users whom every rule keeps"
        return "the truth's humans"

    def splits(
        self, verdicts: pa.Table, as_of: str, table: InteractionsVersion | None = None
    ) -> Splits:
        """Split the rows that the verdicts let through, as the step dataset does."""
        rows = table or self.table
        splits, *_ = build_splits(rows.lake, rows.version, verdicts, as_of, self.window_days)
        return splits
