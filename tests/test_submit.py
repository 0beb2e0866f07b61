"""`dawnlist submit`: the real command and kfp's real client against an API that holds them to its definition."""

import json
from importlib.metadata import version as version_of_package
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from dawnlist.cuts import parse_as_of
from dawnlist.lake.lake import Lake
from dawnlist.pipelines.deploy.manifests import YAML_LOADER
from dawnlist.pipelines.kubeflow import run_following
from dawnlist.pipelines.package import build_version_name
from dawnlist.records.run_records import record_step
from tests.support.certificates import self_signed
from tests.support.kfp_api import Done, Fault, Kubeflow, Object, dawnlist, kubeflow_api
from tests.support.schemas import problems
from tests.support.servers import free_port

AS_OF = parse_as_of("2026-03-01T03:00:00Z")
SHOP = ("--source", "postgresql://dawn@db/shop", "--lake", "s3://bucket/lake", "--redis", "redis://store:6379/0",
        "--namespace", "shop")  # fmt: skip


def submit(kubeflow: Kubeflow, package: Path, *words: str) -> Done:
    return dawnlist("submit", "--host", kubeflow.url, "--package", str(package), *SHOP, *words)


def test_a_package_is_uploaded_run_and_followed(kubeflow: Kubeflow, package: Path) -> None:
    done = submit(
        kubeflow,
        package,
        "--as-of",
        "2026-01-31T03:00:00Z",
        "--set",
        "list_length=10",
        "--set",
        "factors=8,16",
    )
    [pipeline], [version], [run], [experiment] = (
        kubeflow.pipelines, kubeflow.versions, kubeflow.runs, kubeflow.experiments,
    )  # fmt: skip
    name = build_version_name(package.read_bytes())
    assert (pipeline["display_name"], version["display_name"]) == ("dawnlist-daily", name)
    assert experiment["display_name"] == "dawnlist-shop"
    assert (
        run["pipeline_version_reference"]["pipeline_version_id"] == version["pipeline_version_id"]
    )
    assert run["service_account"] == "dawnlist-pipeline"
    assert run["runtime_config"]["parameters"] == {
        "shop_source": "postgresql://dawn@db/shop", "shop_lake": "s3://bucket/lake",
        "shop_store": "redis://store:6379/0", "shop": "shop", "as_of": "2026-01-31T03:00:00Z",
        "list_length": 10, "search": {"factors": [8.0, 16.0]}, "shop_settings": "/settings/settings.yaml",
    }  # fmt: skip
    link = f"{kubeflow.url}/#/runs/details/{run['run_id']}"
    assert done.out.splitlines() == [
        f"version {name}: uploaded", f"run {run['run_id']} of {name}: {link}", "succeeded after 49 s",
    ]  # fmt: skip
    steps = ["clean", "dataset", "evaluate", "fetch", "filter-bots", "gate", "notify", "publish", "recommend", "refit",
             "train", "tune"]  # fmt: skip
    assert [line.split() for line in done.err.splitlines()] == [
        ["✓", step, "1.0", "s"] for step in steps
    ]
    assert done.code == 0


def test_the_same_bytes_are_uploaded_once(
    kubeflow: Kubeflow, package: Path, tmp_path: Path
) -> None:
    name = build_version_name(package.read_bytes())
    assert submit(kubeflow, package, "--detach").out.startswith(f"version {name}: uploaded")
    again = submit(kubeflow, package, "--detach")
    assert again.out.startswith(f"version {name}: already uploaded") and again.code == 0
    other = tmp_path / "other.yaml"
    other.write_bytes(
        package.read_bytes().replace(b"dawnlist-python:", b"registry.example/dawnlist-python:")
    )
    assert "uploaded" in submit(kubeflow, other, "--detach").out
    names = [version["display_name"] for version in kubeflow.versions]
    assert names == [name, build_version_name(other.read_bytes())] and len(kubeflow.pipelines) == 1
    assert len(kubeflow.runs) == 3


def test_without_a_package_the_newest_version_runs_again(kubeflow: Kubeflow, package: Path) -> None:
    kubeflow.install(package)
    done = dawnlist("submit", "--host", kubeflow.url, *SHOP, "--detach")
    [version] = kubeflow.versions
    assert done.out.startswith(
        f"version {version['display_name']}: the newest uploaded version for cpu nodes\n"
    )
    version["display_name"] = "0.0.9-abc"  # of older code
    assert (
        f"; this is {version_of_package('dawnlist')}, which"
        in dawnlist("submit", "--host", kubeflow.url, *SHOP, "--detach").out
    )
    assert len(kubeflow.versions) == 1 and len(kubeflow.runs) == 2


