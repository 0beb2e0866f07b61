"""The store: versions of every user's list in Redis or Valkey, one of them active.

The only module that knows the keys. Every key begins with `dawnlist:NAMESPACE:`; N is a version, a decimal number.

    active            string, the active version's token: `N-` and eight hex digits drawn when N was written, so that
                      an emptied store which counts from 1 again is not taken for the one before
    counter           string, the last N given out
    versions          hash, N -> meta as JSON: every version that can be active
    building          hash, N -> {"run", "as_of"} as JSON: being written or deleted, or left by a publisher that died
    v:N:u:USER_ID     string, a user's list of n entries, best first: n item indices, then n scores (8 n bytes)
    v:N:popular       string, the same for users without a list
    v:N:catalogue:I   string, rows 50,000 I onwards of the catalogue as Parquet (zstd): item_id, title; row = item index

An item index is a little-endian uint32, a score a little-endian float32, USER_ID the id's UTF-8 bytes. `meta` is what
`publish` returns, and: token, k (the lists' length), layout (1), catalogue_chunks. Nothing below `v:N:` changes once N
is in `versions`, so a reader that finds in one MGET both the token it knows and the users' lists has one version.
"""

import asyncio
import contextlib
import io
import json
import re
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs, urlsplit

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
import redis
import redis.asyncio.retry
from redis.backoff import NoBackoff
from redis.client import Pipeline
from redis.retry import Retry

from components.cuts import parse_as_of
from components.toplists import TopLists
from components.urls import REDIS_PASSWORD, masked, password, refuse_password

LAYOUT: Final = 1
KEEP: Final = 3
CATALOGUE_ROWS: Final = 50_000
KEYS_A_CALL: Final = 1_000  # 0.2 MB: a call that doesn't hold other clients up for more than a millisecond
SAMPLE: Final = 1_000  # lists read back before the switch
SWITCHES_AT_ONCE: Final = 20  # during one answer; more is no switch but a broken store
NAMESPACE: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?")

Meta = dict[str, Any]


class NothingPublishedError(LookupError):
    """A namespace without an active version."""

    def __init__(self, namespace: str) -> None:
        super().__init__(f"nothing has been published yet in namespace {namespace}: run the pipeline first")


@dataclass(frozen=True)
class Keys:
    """The names of one shop's keys."""

    namespace: str

    def __post_init__(self) -> None:
        if not NAMESPACE.fullmatch(self.namespace):
            raise ValueError(
                f"namespace {self.namespace!r} is not usable in paths and keys: "
                "give 1 to 40 of a-z, 0-9 and '-', beginning and ending with a letter or digit"
            )

    def name(self, what: str) -> str:
        return f"dawnlist:{self.namespace}:{what}"

    def of(self, version: int, what: str) -> str:
        return f"dawnlist:{self.namespace}:v:{version}:{what}"

    def user(self, version: int, user_id: str) -> str:
        return f"dawnlist:{self.namespace}:v:{version}:u:{user_id}"


def checked_url(url: str) -> str:
    """The store's URL, unchanged; ValueError when it is of another kind or holds a password."""
    parts = urlsplit(url)
    if parts.scheme not in ("redis", "rediss", "unix"):
        raise ValueError(
            f"store {masked(url)!r} is of a kind that can't be used: give redis://HOST:PORT/0, rediss:// or unix://PATH"
        )
    if "password" in parse_qs(parts.query):
        raise ValueError(f"the store's URL holds a password: take it out and set {REDIS_PASSWORD} instead")
    return refuse_password(url, REDIS_PASSWORD)


