"""Check the free memory before a large piece of work, instead of being killed during it."""

from pathlib import Path
from typing import Final

from dawnlist.machine.cgroups import read_free_memory

_UNLIMITED: Final = 1 << 62
"""The free memory where neither the machine nor a container says how much it has."""


def measure_free_memory() -> int:
    """Measure how many bytes this process may still use.

    The lower of two numbers counts: the machine's free memory, and what the container's limit
    leaves."""
    free_bytes = read_free_memory()
    machine_bytes = _read_machine_memory()
    if machine_bytes is not None:
        free_bytes.append(machine_bytes)
    return min(free_bytes, default=_UNLIMITED)


def require_memory(needed: int, purpose: str, available: int | None = None) -> None:
    """Check that a piece of work fits into memory.

    Args:
        needed: The bytes that it needs.
        purpose: What needs them, for the message.
        available: The free bytes of another device; None for this machine's free memory.

    Raises:
        MemoryError: There is too little memory.
    """
    if available is None:
        available = measure_free_memory()
    if needed > available:
        raise MemoryError(
            f"{purpose} need {_format_gigabytes(needed)}, "
            f"and {_format_gigabytes(available)} are free: give the step more memory, "
            "or fewer factors, a shorter window_days or a smaller grid"
        )


def _format_gigabytes(count: int) -> str:
    return f"{count / 1e9:,.2f} GB"


def _read_machine_memory() -> int | None:
    """Read the free memory of the machine in bytes; None where Linux's file is missing."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024
    return None
