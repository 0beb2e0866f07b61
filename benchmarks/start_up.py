"""Measure `dawnlist --help`, and `make demo` against another checkout in one run.

python benchmarks/start_up.py                        seconds of --help
python benchmarks/start_up.py --against CHECKOUT     also the demo here and there in turn, and the ratio

Both checkouts need their environment (`make .venv/user`). The demo's seconds are those of its run, without set-up.
"""

import argparse
import re
import subprocess
import sys
import time
from pathlib import Path
from statistics import median
from typing import Final

HELP_RUNS: Final = 9
DEMO_ROUNDS: Final = 2


def time_help() -> float:
    """The seconds of `dawnlist --help`, as the median of several runs."""
    program = Path(sys.executable).with_name("dawnlist")
    seconds = []
    for _ in range(HELP_RUNS):
        began = time.perf_counter()
        subprocess.run([program, "--help"], check=True, stdout=subprocess.DEVNULL)
        seconds.append(time.perf_counter() - began)
    return median(seconds)


def time_demo(checkout: Path) -> float:
    """The seconds of the pipeline's run in a checkout's demo, as the demo prints them."""
    python = checkout / ".venv" / "bin" / "python"
    command = [str(python), "benchmarks/demo.py"]
    demo = subprocess.run(command, cwd=checkout, check=True, capture_output=True, text=True)
    match = re.search(r"^([\d.]+) s in all", demo.stdout, re.MULTILINE)
    if match is None:
        sys.exit(f"the demo in {checkout} printed no seconds:\n{demo.stdout[-2000:]}")
    return float(match[1])


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--against", type=Path)
    other = parser.parse_args().against
    print(f"dawnlist --help   {time_help():.2f} s")
    if other is None:
        return
    here = Path(__file__).parents[1]
    own_seconds, other_seconds = [], []
    for _ in range(DEMO_ROUNDS):
        other_seconds.append(time_demo(other.resolve()))
        own_seconds.append(time_demo(here))
    print(f"demo there        {min(other_seconds):.1f} s of {other_seconds}")
    print(f"demo here         {min(own_seconds):.1f} s of {own_seconds}")
    print(f"ratio             {min(own_seconds) / min(other_seconds):.2f}")


if __name__ == "__main__":
    main()
