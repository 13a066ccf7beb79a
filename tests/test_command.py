"""``python -m skcnn DATA``: files that are read, tasks made of them, the search and its report."""

import json
import os
import re
import shlex
import subprocess
import sys
import time
import zipfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from imblearn.over_sampling import SMOTE
from PIL import Image
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.metrics import get_scorer, get_scorer_names
from sklearn.model_selection import ParameterGrid

import skcnn
from skcnn.__main__ import main
from skcnn._command.console import DataError
from skcnn._command.reading import Data, read
from skcnn._command.reporting import check_out, describe, print_diagnosis, print_scores
from skcnn._command.scores import Comparison, compare, scorers_of
from skcnn._command.searching import (
    Record,
    cures,
    failures,
    make_pipeline,
    make_search,
    n_epochs,
    of_network,
    plain_sizes,
    read_grid,
)
from skcnn._command.tasks import Task, make_task
from skcnn._statistics import Estimate
from skcnn.sampling import NDSampler

# Reading ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def npz(tmp_path, rng):
    """Save arrays and return the path."""

    def save(**arrays):
        path = tmp_path / "data.npz"
        np.savez(path, **arrays)
        return str(path)

    return save


@pytest.fixture
def table(tmp_path):
    """Save the text of a CSV and return the path."""

    def save(text, name="data.csv", encoding="utf-8"):
        path = tmp_path / name
        path.write_text(text, encoding=encoding)
        return str(path)

    return save


def refused(*args, **options):
    with pytest.raises(DataError) as error:
        read(*args, **options)
    for line in error.value.args:
        assert "\n" not in line
    return "\n".join(error.value.args)


def test_arrays_keep_shape_type_and_groups(npz, rng):
    X = rng.integers(0, 256, (6, 4, 5, 3)).astype(np.uint8)
    path = npz(X=X, kind=np.array([list("abcabc")]).T, patient=np.arange(6) // 2)
    data = read(path, target="kind", groups="patient")
    np.testing.assert_array_equal(data.X, X)
    assert data.X.dtype == np.uint8
    assert data.y.tolist() == list("abcabc")
    assert data.groups.tolist() == [0, 0, 1, 1, 2, 2]
    assert read(npz(X=X.reshape(6, 60), y=np.arange(6)), shape=(4, 5, 3)).X.shape == X.shape


@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        ({"X": np.ones((2, 3))}, {}, r"no array 'y'; it has X\. --target and --groups NAME choose others"),
        ({"x": np.ones((2, 3)), "y": [0, 1]}, {}, r"no array 'X'; it has x, y\.$"),
        ({"X": np.ones((2, 3)), "y": [0, 1]}, {"groups": "patient"}, "no array 'patient'"),
        ({"X": np.ones((2, 3)), "y": [0, 1, 1]}, {}, r"y has shape \(3,\), expected \(2,\)"),
        ({"X": np.ones((2, 3)), "y": np.eye(2)}, {}, r"y has shape \(2, 2\), expected \(2,\)"),
        (
            {"X": [[1.0], [np.nan]], "y": [0, 1]},
            {},
            "X has missing or infinite values in 1 of 2 samples, first in sample 1",
        ),
        ({"X": np.ones((2, 3)), "y": [0, np.inf]}, {}, "y has missing or infinite values"),
        ({"X": np.array([["a"], ["b"]]), "y": [0, 1]}, {}, "X holds <U1; expected real numbers"),
        ({"X": np.array([[1], ["b"]], object), "y": [0, 1]}, {}, "X holds Python objects, which are not loaded"),
        ({"X": np.ones(2), "y": [0, 1]}, {}, r"X has shape \(2,\)"),
        ({"X": np.ones((2, 0)), "y": [0, 1]}, {}, r"X has shape \(2, 0\)"),
        ({"X": np.ones((2, 1, 1, 1, 1, 1)), "y": [0, 1]}, {}, "--shape gives samples another shape"),
        (
            {"X": np.ones((2, 6)), "y": [0, 1]},
            {"shape": (2, 2)},
            r"--shape 2x2 has 4 values, but the samples .* have 6",
        ),
    ],
)
def test_arrays_that_do_not_fit(npz, arrays, options, message):
    assert re.search(message, refused(npz(**arrays), **options))


