"""Change the code in one place at a time, and see whether the tests meant for that place notice.

    make mutants                                               a sample of each area
    python benchmarks/mutants.py --area auth --sample 0        every mutant of an area
    python benchmarks/mutants.py --module dawnlist/cuts.py     every mutant of a module

mutants.yaml lists the modules with their tests, and the mutants that change nothing. mutmut 3.8 has
no mutants outside functions, where most bounds are, and cosmic-ray 8.7 changes the working tree
itself and has one command for all tests; neither drops a guard or a call.
"""

import argparse
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from queue import SimpleQueue
from typing import Any, Final

import yaml
from mutations import Mutation, find_mutations

ROOT: Final = Path(__file__).parents[1]
COPIED_FOLDERS: Final = (
    "benchmarks", "components", "dawnlist", "docs", "manifests", "notebooks", "pipelines", "serving", "tests",
)  # fmt: skip
COPIED_FILES: Final = (
    "pyproject.toml",
    "setup.cfg",
    "Makefile",
    "Dockerfile",
    "mkdocs.yml",
    "README.md",
)
SPARE_SECONDS: Final = 90.0
"""How much longer than three times the unchanged code's tests those of a mutant may take."""


@dataclass(frozen=True)
class Mutant:
    """A mutation of a module, and the tests that should notice it."""

    area: str
    module: str
    mutation: Mutation
    line_number: int
    before: str
    after: str
    tests: tuple[str, ...]

    def __str__(self) -> str:
        """Describe the place and the change."""
        return f"{self.module}:{self.line_number}\n  - {self.before}\n  + {self.after}"


def list_mutants(areas: dict[str, list[dict[str, Any]]]) -> list[Mutant]:
    """List the mutants of all modules."""
    mutants = []
    for area, groups in areas.items():
        for group in groups:
            for module in group["modules"]:
                source = (ROOT / module).read_bytes()
                for mutation in find_mutations(source):
                    before, after = mutation.describe_lines(source)
                    number = mutation.find_line_number(source)
                    tests = tuple(group["tests"])
                    mutants.append(Mutant(area, module, mutation, number, before, after, tests))
    return mutants


def copy_tree(folder: Path) -> Path:
    """Copy the code and the tests to where a mutant can be written."""
    tree = folder / "tree"
    tree.mkdir(parents=True)
    for name in COPIED_FOLDERS:
        shutil.copytree(ROOT / name, tree / name, symlinks=True)
    for name in COPIED_FILES:
        shutil.copy2(ROOT / name, tree / name)
    (folder / "shared").symlink_to(ROOT.parent / "shared")
    (tree / ".venv").symlink_to(Path(sys.prefix))
    return tree


