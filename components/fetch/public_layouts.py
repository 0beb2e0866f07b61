"""The layouts of public data sets, MovieLens and Amazon reviews, and how they are recognised."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from dawnlist.components.fetch.formats.local_copies import read_first_line
from dawnlist.components.fetch.layouts import Layout, SourceInventory, TableFiles
from dawnlist.components.fetch.source_files import SourceFile, match_files


@dataclass(frozen=True)
class PublicLayout:
    """A layout of public data and how it is recognised."""

    layout: Layout
    companion_pattern: str = ""
    """A pattern of fnmatch: the folder must have a file that matches it."""
    first_line_pattern: str = ""
    """A regular expression that matches the start of the interactions' first line."""


GENRES_100K = (
    "(no genres listed)",  # The README calls this column "unknown".
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
)
"""The columns of u.item that flag a film's genres."""

_LATIN = ("utf-8", "latin-1")
"""The README says ISO-8859-1, but tools that write the format today write UTF-8."""
_RATINGS = ("user_id", "item_id", "rating", "timestamp")
_PEOPLE_100K = ("user_id", "age", "gender", "occupation", "zip_code")
_PEOPLE_1M = ("user_id", "gender", "age", "occupation", "zip_code")
_FILMS_100K = ("item_id", "title", "release_date", "video_release_date", "imdb_url", *GENRES_100K)


def _add_compressed_names(*names: str) -> tuple[str, ...]:
    """Add to each name those of its compressed files."""
    compressed_names: list[str] = []
    for name in names:
        compressed_names.extend((name, f"{name}.gz", f"{name}.zst"))
    return tuple(compressed_names)


def _describe_bare_file(
    name: str,
    delimiter: str,
    columns: tuple[str, ...],
    encoding: tuple[str, ...] = ("utf-8",),
) -> TableFiles:
    """Describe a file without a header and without quotes."""
    return TableFiles(
        _add_compressed_names(name),
        format="csv",
        delimiter=delimiter,
        quote="",
        columns=columns,
        encoding=encoding,
    )


_DAT = Layout(
    _describe_bare_file("ratings.dat", "::", _RATINGS),
    items=_describe_bare_file("movies.dat", "::", ("item_id", "title", "genres"), _LATIN),
    users=_describe_bare_file("users.dat", "::", _PEOPLE_1M),
)
_DAT_OF_FIVE = replace(_DAT, rating_scale=5)
_ML_100K = Layout(
    _describe_bare_file("u.data", "\t", _RATINGS),
    items=replace(
        _describe_bare_file("u.item", "|", _FILMS_100K, _LATIN), flags={"genres": GENRES_100K}
    ),
    users=_describe_bare_file("u.user", "|", _PEOPLE_100K),
    rating_scale=5,
)
_ML_CSV = Layout(
    TableFiles(_add_compressed_names("ratings.csv")),
    items=TableFiles(_add_compressed_names("movies.csv")),
    rating_scale=5,
)

# https://files.grouplens.org/datasets/movielens/ has a README of each.
MOVIELENS = (
    PublicLayout(_ML_100K),
    PublicLayout(_DAT_OF_FIVE, companion_pattern="users.dat*"),  # 1M
    PublicLayout(_DAT_OF_FIVE, companion_pattern="tags.dat*"),  # 10M
    PublicLayout(_DAT),  # Other tools write this format with other scales.
    PublicLayout(
        _ML_CSV, first_line_pattern="userId,movieId,rating,timestamp"
    ),  # 20M, 25M, 32M, latest
)

_JSON = _add_compressed_names("*.json", "*.jsonl")
_CSV = _add_compressed_names("*.csv")
_META = TableFiles(_add_compressed_names("meta_*.json", "meta_*.jsonl"))
_ASIN = r"(?:B\w{9}|\d{9}[\dX])"
_REVIEWER = r"A\w{10,}"
_RATING_AND_TIME = r"[1-5](?:\.0)?,\d{9,10}"


def _describe_amazon_layout(
    patterns: tuple[str, ...],
    first_line_pattern: str,
    columns: tuple[str, ...] = (),
) -> PublicLayout:
    layout = Layout(TableFiles(patterns, columns=columns), items=_META, rating_scale=5)
    return PublicLayout(layout, first_line_pattern=first_line_pattern)


# https://jmcauley.ucsd.edu/data/amazon/ (2014), https://nijianmo.github.io/amazon/ (2018),
# https://amazon-reviews-2023.github.io/
AMAZON = (
    # 2014 and 2018
    _describe_amazon_layout(_JSON, r'\{(?=.*"reviewerID")(?=.*"asin")(?=.*"unixReviewTime")'),
    # 2023
    _describe_amazon_layout(_JSON, r'\{(?=.*"user_id")(?=.*"parent_asin")(?=.*"timestamp")'),
    # 2023, ratings only
    _describe_amazon_layout(_CSV, r"user_id,parent_asin,rating,timestamp"),
    # 2018, ratings only
    _describe_amazon_layout(
        _CSV, rf"{_ASIN},{_REVIEWER},{_RATING_AND_TIME}", ("asin", "user_id", "rating", "timestamp")
    ),
    # 2014, ratings only
    _describe_amazon_layout(
        _CSV, rf"{_REVIEWER},{_ASIN},{_RATING_AND_TIME}", ("user_id", "asin", "rating", "timestamp")
    ),
)

PUBLIC_LAYOUTS = (*MOVIELENS, *AMAZON)


def recognise_public_layout(files: Sequence[SourceFile]) -> SourceInventory | None:
    """Sort the files by the first layout of public data that fits; None when none does."""
    for public_layout in PUBLIC_LAYOUTS:
        inventory = SourceInventory.from_files(public_layout.layout, files)
        if inventory.interactions and _matches_layout(files, inventory, public_layout):
            return inventory
    return None


def _matches_layout(
    files: Sequence[SourceFile],
    inventory: SourceInventory,
    public_layout: PublicLayout,
) -> bool:
    companion_pattern = public_layout.companion_pattern
    if companion_pattern and not match_files(files, companion_pattern):
        return False
    if not public_layout.first_line_pattern:
        return True
    first_file = inventory.interactions[0]
    # Files named by day are no public data. On a bucket, only the days of a window are to be read.
    if first_file.day is not None:
        return False
    return re.match(public_layout.first_line_pattern, read_first_line(first_file)) is not None
