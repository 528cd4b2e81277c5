"""Small files in the official layouts of the data sets, for tests."""

from __future__ import annotations

import gzip
import io
import pickle
import struct
import tarfile
from pathlib import Path

import numpy as np

from netsim.data.cifar import CIFAR10, CIFAR100, CifarLayout
from netsim.data.idx import FILES, IdxLayout


def small_layout(classes: int = 10, pickled: bool = False, size: int = 6) -> CifarLayout:
    """The official layout with ``size`` images in each file."""
    official = (CIFAR10 if classes == 10 else CIFAR100)[pickled]
    fields = {name: getattr(official, name) for name in official.__dataclass_fields__}
    return CifarLayout(**fields | {"train_records": size, "test_records": size})


def small_idx_layout(size: int = 5) -> IdxLayout:
    return IdxLayout("idx", ("mnist",), None, FILES, train_size=size, test_size=size)


def cifar_content(layout: CifarLayout, seed: int = 0) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Planes (n, 3072) uint8 and labels (n,) uint8 of each file; every class within reach."""
    rng = np.random.default_rng(seed)
    sizes = {name: layout.train_records for name in layout.train} | {name: layout.test_records for name in layout.test}
    return {
        name: (
            rng.integers(0, 256, (size, 3072)).astype(np.uint8),
            rng.integers(0, layout.classes, size).astype(np.uint8),
        )
        for name, size in sizes.items()
    }


def images_of(planes: np.ndarray) -> np.ndarray:
    """(n, 3072) planes as NHWC, by loops: the slow twin of the reader."""
    images = np.empty((len(planes), 32, 32, 3), np.uint8)
    for channel in range(3):
        for row in range(32):
            for column in range(32):
                images[:, row, column, channel] = planes[:, channel * 1024 + row * 32 + column]
    return images


def cifar_bytes(layout: CifarLayout, planes: np.ndarray, labels: np.ndarray, writer=None) -> bytes:
    """One file of the layout; ``writer`` pickles the dict of the python layout (default: as Python 2 did)."""
    if layout.label_bytes:
        coarse = [labels // 5] * (layout.label_bytes - 1)
        return np.column_stack([*coarse, labels, planes]).astype(np.uint8).tobytes()
    value = {
        b"batch_label": b"training batch 1 of 5",
        layout.label_key.encode(): [int(label) for label in labels],
        b"data": planes,
        b"filenames": [f"image_{index:06}.png".encode() for index in range(len(labels))],
    }
    return (writer or python2_pickle)(value)


def write_cifar(folder: Path, layout: CifarLayout, content: dict, writer=None) -> Path:
    """The official folder below ``folder``."""
    target = folder / layout.folders[0]
    target.mkdir(parents=True, exist_ok=True)
    for name, (planes, labels) in content.items():
        (target / name).write_bytes(cifar_bytes(layout, planes, labels, writer))
    return target


def archive_of(files: dict[str, bytes], compress: bool = True, extra: tuple[tarfile.TarInfo, ...] = ()) -> bytes:
    """A tar archive (gzip when ``compress``) of the files, with ``extra`` members at its end."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for name, data in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
        for info in extra:
            archive.addfile(info, io.BytesIO(b"\0" * info.size))
    return gzip.compress(buffer.getvalue(), 1, mtime=0) if compress else buffer.getvalue()


def cifar_archive(layout: CifarLayout, content: dict, writer=None, **options) -> bytes:
    files = {
        f"{layout.folders[0]}/{name}": cifar_bytes(layout, planes, labels, writer)
        for name, (planes, labels) in content.items()
    }
    return archive_of(files, **options)


def idx_bytes(values: np.ndarray) -> bytes:
    return struct.pack(f">{1 + values.ndim}I", 0x0800 + values.ndim, *values.shape) + values.tobytes()


def write_idx(folder: Path, size: int = 5, packed: bool = True, seed: int = 0) -> dict[str, np.ndarray]:
    """The four files of `small_idx_layout`; their contents by name."""
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True, exist_ok=True)
    content = {}
    for name in FILES:
        shape, most = ((size, 28, 28), 256) if "images" in name else ((size,), 10)
        content[name] = rng.integers(0, most, shape).astype(np.uint8)
        data = idx_bytes(content[name])
        if packed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(data, mtime=0))
        else:
            (folder / name).write_bytes(data)
    return content


def python3_pickle(protocol: int):
    """A writer for `cifar_bytes`: today's pickle module."""
    return lambda value: pickle.dumps(value, protocol)


def python2_pickle(value: object) -> bytes:
    """Protocol 2 as Python 2's cPickle wrote the official files: strings of bytes, old module names."""
    memo = iter(range(1 << 20))

    def put() -> bytes:
        index = next(memo)
        return b"q" + bytes([index]) if index < 256 else b"r" + struct.pack("<I", index)

    def write(item: object) -> bytes:
        if isinstance(item, bytes):
            head = b"U" + bytes([len(item)]) if len(item) < 256 else b"T" + struct.pack("<i", len(item))
            return head + item + put()
        if isinstance(item, bool) or item is None:
            return {True: b"\x88", False: b"\x89", None: b"N"}[item]
        if isinstance(item, int):
            if 0 <= item < 256:
                return b"K" + bytes([item])
            return b"M" + struct.pack("<H", item) if 0 <= item < 65536 else b"J" + struct.pack("<i", item)
        if isinstance(item, tuple):
            return b"(" + b"".join(map(write, item)) + b"t"
        if isinstance(item, list):
            return b"]" + put() + b"(" + b"".join(map(write, item)) + b"e"
        if isinstance(item, dict):
            items = b"".join(write(key) + write(content) for key, content in item.items())
            return b"}" + put() + b"(" + items + b"u"
        if isinstance(item, np.ndarray):
            dtype = b"cnumpy\ndtype\n" + put() + write((b"u1", 0, 1)) + b"R" + put()
            dtype += write((3, b"|", None, None, None, -1, -1, 0)) + b"b"
            head = b"cnumpy.core.multiarray\n_reconstruct\n" + put() + b"(cnumpy\nndarray\n" + put()
            head += write((0,)) + write(b"b") + b"tR" + put()
            return head + b"(K\x01" + write(item.shape) + dtype + b"\x89" + write(item.tobytes()) + b"tb"
        raise TypeError(type(item))

    return b"\x80\x02" + write(value) + b"."
