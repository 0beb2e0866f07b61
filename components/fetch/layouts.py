"""Layouts of files: which hold what, and how they are written; those of public data are known."""

import codecs
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from dawnlist.components.fetch.source_files import SourceFile, match_files
from dawnlist.settings import SourceSettings

FileFormat = Literal["csv", "jsonl", "parquet"]

FORMATS_BY_SUFFIX: dict[str, FileFormat] = {
    "csv": "csv", "tsv": "csv",
    "jsonl": "jsonl", "ndjson": "jsonl", "json": "jsonl",
    "parquet": "parquet", "pq": "parquet",
}  # fmt: skip
"""A name's ending -> how the file is read."""


def _wrap_in_tuple(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _normalise_encoding(name: str) -> str:
    try:
        return codecs.lookup(name).name
    except LookupError:
        raise ValueError(
            "no encoding that Python knows, such as utf-8, latin-1 or cp1252"
        ) from None


FilePatterns = Annotated[tuple[str, ...], BeforeValidator(_wrap_in_tuple)]
Encodings = Annotated[
    tuple[Annotated[str, AfterValidator(_normalise_encoding)], ...], BeforeValidator(_wrap_in_tuple)
]


@dataclass(frozen=True)
class TableFiles:
    """The files of the interactions, the items or the users, and how they are written."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    files: FilePatterns
    """Patterns such as clicks/*.csv.gz, relative to the folder, or URIs; the first that any file matches counts."""
    format: FileFormat | None = None
    """As the file's name says, unless it is given."""
    delimiter: Annotated[str, Field(max_length=4)] = ""
    """Of csv; empty: whichever of , ; | and tab the header has most of."""
    quote: Annotated[str, Field(max_length=1)] = '"'
    """Of csv; empty: quotes are letters like others."""
    columns: tuple[str, ...] = ()
    """Of csv: the names of the columns of a file without a header."""
    encoding: Encodings = ("utf-8",)
    """The first that the whole file can be read in."""
    compression: Literal["gz", "zst", "none"] | None = None
    """As the file's name says, unless it is given."""
    flags: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """New column -> columns of 0 and 1 whose names it lists: {genres: [Action, Comedy]} gives Action|Comedy."""

    def found(self, files: Sequence[SourceFile]) -> list[SourceFile]:
        """The files of this table that can be read, by the first pattern that has any."""
        readable = [file for file in files if self.format or file.ending in FORMATS_BY_SUFFIX]
        return next(filter(None, (match_files(readable, pattern) for pattern in self.files)), [])


@dataclass(frozen=True)
class Layout:
    """What a source of files holds, and what its words mean."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    interactions: TableFiles
    items: TableFiles | None = None
    users: TableFiles | None = None
    columns: dict[str, list[str]] = field(default_factory=dict)
    """As in the settings, which go before it; so do the next three."""
    events: dict[str, str] = field(default_factory=dict)
    default_event: str = ""
    rating_scale: Annotated[float, Field(gt=0)] | None = None

    def hints(self) -> dict[str, Any]:
        """What clean must know, for the metadata of the landing objects; see SourceSettings.completed."""
        return {
            "columns": self.columns,
            "events": self.events,
            "default_event": self.default_event,
            "rating_scale": self.rating_scale,
        }


@dataclass(frozen=True)
class SourceInventory:
    """The files of a source, by what they hold."""

    layout: Layout
    interactions: list[SourceFile]
    items: list[SourceFile]
    users: list[SourceFile]

    @classmethod
    def of(cls, layout: Layout, files: Sequence[SourceFile]) -> "SourceInventory":
        """What a folder holds: a file of items or users is none of the interactions."""
        items, users = (
            table.found(files) if table else [] for table in (layout.items, layout.users)
        )
        return cls(
            layout,
            layout.interactions.found([f for f in files if f not in (*items, *users)]),
            items,
            users,
        )


@dataclass(frozen=True)
class PublicLayout:
    """A layout of public data and how it is recognised."""

    layout: Layout
    beside: str = ""
    """The pattern of a file that lies in the folder too."""
    begins: str = ""
    """What the first line of the interactions begins with, as a regular expression."""


GENRES_100K = ("(no genres listed)", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime", "Documentary",
               "Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery", "Romance", "Sci-Fi", "Thriller", "War",
               "Western")  # fmt: skip
"""The flags of u.item; the first, there called unknown, is of films without a genre."""

_LATIN = (
    "utf-8",
    "latin-1",
)  # the README says ISO-8859-1; who writes the format today writes UTF-8
_RATINGS = ("user_id", "item_id", "rating", "timestamp")
_PEOPLE_100K = ("user_id", "age", "gender", "occupation", "zip_code")
_PEOPLE_1M = ("user_id", "gender", "age", "occupation", "zip_code")
_FILMS_100K = ("item_id", "title", "release_date", "video_release_date", "imdb_url", *GENRES_100K)


def _add_compressed_names(*names: str) -> tuple[str, ...]:
    return tuple(f"{name}{packed}" for name in names for packed in ("", ".gz", ".zst"))


def _describe_bare_file(
    name: str, delimiter: str, columns: tuple[str, ...], encoding: tuple[str, ...] = ("utf-8",)
) -> TableFiles:
    """A file without header and quotes."""
    return TableFiles(_add_compressed_names(name), "csv", delimiter, "", columns, encoding)


_DAT = Layout(
    _describe_bare_file("ratings.dat", "::", _RATINGS),
    items=_describe_bare_file("movies.dat", "::", ("item_id", "title", "genres"), _LATIN),
    users=_describe_bare_file("users.dat", "::", _PEOPLE_1M),
)
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

# https://files.grouplens.org/datasets/movielens/ has a README for each
MOVIELENS = (
    PublicLayout(_ML_100K),
    PublicLayout(replace(_DAT, rating_scale=5), beside="users.dat*"),  # 1M
    PublicLayout(replace(_DAT, rating_scale=5), beside="tags.dat*"),  # 10M
    PublicLayout(_DAT),  # others write that format with other scales
    PublicLayout(_ML_CSV, begins="userId,movieId,rating,timestamp"),  # 20M, 25M, 32M, latest
)

_JSON, _CSV = _add_compressed_names("*.json", "*.jsonl"), _add_compressed_names("*.csv")
_META = TableFiles(_add_compressed_names("meta_*.json", "meta_*.jsonl"))
_ASIN, _REVIEWER, _RATING_AND_TIME = (
    r"(?:B\w{9}|\d{9}[\dX])",
    r"A\w{10,}",
    r"[1-5](?:\.0)?,\d{9,10}",
)


def _describe_amazon_layout(
    patterns: tuple[str, ...], begins: str, columns: tuple[str, ...] = ()
) -> PublicLayout:
    return PublicLayout(
        Layout(TableFiles(patterns, columns=columns), items=_META, rating_scale=5), begins=begins
    )


# https://jmcauley.ucsd.edu/data/amazon/ (2014), https://nijianmo.github.io/amazon/ (2018),
# https://amazon-reviews-2023.github.io/
AMAZON = (
    _describe_amazon_layout(
        _JSON, r'\{(?=.*"reviewerID")(?=.*"asin")(?=.*"unixReviewTime")'
    ),  # 2014 and 2018
    _describe_amazon_layout(
        _JSON, r'\{(?=.*"user_id")(?=.*"parent_asin")(?=.*"timestamp")'
    ),  # 2023
    _describe_amazon_layout(_CSV, r"user_id,parent_asin,rating,timestamp"),  # 2023, ratings only
    _describe_amazon_layout(
        _CSV, rf"{_ASIN},{_REVIEWER},{_RATING_AND_TIME}", ("asin", "user_id", "rating", "timestamp")
    ),  # 2018, ratings only
    _describe_amazon_layout(
        _CSV, rf"{_REVIEWER},{_ASIN},{_RATING_AND_TIME}", ("user_id", "asin", "rating", "timestamp")
    ),  # 2014, ratings only
)

PUBLIC_LAYOUTS = (*MOVIELENS, *AMAZON)

_DAY_GLOB = "-".join("[0-9]" * count for count in (4, 2, 2))


def build_usual_layout(settings: SourceSettings) -> Layout:
    """Files named by day, or one file, or a folder of files; and beside them those of items and users."""
    name = settings.interactions
    daily = [f"{_DAY_GLOB}*", f"*={_DAY_GLOB}/*", f"{_DAY_GLOB}/*"]
    patterns = (*(f"{name}/{pattern}" for pattern in daily), *daily, f"{name}.*", name, f"{name}/*")
    items, users = (
        TableFiles((f"{table}.*", table, f"{table}/*"))
        for table in (settings.items, settings.users)
    )
    return Layout(TableFiles(patterns), items, users)


def recognise_public_layout(files: Sequence[SourceFile]) -> SourceInventory | None:
    """The files by a layout of public data, if they are in one."""
    for known in PUBLIC_LAYOUTS:
        found = SourceInventory.of(known.layout, files)
        if not found.interactions or (known.beside and not match_files(files, known.beside)):
            continue
        first = found.interactions[0]
        # files named by day are nobody's public data, and on a bucket those of other days are not touched
        if not known.begins or (first.day is None and re.match(known.begins, first.first_line())):
            return found
    return None
