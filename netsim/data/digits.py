"""Handwritten digits: the 1,797 images of 8x8 pixels inside scikit-learn (values 0 to 16).

The test part of the UCI "Optical Recognition of Handwritten Digits" (Alpaydin, Kaynak 1998). Read from the
file inside the installed package: importing scikit-learn itself would take a second.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np

from netsim.data.compressed import GzipStream
from netsim.data.dataset import Split
from netsim.data.places import open_file
from netsim.data.refusal import refusing
from netsim.errors import DataError

INPUT_SHAPE = (8, 8, 1)
SIZE = 1797
_LARGEST = 1 << 20
"""Bytes of the inflated table; it has 264,712."""


def path() -> Path:
    """The table inside the installed scikit-learn; `DataError` when scikit-learn is not installed."""
    package = importlib.util.find_spec("sklearn")
    if package is None or not package.submodule_search_locations:
        raise DataError("digits: scikit-learn is not installed; `pip install scikit-learn` brings the images")
    return Path(package.submodule_search_locations[0], "datasets", "data", "digits.csv.gz")


def read(table: Path) -> Split:
    """All images (1797, 8, 8, 1) uint8, scale 1/16. The file has no test part."""
    refuse = refusing(table)
    file, _ = open_file(table, refuse)
    with file:
        text = GzipStream(file, refuse, _LARGEST).readall()
    try:
        values = np.loadtxt(text.decode("ascii").splitlines(), delimiter=",", dtype=np.float64, ndmin=2)
    except ValueError:
        raise refuse("a table that cannot be read", f"{SIZE} rows of 65 numbers") from None
    if values.shape != (SIZE, 65):
        raise refuse(f"{values.shape[0]} rows of {values.shape[1]} numbers", f"{SIZE} rows of 65")
    pixels, labels = values[:, :64], values[:, 64]
    whole = bool((values == np.floor(values)).all())
    if not whole or pixels.min() < 0 or pixels.max() > 16 or labels.min() < 0 or labels.max() > 9:
        raise refuse("values out of range", "pixels 0 to 16, labels 0 to 9")
    return Split(pixels.astype(np.uint8).reshape(SIZE, *INPUT_SHAPE), labels.astype(np.int64), 1 / 16)
