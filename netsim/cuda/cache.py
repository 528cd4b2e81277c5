"""Where compiled kernels are kept between runs."""

from __future__ import annotations

import hashlib
import os
from importlib import metadata
from pathlib import Path


def kernel_folder() -> Path | None:
    """A folder of this user for compiled kernels, one for each state of the kernels' sources.

    numba-cuda notices a changed kernel but not a changed function that it calls; so the folder's name holds a digest
    of every source. None (kernels are then compiled anew) where no folder can be written.
    """
    import platformdirs

    package = Path(__file__).resolve().parent.parent
    digest = hashlib.sha256(metadata.version("numba-cuda").encode())
    for source in sorted([*package.glob("cuda/*.py"), *package.glob("kernels/*.py")]):
        digest.update(source.read_bytes())
    base = os.environ.get("NETSIM_CACHE") or platformdirs.user_cache_dir("netsim")
    folder = Path(base) / "cuda" / digest.hexdigest()[:16]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return None
    return folder if os.access(folder, os.W_OK) else None
