"""How events get into the database, and the raw text columns that production finds there.

Dirt is drawn day by day from its own random numbers. The text is then written at once for the whole
shop.
"""

from dataclasses import dataclass, fields, replace
from enum import IntEnum

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
from numpy.random import Generator

from dawnlist.arrays import BoolArray, Int64Array
from dawnlist.cuts import MICROSECONDS_PER_DAY
from dawnlist.simulate.agents import SIMULATED_AGENTS
from dawnlist.simulate.catalogue import RandomStream, assign_public_ids, create_random_stream
from dawnlist.simulate.config import ShopConfig
from dawnlist.simulate.traffic import SIMULATED_EVENT_KINDS, SimulatedEvents, concatenate_events

NULL_TEXTS = ("null", "NaN", "")
"""What a source may write instead of NULL."""
ID_FORMATS = ("{}", "{}.0", " {} ", "{} ")
"""How a source may write an id."""
LATE_MEAN_HOURS = 20.0
"""The mean delay of late events."""
UNKNOWN_EVENT = "heartbeat"
"""An event that no pipeline knows."""
_EVENT_NUMBERS_PER_DAY = 100_000_000


class Corruption(IntEnum):
    """What makes a row unusable."""

    NONE = 0
    NO_USER = 1
    NO_ITEM = 2
    UNKNOWN_EVENT = 3
    YEAR_2099 = 4
    YEAR_1970 = 5
    NO_TIME = 6


class TimeFormat(IntEnum):
    """How a time is written."""

    UTC = 0
    OFFSET = 1
    NO_ZONE = 2
    SECONDS = 3
    MILLISECONDS = 4


@dataclass(frozen=True)
class DeliveredEvents:
    """Events with their dirt: aligned arrays, with one entry for each row of the raw table."""

    events: SimulatedEvents
    """The events themselves."""
    number: Int64Array
    """The number of the event; replayed rows have the number of their event."""
    received: Int64Array
    """When the row arrived, in microseconds since 1970."""
    time_format: Int64Array
    """The `TimeFormat`."""
    user_format: Int64Array
    """Index into `ID_FORMATS`, for the user's id."""
    item_format: Int64Array
    """Index into `ID_FORMATS`, for the item's id."""
    null_text: Int64Array
    """(rows, 3), for session, agent and address: 0, or 1 + the index into `NULL_TEXTS`."""
    corruption: Int64Array
    """The `Corruption`."""

    def take(self, rows: Int64Array) -> "DeliveredEvents":
        """Select rows by their position."""
        columns = {name: getattr(self, name)[rows] for name in DELIVERY_FIELDS}
        return replace(self, events=self.events.take(rows), **columns)


DELIVERY_FIELDS = tuple(field.name for field in fields(DeliveredEvents) if field.name != "events")
"""The arrays of `DeliveredEvents`, without the events themselves."""


def deliver_events(config: ShopConfig, events: SimulatedEvents, day: int) -> DeliveredEvents:
    """Draw the dirt of one day: double clicks, delays, replays, odd formats and corrupt rows."""
    random = create_random_stream(config, RandomStream.DIRT, day)
    events = _add_double_clicks(config, random, events)
    count = len(events.actor)
    delay_seconds = _draw_delays(config, random, count)
    rows = DeliveredEvents(
        events=events,
        number=day * _EVENT_NUMBERS_PER_DAY + np.arange(count),
        received=events.time + (delay_seconds * 1e6).astype(np.int64),
        # the random numbers are drawn in the order of these arguments
        time_format=_draw_codes(random, count, config.odd_time_share, len(TimeFormat)),
        user_format=_draw_codes(random, count, config.odd_id_share, len(ID_FORMATS)),
        item_format=_draw_codes(random, count, config.odd_id_share, len(ID_FORMATS)),
        null_text=_draw_null_texts(config, random, count),
        corruption=_draw_codes(random, count, config.corrupt_share, len(Corruption)),
    )
    return _add_replays(config, random, rows)


def _draw_delays(config: ShopConfig, random: Generator, count: int) -> npt.NDArray[np.float64]:
    """Draw the seconds from each event to its arrival."""
    delay = np.exp(-1.2 + 0.8 * random.standard_normal(count))
    is_late = random.random(count) < config.late_share
    late_delay = 3_600 + random.exponential(LATE_MEAN_HOURS * 3_600, count)
    return delay + is_late * late_delay


