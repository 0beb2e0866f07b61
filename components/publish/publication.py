"""From the recommend step's directory to the active version of the store."""

from pathlib import Path
from typing import Any

from redis import RedisError

from components import store
from components.toplists import TopLists
from components.urls import masked


def publish(lists: Path, redis: str, namespace: str, run: str, as_of: str, keep: int = store.KEEP) -> dict[str, Any]:
    """Publish the TopLists directory `lists` to the store at the URL `redis`; returns and raises as store.publish.

    ConnectionError when the store can't be reached or is lost on the way; the active version is untouched then.
    """
    top_lists = TopLists.load(lists)
    with store.connect(redis) as client:
        try:
            return store.publish(client, namespace, top_lists, run, as_of, keep)
        except RedisError as error:
            raise ConnectionError(
                f"publishing {len(top_lists.user_ids)} lists to {masked(redis)} failed: {error}; the active version "
                "is as it was: see to the store and run the publish step again"
            ) from error
