"""Where compiled CUDA kernels are kept between runs."""

from __future__ import annotations

from importlib import metadata
from pathlib import Path

from netsim.kernels.cache import kernel_folders


def kernel_folder() -> Path | None:
    """The folder that they are read from and written to; None (kernels are compiled anew) where there is none.

    numba-cuda takes no folder that can only be read.
    """
    package = Path(__file__).resolve().parent.parent
    sources = [*package.glob("cuda/*.py"), *package.glob("kernels/*.py")]
    return kernel_folders("cuda", metadata.version("numba-cuda"), sources).own
