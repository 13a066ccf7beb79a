"""The command line with any file and any option: the data as they are in the file, or a line saying what is wrong."""

import contextlib
import csv
import io
import tempfile
import zipfile
from pathlib import Path

import numpy as np
import pytest
from hostile import cases, time_limit
from hostile_things import JUNK_LABELS, arrays
from hypothesis import strategies as st

from skcnn.__main__ import main
from skcnn._command.reading import read

STOP = ["--grid", "{}"]  # is looked at after the data, and is always wrong
TAKEN = "--grid: expected names"


@pytest.fixture(scope="module", autouse=True)
def folder():
    """Each case writes its file into a folder of its own, which is the current one."""
    with tempfile.TemporaryDirectory() as place, contextlib.chdir(place):
        yield Path(place)


def said(*arguments):
    """Run the command line, which must say in a few lines what is wrong, and return them."""
    out, err = io.StringIO(), io.StringIO()
    before = sorted((str(path), path.stat().st_mtime_ns) for path in Path(".").rglob("*"))
    with time_limit(), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main(list(map(str, arguments)))
        except SystemExit as end:
            code = end.code
    lines = err.getvalue().splitlines()
    assert code == 2, (code, lines)
    assert 0 < len(lines) <= 3, lines
    assert all(line.startswith("skcnn: ") and len(line) < 600 + max(map(len, map(str, arguments))) for line in lines), (
        lines
    )
    assert not out.getvalue()
    assert sorted((str(path), path.stat().st_mtime_ns) for path in Path(".").rglob("*")) == before
    return "\n".join(lines)


def named(text, *names):
    assert any(name in text for name in names), f"{text!r} names none of {names}"


@cases(220, X=arrays(rows=(12, 12, 12, 2, 0)), y=st.sampled_from(sorted(JUNK_LABELS)), groups=st.booleans())
def test_arrays_in_a_file(X, y, groups):
    n = len(X.value) if np.ndim(X.value) else 12
    try:
        target = np.asarray(JUNK_LABELS[y](n))
        np.savez("data.npz", X=X.value, y=target, g=np.arange(n) % 5)
    except (ValueError, IndexError, TypeError):  # no array, or of no rows
        return
    text = said("data.npz", *STOP, *["--groups", "g"] * groups)
    named(text, "data.npz", "class", "target", "samples", "groups", "--")
    assert TAKEN not in text or not X.is_bad, text
    if TAKEN in text:
        data = read("data.npz")
        np.testing.assert_array_equal(data.X, X.value)
        np.testing.assert_array_equal(data.y, target.reshape(len(target)))


CELLS = ["1", "2", "3.5", "-4e1", " 5 ", "1e-320", "007", "+1", ".5"]
ODD_CELLS = [
    "1e308",
    "1e999",
    "nan",
    "",
    "?",
    "abc",
    "ü",
    "0x10",
    "1_000",
    "١",
    "True",
    "∞",
    "--",
    "1 2",
    "'1'",
    "=1+1",
    "1e",
    "None",
]
LABEL_CELLS = [
    ["0", "1"],
    ["cat", "dog"],
    ["-1", "1", "2"],
    ["0.0", "1.0"],
    ["a", ""],
    ["x", "1"],
    ["1.5", "2.5"],
    ["ü", "ö"],
]


@cases(
    300,
    header=st.lists(st.sampled_from(["a", "b", "y", "label", "", " y ", "1", "ü", "a"]), min_size=1, max_size=4),
    labels=st.sampled_from(LABEL_CELLS),
    odd=st.sampled_from([None, None, *ODD_CELLS]),
    rows=st.sampled_from([12, 12, 12, 3, 1, 0]),
    delimiter=st.sampled_from(",;\t"),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "latin-1"]),
    seed=st.integers(0, 5),
)
def test_tables(header, labels, odd, rows, delimiter, encoding, seed):
    rng = np.random.default_rng(seed)
    header = [*header, "y"] if seed else header
    cells = [
        [labels[i % len(labels)] if name.strip() == "y" else str(rng.choice(CELLS)) for name in header]
        for i in range(rows)
    ]
    if odd is not None and rows:
        cells[rng.integers(rows)][rng.integers(len(header))] = odd
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter).writerows([header, *cells])
    Path("data.csv").write_bytes(text.getvalue().encode(encoding, errors="replace"))
    answer = said("data.csv", *STOP)
    named(answer, "data.csv", "class", "Classes", "target", "rows", "samples") if TAKEN not in answer else None
    if TAKEN in answer:
        data, names = read("data.csv"), [name.strip() for name in header]
        place = names.index("y" if "y" in names else "label")
        others = [i for i in range(len(names)) if i != place]
        np.testing.assert_array_equal(data.X, [[float(row[i]) for i in others] for row in cells])
        kept = [row[place].strip() for row in cells]
        assert (kept if data.y.dtype.kind == "U" else list(map(float, kept))) == data.y.tolist()


