"""Which columns of a source hold which canonical one, however the source spells them."""

import re
from collections.abc import Iterable, Sequence
from typing import Final

from dawnlist.settings import SourceSettings

INTERACTION_ALIASES: Final[dict[str, tuple[str, ...]]] = {
    "event_id": ("event_id", "event_uuid"),
    "user_id": ("user_id", "user", "uid", "customer_id", "customer", "person_id", "visitor_id", "account_id",
                "reviewer_id"),
    "item_id": ("item_id", "item", "product_id", "product", "content_id", "movie_id", "film_id", "film", "article_id",
                "stock_code", "sku", "parent_asin", "asin"),
    "event_type": ("event_type", "event", "event_name", "action", "interaction_type"),
    "event_time": ("event_time", "ts", "timestamp", "event_timestamp", "time", "datetime", "created_at",
                   "invoice_date", "unix_review_time"),
    "rating": ("rating", "stars", "overall"),
    "quantity": ("quantity", "qty"),
    "session_id": ("session_id", "session"),
    "user_agent": ("user_agent", "ua", "http_user_agent"),
    "ip": ("ip", "ip_address", "client_ip", "remote_addr"),
}  # fmt: skip
ITEM_ALIASES: Final[dict[str, tuple[str, ...]]] = {
    "item_id": (*INTERACTION_ALIASES["item_id"], "id"),
    "title": ("title", "name", "description"),
    "text": (
        "text",
        "description",
        "long_description",
        "abstract",
        "summary",
        "synopsis",
        "plot",
        "overview",
        "body",
        "content",
    ),
    "genres": ("genres", "genre", "categories", "category", "tags"),
}
USER_ALIASES: Final[dict[str, tuple[str, ...]]] = {
    "user_id": (*INTERACTION_ALIASES["user_id"], "id"),
    "email": ("email", "e_mail", "email_address", "mail"),
    "role": ("role", "account_type", "user_type"),
}


def normalise_name(name: str) -> str:
    """The name without what sources disagree on: case, underscores, dots, hyphens and blanks."""
    return re.sub(r"[\s_.\-]+", "", name).lower()


def match_columns(
    names: Sequence[str], aliases: dict[str, tuple[str, ...]], own: dict[str, list[str]]
) -> dict[str, list[int]]:
    """Canonical column -> positions of the source's columns that hold it, the shop's own names first.

    Several positions mean a column that was renamed at some time: the first value that is there counts.
    """
    places: dict[str, list[int]] = {}
    for place, name in enumerate(names):
        places.setdefault(normalise_name(name), []).append(place)
    found: dict[str, list[int]] = {}
    for canonical, known in aliases.items():
        wanted = dict.fromkeys(
            normalise_name(name) for name in (*own.get(canonical, []), canonical, *known)
        )
        if hits := [place for name in wanted for place in places.get(name, [])]:
            found[canonical] = hits
    return found


def match_interaction_columns(
    names: Sequence[str], settings: SourceSettings, where: str
) -> dict[str, list[int]]:
    """The mapping of an interactions object. ValueError when a column that every event needs is missing."""
    if unknown := sorted(
        set(settings.columns) - set(INTERACTION_ALIASES) - set(ITEM_ALIASES) - set(USER_ALIASES)
    ):
        raise ValueError(
            f"source.columns maps {unknown[0]!r}, which is no canonical column: use {', '.join(INTERACTION_ALIASES)}"
        )
    found = match_columns(names, INTERACTION_ALIASES, settings.columns)
    for canonical in ("user_id", "item_id", "event_time"):
        if canonical not in found:
            raise ValueError(describe_missing_column(canonical, names, where))
    if "event_type" not in found and "rating" not in found and not settings.default_event:
        raise ValueError(
            f"{describe_missing_column('event_type', names, where)} or set source.default_event, e.g. to purchase"
        )
    return found


def describe_missing_column(canonical: str, names: Iterable[str], where: str) -> str:
    """What to say about a required column that was not found."""
    given = ", ".join(repr(name) for name in names) or "nothing"
    return f"{where} has no column for {canonical} among {given}: name it in the settings, " + (
        f"source.columns: {{{canonical}: [its name]}}"
    )
