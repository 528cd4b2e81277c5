"""Files that are damaged or built to harm: one line, nothing executed, nothing written, memory bounded."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import struct
import tarfile
import tracemalloc
import zipfile
from functools import partial

import numpy as np
import pytest
from data_files import (
    archive_of,
    cifar_archive,
    cifar_bytes,
    cifar_content,
    idx_bytes,
    python2_pickle,
    python3_pickle,
    small_idx_layout,
    small_layout,
    write_cifar,
    write_idx,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from netsim import data
from netsim.data import cifar, digits, idx, npz, places
from netsim.data.refusal import refusing
from netsim.data.unpickle import read_pickle
from netsim.errors import DataError

BINARY, PICKLED = small_layout(), small_layout(pickled=True)
CONTENT = {BINARY: cifar_content(BINARY), PICKLED: cifar_content(PICKLED)}


def refused(read, *mentions) -> str:
    """The one line with which ``read`` refuses; it mentions all of ``mentions``."""
    with pytest.raises(DataError) as caught:
        read()
    message = str(caught.value)
    assert message.isprintable() and len(message) < 1000
    for mention in mentions:
        assert mention in message, message
    return message


def read_cifar(place, layout=BINARY):
    return cifar.read(places.find([layout], place))


def unpickle(content):
    return read_pickle(content, refusing("file"))


# Sizes and labels


@pytest.mark.parametrize("change", [-1, 1, -3073, 3073, -(10**9)])
def test_a_binary_file_of_another_size(change, tmp_path):
    path = write_cifar(tmp_path, BINARY, CONTENT[BINARY]) / "data_batch_3.bin"
    content = path.read_bytes()
    path.write_bytes((content + b"\0" * max(change, 0))[: max(len(content) + change, 0)])
    refused(lambda: read_cifar(tmp_path), str(path), f"{path.stat().st_size} bytes", "expected 18438 (6 images")


@pytest.mark.parametrize("layout", [BINARY, PICKLED], ids=["binary", "python"])
def test_a_missing_file_is_named(layout, tmp_path):
    path = write_cifar(tmp_path, layout, CONTENT[layout]) / layout.train[1]
    path.unlink()
    refused(lambda: read_cifar(tmp_path, layout), str(path), "missing")
    some = {name: CONTENT[layout][name] for name in layout.files if name != layout.train[1]}
    (tmp_path / "a").write_bytes(cifar_archive(layout, some))
    refused(lambda: read_cifar(tmp_path / "a", layout), f"no {layout.train[1]}")


@pytest.mark.parametrize("layout", [BINARY, PICKLED, small_layout(100), small_layout(100, True)])
def test_a_label_out_of_range(layout, tmp_path):
    content = {name: (planes, labels.copy()) for name, (planes, labels) in cifar_content(layout).items()}
    content[layout.test[0]][1][4] = layout.classes
    write_cifar(tmp_path, layout, content)
    refused(lambda: read_cifar(tmp_path, layout), layout.test[0], str(layout.classes), f"0 to {layout.classes - 1}")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes on this system")
def test_a_pipe_a_folder_and_a_device_are_no_data_files(tmp_path):
    """Opening a pipe would wait for ever; a device would be read for ever."""
    folder = write_cifar(tmp_path, BINARY, CONTENT[BINARY])
    for make in (os.mkfifo, os.mkdir, partial(os.symlink, "/dev/zero"), partial(os.symlink, "loop")):
        path = folder / "data_batch_2.bin"
        path.rmdir() if path.is_dir() else path.unlink()
        make(path)
        refused(lambda: read_cifar(tmp_path), str(path), "no regular file")


def test_a_name_with_line_breaks_stays_on_one_line(tmp_path):
    place = tmp_path / "two\nlines\x1b[31m"
    place.mkdir()
    write_cifar(place, BINARY, CONTENT[BINARY])
    (place / BINARY.folders[0] / "test_batch.bin").unlink()
    refused(lambda: read_cifar(place), "two\\nlines\\x1b[31m")


# Archives


def member(name, kind=tarfile.REGTYPE, link="", size=0):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, size
    return info


@pytest.mark.parametrize(
    ("extra", "mention"),
    [
        (member("../evil"), "climbs out"),
        (member("cifar-10-batches-bin/../../evil"), "climbs out"),
        (member("/etc/evil"), "climbs out"),
        (member("..\\evil"), "climbs out"),
        (member("..", tarfile.DIRTYPE), "climbs out"),
        (member("a", tarfile.SYMTYPE, "/etc/passwd"), "a link, a device"),
        (member("a", tarfile.LNKTYPE, "../x"), "a link, a device"),
        (member("a", tarfile.CHRTYPE), "a link, a device"),
        (member("a", tarfile.BLKTYPE), "a link, a device"),
        (member("a", tarfile.FIFOTYPE), "a link, a device"),
        (member("a", tarfile.GNUTYPE_SPARSE), "a link, a device"),
        (member("x" * 200), "a link, a device"),  # a GNU long name
        (member("cifar-10-batches-bin/test_batch.bin", size=18438), "comes twice"),
    ],
)
@pytest.mark.parametrize("compress", [False, True])
def test_archives_with_members_that_do_not_belong(extra, mention, compress, tmp_path):
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    (inside / "c").write_bytes(cifar_archive(BINARY, CONTENT[BINARY], compress=compress, extra=(extra,)))
    refused(lambda: read_cifar(inside / "c"), str(inside / "c"), mention)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "b", "c"]


def test_a_pax_header_that_renames_a_member(tmp_path):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = member("cifar-10-batches-bin/x")
        info.pax_headers = {"path": "../evil"}
        archive.addfile(info)
    (tmp_path / "a").write_bytes(buffer.getvalue())
    refused(lambda: read_cifar(tmp_path / "a"), "renames")


def archive_with_size(size: bytes) -> bytes:
    """An archive whose first header claims another size."""
    packed = bytearray(cifar_archive(BINARY, CONTENT[BINARY], compress=False))
    packed[124:136] = size
    packed[148:156] = b" " * 8
    packed[148:156] = b"%06o\0 " % sum(packed[:512])
    return bytes(packed)


@pytest.mark.parametrize("size", [b"77777777777\0", b"\x80" + b"\xff" * 11, b"\xff" * 12, b"\0" * 12, b"zzzzzzzzzzz\0"])
def test_an_archive_that_lies_about_sizes(size, tmp_path):
    (tmp_path / "a").write_bytes(archive_with_size(size))
    refused(lambda: read_cifar(tmp_path / "a"), str(tmp_path / "a"))


def test_archives_of_endless_members_or_zeros(tmp_path, monkeypatch):
    one = archive_of({"x/y": b""}, compress=False)[:512]
    (tmp_path / "a").write_bytes(archive_of({f"{BINARY.folders[0]}/z": b""}, compress=False)[:512] + one * 2000)
    refused(lambda: read_cifar(tmp_path / "a"), "more than 1000 members")
    monkeypatch.setattr(cifar, "_LARGEST_ARCHIVE", 1 << 20)
    bomb = archive_of({f"{BINARY.folders[0]}/z": bytes(3 << 20)})
    assert len(bomb) < 20_000
    (tmp_path / "b").write_bytes(bomb)
    refused(lambda: read_cifar(tmp_path / "b"), "inflates to more than 1048576 bytes")
    (tmp_path / "c").write_bytes(cifar_archive(BINARY, CONTENT[BINARY], compress=False) + b"\0" * 10240 + b"hidden")
    refused(lambda: read_cifar(tmp_path / "c"), "after")


@pytest.mark.parametrize(
    ("damage", "mention"),
    [
        (lambda packed: packed[:-9], "truncated"),
        (lambda packed: packed[: len(packed) // 2], "truncated"),
        (lambda packed: packed[:-6] + b"\0\0" + packed[-4:], "damaged"),  # the checksum
        (lambda packed: packed[:9000] + bytes([packed[9000] ^ 4]) + packed[9001:], ""),
        (lambda packed: packed + b"more", "no gzip data"),
        (lambda packed: b"", "no tar archive"),
        (lambda packed: b"\x1f\x8b", "truncated"),
        (lambda packed: b"\x1f\x8b" + bytes(600), "damaged"),
        (lambda packed: b"PK\x03\x04" + bytes(600), "header"),
    ],
)
def test_damaged_archives(damage, mention, tmp_path):
    packed = cifar_archive(BINARY, CONTENT[BINARY])
    (tmp_path / "a").write_bytes(damage(packed))
    refused(lambda: read_cifar(tmp_path / "a"), str(tmp_path / "a"), mention)


def test_an_archive_of_something_else_is_named(tmp_path):
    (tmp_path / "a").write_bytes(archive_of({"holiday/beach.jpg": b"x"}))
    refused(lambda: data.load("cifar10", tmp_path / "a"), "'holiday/beach.jpg'", "cifar-10-batches-bin or cifar-10")


# Pickles


class Calls:
    """Pickles as a call of ``function(*arguments)``."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize("protocol", range(6))