def connect(url: str) -> "redis.Redis":
    """A client that has been answered once; ConnectionError when there is no answer or the password is refused."""
    retry = Retry(NoBackoff(), 1)  # a pooled connection that the server has closed since
    client = redis.Redis.from_url(
        checked_url(url), password=password(REDIS_PASSWORD), socket_timeout=60, socket_connect_timeout=5, retry=retry
    )
    try:
        client.ping()
    except redis.AuthenticationError as error:
        client.close()
        raise ConnectionError(
            f"the store at {masked(url)} refuses the password: set {REDIS_PASSWORD} to the right one"
        ) from error
    except redis.RedisError as error:
        client.close()
        raise ConnectionError(
            f"no store answers at {masked(url)} ({type(error).__name__}): start it, or give another URL"
        ) from error
    return client


# -- writing ---------------------------------------------------------------------------------------------------------


def publish(
    client: "redis.Redis", namespace: str, lists: TopLists, run: str, as_of: str, keep: int = KEEP
) -> dict[str, Any]:
    """Write the lists as a new version, read a sample back, and make it the active one in a single switch.

    A run that has been published before is left as it is and its report returned again. Returns version, run, as_of,
    winner, users, items, bytes (keys and values), seconds (to write and verify) and previous (the version that was
    active before, or None). ValueError when as_of is not newer than the active version's, RuntimeError when what was
    read back differs or another publisher took the run over; the active version is untouched then.
    """
    keys, moment = Keys(namespace), parse_as_of(as_of)
    if keep < 1:
        raise ValueError(f"keep = {keep}: at least one version, the active one, has to be kept")
    if done := _published(_versions(client, keys), run):
        return _report(done)
    _refuse_older(active(client, namespace), run, as_of)
    _drop_leftovers(client, keys, run)
    version = int(client.incr(keys.name("counter")))
    client.hset(keys.name("building"), str(version), json.dumps({"run": run, "as_of": as_of}))
    try:
        started = time.perf_counter()
        written = _write(client, keys, version, lists)
        _verify(client, keys, version, lists)
        meta: Meta = {
            "version": version,
            "run": run,
            "as_of": moment.isoformat().replace("+00:00", "Z"),
            "winner": lists.meta.get("winner"),
            "items": lists.catalogue.num_rows,
            **written,
            "seconds": round(time.perf_counter() - started, 3),
            "k": lists.k,
            "layout": LAYOUT,
            "token": f"{version}-{secrets.token_hex(4)}",
        }
        switched = _switch(client, keys, meta)
    except BaseException:
        with contextlib.suppress(redis.RedisError):  # the next publish drops it otherwise
            _drop(client, keys, version)
        raise
    if switched["version"] != version:  # the same run, elsewhere, was quicker
        _drop(client, keys, version)
    _drop_old(client, keys, keep)
    return _report(switched)


def _report(meta: Meta) -> dict[str, Any]:
    return {name: meta[name] for name in meta if name not in ("k", "layout", "token", "catalogue_chunks")}


def _published(versions: dict[int, Meta], run: str) -> Meta | None:
    return next((meta for meta in versions.values() if meta["run"] == run), None)


def _refuse_older(current: Meta | None, run: str, as_of: str) -> None:
    if current and parse_as_of(as_of) <= parse_as_of(current["as_of"]):
        raise ValueError(
            f"run {run!r} of {as_of} is not newer than version {current['version']} of {current['as_of']}, which is "
            "active: it is not published; roll back to an older version first if it is meant to be"
        )


def _write(client: "redis.Redis", keys: Keys, version: int, lists: TopLists) -> Meta:
    """Everything of a version but its place among the versions; returns counts."""
    users = size = 0
    for batch in _batched_lists(keys, version, lists):
        client.mset(batch)
        users += len(batch)
        size += sum(map(len, batch)) + sum(map(len, batch.values()))
    others = _other_values(keys, version, lists)
    for key, value in others.items():
        client.set(key, value)
        size += len(key) + len(value)
    return {"users": users, "bytes": size, "catalogue_chunks": len(others) - 1}


