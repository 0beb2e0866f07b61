"""The registry: which model was published for which day, and which one is live.

A publication is written to the lake before the store switches to its version, and never changes. So
the registry knows every version that the store may show, by the token that the store drew for it. A
publication whose switch never happened stays in the lake and has no effect.

champion.json is the publication of the store's active version, with `history`: what was live before
it, the oldest day first, itself last. It is a single object, so that it changes at once. A writer
replaces only the revision that it has read, so that of two writers none loses the other's change.

`sync_champion` writes it after a switch, from what the store says. If a publish or a rollback was
killed before that, the next one repairs the champion, and so does the next run, before it asks for
its incumbent. When day D goes live, the history keeps the days older than D and adds D. So a
rollback forgets the version that it replaced, and a rerun or a backfill of a day finds the
incumbent that the day had. An emptied store has no champion, but the history stays, for the next
incumbent.
"""

import json
import re
import tempfile
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dawnlist.cuts import format_iso, format_stamp, parse_as_of
from dawnlist.lake.damaged_objects import DamagedObjectError, JsonTypes, parse_json_object
from dawnlist.lake.lake import Lake
from dawnlist.lake.objects import ABSENT_REVISION
from dawnlist.model.factor_model import FactorModel
from dawnlist.urls import mask_passwords

if TYPE_CHECKING:  # most steps only ask for the incumbent and need no client
    from dawnlist.store.client import StoreClient
    from dawnlist.store.version_reports import RestoredVersion, VersionReport

Publication = dict[str, Any]

CHAMPION_FILE = "champion.json"
PUBLICATIONS_FOLDER = "publications"
_CHAMPION_TYPES: Final[JsonTypes] = {"history": list}
_PUBLICATION_TYPES: Final[JsonTypes] = {
    "version": int,
    "as_of": str,
    "run": str,
    "token": str,
    "model": str,
}
_PUBLICATION_NAME = re.compile(r"-([1-9][0-9]{0,11}-[0-9a-f]{8})\.json$")
"""The end of a publication's name, which is the token of its version: group 1."""


def record_publication(
    lake: Lake, report: "VersionReport", meta: dict[str, Any], store: str = ""
) -> None:
    """Write the publication of a version that is about to go live.

    Args:
        report: The store's report of the version.
        meta: The meta data of its lists.
        store: Identifies the store, without secrets.
    """
    publication = {
        "version": report.version,
        "token": report.token,
        "as_of": report.as_of,
        "run": report.run,
    }
    for name in ("model", "winner", "metrics"):
        publication[name] = meta[name]
    for name in ("engine", "configured"):
        if name in meta:
            publication[name] = meta[name]
    if store:
        publication["store"] = store
    lake.write_json(publication, *_locate_publication(report.as_of, report.run, report.token))


def read_champion(lake: Lake) -> Publication | None:
    """Read the publication of the store's active version; None if there is none."""
    champion: Publication | None = lake.read_json(CHAMPION_FILE, types=_CHAMPION_TYPES)
    if champion and "version" in champion:
        return champion
    return None


def sync_champion(lake: Lake, client: "StoreClient", namespace: str) -> None:
    """Make the publication of the store's active version champion.

    This is repeated until the store has not changed meanwhile.
    """
    from dawnlist.store import versions

    live = versions.read_active_version(client, namespace)
    while True:
        set_champion(lake, live)
        previous = live
        live = versions.read_active_version(client, namespace)
        if live == previous:
            return


def reconcile_champion(lake: Lake, redis: str, namespace: str) -> dict[str, Any]:
    """Do `sync_champion` with the store at a URL, before a run asks for its incumbent.

    A store that does not answer does not fail the run: it is needed at the end of the run, if at
    all.

    Returns:
        For the run's record: `active`, the number of the store's version or None, or `unasked`,
        the reason why the store was not read.
    """
    from dawnlist.store.client import STORE_ERRORS, connect_store

    try:
        with connect_store(redis) as client:
            sync_champion(lake, client, namespace)
    except (ConnectionError, *STORE_ERRORS) as error:
        reason = f"{error}; the champion is what this lake last knew"
        return {"unasked": mask_passwords(reason)}
    champion = read_champion(lake)
    return {"active": champion["version"] if champion else None}


