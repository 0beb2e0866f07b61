"""train, evaluate and tune on matrix files."""

import inspect
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy.sparse import (
    bsr_matrix,
    coo_array,
    csc_matrix,
    csr_array,
    csr_matrix,
    dia_matrix,
    save_npz,
)

from dawnlist.components.evaluate.arms import compute_item_popularity
from dawnlist.components.tune.grid import Grid
from dawnlist.model import matrices
from dawnlist.model.config import ALSConfig
from dawnlist.model.factor_model import FactorModel
from dawnlist.model.metric_names import METRICS
from dawnlist.model.metrics import score_lists
from dawnlist.model.score_scales import compute_score_scales
from dawnlist.pipelines.matrices import matrix_models
from dawnlist.pipelines.matrices.commands import parse_list_lengths, train_command
from dawnlist.ranking.normal_equations import compute_gram
from dawnlist.ranking.topk import top_k

USERS, ITEMS = 40, 20
SMALL = ALSConfig(factors=2, regularization=1.0, alpha=10.0, iterations=5)


def checkerboard() -> tuple[csr_matrix, csr_matrix]:
    """Even users meet even items, odd users odd ones: all but two of them before, those two after."""
    rng = np.random.default_rng(0)
    before, after = np.zeros((2, USERS, ITEMS), dtype=np.float32)
    for user in range(USERS):
        mine = rng.permutation(np.arange(user % 2, ITEMS, 2))
        before[user, mine[2:]], after[user, mine[:2]] = 1, 1
    return csr_matrix(before), csr_matrix(after)


def files(folder: Path, **parts: Any) -> dict[str, Path]:
    for name, matrix in parts.items():
        save_npz(folder / f"{name}.npz", matrix)
    return {name: folder / f"{name}.npz" for name in parts}


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model of the checkerboard's first part."""
    out = tmp_path_factory.mktemp("checkerboard") / "model"
    with matrix_models.stage_model_folder(out) as folder:
        matrix_models.fit_matrix_model(checkerboard()[0], SMALL, "cpu", folder)
    return out


def dawnlist(*words: object, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "dawnlist.pipelines.cli", *map(str, words)], cwd=folder,
        capture_output=True, text=True, check=False, env={**os.environ, "COLUMNS": "200"},
    )  # fmt: skip


def test_the_whole_by_the_command(tmp_path: Path) -> None:
    before, after = checkerboard()
    files(tmp_path, train=before, test=after)
    grid = ("--grid", "factors=1,2 alpha=1,10", "--grid", "nu=0,1", "--iterations", 4, "--seed", 3)
    found = dawnlist("tune", "--matrix", "train.npz", *grid, "--format", "json", folder=tmp_path)
    report = json.loads(found.stdout)
    assert (report["metric"], report["k"], report["users"], len(report["trials"])) == (
        "ndcg",
        20,
        USERS,
        8,
    )
    assert {trial["seed"] for trial in report["trials"]} == {3} and report["trials"][0][
        "sweeps"
    ] == 4
    table = dawnlist("tune", "--matrix", "train.npz", *grid, folder=tmp_path).stdout
    [_, next_] = table.split("next: dawnlist ")
    assert table.startswith(f"ndcg@20 of {USERS} users, best first")
    trained = dawnlist(*next_.split(), folder=tmp_path)
    assert f"{USERS} users, {ITEMS} items, {before.nnz} pairs: 4 sweeps of " in trained.stdout
    [_, next_] = trained.stdout.split("next: dawnlist ")
    judged = dawnlist(*next_.split(), "-k", "1,2", folder=tmp_path)
    assert json.loads(judged.stdout)["metrics"]["ndcg@2"] == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".dawnlist",
        "model",
        "test.npz",
        "train.npz",
    ]


