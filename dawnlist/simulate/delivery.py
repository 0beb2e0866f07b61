"""What happens to an event on its way into the database, and the raw text columns that production finds there.

Dirt is drawn day by day from its own random stream, then written as text in one go for the whole shop.
"""

from dataclasses import dataclass, fields, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from dawnlist.arrays import Int64Array
from dawnlist.cuts import MICROSECONDS_PER_DAY
from dawnlist.simulate.agents import SIMULATED_AGENTS
from dawnlist.simulate.catalogue import DIRT_STREAM, assign_public_ids, create_random_stream
from dawnlist.simulate.config import ShopConfig
from dawnlist.simulate.traffic import SIMULATED_EVENT_KINDS, SimulatedEvents, concatenate_events

CORRUPTIONS = ("none", "no user", "no item", "unknown event", "year 2099", "year 1970", "no time")
NULL_TEXTS = ("null", "NaN", "")
TIME_FORMATS = ("Z", "offset", "no zone", "seconds", "milliseconds")
ID_FORMATS = ("{}", "{}.0", " {} ", "{} ")
LATE_MEAN_HOURS = 20.0


@dataclass(frozen=True)
class DeliveredEvents:
    """Events with what the way did to them: aligned arrays, one entry a row of the raw table."""

    events: SimulatedEvents
    number: Int64Array  # of the event; a replayed row has its event's
    received: Int64Array  # microseconds since 1970
    time_format: Int64Array  # into TIME_FORMATS
    user_format: Int64Array  # into ID_FORMATS
    item_format: Int64Array
    null_text: (
        Int64Array  # (rows, 3): session, agent, address; 0 is none, else 1 + index into NULL_TEXTS
    )
    corruption: Int64Array  # into CORRUPTIONS

    def take(self, rows: Int64Array) -> "DeliveredEvents":
        return replace(
            self,
            events=self.events.take(rows),
            **{name: getattr(self, name)[rows] for name in DELIVERY_FIELDS},
        )


DELIVERY_FIELDS = tuple(field.name for field in fields(DeliveredEvents) if field.name != "events")


def deliver_events(config: ShopConfig, events: SimulatedEvents, day: int) -> DeliveredEvents:
    """One day's events with double clicks, delays, replays, odd formats and corrupt rows."""
    random = create_random_stream(config, DIRT_STREAM, day)
    events = _add_double_clicks(config, random, events)
    n = len(events.actor)
    delay = np.exp(-1.2 + 0.8 * random.standard_normal(n))
    late = random.random(n) < config.late_share
    delay += late * (3_600 + random.exponential(LATE_MEAN_HOURS * 3_600, n))
    rows = DeliveredEvents(
        events,
        day * 100_000_000 + np.arange(n),
        events.time + (delay * 1e6).astype(np.int64),
        _draw_codes(random, n, config.odd_time_share, len(TIME_FORMATS)),
        _draw_codes(random, n, config.odd_id_share, len(ID_FORMATS)),
        _draw_codes(random, n, config.odd_id_share, len(ID_FORMATS)),
        _draw_codes(random, 3 * n, config.null_text_share, len(NULL_TEXTS) + 1).reshape(n, 3),
        _draw_codes(random, n, config.corrupt_share, len(CORRUPTIONS)),
    )
    return _add_replays(config, random, rows)


def _draw_codes(random: np.random.Generator, n: int, share: float, codes: int) -> Int64Array:
    """0 but for a share of the rows, which get 1 ... codes - 1."""
    return np.where(random.random(n) < share, random.integers(1, codes, n), 0)


def _add_double_clicks(
    config: ShopConfig, random: np.random.Generator, events: SimulatedEvents
) -> SimulatedEvents:
    twice = np.flatnonzero(random.random(len(events.actor)) < config.double_click_share)
    again = events.take(twice)
    later = again.time + random.integers(50, 900, len(twice)) * 1_000
    again = SimulatedEvents(
        again.actor, again.item, again.kind, later, again.session, again.agent, again.address
    )
    return concatenate_events([events, again])


def _add_replays(
    config: ShopConfig, random: np.random.Generator, rows: DeliveredEvents
) -> DeliveredEvents:
    n = len(rows.number)
    again = np.flatnonzero(random.random(n) < config.replay_share)
    later = (30 + random.exponential(3_600, len(again))) * 1e6
    both = rows.take(np.concatenate([np.arange(n), again]))
    both.received[n:] += later.astype(np.int64)
    return both


def merge_days(config: ShopConfig, days: list[DeliveredEvents]) -> DeliveredEvents:
    """The rows that arrived before the end of the shop's last day, in order of arrival."""
    columns = {
        name: np.concatenate([getattr(day, name) for day in days]) for name in DELIVERY_FIELDS
    }
    whole = replace(days[0], events=concatenate_events([day.events for day in days]), **columns)
    order = np.lexsort((whole.number, whole.received))
    return whole.take(
        order[
            : np.searchsorted(
                whole.received[order], config.start_us + config.days * MICROSECONDS_PER_DAY
            )
        ]
    )


