"""Publish top lists to the store, where they become the active version, and to the registry."""

from datetime import datetime
from pathlib import Path

from dawnlist.lake.lake import Lake
from dawnlist.records import registry
from dawnlist.store import versions
from dawnlist.store.client import STORE_ERRORS, connect_store
from dawnlist.store.toplists import TopLists
from dawnlist.store.version_reports import PublishReport, VersionReport
from dawnlist.urls import mask_passwords


def publish_top_lists(
    lists: Path,
    lake: Lake,
    redis: str,
    namespace: str,
    run: str,
    as_of: datetime,
    keep: int = versions.VERSIONS_TO_KEEP,
) -> PublishReport:
    """Publish the directory `lists`, which recommend wrote, to the store at the URL `redis`.

    The registry records the publication before the store switches to it, and the champion is set
    to the store's version before and after. So a retry, or the next run, repairs what a killed
    publish left behind. A retry also continues after the last batch that was written.

    Returns:
        The report of dawnlist.store.versions.publish_version.

    Raises:
        ConnectionError: The store can't be reached, or the connection is lost on the way.
        RuntimeError, ValueError: As publish_version says.
    """
    top_lists = TopLists.load(lists)
    store = mask_passwords(redis)

    def announce(report: VersionReport) -> None:
        registry.record_publication(lake, report, top_lists.meta, store)

    with connect_store(redis) as client:
        try:
            registry.sync_champion(lake, client, namespace)
            tokens = [version.token for version in versions.list_versions(client, namespace)]
            last_number = registry.find_last_version_number(lake, store, tokens)
            report = versions.publish_version(
                client,
                namespace,
                top_lists,
                run,
                as_of,
                keep,
                announce,
                last_number,
            )
            for line in versions.list_foreign_values(client, namespace):
                print(line)
            registry.sync_champion(lake, client, namespace)
        except STORE_ERRORS as error:
            raise ConnectionError(
                f"publishing {len(top_lists.user_ids)} lists to {mask_passwords(redis)} failed: "
                f"{error}; check the store and run the publish step again: "
                "it continues after the last batch that was written"
            ) from error
    return report