def test_a_model_of_a_matrix(fitted: Path) -> None:
    before, _ = checkerboard()
    model = FactorModel.load(fitted)
    assert model.config == SMALL.as_dict()
    assert model.item_ids.ids.to_pylist() == [str(item) for item in range(ITEMS)]
    assert (model.lineage["shape"], model.user_factors.shape) == ([USERS, ITEMS], (USERS, 2))
    assert (
        matrix_models.load_matrix_model(fitted, before).lineage["matrix"] == model.lineage["matrix"]
    )


def test_only_who_met_is_in_the_model(tmp_path: Path) -> None:
    with matrix_models.stage_model_folder(tmp_path / "model") as folder:
        report = matrix_models.fit_matrix_model(
            csr_matrix([[1, 0, 1], [0, 0, 0], [1, 0, 0]]), SMALL, "cpu", folder
        )
    model = FactorModel.load(tmp_path / "model")
    assert (report["users"], report["items"], report["pairs"]) == (3, 3, 3)
    assert (model.user_ids.ids.to_pylist(), model.item_ids.ids.to_pylist()) == (
        ["0", "2"],
        ["0", "2"],
    )


def test_a_share_of_popularity_is_a_factor_more(tmp_path: Path) -> None:
    config = ALSConfig(factors=2, iterations=1, popularity_share=0.5)
    with matrix_models.stage_model_folder(tmp_path / "model") as folder:
        matrix_models.fit_matrix_model(csr_matrix([[1, 1], [1, 0]]), config, "cpu", folder)
    model = FactorModel.load(tmp_path / "model")
    scales = compute_score_scales(
        model.user_factors[:, :2], compute_gram(model.item_factors[:, :2])
    )
    np.testing.assert_array_equal(model.user_factors[:, 2], scales)
    # Two users and one: their mean, 1.5, counts 1.
    np.testing.assert_allclose(model.item_factors[:, 2], [0.5 * 2 / 1.5, 0.5 / 1.5], rtol=1e-6)


def test_the_figures_are_those_of_the_metrics(fitted: Path) -> None:
    before, after = checkerboard()
    found = matrix_models.evaluate_matrix_model(
        FactorModel.load(fitted), before, after, [1, 5], baselines=True
    )
    model = FactorModel.load(fitted)
    expected: dict[str, float] = {}
    for k in (1, 5):
        lists, _ = top_k(model.user_factors, model.item_factors, k, before)
        expected |= score_lists(lists, after, compute_item_popularity(before)).means(k)
    assert found["metrics"] == expected
    assert set(METRICS) < {name.split("@")[0] for name in expected}
    assert (
        found["metrics"]["recall@1"] == 0.5 and found["metrics"]["recall@5"] == 1
    )  # two tastes, told apart
    popular, neighbours = (
        found["baselines"][name]["recall@5"] for name in ("popularity", "item_knn")
    )
    assert popular < 1 and neighbours == 1
    about = {
        name: found[name]
        for name in ("users", "unknown_users", "items", "repeat_share", "fitted_on_train")
    }
    assert about == {
        "users": USERS, "unknown_users": 0, "items": ITEMS, "repeat_share": 0, "fitted_on_train": True,
    }  # fmt: skip
    assert found["config"] == SMALL.as_dict()


def test_repeats_are_left_out_and_strangers_count_as_missed(tmp_path: Path) -> None:
    """User 0 finds item 1; user 1 only repeats; user 2 is unknown to the model and finds nothing."""
    before, after = csr_matrix([[1, 0], [1, 1], [0, 0]]), csr_matrix([[1, 1], [0, 1], [1, 0]])
    with matrix_models.stage_model_folder(tmp_path / "model") as folder:
        matrix_models.fit_matrix_model(before, SMALL, "cpu", folder)
    found = matrix_models.evaluate_matrix_model(
        FactorModel.load(tmp_path / "model"), before, after, [2], baselines=True
    )
    assert (found["users"], found["unknown_users"], found["repeat_share"]) == (2, 1, 0.5)
    assert (
        found["metrics"]["recall@2"]
        == found["metrics"]["ndcg@2"]
        == found["metrics"]["mrr@2"]
        == 0.5
    )
    assert found["baselines"]["popularity"]["recall@2"] == 1  # which knows everyone


