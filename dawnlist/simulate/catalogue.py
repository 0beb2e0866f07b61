"""The shop's people and items: who arrives when, with which tastes, and what is on sale, under which title."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.special import ndtri

from dawnlist.simulate.config import ShopConfig

GENRES = (
    "Adventure", "Animation", "Biography", "Comedy", "Crime", "Documentary", "Drama", "Family", "Fantasy", "History",
    "Horror", "Music", "Mystery", "Romance", "Science Fiction", "Sport", "Thriller", "War", "Western", "Travel",
)  # fmt: skip
NOUNS = (
    "Compass", "Kite", "Letters", "Umbrella", "Witness", "Archive", "Orchard", "Lantern", "Dragon", "Kingdom",
    "Cellar", "Violin", "Riddle", "Waltz", "Satellite", "Champion", "Signal", "Regiment", "Saddle", "Harbour",
    "Map", "Puppet", "Diary", "Parrot", "Detective", "Glacier", "Winter", "Kitchen", "Wizard", "Castle",
    "Mirror", "Song", "Secret", "Garden", "Robot", "Race", "Escape", "Bridge", "Canyon", "Island",
)  # fmt: skip
ADJECTIVES = (
    "Amber", "Ancient", "Borrowed", "Broken", "Crimson", "Crooked", "Distant", "Electric", "Empty", "Endless",
    "Forgotten", "Frozen", "Gentle", "Golden", "Hidden", "Hollow", "Invisible", "Last", "Little", "Lonely",
    "Lost", "Midnight", "Naked", "Northern", "Paper", "Patient", "Quiet", "Restless", "Scarlet", "Second",
    "Secret", "Silent", "Silver", "Sleeping", "Stolen", "Stubborn", "Sunken", "Tall", "Velvet", "Wandering",
)  # fmt: skip
PLACES = (
    "Alder Bay", "Brackwater", "Calder", "Dunmore", "Eastmarch", "Fennel Street", "Greywick", "Hartland", "Ivory Hill",
    "Juniper Row", "Kestrel Point", "Lowmoor", "Marrow Lane", "Nettlefield", "Oakhaven", "Pell Island", "Quarry Hill",
    "Redcliff", "Saltmere", "Thornbury", "Umber Valley", "Vesper", "Westering", "Yarrow",
)  # fmt: skip
HOSTILE_ITEM = 7
HOSTILE_TITLE = "<script>alert(1)</script>"
PEOPLE, ITEMS, TRAFFIC, INTRUDERS, DIRT = range(5)  # the random streams of a shop: see `stream`
PUBLIC_IDS = 9_000_000
Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]


def stream(config: ShopConfig, name: int, day: int) -> np.random.Generator:
    """The random numbers of one part of the shop on one day: a longer shop draws the same ones for the same day."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([config.seed, name, day])))


def public_ids(indices: Integers) -> Integers:
    """The ids production uses: unique for indices under 9 million, and without any order that would tell who is who."""
    return 1_000_000 + (indices.astype(np.int64) * 4_782_137 + 17_850) % PUBLIC_IDS


def arrivals(counts: list[int]) -> Integers:
    """The day on which each one arrived, from how many there were on each day."""
    return np.repeat(np.arange(len(counts)), np.diff(counts, prepend=0))


@dataclass(frozen=True)
class People:
    """Customers by index, in order of arrival."""

    arrived: Integers  # day
    leaves: Floats  # day
    rate: Floats  # sessions a day
    tastes: Floats  # (users, themes), cumulative along themes, the last is 1
    agent: Integers
    address: Integers  # IPv4 as a number
    roams: Floats  # share of sessions on the road


@dataclass(frozen=True)
class Catalogue:
    """Items by index, in order of arrival."""

    arrived: Integers  # day
    appeal: Floats  # log popularity inside its theme
    theme: Integers  # the main theme
    second_theme: Integers
    title: list[str]
    genres: list[str]


def people(config: ShopConfig) -> People:
    """Everyone who has an account by the last day."""
    counts = [config.users_on(day) for day in range(config.days)]
    parts = []
    for day, n in enumerate(np.diff(counts, prepend=0)):
        if n:
            random = stream(config, PEOPLE, day)
            tastes = random.gamma(config.taste_concentration, size=(n, config.themes)) + 1e-12
            rate = config.sessions_a_day * np.exp(config.activity_spread * random.standard_normal(n))
            stay = random.exponential(config.stay_days, n)
            agent, place = random.integers(0, 64, n), random.random(n)
            roams = np.maximum(random.uniform(-0.6, 0.6, n), 0.0)  # half of them never do
            parts.append((tastes, np.minimum(rate, 6.0), day + stay, agent, place, roams))
    tastes, rate, leaves, agent, place, roams = (np.concatenate(column) for column in zip(*parts, strict=True))
    cumulative = np.cumsum(tastes / tastes.sum(axis=1, keepdims=True), axis=1)
    cumulative[:, -1] = 1.0
    address = ((24 + (place * 180).astype(np.int64)) << 24) + (place * 180 % 1 * (1 << 24)).astype(np.int64)
    return People(arrivals(counts), leaves, rate, cumulative, agent.astype(np.int64), address, roams)


def catalogue(config: ShopConfig) -> Catalogue:
    """Every item on sale by the last day."""
    counts = [config.items_on(day) for day in range(config.days)]
    parts = []
    for day, n in enumerate(np.diff(counts, prepend=0)):
        if n:
            random = stream(config, ITEMS, day)
            theme = random.integers(0, config.themes, n)
            second = random.integers(0, config.themes, n)
            # evenly spread quantiles: one seed with a blockbuster and another without would drown what is planted
            quantile = (random.permutation(n) + random.random(n)) / n
            appeal = config.popularity_spread * np.clip(ndtri(quantile), -2.5, 2.5)
            parts.append((appeal, theme, second, random.integers(1, 4, n)))
    appeal, theme, second, width = (np.concatenate(column) for column in zip(*parts, strict=True))
    names = [title(index, int(main)) for index, main in enumerate(theme)]
    genres = [genre_text(int(a), int(b), int(n)) for a, b, n in zip(theme, second, width, strict=True)]
    return Catalogue(arrivals(counts), appeal, theme, second, names, genres)


def title(index: int, theme: int) -> str:
    """A readable title, unique to the index, with a noun of the theme."""
    if index == HOSTILE_ITEM:
        return HOSTILE_TITLE
    mixed = index * 7_919 % (len(ADJECTIVES) * len(PLACES))
    volume = index // (len(ADJECTIVES) * len(PLACES))
    noun = NOUNS[theme % len(GENRES) + len(GENRES) * (index % 2)]
    name = f"The {ADJECTIVES[mixed % len(ADJECTIVES)]} {noun} of {PLACES[mixed // len(ADJECTIVES)]}"
    return f"{name}, Part {volume + 1}" if volume else name


def genre_text(theme: int, second: int, width: int) -> str:
    """One to three different genres as 'A|B', the main theme's first."""
    candidates = dict.fromkeys((theme % len(GENRES), second % len(GENRES), (theme + second) % len(GENRES)))
    return "|".join(GENRES[genre] for genre in list(candidates)[:width])
