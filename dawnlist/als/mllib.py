"""Implicit-feedback ALS by Spark's MLlib, which distributes its blocks over executors.

The confidence is that of `dawnlist.als.training`: Spark's is 1 + alpha * |rating|, and the rating
is the decayed weight.

The regularization differs. Spark multiplies lambda by the number of interactions of a user or item
(ALS-WR: Zhou et al., "Large-Scale Parallel Collaborative Filtering for the Netflix Prize", AAIM
2008), and the library implicit does not. The lambda given to Spark is scaled so that the sum over
all vectors is that of implicit, as Rendle et al. do to compare the two ("Revisiting the Performance
of iALS on Item Recommendation Benchmarks", RecSys 2022). One grid of hyper-parameters therefore
serves both. Where all users and items have equally many interactions, the objectives are the same.
"""

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from scipy.sparse import csr_matrix

from dawnlist.arrays import FactorPair, Float32Array
from dawnlist.machine.spark import open_spark_session
from dawnlist.model.config import ALSConfig
from dawnlist.model.user_items import UserItems

if TYPE_CHECKING:  # pyspark takes a second to import, and it is an optional dependency.
    from pyspark.sql import DataFrame

PAIRS_PER_SPARK_BLOCK = 2_000_000
"""Pairs in a block that Spark hands to one task."""
SMALLEST_RATING = np.float32(1e-9)
"""The rating of a pair without weight. Spark takes a rating of 0 for a pair that was never seen."""


class SparkFit:
    """A fit by Spark's MLlib. It implements dawnlist.als.fit.Fit.

    Spark cannot continue from given factors, so `advance` fits again from the start.
    """

    def __init__(self, user_items: UserItems, config: ALSConfig, url: str) -> None:
        self.config = config
        self.sweeps = 0
        # This is the mean of MLlib's lambda, which differs between users and between items.
        self.ridge_scale = config.regularization
        self._user_items = user_items
        self._url = url
        self._factors: FactorPair | None = None

    def advance(self, sweeps: int) -> None:
        """Fit again with so many sweeps more.

        The same pairs, configuration and seed give the same blocks and first factors wherever Spark
        runs."""
        self.sweeps += sweeps
        self._factors = _fit_on_spark(self._user_items, self.config, self.sweeps, self._url)

    @property
    def factors(self) -> FactorPair:
        """The user and item factors; zero for a user or item without interactions.

        Raises:
            RuntimeError: No sweep has been made yet.
        """
        if self._factors is None:
            raise RuntimeError("no sweep has been made yet: call advance first")
        return self._factors


def _fit_on_spark(user_items: UserItems, config: ALSConfig, sweeps: int, url: str) -> FactorPair:
    # This comes before the import, since its error says which package or program is missing.
    spark = open_spark_session(url)
    from pyspark.ml.recommendation import ALS

    weight = user_items.decay_weights(config.half_life)
    users, items = weight.shape
    blocks = max(2, weight.nnz // PAIRS_PER_SPARK_BLOCK)
    als = ALS(
        rank=config.factors,
        maxIter=sweeps,
        regParam=scale_regularization(user_items, config.regularization / config.alpha0),
        alpha=config.alpha / config.alpha0,
        seed=config.seed,
        implicitPrefs=True,
        numUserBlocks=blocks,
        numItemBlocks=blocks,
        userCol="user",
        itemCol="item",
        ratingCol="rating",
    )
    model = als.fit(spark.createDataFrame(_build_ratings(weight)))
    user_factors = _collect_factors(model.userFactors, users, config.factors)
    item_factors = _collect_factors(model.itemFactors, items, config.factors)
    return user_factors, item_factors


def scale_regularization(user_items: UserItems, regularization: float) -> float:
    """Compute Spark's lambda from that of implicit.

    It is divided by the mean number of interactions of the users and items that have any.
    """
    weight = user_items.weight
    active_users = np.count_nonzero(np.diff(weight.indptr))
    active_items = len(np.unique(weight.indices))
    return float(regularization * (active_users + active_items) / max(1, 2 * weight.nnz))


def _build_ratings(weight: csr_matrix) -> pa.Table:
    user = np.repeat(np.arange(weight.shape[0], dtype=np.int32), np.diff(weight.indptr))
    item = weight.indices.astype(np.int32, copy=False)
    rating = np.maximum(weight.data, SMALLEST_RATING, dtype=np.float32)
    return pa.table({"user": user, "item": item, "rating": rating})


def _collect_factors(frame: "DataFrame", rows: int, factors: int) -> Float32Array:
    """Collect Spark's factors into a dense array, shape (rows, factors)."""
    dense = np.zeros((rows, factors), dtype=np.float32)
    for batch in frame.toArrow().to_batches():
        values = batch["features"].flatten().to_numpy()
        dense[batch["id"].to_numpy()] = values.reshape(-1, factors)
    return dense
