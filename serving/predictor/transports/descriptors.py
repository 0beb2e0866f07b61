"""Make sure that there are file descriptors for all connections.

Without descriptors the system resets new connections, and nobody is told.
"""

import resource
from collections.abc import Callable

from dawnlist.serving.predictor.transports.limits import (
    MAX_CONNECTIONS,
    MAX_GRPC_CONNECTIONS,
    MIN_CONNECTIONS,
    RESERVED_DESCRIPTORS,
)

DescriptorLimits = tuple[int, int]
"""The soft and the hard limit; RLIM_INFINITY, which is negative, stands for no limit."""


def reserve_descriptors(has_grpc: bool) -> int:
    """Raise this process's limit of file descriptors, and return how many HTTP connections fit.

    Raises:
        ValueError: there is no room for MIN_CONNECTIONS.
    """
    descriptors = _raise_soft_limit(
        count_needed_descriptors(MAX_CONNECTIONS, has_grpc),
        resource.getrlimit(resource.RLIMIT_NOFILE),
        lambda limits: resource.setrlimit(resource.RLIMIT_NOFILE, limits),
    )
    return fit_connections(descriptors, has_grpc)


def count_needed_descriptors(connections: int, has_grpc: bool) -> int:
    """Return how many descriptors the process needs for so many HTTP connections.

    Each may be closing while another one takes its place.
    """
    needed = RESERVED_DESCRIPTORS + 2 * connections
    if has_grpc:
        needed += 2 * MAX_GRPC_CONNECTIONS
    return needed


def fit_connections(descriptors: int, has_grpc: bool) -> int:
    """Return how many HTTP connections fit into so many descriptors, at most MAX_CONNECTIONS.

    Raises:
        ValueError: there is no room for MIN_CONNECTIONS.
    """
    connections = (descriptors - count_needed_descriptors(0, has_grpc)) // 2
    if connections < MIN_CONNECTIONS:
        raise ValueError(
            f"this process may open {descriptors} files, which leaves room for fewer than "
            f"{MIN_CONNECTIONS} connections: {_advise_limit(has_grpc)}"
        )
    return min(MAX_CONNECTIONS, connections)


def describe_few_descriptors(connections: int, has_grpc: bool) -> str:
    """Say that there is room for fewer than MAX_CONNECTIONS, and what to do."""
    return (
        f"this process may open few files, so there is room for {connections} connections "
        f"instead of {MAX_CONNECTIONS}: {_advise_limit(has_grpc)}"
    )


def _advise_limit(has_grpc: bool) -> str:
    """Return the command that makes room for all connections."""
    return (
        f"raise the hard limit, `ulimit -n {count_needed_descriptors(MAX_CONNECTIONS, has_grpc)}`"
    )


def _raise_soft_limit(
    needed: int, limits: DescriptorLimits, set_limits: Callable[[DescriptorLimits], None]
) -> int:
    """Raise the soft limit to what is needed, if the hard limit allows it; return the new one."""
    soft, hard = limits
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return needed
    raised = needed
    if hard != resource.RLIM_INFINITY:
        raised = min(needed, hard)
    if raised > soft:
        set_limits((raised, hard))
    return raised
