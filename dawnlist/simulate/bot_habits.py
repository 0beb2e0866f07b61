"""Why stealthy bots come, what of it their operators hide, and the fixed habits that follow from both.

An operator hides some of what gives a bot away and not the rest. So a kind is a purpose and, for each *tell*, the share
of its members that show it; who does not show a tell does as customers do in that respect. docs/SIMULATOR.md names the
papers.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dawnlist.arrays import Float64Array, Int64Array
from dawnlist.simulate.traffic import FOLLOW_UPS

ACCOUNT_GENERATIONS = 4  # of accounts in a year: burnt ones are replaced every quarter
EFFORT_SPREAD = 2.0  # how unlike the numbers of tells of two members are
MEDIAN_DAILY_EVENTS = 1.05  # median of a member, in its own quarter
CUSTOMER_ACT_SHARES = np.array([share for _, share, _ in FOLLOW_UPS])
ITEM_SOURCES = ("popular", "segment", "catalogue", "walk", "list", "target", "again")
(
    SOURCE_POPULAR,
    SOURCE_SEGMENT,
    SOURCE_CATALOGUE,
    SOURCE_WALK,
    SOURCE_LIST,
    SOURCE_TARGET,
    SOURCE_REPEAT,
) = range(len(ITEM_SOURCES))
CUSTOMARY_HOUR, ANY_HOUR = -1.0, -2.0  # instead of an hour


@dataclass(frozen=True)
class Purpose:
    """Why a kind comes, and how many of its members show which tell."""

    source: int
    """Where the items come from that it is here for."""
    errand: float
    """Share of visits to them of a member that doesn't hide its errand; one that does makes next to none."""
    acts: tuple[float, float, float, float]
    """Share of those visits with a click, like, cart, purchase."""
    tells: dict[str, float]
    """Tell to share of members; see `habits`."""
    campaign_days: int = 21
    """A ring pushes the same items for so long."""
    lockstep: bool = False
    """A ring works in one room: on the same days, from the same hour, in one network."""


PURPOSES = {
    "stealth:fast": Purpose(
        SOURCE_CATALOGUE, 0.75, (0.5, 0.0, 0.0, 0.0),
        {"errand": 0.6, "hasty": 0.65, "even": 0.55, "silent": 0.45, "forward": 0.3, "sleepless": 0.45,
         "timetable": 0.35, "rigid": 0.55, "long": 0.4, "proxies": 0.6, "agents": 0.5, "routine": 0.5},
    ),
    "stealth:regular": Purpose(
        SOURCE_LIST, 0.5, (0.45, 0.0, 0.05, 0.0),
        {"errand": 0.55, "even": 0.6, "silent": 0.45, "forward": 0.25, "timetable": 0.65, "sleepless": 0.25,
         "rigid": 0.6, "often": 0.5, "proxies": 0.5, "agents": 0.5, "routine": 0.65, "workdays": 0.3},
    ),
    "stealth:wide": Purpose(
        SOURCE_WALK, 0.85, (0.5, 0.0, 0.0, 0.0),
        {"errand": 0.6, "even": 0.6, "silent": 0.45, "forward": 0.3, "sleepless": 0.45, "timetable": 0.35,
         "rigid": 0.6, "long": 0.4, "proxies": 0.6, "agents": 0.5, "routine": 0.6},
    ),
    "stealth:skew": Purpose(
        SOURCE_TARGET, 0.4, (0.2, 0.45, 0.5, 0.0),
        {"errand": 0.65, "blind": 0.6, "even": 0.6, "hasty": 0.4, "forward": 0.4, "timetable": 0.6, "rigid": 0.55,
         "proxies": 0.6, "agents": 0.5, "routine": 0.55, "workdays": 0.45},
    ),
    "stealth:scalper": Purpose(
        SOURCE_LIST, 0.6, (0.1, 0.0, 0.6, 0.0),
        {"errand": 0.6, "blind": 0.6, "hasty": 0.6, "even": 0.55, "forward": 0.25, "timetable": 0.65, "rigid": 0.55,
         "long": 0.3, "proxies": 0.6, "agents": 0.5, "routine": 0.5, "workdays": 0.3},
    ),
    "stealth:mimic": Purpose(
        SOURCE_CATALOGUE, 0.7, (0.35, 0.0, 0.0, 0.0),
        {"errand": 0.6, "even": 0.6, "silent": 0.3, "forward": 0.4, "sleepless": 0.35, "timetable": 0.45, "rigid": 0.6,
         "proxies": 0.65, "agents": 0.55, "routine": 0.6},
    ),
    "stealth:clickfarm": Purpose(
        SOURCE_TARGET, 0.5, (0.3, 0.5, 0.0, 0.0),
        {"errand": 0.6, "blind": 0.3, "hasty": 0.55, "forward": 0.5, "timetable": 0.65, "long": 0.4, "rigid": 0.3,
         "routine": 0.5, "agents": 0.5, "workdays": 0.55},
        campaign_days=7, lockstep=True,
    ),
}  # fmt: skip
HELD_OUT_KIND = "stealth:clickfarm"
"""The kind that no rule may be tuned on: benchmarks report it apart."""