def test_a_pickle_that_names_a_function_is_refused_and_not_executed(protocol, tmp_path):
    target = tmp_path / "made"
    content = pickle.dumps({"data": Calls(os.mkdir, str(target)), "labels": [0]}, protocol)
    message = refused(lambda: unpickle(content), "expected arrays")
    assert "posix.mkdir" in message or protocol == 0  # protocol 0 already fails at its text forms
    folder = write_cifar(tmp_path, PICKLED, CONTENT[PICKLED])
    (folder / "test_batch").write_bytes(content)
    refused(lambda: read_cifar(tmp_path, PICKLED), str(folder / "test_batch"))
    assert not target.exists()
    pickle.loads(content)
    assert target.exists()  # the file does what it is refused for


@pytest.mark.parametrize(
    ("content", "mention"),
    [
        (b"cos\nsystem\n(U\x02lst R.", "os.system"),
        (b"cbuiltins\neval\n.", "builtins.eval"),
        (b"\x80\x04\x8c\x02os\x8c\x06system\x93.", "os.system"),
        (b"\x80\x04]]\x93.", "no text"),
        (b"(ios\nsystem\n.", "INST"),
        (b"(cnumpy\ndtype\no.", "OBJ"),
        (b"cnumpy\nndarray\n)\x81.", "NEWOBJ"),
        (b"cnumpy\nndarray\n)}\x92.", "NEWOBJ_EX"),
        (b"\x82\x01.", "EXT1"),
        (b"Pid\n.", "PERSID"),
        (b"U\x02idQ.", "BINPERSID"),
        (b"cnumpy.core.multiarray\nscalar\n.", "numpy.core.multiarray.scalar"),
        (b"ccopyreg\n_reconstructor\n.", "copyreg"),
        (b"\xff", "0xff"),
        (b"", "no end"),
        (b"\x80\x02}", "no end"),
        (b"]].", "left over"),
        (b"].]", "left over"),
        (b"(.", "left over"),
        (b"B\xff\xff\xff\xffabc.", "no end"),
        (b"\x8e" + b"\xff" * 8 + b".", "no end"),
        (b"T\xff\xff\xff\xffabc.", "no end"),
        (b"\x8b\xff\xff\xff\x7f.", "very long number"),
        (b"X\x02\0\0\0\xff\xff.", "damaged"),
        (b"h\x05.", "damaged"),
        (b"e.", "damaged"),
        (b"}(]]u.", "keys that are no strings"),
        (b"}(U\x01au.", "no dict"),
        (b"](U\x01au.", "no dict"),
        (b"}U\x01aa.", "no list"),
        (b"\x86.", "too few"),
        (b"NR.", "too few"),
        (b"N)R.", "cannot be called"),
        (b"cnumpy\nndarray\n)R.", "ndarray"),
        (b"cnumpy\ndtype\n(U\x02O8tR.", "dtype"),
        (b"cnumpy\ndtype\n(U\x09[('a','O')]tR.", "dtype"),
        (b"N}b.", "no plain array"),
        (b"c_codecs\nencode\nX\x01\0\0\0a\x8c\x06rot_13\x86R.", "encode"),
        (b"c_codecs\nencode\nX\x02\0\0\0\xc4\x80\x8c\x06latin1\x86R.", "damaged"),
        (b"cno end of the line" + b"x" * 9000, "line without end"),
        (b"I" + b"9" * 4000 + b"\n.", ""),
    ],
)
def test_pickles_of_every_other_kind(content, mention):
    if mention:
        refused(lambda: unpickle(content), mention)
    else:
        assert isinstance(unpickle(content), int)


