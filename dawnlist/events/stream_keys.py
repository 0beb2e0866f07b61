"""The keys of the event streams in the store. All keys of a shop share a slot of a cluster.

dawnlist:{SHOP}:events      stream of accepted events; the field `e` of an entry is a record
                            (acceptance.py of the collector) as JSON
dawnlist:{SHOP}:enriched    stream of enriched records, which the firehose lands in the lake
dawnlist:{SHOP}:dead        stream of dead letters: the fields are `e`, the event, and `reason`
dawnlist:{SHOP}:shown       stream of what the predictor's answers showed
dawnlist:{SHOP}:seen:N      set of the digests of events that were accepted in a period N
dawnlist:{SHOP}:salt:DAY    random bytes that replace ids on one day where consent is missing
dawnlist:{SHOP}:alias:HASH  the user that an anonymous id belongs to
dawnlist:{SHOP}:visit:HASH  the current session of a person
"""

from datetime import date
from typing import Final

from dawnlist.store.layout import ShopKeys, hash_person

ENTRY_FIELD: Final = "e"
"""The field of a stream's entry that holds a record as JSON."""
REASON_FIELD: Final = "reason"
"""The field of a dead letter that says why the event was refused."""
WORKER_GROUP: Final = "enrich"
"""The consumer group of the workers, on the stream of accepted events."""


class EventKeys(ShopKeys):
    """The names of one shop's keys of events."""

    @property
    def accepted(self) -> str:
        """The stream of accepted events."""
        return self.build_control_key("events")

    @property
    def enriched(self) -> str:
        """The stream of enriched events."""
        return self.build_control_key("enriched")

    @property
    def dead(self) -> str:
        """The stream of dead letters."""
        return self.build_control_key("dead")

    @property
    def shown(self) -> str:
        """The stream of what answers showed."""
        return self.build_control_key("shown")

    def seen(self, period: int) -> str:
        """Return the key of the events that were accepted in a period."""
        return self.build_control_key(f"seen:{period}")

    def salt(self, day: date) -> str:
        """Return the key of a day's salt."""
        return self.build_control_key(f"salt:{day.isoformat()}")

    def alias(self, anonymous_id: str) -> str:
        """Return the key of the user that an anonymous id belongs to."""
        return self.build_control_key(f"alias:{hash_person(anonymous_id)}")

    def visit(self, person: str) -> str:
        """Return the key of a person's current session."""
        return self.build_control_key(f"visit:{hash_person(person)}")