@dataclass(frozen=True)
class BotHabits:
    """What a member of a kind always does: aligned arrays, one entry a member."""

    source: Float64Array  # (members, SOURCES), cumulative
    acts: Float64Array  # (members, 4): share of visits with a click, like, cart, purchase ...
    errand_acts: Float64Array  # ... and of visits to what it came for
    blind: Float64Array  # share of acts without the view before
    pause: Float64Array  # median seconds
    jitter: Float64Array  # 0: as customers pause; else pause * (1 - jitter ... 1 + jitter), evenly
    sessions: Float64Array  # mean a day on which it comes
    visits: Float64Array  # mean a session
    rigid: npt.NDArray[np.bool_]  # every session as long as the other
    hour: Float64Array  # at which it starts, or CUSTOMARY, or ANY
    period: Int64Array  # it comes every so many days; 0: on any
    chance: Float64Array  # of coming on a day
    events: Float64Array  # mean of a day on which it comes
    proxies: npt.NDArray[np.bool_]  # another network each session
    agents: Int64Array  # how many it goes through, a session each
    workdays: npt.NDArray[np.bool_]  # never comes at the weekend


def distribute_tells(
    random: np.random.Generator, members: int, shares: list[float]
) -> npt.NDArray[np.bool_]:
    """(members, shares): which member shows which tell.

    Each share holds in each generation, however small. Whoever shows many already shows further ones less often: hiding
    costs effort, and operators spend about the same.
    """
    shown = np.zeros((members, len(shares)), bool)
    for generation in range(ACCOUNT_GENERATIONS):
        mine = np.arange(generation, members, ACCOUNT_GENERATIONS)
        for column in random.permutation(len(shares)):
            burden = shown[mine].sum(axis=1) + random.uniform(0, EFFORT_SPREAD, len(mine))
            shown[
                mine[np.argsort(burden)[: int(shares[column] * len(mine) + random.random())]],
                column,
            ] = True
    return shown


def mix_item_sources(
    own: int, errand: Float64Array, again: Float64Array, taste: Float64Array
) -> Float64Array:
    """(members, SOURCES) cumulative: the errand, and the rest as customers choose: again, by taste, what all see."""
    shares = np.zeros((len(errand), len(ITEM_SOURCES)))
    shares[:, own] = errand
    shares[:, SOURCE_REPEAT] = (1 - errand) * again
    rest = (1 - errand) * (1 - again)
    shares[:, SOURCE_POPULAR], shares[:, SOURCE_SEGMENT] = rest * (1 - taste), rest * taste
    return np.cumsum(shares, axis=1)


def draw_habits(purpose: Purpose, random: np.random.Generator, members: int) -> BotHabits:
    """Fixed habits of the members of a kind: a customer's, but for the tells that each shows."""
    shown = dict(
        zip(
            purpose.tells,
            distribute_tells(random, members, list(purpose.tells.values())).T,
            strict=True,
        )
    )

    def tell(name: str) -> npt.NDArray[np.bool_]:
        return shown[name] if name in shown else np.zeros(members, bool)

    def between(low: float, high: float) -> Float64Array:
        return random.uniform(low, high, members)

    errand = purpose.errand * np.where(tell("errand"), between(0.8, 1.1), between(0.0, 0.06))
    again = np.where(tell("forward"), 0.0, between(0.08, 0.16))
    source = mix_item_sources(purpose.source, errand, again, between(0.2, 0.8))
    customary = CUSTOMER_ACT_SHARES * between(0.8, 1.2)[:, None]
    own = np.where(tell("errand")[:, None], np.array(purpose.acts), customary)
    quiet = np.where(tell("silent"), between(0.0, 0.4), 1.0)[:, None]
    jitter = np.where(tell("even"), between(0.05, 0.5), 0.0)
    start = np.where(
        tell("sleepless"), ANY_HOUR, np.where(tell("timetable"), between(0, 24), CUSTOMARY_HOUR)
    )
    sessions = np.where(tell("often"), between(1.8, 3.0), between(1.0, 1.3))
    visits = np.where(tell("long"), between(4.0, 7.0), between(2.0, 3.0))
    rate = MEDIAN_DAILY_EVENTS * np.exp(0.25 * random.standard_normal(members).clip(-1.5, 2))
    acts, errand_acts = customary * quiet, own * quiet
    mean_acts = acts.sum(axis=1) * (1 - errand) + errand_acts.sum(axis=1) * errand
    events = sessions * visits * (1 + mean_acts)
    chance = np.minimum(rate / events * np.where(tell("workdays"), 7 / 5, 1.0), 1.0)
    return BotHabits(
        source, acts, errand_acts,
        np.where(tell("blind"), between(0.3, 0.9), 0.0),
        30.0 * np.where(tell("hasty"), between(0.12, 0.35), between(0.8, 1.3)),
        jitter, sessions, visits, tell("rigid"), start,
        np.where(tell("routine"), np.maximum(np.round(1 / chance), 1), 0).astype(np.int64),
        chance, events, tell("proxies"), np.where(tell("agents"), random.integers(3, 7, members), 1),
        tell("workdays"),
    )  # fmt: skip