def array_pickle(shape=b"K\x06M\x00\x0c\x86", code=b"U\x02u1", size=6 * 3072, version=b"K\x01", order=b"U\x01|"):
    dtype = b"cnumpy\ndtype\n(" + code + b"K\x00K\x01tR(K\x03" + order + b"NNNK\x00K\x00K\x00tb"
    state = b"(" + version + shape + dtype + b"\x89T" + struct.pack("<i", size) + bytes(size) + b"tb"
    return b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\nK\x00\x85U\x01btR" + state + b"."


@pytest.mark.parametrize(
    "wrong",
    [
        {"size": 6 * 3072 - 1},
        {"size": 0},
        {"shape": b"J\xff\xff\xff\xffM\x00\x0c\x86"},
        {"shape": b"J\xff\xff\xff\x7fJ\xff\xff\xff\x7f\x86"},
        {"shape": b"U\x01aM\x00\x0c\x86"},
        {"shape": b"(" + b"K\x01" * 9 + b"t"},
        {"code": b"U\x02f8"},
        {"code": b"U\x02O8"},
        {"code": b"K\x05"},
        {"order": b"U\x02<>"},
        {"order": b"U\x00"},
        {"version": b"N"},
    ],
)
def test_arrays_whose_parts_do_not_fit(wrong):
    assert unpickle(array_pickle()).shape == (6, 3072)
    refused(lambda: unpickle(array_pickle(**wrong)))