def _batched_lists(keys: Keys, version: int, lists: TopLists) -> Iterator[dict[bytes, bytes]]:
    """Key -> packed list, KEYS_A_CALL at a time; a user whose list is empty has no key."""
    prefix, k = keys.user(version, "").encode(), lists.k
    for begin in range(0, len(lists.user_ids), KEYS_A_CALL):
        part = slice(begin, begin + KEYS_A_CALL)
        items = np.ascontiguousarray(lists.item_index[part], dtype="<u4").view(np.uint8)
        scores = np.ascontiguousarray(lists.score[part], dtype="<f4").view(np.uint8)
        rows = np.concatenate([items, scores], axis=1).tobytes()
        batch: dict[bytes, bytes] = {}
        for i, (user_id, n) in enumerate(zip(lists.user_ids[part], lists.lengths[part].tolist(), strict=True)):
            row = rows[i * 8 * k : (i + 1) * 8 * k]
            if n:
                batch[prefix + user_id.encode()] = row if n == k else row[: 4 * n] + row[4 * k : 4 * (k + n)]
        if batch:
            yield batch


def _other_values(keys: Keys, version: int, lists: TopLists) -> dict[str, bytes]:
    popular = lists.popular_index.astype("<u4").tobytes() + lists.popular_score.astype("<f4").tobytes()
    values = {keys.of(version, "popular"): popular}
    columns = lists.catalogue.select(["item_id", "title"])
    for chunk, begin in enumerate(range(0, columns.num_rows, CATALOGUE_ROWS)):
        file = io.BytesIO()
        pq.write_table(columns.slice(begin, CATALOGUE_ROWS), file, compression="zstd")
        values[keys.of(version, f"catalogue:{chunk}")] = file.getvalue()
    return values


