"""Score every arm as it would be served, on the same users and the same truth."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from components import popularity
from components.metrics import Scores, bootstrap_interval, score
from components.model import FactorModel
from components.splits import Splits

Lists = npt.NDArray[np.int64]
SEED = 7  # of the bootstrap


@dataclass(frozen=True)
class Judged:
    """What all arms share: the users of the holdout, and what they did before and in it."""

    splits: Splits
    users: npt.NDArray[np.int64]
    seen: Any
    truth: Any
    k: int

    @classmethod
    def of(cls, splits: Splits, k: int) -> "Judged":
        """The users with history before the holdout and something new in it."""
        users = splits.judged("holdout")
        seen = splits.user_items("train").weight[users]
        return cls(splits, users, seen, splits.truth("holdout")[users], k)

    def lists(self, model: FactorModel, fallback: Lists | None = None) -> Lists:
        """The lists of one arm, seen items left out; a user that it does not know gets the fallback's list."""
        aligned = model.aligned(self.splits.user_ids, self.splits.item_ids)
        found, _ = aligned.top_k(self.users, self.seen, self.k)
        if fallback is not None:
            unknown = ~aligned.knows_user[self.users]
            found[unknown] = fallback[unknown]
        return found


def evaluate(
    splits: Splits, challenger: FactorModel, incumbent: FactorModel | None, metric: str, k: int
) -> dict[str, Any]:
    """Metrics of each arm, and the challenger's difference to the others with a 95% interval.

    Popularity is the strongest of its windows by `metric` on this very holdout, which favours it. Returns a JSON-able
    dict: `arms` {name: {metric@k: mean}}, `differences` {name: {mean, low, high}}, `popularity_window`,
    `evaluated_users`, `items`, `repeat_share`, `k`, `metric`.
    """
    judged = Judged.of(splits, k)
    by_window = {window: judged.lists(_popularity(splits, window)) for window in popularity.WINDOWS}
    scored = {window: score(lists, judged.truth) for window, lists in by_window.items()}
    strongest = max(scored, key=lambda window: _mean(scored[window], metric))
    arms = {"challenger": score(judged.lists(challenger, by_window[strongest]), judged.truth)}
    if incumbent is not None:
        arms["incumbent"] = score(judged.lists(incumbent, by_window[strongest]), judged.truth)
    arms["popularity"] = scored[strongest]
    others = [name for name in arms if name != "challenger"]
    return {
        "k": k,
        "metric": metric,
        "evaluated_users": len(judged.users),
        "items": splits.shape[1],
        "repeat_share": round(splits.repeat_share("holdout"), 4),
        "popularity_window": strongest,
        "arms": {name: _rounded(scores.means(k)) for name, scores in arms.items()},
        "popularity_windows": {window: _rounded(scores.means(k)) for window, scores in scored.items()},
        "differences": {name: _difference(arms["challenger"], arms[name], metric) for name in others},
    }


def flat(evaluation: dict[str, Any]) -> dict[str, float]:
    """The metrics of all arms under one-level names, e.g. `challenger ndcg@20`."""
    return {f"{arm} {name}": value for arm, means in evaluation["arms"].items() for name, value in means.items()}


def _popularity(splits: Splits, window: str) -> FactorModel:
    user_items = splits.user_items("train")
    ids = (splits.user_ids, splits.item_ids)
    return FactorModel.of_known(ids, popularity.fit(user_items, window), user_items.weight, {}, {})


def _difference(challenger: Scores, other: Scores, metric: str) -> dict[str, float]:
    paired = getattr(challenger, metric) - getattr(other, metric)
    low, high = bootstrap_interval(paired, SEED)
    return _rounded({"mean": float(paired.mean()) if len(paired) else 0.0, "low": low, "high": high})


def _mean(scores: Scores, metric: str) -> float:
    values = getattr(scores, metric)
    return float(values.mean()) if len(values) else 0.0


def _rounded(values: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 6) for name, value in values.items()}
