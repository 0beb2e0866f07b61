"""The shop's people and items: who arrives when with which tastes, and what is on sale."""

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt
from numpy.random import Generator
from scipy.special import ndtri

from dawnlist.arrays import Float64Array, Int64Array
from dawnlist.simulate.agents import BROWSER_AGENT_COUNT
from dawnlist.simulate.config import ShopConfig
from dawnlist.simulate.titles import compose_title, join_genres

PUBLIC_ID_COUNT = 9_000_000
"""How many different public ids there are."""


class RandomStream(IntEnum):
    """The parts of a shop that have random numbers of their own."""

    PEOPLE = 0
    ITEMS = 1
    TRAFFIC = 2
    INTRUDERS = 3
    DIRT = 4
    UNUSUAL_PEOPLE = 5


def create_random_stream(config: ShopConfig, stream: RandomStream, day: int) -> Generator:
    """Create the random numbers of one part of the shop on one day.

    They don't depend on how many days are simulated, so a longer shop has the same rows first.
    """
    seeds = np.random.SeedSequence([config.seed, int(stream), day])
    return Generator(np.random.PCG64(seeds))


def assign_public_ids(indices: Int64Array) -> Int64Array:
    """Compute the ids that production uses, from 1,000,000 up.

    They are unique for indices under 9 million, and their order says nothing about who is who.
    """
    return 1_000_000 + (indices.astype(np.int64) * 4_782_137 + 17_850) % PUBLIC_ID_COUNT


def list_arrival_days(counts: list[int]) -> Int64Array:
    """List the day on which each one arrived, given how many there were on each day."""
    return np.repeat(np.arange(len(counts)), np.diff(counts, prepend=0))


@dataclass(frozen=True)
class People:
    """Customers by index, in order of arrival."""

    arrived: Int64Array
    """The day on which each of them arrived; 0 is the opening day."""
    leaves: Float64Array
    """The day from which each of them stays away."""
    rate: Float64Array
    """Mean sessions a day."""
    tastes: Float64Array
    """(users, themes): the share of each theme, cumulative along themes; the last is 1."""
    agent: Int64Array
    """Index of the user agent at home."""
    address: Int64Array
    """The IPv4 address at home, as a number."""
    roams: Float64Array
    """Share of sessions on the road."""


@dataclass(frozen=True)
class SimulatedCatalogue:
    """Items by index, in order of arrival."""

    arrived: Int64Array
    """The day on which each of them was added; 0 is the opening day."""
    appeal: Float64Array
    """Log of the popularity inside its theme."""
    theme: Int64Array
    """The main theme."""
    second_theme: Int64Array
    """Another theme whose customers like it less; it may be the main theme again."""
    title: list[str]
    """The title, which no other item has."""
    genres: list[str]
    """One to three genres as 'A|B'."""


def draw_people(config: ShopConfig) -> People:
    """Draw everybody who has an account by the last day."""
    counts = [config.count_users(day) for day in range(config.days)]
    arrivals = []
    for day, count in enumerate(np.diff(counts, prepend=0).tolist()):
        if count:
            arrivals.append(_draw_arrivals(config, day, count))
    tastes, rate, leaves, agent, home, roams = map(np.concatenate, zip(*arrivals, strict=True))
    cumulative = np.cumsum(tastes / tastes.sum(axis=1, keepdims=True), axis=1)
    cumulative[:, -1] = 1.0
    first_octet = 24 + (home * 180).astype(np.int64)
    other_octets = (home * 180 % 1 * (1 << 24)).astype(np.int64)
    return People(
        arrived=list_arrival_days(counts),
        leaves=leaves,
        rate=rate,
        tastes=cumulative,
        agent=agent.astype(np.int64),
        address=(first_octet << 24) + other_octets,
        roams=roams,
    )


def _draw_arrivals(config: ShopConfig, day: int, count: int) -> tuple[npt.NDArray[Any], ...]:
    """Draw the people who arrive on a day: tastes, rate, leaves, agent, home and roams.

    The home is a number from 0 to 1 that the address follows from.
    """
    random = create_random_stream(config, RandomStream.PEOPLE, day)
    tastes = random.gamma(config.taste_concentration, size=(count, config.themes)) + 1e-12
    activity = np.exp(config.activity_spread * random.standard_normal(count))
    rate = np.minimum(config.sessions_a_day * activity, 6.0)
    leaves = day + random.exponential(config.stay_days, count)
    agent = random.integers(0, BROWSER_AGENT_COUNT, count)
    home = random.random(count)
    # half of the people never leave home
    roams = np.maximum(random.uniform(-0.6, 0.6, count), 0.0)
    return tastes, rate, leaves, agent, home, roams


def draw_catalogue(config: ShopConfig) -> SimulatedCatalogue:
    """Draw every item that is on sale by the last day."""
    counts = [config.count_items(day) for day in range(config.days)]
    arrivals = []
    for day, count in enumerate(np.diff(counts, prepend=0).tolist()):
        if count:
            arrivals.append(_draw_new_items(config, day, count))
    appeal, theme, second_theme, genre_count = map(np.concatenate, zip(*arrivals, strict=True))
    titles = []
    genres = []
    for index in range(len(theme)):
        titles.append(compose_title(index, int(theme[index])))
        genre_text = join_genres(
            int(theme[index]), int(second_theme[index]), int(genre_count[index])
        )
        genres.append(genre_text)
    return SimulatedCatalogue(
        arrived=list_arrival_days(counts),
        appeal=appeal,
        theme=theme,
        second_theme=second_theme,
        title=titles,
        genres=genres,
    )


def _draw_new_items(config: ShopConfig, day: int, count: int) -> tuple[npt.NDArray[Any], ...]:
    """Draw the items that are added on a day: appeal, theme, second theme and number of genres."""
    random = create_random_stream(config, RandomStream.ITEMS, day)
    theme = random.integers(0, config.themes, count)
    second_theme = random.integers(0, config.themes, count)
    # The quantiles are evenly spread: a blockbuster that one seed has and another one lacks would
    # hide the effects that are simulated.
    quantile = (random.permutation(count) + random.random(count)) / count
    appeal = config.popularity_spread * np.clip(ndtri(quantile), -2.5, 2.5)
    genre_count = random.integers(1, 4, count)
    return appeal, theme, second_theme, genre_count
