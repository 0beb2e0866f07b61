"""Which version `submit` and `schedule` run, what it says of itself, and whose values it has."""

import urllib.parse
from pathlib import Path
from typing import Any

import pytest
import yaml

from dawnlist.pipelines.kubeflow.descriptions import describe_pipeline, describe_version
from dawnlist.pipelines.kubeflow.parameters import read_spec
from dawnlist.pipelines.package import write_package
from dawnlist.pipelines.placement import Placement
from tests.support.kfp_api import Done, Kubeflow, dawnlist

SHOP_FILE = """
shop:
  name: books
  source: postgresql://dawn@db/books
  lake: s3://bucket/lake
  store: redis://store:6379/0
"""
BOOKS = {
    "shop": "books",
    "shop_source": "postgresql://dawn@db/books",
    "shop_lake": "s3://bucket/lake",
    "shop_store": "redis://store:6379/0",
    "shop_settings": "/settings/settings.yaml",
}


@pytest.fixture
def shop_file(tmp_path: Path) -> str:
    path = tmp_path / "settings.yaml"
    path.write_text(SHOP_FILE)
    return str(path)


def submit(kubeflow: Kubeflow, shop_file: str, *words: str) -> Done:
    return dawnlist("submit", "--host", kubeflow.url, "--shop", shop_file, "--detach", *words)


def read_version(kubeflow: Kubeflow, entry: dict[str, Any]) -> str:
    """The name of the version that a run or a recurring run runs."""
    wanted = entry["pipeline_version_reference"]["pipeline_version_id"]
    [name] = [
        version["display_name"]
        for version in kubeflow.versions
        if version["pipeline_version_id"] == wanted
    ]
    return str(name)


def test_a_trial_on_gpu_nodes_is_nobody_elses_newest_version(
    kubeflow: Kubeflow, shop_file: str
) -> None:
    assert submit(kubeflow, shop_file, "--image", "i:1").code == 0
    assert submit(kubeflow, shop_file, "--nodes", "gpu", "--image", "i:gpu").code == 0
    done = submit(kubeflow, shop_file)
    cpu, gpu = (version["display_name"] for version in kubeflow.versions)
    assert [read_version(kubeflow, run) for run in kubeflow.runs] == [cpu, gpu, cpu]
    assert done.out.startswith(f"version {cpu}: the newest uploaded version for cpu nodes\n")


def test_a_shop_stays_on_the_nodes_of_its_schedule(kubeflow: Kubeflow, shop_file: str) -> None:
    schedule = ("schedule", "0 3 * * *", "--host", kubeflow.url, "--shop", shop_file)
    assert dawnlist(*schedule, "--nodes", "gpu", "--image", "i:gpu").code == 0
    assert submit(kubeflow, shop_file, "--image", "i:1").code == 0
    assert submit(kubeflow, shop_file).code == 0
    assert dawnlist(*schedule).out.splitlines()[1] == "dawnlist-daily-books: unchanged"
    gpu, cpu = (version["display_name"] for version in kubeflow.versions)
    assert [read_version(kubeflow, run) for run in kubeflow.runs] == [cpu, gpu]
    # another shop has no schedule
    done = submit(kubeflow, shop_file, "--namespace", "toys", "--source", "s")
    assert done.out.startswith(f"version {cpu}: the newest uploaded version for cpu nodes\n")


def test_a_schedule_whose_version_is_gone_counts_for_nothing(
    kubeflow: Kubeflow, shop_file: str
) -> None:
    schedule = ("schedule", "0 3 * * *", "--host", kubeflow.url, "--shop", shop_file)
    assert dawnlist(*schedule, "--nodes", "gpu").code == 0
    kubeflow.versions.clear()
    assert submit(kubeflow, shop_file, "--nodes", "gpu", "--image", "i:2").code == 0
    assert submit(kubeflow, shop_file, "--image", "i:1").code == 0
    assert submit(kubeflow, shop_file).out.splitlines()[0].endswith("for cpu nodes")


def test_with_versions_for_gpu_nodes_only_one_of_them_runs(
    kubeflow: Kubeflow, shop_file: str
) -> None:
    assert submit(kubeflow, shop_file, "--nodes", "gpu").code == 0
    done = submit(kubeflow, shop_file)
    assert done.out.splitlines()[0].endswith(": the newest uploaded version for gpu nodes")
    assert len(kubeflow.versions) == 1 and len(kubeflow.runs) == 2


def test_versions_are_looked_through_page_by_page(kubeflow: Kubeflow, shop_file: str) -> None:
    kubeflow.page = 1
    assert submit(kubeflow, shop_file, "--image", "i:1").code == 0
    for number in (1, 2):
        assert submit(kubeflow, shop_file, "--nodes", "gpu", "--image", f"i:gpu-{number}").code == 0
    assert submit(kubeflow, shop_file).code == 0
    cpu = kubeflow.versions[0]["display_name"]
    assert read_version(kubeflow, kubeflow.runs[-1]) == cpu


def test_a_version_of_an_older_release_is_named_as_such(
    kubeflow: Kubeflow, package: Path, shop_file: str
) -> None:
    kubeflow.install(package)
    spec = kubeflow.versions[0]["pipeline_spec"]["pipeline_spec"]
    parameters = spec["root"]["inputDefinitions"]["parameters"]
    kept = parameters.pop("shop")
    try:
        done = submit(kubeflow, shop_file)
    finally:
        parameters["shop"] = kept  # the parsed package is shared
    assert "compiled by an older release, whose parameters had other names" in done.err


