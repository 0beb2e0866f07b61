"""The shop's people and items: who arrives when, with which tastes, and what is on sale, under which title."""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from dawnlist.arrays import Float64Array, Int64Array
from dawnlist.simulate.config import ShopConfig

SIMULATED_GENRES = (
    "Adventure", "Animation", "Biography", "Comedy", "Crime", "Documentary", "Drama", "Family", "Fantasy", "History",
    "Horror", "Music", "Mystery", "Romance", "Science Fiction", "Sport", "Thriller", "War", "Western", "Travel",
)  # fmt: skip
TITLE_NOUNS = (
    "Compass", "Kite", "Letters", "Umbrella", "Witness", "Archive", "Orchard", "Lantern", "Dragon", "Kingdom",
    "Cellar", "Violin", "Riddle", "Waltz", "Satellite", "Champion", "Signal", "Regiment", "Saddle", "Harbour",
    "Map", "Puppet", "Diary", "Parrot", "Detective", "Glacier", "Winter", "Kitchen", "Wizard", "Castle",
    "Mirror", "Song", "Secret", "Garden", "Robot", "Race", "Escape", "Bridge", "Canyon", "Island",
)  # fmt: skip
TITLE_ADJECTIVES = (
    "Amber", "Ancient", "Borrowed", "Broken", "Crimson", "Crooked", "Distant", "Electric", "Empty", "Endless",
    "Forgotten", "Frozen", "Gentle", "Golden", "Hidden", "Hollow", "Invisible", "Last", "Little", "Lonely",
    "Lost", "Midnight", "Naked", "Northern", "Paper", "Patient", "Quiet", "Restless", "Scarlet", "Second",
    "Secret", "Silent", "Silver", "Sleeping", "Stolen", "Stubborn", "Sunken", "Tall", "Velvet", "Wandering",
)  # fmt: skip
TITLE_PLACES = (
    "Alder Bay", "Brackwater", "Calder", "Dunmore", "Eastmarch", "Fennel Street", "Greywick", "Hartland", "Ivory Hill",
    "Juniper Row", "Kestrel Point", "Lowmoor", "Marrow Lane", "Nettlefield", "Oakhaven", "Pell Island", "Quarry Hill",
    "Redcliff", "Saltmere", "Thornbury", "Umber Valley", "Vesper", "Westering", "Yarrow",
)  # fmt: skip
HOSTILE_ITEM = 7
HOSTILE_TITLE = "<script>alert(1)</script>"
PEOPLE_STREAM, ITEM_STREAM, TRAFFIC_STREAM, INTRUDER_STREAM, DIRT_STREAM = range(
    5
)  # the random streams of a shop: see `stream`
PUBLIC_ID_COUNT = 9_000_000


