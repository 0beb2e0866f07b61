"""The whole test suite, once for each of OpenBLAS's kernels that this CPU can execute; `make prove` runs it.

Kernels add numbers in different orders and so round differently: a test that passes with one may fail with another.
NumPy and SciPy bring an OpenBLAS each, which choose their kernels by the CPU, or by OPENBLAS_CORETYPE where it is set.
The first run is with the CPU's own kernel and has the long proofs (DAWNLIST_PROVE=1). The others are as in `make test`.

python benchmarks/kernels.py                                   (an hour or more)
python benchmarks/kernels.py tests/test_ials.py -x             (pytest's arguments)
"""

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Final

KERNELS: Final = {
    "Prescott": {"pni"},
    "Haswell": {"avx2", "fma"},
    "Zen": {"avx2", "fma"},
    "SkylakeX": {"avx512f", "avx512dq", "avx512bw", "avx512vl", "avx512cd"},
}
"""Name of a kernel, as in OPENBLAS_CORETYPE -> instruction sets that the CPU must have, as in /proc/cpuinfo."""
SHOW_TAKEN: Final = """
import numpy, scipy.linalg, threadpoolctl
found = [one for one in threadpoolctl.threadpool_info() if one["internal_api"] == "openblas"]
print(", ".join(sorted(f"{one['architecture']} of OpenBLAS {one['version']}" for one in found)))
"""


def main() -> None:
    """Run the suite with each kernel and print how each run ended. Exit with 1 where one failed."""
    arguments = sys.argv[1:]
    own = read_taken_kernels({})
    print(f"The CPU's own kernel is {own}.", flush=True)
    outcomes = {f"own kernel ({own})": run_suite({"DAWNLIST_PROVE": "1"}, arguments)}
    run_already = {own: "the CPU's own kernel"}
    for kernel, needed in KERNELS.items():
        missing = needed - read_instruction_sets()
        if missing:
            outcomes[kernel] = f"skipped: this CPU lacks {', '.join(sorted(missing))}"
            continue
        setting = {"OPENBLAS_CORETYPE": kernel}
        taken = read_taken_kernels(setting)
        if taken in run_already:
            outcomes[kernel] = f"not run again: it is {taken} here, like {run_already[taken]}"
            continue
        run_already[taken] = kernel
        print(f"\nOPENBLAS_CORETYPE={kernel}: {taken}", flush=True)
        outcomes[kernel] = run_suite(setting, ["-n", "2", "--dist", "loadfile", *arguments])
    print("\n" + "\n".join(f"{kernel}: {outcome}" for kernel, outcome in outcomes.items()))
    sys.exit(any(outcome.startswith("failed") for outcome in outcomes.values()))


def read_instruction_sets() -> set[str]:
    """The instruction sets of an x86-64 CPU; empty for other CPUs, for which OpenBLAS has other kernels."""
    if platform.machine() != "x86_64":
        return set()
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return set(next(line for line in lines if line.startswith("flags")).split())


def read_taken_kernels(setting: dict[str, str]) -> str:
    """Which kernels NumPy and SciPy take in a process with the setting.

    They take another one than the setting names where they are built without it: Haswell for Zen. OpenBLAS calls its
    kernel Prescott by the name Katmai.
    """
    command = [sys.executable, "-c", SHOW_TAKEN]
    return subprocess.run(
        command, env=environment(setting), check=True, text=True, capture_output=True
    ).stdout.strip()


def run_suite(setting: dict[str, str], arguments: list[str]) -> str:
    """Run pytest with the setting and say how it ended."""
    ended = subprocess.run([sys.executable, "-m", "pytest", *arguments], env=environment(setting))
    return "passed" if ended.returncode == 0 else f"failed: pytest exited with {ended.returncode}"


def environment(setting: dict[str, str]) -> dict[str, str]:
    """This process's environment with the setting and without the caller's choice of a kernel."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in ("OPENBLAS_CORETYPE", "DAWNLIST_PROVE")
    }
    return kept | setting


if __name__ == "__main__":
    main()
