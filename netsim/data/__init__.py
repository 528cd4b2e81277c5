"""Data sets: scikit-learn's digits (embedded), CIFAR-10 and -100, MNIST, Fashion-MNIST, and .npz files.

`load` gives a `Dataset` of `Split`s; `fetch` gets the official files with their checksums; `known` names
them. Files are checked as they are read and refused on one line; no pickle is executed, no archive
extracted.
"""

from netsim.data.dataset import Dataset, Split
from netsim.data.registry import describe, fetch, known, load

__all__ = ["Dataset", "Split", "describe", "fetch", "known", "load"]