def test_a_deeply_nested_pickle_is_no_stack_overflow():
    deep = b"(" * 100_000 + b"t" * 100_000
    assert isinstance(unpickle(deep + b"."), tuple)
    refused(lambda: unpickle(b"}" + deep + b"Ns."), "keys")
    refused(lambda: unpickle(b"c_codecs\nencode\n" + deep + b"\x85R."))


def test_pickles_that_would_fill_the_memory():
    """A short file whose operations multiply; a place in the memo far out; more operations than any file needs."""
    text = b"X" + struct.pack("<I", 100_000) + b"a" * 100_000 + b"q\x00"
    again = (
        b"(c_codecs\nencode\nq\x01" + text + b"X\x06\0\0\0latin1q\x02\x86R" + b"h\x01h\x00h\x02\x86R" * 10_000 + b"t."
    )
    tracemalloc.start()
    refused(lambda: unpickle(again), "more strings than its size allows")
    assert unpickle(b"]r\xff\xff\xff\xff.") == []
    refused(lambda: unpickle(b"N" * 1_000_001), "more than 1000000 operations")
    assert tracemalloc.get_traced_memory()[1] < 50 << 20
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("value", "mention"),
    [
        ([1], "list; expected a dict"),
        ({b"data": np.zeros((6, 3072), np.uint8)}, "a dict of ['data']"),
        ({b"data": [1], b"labels": [0] * 6}, "'data' is list"),
        ({b"data": np.zeros((5, 3072), np.uint8), b"labels": [0] * 6}, "uint8 (5, 3072)"),
        ({b"data": np.zeros((6, 3072), np.int8), b"labels": [0] * 6}, "int8 (6, 3072)"),
        ({b"data": np.zeros((6, 3072), np.uint8), b"labels": [0] * 5}, "5 items"),
        ({b"data": np.zeros((6, 3072), np.uint8), b"labels": [0] * 5 + [True]}, "integers"),
        ({b"data": np.zeros((6, 3072), np.uint8), b"labels": b"aaaaaa"}, "bytes"),
        ({b"data": np.zeros((6, 3072), np.uint8), b"labels": [0] * 5 + [-1]}, "labels from -1 to 0"),
        ({b"data": np.zeros((6, 3072), np.uint8), b"labels": [0] * 5 + [2**90]}, "expected 0 to 9"),
    ],
)
def test_python_files_of_other_contents(value, mention, tmp_path):
    folder = write_cifar(tmp_path, PICKLED, CONTENT[PICKLED])
    (folder / "data_batch_5").write_bytes(pickle.dumps(value, 4))
    refused(lambda: read_cifar(tmp_path, PICKLED), str(folder / "data_batch_5"), mention)


