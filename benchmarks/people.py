"""How many events of people the bot filter loses on real data, all rules at their defaults.

`python benchmarks/people.py` judges each data set of ../shared/data as `dawnlist bots judge` does,
and prints what the behaviour rule would drop, whether it went into shadow or not. Nobody knows of
a machine in these data sets, so every event that the rule would drop counts as lost.
"""

import argparse
import tempfile
import zipfile
from pathlib import Path
from typing import Any

from dawnlist.pipelines.bots.file_judging import judge_file
from dawnlist.settings import Settings

DATA = Path(__file__).resolve().parents[1] / "../shared/data"
EXAMPLES = Path(__file__).resolve().parents[1] / "docs/examples"
DATA_SETS = {
    "movietweetings": (None, "movietweetings", ""),
    "online-retail": ("online-retail/by-day.zip", "by-day", "online-retail.yaml"),
    "deskdrop": ("deskdrop/users_interactions.csv.zip", "users_interactions.csv", "deskdrop.yaml"),
}
"""Name -> archive or None, the source in it, settings among the examples."""
HEADER = (
    "data",
    "users",
    "judged by behaviour",
    "with a sign",
    "with a proof",
    "dropped",
    "events lost",
    "share",
    "mute signs",
)


def locate(name: str, folder: str) -> tuple[str, Settings]:
    """Unpack a data set if it is packed, and return the source and its settings."""
    archive, source, example = DATA_SETS[name]
    settings = Settings.load(str(EXAMPLES / example)) if example else Settings()
    if archive is None:
        return str(DATA / source), settings
    with zipfile.ZipFile(DATA / archive) as packed:
        packed.extractall(folder)
    return str(Path(folder) / source), settings


def count_people(file: str, settings: Settings) -> list[str]:
    """Judge a file and return the cells of its row."""
    with judge_file(file, settings, assets=False) as judged:
        [rule] = [row for row in judged.report["rules"] if row["rule"] == "behaviour"]
        counts: tuple[Any, ...] = judged.connection.execute(
            "SELECT (SELECT count(DISTINCT user_id) FROM judged_days), count(DISTINCT user_id), "
            "count(DISTINCT user_id) FILTER (is_proof) FROM signs"
        ).fetchall()[0]
        mute_signs = sum(sign["mute"] is not None for sign in judged.report["signs"])
        numbers = [judged.report["users"], *counts, rule["users"], rule["events"]]
        texts = [f"{number:,}" for number in numbers]
        return [*texts, f"{rule['share']:.2%}", f"{mute_signs} of {len(judged.report['signs'])}"]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(DATA_SETS), metavar="data set")
    parser.add_argument("--file", help="another file, folder or mapping file to judge")
    parser.add_argument("--settings", default="", help="the settings of that file")
    arguments = parser.parse_args()
    print(f"| {' | '.join(HEADER)} |\n|---|{'---:|' * (len(HEADER) - 1)}")
    if arguments.file:
        cells = count_people(arguments.file, Settings.load(arguments.settings))
        print(f"| {arguments.file} | {' | '.join(cells)} |")
        return
    for name in arguments.names:
        with tempfile.TemporaryDirectory(prefix="people-") as folder:
            print(f"| {name} | {' | '.join(count_people(*locate(name, folder)))} |", flush=True)


if __name__ == "__main__":
    main()
