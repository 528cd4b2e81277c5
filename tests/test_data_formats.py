"""The official file layouts, read right."""

from __future__ import annotations

import io
import pickle
import re
import tarfile
from pathlib import Path

import numpy as np
import pytest
from data_files import (
    archive_of,
    cifar_archive,
    cifar_content,
    idx_bytes,
    images_of,
    python2_pickle,
    python3_pickle,
    small_idx_layout,
    small_layout,
    write_cifar,
    write_idx,
)
from hypothesis import given
from hypothesis import strategies as st

from netsim import data
from netsim.data import cifar, idx, places
from netsim.data.compressed import opened
from netsim.data.refusal import refusing
from netsim.data.unpickle import read_pickle
from netsim.errors import DataError

WRITERS = {"python 2": python2_pickle} | {f"protocol {n}": python3_pickle(n) for n in (1, 2, 3, 4, 5)}


def check_cifar(splits, layout, content):
    train, test = splits
    planes = np.concatenate([content[name][0] for name in layout.train])
    np.testing.assert_array_equal(train.images, images_of(planes))
    np.testing.assert_array_equal(train.labels, np.concatenate([content[name][1] for name in layout.train]))
    np.testing.assert_array_equal(test.images, images_of(content[layout.test[0]][0]))
    assert train.scale == 1 / 255 and train.images.flags.c_contiguous and train.images.dtype == np.uint8


@pytest.mark.parametrize("classes", [10, 100])
@pytest.mark.parametrize("size", [1, 6, 1003])  # more than one chunk of records, the last one ragged
def test_cifar_binary_folder(classes, size, tmp_path):
    layout = small_layout(classes, size=size)
    content = cifar_content(layout)
    write_cifar(tmp_path, layout, content)
    check_cifar(cifar.read(places.find([layout], tmp_path)), layout, content)


@pytest.mark.parametrize("classes", [10, 100])
@pytest.mark.parametrize("writer", WRITERS)
def test_cifar_python_folder(classes, writer, tmp_path):
    layout = small_layout(classes, pickled=True, size=7)
    content = cifar_content(layout)
    write_cifar(tmp_path, layout, content, WRITERS[writer])
    check_cifar(cifar.read(places.find([layout], tmp_path)), layout, content)


@pytest.mark.parametrize("classes", [10, 100])
@pytest.mark.parametrize("pickled", [False, True])
@pytest.mark.parametrize("compress", [False, True])
def test_cifar_archives(classes, pickled, compress, tmp_path):
    """Found by name in a folder and under any name when named; extra files and folders are passed over."""
    layout = small_layout(classes, pickled)
    content = cifar_content(layout)
    packed = cifar_archive(layout, content, compress=compress)
    (tmp_path / layout.archive).write_bytes(packed)
    (tmp_path / "any name").write_bytes(packed)
    for place in (tmp_path, tmp_path / "any name"):
        found = places.find([small_layout(classes, not pickled), layout], place)
        assert found.is_archive and found.layout == layout
        check_cifar(cifar.read(found), layout, content)


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_archives_made_by_hand_are_read(form, tmp_path):
    """`tar czf` of the folder: a folder entry first, other times and owners, pax headers."""
    layout = small_layout()
    content = cifar_content(layout)
    folder = write_cifar(tmp_path, layout, content)
    (folder / "readme.html").write_text("passed over")
    with tarfile.open(tmp_path / "mine.tgz", "w:gz", format=form) as archive:
        archive.add(folder, "./" + folder.name)
    check_cifar(cifar.read(places.find([layout], tmp_path / "mine.tgz")), layout, content)


def test_an_archive_is_not_extracted(tmp_path, monkeypatch):
    layout = small_layout()
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / layout.archive).write_bytes(cifar_archive(layout, cifar_content(layout)))
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.rglob("*"))
    cifar.read(places.find([layout], tmp_path / "in"))
    assert sorted(tmp_path.rglob("*")) == before


def test_gzip_of_several_members_and_padding_is_one_stream():
    import gzip

    packed = gzip.compress(b"one ") + gzip.compress(b"two") + b"\0" * 100
    stream = opened(io.BytesIO(packed), refusing("x"), limit=100)
    assert stream.readall() == b"one two"


