"""Where the films of a room lie, what they are called, and which ones fit a group."""

from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote

import httpx

from dawnlist.serving.watchparty.page.routes import DEMO_FILM
from dawnlist.serving.watchparty.room_facts import Member

SUGGESTED_ITEMS: Final = 12
ANSWER_SECONDS: Final = 5.0
MAX_TITLES: Final = 10_000
API_KEY_HEADER: Final = "x-api-key"


class NoSuggestionsError(Exception):
    """There is no list for the group; the message is the reason in one line."""


class Films:
    """The films of one shop."""

    def __init__(self, film_url: str, predictor: str, api_key: str) -> None:
        """Take the addresses.

        Args:
            film_url: The address of a film, with {item} in it; empty shows the demo film.
            predictor: The predictor's address; empty if there is none.
            api_key: The predictor's key; empty if it asks for none.
        """
        self._film_url = film_url
        self._predictor = predictor.rstrip("/")
        headers = {}
        if api_key:
            headers[API_KEY_HEADER] = api_key
        self._client = httpx.AsyncClient(headers=headers, timeout=ANSWER_SECONDS)
        self._titles: dict[str, str] = {}

    def build_url(self, item: str) -> str:
        """Return the address of a film."""
        if not self._film_url or not item:
            return DEMO_FILM
        return self._film_url.replace("{item}", quote(item, safe=""))

    def get_title(self, item: str) -> str:
        """Return the title of a film; its id while the title is not known."""
        return self._titles.get(item, item)

    async def suggest(self, members: Sequence[Member], strategy: str) -> list[dict[str, Any]]:
        """Return films that fit the members, the best first.

        Raises:
            NoSuggestionsError: the predictor knows none of them, or does not answer.
        """
        names: dict[str, str] = {}
        for member in members:
            if member.user:
                names[member.user] = member.name
        if not self._predictor:
            raise NoSuggestionsError("there is no predictor to ask: start with --predictor")
        if not names:
            raise NoSuggestionsError("nobody here has an account of the shop")
        question = {"users": sorted(names), "strategy": strategy, "num": SUGGESTED_ITEMS}
        try:
            answer = await self._client.post(f"{self._predictor}/v1/group", json=question)
            answer.raise_for_status()
            items = answer.json()["items"]
        except (httpx.HTTPError, ValueError, KeyError) as error:
            raise NoSuggestionsError(f"the predictor has no list: {type(error).__name__}") from None
        return [self._describe_item(item, names) for item in items]

    def _describe_item(self, item: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
        if len(self._titles) >= MAX_TITLES:
            self._titles.clear()
        self._titles[item["item"]] = item["title"] or item["item"]
        return {
            "item": item["item"],
            "title": item["title"],
            "score": item["score"],
            "for": [names[user] for user in item["scores"] if user in names],
            "seen_by": [names[user] for user in item["seen_by"] if user in names],
        }

    async def close(self) -> None:
        """Close the connections to the predictor."""
        await self._client.aclose()