def _draw_codes(random: Generator, count: int, share: float, codes: int) -> Int64Array:
    """Draw a code from 1 to codes - 1 for a share of the rows; the others get 0."""
    is_chosen = random.random(count) < share
    return np.where(is_chosen, random.integers(1, codes, count), 0)


def _draw_null_texts(config: ShopConfig, random: Generator, count: int) -> Int64Array:
    codes = _draw_codes(random, 3 * count, config.null_text_share, len(NULL_TEXTS) + 1)
    return codes.reshape(count, 3)


def _add_double_clicks(
    config: ShopConfig, random: Generator, events: SimulatedEvents
) -> SimulatedEvents:
    repeated = np.flatnonzero(random.random(len(events.actor)) < config.double_click_share)
    second_clicks = events.take(repeated)
    milliseconds_later = random.integers(50, 900, len(repeated))
    second_clicks = replace(second_clicks, time=second_clicks.time + milliseconds_later * 1_000)
    return concatenate_events([events, second_clicks])


def _add_replays(config: ShopConfig, random: Generator, rows: DeliveredEvents) -> DeliveredEvents:
    count = len(rows.number)
    replayed = np.flatnonzero(random.random(count) < config.replay_share)
    delay = (30 + random.exponential(3_600, len(replayed))) * 1e6
    all_rows = rows.take(np.concatenate([np.arange(count), replayed]))
    all_rows.received[count:] += delay.astype(np.int64)
    return all_rows


def merge_days(config: ShopConfig, days: list[DeliveredEvents]) -> DeliveredEvents:
    """Join the rows that arrived before the end of the shop's last day, in order of arrival."""
    columns = {}
    for name in DELIVERY_FIELDS:
        columns[name] = np.concatenate([getattr(day, name) for day in days])
    events = concatenate_events([day.events for day in days])
    rows = replace(days[0], events=events, **columns)
    order = np.lexsort((rows.number, rows.received))
    end = config.compute_midnight(config.days)
    row_count = np.searchsorted(rows.received[order], end)
    return rows.take(order[:row_count])


def build_raw_table(config: ShopConfig, rows: DeliveredEvents) -> pa.Table:
    """Build the table `interactions`: ten text columns, in order of received_at."""
    day = (rows.received - config.compute_midnight(0)) // MICROSECONDS_PER_DAY
    agent = pa.array(SIMULATED_AGENTS).take(pa.array(rows.events.agent))
    agent = _insert_null_texts(agent, rows.null_text[:, 1])
    address = _format_addresses(rows.events.address)
    rename_day = config.days if config.rename_day is None else config.rename_day
    is_renamed = day >= rename_day
    has_user = rows.corruption != Corruption.NO_USER
    has_item = rows.corruption != Corruption.NO_ITEM
    return pa.table(
        {
            "event_id": _hash_to_hex(rows.number, config.seed),
            "user_id": _null_unless(has_user, _format_ids(rows.events.actor, rows.user_format)),
            "item_id": _null_unless(has_item, _format_ids(rows.events.item, rows.item_format)),
            "event": _format_event_names(rows),
            "ts": _format_times(rows.events.time, rows.time_format, rows.corruption),
            "session_id": _format_sessions(config, rows, day),
            "user_agent": _null_unless(~is_renamed, agent),
            "ua": _null_unless(is_renamed, agent),
            "ip_address": _insert_null_texts(address, rows.null_text[:, 2]),
            "received_at": format_iso_utc(rows.received),
        }
    )


def _format_event_names(rows: DeliveredEvents) -> pa.Array:
    names = pa.array([*SIMULATED_EVENT_KINDS, UNKNOWN_EVENT])
    is_unknown = rows.corruption == Corruption.UNKNOWN_EVENT
    code = np.where(is_unknown, len(SIMULATED_EVENT_KINDS), rows.events.kind)
    return names.take(pa.array(code))


def _format_sessions(config: ShopConfig, rows: DeliveredEvents, day: Int64Array) -> pa.Array:
    texts = pc.utf8_slice_codeunits(_hash_to_hex(rows.events.session, config.seed + 1), 0, 12)
    texts = _insert_null_texts(texts, rows.null_text[:, 0])
    if config.sessionless_days is None:
        return texts
    first, end = config.sessionless_days
    return _null_unless((day < first) | (day >= end), texts)