def test_a_model_of_another_matrix_is_told(fitted: Path) -> None:
    before, after = checkerboard()
    model = FactorModel.load(fitted)
    assert not matrix_models.evaluate_matrix_model(
        model, before[:, ::-1].sorted_indices(), after, [1], baselines=False
    )["fitted_on_train"]
    with pytest.raises(
        ValueError,
        match="a model of 40 users and 20 items, the matrix has 40 and 19: give the matrix",
    ):
        matrix_models.load_matrix_model(fitted, before[:, 1:])


def test_a_model_of_a_shop_is_none_of_a_matrix(tmp_path: Path) -> None:
    before, _ = checkerboard()
    factors = np.zeros((USERS, 1), dtype=np.float32), np.zeros((ITEMS, 1), dtype=np.float32)
    FactorModel(matrices.number_ids(USERS), matrices.number_ids(ITEMS), *factors).save(tmp_path)
    with pytest.raises(ValueError, match="is a model of a shop, not of a matrix"):
        matrix_models.load_matrix_model(tmp_path, before)


def test_nothing_to_judge_by(fitted: Path) -> None:
    before, _ = checkerboard()
    with pytest.raises(ValueError, match="no user of the holdout has an item that is not in train"):
        matrix_models.evaluate_matrix_model(
            FactorModel.load(fitted), before, before, [20], baselines=False
        )


def test_every_kind_of_file_gives_the_same_matrix(tmp_path: Path) -> None:
    rows, columns, weights = [0, 1, 1, 1], [1, 0, 2, 2], [2, 1, 1, 3]
    pairs = coo_array((weights, (rows, columns)), shape=(2, 3))
    stored_zero = csr_array(([0, 2, 1, 4], ([0, 0, 1, 1], [0, 1, 0, 2])), shape=(2, 3))
    unsorted = csr_matrix(
        (np.array([2, 4, 1]), np.array([1, 2, 0]), np.array([0, 1, 3])), shape=(2, 3)
    )
    kinds = {"coo": pairs, "csc": csc_matrix(pairs), "zero": stored_zero, "unsorted": unsorted,
             "unsigned": csr_array(pairs).astype(np.uint8)}  # fmt: skip
    for name, path in files(tmp_path, **kinds).items():
        found = matrices.read_matrix(path)
        assert (found.indptr.tolist(), found.indices.tolist(), found.data.tolist()) == (
            [0, 1, 3],
            [1, 0, 2],
            [2, 1, 4],
        )
        assert (found.dtype, found.shape) == (np.float32, (2, 3)), name
    met = matrices.read_matrix(
        files(tmp_path, flags=csr_matrix([[True, False], [False, True]]))["flags"]
    )
    assert met.toarray().tolist() == [[1, 0], [0, 1]]


@pytest.mark.parametrize(
    ("matrix", "message"),
    [
        (csr_matrix([[1.0, -2.0]]), "has the entry -2.0: give numbers from 0 on"),
        (csr_matrix([[1.0, np.nan]]), "has the entry nan: give numbers"),
        (csr_matrix([[1.0, np.inf]]), "has the entry inf: give numbers"),
        (csr_matrix([[1.0, 1e39]]), r"has the entry 1e\+39: give numbers"),
        (csr_matrix([[1j]]), "has entries of the type complex128: give numbers"),
        (csr_matrix((3, 4)), "is empty: give a matrix with an entry"),
        (csr_matrix((0, 4)), "is empty: give a matrix with an entry"),
        (coo_array(np.ones(3)), "has 1 dimensions: give two, users by items"),
        (coo_array(([3.0, -1.0], ([0, 0], [0, 0]))), "has the entry -1.0: give numbers from 0 on"),
        (coo_array(([3e38, 3e38], ([0, 0], [0, 0]))), r"has the entry 6e\+38: give numbers"),
    ],
    ids=[
        "negative",
        "nan",
        "infinite",
        "no float32",
        "complex",
        "empty",
        "no users",
        "one dimension",
        "negative beside another",
        "sum too large",
    ],
)
def test_entries_that_are_no_weights(matrix: Any, message: str, tmp_path: Path) -> None:
    [path] = files(tmp_path, train=matrix).values()
    with pytest.raises(ValueError, match=message):
        matrices.read_matrix(path)