def create_random_stream(config: ShopConfig, name: int, day: int) -> np.random.Generator:
    """The random numbers of one part of the shop on one day: a longer shop draws the same ones for the same day."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([config.seed, name, day])))


def assign_public_ids(indices: Int64Array) -> Int64Array:
    """The ids production uses: unique for indices under 9 million, and without any order that would tell who is who."""
    return 1_000_000 + (indices.astype(np.int64) * 4_782_137 + 17_850) % PUBLIC_ID_COUNT


def list_arrival_days(counts: list[int]) -> Int64Array:
    """The day on which each one arrived, from how many there were on each day."""
    return np.repeat(np.arange(len(counts)), np.diff(counts, prepend=0))


@dataclass(frozen=True)
class People:
    """Customers by index, in order of arrival."""

    arrived: Int64Array  # day
    leaves: Float64Array  # day
    rate: Float64Array  # sessions a day
    tastes: Float64Array  # (users, themes), cumulative along themes, the last is 1
    agent: Int64Array
    address: Int64Array  # IPv4 as a number
    roams: Float64Array  # share of sessions on the road


@dataclass(frozen=True)
class SimulatedCatalogue:
    """Items by index, in order of arrival."""

    arrived: Int64Array  # day
    appeal: Float64Array  # log popularity inside its theme
    theme: Int64Array  # the main theme
    second_theme: Int64Array
    title: list[str]
    genres: list[str]


def draw_people(config: ShopConfig) -> People:
    """Everyone who has an account by the last day."""
    counts = [config.users_on(day) for day in range(config.days)]
    parts = []
    for day, n in enumerate(np.diff(counts, prepend=0)):
        if n:
            random = create_random_stream(config, PEOPLE_STREAM, day)
            tastes = random.gamma(config.taste_concentration, size=(n, config.themes)) + 1e-12
            rate = config.sessions_a_day * np.exp(
                config.activity_spread * random.standard_normal(n)
            )
            stay = random.exponential(config.stay_days, n)
            agent, place = random.integers(0, 64, n), random.random(n)
            roams = np.maximum(random.uniform(-0.6, 0.6, n), 0.0)  # half of them never do
            parts.append((tastes, np.minimum(rate, 6.0), day + stay, agent, place, roams))
    tastes, rate, leaves, agent, place, roams = (
        np.concatenate(column) for column in zip(*parts, strict=True)
    )
    cumulative = np.cumsum(tastes / tastes.sum(axis=1, keepdims=True), axis=1)
    cumulative[:, -1] = 1.0
    address = ((24 + (place * 180).astype(np.int64)) << 24) + (place * 180 % 1 * (1 << 24)).astype(
        np.int64
    )
    return People(
        list_arrival_days(counts), leaves, rate, cumulative, agent.astype(np.int64), address, roams
    )


def draw_catalogue(config: ShopConfig) -> SimulatedCatalogue:
    """Every item on sale by the last day."""
    counts = [config.items_on(day) for day in range(config.days)]
    parts = []
    for day, n in enumerate(np.diff(counts, prepend=0)):
        if n:
            random = create_random_stream(config, ITEM_STREAM, day)
            theme = random.integers(0, config.themes, n)
            second = random.integers(0, config.themes, n)
            # evenly spread quantiles: one seed with a blockbuster and another without would drown what is planted
            quantile = (random.permutation(n) + random.random(n)) / n
            appeal = config.popularity_spread * np.clip(ndtri(quantile), -2.5, 2.5)
            parts.append((appeal, theme, second, random.integers(1, 4, n)))
    appeal, theme, second, width = (np.concatenate(column) for column in zip(*parts, strict=True))
    names = [compose_title(index, int(main)) for index, main in enumerate(theme)]
    genres = [
        join_genres(int(a), int(b), int(n)) for a, b, n in zip(theme, second, width, strict=True)
    ]
    return SimulatedCatalogue(list_arrival_days(counts), appeal, theme, second, names, genres)


def compose_title(index: int, theme: int) -> str:
    """A readable title, unique to the index, with a noun of the theme."""
    if index == HOSTILE_ITEM:
        return HOSTILE_TITLE
    mixed = index * 7_919 % (len(TITLE_ADJECTIVES) * len(TITLE_PLACES))
    volume = index // (len(TITLE_ADJECTIVES) * len(TITLE_PLACES))
    noun = TITLE_NOUNS[theme % len(SIMULATED_GENRES) + len(SIMULATED_GENRES) * (index % 2)]
    name = f"The {TITLE_ADJECTIVES[mixed % len(TITLE_ADJECTIVES)]} {noun} of {TITLE_PLACES[mixed // len(TITLE_ADJECTIVES)]}"
    return f"{name}, Part {volume + 1}" if volume else name


def join_genres(theme: int, second: int, width: int) -> str:
    """One to three different genres as 'A|B', the main theme's first."""
    candidates = dict.fromkeys(
        (
            theme % len(SIMULATED_GENRES),
            second % len(SIMULATED_GENRES),
            (theme + second) % len(SIMULATED_GENRES),
        )
    )
    return "|".join(SIMULATED_GENRES[genre] for genre in list(candidates)[:width])