def test_what_is_not_there_is_compiled(kubeflow: Kubeflow) -> None:
    image = "registry.example/dawnlist-python:2"
    done = dawnlist("submit", "--host", kubeflow.url, *SHOP, "--detach", "--image", image)
    assert done.code == 0
    spec = kubeflow.versions[0]["pipeline_spec"]["pipeline_spec"]
    images = {one["container"]["image"] for one in spec["deploymentSpec"]["executors"].values()}
    assert images == {image}


def test_without_as_of_none_is_sent_and_the_first_step_takes_the_time(
    kubeflow: Kubeflow, package: Path
) -> None:
    submit(kubeflow, package, "--detach", "--force", "lists were checked by hand")
    given = kubeflow.runs[0]["runtime_config"]["parameters"]
    assert "as_of" not in given and given["force_publish"] == "lists were checked by hand"
    declared = kubeflow.versions[0]["pipeline_spec"]["pipeline_spec"]["root"]["inputDefinitions"]
    assert declared["parameters"]["as_of"]["defaultValue"] == "now"


def test_a_failing_step_is_told_and_the_exit_code_says_so(
    kubeflow: Kubeflow, package: Path
) -> None:
    kubeflow.failing = "dataset"
    done = submit(kubeflow, package)
    [run] = kubeflow.runs
    *_, failed, end = done.err.splitlines()
    assert failed == "✗ dataset            1.0 s  dataset: exit code 1"
    assert end.startswith(
        "dawnlist: the run failed after 9 s; why: `dawnlist status --namespace shop --lake s3://b"
    )
    assert end.endswith(f"/#/runs/details/{run['run_id']}")
    assert done.code == 1


def test_a_run_is_followed_through_a_short_silence(kubeflow: Kubeflow, package: Path) -> None:
    kubeflow.faults = [Fault("GET .*/runs/", "503", times=2), Fault("GET .*/runs/", "401", times=1)]
    assert submit(kubeflow, package).code == 0


def test_a_run_that_is_lost_sight_of_goes_on(
    kubeflow: Kubeflow, package: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(run_following, "API_OUTAGE_SECONDS", 0.0)
    kubeflow.faults = [Fault("GET .*/runs/", "500")]
    done = submit(kubeflow, package)
    outage, end = done.err.splitlines()
    assert outage.startswith("! http://127.0.0.1:") and done.code == 1
    assert end.startswith("dawnlist: lost sight of the run, which goes on (http://127.0.0.1:")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            ["--set", "kk=1"],
            "the pipeline has no parameter kk: it has as_of, force_publish, history",
        ),
        (["--set", "list_length=ten"], "--set list_length='ten': list_length is a whole number"),
        (["--set", "factors=8,NaN"], "--set factors='8,NaN': factors is a list, e.g. 32,64"),
        (["--set", "k"], "--set 'k' has no '=': give NAME=VALUE"),
        (["--set", "seed=1", "--set", "seed=2"], "--set seed=… is given twice"),
        (["--set", "factors=5000"], "factors is 5000.0: give a number from 1 to 4096"),
        (["--set", "factors=8.5"], "factors is 8.5: give a whole number"),
        (
            ["--set", 'search={"factor": [8]}'],
            "search has no 'factor': it takes search_mode, metric,",
        ),
        (["--set", 'search={"nu": 0.5}'], "nu is 0.5: give a list of numbers, e.g. [0.5]"),
        (
            ["--set", "search_mode=some"],
            "search_mode is 'some': give one of full, around_champion, off",
        ),
        (["--set", "shop_source=x"], "--set shop_source=…: give shop_source by --source"),
        (["--source", ""], "the pipeline needs a value for shop_source: give --source"),
        (["--source", "postgresql://u:s3cret@h/d"], "set DAWNLIST_SOURCE_PASSWORD instead"),
        (["--redis", "redis://:s3cret@h:1"], "set DAWNLIST_REDIS_PASSWORD instead"),
        (["--redis", "embedded"], "pods can't reach the store 'embedded'"),
        (["--lake", "lake"], "pods can't reach the lake 'lake'"),
        (["--namespace", "A b"], "namespace 'A b' is not usable"),
        (["--as-of", "soon"], "as_of 'soon' is no time"),
        (["--as-of", "2999-01-01T00:00:00Z"], "is in the future"),
        (["--force", "x"], "the reason of a forced pass is 'x'"),
        (["--nodes", "gpu"], "--package is compiled already"),
    ],
)
def test_mistakes_are_one_line_before_anything_is_sent(
    kubeflow: Kubeflow, package: Path, words: list[str], message: str
) -> None:
    done = submit(kubeflow, package, *words)
    [line] = done.err.splitlines()
    assert line.startswith("dawnlist: ") and message in line and done.code == 1
    assert "s3cret" not in line
    assert set(kubeflow.requests) <= {"healthz_service_get_healthz"}


