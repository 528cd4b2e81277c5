"""Data sets in memory, their names and places."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from data_files import cifar_archive, cifar_content, small_layout, write_cifar, write_idx

from netsim import data
from netsim.data import cifar, digits, idx, places
from netsim.data.class_names import CIFAR100
from netsim.data.dataset import _fixed_shuffle
from netsim.errors import ArrayError, DataError, NetsimError, OptionError, UnknownNameError


@pytest.fixture(autouse=True)
def nowhere(tmp_path, monkeypatch):
    """No data set of this machine is found by default."""
    monkeypatch.setenv("NETSIM_DATA", str(tmp_path / "default"))
    monkeypatch.setattr(places, "_INSTALLED", tmp_path / "installed")


def split(count=6, dtype=np.uint8, classes=3):
    rng = np.random.default_rng(5)
    images = rng.integers(0, 256, (count, 4, 5, 2)).astype(dtype)
    return data.Split(images, np.arange(count) % classes, 1 / 255 if dtype == np.uint8 else 1.0)


def test_batch_gives_scaled_float32_pixels_and_int64_labels():
    part = split()
    pixels, labels = part.batch(np.array([4, 0, 4]))
    assert pixels.dtype == np.float32 and pixels.shape == (3, 4, 5, 2)
    assert labels.dtype == np.int64 and labels.tolist() == [1, 0, 1]
    # One rounding of the scale and one of the product: 2 units of float32's relative precision.
    np.testing.assert_allclose(pixels, part.images[[4, 0, 4]] / 255, rtol=2 * np.finfo(np.float32).eps, atol=0)
    assert part.images.max() > 200 and part.images.min() < 50


def test_take_keeps_order_and_scale():
    part = split()
    taken = part.take(np.array([5, 2]))
    assert len(taken) == 2 and taken.scale == part.scale
    np.testing.assert_array_equal(taken.images, part.images[[5, 2]])
    np.testing.assert_array_equal(taken.labels, part.labels[[5, 2]])


def test_a_split_is_read_only_but_leaves_the_given_arrays_writable():
    images, labels = np.zeros((2, 3, 3, 1), np.uint8), np.zeros(2, np.int64)
    part = data.Split(images, labels)
    with pytest.raises(ValueError, match="read-only"):
        part.images[0] = 1
    images[0] = 7
    assert part.images[0, 0, 0, 0] == 7  # a view, not a copy


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (np.zeros((2, 3, 3), np.uint8), np.zeros(2, int), r"shape \(2, 3, 3\); expected \(N, H, W, C\)"),
        (np.zeros((2, 0, 3, 1), np.uint8), np.zeros(2, int), r"expected \(N, H, W, C\)"),
        (np.zeros((2, 3, 3, 1)), np.zeros(2, int), "float64; expected uint8 or float32"),
        (np.zeros((2, 3, 3, 1), np.uint8), np.zeros(2), r"float64; expected \(N,\) integers"),
        (np.zeros((2, 3, 3, 1), np.uint8), np.zeros((2, 1), int), r"\(2, 1\)"),
        (np.zeros((2, 3, 3, 1), np.uint8), np.zeros(3, int), "2 images but 3 labels"),
        (np.zeros((0, 3, 3, 1), np.uint8), np.zeros(0, int), "at least one"),
        (np.zeros((2, 3, 3, 1), np.uint8), np.array([0, -1]), "from -1 to 0"),
        (np.zeros((2, 3, 3, 1), np.uint8), np.array([0, 2**63], np.uint64), "expected 0 to classes"),
        (
            np.full((2, 3, 3, 1), np.nan, np.float32),
            np.zeros(2, int),
            "image 0 has pixels that are not finite",
        ),
    ],
)
def test_a_split_refuses_arrays_that_do_not_fit(images, labels, message):
    with pytest.raises(ArrayError, match=message):
        data.Split(images, labels)


def test_the_first_image_with_a_pixel_that_is_not_finite_is_named():
    images = np.zeros((3000, 2, 2, 1), np.float32)
    images[2500, 1, 0, 0] = np.inf
    with pytest.raises(ArrayError, match="image 2500"):
        data.Split(images, np.zeros(3000, int))


@pytest.mark.parametrize("indices", [[6], [-1], [0.0], [[0]], [True] * 6])
def test_batch_refuses_indices_that_do_not_fit(indices):
    with pytest.raises(ArrayError, match="indices"):
        split().batch(np.array(indices))


def test_a_data_set_refuses_parts_that_do_not_fit():
    part = split()
    good = {"name": "x", "train": part, "test": None, "class_names": ("a", "b", "c")}
    assert data.Dataset(**good, input_shape=(4, 5, 2), classes=3).classes == 3
    with pytest.raises(ArrayError, match="3 class names"):
        data.Dataset(**good, input_shape=(4, 5, 2), classes=4)
    with pytest.raises(ArrayError, match=r"\(4, 5, 2\); expected \(5, 4, 2\)"):
        data.Dataset(**good, input_shape=(5, 4, 2), classes=3)
    with pytest.raises(ArrayError, match="labels reach 2; expected 0 to 1"):
        data.Dataset(**good | {"class_names": ("a", "b")}, input_shape=(4, 5, 2), classes=2)


def test_holdout_parts_the_training_images_the_same_way_every_time():
    dataset = data.load("digits")
    train, validation = dataset.holdout(297)
    assert (len(train), len(validation)) == (1500, 297)
    again = dataset.holdout(297)
    np.testing.assert_array_equal(train.images, again[0].images)
    np.testing.assert_array_equal(validation.labels, again[1].labels)
    # Every image in one part: the sum of each pixel over both parts is that of the whole.
    both = train.images.sum(axis=0, dtype=np.int64) + validation.images.sum(axis=0, dtype=np.int64)
    np.testing.assert_array_equal(both, dataset.train.images.sum(axis=0, dtype=np.int64))
    assert set(validation.labels) == set(range(10))
    np.testing.assert_array_equal(dataset.holdout(10)[1].images, validation.images[:10])


def test_the_shuffle_is_pinned():
    """Runs of any version have to set the same images aside."""
    assert _fixed_shuffle(10).tolist() == PINNED
    assert sorted(_fixed_shuffle(50_000)) == list(range(50_000))


PINNED = [2, 4, 6, 8, 5, 1, 7, 0, 9, 3]


@pytest.mark.parametrize("count", [0, -1, 1797, 2000])
def test_holdout_refuses_sizes_out_of_range(count):
    with pytest.raises(OptionError, match="expected 1 to 1796"):
        data.load("digits").holdout(count)


def test_digits_are_those_of_scikit_learn():
    from sklearn.datasets import load_digits

    dataset, reference = data.load("digits"), load_digits()
    np.testing.assert_array_equal(dataset.train.images[..., 0], reference.images)
    np.testing.assert_array_equal(dataset.train.labels, reference.target)
    assert dataset.train.images.dtype == np.uint8 and dataset.train.images.max() == 16
    assert dataset.train.batch(np.arange(100))[0].max() == 1.0
    assert dataset.test is None and dataset.input_shape == (8, 8, 1) and dataset.classes == 10


def test_digits_are_read_without_importing_scikit_learn():
    code = "import sys; from netsim import data; data.load('digits'); assert 'sklearn' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_digits_without_scikit_learn_are_refused(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(DataError, match="scikit-learn is not installed"):
        data.load("digits")


def test_names():
    assert data.known() == ("digits", "cifar10", "cifar100", "mnist", "fashion-mnist")
    with pytest.raises(UnknownNameError, match="did you mean 'cifar10'"):
        data.load("cifar-10")
    with pytest.raises(UnknownNameError, match="known: digits"):
        data.load("zzz")
    assert len(set(CIFAR100)) == 100 and list(CIFAR100) == sorted(CIFAR100)
    for name in data.known():
        assert len(data.describe(name).class_names) == data.describe(name).classes


@pytest.mark.parametrize("name", ["cifar10", "cifar100", "mnist", "fashion-mnist"])
def test_missing_files_are_told_with_address_checksum_and_place(name, tmp_path):
    with pytest.raises(DataError) as caught:
        data.load(name)
    message = str(caught.value)
    assert "\n" not in message and f"netsim data fetch {name}" in message
    for download in next(iter(data.describe(name).downloads.values())):
        assert download.url in message and download.md5 in message
        assert str(tmp_path / "default" / download.path) in message


def test_a_missing_file_is_fetched_and_not_removed(tmp_path):
    layout = small_layout()
    folder = write_cifar(tmp_path, layout, cifar_content(layout))
    (folder / "data_batch_1.bin").unlink()
    with pytest.raises(DataError) as caught:
        data.load("cifar10", tmp_path)
    message = str(caught.value)
    assert message.startswith(f"{folder / 'data_batch_1.bin'}: missing") and "remove" not in message
    assert f"`netsim data fetch cifar10 --data-dir {tmp_path}` gets it" in message


@pytest.mark.parametrize(("pickled", "option"), [(False, ""), (True, " --layout python")])
def test_a_damaged_file_is_replaced_by_one_of_its_own_layout(pickled, option, tmp_path):
    layout = small_layout(pickled=pickled)
    write_cifar(tmp_path, layout, cifar_content(layout))  # far fewer images than there should be
    with pytest.raises(DataError) as caught:
        data.load("cifar10", tmp_path)
    message = str(caught.value)
    assert f"remove it and `netsim data fetch cifar10{option} --data-dir {tmp_path}` gets it" in message
    binary, python = (data.describe("cifar10").downloads[name][0] for name in ("binary", "python"))
    wanted, other = (python, binary) if pickled else (binary, python)
    assert f"{wanted.url} (md5 {wanted.md5}) at {tmp_path / wanted.path}" in message and other.md5 not in message


def test_a_damaged_archive_named_by_itself_is_replaced_beside_it(tmp_path):
    layout = small_layout()
    (tmp_path / "mine.tgz").write_bytes(cifar_archive(layout, cifar_content(layout)))
    with pytest.raises(DataError) as caught:
        data.load("cifar10", tmp_path / "mine.tgz")
    assert f"remove it and `netsim data fetch cifar10 --data-dir {tmp_path}` gets it" in str(caught.value)


def test_whole_files_are_taken_before_incomplete_ones(tmp_path):
    layout, other = small_layout(), small_layout(pickled=True)
    content = cifar_content(layout)
    folder = write_cifar(tmp_path, layout, content)
    (folder / "test_batch.bin").unlink()
    found = places.find([layout, other], tmp_path)
    assert (found.path, found.is_complete) == (folder, False)
    pickled = write_cifar(tmp_path, other, cifar_content(other))
    assert places.find([layout, other], tmp_path).path == pickled
    (tmp_path / layout.archive).write_bytes(cifar_archive(layout, content))
    found = places.find([layout, other], tmp_path)
    assert found.is_archive and found.is_complete
    train, test = cifar.read(found)
    assert (len(train), len(test)) == (30, 6)


def test_the_default_folder(monkeypatch, tmp_path):
    assert places.default_folder() == tmp_path / "default"
    monkeypatch.delenv("NETSIM_DATA")
    assert places.default_folder().parts[-2:] == ("netsim", "data")


@pytest.mark.parametrize("where", ["parent", "folder"])
def test_a_data_dir_may_name_the_parent_or_the_folder(where, tmp_path):
    layout = small_layout()
    write_cifar(tmp_path, layout, {name: (np.zeros((6, 3072), np.uint8), np.zeros(6)) for name in layout.files})
    place = tmp_path if where == "parent" else tmp_path / "cifar-10-batches-bin"
    found = places.find([layout], place)
    assert found.path == tmp_path / "cifar-10-batches-bin" and not found.is_archive


def test_installed_data_sets_are_found_and_a_named_folder_is_searched_alone(tmp_path):
    write_idx(tmp_path / "installed" / "fashion-mnist")
    (tmp_path / "empty").mkdir()
    assert data.describe("fashion-mnist").find().path == tmp_path / "installed" / "fashion-mnist"
    assert data.describe("mnist").find() is None
    assert data.describe("fashion-mnist").find(tmp_path / "empty") is None


def test_files_of_the_default_folder_itself_serve_no_data_set(tmp_path):
    """MNIST and Fashion-MNIST name their files alike: only a folder that the user names may hold them bare."""
    write_idx(tmp_path / "default")
    assert data.describe("mnist").find() is None
    assert data.describe("mnist").find(tmp_path / "default").path == tmp_path / "default"


@pytest.mark.parametrize("bad", ["absent", "file", "a\0b", "x" * 5000, "~nobody-here"])
def test_a_data_dir_that_holds_nothing_is_refused_on_one_line(bad, tmp_path):
    (tmp_path / "file").write_bytes(b"no archive")
    for name in ("cifar10", "mnist"):
        with pytest.raises(DataError) as caught:
            data.load(name, bad if bad.startswith("~") else tmp_path / bad)
        assert "\n" not in str(caught.value)


@pytest.mark.skipif(os.getuid() == 0, reason="the superuser may read any folder")
def test_a_folder_without_permission_is_refused(tmp_path):
    (tmp_path / "closed").mkdir(mode=0)
    with pytest.raises(DataError):
        data.load("cifar10", tmp_path / "closed")


REAL = os.environ.get("NETSIM_CIFAR10", "")
LOAD = """
import resource, sys, time
from netsim import data
used = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
before, start = used(), time.perf_counter()
d = data.load("cifar10", sys.argv[1])
size = d.train.images.nbytes + d.test.images.nbytes
print((used() - before) / size, time.perf_counter() - start)
"""


@pytest.mark.skipif(not REAL, reason="NETSIM_CIFAR10 does not name a folder with CIFAR-10")
@pytest.mark.parametrize("layout", cifar.CIFAR10, ids=["binary", "python"])
def test_the_real_cifar10(layout):
    folder = Path(REAL) / layout.folders[0]
    if not folder.is_dir():
        pytest.skip(f"no {folder}")
    dataset = data.load("cifar10", folder)
    assert dataset.train.images.shape == (50_000, 32, 32, 3) and dataset.test.images.shape == (
        10_000,
        32,
        32,
        3,
    )
    assert np.bincount(dataset.train.labels).tolist() == [5000] * 10
    assert np.bincount(dataset.test.labels).tolist() == [1000] * 10
    # Photographs: neighboring pixels are alike, which a wrong order of planes or rows would undo.
    images = dataset.test.images[:1000].astype(float)
    neighbors = np.abs(np.diff(images, axis=2)).mean()
    assert neighbors < 0.5 * np.abs(images - images[::-1]).mean()
    run = subprocess.run([sys.executable, "-c", LOAD, folder], capture_output=True, check=True, timeout=60)
    ratio, seconds = map(float, run.stdout.split())
    assert ratio < 1.35, f"peak memory {ratio:.2f} times the images, {seconds:.2f} s"


@pytest.mark.skipif(not REAL, reason="NETSIM_CIFAR10 does not name a folder with CIFAR-10")
def test_both_layouts_of_the_real_cifar10_agree():
    folders = [Path(REAL) / layout.folders[0] for layout in cifar.CIFAR10]
    if not all(folder.is_dir() for folder in folders):
        pytest.skip(f"not both layouts in {REAL}")
    binary, pickled = (data.load("cifar10", folder) for folder in folders)
    np.testing.assert_array_equal(binary.test.images, pickled.test.images)
    np.testing.assert_array_equal(binary.train.labels, pickled.train.labels)


INSTALLED = Path("/usr/share/datasets/fashion-mnist")


@pytest.mark.skipif(not INSTALLED.is_dir(), reason="Debian's dataset-fashion-mnist is not installed")
def test_the_real_fashion_mnist():
    dataset = data.load("fashion-mnist", INSTALLED)
    assert dataset.train.images.shape == (60_000, 28, 28, 1) and len(dataset.test) == 10_000
    assert np.bincount(dataset.train.labels).tolist() == [6000] * 10
    assert dataset.class_names[9] == "ankle boot" and dataset.train.labels[0] == 9


def test_errors_are_netsim_errors():
    assert issubclass(DataError, NetsimError) and idx.INPUT_SHAPE == (28, 28, 1) and digits.SIZE == 1797