def wrong_index(path: Path) -> None:
    np.savez(
        path,
        format=b"csr",
        data=np.ones(1),
        indices=np.array([7]),
        indptr=np.array([0, 1]),
        shape=(1, 2),
    )


def objects(path: Path) -> None:
    values = np.array([{}, {}], dtype=object)
    np.savez(
        path,
        format=b"csr",
        data=values,
        indices=np.arange(2),
        indptr=np.array([0, 2]),
        shape=(1, 2),
    )


def text(path: Path) -> None:
    path.write_text("0 1 2\n1 3\n")


def arrays(path: Path) -> None:
    np.savez(path, user=np.arange(3))


def one_array(path: Path) -> None:
    with path.open("wb") as file:
        np.save(file, np.ones((2, 2)))


def cut_off(path: Path) -> None:
    save_npz(path, checkerboard()[0])
    path.write_bytes(path.read_bytes()[:700])


def nothing(path: Path) -> None:
    path.write_bytes(b"")


@pytest.mark.parametrize("write", [wrong_index, objects, text, arrays, one_array, cut_off, nothing])
def test_a_file_that_is_none(write: Any, tmp_path: Path) -> None:
    write(tmp_path / "train.npz")
    with pytest.raises(
        ValueError, match=r"train\.npz is no sparse matrix: write it with scipy\.sparse\.save_npz"
    ):
        matrices.read_matrix(tmp_path / "train.npz")


def test_damaged_files_are_refused_or_read(tmp_path: Path) -> None:
    """Single wrong bytes anywhere: never anything else than a matrix or the one line."""
    path, rng = files(tmp_path, train=checkerboard()[0])["train"], np.random.default_rng(1)
    whole = path.read_bytes()
    for place in rng.integers(0, len(whole), 200):
        path.write_bytes(
            whole[:place] + bytes([whole[place] ^ 1 << rng.integers(8)]) + whole[place + 1 :]
        )
        try:
            assert matrices.read_matrix(path).nnz
        except (ValueError, MemoryError) as refused:
            assert isinstance(refused, MemoryError) or (
                "train.npz " in str(refused) and "\n" not in str(refused)
            )


def test_refusals_of_the_command_are_one_line_and_leave_nothing(tmp_path: Path) -> None:
    before, after = checkerboard()
    files(tmp_path, train=before, narrow=after[:, 1:])
    tried = {
        ("train", "--matrix", "gone.npz", "--out", "model"): "there is no file 'gone.npz'",
        ("evaluate", "--model", "model", "--train", "train.npz", "--holdout", "narrow.npz"):
            "narrow.npz is 40 users by 19 items and train.npz 40 by 20: give both the same shape",
    }  # fmt: skip
    for words, message in tried.items():
        done = dawnlist(*words, folder=tmp_path)
        [line] = done.stderr.strip().splitlines()
        assert done.returncode == 1 and line.startswith("dawnlist: ") and message in line
    assert sorted(path.name for path in tmp_path.iterdir()) == ["narrow.npz", "train.npz"]


def test_a_folder_for_a_model_must_be_new(fitted: Path, tmp_path: Path) -> None:
    with (
        pytest.raises(FileExistsError, match="is there already: give a new folder"),
        matrix_models.stage_model_folder(fitted),
    ):
        pass
    with (
        pytest.raises(FileNotFoundError, match="does not exist: make it"),
        matrix_models.stage_model_folder(tmp_path / "a/b"),
    ):
        pass