@pytest.mark.parametrize("content", ["", "a: 1", "[1]", "a: [", "kind: PipelineVersion\nspec: {}"])
def test_what_is_no_package_is_refused(kubeflow: Kubeflow, tmp_path: Path, content: str) -> None:
    (tmp_path / "a.yaml").write_text(content)
    done = submit(kubeflow, tmp_path / "a.yaml")
    assert done.err.endswith(
        "is not a compiled pipeline: `dawnlist compile --output FILE.yaml` writes one\n"
    )
    assert "there is no package" in submit(kubeflow, tmp_path / "b.yaml").err


REFUSALS = {
    "401": "does not accept your credentials (401): said by the API, to ***: give --host or KF_PIPELINES_ENDPOINT",
    "403": "does not allow you to do this (403): said by the API, to ***",
    "404": "has no such object (404): said by the API, to ***",
    "409": "already has another object of that name (409): said by the API, to ***: run the command again",
    "400": "refuses the request (400): said by the API, to ***",
    "503": "has an error of its own (503): said by the API, to ***: try again when it has recovered",
    "page": "answers with a web page, not as the Kubeflow Pipelines API; it is probably a login page",
    "drop": "broke off the request (",
}


@pytest.mark.parametrize(
    "where", ["GET .*/healthz", "GET .*/pipelines", "POST .*/upload_version", "POST .*/runs$"]
)
def test_what_the_api_refuses_is_one_line(kubeflow: Kubeflow, package: Path, where: str) -> None:
    for kind, message in REFUSALS.items():
        kubeflow.faults = [Fault(where, kind)]
        done = submit(kubeflow, package, "--detach")
        [line] = done.err.splitlines()
        assert (
            line.startswith("dawnlist: ")
            and kubeflow.url in line
            and message in line
            and done.code == 1
        )
        assert ("whether that was done is not known" in line) == (
            kind == "drop" and where.startswith("POST")
        )
    assert kubeflow.runs == []


def test_an_api_that_is_down_is_one_line(package: Path) -> None:
    done = dawnlist(
        "submit", "--host", f"http://127.0.0.1:{free_port()}", "--package", str(package), *SHOP
    )
    [line] = done.err.splitlines()
    assert line.startswith("dawnlist: no Kubeflow Pipelines API answers at http://127.0.0.1:")
    assert "Connection refused" in line