def set_champion(lake: Lake, live: "VersionReport | None") -> None:
    """Make the publication of the store's active version champion.

    A version that was not published from this lake leaves the champion as it is.

    Args:
        live: The store's report of the active version, or None if there is none.
    """
    while True:
        stored = lake.read_with_revision(CHAMPION_FILE)
        if stored:
            before = parse_json_object(lake.uri, CHAMPION_FILE, stored[0], _CHAMPION_TYPES)
            revision = stored[1]
        else:
            before = {"history": []}
            revision = ABSENT_REVISION
        after = _compute_champion(lake, before, live)
        if after == before:
            return
        if lake.replace(_encode_json(after), revision, CHAMPION_FILE):
            return


def _compute_champion(
    lake: Lake, champion: dict[str, Any], live: "VersionReport | None"
) -> dict[str, Any]:
    """Return the new content of champion.json, given the present one."""
    if live is None:
        return {"history": champion["history"]}
    path = _locate_publication(live.as_of, live.run, live.token)
    publication = lake.read_json(*path, types=_PUBLICATION_TYPES)
    if publication is None or publication["token"] == champion.get("token"):
        return champion
    entry = {name: publication[name] for name in ("as_of", "run", "token")}
    history = _select_older_entries(champion["history"], parse_as_of(entry["as_of"]))
    return {**publication, "history": [*history, entry]}


def _encode_json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, indent=1, allow_nan=False).encode()


def roll_back_champion(
    lake: Lake, client: "StoreClient", namespace: str, version: int | None = None
) -> "RestoredVersion":
    """Switch the store to an older version, hold it, and make its publication champion.

    See `versions.roll_back_version` for the arguments, the result and more errors.

    Raises:
        ValueError: the version was not published from this lake. Nothing is switched then.
    """
    from dawnlist.store import versions

    def check_origin(target: "VersionReport") -> None:
        path = _locate_publication(target.as_of, target.run, target.token)
        if not lake.exists(*path):
            raise ValueError(
                f"version {target.version} of {target.as_of} was not published from "
                f"{lake.uri}: nothing is switched; check the lake, the store and the namespace"
            )

    sync_champion(lake, client, namespace)
    report = versions.roll_back_version(client, namespace, version, check_origin)
    sync_champion(lake, client, namespace)
    return report


def find_incumbent(lake: Lake, as_of: datetime) -> Publication | None:
    """Find the newest publication before `as_of` that went live and was not rolled back.

    Raises:
        ValueError: the lake has lost it.
    """
    champion = lake.read_json(CHAMPION_FILE, types=_CHAMPION_TYPES)
    if champion is None:
        return None
    older = _select_older_entries(champion["history"], as_of)
    if not older:
        return None
    newest = older[-1]
    path = _locate_publication(newest["as_of"], newest["run"], newest["token"])
    publication: Publication | None = lake.read_json(*path, types=_PUBLICATION_TYPES)
    if publication is None:
        raise build_lost_error(lake, "/".join(path), newest)
    return publication


def list_recent_publications(lake: Lake, limit: int) -> list[Publication]:
    """Return the newest publications that went live and were not rolled back, the oldest first.

    A publication that the lake has lost is left out.
    """
    champion = lake.read_json(CHAMPION_FILE, types=_CHAMPION_TYPES) or {"history": []}
    publications = []
    for entry in champion["history"][-limit:]:
        path = _locate_publication(entry["as_of"], entry["run"], entry["token"])
        publication = lake.read_json(*path, types=_PUBLICATION_TYPES)
        if publication is not None:
            publications.append(publication)
    return publications


