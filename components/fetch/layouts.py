"""Layouts of files: which hold what, and how they are written; those of public data are known."""

import codecs
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field

from dawnlist.components.fetch.stored import Stored, matching
from dawnlist.settings import SourceSettings

Format = Literal["csv", "jsonl", "parquet"]

FORMATS: dict[str, Format] = {
    "csv": "csv", "tsv": "csv",
    "jsonl": "jsonl", "ndjson": "jsonl", "json": "jsonl",
    "parquet": "parquet", "pq": "parquet",
}  # fmt: skip
"""A name's ending -> how the file is read."""


def _several(value: Any) -> Any:
    return (value,) if isinstance(value, str) else value


def _codec(name: str) -> str:
    try:
        return codecs.lookup(name).name
    except LookupError:
        raise ValueError("no encoding that Python knows, such as utf-8, latin-1 or cp1252") from None


Texts = Annotated[tuple[str, ...], BeforeValidator(_several)]
Encodings = Annotated[tuple[Annotated[str, AfterValidator(_codec)], ...], BeforeValidator(_several)]


@dataclass(frozen=True)
class Table:
    """The files of the interactions, the items or the users, and how they are written."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    files: Texts
    """Patterns such as clicks/*.csv.gz, relative to the folder, or URIs; the first that any file matches counts."""
    format: Format | None = None
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

    def found(self, files: Sequence[Stored]) -> list[Stored]:
        """The files of this table that can be read, by the first pattern that has any."""
        readable = [file for file in files if self.format or file.ending in FORMATS]
        return next(filter(None, (matching(readable, pattern) for pattern in self.files)), [])


@dataclass(frozen=True)
class Layout:
    """What a source of files holds, and what its words mean."""

    __pydantic_config__: ClassVar = {"extra": "forbid"}

    interactions: Table
    items: Table | None = None
    users: Table | None = None
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
class Found:
    """The files of a source, by what they hold."""

    layout: Layout
    interactions: list[Stored]
    items: list[Stored]
    users: list[Stored]

    @classmethod
    def of(cls, layout: Layout, files: Sequence[Stored]) -> "Found":
        """What a folder holds: a file of items or users is none of the interactions."""
        items, users = (table.found(files) if table else [] for table in (layout.items, layout.users))
        return cls(layout, layout.interactions.found([f for f in files if f not in (*items, *users)]), items, users)


@dataclass(frozen=True)
class Known:
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

_LATIN = ("utf-8", "latin-1")  # the README says ISO-8859-1; who writes the format today writes UTF-8
_RATINGS = ("user_id", "item_id", "rating", "timestamp")
_PEOPLE_100K = ("user_id", "age", "gender", "occupation", "zip_code")
_PEOPLE_1M = ("user_id", "gender", "age", "occupation", "zip_code")
_FILMS_100K = ("item_id", "title", "release_date", "video_release_date", "imdb_url", *GENRES_100K)


def _packed(*names: str) -> tuple[str, ...]:
    return tuple(f"{name}{packed}" for name in names for packed in ("", ".gz", ".zst"))


def _bare(name: str, delimiter: str, columns: tuple[str, ...], encoding: tuple[str, ...] = ("utf-8",)) -> Table:
    """A file without header and quotes."""
    return Table(_packed(name), "csv", delimiter, "", columns, encoding)


_DAT = Layout(
    _bare("ratings.dat", "::", _RATINGS),
    items=_bare("movies.dat", "::", ("item_id", "title", "genres"), _LATIN),
    users=_bare("users.dat", "::", _PEOPLE_1M),
)
_ML_100K = Layout(
    _bare("u.data", "\t", _RATINGS),
    items=replace(_bare("u.item", "|", _FILMS_100K, _LATIN), flags={"genres": GENRES_100K}),
    users=_bare("u.user", "|", _PEOPLE_100K),
    rating_scale=5,
)
_ML_CSV = Layout(Table(_packed("ratings.csv")), items=Table(_packed("movies.csv")), rating_scale=5)

# https://files.grouplens.org/datasets/movielens/ has a README for each
MOVIELENS = (
    Known(_ML_100K),
    Known(replace(_DAT, rating_scale=5), beside="users.dat*"),  # 1M
    Known(replace(_DAT, rating_scale=5), beside="tags.dat*"),  # 10M
    Known(_DAT),  # others write that format with other scales
    Known(_ML_CSV, begins="userId,movieId,rating,timestamp"),  # 20M, 25M, 32M, latest
)

_JSON, _CSV = _packed("*.json", "*.jsonl"), _packed("*.csv")
_META = Table(_packed("meta_*.json", "meta_*.jsonl"))
_ASIN, _REVIEWER, _RATED = r"(?:B\w{9}|\d{9}[\dX])", r"A\w{10,}", r"[1-5](?:\.0)?,\d{9,10}"


def _amazon(patterns: tuple[str, ...], begins: str, columns: tuple[str, ...] = ()) -> Known:
    return Known(Layout(Table(patterns, columns=columns), items=_META, rating_scale=5), begins=begins)


# https://jmcauley.ucsd.edu/data/amazon/ (2014), https://nijianmo.github.io/amazon/ (2018),
# https://amazon-reviews-2023.github.io/
AMAZON = (
    _amazon(_JSON, r'\{(?=.*"reviewerID")(?=.*"asin")(?=.*"unixReviewTime")'),  # 2014 and 2018
    _amazon(_JSON, r'\{(?=.*"user_id")(?=.*"parent_asin")(?=.*"timestamp")'),  # 2023
    _amazon(_CSV, r"user_id,parent_asin,rating,timestamp"),  # 2023, ratings only
    _amazon(_CSV, rf"{_ASIN},{_REVIEWER},{_RATED}", ("asin", "user_id", "rating", "timestamp")),  # 2018, ratings only
    _amazon(_CSV, rf"{_REVIEWER},{_ASIN},{_RATED}", ("user_id", "asin", "rating", "timestamp")),  # 2014, ratings only
)

KNOWN = (*MOVIELENS, *AMAZON)

_DAY = "-".join("[0-9]" * count for count in (4, 2, 2))


def usual(settings: SourceSettings) -> Layout:
    """Files named by day, or one file, or a folder of files; and beside them those of items and users."""
    name = settings.interactions
    daily = [f"{_DAY}*", f"*={_DAY}/*", f"{_DAY}/*"]
    patterns = (*(f"{name}/{pattern}" for pattern in daily), *daily, f"{name}.*", name, f"{name}/*")
    items, users = (Table((f"{table}.*", table, f"{table}/*")) for table in (settings.items, settings.users))
    return Layout(Table(patterns), items, users)


def recognised(files: Sequence[Stored]) -> Found | None:
    """The files by a layout of public data, if they are in one."""
    for known in KNOWN:
        found = Found.of(known.layout, files)
        if not found.interactions or (known.beside and not matching(files, known.beside)):
            continue
        first = found.interactions[0]
        # files named by day are nobody's public data, and on a bucket those of other days are not touched
        if not known.begins or (first.day is None and re.match(known.begins, first.first_line())):
            return found
    return None