@cases(
    120,
    content=st.binary(max_size=40),
    name=st.sampled_from(["a.npz", "a.csv", "a.tsv", "a.txt", "a.png", "a"]),
    zipped=st.booleans(),
)
def test_any_bytes(content, name, zipped):
    if zipped:
        with zipfile.ZipFile(name, "w") as archive:
            archive.writestr("X.npy", content)
            archive.writestr("y.npy", b"\x93NUMPY\x01\x00" + content)
    else:
        Path(name).write_bytes(content)
    named(said(name, *STOP), name)
    Path(name).unlink()


OPTIONS = ["--target", "--groups", "--test", "--shape", "--scoring", "--epochs", "--jobs", "--seed", "--out", "--grid"]
OPTIONS += ["--budget", "--pretrained"]
TEXTS = [
    "",
    " ",
    "y",
    "g",
    "X",
    "0",
    "1",
    "-1",
    "0.5",
    "1.5",
    "nan",
    "inf",
    "1e400",
    "9" * 30,
    "None",
    "a\0b",
    ".",
    "ü",
]
TEXTS += [
    "2x3",
    "2x3x1",
    "3x2x1x1",
    "0x6",
    "x",
    "99999999x99999999",
    "r2",
    "roc_auc",
    "accuracy",
    "data.npz",
    "[]",
    '{"a": 1}',
]
TEXTS += [
    '{"cnn__l2": [NaN]}',
    '{"cnn__l2": ["a"]}',
    '{"cnn__epochs": [0]}',
    '{"balance": ["no"]}',
    "[[]]",
    "{",
    "null",
    "[" * 5000,
]


@cases(220, option=st.sampled_from(OPTIONS), value=st.sampled_from(TEXTS), regression=st.booleans())
def test_options(option, value, regression):
    rng = np.random.default_rng(0)
    np.savez("data.npz", X=rng.normal(size=(24, 6)), y=np.arange(24) % 2, g=np.arange(24) % 8)
    stop = [] if option == "--grid" else STOP
    text = said("data.npz", f"{option}={value}", *stop, *["--regression"] * regression)
    of_data = ["Classes in fewer", "--test 0.25: ", "nothing to", "groups"]  # that an option chose
    named(text, option, "--grid", f"{value} ", repr(value), *of_data)


@pytest.mark.parametrize("name", ["", ".", "a" * 5000, "a\0b", "ü", "no.npz", "-"])
def test_names_of_data(name):
    named(said(f"./{name}" if name == "-" else name, *STOP), name.replace("\0", "\\x00"), "There is no")


def test_a_folder_of_odd_files(tmp_path):
    for kind in ("cat", "dog"):
        (tmp_path / kind).mkdir()
        for i, content in enumerate([b"", b"GIF89a", b"\x89PNG\r\n", b"\xff\xd8\xff", bytes(range(256))]):
            (tmp_path / kind / f"{i}.png").write_bytes(content)
    named(said(tmp_path, *STOP), str(tmp_path))
    named(said(tmp_path / "cat", *STOP), str(tmp_path))


def test_odd_data_are_learnt_from(tmp_path, capsys):
    """The whole job, once: big-endian integers, a constant column, labels that are texts, groups."""
    rng = np.random.default_rng(0)
    y = np.arange(60) % 2
    X = rng.integers(-9, 10, (60, 4)).astype(">i2") + 6 * y[:, None].astype(">i2")
    X[:, 2] = 7
    np.savez(tmp_path / "data.npz", X=np.asfortranarray(X), y=np.array(["ü", "<b>"])[y], g=np.arange(60) // 2)
    arguments = [
        tmp_path / "data.npz",
        "--groups",
        "g",
        "--epochs",
        "1",
        "--jobs",
        "1",
        "--out",
        tmp_path / "page.html",
    ]
    assert main([*map(str, arguments), "--grid", '{"cnn__l2": [0]}']) == 0
    out = " ".join(capsys.readouterr().out.split())  # lines break where the length of the path has them break
    assert "called 1 below" in out
    assert "On the held-out samples" in out
    assert (tmp_path / "page.html").exists()