def test_groups_in_a_file_are_found(npz, rng):
    X, y, groups = rng.normal(size=(40, 3)), np.arange(40) % 2, np.array(list("abcdefghij") * 4)
    data = read(npz(X=X, y=y, groups=groups[:, None]))
    assert data.groups.tolist() == groups.tolist()
    by_pairs = replace(data, groups=np.arange(40) // 4)
    said = describe("x.npz", by_pairs, make_task(by_pairs, 0.25, False, 0))
    assert re.search(r"in \d and \d groups, as the array 'groups' of the file says \(--groups '' leaves them", said)
    path = npz(X=X, y=y, groups=groups, film=np.arange(40) // 4)
    assert read(path, groups="").groups is None
    other = read(path, groups="film")
    assert other.groups.tolist() == (np.arange(40) // 4).tolist()
    assert "as the array" not in describe("x.npz", other, make_task(other, 0.25, False, 0))
    # Test samples have groups where the training samples have.
    ungrouped, grouped = (Data(X, y, one) for one in (None, groups))
    assert read(path, like=ungrouped).groups is None
    assert read(path, like=grouped).groups.tolist() == groups.tolist()
    assert read(npz(X=X, y=y), like=grouped).groups is None
    assert read(npz(X=X, groups=y), target="groups").groups is None


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([1, 2, 3], r"groups has shape \(3,\), expected \(40,\): one for each sample of X\. --groups '' leaves"),
        ([[1, 2]] * 40, r"groups has shape \(40, 2\), expected \(40,\)"),
        ([np.nan] + [1.0] * 39, "groups has missing or infinite values in 1 of 40 samples"),
        ([1j] * 40, "groups holds complex128; expected real numbers or texts"),
        ([None] * 40, "groups holds Python objects"),
    ],
)
def test_groups_in_a_file_that_do_not_fit(npz, rng, groups, message):
    path = npz(X=rng.normal(size=(40, 3)), y=np.arange(40) % 2, groups=np.array(groups))
    assert re.search(message, refused(path))
    assert len(read(path, groups="").X) == 40


def test_files_that_are_none(tmp_path, npz):
    assert "There is no" in refused(str(tmp_path / "none.npz"))
    (tmp_path / "a.npz").write_bytes(b"\x80\x04K\x01.")  # a pickle
    assert "is not an .npz as numpy.savez writes it" in refused(str(tmp_path / "a.npz"))
    with zipfile.ZipFile(tmp_path / "b.npz", "w") as archive:
        archive.writestr("X.npy", b"\x93NUMPY")
        archive.writestr("y.npy", b"")
    assert "is not an .npz as numpy.savez writes it" in refused(str(tmp_path / "b.npz"))
    (tmp_path / "a.xlsx").write_bytes(b"")
    assert "is no .npz, no .csv and no folder" in refused(str(tmp_path / "a.xlsx"))


@pytest.mark.parametrize(("delimiter", "encoding"), [(",", "utf-8"), (";", "utf-8-sig"), ("\t", "utf-8")])
def test_tables_have_a_target_groups_and_numbers(table, delimiter, encoding):
    text = 'width,"label",film,height\n1,cat,a,2.5\n\n3,"hot\ndog",b,-4e1\n'.replace(",", delimiter)
    data = read(table(text, encoding=encoding), groups="film")
    np.testing.assert_array_equal(data.X, [[1, 2.5], [3, -40]])
    assert data.columns == ["width", "height"]
    assert data.y.tolist() == ["cat", "hot\ndog"]
    assert data.groups.tolist() == ["a", "b"]


def test_digits_with_underscores_are_no_numbers(table):
    for other in ("2", "x"):  # all read at once, or cell by cell
        assert "not numbers: 'a' ('1_000' in line 2" in refused(table(f"a,y\n1_000,0\n{other},1\n"))


@pytest.mark.parametrize(
    ("cells", "expected"), [("1 0 1", [1, 0, 1]), ("1.0 2.0 1.0", [1, 2, 1]), ("1.5 2 1", [1.5, 2, 1])]
)
def test_targets_are_whole_numbers_if_all_are(table, cells, expected):
    y = read(table("a,y\n" + "".join(f"0,{cell}\n" for cell in cells.split()))).y
    assert y.tolist() == expected
    assert y.dtype.kind == ("f" if 1.5 in expected else "i")


def test_a_test_table_is_put_into_the_order_of_the_columns(table):
    data = read(table("a,b,y\n1,2,0\n3,4,1\n"))
    other = read(table("y,b,more,a\n0,5,x,6\n", "test.csv"), like=data)
    np.testing.assert_array_equal(other.X, [[6, 5]])
    assert "has no column 'b'" in refused(table("y,a\n0,5\n", "short.csv"), like=data)


@pytest.mark.parametrize(
    ("text", "options", "messages"),
    [
        ("", {}, ["is empty; expected a header"]),
        ("a,y\n", {}, ["a header and no rows"]),
        ("1,2\n3,4\n", {}, ["starts with numbers; expected a header"]),
        ("a,a,y\n1,2,3\n", {}, ["several columns 'a'"]),
        ("a,b\n1,2\n", {}, ["no column 'y'; --target NAME says which column to predict. It has a, b."]),
        ("a,y,label\n1,2,3\n", {}, ["several columns that could be it (y, label); --target NAME"]),
        ("a,y\n1,2\n", {"target": "z"}, ["has no column 'z'. It has a, y."]),
        ("a,patient,y\n1,2,3\n", {"groups": "pateint"}, ["no column 'pateint'; did you mean 'patient'? It has a,"]),
        ("y\n1\n", {}, ["no columns besides 'y' to predict from"]),
        ("a,y\n1,2\n3\n", {}, ["line 3 has 1 cells, the header 2"]),
        (
            "a,b,y\n1,,0\nx,NA,0\n1,2,\n",
            {},
            [
                "not numbers: 'a' ('x' in line 3). Leave these columns out",
                "missing values: 2 in 'b' (first in line 2), 1 in 'y' (first in line 4). Fill them in",
            ],
        ),
        ("a,y\ninf,1\n", {}, ["not numbers: 'a' ('inf' in line 2)"]),
        ("a,y\n" + '"' + "x" * 200_000 + "\n", {}, ["cannot be read as a table: field larger"]),
    ],
)
def test_tables_that_do_not_fit(table, text, options, messages):
    lines = refused(table(text), **options).splitlines()
    assert len(lines) == len(messages)
    for line, message in zip(lines, messages, strict=True):
        assert message in line


def test_a_table_in_another_encoding(table):
    assert "is not UTF-8" in refused(table("größe,y\n1,2\n", encoding="latin-1"))


@pytest.fixture
def folder(tmp_path, rng):
    """Two classes of six grey images of 6x4 pixels; the second class is brighter."""
    for name, low in [("dark", 0), ("light", 100)]:
        (tmp_path / "images" / name).mkdir(parents=True)
        for i in range(6):
            pixels = rng.integers(low, low + 100, (6, 4)).astype(np.uint8)
            Image.fromarray(pixels).save(tmp_path / "images" / name / f"{i}.png")
    return tmp_path / "images"


def test_folders_of_images_and_their_groups(folder, table):
    rows = "".join(f"{name}/{i}.png,{i % 3}\n" for name in ("dark", "light") for i in range(6))
    data = read(str(folder), groups=table(f"file,group\n{rows}", "groups.csv"))
    assert data.X.shape == (12, 6, 4, 1)
    assert data.y.tolist() == ["dark"] * 6 + ["light"] * 6
    assert data.groups.tolist() == [str(i % 3) for _ in range(2) for i in range(6)]
    assert read(str(folder), shape=(8, 8)).X.shape == (12, 8, 8, 1)
    assert read(str(folder), shape=(8, 8, 3)).X.shape == (12, 8, 8, 3)
    like = read(str(folder), shape=(3, 2, 3))
    assert read(str(folder), like=like).X.shape == like.X.shape


def test_folders_that_do_not_fit(folder, table):
    path = str(folder)
    assert "--target y: the target of images is the folder" in refused(path, target="y")
    assert "--shape 4x4x4x1: expected height x width" in refused(path, shape=(4, 4, 4, 1))
    assert "channels=2" in refused(path, shape=(4, 4, 2))
    assert "expected a CSV with the columns 'file' and 'group'" in refused(path, groups="patient")
    assert "has the columns a, b; expected" in refused(path, groups=table("a,b\n1,2\n"))
    assert "no group for 11 of 12 images: dark/1.png" in refused(path, groups=table("file,group\ndark/0.png,1\n"))
    Image.fromarray(np.zeros((9, 9), np.uint8)).save(folder / "dark" / "x.png")
    assert "2 sizes: 6x4 (12), 9x9 (1)" in refused(path)
    assert "--shape 6x4 brings all to one" in refused(path)
    (folder / "dark" / "x.png").write_bytes(b"x")
    skipping = "Repair them, take them out, or leave them out with --skip-unreadable."
    assert f"1 of 13 images cannot be read: dark/x.png (of no known format). {skipping}" in refused(path)


def test_images_that_cannot_be_read_are_left_out_if_asked(folder, npz, rng, capsys):
    whole = read(str(folder))
    (folder / "dark" / "x.png").write_bytes(b"x")
    data = read(str(folder), skip_unreadable=True)
    np.testing.assert_array_equal(data.X, whole.X)
    assert data.y.tolist() == whole.y.tolist()
    told = "skcnn: 1 of 13 images cannot be read: dark/x.png (of no known format). They are left out.\n"
    assert capsys.readouterr().err == told
    path = npz(X=rng.normal(size=(6, 3)), y=np.arange(6))
    assert "--skip-unreadable is for a folder of images" in refused(path, skip_unreadable=True)
    assert main(["--skip-unreadable"]) == 2
    assert "--skip-unreadable needs DATA" in capsys.readouterr().err
    assert main([str(folder), "--skip-unreadable", "--grid", "{}"]) == 2
    assert capsys.readouterr().err.startswith(told + "skcnn: --grid")


def test_a_folder_larger_than_memory_is_told_with_the_way_out(folder, monkeypatch):
    monkeypatch.setattr("skcnn.datasets._folder.free_bytes", lambda: 0)
    assert "12 images of 6x4x1 take 0.0 GiB, and 0.0 GiB of memory are free. Bring them to" in refused(str(folder))


# Tasks --------------------------------------------------------------------------------------------------------------


def rows(y, groups=None):
    y = np.asarray(y)
    return Data(np.arange(2.0 * len(y)).reshape(-1, 2), y, None if groups is None else np.asarray(groups))


@pytest.mark.parametrize(
    ("y", "kind", "to_find", "positive"),
    [
        ([0, 1] * 20, "binary", None, 1),
        ([1, 1, 1, 0] * 10, "binary", None, 1),
        ([True, False] * 20, "binary", None, True),
        ([0.0, 1.0] * 20, "binary", None, 1),
        ([1, 2, 2, 2] * 10, "binary", None, 1),
        ([2, 1, 1, 2, 2] * 10, "binary", None, 1),
        ([2, 1, 1] * 10, "binary", "2", 2),
        (["sick", "well", "well"] * 10, "binary", "sick", "sick"),
        ([0, 1, 2] * 10, "multiclass", None, None),
        (np.linspace(0, 1, 40), "regression", None, None),
    ],
)
def test_the_task_follows_from_the_targets(y, kind, to_find, positive):
    data = rows(y)
    task = make_task(data, 0.25, False, 0)
    assert (task.kind, task.to_find) == (kind, to_find)
    assert len(task.X_test) == pytest.approx(len(y) / 4, abs=1)
    assert not set(task.X_train[:, 0]) & set(task.X_test[:, 0])
    if kind == "binary":
        for X, found in [(task.X_train, task.y_train), (task.X_test, task.y_test)]:
            np.testing.assert_array_equal(found, data.y[(X[:, 0] / 2).astype(int)] == positive)


def test_whole_numbers_are_regression_if_said_so():
    task = make_task(rows(np.arange(40)), 0.25, True, 0)
    assert task.kind == "regression"
    assert task.y_train.dtype == float


def test_the_split_keeps_shares_and_groups():
    y, groups = np.array([0, 0, 0, 1] * 30), np.arange(120) // 4
    task = make_task(rows(y), 0.2, False, 0)
    assert task.y_test.mean() == pytest.approx(0.25, abs=0.02)
    for target in (y, np.linspace(0, 1, 120)):
        task = make_task(rows(target, groups), 0.2, False, 0)
        assert not set(task.groups_train) & set(task.groups_test)
        assert len(task.y_test) == pytest.approx(24, abs=5)
        search = make_search(task, Record([{"cnn__l2": [0.0]}], {"r2": None}), 1, 0)
        for train, test in search.cv.split(task.X_train, task.y_train, task.groups_train):
            assert not set(task.groups_train[train]) & set(task.groups_train[test])
    other = make_task(rows(y), 0.2, False, 1)
    assert not np.array_equal(task.X_test, other.X_test)


def test_given_test_rows_are_taken_whole():
    data, test = rows(["a", "b", "b"] * 5), rows(["b", "a"])
    task = make_task(data, test, False, 0)
    np.testing.assert_array_equal(task.X_train, data.X)
    np.testing.assert_array_equal(task.X_test, test.X)
    assert task.y_test.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("data", "test", "regression", "message"),
    [
        (
            rows([1, 1, 1, 1]),
            0.25,
            False,
            r"All 4 samples are of class 1; .* If the target is a quantity .* --regression",
        ),
        (rows(["a"] * 9), 0.25, False, r"All 9 samples are of class a; there is nothing to tell apart\.$"),
        (rows(["a"] * 9 + ["b"] * 3), 0.25, False, r"fewer than 4 samples, .*: b \(3\)\.$"),
        (rows(["a"] * 9 + ["b"] * 3), rows(["c"]), False, "classes that the training samples lack: c"),
        (rows(np.arange(30)), 0.25, False, r"0 \(1\), 1 \(1\), .* and 24 more\. If the target is a quantity"),
        (rows([0, 1] * 9, [1, 1, 2, 2, 3, 3] * 3), 0.25, False, r"fewer than 4 groups, .*: 0 \(3\), 1 \(3\)"),
        (rows([0.5, 1.5, 2.5]), 0.25, False, "There are 3 samples; 3 folds and a test set need 4"),
        (rows(np.linspace(0, 1, 9), [1, 2, 3] * 3), 0.25, False, "There are 3 groups"),
        (rows([2, 2, 2, 2]), 0.25, True, "All targets are 2; there is nothing to learn"),
        (rows(["a", "b"] * 9), 0.25, True, "--regression needs numbers to predict; the first target is a"),
        (rows([0, 1] * 9), 0.01, False, "--test 0.01: "),
        (
            replace(rows([0, 1] * 9, [1, 1, 2, 2, 3, 3] * 3), groups_found=True),
            0.25,
            False,
            "fewer than 4 groups, .* The groups are the array 'groups' of the file; --groups '' leaves",
        ),
    ],
)
def test_tasks_that_cannot_be_learnt(data, test, regression, message):
    with pytest.raises(DataError, match=message):
        make_task(data, test, regression, 0)