def _verify(client: "redis.Redis", keys: Keys, version: int, lists: TopLists) -> None:
    """RuntimeError unless every key is there and a sample, the popular list and the catalogue read back the same."""
    step = max(1, len(lists.user_ids) // SAMPLE)
    expected = {key.encode(): value for key, value in _other_values(keys, version, lists).items()}
    found = written = 0
    for batch in _batched_lists(keys, version, lists):
        found += int(client.exists(*batch))
        expected.update(list(batch.items())[::step])
        written += len(batch)
    got = client.mget(list(expected))
    wrong = sum(value != other for value, other in zip(expected.values(), got, strict=True))
    if found != written or wrong:
        raise RuntimeError(
            f"version {version} does not read back as it was written: {found} of {written} lists are there, {wrong} "
            f"of {len(expected)} values read differ; does the server evict keys (maxmemory-policy)? It is not switched"
        )


def _switch(client: "redis.Redis", keys: Keys, meta: Meta) -> Meta:
    """Make the version active unless something newer is; returns the meta of the version that the run has now."""
    field = str(meta["version"])

    def move(pipe: Pipeline) -> Meta:
        if done := _published(_versions(pipe, keys), meta["run"]):
            pipe.multi()
            return done
        if not pipe.hexists(keys.name("building"), field):
            raise RuntimeError(f"another publisher took run {meta['run']!r} over: version {field} is not switched")
        current = _active(pipe, keys)
        _refuse_older(current, meta["run"], meta["as_of"])
        switched = {**meta, "previous": current["version"] if current else None}
        pipe.multi()
        pipe.hset(keys.name("versions"), field, json.dumps(switched))
        pipe.set(keys.name("active"), meta["token"])
        pipe.hdel(keys.name("building"), field)
        return switched

    return _atomically(client, keys, move)


def _atomically(client: "redis.Redis", keys: Keys, change: Callable[[Pipeline], Meta]) -> Meta:
    """Run `change`, again whenever another client changed the versions between its reads and its writes."""
    watched = [keys.name(what) for what in ("active", "versions", "building")]
    transaction: Any = client.transaction  # redis-py's annotation forgets that the callable's value may be returned
    changed: Meta = transaction(change, *watched, value_from_callable=True)
    return changed


def _drop_leftovers(client: "redis.Redis", keys: Keys, run: str) -> None:
    """Delete half-written versions that can never be switched to: of this run, or not newer than the active one."""
    current = _active(client, keys)
    for version, entry in _metas(client, keys.name("building")).items():
        late = current and parse_as_of(entry["as_of"]) <= parse_as_of(current["as_of"])
        if late or entry["run"] == run:
            _drop(client, keys, version)


def _drop_old(client: "redis.Redis", keys: Keys, keep: int) -> None:
    """Take the oldest versions beyond `keep` out of the choice, the active one never, then delete what they hold."""
    doomed: list[int] = []

    def take_out(pipe: Pipeline) -> Meta:
        kept, current = _versions(pipe, keys), _active(pipe, keys)
        others = sorted((v for v in kept if not current or v != current["version"]), reverse=True)
        doomed[:] = others[keep - 1 :]
        pipe.multi()
        for version in doomed:  # into `building`, so that a deletion cut short is finished by the next publish
            pipe.hset(keys.name("building"), str(version), json.dumps(kept[version]))
            pipe.hdel(keys.name("versions"), str(version))
        return {}

    _atomically(client, keys, take_out)
    for version in doomed:
        _drop(client, keys, version)


def _drop(client: "redis.Redis", keys: Keys, version: int) -> None:
    """Delete all that a version holds, in small calls, its memory freed by the server in the background."""
    doomed: list[bytes] = []
    for key in client.scan_iter(match=keys.of(version, "*"), count=KEYS_A_CALL):
        doomed.append(key)
        if len(doomed) >= KEYS_A_CALL:
            client.unlink(*doomed)
            doomed.clear()
    if doomed:
        client.unlink(*doomed)
    client.hdel(keys.name("building"), str(version))


# -- choosing --------------------------------------------------------------------------------------------------------


def versions(client: "redis.Redis", namespace: str) -> list[dict[str, Any]]:
    """The reports of all versions that can be active, newest first, each with `active`: bool."""
    keys = Keys(namespace)
    current = _active(client, keys)
    kept = sorted(_versions(client, keys).items(), reverse=True)
    return [{**_report(meta), "active": bool(current) and current == meta} for _, meta in kept]


def active(client: "redis.Redis", namespace: str) -> dict[str, Any] | None:
    """The active version's report, or None while nothing has been published."""
    meta = _active(client, Keys(namespace))
    return _report(meta) if meta else None


def rollback(client: "redis.Redis", namespace: str, version: int | None = None) -> dict[str, Any]:
    """Make `version`, or the newest one below the active one, active; returns its report with `replaced`.

    LookupError when there is no such version.
    """
    keys = Keys(namespace)

    def move(pipe: Pipeline) -> Meta:
        kept, current = _versions(pipe, keys), _active(pipe, keys)
        if current is None:
            raise NothingPublishedError(namespace)
        target = version if version is not None else max((v for v in kept if v < current["version"]), default=None)
        if target is None:
            raise LookupError(
                f"there is no version before {current['version']}, which is active: nothing to go back to"
            )
        if target not in kept:
            raise LookupError(f"there is no version {target}: choose one of {', '.join(map(str, sorted(kept)))}")
        pipe.multi()
        pipe.set(keys.name("active"), kept[target]["token"])
        return {**_report(kept[target]), "replaced": current["version"]}

    return _atomically(client, keys, move)


def _versions(client: "redis.Redis", keys: Keys) -> dict[int, Meta]:
    return _metas(client, keys.name("versions"))


def _metas(client: "redis.Redis", key: str) -> dict[int, Meta]:
    found: Any = client.hgetall(key)
    return {int(version): json.loads(meta) for version, meta in found.items()}


def _active(client: "redis.Redis", keys: Keys) -> Meta | None:
    token: Any = client.get(keys.name("active"))
    if token is None:
        return None
    meta: Any = client.hget(keys.name("versions"), str(version_of(token)))
    return json.loads(meta) if meta else None


def version_of(token: bytes) -> int:
    return int(token.split(b"-")[0])


# -- reading ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Snapshot:
    """What all answers from one version share."""

    token: bytes
    version: int
    as_of: str
    k: int
    """Length of the users' lists, the most that can be asked for."""
    item_ids: list[str]
    titles: list[str | None]
    popular: bytes
    """Packed like a user's list."""


def unpack(packed: bytes) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.float32]]:
    """Item indices and scores of a stored list, best first."""
    n = len(packed) // 8
    return np.frombuffer(packed, "<u4", n), np.frombuffer(packed, "<f4", n, 4 * n)


