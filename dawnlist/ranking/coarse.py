"""The k best items of a few users at once, exactly, at a quarter of the memory's traffic.

A ranking of one user reads every item vector once and does next to nothing with it, so what counts is their size.
Vectors are kept twice: as they are, and as 8-bit integers with a scale for each. A first pass over the integers knows
each score but for a margin (Cauchy and Schwarz: the length of what rounding took away, times the user's); only items
that may be among the k best by their margin, a few dozen, are scored from the exact vectors. dawnlist.ranking.topk does
matrix products for many users instead.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from dawnlist.arrays import BoolArray, Float32Array, Int64Array, RankedLists
from dawnlist.machine.numba_jit import KERNEL_OPTIONS, jit
from dawnlist.ranking.entries import FLOAT32_ROUNDING, contains_sorted, insert_entry, pack_entry

ITEMS_PER_CODE_TILE: Final = 1024
"""Items whose integers stay in a core's cache while all users look at them."""
MAX_CANDIDATES: Final = 1024
"""Items that a user may hold before they are scored exactly."""
NO_MASKS: Final = np.zeros((0, 0), dtype=np.bool_)
NOTHING_HIDDEN: Final = np.zeros(2, dtype=np.int64)
"""For one user from whom nothing is hidden."""


@dataclass(frozen=True, eq=False)
class QuantisedIndex:
    """Item vectors and their biases, prepared; arrays have a row or an entry for each item."""

    vectors: Float32Array
    bias: Float32Array
    codes: npt.NDArray[np.int8]
    """vectors are about codes * scale."""
    scale: Float32Array
    length: Float32Array
    """|codes * scale|."""
    lost: Float32Array
    """|vectors - codes * scale|, and what float32 may round."""

    @classmethod
    def of(cls, vectors: Float32Array, bias: Float32Array) -> "QuantisedIndex":
        """`vectors`: (items, width), `bias`: (items,), both float32."""
        items = len(vectors)
        vectors = np.ascontiguousarray(vectors, dtype=np.float32)
        codes = np.empty(vectors.shape, dtype=np.int8)
        scale, length, lost = (np.empty(items, dtype=np.float32) for _ in range(3))
        for first in range(0, items, 4096):
            part = slice(first, first + 4096)
            _quantise_items(vectors[part], codes[part], scale[part], length[part], lost[part])
        return cls(
            vectors, np.ascontiguousarray(bias, dtype=np.float32), codes, scale, length, lost
        )

    def best(
        self,
        users: Float32Array,
        k: int,
        start: Int64Array,
        hidden: npt.NDArray[np.int32],
        allowed: BoolArray = NO_MASKS,
        which: Int64Array | None = None,
    ) -> RankedLists:
        """Item indices and scores, shape (users, k), best first, of equal ones the smaller index; -1 beyond the last.

        `users`: (users, width) float32. User u may not get hidden[start[u]:start[u + 1]], which is sorted. `allowed`:
        (masks, items), of which user u has number which[u], -1 for none. A score that is no number is never listed.
        """
        which = np.full(len(users), -1, dtype=np.int64) if which is None else which
        entries = np.full((len(users), k), pack_entry(np.float32(-np.inf), -1), dtype=np.int64)
        scores = np.zeros((len(users), k), dtype=np.float32)
        if len(users):
            asked = np.ascontiguousarray(users, dtype=np.float32)
            _rank_users(self.vectors, self.bias, self.codes, self.scale, self.length, self.lost,
                  asked, start, hidden, allowed, which, entries, scores)  # fmt: skip
        return entries, scores


MAX_PRODUCT_SUM: Final = 1 << 30
"""Of a sum of products of integers."""


@jit(**KERNEL_OPTIONS)
def _quantise_items(vectors: Any, codes: Any, scale: Any, length: Any, lost: Any) -> None:
    width = vectors.shape[1]
    for item in range(len(vectors)):
        top = np.float32(0)
        for t in range(width):
            top = max(top, abs(vectors[item, t]))
        unit = top / np.float32(127) if top > 0 else np.float32(1)
        kept, off = 0.0, 0.0
        for t in range(width):
            code = np.rint(vectors[item, t] / unit)
            codes[item, t] = np.int8(code)
            kept += (code * unit) ** 2
            off += (vectors[item, t] - code * unit) ** 2
        scale[item], length[item] = unit, np.sqrt(kept)
        lost[item] = np.sqrt(off) * 1.001 + FLOAT32_ROUNDING * width * np.sqrt(kept + off)


@jit(**KERNEL_OPTIONS)
def _quantise_user(user: Any, code: Any) -> tuple[np.float32, np.float32, np.float32]:
    """The user's vector in integers: its scale, its length, and the length of what rounding took away."""
    limit = min(32767.0, np.floor(MAX_PRODUCT_SUM / (127.0 * max(1, len(user)))))
    top, length, off = 0.0, 0.0, 0.0
    for t in range(len(user)):
        top = max(top, abs(user[t]))
    unit = top / limit if top > 0 else 1.0
    for t in range(len(user)):
        whole = np.rint(user[t] / unit)
        code[t] = np.int16(whole)
        length += user[t] * user[t]
        off += (user[t] - whole * unit) ** 2
    return np.float32(unit), np.float32(np.sqrt(length) * 1.001), np.float32(np.sqrt(off) * 1.001)