@pytest.mark.parametrize(
    ("shape", "blocks", "words"),
    [
        ((8, 8, 1), 2, "images of 8x8x1"),
        ((28, 28, 1), 3, "images of 28x28x1"),
        ((224, 224, 3), 5, "images of 224x224x3"),
        ((784,), 5, "samples of 784 features (if these are images: --shape 28x28x1)"),
        ((10,), 2, "samples of 10 features"),
        ((28, 28), 3, "series of 28 steps, 28 channels (if these are images: --shape 28x28x1)"),
        ((100, 3), 5, "series of 100 steps, 3 channels"),
        ((9, 9, 9, 1), 2, "volumes of 9x9x9x1"),
        ((1123, 794, 1), 7, "images of 1123x794x1"),
    ],
)
def test_sizes_and_words_follow_from_the_shape(shape, blocks, words):
    assert [len(filters) for filters in plain_sizes(shape)] == [blocks] * 3
    data = Data(np.zeros((8, *shape)), np.array(["a", "b"] * 4), np.arange(8))
    text = describe("x.npz", data, make_task(data, data, False, 0))
    assert text.startswith(f"x.npz: 8 {words} to learn from, 8 held out, in 8 and 8 groups. 2 classes: a 50.0%")
    assert text.endswith("The class to find is a, called 1 below: 4 to learn from, 4 held out.")


