"""`netsim data list | fetch | show`."""

from __future__ import annotations

import os
import shlex

import numpy as np
import pytest
from data_files import write_idx
from typer.testing import CliRunner

from netsim import cli, data
from netsim.cli.data import data_app
from netsim.data import places, registry
from netsim.data.picture import class_sheet
from netsim.errors import NetsimError, OptionError, UnknownNameError


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch):
    monkeypatch.setenv("NETSIM_DATA", str(tmp_path / "default"))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr(places, "_INSTALLED", tmp_path / "installed")
    monkeypatch.chdir(tmp_path)


def run(*arguments):
    result = CliRunner().invoke(data_app, list(map(str, arguments)))
    if isinstance(result.exception, NetsimError):
        raise result.exception
    assert result.exception is None, result.output
    return result.output


def test_list_tells_where_each_stands_or_how_to_get_it(tmp_path):
    write_idx(tmp_path / "here" / "mnist")
    text = run("list", "--data-dir", "here")
    for name in data.known():
        assert name in text
    assert "50,000" in text and "32x32x3" in text and "npz:PATH" in text
    assert "netsim data fetch cifar10 --data-dir here" in text and "here/mnist" in text
    assert "netsim data fetch mnist" in run("list")


def test_show_refuses_data_without_a_name(capsys):
    for name in ("npz:", "npz:.", "npz:/", ""):
        line_of(capsys, "data", "show", name)


@pytest.mark.parametrize("where", ["absent", "absent/mnist", "file/mnist"])
def test_list_refuses_a_folder_that_is_not_there(tmp_path, capsys, where):
    (tmp_path / "file").write_text("")
    line = line_of(capsys, "data", "list", "--data-dir", where)
    assert line == f"{where}: no such folder or file; expected a folder with the data files"


def line_of(capsys, *arguments) -> str:
    """The one line with which a command of `netsim` is refused."""
    assert cli.run(list(map(str, arguments))) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1
    return captured.err.removeprefix("netsim: error: ").rstrip("\n")


@pytest.mark.parametrize("where", [None, "empty", "absent", "a folder"])
@pytest.mark.parametrize("name", ["cifar10", "cifar100", "mnist", "fashion-mnist"])
def test_every_missing_file_has_its_address_checksum_and_place_on_the_line(name, where, tmp_path, capsys):
    folder = tmp_path / (where or "default")
    for made in ("empty", "a folder"):
        (tmp_path / made).mkdir()
    options = [] if where is None else ["--data-dir", folder]
    line = line_of(capsys, "train", "--data", name, *options)
    for item in next(iter(data.describe(name).downloads.values())):
        assert f"{item.url} (md5 {item.md5}) at {folder / item.path}" in line
    fetch = f"netsim data fetch {name}" + ("" if where is None else f" --data-dir {shlex.quote(str(folder))}")
    assert f"`{fetch}` gets it" in line


def test_an_argument_of_any_length_makes_no_long_line(capsys):
    for arguments in [("train", "--epochs", "x" * 5000), ("y" * 5000,), ("data", "show", "z" * 5000)]:
        assert len(line_of(capsys, *arguments)) <= cli.LONGEST_LINE + len(" ... ")


def test_fetch_says_where_the_files_are(monkeypatch, tmp_path):
    def fetched(item, folder, advance):
        advance(item.path, 5, 10)
        return folder / item.path

    monkeypatch.setattr(registry, "fetch_file", fetched)
    text = run("fetch", "cifar10", "--data-dir", tmp_path, "--layout", "python")
    assert f"cifar10: {tmp_path}/cifar-10-python.tar.gz" in text
    with pytest.raises(UnknownNameError):
        run("fetch", "cifar11x")


def test_show_writes_a_picture(tmp_path):
    assert run("show", "digits").strip() == "digits.png"
    assert (tmp_path / "digits.png").read_bytes().startswith(b"\x89PNG")
    run("show", "digits", "--out", "x.svg")
    text = (tmp_path / "x.svg").read_text()
    assert "<svg" in text


