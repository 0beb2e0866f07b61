"""Measure the minutes from an empty environment to the first list of recommendations out of a user's PostgreSQL.

python benchmarks/first_list.py                 (needs the extra local and the package registry)

It fills an embedded PostgreSQL with a simulated shop, which is not counted. Then it does what docs/START.md tells a new
user to do, and prints the seconds of each step: install, run, recommend, and a predictor's first answer.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from clicks import server
from sqlalchemy import create_engine, text

ROOT: Final = Path(__file__).parents[1]
AS_OF: Final = "2026-01-01T00:00:00Z"
A_CUSTOMER: Final = text(
    "SELECT i.user_id FROM interactions i JOIN users u USING (user_id) "
    "WHERE u.role = 'customer' AND i.event = 'purchase' ORDER BY i.received_at DESC LIMIT 1"
)


def run_timed(step: str, command: Sequence[str | Path], folder: Path) -> float:
    """Run a command in a folder, print the seconds it took, and return them. Exit where it fails."""
    began = time.perf_counter()
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    seconds = time.perf_counter() - began
    if done.returncode:
        sys.exit(f"{step} failed:\n{done.stdout}{done.stderr}")
    print(f"{step:<10}{seconds:>7.1f} s", flush=True)
    return seconds


def find_customer(url: str) -> str:
    """The customer who bought something last."""
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    with engine.connect() as connection:
        return str(connection.execute(A_CUSTOMER).scalar_one())


def install_dawnlist(folder: Path) -> float:
    """Make an environment and install the package with pip, as docs/START.md says."""
    environment = folder / "env"
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    install: list[str | Path] = [environment / "bin" / "python", "-m", "pip", "install", "--quiet"]
    install.append(f"{ROOT}[local]")
    run_timed("packages", install, folder)
    return time.perf_counter() - began


def main() -> None:
    """Print the seconds of each step and the minutes of all."""
    own_command = Path(sys.executable).with_name("dawnlist")
    with tempfile.TemporaryDirectory(prefix="dawnlist-first-list-") as name, server() as url:
        folder = Path(name)
        run_timed("(shop)", [own_command, "simulate", "--out", url], folder)
        user = find_customer(url)
        total = install_dawnlist(folder)
        program = folder / "env" / "bin" / "dawnlist"
        run: list[str | Path] = [program, "run", "--local", "--source", url, "--as-of", AS_OF]
        total += run_timed("run", run, folder)
        total += run_timed("recommend", [program, "recommend", user], folder)
    print(f"minutes to first list: {total / 60:.1f}")


if __name__ == "__main__":
    main()