def test_a_fit_takes_about_as_many_steps_whatever_the_rows():
    assert [n_epochs(n) for n in (100, 1000, 3000, 100_000)] == [60, 60, 20, 10]


def task_of(y, X=None):
    y = np.asarray(y)
    X = np.zeros((len(y), 4)) if X is None else X
    kind = "regression" if y.dtype.kind == "f" else "binary" if len(np.unique(y)) == 2 else "multiclass"
    return Task(X, X, y, y, None, None, kind)


def test_cures_follow_from_the_classes():
    def balancing(y):
        return {
            repr(one.get("balance")): one.get("cnn__class_weight", "-")
            for one in ParameterGrid(cures(task_of(y), {"cnn__network__filters": (4,)}, 0))
        }

    rare = balancing([1] * 9 + [0] * 90)
    assert len(rare) == 3
    assert any("SMOTE" in name for name in rare)
    assert not any("SMOTE" in name for name in balancing([1] * 5 + [0] * 90))
    assert balancing([1] * 40 + [0] * 50) == {"None": "-"}
    assert balancing(np.linspace(0, 1, 9)) == {"None": "-"}


# --grid and --scoring -----------------------------------------------------------------------------------------------


def test_a_grid_is_json_or_in_a_file(table):
    text = '{"cnn__l2": [0, 0.1], "cnn__network__filters": [[8, 16]], "balance": ["passthrough", "SMOTE", null]}'
    for given in (text, f" [{text}]", table(text, "grid.json")):
        [grid] = read_grid(given, 7)
        assert grid["cnn__l2"] == [0, 0.1]
        assert grid["cnn__network__filters"] == [(8, 16)]
        first, second, third = grid["balance"]
        assert (first, third) == ("passthrough", None)
        assert isinstance(second, NDSampler)
        assert isinstance(second.sampler, SMOTE)
        assert second.sampler.random_state == 7
    assert of_network([{"cnn__l2": [0]}, grid], {"cnn__network__filters": (3,)}) == [
        {"cnn__l2": [0], "cnn__network__filters": [(3,)]},
        grid,
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{'cnn__l2': [0]}", r"^--grid is no JSON: .* \(char 1\)\. Expected such as"),
        ("nowhere.json", "^--grid nowhere.json: neither JSON nor a file"),
        ("{}", "expected names and lists"),
        ("[]", "expected names and lists"),
        ("[1]", "expected names and lists"),
        ('{"cnn__l2": 0.1}', r"'cnn__l2' has 0\.1; expected a list of values"),
        ('{"cnn__l2": []}', r"'cnn__l2' has \[\]; expected a list of values"),
        (
            '{"balance": ["SMOT"]}',
            "'balance' has 'SMOT', which is no sampler of imbalanced-learn; did you mean 'SMOTE'",
        ),
        ('{"balance": [3]}', "'balance' has 3, which is no sampler"),
    ],
)
def test_grids_that_are_none(text, message):
    with pytest.raises(DataError, match=message):
        read_grid(text, 0)