def load_model(lake: Lake, publication: Publication) -> FactorModel:
    """Load the published model.

    Raises:
        ValueError: the model's files are gone or damaged.
    """
    path = ("models", publication["model"])
    if not lake.names(*path):
        raise build_lost_error(lake, "/".join(path), publication)
    model = load_model_by_name(lake, publication["model"])
    if model.lineage.get("as_of") != format_iso(parse_as_of(publication["as_of"])):
        raise ValueError(
            f"model {publication['model']} is of {model.lineage.get('as_of')}, its publication "
            f"says {publication['as_of']}: the registry was damaged, publish again"
        )
    return model


def load_model_by_name(lake: Lake, name: str) -> FactorModel:
    """Load a model that a fit has kept in the lake.

    Raises:
        ValueError: the model's files are gone or damaged.
    """
    with tempfile.TemporaryDirectory() as folder:
        lake.download_folder(Path(folder), "models", name)
        return FactorModel.load(Path(folder))


def list_published_models(lake: Lake) -> set[str]:
    """Return the names of all models that a publication names.

    These models were live, or may still go live; a few never did.

    Raises:
        ValueError: a publication can't be read. It may name any model.
    """
    paths: list[tuple[str, ...]] = []
    for name in lake.names(PUBLICATIONS_FOLDER):
        if name.endswith(".json"):
            paths.append((PUBLICATIONS_FOLDER, name))
    paths.append((CHAMPION_FILE,))
    models = set()
    for path in paths:
        try:
            publication = lake.read_json(*path) or {}
        except DamagedObjectError as error:
            raise DamagedObjectError(f"no model is dropped, since {error}") from None
        if publication.get("model"):
            models.add(publication["model"])
    return models


def find_last_version_number(lake: Lake, store: str, known_tokens: Iterable[str]) -> int:
    """Return the largest number of a version that this lake published to a store; 0 without any.

    The store may have been emptied, or have gone back to an older state of its data, and no longer
    know the number. Another store counts by itself.

    Args:
        store: Identifies the store, as in the publications.
        known_tokens: The tokens of the versions that the store has. If this lake published one of
            them, the store may have been moved, and all publications count.
    """
    tokens = {}
    for name in lake.names(PUBLICATIONS_FOLDER):
        match = _PUBLICATION_NAME.search(name)
        if match:
            tokens[name] = match[1]
    names = list(tokens)
    if set(known_tokens).isdisjoint(tokens.values()):
        names = [name for name in names if _read_store(lake, name) == store]
    return max((int(tokens[name].split("-")[0]) for name in names), default=0)


def _read_store(lake: Lake, name: str) -> str | None:
    """Return the store that a publication was made to; None if it does not say so."""
    try:
        publication = lake.read_json(PUBLICATIONS_FOLDER, name, types={"store": str})
    except DamagedObjectError:
        return None
    return publication["store"] if publication else None


def _locate_publication(as_of: str, run: str, token: str) -> tuple[str, str]:
    """Return the path of a version's publication, from the version's as_of, run and token."""
    stamp = format_stamp(parse_as_of(as_of))
    return PUBLICATIONS_FOLDER, f"{stamp}-{run}-{token}.json"


def _select_older_entries(history: list[dict[str, Any]], as_of: datetime) -> list[dict[str, Any]]:
    return [entry for entry in history if parse_as_of(entry["as_of"]) < as_of]


def build_lost_error(lake: Lake, path: str, version: dict[str, Any]) -> ValueError:
    """Build the error about an incumbent whose object `path` is gone from the lake."""
    return ValueError(
        f"the lake {lake.uri} has no {path} any more, which was published for {version['as_of']} "
        "and is the incumbent: restore it, and keep the bucket's lifecycle rules off models/ and "
        f"publications/; or delete {lake.uri}/{CHAMPION_FILE} to go on without an incumbent"
    )