def test_a_python_file_that_is_too_large_is_not_read(tmp_path):
    folder = write_cifar(tmp_path, PICKLED, CONTENT[PICKLED])
    with open(folder / "data_batch_1", "r+b") as file:
        file.truncate(1 << 40)  # sparse: takes no space
    refused(lambda: read_cifar(tmp_path, PICKLED), str(1 << 40), "at most")


# IDX


def read_idx(folder):
    return idx.read(places.find([small_idx_layout()], folder))


@pytest.mark.parametrize(
    ("content", "mention"),
    [
        (b"", "whole header"),
        (idx_bytes(np.zeros((5, 28, 28), np.uint8))[:-1], "3919 bytes after the header (truncated)"),
        (idx_bytes(np.zeros((5, 28, 28), np.uint8)) + b"\0", "more than 3920 bytes"),
        (idx_bytes(np.zeros((4, 28, 28), np.uint8)), "(4, 28, 28); expected (5, 28, 28)"),
        (idx_bytes(np.zeros((5, 784), np.uint8)), "0x00000802; expected 0x00000803"),
        (struct.pack(">4I", 0x0803, 2**32 - 1, 2**32 - 1, 2**32 - 1), "(4294967295,"),
        (b"<html>not found</html>", "the header 0x3c68746d"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_idx_files_of_other_contents(content, mention, packed, tmp_path):
    write_idx(tmp_path, packed=packed)
    path = tmp_path / (idx.FILES[0] + ".gz" * packed)
    path.write_bytes(gzip.compress(content) if packed else content)
    refused(lambda: read_idx(tmp_path), str(path), mention)


def test_idx_labels_out_of_range(tmp_path):
    write_idx(tmp_path, packed=False)
    (tmp_path / idx.FILES[3]).write_bytes(idx_bytes(np.array([0, 1, 10, 3, 4], np.uint8)))
    refused(lambda: read_idx(tmp_path), idx.FILES[3], "image 2 has label 10; expected 0 to 9")


def test_an_idx_gzip_bomb_is_not_inflated(tmp_path):
    write_idx(tmp_path)
    path = tmp_path / f"{idx.FILES[0]}.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(idx_bytes(np.zeros((5, 28, 28), np.uint8)))
        for _ in range(50):
            file.write(bytes(1 << 20))
    tracemalloc.start()
    refused(lambda: read_idx(tmp_path), str(path), "more than 3920 bytes")
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


# npz


def npy(header: str, body: bytes = b"", version=(1, 0)) -> bytes:
    text = header.encode().ljust(118) + b"\n"
    return b"\x93NUMPY" + bytes(version) + struct.pack("<H", len(text)) + text + body


def write_npz(path, images: bytes, method=zipfile.ZIP_DEFLATED):
    labels = io.BytesIO()
    np.save(labels, np.array([0, 1]))
    with zipfile.ZipFile(path, "w", method) as archive:
        archive.writestr("images.npy", images)
        archive.writestr("labels.npy", labels.getvalue())


GOOD = "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3, 3)}"


@pytest.mark.parametrize(
    ("images", "mention"),
    [
        (npy(GOOD, bytes(17)), "expected as many as the shape needs"),
        (npy(GOOD, bytes(19)), "expected as many as the shape needs"),
        (npy(GOOD.replace("2, 3, 3", "10**9, 3, 3")), "no readable .npz file"),
        (npy(GOOD.replace("2, 3, 3", "1000000000, 3000, 3")), "bytes for shape"),
        (npy(GOOD.replace("2, 3, 3", "-2, -3, 3"), bytes(18)), "shape (-2, -3, 3)"),
        (npy(GOOD.replace("|u1", "|O")), "never pickled objects"),
        (npy(GOOD.replace("'|u1'", "[('a', '|O')]")), "never pickled objects"),
        (npy(GOOD.replace("'|u1'", "__import__('os').system('true')")), "no readable .npz file"),
        (npy(GOOD, bytes(18), (3, 0)), "version (3, 0)"),
        (npy("[" * 100 + "]" * 10), "no readable .npz file"),
        (b"", "no readable .npz file"),
        (pickle.dumps(Calls(os.getpid)), "no readable .npz file"),
    ],
)
def test_npz_arrays_that_lie(images, mention, tmp_path):
    write_npz(tmp_path / "x.npz", npy(GOOD, bytes(18)))
    assert len(npz.read(tmp_path / "x.npz").train) == 2
    write_npz(tmp_path / "x.npz", images)
    refused(lambda: npz.read(tmp_path / "x.npz"), str(tmp_path / "x.npz"), mention)


def test_an_npz_bomb_is_not_inflated(tmp_path):
    header = "{'descr': '|u1', 'fortran_order': False, 'shape': (100, 1024, 1024)}"
    write_npz(tmp_path / "x.npz", npy(header, bytes(100 << 20)))
    tracemalloc.start()
    refused(lambda: npz.read(tmp_path / "x.npz"), "inflate to 1048", "expected at most 67108864")
    assert tracemalloc.get_traced_memory()[1] < 8 << 20
    tracemalloc.stop()


def test_npz_of_other_compression_and_arrays_twice(tmp_path):
    write_npz(tmp_path / "x.npz", npy(GOOD, bytes(18)), zipfile.ZIP_LZMA)
    refused(lambda: npz.read(tmp_path / "x.npz"), "compression method 14")
    write_npz(tmp_path / "x.npz", npy(GOOD, bytes(18)))
    with zipfile.ZipFile(tmp_path / "x.npz", "a") as archive:
        archive.writestr("images", npy(GOOD, bytes(18)))
    refused(lambda: npz.read(tmp_path / "x.npz"), "the same array twice")


# Random damage


def layout_folder(layout, writer=None):
    """Files below a folder, by relative path, and how to read the folder."""
    files = {
        f"{layout.folders[0]}/{name}": cifar_bytes(layout, *content, writer)
        for name, content in CONTENT[layout].items()
    }
    return files, partial(read_cifar, layout=layout)


def npz_file(save):
    buffer = io.BytesIO()
    save(buffer, images=np.arange(120, dtype=np.float32).reshape(5, 4, 6), labels=np.arange(5))
    return {"x.npz": buffer.getvalue()}, lambda folder: npz.read(folder / "x.npz")


def idx_files(packed):
    rng = np.random.default_rng(3)
    files = {}
    for name in idx.FILES:
        content = idx_bytes(rng.integers(0, 10, (5, 28, 28) if "images" in name else (5,)).astype(np.uint8))
        files[name + ".gz" * packed] = gzip.compress(content, mtime=0) if packed else content
    return files, read_idx


def archive(layout, compress):
    packed = cifar_archive(layout, CONTENT[layout], compress=compress)
    return {"a": packed}, lambda folder: read_cifar(folder / "a", layout)


KINDS = {
    "cifar binary": layout_folder(BINARY),
    "cifar python 2": layout_folder(PICKLED, python2_pickle),
    "cifar python 3": layout_folder(PICKLED, python3_pickle(2)),
    "cifar protocol 5": layout_folder(PICKLED, python3_pickle(5)),
    "cifar tar": archive(PICKLED, compress=False),
    "cifar tar.gz": archive(BINARY, compress=True),
    "idx": idx_files(packed=False),
    "idx gz": idx_files(packed=True),
    "npz": npz_file(np.savez),
    "npz deflated": npz_file(np.savez_compressed),
    "digits": ({"d.gz": digits.path().read_bytes()}, lambda folder: digits.read(folder / "d.gz")),
}


def damaged(content: bytes, flips, cut, span) -> bytes:
    """``content`` with bits flipped (places as parts of the first ``span`` bytes), then cut off."""
    changed = bytearray(content)
    for place, bit in flips:
        changed[int(place * min(span, len(changed)))] ^= 1 << bit
    return bytes(changed[: len(changed) - int(cut * len(changed))])


flips = st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 7)), max_size=8)
cuts = st.just(0.0) | st.just(0.0) | st.floats(0, 1, exclude_max=True)