def test_scores_go_to_their_candidate_where_a_network_has_a_name():
    grid = read_grid('{"cnn__network": ["plain"], "cnn__network__filters": [[4], [8]], "cnn__l2": [0, 0.1]}', 0)
    record, task = Record(grid, {"accuracy": None}), task_of([0, 1])
    for i, candidate in enumerate(record.candidates):
        assert record._place(make_pipeline(task, 1, 0).set_params(**candidate)) == i


def test_every_wrong_name_and_value_of_a_grid_is_a_line():
    grid = read_grid('{"cnn__droput": [0.1], "cnn__l2": [-1]}', 0)
    with pytest.raises(DataError) as error:
        make_search(task_of([0, 1]), Record(grid, {"accuracy": None}), 1, 0)
    assert len(error.value.args) == 2
    assert error.value.args[0].startswith("--grid: 'cnn__droput': no such parameter; did you mean 'cnn__dropout'?")
    assert error.value.args[1].startswith("--grid: cnn: The 'l2' parameter")


def test_scores_are_those_of_scikit_learn_that_fit_the_task():
    binary, several, numbers = task_of([0, 1] * 9), task_of([0, 1, 2] * 9), task_of(np.linspace(0, 1, 9))
    assert next(iter(scorers_of(None, binary))) == "average_precision"
    assert list(scorers_of("accuracy", several)) == ["accuracy", "balanced_accuracy"]
    assert next(iter(scorers_of(None, numbers))) == "r2"
    for name, task in [("f2", binary), ("f1", several), ("roc_auc", several), ("accuracy", numbers)]:
        with pytest.raises(DataError, match=f"^--scoring {name}") as error:
            scorers_of(name, task)
        assert "\n" not in str(error.value)
    with pytest.raises(DataError, match="--scoring acuracy: scikit-learn has no such score; did you mean 'accuracy'"):
        scorers_of("acuracy", binary)
    for name in get_scorer_names():  # each is either taken or refused by name
        for task in (binary, several, numbers):
            with suppress(DataError):
                assert next(iter(scorers_of(name, task))) == name


# Comparing ----------------------------------------------------------------------------------------------------------


def test_comparison_is_paired_and_of_the_scorers_themselves():
    X, y = load_breast_cancer(return_X_y=True)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    task = Task(X[:200], X[200:], y[:200], y[200:], None, None, "binary")
    one, other = (LogisticRegression(C=C).fit(task.X_train, task.y_train) for C in (1e-4, 1.0))
    scorers = {name: get_scorer(name) for name in ("roc_auc", "neg_log_loss")}
    found = compare(task, one, other, scorers, 0, 100)
    for name, (a, b, difference) in found.items():
        assert a.value == pytest.approx(scorers[name](one, task.X_test, task.y_test))
        assert b.value == pytest.approx(scorers[name](other, task.X_test, task.y_test))
        assert difference.value == pytest.approx(b.value - a.value)
        for estimate in (a, b, difference):
            assert estimate.low <= estimate.value <= estimate.high
    assert found["neg_log_loss"].difference.sign == 1
    # The same resamples for both: the interval of a difference of correlated scores is narrower.
    plain, cured, difference = (one.high - one.low for one in found["neg_log_loss"])
    assert difference < plain + cured
    assert compare(task, one, one, scorers, 0, 100)["roc_auc"].difference == Estimate(0, 0, 0)


def test_groups_are_resampled_whole():
    X, y = load_diabetes(return_X_y=True)
    model = LinearRegression().fit(X, y)
    # Copies of 40 rows: as rows they look like many, as groups they are 40.
    rows = np.repeat(np.arange(40), 11)
    widths = []
    for groups in (None, rows):
        task = Task(X, X[rows], y, y[rows], None, groups, "regression")
        estimate = compare(task, model, model, {"r2": get_scorer("r2")}, 0)["r2"].plain
        widths.append(estimate.high - estimate.low)
    assert widths[1] > 2 * widths[0]