def test_a_fit_that_fails_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()  # an empty one may be used
    with (
        pytest.raises(ValueError, match="no"),
        matrix_models.stage_model_folder(tmp_path / "model") as folder,
    ):
        (folder / "half").touch()
        raise ValueError("no")
    assert [list(tmp_path.iterdir()), list((tmp_path / "model").iterdir())] == [
        [tmp_path / "model"],
        [],
    ]
    with matrix_models.stage_model_folder(tmp_path / "model") as folder:
        (folder / "whole").touch()
    assert [path.name for path in (tmp_path / "model").iterdir()] == ["whole"]


def test_the_example_for_published_splits(tmp_path: Path) -> None:
    page = (Path(__file__).parents[1] / "docs/EXPERIMENTS.md").read_text()
    [code] = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    (tmp_path / "train.txt").write_text("0 1 2\n1 0\n2 3\n")
    (tmp_path / "test.txt").write_text("0 4\n1\n\n2 0 1\n")
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    train, test = (
        matrices.read_matrix(tmp_path / f"{part}.npz").toarray().tolist()
        for part in ("train", "test")
    )
    assert train == [[0, 1, 1, 0, 0], [1, 0, 0, 0, 0], [0, 0, 0, 1, 0]]
    assert test == [[0, 0, 0, 0, 1], [0, 0, 0, 0, 0], [1, 1, 0, 0, 0]]