def test_what_submit_compiles_has_the_shop_as_defaults(kubeflow: Kubeflow, shop_file: str) -> None:
    assert submit(kubeflow, shop_file, "--image", "i:1").code == 0
    [version], [run] = kubeflow.versions, kubeflow.runs
    assert run["runtime_config"]["parameters"] == BOOKS
    declared = version["pipeline_spec"]["pipeline_spec"]["root"]["inputDefinitions"]["parameters"]
    assert {name: declared[name]["defaultValue"] for name in BOOKS} == BOOKS
    # so the shop need not be said again, and a run from the UI needs no input
    again = dawnlist("submit", "--host", kubeflow.url, "--namespace", "books", "--detach")
    assert again.code == 0
    assert kubeflow.runs[1]["runtime_config"]["parameters"] == BOOKS


def test_the_shop_of_a_version_is_no_other_shops(kubeflow: Kubeflow, shop_file: str) -> None:
    assert submit(kubeflow, shop_file, "--image", "i:1", "--settings", "s3://b/s.yaml").code == 0
    other = ("submit", "--host", kubeflow.url, "--namespace", "toys", "--detach")
    done = dawnlist(*other)
    assert done.err == (
        "dawnlist: the pipeline needs a value for shop_lake, shop_source, shop_store: "
        "give --lake, --source, --redis\n"
    )
    there = ("--lake", "s3://t/lake", "--source", "s", "--redis", "redis://t:1")
    assert dawnlist(*other, *there).code == 0
    parameters = kubeflow.runs[-1]["runtime_config"]["parameters"]
    assert parameters["shop_settings"] == "/settings/settings.yaml"


def test_options_win_over_the_shops_file(kubeflow: Kubeflow, shop_file: str) -> None:
    words = ("--lake", "gs://other/lake", "--namespace", "shelf", "--settings", "gs://other/s.yaml")
    assert submit(kubeflow, shop_file, *words).code == 0
    assert kubeflow.runs[0]["runtime_config"]["parameters"] == {
        **BOOKS,
        "shop_lake": "gs://other/lake",
        "shop": "shelf",
        "shop_settings": "gs://other/s.yaml",
    }


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gate: {min_users: 5}", "has no section `shop`: give it name, source, lake and store"),
        ("shop: {naem: x}", "there is no such name"),
        ("shop: {source: 'postgresql://a:s3cret@db/x'}", "set DAWNLIST_SOURCE_PASSWORD instead"),
        ("shop: {lake: ./lake}", "pods can't reach the lake './lake'"),
    ],
)
def test_a_shop_file_that_says_nothing_useful_is_refused(
    kubeflow: Kubeflow, tmp_path: Path, text: str, message: str
) -> None:
    (tmp_path / "s.yaml").write_text(text)
    done = submit(kubeflow, str(tmp_path / "s.yaml"))
    [line] = done.err.splitlines()
    assert message in line and "s3cret" not in line and done.code == 1
    assert "were not found" in submit(kubeflow, str(tmp_path / "none.yaml")).err


def test_status_and_unschedule_know_the_shop_by_its_file(
    kubeflow: Kubeflow, shop_file: str
) -> None:
    schedule = ("schedule", "0 3 * * *", "--host", kubeflow.url, "--shop", shop_file)
    assert dawnlist(*schedule).code == 0
    done = dawnlist("unschedule", "--host", kubeflow.url, "--shop", shop_file)
    assert done.out == "dawnlist-daily-books: no longer scheduled; it was: 0 0 3 * * *\n"


def test_an_upload_says_what_it_is(kubeflow: Kubeflow, shop_file: str) -> None:
    assert submit(kubeflow, shop_file, "--nodes", "gpu", "--image", "reg.example/d:1").code == 0
    [pipeline], [version] = kubeflow.pipelines, kubeflow.versions
    about_pipeline, about_version = pipeline["description"], version["description"]
    assert about_pipeline.startswith("Train on the shop's interactions up to yesterday, and ")
    assert about_version.startswith("Compiled for gpu nodes, with the image reg.example/d:1.\n\n")
    assert "\n\nas_of (default: now): End of the day to learn from" in about_version
    assert "\n\nhistory_days (default: 365): Days of history" in about_version
    assert "\n\nshop_lake (default: s3://bucket/lake): Where all data is kept" in about_version
    for name in ("force_publish", "list_length", "search", "shop", "shop_settings", "shop_store"):
        assert f"\n\n{name} (" in about_pipeline


def test_a_description_fits_into_the_address_of_an_upload(tmp_path: Path) -> None:
    write_package(tmp_path / "a.yaml", Placement(), defaults=BOOKS)
    spec = read_spec(tmp_path / "a.yaml")
    for text in (describe_pipeline(spec), describe_version(spec)):
        assert text.endswith("without a password.")  # nothing was cut off
        assert len(urllib.parse.quote(text)) < 6000


def test_the_objects_for_gitops_are_described_as_uploads_are(tmp_path: Path) -> None:
    write_package(tmp_path / "a.yaml", Placement())
    write_package(tmp_path / "b.yaml", Placement(), kubernetes=True)
    spec = read_spec(tmp_path / "a.yaml")
    pipeline, version = yaml.load_all((tmp_path / "b.yaml").read_bytes(), yaml.CSafeLoader)
    assert pipeline["spec"]["description"] == describe_pipeline(spec)
    assert version["spec"]["description"] == describe_version(spec)
