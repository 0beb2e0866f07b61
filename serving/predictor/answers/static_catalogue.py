"""The last rung: a file with items that anyone may be shown, for when nothing could ever be loaded.

{"as_of": "2026-01-01T03:00:00Z", "items": [{"item_id": "17", "title": "Alien"}, …]}
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from dawnlist.cuts import format_iso, parse_as_of


class TextList(list[str]):
    """Texts by their row, as texts.Texts."""

    def take(self, rows: Iterable[int]) -> list[str]:
        """The texts of some rows."""
        return [self[row] for row in rows]


@dataclass(frozen=True)
class StaticCatalogue:
    """Item ids and titles, best first."""

    as_of: str = ""
    item_ids: TextList = field(default_factory=TextList)
    titles: TextList = field(default_factory=TextList)
    version: int = 0

    @classmethod
    def load(cls, path: Path | None) -> "StaticCatalogue":
        """ValueError when the file is not as above; None is an empty one."""
        if path is None:
            return cls()
        rule = '{"as_of": "2026-01-01T03:00:00Z", "items": [{"item_id": "17", "title": "Alien"}]} is needed'
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            items = [(item["item_id"], item.get("title") or "") for item in found["items"]]
            as_of = format_iso(parse_as_of(found["as_of"]))
        except OSError as error:
            raise ValueError(
                f"the static file {str(path)!r} can't be read ({error.strerror}): {rule}"
            ) from None
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ValueError(
                f"the static file {str(path)!r} is no list of items ({error!r}): {rule}"
            ) from None
        if not all(isinstance(text, str) for item in items for text in item):
            raise ValueError(
                f"the static file {str(path)!r} has an item_id or a title that is no text: {rule}"
            )
        titles = dict(items)  # an item that is there twice is shown once
        return cls(as_of, TextList(titles), TextList(titles.values()))