def test_a_grid_in_words() -> None:
    words = ["factors=64,128  regularization=0.01", "nu=0,1", "popularity_share=0,0.3"]
    assert matrix_models.parse_grid_values(words) == {
        "factors": [64, 128], "regularization": [0.01], "nu": [0, 1], "popularity_share": [0, 0.3],
    }  # fmt: skip


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("factor=1", "--grid has 'factor=1': give each of factors, regularization, alpha"),
        ("factors", "--grid has 'factors': give numbers with commas, e.g. factors=1,10"),
        ("factors=a,b", "--grid has 'factors=a,b': give numbers with commas"),
        ("factors=inf", "--grid has 'factors=inf': give finite numbers"),
        ("nu=0 nu=1", "--grid has 'nu=1': give each of"),
        ("half_life=14", "--grid has 'half_life=14': a matrix has no times"),
    ],
)
def test_a_grid_that_is_none(word: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        matrix_models.parse_grid_values([word])


def test_lengths_of_lists() -> None:
    assert parse_list_lengths("100, 20,20") == [20, 100]
    for text_ in ("", "0", "20,", "-1", "2.5", "²", "all"):
        with pytest.raises(ValueError, match="give lengths of 1 or more with commas"):
            parse_list_lengths(text_)


def test_one_pair_of_each_user_who_has_two_is_held_out() -> None:
    matrix = csr_matrix([[1, 2, 3], [0, 4, 0], [0, 0, 0], [5, 6, 0]])
    train, held = matrices.hold_out_pairs(matrix, seed=1)
    assert np.diff(held.indptr).tolist() == [1, 0, 0, 1]
    assert ((train + held) != matrix).nnz == 0 and train.nnz + held.nnz == matrix.nnz == 6
    assert [
        (one != other).nnz
        for one, other in zip(matrices.hold_out_pairs(matrix, 1), (train, held), strict=True)
    ] == [0] * 2
    drawn = {matrices.hold_out_pairs(matrix, seed)[1][0].indices[0] for seed in range(30)}
    assert drawn == {0, 1, 2}


def test_without_two_items_of_a_user_nothing_is_held_out() -> None:
    with pytest.raises(
        ValueError, match="no user has two items, so none can be held out: give --validation"
    ):
        matrices.hold_out_pairs(csr_matrix(np.eye(3)), seed=1)


def test_matrices_as_splits() -> None:
    train, validation, holdout = (
        csr_matrix(rows) for rows in ([[2, 0, 0, 1]], [[0, 3, 0, 1]], [[0, 1, 1, 0]])
    )
    splits = matrices.build_splits_from_matrices(train, validation, holdout)

    def dense(matrix: Any) -> npt.NDArray[Any]:
        return np.asarray(matrix.toarray()[0])

    assert dense(splits.user_items("tune").weight).tolist() == [2, 0, 0, 1]
    assert dense(splits.user_items("train").weight).tolist() == [2, 3, 0, 2]
    assert dense(splits.user_items("refit").weight).tolist() == [2, 4, 1, 2]
    assert not splits.user_items("refit").age.any()
    assert [dense(splits.truth(part)).tolist() for part in ("validation", "holdout")] == [
        [0, 1, 0, 0],
        [0, 0, 1, 0],
    ]
    assert splits.item_ids.ids.to_pylist() == ["0", "1", "2", "3"]


def test_a_search_chooses_on_the_validation_that_is_given(tmp_path: Path) -> None:
    before, after = checkerboard()
    grid = Grid(factors=[2], alpha=[10.0], popularity_share=[0, 50], iterations=3)
    told: list[Any] = []
    report = matrix_models.search_matrix_grid(
        tmp_path,
        matrices.build_splits_from_matrices(before, after),
        grid,
        "recall",
        2,
        "cpu",
        told.append,
    )
    [best] = report["trials"]
    assert (best["recall@2"], best["popularity_share"], report["users"]) == (1, 0, USERS)
    assert told and list((tmp_path / "lake" / matrix_models.MATRIX_NAMESPACE / "trials").iterdir())
    with pytest.raises(
        ValueError, match="no user has both a history and a new item in the validation"
    ):
        matrix_models.search_matrix_grid(
            tmp_path,
            matrices.build_splits_from_matrices(before, before),
            grid,
            "recall",
            2,
            "cpu",
            told.append,
        )


def test_the_command_has_the_configuration_s_defaults() -> None:
    defaults = {
        name: one.default for name, one in inspect.signature(train_command).parameters.items()
    }
    given = {name: value for name, value in defaults.items() if name in ALSConfig().as_dict()}
    assert ALSConfig(**given) == ALSConfig() and len(given) == 9


@pytest.mark.parametrize("dtype", ["bool", "int8", "uint8", "int16", "int64", "float32"])
@pytest.mark.parametrize("format_", ["coo", "csr", "csc"])
def test_entries_of_one_pair_are_added_beyond_the_files_type(
    tmp_path: Path, dtype: str, format_: str
) -> None:
    """2,100 plays are more than int8 and uint8 hold."""
    plays = 2100
    users = np.zeros(plays + 1, dtype=np.int32)
    items = np.append(np.zeros(plays, dtype=np.int32), 1)
    ones = np.ones(plays + 1, dtype=dtype)
    matrix: Any = coo_array((ones, (users, items)), shape=(1, 2))
    if format_ == "csr":
        matrix = csr_array((ones, items, [0, plays + 1]), shape=(1, 2))
    if format_ == "csc":
        matrix = csc_matrix((ones, users, [0, plays, plays + 1]), shape=(1, 2))
    [path] = files(tmp_path, plays=matrix).values()
    assert matrices.read_matrix(path).toarray().tolist() == [[plays, 1]]


def test_blocks_and_diagonals_are_read(tmp_path: Path) -> None:
    dense = np.array([[1, 2, 0, 0], [0, 3, 4, 0]], dtype=np.uint8)
    given = files(tmp_path, blocks=bsr_matrix(dense, blocksize=(1, 2)), diagonals=dia_matrix(dense))
    for path in given.values():
        assert matrices.read_matrix(path).toarray().tolist() == dense.tolist()
