"""Load the two models of what is live: its configuration fitted anew, and itself."""

from dawnlist.cuts import parse_as_of
from dawnlist.lake.lake import Lake
from dawnlist.model.factor_model import FactorModel
from dawnlist.model.splits import Splits
from dawnlist.records.registry import load_model, load_model_by_name


def load_incumbent(lake: Lake, name: str) -> FactorModel | None:
    """Load the model that train fitted with the live configuration.

    Args:
        lake: The lake.
        name: The model's name in the lake, or an empty text when nothing is live: then it is None.

    Raises:
        ValueError: The model's files are gone or damaged.
    """
    if not name:
        return None
    return load_model_by_name(lake, name)


def load_live_model(lake: Lake, splits: Splits) -> FactorModel | None:
    """Load the model that was live when the splits were cut, as it was published; None without one.

    Raises:
        ValueError: The model's files are gone or damaged.
    """
    if not splits.about["incumbent"]:
        return None
    return load_model(lake, splits.about["incumbent"])


def has_seen_holdout(model: FactorModel, splits: Splits) -> bool:
    """Say whether a model was fitted on rows of the splits' holdout."""
    seen_until = model.lineage.get("as_of")
    return seen_until is not None and parse_as_of(seen_until) > splits.cuts.train_end
