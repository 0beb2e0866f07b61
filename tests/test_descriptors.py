"""File descriptors: the limit is raised, or there are fewer connections, and it is said."""

import resource
from collections.abc import Iterator

import pytest

from dawnlist.serving.predictor.transports.descriptors import (
    _raise_soft_limit,
    count_needed_descriptors,
    fit_connections,
    reserve_descriptors,
)
from dawnlist.serving.predictor.transports.limits import (
    MAX_CONNECTIONS,
    MAX_GRPC_CONNECTIONS,
    MIN_CONNECTIONS,
    RESERVED_DESCRIPTORS,
)

NO_LIMIT = resource.RLIM_INFINITY


@pytest.mark.parametrize(
    ("limits", "descriptors", "set_limits"),
    [
        ((99, 1_000), 100, [(100, 1_000)]),
        ((99, NO_LIMIT), 100, [(100, NO_LIMIT)]),
        ((50, 60), 60, [(60, 60)]),
        ((60, 60), 60, []),
        ((100, 1_000), 100, []),
        ((101, 1_000), 100, []),
        ((NO_LIMIT, NO_LIMIT), 100, []),
    ],
    ids=[
        "raised",
        "no hard limit",
        "raised to the hard limit",
        "at it",
        "enough",
        "more",
        "no limit",
    ],
)
def test_the_soft_limit_is_raised_as_far_as_it_goes(
    limits: tuple[int, int], descriptors: int, set_limits: list[tuple[int, int]]
) -> None:
    calls: list[tuple[int, int]] = []
    assert min(_raise_soft_limit(100, limits, calls.append), 100) == descriptors
    assert calls == set_limits


@pytest.mark.parametrize(
    ("descriptors", "has_grpc", "connections"),
    [
        (RESERVED_DESCRIPTORS + 2 * MIN_CONNECTIONS, False, MIN_CONNECTIONS),
        (RESERVED_DESCRIPTORS + 2 * MAX_CONNECTIONS - 1, False, MAX_CONNECTIONS - 1),
        (RESERVED_DESCRIPTORS + 2 * MAX_CONNECTIONS, False, MAX_CONNECTIONS),
        (RESERVED_DESCRIPTORS + 2 * MAX_CONNECTIONS + 2, False, MAX_CONNECTIONS),
        (RESERVED_DESCRIPTORS + 2 * (MAX_GRPC_CONNECTIONS + 100), True, 100),
    ],
)
def test_connections_fit_into_the_descriptors(
    descriptors: int, has_grpc: bool, connections: int
) -> None:
    assert fit_connections(descriptors, has_grpc) == connections
    if connections < MAX_CONNECTIONS and descriptors % 2 == 0:
        assert count_needed_descriptors(connections, has_grpc) == descriptors


def test_a_process_with_too_few_descriptors_does_not_start() -> None:
    too_few = RESERVED_DESCRIPTORS + 2 * MIN_CONNECTIONS - 1
    with pytest.raises(ValueError, match=rf"may open {too_few} files, .* `ulimit -n 4064`"):
        fit_connections(too_few, has_grpc=False)
    with pytest.raises(ValueError, match="room for fewer than 16 connections"):
        fit_connections(RESERVED_DESCRIPTORS + 2 * MAX_GRPC_CONNECTIONS, has_grpc=True)


@pytest.fixture
def soft_limit() -> Iterator[None]:
    """Give the limit back as it was."""
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, limits)


def test_this_process_raises_its_own_limit(soft_limit: None) -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    connections = reserve_descriptors(has_grpc=False)
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert soft > 256
    assert connections == fit_connections(soft, has_grpc=False)
