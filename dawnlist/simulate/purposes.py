"""Why stealthy bots come, and how many of them show what gives them away.

An operator hides some of what gives a bot away, but not all of it. So a kind of bot is a purpose
and, for each *tell*, the share of its members that show it. A member that doesn't show a tell does
as customers do in that respect. docs/SIMULATOR.md names the papers.
"""

from dataclasses import dataclass
from enum import IntEnum


class ItemSource(IntEnum):
    """Where the item of a visit comes from."""

    POPULAR = 0
    """Items that customers look at on that day."""
    SEGMENT = 1
    """The same, of one theme."""
    CATALOGUE = 2
    """Any item of the catalogue."""
    WALK = 3
    """The catalogue in the order of its public ids."""
    LIST = 4
    """A fixed list of popular items."""
    TARGET = 5
    """The items that the member's ring pushes."""
    REPEAT = 6
    """One of the member's last items."""


@dataclass(frozen=True)
class Purpose:
    """Why a kind of bot comes, and how many of its members show which tell."""

    source: ItemSource
    """Where the items come from that it is here for: those of its errand."""
    errand: float
    """Share of visits to these items, of a member that doesn't hide its errand.

    A member that hides it makes nearly no such visits.
    """
    acts: tuple[float, float, float, float]
    """Share of these visits with a click, like, cart, purchase."""
    tells: dict[str, float]
    """Tell -> share of members that show it; `bot_habits.draw_habits` says what a tell does."""
    campaign_days: int = 21
    """For how many days a ring pushes the same items."""
    lockstep: bool = False
    """Whether a ring works in one room: on the same days, from the same hour, in one network."""


PURPOSES = {
    "stealth:fast": Purpose(
        source=ItemSource.CATALOGUE,
        errand=0.75,
        acts=(0.5, 0.0, 0.0, 0.0),
        tells={
            "errand": 0.6,
            "hasty": 0.65,
            "even": 0.55,
            "silent": 0.45,
            "forward": 0.3,
            "sleepless": 0.45,
            "timetable": 0.35,
            "rigid": 0.55,
            "long": 0.4,
            "proxies": 0.6,
            "agents": 0.5,
            "routine": 0.5,
        },
    ),
    "stealth:regular": Purpose(
        source=ItemSource.LIST,
        errand=0.5,
        acts=(0.45, 0.0, 0.05, 0.0),
        tells={
            "errand": 0.55,
            "even": 0.6,
            "silent": 0.45,
            "forward": 0.25,
            "timetable": 0.65,
            "sleepless": 0.25,
            "rigid": 0.6,
            "often": 0.5,
            "proxies": 0.5,
            "agents": 0.5,
            "routine": 0.65,
            "workdays": 0.3,
        },
    ),
    "stealth:wide": Purpose(
        source=ItemSource.WALK,
        errand=0.85,
        acts=(0.5, 0.0, 0.0, 0.0),
        tells={
            "errand": 0.6,
            "even": 0.6,
            "silent": 0.45,
            "forward": 0.3,
            "sleepless": 0.45,
            "timetable": 0.35,
            "rigid": 0.6,
            "long": 0.4,
            "proxies": 0.6,
            "agents": 0.5,
            "routine": 0.6,
        },
    ),
    "stealth:skew": Purpose(
        source=ItemSource.TARGET,
        errand=0.4,
        acts=(0.2, 0.45, 0.5, 0.0),
        tells={
            "errand": 0.65,
            "blind": 0.6,
            "even": 0.6,
            "hasty": 0.4,
            "forward": 0.4,
            "timetable": 0.6,
            "rigid": 0.55,
            "proxies": 0.6,
            "agents": 0.5,
            "routine": 0.55,
            "workdays": 0.45,
        },
    ),
    "stealth:scalper": Purpose(
        source=ItemSource.LIST,
        errand=0.6,
        acts=(0.1, 0.0, 0.6, 0.0),
        tells={
            "errand": 0.6,
            "blind": 0.6,
            "hasty": 0.6,
            "even": 0.55,
            "forward": 0.25,
            "timetable": 0.65,
            "rigid": 0.55,
            "long": 0.3,
            "proxies": 0.6,
            "agents": 0.5,
            "routine": 0.5,
            "workdays": 0.3,
        },
    ),
    "stealth:mimic": Purpose(
        source=ItemSource.CATALOGUE,
        errand=0.7,
        acts=(0.35, 0.0, 0.0, 0.0),
        tells={
            "errand": 0.6,
            "even": 0.6,
            "silent": 0.3,
            "forward": 0.4,
            "sleepless": 0.35,
            "timetable": 0.45,
            "rigid": 0.6,
            "proxies": 0.65,
            "agents": 0.55,
            "routine": 0.6,
        },
    ),
    "stealth:clickfarm": Purpose(
        source=ItemSource.TARGET,
        errand=0.5,
        acts=(0.3, 0.5, 0.0, 0.0),
        tells={
            "errand": 0.6,
            "blind": 0.3,
            "hasty": 0.55,
            "forward": 0.5,
            "timetable": 0.65,
            "long": 0.4,
            "rigid": 0.3,
            "routine": 0.5,
            "agents": 0.5,
            "workdays": 0.55,
        },
        campaign_days=7,
        lockstep=True,
    ),
}
HELD_OUT_KIND = "stealth:clickfarm"
"""The kind that no rule may be tuned on; benchmarks report it separately."""
