"""Memory that is left, asked before a large piece of work rather than found out by being killed."""

from pathlib import Path

_CGROUP_FILES = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current"), "inactive_file"),
    (
        Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
        Path("/sys/fs/cgroup/memory/memory.usage_in_bytes"),
        "total_inactive_file",
    ),
)


def measure_free_memory() -> int:
    """Bytes that this process may still use: the container's limit or the machine's, whichever is nearer."""
    left = [_read_machine_memory(), *(_read_container_memory(*files) for files in _CGROUP_FILES)]
    return min((found for found in left if found is not None), default=1 << 62)


def require_memory(needed: int, what: str, left: int | None = None) -> None:
    """MemoryError in one line when `needed` bytes for `what` are more than is left, here or on another device."""
    left = measure_free_memory() if left is None else left
    if needed > left:
        raise MemoryError(
            f"{what} need {_format_gigabytes(needed)}, and {_format_gigabytes(left)} are free: give the step more memory, "
            "or fewer factors, a shorter window_days or a smaller grid"
        )


def _format_gigabytes(count: int) -> str:
    return f"{count / 1e9:,.2f} GB"


def _read_machine_memory() -> int | None:
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    found = [line.split()[1] for line in lines if line.startswith("MemAvailable:")]
    return int(found[0]) * 1024 if found else None


def _read_container_memory(limit: Path, used: Path, cached: str) -> int | None:
    """The limit less what is used; pages of files that can be dropped count as free."""
    try:
        most = limit.read_text().strip()
        if not most.isdigit():
            return None
        statistics = dict(
            line.split() for line in (limit.parent / "memory.stat").read_text().splitlines()
        )
        return int(most) - int(used.read_text()) + int(statistics.get(cached, 0))
    except OSError:
        return None
