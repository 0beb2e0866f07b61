"""Enrich accepted records: mood, device, and the mark of programs that say their name."""

from typing import Any

from dawnlist.serving.collector.acceptance import Record
from dawnlist.serving.collector.enrich.agents import NO_TRAITS, AgentReader, AgentTraits
from dawnlist.serving.collector.enrich.moods import MoodTable


class Enricher:
    """Enriches the records of one shop."""

    def __init__(self, moods: MoodTable) -> None:
        self._moods = moods
        self._agents = AgentReader()

    def read_agents(self, records: list[Record]) -> dict[str, AgentTraits]:
        """Read the user agents of a batch of records."""
        agents = [record["agent"] for record in records if record.get("agent")]
        return self._agents.read_agents(agents)

    def enrich(self, record: Record, agents: dict[str, AgentTraits]) -> None:
        """Add to a record what its mood and its user agent say.

        Args:
            record: The record, which is changed.
            agents: The traits of the batch's user agents.
        """
        if "mood" in record:
            _add_mood(record, self._moods)
        traits = agents.get(record.get("agent", ""), NO_TRAITS)
        _add_values(
            record,
            device=traits.device,
            device_model=traits.model,
            system=traits.system,
            app=traits.app,
            is_program=traits.is_program,
        )


def _add_mood(record: Record, moods: MoodTable) -> None:
    mood = moods.read_mood(record["mood"])
    record["mood"] = mood.name
    _add_values(record, emoji=mood.emoji)
    if mood.weight is not None:
        record["mood_weight"] = mood.weight


def _add_values(record: Record, **values: Any) -> None:
    """Add the values that are not empty."""
    for name, value in values.items():
        if value:
            record[name] = value