def test_the_host_and_the_token_are_found_as_kfp_finds_them(
    kubeflow: Kubeflow, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import kfp

    kubeflow.token = "eyJsecret.eyJtoken.x"
    context = tmp_path / "context.json"
    header = {
        "client_authentication_header_name": "Authorization",
        "client_authentication_header_value": "Bearer wrong",
    }
    context.write_text(json.dumps({"namespace": "", **header}))
    monkeypatch.setattr(kfp.Client, "_LOCAL_KFP_CONTEXT", str(context))
    monkeypatch.setenv("KF_PIPELINES_ENDPOINT", kubeflow.url)
    words = ("submit", "--package", str(package), *SHOP, "--detach")
    refused = dawnlist(*words)
    assert refused.code == 1 and "does not accept your credentials (401)" in refused.err
    assert "wrong" not in refused.err
    context.write_text(json.dumps({"namespace": "", **header,
                                   "client_authentication_header_value": f"Bearer {kubeflow.token}"}))  # fmt: skip
    assert dawnlist(*words).code == 0


def documents(file: Path) -> list[Any]:
    return list(yaml.load_all(file.read_bytes(), Loader=YAML_LOADER))


def test_the_objects_for_gitops_are_what_is_uploaded(
    kubeflow: Kubeflow, package: Path, tmp_path: Path
) -> None:
    done = dawnlist("compile", "--output", str(tmp_path / "a.yaml"), "--kubernetes")
    assert done.out == f"next: kubectl apply -f {tmp_path / 'a.yaml'}\n"
    pipeline, version = documents(tmp_path / "a.yaml")
    assert (problems(pipeline), problems(version)) == ([], [])
    name = build_version_name(package.read_bytes())
    assert (pipeline["kind"], pipeline["metadata"]["name"]) == ("Pipeline", "dawnlist-daily")
    assert (version["kind"], version["metadata"]["name"]) == (
        "PipelineVersion",
        f"dawnlist-daily-{name}",
    )
    spec, platform = documents(package)
    assert version["spec"]["pipelineSpec"] == spec and version["spec"]["platformSpec"] == platform
    # what Git has made is found by its name, and not uploaded again
    kubeflow.install(package)
    assert submit(kubeflow, package, "--detach").out.startswith(
        f"version {version['spec']['displayName']}: already uploaded"
    )
    assert "is not a compiled pipeline" in submit(kubeflow, tmp_path / "a.yaml").err


def test_where_kubeflow_has_several_users_everything_is_in_a_profile(
    kubeflow: Kubeflow, package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import kfp

    kubeflow.multi_user = True
    refused = submit(kubeflow, package, "--detach")
    assert refused.code == 1 and "InvalidInputError: namespace" in refused.err
    assert submit(kubeflow, package, "--detach", "--kfp-namespace", "team-a").code == 0
    (tmp_path / "namespace").write_text("team-b")  # as every pod has it
    monkeypatch.setattr(kfp.Client, "_NAMESPACE_PATH", str(tmp_path / "namespace"))
    monkeypatch.setattr(
        kfp.Client, "_LOCAL_KFP_CONTEXT", str(tmp_path / "context" / "context.json")
    )
    assert submit(kubeflow, package, "--detach").code == 0
    assert [one.get("namespace") for one in kubeflow.experiments] == ["team-a", "team-b"]
    assert [one.get("namespace") for one in kubeflow.pipelines] == [None, "team-a", "team-b"]
    assert not (tmp_path / "context").exists()  # kfp itself would write there


@pytest.mark.parametrize(
    ("verb", "path", "body", "status"),
    [
        ("POST", "v2beta1/runs", {"nonsense": 1}, 400),
        ("POST", "v2beta1/runs", {"display_name": 1}, 400),
        ("POST", "v2beta1/runs", {"runtime_config": {"parameters": []}}, 400),
        ("POST", "v2beta1/runs", {"pipeline_version_reference": {"pipeline": "x"}}, 400),
        ("POST", "v2beta1/recurringruns", {"mode": "ON"}, 400),
        ("POST", "v2beta1/recurringruns", {"trigger": {"cron_schedule": {"cron": ["0"]}}}, 400),
        ("GET", "v2beta1/runs?experiment=x", None, 400),
        ("GET", "v2beta1/runs?page_size=many", None, 400),
        (
            "GET",
            'v2beta1/runs?filter={"predicates":[{"operation":"LIKE","key":"name"}]}',
            None,
            400,
        ),
        ("GET", "v1beta1/runs", None, 404),
        ("PUT", "v2beta1/runs", {}, 501),
    ],
)
def test_the_api_of_these_tests_refuses_what_its_definition_has_not(
    kubeflow: Kubeflow, verb: str, path: str, body: object, status: int
) -> None:
    assert httpx.request(verb, f"{kubeflow.url}/apis/{path}", json=body).status_code == status


def test_an_authority_of_ones_own_is_trusted_where_it_is_named(
    package: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    certificate = self_signed(tmp_path)
    with kubeflow_api(certificate) as kubeflow:
        for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
            monkeypatch.delenv(name, raising=False)
        refused = submit(kubeflow, package, "--detach")
        assert (
            refused.code == 1
            and f"{kubeflow.url} is not trusted (" in refused.err
            and not kubeflow.requests
        )
        assert "name the file of its certificate in SSL_CERT_FILE" in refused.err
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
        assert submit(kubeflow, package, "--detach").code == 0


@pytest.mark.parametrize(("published", "code"), [(True, 0), (False, 3), (None, 3)])
def test_a_run_that_publishes_nothing_has_a_code_where_one_asks_for_it(
    kubeflow: Kubeflow, package: Path, s3_root: str, published: bool | None, code: int
) -> None:
    words = ("submit", "--host", kubeflow.url, "--package", str(package), *SHOP, "--lake", s3_root)
    lake = Lake.open(s3_root, "shop")
    create = kubeflow.run_service_create_run

    def create_run(body: Object) -> Object:
        run = create(body)
        if published is not None:
            with record_step(s3_root, "shop", AS_OF, run["run_id"], "publish") as report:
                report["published"] = published
        return run

    kubeflow.run_service_create_run = create_run  # type: ignore[method-assign]
    assert dawnlist(*words).code == 0
    done = dawnlist(*words, "--require-published")
    said = "dawnlist: nothing was published (--require-published)" in done.err.splitlines()
    assert (done.code, said) == (code, code == 3)
    assert len(lake.names("runs")) == (0 if published is None else 1)


def test_what_is_required_of_a_run_that_is_not_followed_is_refused(
    kubeflow: Kubeflow, package: Path
) -> None:
    done = submit(kubeflow, package, "--detach", "--require-published")
    assert done.err.startswith("dawnlist: --require-published waits for the run's end: leave out")
    assert (done.code, kubeflow.runs) == (1, [])
