"""Routes that take items out of all answers, and bring them back: DELETE /v1/items/ID and two for many.

They ask for a key of their own, DAWNLIST_ADMIN_KEY; without it nobody may use them. They write to the
store, from which all predictors read it within a second.
"""

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import redis.exceptions

from dawnlist.rows.identifiers import normalise_identifier
from dawnlist.serving.api_keys import read_key_digests
from dawnlist.serving.predictor.protocols.fields import MAX_TEXT
from dawnlist.serving.predictor.protocols.lean import decode_url
from dawnlist.serving.predictor.protocols.v1 import parse_json_object
from dawnlist.serving.predictor.request_limiter import OverloadedError
from dawnlist.serving.predictor.transports.auth import Authenticator, ForbiddenError
from dawnlist.store.client import connect_store
from dawnlist.store.withdrawals import restore_items, withdraw_items
from dawnlist.urls import ADMIN_KEY

ITEM_PATH: Final = "/v1/items/"
WITHDRAW_PATH: Final = "/v1/items:withdraw"
RESTORE_PATH: Final = "/v1/items:restore"
MAX_ITEMS: Final = 10_000
"""Items in one request."""

ChangeItems = Callable[[Any, str, list[str]], int]


@dataclass(frozen=True, slots=True)
class ItemChanges:
    """Changes which items answers may have."""

    redis: str
    """The store's URL."""
    namespace: str
    authenticator: Authenticator
    """Checks the key; without keys nobody may change anything."""

    @classmethod
    def from_environment(
        cls, redis: str, namespace: str, environment: Mapping[str, str] = os.environ
    ) -> "ItemChanges":
        """Read the key.

        Raises:
            ValueError: it can't be used.
        """
        return cls(redis, namespace, Authenticator(read_key_digests(environment, ADMIN_KEY)))

    def check(self, headers: Mapping[bytes, bytes]) -> None:
        """Check the key of a request.

        Raises:
            UnauthenticatedError: it has no valid one.
            ForbiddenError: there is none, so that nobody may change anything.
        """
        if self.authenticator.is_open:
            raise ForbiddenError(f"items can't be changed here: set {ADMIN_KEY}")
        self.authenticator.check(headers)

    async def withdraw(self, item_ids: list[str]) -> dict[str, int]:
        """Take items out of all answers; return how many, and how many were out already.

        Raises:
            OverloadedError: the store does not take it.
        """
        return await self._change(withdraw_items, item_ids, "withdrawn")

    async def restore(self, item_ids: list[str]) -> dict[str, int]:
        """Bring items back; return how many, and how many were not out.

        Raises:
            OverloadedError: the store does not take it.
        """
        return await self._change(restore_items, item_ids, "restored")

    async def _change(self, change: ChangeItems, item_ids: list[str], name: str) -> dict[str, int]:
        try:
            changed = await asyncio.to_thread(self._write, change, item_ids)
        except redis.exceptions.NoPermissionError:
            raise OverloadedError("the predictor's user of the store may not write") from None
        except (redis.exceptions.RedisError, OSError):
            raise OverloadedError("the store does not answer: try again in a moment") from None
        return {name: changed, "unchanged": len(item_ids) - changed}

    def _write(self, change: ChangeItems, item_ids: list[str]) -> int:
        with connect_store(self.redis) as client:
            return change(client, self.namespace, item_ids)


def parse_item_id(path_end: bytes) -> str:
    """Return the id at the end of a path.

    Raises:
        ValueError: it is too long, or not UTF-8.
    """
    item_id, _ = decode_url(path_end, b"")
    return _check_item_id(item_id)


def parse_item_ids(body: bytes) -> list[str]:
    """Return the ids of a body {"item_ids": [...]}, each once.

    Raises:
        ValueError: the body has another form.
    """
    content = parse_json_object(body)
    item_ids = content.get("item_ids")
    if set(content) != {"item_ids"} or not isinstance(item_ids, list):
        raise ValueError('the body has to be {"item_ids": ["22423", ...]}')
    if not 0 < len(item_ids) <= MAX_ITEMS:
        raise ValueError(f"{len(item_ids):,} items: give 1 to {MAX_ITEMS:,}")
    return list(dict.fromkeys(_check_item_id(item_id) for item_id in item_ids))


def _check_item_id(item_id: Any) -> str:
    if not isinstance(item_id, str) or not 0 < len(item_id) <= MAX_TEXT:
        raise ValueError(f"an item id has to be text of 1 to {MAX_TEXT} characters")
    return normalise_identifier(item_id)
