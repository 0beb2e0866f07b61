"""Score scales: what a user's factor scores are divided by before other parts are added.

    s_u = SCORE_SCALE sqrt(x_u' G x_u / n),  G = Y'Y over the n fitted items

The root is that of the mean of the user's squared scores over all fitted items. Factor scores of
people with long histories are higher than those of people with short ones. Without the division,
one share of popularity would therefore mean something else for each user.
"""

from typing import Final

import numpy as np

from dawnlist.arrays import Float32Array, Float64Array

SCORE_SCALE: Final = 8.0
"""A user's twenty best scores are about eight times the root mean square of all scores."""
USERS_PER_BLOCK: Final = 65_536


def compute_score_scales(
    users: Float32Array | Float64Array, gram: Float64Array, item_count: int
) -> Float32Array:
    """Compute s_u of each user; it is 1 for a user whose scores are all 0.

    Args:
        users: Factors, shape (users, f).
        gram: G, shape (f, f).
        item_count: n.
    """
    scales = np.ones(len(users), dtype=np.float32)
    for start in range(0, len(users), USERS_PER_BLOCK):
        block = users[start : start + USERS_PER_BLOCK].astype(np.float64)
        squares = np.einsum("uf,uf->u", block @ gram, block) / max(1, item_count)
        roots = SCORE_SCALE * np.sqrt(np.maximum(squares, 0.0))
        has_scores = roots > 1e-12
        scales[start : start + USERS_PER_BLOCK][has_scores] = roots[has_scores]
    return scales