def connect_reader(url: str) -> "redis.asyncio.Redis":
    """A client for a Reader; it connects when it is used, and an answer that takes over a second is an error."""
    retry = redis.asyncio.retry.Retry(NoBackoff(), 1)  # a pooled connection that the server has closed since
    return redis.asyncio.Redis.from_url(
        checked_url(url),
        password=password(REDIS_PASSWORD),
        protocol=3,
        socket_timeout=1,
        socket_connect_timeout=1,
        retry=retry,
    )


class Reader:
    """Reads users' lists of whatever version is active; belongs to one event loop."""

    def __init__(self, client: "redis.asyncio.Redis", namespace: str) -> None:
        self._client: Any = client  # its annotations say bytes or str; it is bytes here
        self._keys = Keys(namespace)
        self._snapshot: Snapshot | None = None
        self._loading = asyncio.Lock()

    async def lists(self, user_ids: Sequence[str]) -> tuple[Snapshot, list[bytes | None]]:
        """The active version and its packed list of each user, None for a user without one.

        NothingPublishedError while that is so, redis.RedisError when the store does not answer.
        """
        for _ in range(SWITCHES_AT_ONCE):
            known = self._snapshot
            names = [self._keys.user(known.version, user_id) for user_id in user_ids] if known else []
            token, *packed = await self._client.mget([self._keys.name("active"), *names])
            if token is None:
                raise NothingPublishedError(self._keys.namespace)
            if known and token == known.token:
                return known, packed
            await self._follow(token)
        raise RuntimeError("the active version keeps changing, or parts of it are missing: publish again, or roll back")

    async def _follow(self, token: bytes) -> None:
        """Load the version of `token`, unless another request has done so meanwhile or it is gone again."""
        async with self._loading:
            if self._snapshot is None or self._snapshot.token != token:
                self._snapshot = await self._load(token) or self._snapshot

    async def _load(self, token: bytes) -> Snapshot | None:
        version = version_of(token)
        found = await self._client.hget(self._keys.name("versions"), str(version))
        meta = json.loads(found) if found else {}
        if meta.get("token") != token.decode():
            return None
        if meta["layout"] != LAYOUT:
            raise RuntimeError(
                f"version {version} has layout {meta['layout']}, this Dawnlist reads {LAYOUT}: upgrade it"
            )
        names = [self._keys.of(version, f"catalogue:{i}") for i in range(meta["catalogue_chunks"])]
        chunks = [await self._client.get(name) for name in names]
        popular = await self._client.get(self._keys.of(version, "popular"))
        if popular is None or None in chunks:
            return None
        item_ids, titles = await asyncio.to_thread(_decoded, chunks)
        return Snapshot(token, version, meta["as_of"], meta["k"], item_ids, titles, popular)


def _decoded(chunks: list[bytes]) -> tuple[list[str], list[str | None]]:
    tables = [pq.read_table(pa.BufferReader(chunk)) for chunk in chunks]
    item_ids: list[str] = []
    titles: list[str | None] = []
    for table in tables:
        item_ids += table["item_id"].to_pylist()
        titles += table["title"].to_pylist()
    return item_ids, titles
