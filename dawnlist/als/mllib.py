"""Implicit-feedback ALS on Spark: that of MLlib, whose blocks are spread over executors.

Confidence is the one of `dawnlist.als.training`: Spark's is 1 + alpha * |rating|, and the rating is the decayed weight.
Regularization is not: Spark scales lambda by the number of interactions of a user or item (ALS-WR: Zhou et al.,
"Large-Scale Parallel Collaborative Filtering for the Netflix Prize", AAIM 2008), the library implicit does not. The
lambda given to Spark keeps the sum over all vectors what it is in implicit, as Rendle et al. do to compare the two
("Revisiting the Performance of iALS on Item Recommendation Benchmarks", RecSys 2022), so that one grid serves both.
Where all users and items have equally many interactions the objectives are the same.
"""

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from scipy.sparse import csr_matrix

from dawnlist.arrays import Float32Array
from dawnlist.machine.spark import open_spark_session
from dawnlist.model.user_items import UserItems

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from dawnlist.model.config import ALSConfig

PAIRS_PER_SPARK_BLOCK = 2_000_000
SMALLEST_RATING = np.float32(1e-9)
"""Spark takes a pair of rating 0 for one that was never met; it was, with the confidence of 1."""


class SparkFit:
    """See dawnlist.als.training.Fit. Spark can't go on from factors, so what was done is done again."""

    def __init__(self, user_items: UserItems, config: "ALSConfig", url: str) -> None:
        self.config, self.sweeps, self.ridge_scale = (
            config,
            0,
            config.regularization,
        )  # MLlib's on average
        self._user_items, self._url = user_items, url
        self._factors: tuple[Float32Array, Float32Array] | None = None

    def advance(self, sweeps: int) -> None:
        """The same pairs, configuration and seed give the same blocks and first factors wherever Spark runs."""
        self.sweeps += sweeps
        self._factors = _fit_on_spark(self._user_items, self.config, self.sweeps, self._url)

    @property
    def factors(self) -> tuple[Float32Array, Float32Array]:
        """Zero where there is no interaction. RuntimeError before the first sweep."""
        if self._factors is None:
            raise RuntimeError("no sweep was made yet: advance first")
        return self._factors


def _fit_on_spark(
    user_items: UserItems, config: "ALSConfig", sweeps: int, url: str
) -> tuple[Float32Array, Float32Array]:
    spark = open_spark_session(url)  # says what is missing, so before pyspark itself is asked for
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
    return _collect_factors(model.userFactors, users, config.factors), _collect_factors(
        model.itemFactors, items, config.factors
    )


def scale_regularization(user_items: UserItems, regularization: float) -> float:
    """Spark's lambda: that of implicit, divided by the mean number of interactions of a user or item that has any."""
    weight = user_items.weight
    vectors = np.count_nonzero(np.diff(weight.indptr)) + len(np.unique(weight.indices))
    return float(regularization * vectors / max(1, 2 * weight.nnz))


def _build_ratings(weight: csr_matrix) -> pa.Table:
    user = np.repeat(np.arange(weight.shape[0], dtype=np.int32), np.diff(weight.indptr))
    rating = np.maximum(weight.data, SMALLEST_RATING, dtype=np.float32)
    return pa.table(
        {"user": user, "item": weight.indices.astype(np.int32, copy=False), "rating": rating}
    )


def _collect_factors(found: "DataFrame", rows: int, factors: int) -> Float32Array:
    table = found.toArrow()
    dense = np.zeros((rows, factors), dtype=np.float32)
    for batch in table.to_batches():
        dense[batch["id"].to_numpy()] = batch["features"].flatten().to_numpy().reshape(-1, factors)
    return dense