@pytest.mark.parametrize("packed", [False, True])
def test_idx(packed, tmp_path):
    content = write_idx(tmp_path / "mnist", packed=packed)
    train, test = idx.read(places.find([small_idx_layout()], tmp_path))
    np.testing.assert_array_equal(train.images[..., 0], content[idx.FILES[0]])
    np.testing.assert_array_equal(train.labels, content[idx.FILES[1]])
    np.testing.assert_array_equal(test.images[..., 0], content[idx.FILES[2]])
    assert train.images.shape == (5, 28, 28, 1) and train.scale == 1 / 255
    assert idx_bytes(content[idx.FILES[0]])[:4] == b"\0\0\x08\x03"  # as the description of the format has it


@pytest.mark.parametrize("save", [np.savez, np.savez_compressed])
@pytest.mark.parametrize("dtype", ["u1", "f2", "f4", "f8", ">f4"])
@pytest.mark.parametrize("shape", [(6, 4, 5), (6, 4, 5, 3)])
def test_npz(save, dtype, shape, tmp_path):
    images = np.random.default_rng(1).integers(0, 200, shape).astype(dtype)
    labels = np.array([0, 4, 1, 1, 0, 2], ">i2")
    save(tmp_path / "mine.npz", images=images, labels=labels, other=np.zeros(3))
    dataset = data.load(f"npz:{tmp_path}/mine.npz")
    assert dataset.input_shape == (4, 5, 1 if len(shape) == 3 else 3)
    assert dataset.classes == 5 and dataset.class_names == ("0", "1", "2", "3", "4") and dataset.test is None
    np.testing.assert_array_equal(dataset.train.images.reshape(shape), images)
    np.testing.assert_array_equal(dataset.train.labels, labels)
    assert dataset.train.scale == (1 / 255 if dtype == "u1" else 1.0)
    assert dataset.train.images.dtype == (np.uint8 if dtype == "u1" else np.float32)


def test_npz_with_a_test_part_in_column_order(tmp_path):
    rng = np.random.default_rng(1)
    arrays = {"train_images": np.asfortranarray(rng.random((4, 3, 2))), "train_labels": np.arange(4)}
    arrays |= {"test_images": rng.random((2, 3, 2)), "test_labels": np.array([5, 0])}
    np.savez(tmp_path / "mine.npz", **arrays)
    dataset = data.load("npz:mine.npz", data_dir=tmp_path)
    np.testing.assert_array_equal(dataset.train.images[..., 0], arrays["train_images"].astype(np.float32))
    assert len(dataset.test) == 2 and dataset.classes == 6


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"images": np.zeros((2, 3, 3), int), "labels": [0, 1]}, "dtype int64; expected uint8"),
        ({"images": np.zeros((2, 3), "u1"), "labels": [0, 1]}, r"shape \(2, 3\)"),
        ({"images": np.zeros((2, 3, 3), "u1"), "labels": [0.0, 1]}, r"expected \(N,\) integers"),
        ({"images": np.zeros((2, 3, 3), "u1"), "labels": [0, 1, 2]}, "2 images but 3 labels"),
        ({"images": np.zeros((2, 3, 3), "u1"), "labels": [0, -1]}, r"mine\.npz: labels run from -1 to 0"),
        ({"images": np.zeros((2, 3, 3), "u1"), "labels": [0, 10**6]}, "label 1000000; expected 0 to 9999"),
        ({"images": np.zeros((0, 3, 3), "u1"), "labels": np.zeros(0, int)}, "at least one"),
        ({"images": np.full((2, 3, 3), np.nan), "labels": [0, 1]}, "image 0 has pixels that are not finite"),
        ({"images": np.full((2, 3, 3), 1e300), "labels": [0, 1]}, "not finite"),
        ({"images": np.array([[object()]]), "labels": [0]}, "never pickled objects"),
        ({"images": np.zeros((2, 3, 3), complex), "labels": [0, 1]}, "dtype complex128"),
        (
            {"pictures": np.zeros((2, 3, 3), "u1"), "labels": [0, 1]},
            "the arrays labels, pictures; expected images",
        ),
        ({}, r"\(none\)"),
        (
            {"train_images": np.zeros((2, 3, 3), "u1"), "train_labels": [0, 1]}
            | {"test_images": np.zeros((2, 3, 4), "u1"), "test_labels": [0, 1]},
            r"test_images: uint8 \(3, 4, 1\); expected uint8 \(3, 3, 1\)",
        ),
        (
            {"train_images": np.zeros((2, 3, 3), "u1"), "train_labels": [0, 1]}
            | {"test_images": np.zeros((2, 3, 3), "u1"), "test_labels": [0.5, 1]},
            r"mine\.npz: test: labels have shape \(2,\) and dtype float64",
        ),
    ],
)
def test_npz_refuses_arrays_that_do_not_fit(arrays, message, tmp_path):
    path = tmp_path / "mine.npz"
    np.savez(path, allow_pickle=True, **{name: np.asarray(array) for name, array in arrays.items()})
    with pytest.raises(DataError, match=message) as caught:
        data.load(f"npz:{path}")
    assert str(caught.value).startswith(str(path)) and "\n" not in str(caught.value)


