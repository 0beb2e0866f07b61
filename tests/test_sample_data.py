"""The job of manifests/components/sample-data, as it stands, against an S3 emulator; then a run's first steps on it."""

import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from dawnlist.components.clean.cleaning import clean_landed_objects
from dawnlist.components.fetch.landing import fetch_source
from dawnlist.lake.lake import Lake
from dawnlist.lake.object_stores import open_object_store
from dawnlist.settings import Settings
from tests.support.rendered import Tree, one, rendered

LAKE = "s3://mlpipeline/dawnlist"
SAMPLE = f"{LAKE}-sample"


@pytest.fixture
def bucket(s3: str, s3_root: str) -> str:
    """KFP's bucket on the S3 emulator, whose address and keys are in the environment."""
    httpx.put(f"{s3}/mlpipeline").raise_for_status()
    return SAMPLE


def run_job() -> "subprocess.CompletedProcess[str]":
    """Run the command of the job's container, with the values of the overlay's config maps."""
    trees = rendered("local", "sample-data")
    [container] = one(trees, "Job", "dawnlist-sample-data")["spec"]["template"]["spec"][
        "containers"
    ]
    values = read_config_maps(trees, container)
    arguments = []
    for argument in container["args"]:
        arguments.append(re.sub(r"\$\((\w+)\)", lambda name: values[name[1]], argument))
    program, command = container["command"]
    assert program == "dawnlist"
    return subprocess.run(
        [sys.executable, "-m", "dawnlist.pipelines.cli", command, *arguments],
        capture_output=True, text=True, check=False, env={**values, **os.environ},
    )  # fmt: skip


def read_config_maps(trees: list[Tree], container: Tree) -> dict[str, str]:
    values: dict[str, str] = {}
    for source in container["envFrom"]:
        values |= one(trees, "ConfigMap", source["configMapRef"]["name"])["data"]
    return values


def test_the_first_run_needs_no_database(bucket: str) -> None:
    first = run_job()
    assert first.returncode == 0, first.stderr
    assert f"interactions of 60 days in {SAMPLE}" in first.stdout
    names = sorted(stored.name for stored in open_object_store(SAMPLE).walk("interactions"))
    yesterday = datetime.now(UTC).date() - timedelta(days=1)
    assert len(names) == 60 and names[-1] == f"interactions/{yesterday}.csv"
    second = run_job()
    assert second.returncode == 0, second.stderr
    assert second.stdout.splitlines()[-1].startswith(f"nothing is written: {SAMPLE} holds a shop")

    lake, moment = Lake.open(LAKE, "default"), datetime.now(UTC)
    landed = fetch_source(lake, SAMPLE, Settings().source, moment, "run-1", window_days=365)
    assert landed["rows"]["interactions"] > 50_000
    assert (landed["rows"]["items"], landed["rows"]["users"]) > (500, 1_900)
    report = clean_landed_objects(lake, landed, Settings(), moment, "run-1")
    assert report["clean"] > 0.9 * landed["rows"]["interactions"]
    assert len(report["days"]) >= 60