def test_show_takes_a_folder_or_a_name_without_ending(tmp_path):
    (tmp_path / "pictures").mkdir()
    assert run("show", "digits", "--out", "pictures").strip() == "pictures/digits.png"
    assert run("show", "digits", "--out", "mine").strip() == "mine.png"
    assert (tmp_path / "pictures" / "digits.png").is_file() and (tmp_path / "mine.png").is_file()


def test_show_refuses_a_place_that_cannot_be_written(tmp_path, capsys):
    (tmp_path / "thesis.tex").write_text("all of it")
    (tmp_path / "link.png").symlink_to("thesis.tex")
    os.mkfifo(tmp_path / "pipe.png")
    for out, line in {
        "absent/x.png": "--out absent/x.png: there is no folder absent",
        "d.bmp": "--out d.bmp: the name must end in .png, .pdf or .svg; known: png, pdf, svg",
        "d.pgn": "--out d.pgn: the name must end in .png, .pdf or .svg (did you mean 'png'?)",
        "link.png": "link.png cannot be written: a symbolic link stands there, no regular file",
        "pipe.png": "pipe.png cannot be written: a named pipe stands there, no regular file",
    }.items():
        assert line_of(capsys, "data", "show", "digits", "--out", out) == line
    assert (tmp_path / "thesis.tex").read_text() == "all of it"


def dataset(classes, shape, missing=()):
    labels = np.array([label for label in range(classes) if label not in missing] * 12)
    images = np.zeros((len(labels), *shape), np.uint8)
    images += (labels * 2 + 1).astype(np.uint8)[:, None, None, None]
    names = tuple(f"class_{label}" for label in range(classes))
    return data.Dataset("x", data.Split(images, labels, 1 / 255), None, names, shape, classes)


def sheet_of(figure):
    (axes,) = figure.axes
    (image,) = axes.images
    return axes, np.asarray(image.get_array())


@pytest.mark.parametrize("channels", [1, 3])
def test_rows_of_ten_images_of_a_class(channels):
    axes, sheet = sheet_of(class_sheet(dataset(7, (8, 6, channels))))
    assert [label.get_text() for label in axes.get_yticklabels()] == [f"class_{label}" for label in range(7)]
    for row, tick in enumerate(axes.get_yticks()):
        assert np.isclose(tick, row * 9 + 3.5)
        for column in range(10):
            cell = sheet[row * 9 : row * 9 + 8, column * 7 : column * 7 + 6]
            np.testing.assert_allclose(cell, (row * 2 + 1) / 13, rtol=1e-6)
    assert sheet.shape[:2] == (63, 69) and np.all(sheet[8::9] == 1)


def test_one_image_of_each_of_a_hundred_classes():
    axes, sheet = sheet_of(class_sheet(dataset(100, (8, 8, 3), missing=(42,))))
    assert [text.get_text() for text in axes.texts] == [f"class {label}" for label in range(100)]
    values = [sheet[label // 10 * 11, label % 10 * 9, 0] for label in range(100)]
    expected = [1.0 if label == 42 else (label * 2 + 1) / 199 for label in range(100)]
    np.testing.assert_allclose(values, expected, rtol=1e-6)


def test_pictures_of_floats_and_of_other_channels():
    images = np.linspace(-1, 3, 2 * 4 * 4).reshape(2, 4, 4, 1).astype(np.float32)
    floats = data.Dataset("x", data.Split(images, np.array([0, 1])), None, ("a", "b"), (4, 4, 1), 2)
    _, sheet = sheet_of(class_sheet(floats))
    assert sheet[0, 0] == 0 and sheet[5 + 3, 3] == 1
    with pytest.raises(OptionError, match="only 1 or 3"):
        class_sheet(dataset(2, (4, 4, 2)))
    flat = data.Dataset("x", data.Split(images * 0, np.array([0, 1])), None, ("a", "b"), (4, 4, 1), 2)
    assert np.isfinite(sheet_of(class_sheet(flat))[1]).all()