def test_scores_stand_below_each_other_whatever_their_size(capsys):
    small, large = Estimate(0.5, -0.0001, 0.75), Estimate(-148.7162, -254.8, -43.669)
    print_scores(
        {"r2": Comparison(small, small, small), "long_name_of_a_score": Comparison(large, large, large)}, ("a", "b")
    )
    empty, title, *rows = capsys.readouterr().out.splitlines()
    cells = "0.500 [0.000, 0.750]", "0.500 [0.000, 0.750]", "+0.500 [+0.000, +0.750]"
    assert rows == [
        "  r2                  " + "".join(f"{cell:>26}" for cell in cells),
        "  long_name_of_a_score" + 3 * "   -148.7 [-254.8, -43.67]",
    ]
    assert not empty
    assert len({len(line) for line in (title, *rows)}) == 1


def test_what_failed_is_read_from_the_tracebacks():
    text = "3 fits failed\nTraceback (most recent call last):\n  x\nFloatingPointError: The loss is nan.\n\nmore"
    assert failures([text, text, "nothing"]) == ["FloatingPointError: The loss is nan."]


# The whole ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A file of 8x8 images, a sixth of which have a bright corner."""
    rng, path = np.random.default_rng(0), tmp_path_factory.mktemp("data") / "images.npz"
    y = np.repeat(["plain", "spot"], [80, 16])
    X = rng.integers(0, 120, (96, 8, 8, 1)).astype(np.uint8)
    X[80:, :3, :3] += 100
    np.savez(path, X=X, y=y)
    return str(path)


QUICK = ["--epochs", "8", "--jobs", "2", "--grid", '{"cnn__l2": [0.0, 0.01], "balance": ["passthrough", "SMOTE"]}']