def test_the_page_s_example_of_a_file_of_one_s_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).parents[1] / "docs" / "data.md").read_text()
    (example,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    exec(compile(example, "docs/data.md", "exec"), {})
    dataset = data.load("npz:mine.npz")
    assert (len(dataset.train), dataset.classes, dataset.input_shape) == (600, 3, (12, 12, 1))
    means = [dataset.train.images[dataset.train.labels == label].mean() for label in range(3)]
    assert np.all(np.diff(means) > 50)  # the classes differ


def test_npz_without_a_file(tmp_path):
    with pytest.raises(DataError, match="missing"):
        data.load(f"npz:{tmp_path}/none.npz")
    for name in ("a\0b", "x" * 5000, "~nobody-here/x", "two\nlines", "."):
        with pytest.raises(DataError) as caught:
            data.load(f"npz:{name}", tmp_path)
        assert str(caught.value).isprintable()
    with pytest.raises(ValueError, match="expected npz:PATH"):
        data.load("npz:")


plain = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**100), 2**100)
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary(min_size=1),
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.dictionaries(st.text() | st.integers() | st.binary(min_size=1), inner)
    ),
    max_leaves=20,
)


@given(st.dictionaries(st.text(), plain), st.integers(1, 5))
def test_plain_data_is_unpickled_as_python_does(value, protocol):
    assert read_pickle(pickle.dumps(value, protocol), refusing("x")) == value


@pytest.mark.parametrize("protocol", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("dtype", ["u1", "<i2", ">i4", "f8", ">f4"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_arrays_are_unpickled_as_numpy_does(protocol, dtype, order):
    array = np.arange(3000, dtype=dtype).reshape(30, 20, 5, order=order)
    read = read_pickle(pickle.dumps({"a": array, "b": b"x" * 9000}, protocol), refusing("x"))
    np.testing.assert_array_equal(read["a"], array)
    assert read["a"].dtype == array.dtype and bytes(read["b"]) == b"x" * 9000


def test_long_texts_of_any_alphabet_become_bytes():
    """The parts in which a long text is encoded end between characters."""
    for shift in range(3):
        value = b"a" * shift + bytes(range(256)) * 9000
        assert read_pickle(pickle.dumps({"x": value}, 2), refusing("x"))["x"] == value


def test_other_files_of_an_archive_are_passed_over(tmp_path):
    layout = small_layout()
    content = cifar_content(layout)
    files = {f"{layout.folders[0]}/readme.html": b"x" * 700, "elsewhere/test_batch.bin": b"y"}
    with tarfile.open(fileobj=io.BytesIO(cifar_archive(layout, content))) as archive:
        files |= {member.name: archive.extractfile(member).read() for member in archive}
    (tmp_path / "a").write_bytes(archive_of(files))
    check_cifar(cifar.read(places.find([layout], tmp_path / "a")), layout, content)
