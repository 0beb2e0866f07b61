"""The keys of the event streams in the store. All keys of a shop share a slot of a cluster.

dawnlist:{SHOP}:events      stream of accepted events; the field `e` of an entry is a record
                            (event_records.py) as JSON
dawnlist:{SHOP}:enriched    stream of enriched records, which the firehose lands in the lake
dawnlist:{SHOP}:dead        stream of dead letters: the fields are `e`, the event, and `reason`
dawnlist:{SHOP}:shown       stream of what the predictor's answers showed
dawnlist:{SHOP}:seen:N      set of the digests of events that were accepted in a period N
dawnlist:{SHOP}:salt:DAY    random bytes that replace ids on one day where consent is missing
dawnlist:{SHOP}:alias:HASH  the user that an anonymous id belongs to
dawnlist:{SHOP}:visit:HASH  the current session of a person
"""

import hashlib
from dataclasses import dataclass
from datetime import date
from typing import Final

from dawnlist.namespace import check_namespace

ENTRY_FIELD: Final = "e"
"""The field of a stream's entry that holds a record as JSON."""
REASON_FIELD: Final = "reason"
"""The field of a dead letter that says why the event was refused."""
WORKER_GROUP: Final = "enrich"
"""The consumer group of the workers, on the stream of accepted events."""


@dataclass(frozen=True)
class EventKeys:
    """The names of one shop's keys.

    Raises:
        ValueError: the namespace is not usable in keys.
    """

    namespace: str

    def __post_init__(self) -> None:
        check_namespace(self.namespace)

    @property
    def accepted(self) -> str:
        """The stream of accepted events."""
        return self._build_key("events")

    @property
    def enriched(self) -> str:
        """The stream of enriched events."""
        return self._build_key("enriched")

    @property
    def dead(self) -> str:
        """The stream of dead letters."""
        return self._build_key("dead")

    @property
    def shown(self) -> str:
        """The stream of what answers showed."""
        return self._build_key("shown")

    def seen(self, period: int) -> str:
        """Return the key of the events that were accepted in a period."""
        return self._build_key(f"seen:{period}")

    def salt(self, day: date) -> str:
        """Return the key of a day's salt."""
        return self._build_key(f"salt:{day.isoformat()}")

    def alias(self, anonymous_id: str) -> str:
        """Return the key of the user that an anonymous id belongs to."""
        return self._build_key(f"alias:{_hash_id(anonymous_id)}")

    def visit(self, person: str) -> str:
        """Return the key of a person's current session."""
        return self._build_key(f"visit:{_hash_id(person)}")

    def _build_key(self, name: str) -> str:
        return f"dawnlist:{{{self.namespace}}}:{name}"


def _hash_id(person: str) -> str:
    """Return 32 hex digits in place of an id, so that no id is in a key."""
    return hashlib.blake2b(person.encode(), digest_size=16).hexdigest()
