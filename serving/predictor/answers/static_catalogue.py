"""The fallback list from a file, served while no version could be loaded.

{"as_of": "2026-01-01T03:00:00Z", "items": [{"item_id": "17", "title": "Alien"}, …]}
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from dawnlist.cuts import parse_as_of

_EXAMPLE: Final = (
    '{"as_of": "2026-01-01T03:00:00Z", "items": [{"item_id": "17", "title": "Alien"}]}'
)


class TextList(list[str]):
    """Texts by row, with the `take` and the `find_rows` of columns.IdColumn."""

    def take(self, rows: Iterable[int]) -> list[str]:
        """Return the texts of the given rows."""
        return [self[row] for row in rows]

    def find_rows(self, item_ids: Iterable[str]) -> set[int]:
        """Return the rows of those ids that are in the list."""
        wanted = set(item_ids)
        return {row for row, item_id in enumerate(self) if item_id in wanted}


@dataclass(frozen=True)
class StaticCatalogue:
    """The items of a static file, best first."""

    as_of: datetime | None = None
    """The time that the file states, in UTC; None without a file."""
    item_ids: TextList = field(default_factory=TextList)
    """An id for each item."""
    titles: TextList = field(default_factory=TextList)
    """A title for each item; a missing title is ""."""
    version: int = 0
    """Always 0, which is no published version."""
    token: None = None
    """A static file has no token."""

    @classmethod
    def load(cls, path: Path | None) -> "StaticCatalogue":
        """Read a static file; None gives an empty catalogue.

        Raises:
            ValueError: the file can't be read, or does not have the form shown above.
        """
        if path is None:
            return cls()
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            items = [_parse_item(item) for item in content["items"]]
            as_of = parse_as_of(content["as_of"])
        except OSError as error:
            raise ValueError(
                f"the static file {str(path)!r} can't be read ({error.strerror}): "
                f"{_EXAMPLE} is needed"
            ) from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"the static file {str(path)!r} is not a list of items ({error!r}): "
                f"{_EXAMPLE} is needed"
            ) from None
        for item_id, title in items:
            if not isinstance(item_id, str) or not isinstance(title, str):
                raise ValueError(
                    f"the static file {str(path)!r} has an item_id or a title that is not text: "
                    f"{_EXAMPLE} is needed"
                )
        titles = dict(items)  # an item that is listed twice is returned once
        return cls(as_of, TextList(titles), TextList(titles.values()))


def _parse_item(item: Any) -> tuple[Any, Any]:
    """Return an entry's id and title, "" for a missing title; their types are not checked yet."""
    return item["item_id"], item.get("title") or ""