def test_a_search_on_own_data(images, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main([images, "--out", "page.html", *QUICK]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "72 images of 8x8x1 to learn from, 24 held out. 2 classes: plain 83.3%, spot 16.7%" in out.replace("\n", " ")
    assert "fit 10 of 10" in out
    assert "fit 13 of 13" in out
    assert re.search(r"^\* \(\d+, \d+\) +[\d.]+ ± [\d.]+(?: +[\d.]+){3}$", out, re.M)
    assert len(re.findall(r"^[* ] (?:SMOTE|none) +0", out, re.M)) == 4
    values = re.search(r"^  average_precision +([\d.]+) \[.*?\] +([\d.]+) \[.*?\] +([+-][\d.]+) \[", out, re.M)
    plain, cured, difference = map(float, values.groups())
    assert cured > 0.8
    assert difference == pytest.approx(cured - plain, abs=2e-3)
    assert "Diagnosis of GridSearchCV of Pipeline of CNNClassifier, 72 training samples, 24 test samples." in out
    assert "CNNClassifier(early_stopping=False, epochs=8" in out
    for text in re.findall(r"^--grid '(.*)'$", out, re.M):
        assert read_grid(text, 0)[0].keys() == json.loads(text).keys()
    assert "</html>" in (tmp_path / "page.html").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["page.html"]


def test_it_is_said_if_no_cure_was_chosen_and_why_fits_failed(images, tmp_path, capsys):
    page = ["--out", str(tmp_path / "page.html")]
    assert (
        main([images, *page, "--epochs", "1", "--grid", '{"cnn__l2": [0.0], "cnn__learning_rate": [0.003, 1e30]}']) == 0
    )
    out = capsys.readouterr().out
    assert out.count("Some fits failed: FloatingPointError: Training diverged") == 1
    assert "The search with cures chose none of them." in out
    assert "With cures average_precision" not in out


@pytest.mark.parametrize(("after", "n_done", "of_plain"), [(2, 1, False), (14, 3, True)])
def test_an_interrupt_reports_what_is_done(images, tmp_path, capsys, monkeypatch, after, n_done, of_plain):
    ticks = 0
    tick = Record.__call__

    def interrupted(record, *args):
        nonlocal ticks
        ticks += 1
        if ticks == after:
            raise KeyboardInterrupt
        return tick(record, *args)

    monkeypatch.setattr(Record, "__call__", interrupted)
    assert main([images, "--out", str(tmp_path / "page.html"), *QUICK, "--epochs", "1", "--jobs", "1"]) == 130
    out = capsys.readouterr().out
    total = 13 if of_plain else 10
    assert f"Interrupted after {n_done + (after == 14)} of {total} fits. Scores so far:" in out
    assert "of 3 folds" in out
    assert ("The best without cures, filters (" in out) == of_plain
    assert not (tmp_path / "page.html").exists()


def test_a_fit_that_fails_is_a_line_and_no_traceback(images, tmp_path, capsys):
    page = ["--out", str(tmp_path / "page.html")]
    grid = '{"cnn__learning_rate": [1e30], "cnn__network__normalization": [null], "cnn__optimizer": ["sgd"]}'
    assert main([images, *page, *QUICK, "--epochs", "2", "--grid", grid]) == 2
    err = capsys.readouterr().err
    assert re.fullmatch(r"skcnn: FloatingPointError: Training diverged: .*\n", err)


def test_what_is_wrong_is_said_before_tensorflow_starts(images, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("skcnn.__main__.quiet_start", None)  # would not be callable
    for arguments, message in [
        (["nowhere.npz"], "There is no 'nowhere.npz'"),
        ([images, "--scoring", "f"], "--scoring f: scikit-learn has no such score"),
        ([images, "--grid", '{"cnn__l": [1]}'], "--grid: 'cnn__l': no such parameter"),
        ([images, "--test", "nowhere.npz"], "There is no 'nowhere.npz'"),
        ([images, "--target", "z"], "has no array 'z'"),
        ([images, "--out", str(tmp_path / "no" / "page.html")], "cannot be written"),
        ([images, "--out", str(tmp_path)], "cannot be written"),
        (["--scoring", "f1"], "--scoring needs DATA"),
        (["--regression"], "--regression needs DATA"),
    ]:
        assert main(arguments) == 2, arguments
        out, err = capsys.readouterr()
        assert out == ""
        assert err.startswith("skcnn: ")
        assert message in err
        assert err.count("\n") == 1
    for arguments in (["--jobs", "0"], ["--shape", "28"], ["--shape", "0x3"], ["--test", "1.5"], ["--epochs", "x"]):
        with pytest.raises(SystemExit) as stopped:
            main([images, *arguments])
        assert stopped.value.code == 2
        err = capsys.readouterr().err
        assert err.startswith(f"skcnn: argument {arguments[0]}: '{arguments[1]}'; expected")
        assert err.count("\n") == 1


# Output that fails, and files that are not ours ----------------------------------------------------------------------


class Closed:
    """A standard output that takes so many characters."""

    encoding = "ascii"

    def __init__(self, room, error):
        self.room, self.error, self.taken = room, error, ""

    def write(self, text):
        text.encode(self.encoding)
        if len(self.taken) + len(text) > self.room:
            raise self.error
        self.taken += text

    def flush(self):
        if len(self.taken) > self.room:
            raise self.error

    def isatty(self):
        return False


class Diagnosed:
    """Stands for a diagnosis."""

    page = "<!DOCTYPE html>\n<title>Diagnosis</title><style>.skcnn {}</style>"

    def __str__(self):
        return "All is well."

    def to_html(self, path=None):
        return self.page


@pytest.fixture
def quick_job(monkeypatch):
    """Have the command print and write a page without any training."""

    def run(job):
        print("± scores \x1b[31m of \x9b classes")
        print_diagnosis(Diagnosed(), job)
        return True

    monkeypatch.setattr("skcnn._command.jobs.prepare", lambda options: options.out)
    monkeypatch.setattr("skcnn._command.workflow.run", run)
    monkeypatch.setattr("skcnn.__main__.quiet_start", suppress)


@pytest.mark.parametrize(
    "error", [BrokenPipeError(32, "Broken pipe"), OSError(28, "No space left"), ValueError("closed")]
)
@pytest.mark.parametrize("room", [0, 40])
def test_the_page_is_written_without_standard_output(error, room, quick_job, tmp_path, capsys, monkeypatch):
    out = Closed(room, error)
    with monkeypatch.context() as patched:
        patched.setattr(sys, "stdout", out)
        assert main(["--out", str(tmp_path / "page.html")]) == 1
    assert "standard output could not be written" in capsys.readouterr().err
    assert (tmp_path / "page.html").read_text() == Diagnosed.page
    assert out.taken in ("", "? scores \\x1b[31m of \\x9b classes\n", "? scores \\x1b[31m of \\x9b classes")


@pytest.mark.parametrize("missing", ["stdout", "stderr"])
def test_a_closed_standard_stream_is_no_fault(missing, quick_job, tmp_path, monkeypatch):
    with monkeypatch.context() as patched:
        patched.setattr(sys, missing, None)
        assert main(["--out", str(tmp_path / "page.html")]) == 0
        assert main([str(tmp_path / "none.npz"), "--seed", "0"]) == 0  # which this job does not read


CLOSED = """
import os, sys
import skcnn._command.jobs as jobs
import skcnn._command.workflow as workflow
jobs.prepare = lambda options: options
def run(job):
    opened = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT)
    os.write(2, b"a message of compiled code")
    print("done", opened > 2)
    return True
workflow.run = run
import runpy
runpy.run_module("skcnn", run_name="__main__", alter_sys=False)
"""


def test_no_file_takes_the_place_of_a_closed_standard_error(tmp_path):
    file = tmp_path / "file"
    command = [sys.executable, "-W", "ignore", "-c", CLOSED, "--out", str(file)]
    code = f"exec {shlex.join(command)} 2>&-"
    job = subprocess.run(["bash", "-c", code], stdout=subprocess.PIPE, text=True, check=False)
    assert (job.returncode, job.stdout) == (0, "done True\n")
    assert file.read_bytes() == b""


def test_a_page_whose_place_is_gone_is_saved_elsewhere(tmp_path, capsys):
    folder = tmp_path / "folder"
    folder.mkdir()
    check_out(str(folder / "page.html"))
    folder.rmdir()
    with pytest.raises(OSError, match=r"could not be written .*; the page is in ") as error:
        print_diagnosis(Diagnosed(), str(folder / "page.html"))
    elsewhere = Path(str(error.value).rpartition("the page is in ")[2])
    assert elsewhere.read_text() == Diagnosed.page
    elsewhere.unlink()
    assert "All is well." in capsys.readouterr().out


def test_a_part_of_the_report_that_fails_takes_no_other_with_it(images, tmp_path, capsys, monkeypatch):
    def fail(*arguments, **options):
        raise RuntimeError("a bug\nin two lines")

    monkeypatch.setattr("skcnn._command.workflow.compare", fail)
    monkeypatch.setattr("skcnn.diagnose", fail)
    page = ["--out", str(tmp_path / "page.html")]
    assert main([images, *page, "--epochs", "1", "--grid", '{"cnn__l2": [0.0]}']) == 1
    out, err = capsys.readouterr()
    assert err.splitlines() == [
        f"skcnn: the {part} failed: RuntimeError: a bug in two lines" for part in ("comparison", "diagnosis")
    ]
    assert "CNNClassifier(early_stopping=False, epochs=1" in out


@pytest.mark.parametrize(
    "kind", ["data", "link", "hard link", "grid", "directory", "device", "dangling link", "web page"]
)
def test_nothing_is_overwritten_but_a_page_of_ours(kind, images, tmp_path, capsys):
    data, out = tmp_path / "data.npz", tmp_path / "page.html"
    data.write_bytes(Path(images).read_bytes())
    grid = tmp_path / "grid.json"
    grid.write_text('{"cnn__l2": [0.0]}')
    make = {
        "data": lambda: data,
        "link": lambda: out.symlink_to(data),
        "hard link": lambda: out.hardlink_to(data),
        "grid": lambda: grid,
        "directory": lambda: out.mkdir(),
        "device": lambda: Path(os.devnull),
        "dangling link": lambda: out.symlink_to(tmp_path / "nowhere"),
        "web page": lambda: out.write_text("<!DOCTYPE html><title>Mine</title>") and None,
    }
    out = make[kind]() or out
    before = data.read_bytes(), grid.read_bytes()
    assert main([str(data), "--grid", str(grid), "--out", str(out)]) == 2
    assert re.fullmatch(r"skcnn: --out .* (exists and is no page|cannot be written).*\n", capsys.readouterr().err)
    assert before == (data.read_bytes(), grid.read_bytes())
    assert not (tmp_path / "nowhere").exists()


def test_a_page_of_ours_is_overwritten(rng, tmp_path, capsys):
    y = rng.integers(0, 2, 40)
    X = rng.normal(size=(40, 2)) + y[:, None]
    out = str(tmp_path / "page.html")
    report = skcnn.diagnose(LogisticRegression().fit(X, y), X, y, X, y, fast=True)
    for _ in range(2):
        print_diagnosis(report, out)
    link = tmp_path / "link.html"
    link.symlink_to(out)
    print_diagnosis(Diagnosed(), str(link))
    assert link.is_symlink()
    assert Path(out).read_text() == Diagnosed.page


def test_a_disk_that_is_full_leaves_the_earlier_page(tmp_path, monkeypatch):
    out, page = tmp_path / "page.html", "<!DOCTYPE html><title>Diagnosis</title>skcnn"
    out.write_text(page)
    write = Path.write_text

    def fill(path, text, **options):
        write(path, text[:10], **options)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", fill)
    with pytest.raises(OSError, match=r"No space left on device.*; the page is in ") as error:
        print_diagnosis(Diagnosed(), str(out))
    Path(str(error.value).rpartition("the page is in ")[2]).unlink()
    assert out.read_text() == page
    assert list(tmp_path.iterdir()) == [out]


# Odd files -----------------------------------------------------------------------------------------------------------


def test_pipes_and_devices_are_not_waited_for(tmp_path):
    for name in ("data.npz", "data.csv", "data"):
        os.mkfifo(tmp_path / name)
        assert "no regular file" in refused(str(tmp_path / name))
    assert "no regular file" in refused("/dev/zero")
    with pytest.raises(DataError, match="neither JSON nor a file"):
        read_grid(str(tmp_path / "data"), 0)


def test_archives_that_cannot_be_read_are_named(npz, rng, tmp_path):
    path = Path(npz(X=rng.normal(size=(20, 3)), y=np.arange(20) % 2))
    whole = path.read_bytes()
    encrypted = bytearray(whole)
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # flags of each member
        place = encrypted.find(mark)
        while place >= 0:
            encrypted[place + offset] |= 1
            place = encrypted.find(mark, place + 1)
    header = b"\x93NUMPY\x02\x00" + (2**20).to_bytes(4, "little") + b" " * 2**20
    shape = b"{'descr': '<f8', 'fortran_order': False, 'shape': (%d, 3), }\n" % 10**17
    vast = b"\x93NUMPY\x01\x00" + len(shape).to_bytes(2, "little") + shape
    for content in (bytes(encrypted), header, vast):
        if content[:6] == b"\x93NUMPY":
            with zipfile.ZipFile(path, "w") as archive:
                archive.writestr("X.npy", content)
        else:
            path.write_bytes(content)
        assert re.search("is not an .npz as numpy.savez writes it|does not fit into the memory", refused(str(path)))


def test_wide_tables_take_linear_time(table):
    n = 40_000
    text = ",".join(f"f{i}" for i in range(n)) + ",y\n" + "\n".join(",".join(["1"] * n) + f",{i % 2}" for i in range(4))
    path, start = table(text), time.process_time()
    assert read(path).X.shape == (4, n)
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["007", "7"], ["007", "7"]),
        (["1", "2"], [1, 2]),
        (["9007199254740993", "9007199254740992"], [2**53 + 1, 2**53]),
        (["99999999999999999999", "1"], ["99999999999999999999", "1"]),
        (["1_000", "1000"], ["1_000", "1000"]),
        (["+49", "49"], ["+49", "49"]),
        (["1.5", "2"], [1.5, 2.0]),
        (["-3", "4"], [-3, 4]),
    ],
)
def test_labels_that_are_text_stay_text(table, cells, expected):
    data = read(table("a,y\n" + "".join(f"0,{cell}\n" for cell in cells)))
    assert data.y.tolist() == expected


def test_padded_numbers_are_quantities_where_these_are_asked_for(table):
    data = read(table("a,y\n" + "".join(f"{i},{i:03}\n" for i in range(20))))
    assert make_task(data, 0.25, regression=True, seed=0).y_train.dtype == np.float64
