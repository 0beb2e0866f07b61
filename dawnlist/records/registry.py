"""The registry: which model was published for which day, and which of them the store has active.

A publication is written before the store switches to its version and never changes, so the registry knows every
version that the store may show, by the token that the store drew for it. One whose switch never came stays behind and
counts for nothing: only the champion and its history do.

champion.json is the publication that the store has active, with `history`: what was live before it, oldest day first,
itself last. It is one object, so that it changes at once, and it replaces only what was read, so that of two writers
none loses what the other wrote. `follow` writes it after the store was switched, from what the store says: whatever a
publish or rollback that was killed left behind is put right by the next one, or by the next run, before it asks for
its incumbent. Going live with day D keeps what is older
than D and adds D. So a rollback forgets what it went back from, and a rerun or backfill of a day finds the incumbent
that it had. An emptied store has no champion: its history stays, for the next incumbent.
"""

import json
import tempfile
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dawnlist.cuts import format_iso, format_stamp, parse_as_of
from dawnlist.lake.lake import Lake
from dawnlist.lake.objects import ABSENT_REVISION
from dawnlist.model.factor_model import FactorModel
from dawnlist.urls import mask_passwords

if TYPE_CHECKING:  # most steps only ask for the incumbent and need no client
    from dawnlist.store.client import StoreClient

Publication = dict[str, Any]

CHAMPION_FILE = "champion.json"


def record_publication(lake: Lake, report: dict[str, Any], meta: dict[str, Any]) -> None:
    """Write down what is about to go live: a version's report by the store, and the meta data of its lists."""
    publication = {name: report[name] for name in ("version", "token", "as_of", "run")}
    publication |= {name: meta[name] for name in ("model", "winner", "metrics")}
    lake.write_json(publication, *_locate_publication(publication))


def read_champion(lake: Lake) -> Publication | None:
    """The publication that the store has active, or None before the first."""
    found: Publication | None = lake.read_json(CHAMPION_FILE)
    return found if found and "version" in found else None


def sync_champion(lake: Lake, client: "StoreClient", namespace: str) -> None:
    """Make the champion what the store has active, until both agree; see crown."""
    from dawnlist.store import versions

    live = versions.read_active_version(client, namespace)
    while True:
        set_champion(lake, live)
        before, live = live, versions.read_active_version(client, namespace)
        if live == before:
            return


def reconcile_champion(lake: Lake, redis: str, namespace: str) -> dict[str, Any]:
    """Make the champion what the store at the URL `redis` has active, before a run asks for its incumbent.

    Returns what the run's record tells: `active`, the store's version or None, or `unasked`, why it was not asked. A
    store that does not answer fails no run here: it is needed at the end, if at all.
    """
    from dawnlist.store.client import STORE_ERRORS, connect_store

    try:
        with connect_store(redis) as client:
            sync_champion(lake, client, namespace)
    except (ConnectionError, *STORE_ERRORS) as error:
        return {"unasked": mask_passwords(f"{error}; the champion is what this lake last knew")}
    live = read_champion(lake)
    return {"active": live["version"] if live else None}


def set_champion(lake: Lake, live: dict[str, Any] | None) -> None:
    """Make the publication of the store's active version champion; None when it has none.

    A version that was not published from this lake leaves the champion as it is.
    """
    while True:
        found = lake.read_with_revision(CHAMPION_FILE)
        before = json.loads(found[0]) if found else {"history": []}
        after = _compute_champion(lake, before, live)
        if after == before or lake.replace(
            _encode_json(after), found[1] if found else ABSENT_REVISION, CHAMPION_FILE
        ):
            return


def _compute_champion(
    lake: Lake, held: dict[str, Any], live: dict[str, Any] | None
) -> dict[str, Any]:
    """What champion.json shall hold, from what it holds."""
    if live is None:
        return {"history": held["history"]}
    publication = lake.read_json(*_locate_publication(live))
    if publication is None or publication["token"] == held.get("token"):
        return held
    entry = {name: publication[name] for name in ("as_of", "run", "token")}
    return {
        **publication,
        "history": [*_select_older_entries(held["history"], parse_as_of(entry["as_of"])), entry],
    }


def _encode_json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, indent=1, allow_nan=False).encode()


def roll_back_champion(
    lake: Lake, client: "StoreClient", namespace: str, version: int | None = None
) -> dict[str, Any]:
    """Switch the store to an older version, held, and the champion with it; returns and raises as store.rollback.

    ValueError when that version was not published from this lake; nothing is switched then.
    """
    from dawnlist.store import versions

    def check(target: dict[str, Any]) -> None:
        if not lake.exists(*_locate_publication(target)):
            raise ValueError(
                f"version {target['version']} of {target['as_of']} was not published from {lake.uri}: nothing is "
                "switched; check the lake, the store and the namespace"
            )

    sync_champion(lake, client, namespace)
    report = versions.roll_back_version(client, namespace, version, check)
    sync_champion(lake, client, namespace)
    return report


def find_incumbent(lake: Lake, as_of: datetime) -> Publication | None:
    """The newest publication older than `as_of` that went live and was not rolled back, or None.

    ValueError when the lake has lost it.
    """
    held = lake.read_json(CHAMPION_FILE)
    older = _select_older_entries(held["history"], as_of) if held else []
    if not older:
        return None
    found: Publication | None = lake.read_json(*_locate_publication(older[-1]))
    if found is None:
        raise _build_lost_error(lake, "/".join(_locate_publication(older[-1])), older[-1]["as_of"])
    return found


def load_model(lake: Lake, publication: Publication) -> FactorModel:
    """The published model; ValueError when its files are gone or were damaged."""
    place = ("models", publication["model"])
    if not lake.names(*place):
        raise _build_lost_error(lake, "/".join(place), publication["as_of"])
    with tempfile.TemporaryDirectory() as folder:
        lake.download_folder(Path(folder), *place)
        model = FactorModel.load(Path(folder))
    if model.lineage.get("as_of") != format_iso(parse_as_of(publication["as_of"])):
        raise ValueError(
            f"model {publication['model']} is of {model.lineage.get('as_of')}, its publication says "
            f"{publication['as_of']}: the registry was damaged, publish again"
        )
    return model


def list_published_models(lake: Lake) -> set[str]:
    """The models that a publication names: those that were live, may come live again or never did.

    ValueError when a publication can't be read, since any model may be the one that it names.
    """
    named = set()
    for place in [("publications", name) for name in lake.names("publications")] + [
        (CHAMPION_FILE,)
    ]:
        try:
            named.add((lake.read_json(*place) or {}).get("model"))
        except ValueError as error:
            raise ValueError(
                f"{'/'.join(place)} of the lake {lake.uri} is no JSON ({error}): no model is dropped; restore it, or "
                "delete it"
            ) from None
    return {model for model in named if model}


def _locate_publication(version: dict[str, Any]) -> tuple[str, str]:
    """Where the publication of a version lies, from its as_of, run and token."""
    return (
        "publications",
        f"{format_stamp(parse_as_of(version['as_of']))}-{version['run']}-{version['token']}.json",
    )


def _select_older_entries(history: list[dict[str, Any]], as_of: datetime) -> list[dict[str, Any]]:
    return [entry for entry in history if parse_as_of(entry["as_of"]) < as_of]


def _build_lost_error(lake: Lake, what: str, as_of: str) -> ValueError:
    return ValueError(
        f"the lake {lake.uri} has no {what} any more, which was published for {as_of} and is the incumbent: restore "
        f"it, and keep the bucket's lifecycle rules off models/ and publications/; or delete {lake.uri}/{CHAMPION_FILE} to "
        "go on without an incumbent"
    )