@pytest.mark.parametrize("kind", KINDS)
def test_random_damage_gives_an_error_or_a_valid_data_set(kind, tmp_path):
    files, read = KINDS[kind]
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(content)
    whole = read(tmp_path)
    outcomes = {"valid": 0, "refused": 0}

    @settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(st.sampled_from(sorted(files)), flips, cuts, st.sampled_from([100, 700, 1 << 30]))
    def damage(name, places, cut, span):
        (tmp_path / name).write_bytes(damaged(files[name], places, cut, span))
        try:
            result = read(tmp_path)
        except DataError as error:
            assert str(error).isprintable()
            outcomes["refused"] += 1
        else:
            # A split or data set checks itself; here only that nothing of it is missing.
            assert type(result) is type(whole)
            outcomes["valid"] += 1
        finally:
            (tmp_path / name).write_bytes(files[name])

    damage()
    assert outcomes["refused"] > 20 and outcomes["valid"] > 5, outcomes
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == len(files)


@given(st.binary(max_size=200), st.sampled_from([b"", b"\x80\x02}(", b"(cnumpy\nndarray\n", array_pickle()[:-1]]))
def test_random_bytes_as_a_pickle(tail, head):
    try:
        unpickle(head + tail)
    except DataError as error:
        assert str(error).isprintable()


OPERATIONS = b"(012NIKJMLGTUBCX]aelt)}dsughjpqrcRb.\x80\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8d\x8e\x93\x94\x95\x96"
pieces = st.sampled_from(
    [bytes([code]) for code in OPERATIONS]
    + [b"cnumpy\ndtype\n", b"cnumpy\nndarray\n", b"cnumpy.core.multiarray\n_reconstruct\n", b"c_codecs\nencode\n"]
    + [
        b"cnumpy.core.numeric\n_frombuffer\n",
        b"U\x02u1",
        b"U\x01|",
        b"K\x00",
        b"K\x01",
        b"\x8c\x06latin1",
        b"h\x00",
        b"q\x00",
    ]
)


@settings(max_examples=2000)
@given(st.lists(pieces, max_size=40))
def test_random_operations_as_a_pickle(operations):
    try:
        unpickle(b"".join(operations) + b".")
    except DataError as error:
        assert str(error).isprintable()