@jit(**KERNEL_OPTIONS)
def _rank_users(
    vectors: Any, bias: Any, codes: Any, scale: Any, length: Any, lost: Any,
    users: Any, start: Any, hidden: Any, allowed: Any, which: Any, best: Any, scores: Any,
) -> None:  # fmt: skip
    """See Coarse.best; `best` comes as entries and becomes item indices.

    A user's limit is at most the k-th best score of all items so far: the k-th best of what scores are at least, or of
    what they are where they have been computed. An item whose score may reach it is held until there is no room.
    """
    asked, items, k = len(users), len(vectors), best.shape[1]
    coded = np.empty(users.shape, np.int16)
    units, longs, offs = (
        np.empty(asked, np.float32),
        np.empty(asked, np.float32),
        np.empty(asked, np.float32),
    )
    for user in range(asked):
        units[user], longs[user], offs[user] = _quantise_user(users[user], coded[user])
    limits = np.full(asked, -np.inf, np.float32)
    lows = np.full((asked, k), np.float32(-np.inf))
    held, reach, number = (
        np.empty((asked, MAX_CANDIDATES), np.int32),
        np.empty((asked, MAX_CANDIDATES), np.float32),
        np.zeros(asked, np.int64),
    )
    room, margins = (
        np.empty(ITEMS_PER_CODE_TILE, np.float32),
        np.empty(ITEMS_PER_CODE_TILE, np.float32),
    )
    for first in range(0, items, ITEMS_PER_CODE_TILE):
        last = min(first + ITEMS_PER_CODE_TILE, items)
        for user in range(asked):
            limit, mask = limits[user], which[user]
            _multiply_codes(codes, coded[user], first, last, room)
            for item in range(first, last):
                margin = longs[user] * lost[item] + offs[user] * length[item]
                about = room[item - first] * (units[user] * scale[item]) + bias[item]
                room[item - first], margins[item - first] = about, margin
            for item in range(first, last):
                about, margin = room[item - first], margins[item - first]
                if about + margin >= limit and (mask < 0 or allowed[mask, item]):
                    if contains_sorted(hidden[start[user] : start[user + 1]], item):
                        continue
                    if about - margin > lows[user, k - 1]:
                        _insert_bound(lows[user], about - margin)
                        limit = max(limit, lows[user, k - 1])
                    if number[user] == MAX_CANDIDATES:
                        limit = max(
                            limit,
                            _score_candidates(
                                vectors,
                                bias,
                                users[user],
                                held[user],
                                reach[user],
                                MAX_CANDIDATES,
                                limit,
                                best,
                                user,
                            ),
                        )
                        number[user] = 0
                    at = number[user]
                    held[user, at], reach[user, at] = item, about + margin
                    number[user] = at + 1
            limits[user] = limit
    for user in range(asked):
        _score_candidates(
            vectors,
            bias,
            users[user],
            held[user],
            reach[user],
            number[user],
            limits[user],
            best,
            user,
        )
        for rank in range(k):
            entry = best[user, rank]
            bits = entry >> 32
            score = np.int32(bits ^ ((bits >> 31) & 0x7FFFFFFF)).view(np.float32)
            found = score > -np.inf
            best[user, rank] = ~entry & 0xFFFFFFFF if found else -1
            scores[user, rank] = score if found else np.float32(0)


@jit(**KERNEL_OPTIONS)
def _multiply_codes(codes: Any, code: Any, first: int, last: int, room: Any) -> None:
    """Sums of products of integers for the items from first to last."""
    for item in range(first, last):
        total = np.int32(0)
        for t in range(codes.shape[1]):
            total = np.int32(total + np.int32(code[t]) * np.int32(codes[item, t]))
        room[item - first] = total


@jit(**KERNEL_OPTIONS)
def _insert_bound(lows: Any, low: np.float32) -> None:
    rank = len(lows) - 1
    while rank > 0 and lows[rank - 1] < low:
        lows[rank] = lows[rank - 1]
        rank -= 1
    lows[rank] = low


@jit(**KERNEL_OPTIONS)
def _score_candidates(
    vectors: Any,
    bias: Any,
    user: Any,
    held: Any,
    reach: Any,
    number: int,
    limit: np.float32,
    best: Any,
    row: int,
) -> np.float32:
    """Score what is held and may reach the limit, keep the k best; returns the score of the k-th."""
    last = best.shape[1] - 1
    for at in range(number):
        if reach[at] >= limit:
            item, total = held[at], 0.0
            for t in range(len(user)):
                total += np.float64(user[t]) * np.float64(vectors[item, t])
            score = np.float32(total + bias[item])
            if score > -np.inf:
                entry = pack_entry(score, item)
                if entry > best[row, last]:
                    insert_entry(best, row, entry)
    bits = best[row, last] >> 32
    return np.int32(bits ^ ((bits >> 31) & 0x7FFFFFFF)).view(np.float32)