def build_raw_table(config: ShopConfig, rows: DeliveredEvents) -> pa.Table:
    """The table `interactions`: ten text columns, in order of received_at."""
    day = (rows.received - config.start_us) // MICROSECONDS_PER_DAY
    sessions = pc.utf8_slice_codeunits(_hash_to_hex(rows.events.session, config.seed + 1), 0, 12)
    session = _insert_null_texts(sessions, rows.null_text[:, 0])
    if config.sessionless_days is not None:
        first, end = config.sessionless_days
        session = _null_unless((day < first) | (day >= end), session)
    agent = _insert_null_texts(
        pa.array(SIMULATED_AGENTS).take(pa.array(rows.events.agent)), rows.null_text[:, 1]
    )
    renamed = day >= (config.rename_day if config.rename_day is not None else config.days)
    corrupt = rows.corruption
    return pa.table(
        {
            "event_id": _hash_to_hex(rows.number, config.seed),
            "user_id": _null_unless(corrupt != 1, _format_ids(rows.events.actor, rows.user_format)),
            "item_id": _null_unless(corrupt != 2, _format_ids(rows.events.item, rows.item_format)),
            "event": pa.array([*SIMULATED_EVENT_KINDS, "heartbeat"]).take(
                pa.array(np.where(corrupt == 3, len(SIMULATED_EVENT_KINDS), rows.events.kind))
            ),
            "ts": _format_times(rows.events.time, rows.time_format, corrupt),
            "session_id": session,
            "user_agent": _null_unless(~renamed, agent),
            "ua": _null_unless(renamed, agent),
            "ip_address": _insert_null_texts(
                _format_addresses(rows.events.address), rows.null_text[:, 2]
            ),
            "received_at": format_iso_utc(rows.received),
        }
    )


def format_iso_utc(microseconds: Int64Array) -> pa.Array:
    """'YYYY-MM-DDTHH:MM:SS.ffffffZ', always 27 characters."""
    return _to_text(
        np.char.add(
            np.datetime_as_string(microseconds.astype("datetime64[us]")).astype("S26"), b"Z"
        )
    )


def _to_text(values: npt.NDArray[np.bytes_]) -> pa.Array:
    return pa.array(values).cast(pa.string())


def _null_unless(keep: npt.NDArray[np.bool_], values: pa.Array) -> pa.Array:
    """NULL where not kept."""
    return pc.if_else(pa.array(keep), values, pa.scalar(None, pa.string()))


def _insert_null_texts(values: pa.Array, code: Int64Array) -> pa.Array:
    """The null texts where the code says so."""
    texts = pa.array(["-", *NULL_TEXTS]).take(pa.array(code))
    return pc.if_else(pa.array(code == 0), values, texts)


def _hash_to_hex(numbers: Int64Array, salt: int) -> pa.Array:
    """16 hexadecimal digits, different for different numbers (the finaliser of splitmix64)."""
    with np.errstate(over="ignore"):
        mixed = numbers.astype(np.uint64) + np.uint64((salt + 1) * 0x9E3779B97F4A7C15 % 2**64)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed = mixed ^ (mixed >> np.uint64(31))
    pairs = np.array([f"{byte:02x}" for byte in range(256)], dtype="S2")
    octets = mixed.astype(">u8").view(np.uint8).reshape(-1, 8)
    return _to_text(np.ascontiguousarray(pairs[octets]).view("S16").ravel())


def _format_ids(indices: Int64Array, code: Int64Array) -> pa.Array:
    """Public ids as text in the format of the code."""
    unique, place = np.unique(indices, return_inverse=True)
    texts = [form.format(number) for number in assign_public_ids(unique) for form in ID_FORMATS]
    return pa.array(texts).take(pa.array(place * len(ID_FORMATS) + code))


def _format_addresses(numbers: Int64Array) -> pa.Array:
    unique, place = np.unique(numbers, return_inverse=True)
    parts = [pa.array((unique >> shift) & 255).cast(pa.string()) for shift in (24, 16, 8, 0)]
    return pc.binary_join_element_wise(*parts, ".").take(pa.array(place))


def _format_times(time: Int64Array, code: Int64Array, corruption: Int64Array) -> pa.Array:
    """The column `ts`: five formats, and what corrupt rows have instead."""
    texts = np.empty(len(time), "S29")
    milliseconds = time // 1_000

    def iso(rows: npt.NDArray[np.bool_], hours: int) -> npt.NDArray[np.bytes_]:
        shifted = milliseconds[rows] + hours * 3_600_000
        return np.datetime_as_string(shifted.astype("datetime64[ms]")).astype("S23")

    texts[code == 0] = np.char.add(iso(code == 0, 0), b"Z")
    texts[code == 1] = np.char.add(iso(code == 1, 2), b"+02:00")
    zoneless = iso(code == 2, 0)
    zoneless.view("S1").reshape(len(zoneless), 23)[:, 10] = b" "
    texts[code == 2] = zoneless
    texts[code == 3] = (milliseconds[code == 3] // 1_000).astype("S20")
    texts[code == 4] = milliseconds[code == 4].astype("S20")
    texts[corruption == 4] = b"2099-12-31T23:59:59.000Z"
    texts[corruption == 5] = b"1970-01-01T00:00:00.000Z"
    texts[corruption == 6] = b"not a time"
    return _to_text(texts)
