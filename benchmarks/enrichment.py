"""What enrichment reads from the user agents of a real site, and from all emoji of Unicode.

    .venv/bin/python benchmarks/enrichment.py

The agents are those of Deskdrop (../shared/data/deskdrop). A trait is unknown where ua-parser names none, or "Other".
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import emoji
import pandas as pd

from dawnlist.serving.collector.enrich.agents import AgentReader, AgentTraits
from dawnlist.serving.collector.enrich.emojis import find_emoji, name_emoji

DESKDROP = Path("../shared/data/deskdrop/users_interactions.csv.zip")
UNKNOWN = ("", "Other")
ROUNDS = 200


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DESKDROP)
    arguments = parser.parse_args()
    agents = pd.read_csv(arguments.data)["userAgent"].dropna().unique().tolist()
    print_agents(agents)
    print_emoji()


def print_agents(agents: list[str]) -> None:
    """Print how many agents lack each trait, and what reading one takes, new and remembered."""
    reader = AgentReader()
    reader.read_agents(["Mozilla/5.0"])  # loads the expressions
    seconds, traits = measure(lambda: reader.read_agents(agents))
    began = time.process_time()
    for _ in range(ROUNDS):
        reader.read_agents(agents)
    remembered_seconds = (time.process_time() - began) / ROUNDS
    unknown = count_unknown(list(traits.values()))
    print(f"agents of Deskdrop: {len(agents):,}; of these unknown: {unknown}")
    programs = sum(trait.is_program for trait in traits.values())
    print(f"agents that name a program: {programs}")
    print(
        f"microseconds an agent: {1e6 * seconds / len(agents):.0f} new, "
        f"{1e6 * remembered_seconds / len(agents):.2f} remembered"
    )


def measure(action: Callable[[], Any]) -> tuple[float, Any]:
    """Return the CPU seconds that an action took, and what it returned."""
    began = time.process_time()
    result = action()
    return time.process_time() - began, result


def count_unknown(traits: list[AgentTraits]) -> str:
    """Count the agents without each trait."""
    counts = []
    for name in ("device", "system", "app", "model"):
        values = [getattr(trait, name) for trait in traits]
        counts.append(f"{name} {sum(value in UNKNOWN for value in values)}")
    return ", ".join(counts)


def print_emoji() -> None:
    """Print how many emoji there are, how many forms they have, and which forms are not stable."""
    forms = {sequence: find_emoji(sequence) for sequence in emoji.EMOJI_DATA}
    unstable = [form for form in forms.values() if find_emoji(form) != form]
    nameless = [form for form in forms.values() if not name_emoji(form)]
    print(
        f"emoji of Unicode: {len(forms):,} in {len(set(forms.values())):,} forms; "
        f"unstable {len(unstable)}, without a name {len(nameless)}"
    )


if __name__ == "__main__":
    main()
