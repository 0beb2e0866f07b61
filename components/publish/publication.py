"""From the recommend step's directory to the active version of the store, and to its place in the registry."""

from pathlib import Path
from typing import Any

from dawnlist.lake.lake import Lake
from dawnlist.records import registry
from dawnlist.store import versions
from dawnlist.store.client import STORE_ERRORS, connect_store
from dawnlist.store.toplists import TopLists
from dawnlist.urls import mask_passwords


def publish_top_lists(
    lists: Path,
    lake: Lake,
    redis: str,
    namespace: str,
    run: str,
    as_of: str,
    keep: int = versions.VERSIONS_TO_KEEP,
) -> dict[str, Any]:
    """Publish the TopLists directory `lists` to the store at the URL `redis`; returns and raises as store.publish.

    The registry has the publication before the store switches, and the champion follows the store before and after, so
    that a retry, or the next run, puts right what a killed publish left behind; it also goes on from the last batch
    that was written. ConnectionError when the store can't be reached or is lost on the way.
    """
    top_lists = TopLists.load(lists)

    def announce(report: dict[str, Any]) -> None:
        registry.record_publication(lake, report, top_lists.meta)

    with connect_store(redis) as client:
        try:
            registry.sync_champion(lake, client, namespace)
            report = versions.publish_version(
                client, namespace, top_lists, run, as_of, keep, announce
            )
            registry.sync_champion(lake, client, namespace)
        except STORE_ERRORS as error:
            raise ConnectionError(
                f"publishing {len(top_lists.user_ids)} lists to {mask_passwords(redis)} failed: {error}; see to the store and "
                "run the publish step again: it goes on from what is written"
            ) from error
    return report
