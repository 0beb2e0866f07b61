"""Read user agents: kind of device, operating system, app; and whether a program says its name."""

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import ua_parser

from dawnlist.rows.device_kinds import classify_device
from dawnlist.rows.user_agents import classify_user_agents

CACHED_AGENTS: Final = 20_000


@dataclass(frozen=True, slots=True)
class AgentTraits:
    """What a user agent says; empty texts for what it does not say."""

    device: str = ""
    """tablet, mobile or desktop."""
    model: str = ""
    """The device's model, such as iPhone or Samsung SM-G991B."""
    system: str = ""
    """The operating system, such as Android."""
    app: str = ""
    """The browser or app, such as Chrome Mobile."""
    is_program: bool = False
    """Whether it names itself as a crawler or another program. Such events are kept and marked."""


NO_TRAITS: Final = AgentTraits()


class AgentReader:
    """Reads user agents and remembers them, as few agents make most of the events."""

    def __init__(self) -> None:
        self._traits: OrderedDict[str, AgentTraits] = OrderedDict()

    def read_agents(self, agents: Iterable[str]) -> dict[str, AgentTraits]:
        """Return the traits of each agent. New ones are searched for programs' names together."""
        traits = {}
        new_agents = []
        for agent in dict.fromkeys(agents):
            known_traits = self._traits.get(agent)
            if known_traits is None:
                new_agents.append(agent)
            else:
                self._traits.move_to_end(agent)
                traits[agent] = known_traits
        for agent, new_traits in zip(new_agents, _read_new_agents(new_agents), strict=True):
            traits[agent] = self._traits[agent] = new_traits
        while len(self._traits) > CACHED_AGENTS:
            self._traits.popitem(last=False)
        return traits


def _read_new_agents(agents: list[str]) -> list[AgentTraits]:
    if not agents:
        return []
    rules = classify_user_agents(pa.chunked_array([agents]), []).to_pylist()
    traits = []
    for agent, rule in zip(agents, rules, strict=True):
        parsed = ua_parser.parse(agent)
        agent_traits = AgentTraits(
            device=classify_device(agent),
            model=_get_family(parsed.device),
            system=_get_family(parsed.os),
            app=_get_family(parsed.user_agent),
            is_program=rule is not None,
        )
        traits.append(agent_traits)
    return traits


def _get_family(part: ua_parser.OS | ua_parser.Device | ua_parser.UserAgent | None) -> str:
    if part is None:
        return ""
    return part.family