class TestProcess:
    """A process that runs tests in a copy of the project."""

    def __init__(self, tree: Path) -> None:
        self.tree = tree
        self.process = subprocess.Popen(
            [sys.executable, str(ROOT / "benchmarks" / "mutant_tests.py"), str(tree)],
            env={**os.environ, "PYTHONPATH": str(tree)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, tests: tuple[str, ...], limit: float) -> int | None:
        """Run tests until the first fails; return pytest's exit code, or None after the limit."""
        assert self.process.stdin is not None and self.process.stdout is not None
        request = json.dumps({"tests": tests, "limit": limit})
        self.process.stdin.write(f"{request}\n")
        self.process.stdin.flush()
        code: int | None = json.loads(self.process.stdout.readline())
        return code

    def read_output(self) -> str:
        """Return the end of what the last tests printed."""
        return (self.tree.parent / "output").read_text(errors="replace")[-4000:]

    def close(self) -> None:
        """End the process."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        self.process.wait()


def write_module(tree: Path, module: str, source: bytes) -> None:
    """Write a module's source, and delete its bytecode, which is compared by seconds and size."""
    path = tree / module
    path.write_bytes(source)
    for cached in (path.parent / "__pycache__").glob(f"{path.stem}.*"):
        cached.unlink()


def measure_limits(process: TestProcess, mutants: list[Mutant]) -> dict[tuple[str, ...], float]:
    """Run the tests on the unchanged code, and return how long those of a mutant may take."""
    limits = {}
    for tests in dict.fromkeys(mutant.tests for mutant in mutants):
        started = time.monotonic()
        if process.run(tests, 3_600.0) != 0:
            raise RuntimeError(f"{tests} fail on the unchanged code:\n{process.read_output()}")
        limits[tests] = 3 * (time.monotonic() - started) + SPARE_SECONDS
    return limits


def judge_mutants(
    mutants: list[Mutant], processes: list[TestProcess]
) -> Iterator[tuple[Mutant, bool]]:
    """Yield each mutant, and whether its tests notice it."""
    limits = measure_limits(processes[0], mutants)
    free_processes: SimpleQueue[TestProcess] = SimpleQueue()
    for process in processes:
        free_processes.put(process)

    def judge(mutant: Mutant) -> tuple[Mutant, bool]:
        process = free_processes.get()
        source = (process.tree / mutant.module).read_bytes()
        write_module(process.tree, mutant.module, mutant.mutation.apply(source))
        try:
            return mutant, process.run(mutant.tests, limits[mutant.tests]) != 0
        finally:
            write_module(process.tree, mutant.module, source)
            free_processes.put(process)

    with ThreadPoolExecutor(len(processes)) as pool:
        yield from pool.map(judge, mutants)


def print_scores(areas: list[str], sampled: list[Mutant], survivors: list[Mutant]) -> None:
    """Print how many of each area's mutants were noticed."""
    print(f"{'area':<12}{'mutants':>9}{'noticed':>9}{'score':>8}")
    for area in [*areas, "all"]:
        total = sum(area in (mutant.area, "all") for mutant in sampled)
        noticed = total - sum(area in (mutant.area, "all") for mutant in survivors)
        if total:
            print(f"{area:<12}{total:>9}{noticed:>9}{noticed / total:>8.0%}")


def main() -> None:
    """Run a sample of mutants, print those that no test notices, and the score of each area."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--area", action="append", help="only this area")
    parser.add_argument("--module", action="append", help="only this module, all of its mutants")
    parser.add_argument("--sample", type=int, default=20, help="mutants of an area; 0: all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--list", action="store_true", help="print the mutants, and run nothing")
    options = parser.parse_args()
    document = yaml.safe_load((ROOT / "benchmarks" / "mutants.yaml").read_text())
    equivalent = {(row["module"], row["before"], row["after"]) for row in document["equivalent"]}
    sampled = []
    excluded = 0
    for area in document["areas"]:
        if options.area and area not in options.area:
            continue
        mutants = list_mutants({area: document["areas"][area]})
        if options.module:
            mutants = [mutant for mutant in mutants if mutant.module in options.module]
        elif options.sample:
            generator = random.Random(f"{options.seed} {area}")
            mutants = generator.sample(mutants, min(options.sample, len(mutants)))
        for mutant in mutants:
            if (mutant.module, mutant.before, mutant.after) in equivalent:
                excluded += 1
            else:
                sampled.append(mutant)
    if options.list:
        print("\n".join(map(str, sampled)))
        print(f"{len(sampled)} mutants")
        return
    survivors = []
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        trees = [copy_tree(Path(folder) / str(number)) for number in range(options.workers)]
        processes = [TestProcess(tree) for tree in trees]
        for mutant, is_noticed in judge_mutants(sampled, processes):
            if not is_noticed:
                survivors.append(mutant)
                print(f"SURVIVED {mutant}", flush=True)
        for process in processes:
            process.close()
    print(
        f"\nseed {options.seed}; {excluded} sampled mutants that change nothing are not counted\n"
    )
    print_scores(list(document["areas"]), sampled, survivors)


if __name__ == "__main__":
    main()