def format_iso_utc(microseconds: Int64Array) -> pa.Array:
    """Format times as 'YYYY-MM-DDTHH:MM:SS.ffffffZ', always 27 characters."""
    times = microseconds.astype("datetime64[us]")
    texts = np.datetime_as_string(times).astype("S26")
    return _to_text(np.char.add(texts, b"Z"))


def _to_text(values: npt.NDArray[np.bytes_]) -> pa.Array:
    return pa.array(values).cast(pa.string())


def _null_unless(keep: BoolArray, values: pa.Array) -> pa.Array:
    """Replace values that are not to be kept by NULL."""
    return pc.if_else(pa.array(keep), values, pa.scalar(None, pa.string()))


def _insert_null_texts(values: pa.Array, code: Int64Array) -> pa.Array:
    """Replace values by a null text where the code is not 0."""
    texts = pa.array(["-", *NULL_TEXTS]).take(pa.array(code))
    return pc.if_else(pa.array(code == 0), values, texts)


def _hash_to_hex(numbers: Int64Array, salt: int) -> pa.Array:
    """Hash numbers to 16 hexadecimal digits: different numbers give different digits.

    It is the finaliser of splitmix64.
    """
    with np.errstate(over="ignore"):
        offset = (salt + 1) * 0x9E3779B97F4A7C15 % 2**64
        mixed = numbers.astype(np.uint64) + np.uint64(offset)
        mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        mixed = mixed ^ (mixed >> np.uint64(31))
    pairs = np.array([f"{byte:02x}" for byte in range(256)], dtype="S2")
    octets = mixed.astype(">u8").view(np.uint8).reshape(-1, 8)
    return _to_text(np.ascontiguousarray(pairs[octets]).view("S16").ravel())


def _format_ids(indices: Int64Array, code: Int64Array) -> pa.Array:
    """Write public ids as text, in the format of the code."""
    unique, position = np.unique(indices, return_inverse=True)
    texts = []
    for public_id in assign_public_ids(unique):
        texts += [id_format.format(public_id) for id_format in ID_FORMATS]
    return pa.array(texts).take(pa.array(position * len(ID_FORMATS) + code))


def _format_addresses(numbers: Int64Array) -> pa.Array:
    unique, position = np.unique(numbers, return_inverse=True)
    octets = [pa.array((unique >> shift) & 255).cast(pa.string()) for shift in (24, 16, 8, 0)]
    return pc.binary_join_element_wise(*octets, ".").take(pa.array(position))


def _format_times(time: Int64Array, time_format: Int64Array, corruption: Int64Array) -> pa.Array:
    """Build the column `ts`: times in five formats, and the times of corrupt rows."""
    texts = np.empty(len(time), "S29")
    milliseconds = time // 1_000
    is_utc = time_format == TimeFormat.UTC
    texts[is_utc] = np.char.add(_format_iso(milliseconds[is_utc]), b"Z")
    has_offset = time_format == TimeFormat.OFFSET
    two_hours_later = milliseconds[has_offset] + 2 * 3_600_000
    texts[has_offset] = np.char.add(_format_iso(two_hours_later), b"+02:00")
    has_no_zone = time_format == TimeFormat.NO_ZONE
    without_zone = _format_iso(milliseconds[has_no_zone])
    # a blank instead of the T
    without_zone.view("S1").reshape(len(without_zone), 23)[:, 10] = b" "
    texts[has_no_zone] = without_zone
    is_seconds = time_format == TimeFormat.SECONDS
    texts[is_seconds] = (milliseconds[is_seconds] // 1_000).astype("S20")
    is_milliseconds = time_format == TimeFormat.MILLISECONDS
    texts[is_milliseconds] = milliseconds[is_milliseconds].astype("S20")
    texts[corruption == Corruption.YEAR_2099] = b"2099-12-31T23:59:59.000Z"
    texts[corruption == Corruption.YEAR_1970] = b"1970-01-01T00:00:00.000Z"
    texts[corruption == Corruption.NO_TIME] = b"not a time"
    return _to_text(texts)


def _format_iso(milliseconds: Int64Array) -> npt.NDArray[np.bytes_]:
    """Format times as 'YYYY-MM-DDTHH:MM:SS.fff', 23 characters."""
    return np.datetime_as_string(milliseconds.astype("datetime64[ms]")).astype("S23")
