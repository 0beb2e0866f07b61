"""Score scales: what a user's factor scores are divided by before other parts are added.

    s_u = sqrt(x_u' G x_u / SCORE_ITEMS),  G = Y'Y over the fitted items

x' G x is the sum of the squares of the user's scores of all items. Factor scores of people with
long histories are higher than those of people with short ones. Without the division, one share of
popularity would therefore mean something else for each user. On real shops s_u is about the mean of
the user's twenty best scores, whatever the size of the catalogue (docs/HYBRID.md).
"""

from typing import Final

import numpy as np

from dawnlist.arrays import Float32Array, Float64Array

SCORE_ITEMS: Final = 55.0
"""The number of items among which the squares of a user's scores are divided."""
SMALLEST_SCALE: Final = 1e-12
"""A user whose scale is not above this has no scores."""
USERS_PER_BLOCK: Final = 65_536


def compute_score_scales(users: Float32Array | Float64Array, gram: Float64Array) -> Float32Array:
    """Compute s_u of each user; it is 1 for a user whose scores are all 0.

    Args:
        users: Factors, shape (users, f).
        gram: G, shape (f, f).
    """
    scales = np.ones(len(users), dtype=np.float32)
    for start in range(0, len(users), USERS_PER_BLOCK):
        block = users[start : start + USERS_PER_BLOCK].astype(np.float64)
        squares = np.einsum("uf,uf->u", block @ gram, block)
        roots = np.sqrt(np.maximum(squares, 0.0) / SCORE_ITEMS)
        has_scores = roots > SMALLEST_SCALE
        scales[start : start + USERS_PER_BLOCK][has_scores] = roots[has_scores]
    return scales
