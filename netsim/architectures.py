"""The paper's four networks by name.

Source: Amit (2019), section 4 (simpnet, deepnet, deepernet) and section 4.1 (deepnet_s).
"""

from __future__ import annotations

import re

from netsim import notation
from netsim.errors import UnknownNameError, nearest

ARCHITECTURES: dict[str, str] = {
    "simpnet": "conv 32 5x5; maxpool 3; drop .8; full 500; drop .3; output",
    "deepnet": (
        "conv 32 5x5; maxpool 3; conv 32 3x3; conv 32 3x3; maxpool 3; drop .8; "
        "conv 32 3x3; conv 32 3x3; maxpool 3; drop .3; full 500; output"
    ),
    "deepernet": (
        "conv 16 3x3; conv 16 3x3; sum; conv 32 3x3; conv 32 3x3; sum; maxpool 3; drop .5; "
        "conv 64 3x3; conv 64 3x3; sum; maxpool 3; conv 128 3x3; conv 128 3x3; sum; maxpool 3; drop .8; "
        "full 500; output"
    ),
    "deepnet_s": (
        "conv 16 3x3; conv 16 3x3; sum; maxpool 3, stride 3; drop .5; "
        "conv 64 3x3; conv 64 3x3; sum; maxpool 2; conv 64 2x2; conv 64 2x2; sum; maxpool 2; drop .5; "
        "full 500; output"
    ),
}


def resolve(architecture: str | tuple[notation.LayerSpec, ...]) -> tuple[notation.LayerSpec, ...]:
    """Layer specifications of `architecture`: a name of the paper's, notation text, or specifications.

    Raises UnknownNameError for a single word that is no name (with the nearest one), NotationError otherwise.
    """
    if not isinstance(architecture, str):
        return notation.check(architecture)
    word = architecture.strip().lower()
    if word in ARCHITECTURES:
        return notation.parse(ARCHITECTURES[word])
    if re.fullmatch(r"[\w.-]+", word) and word not in notation.KINDS:
        shown = word if len(word) <= 40 else word[:37] + "..."
        raise UnknownNameError(f"no network is named {shown!r}{nearest(word[:40], ARCHITECTURES)}")
    return notation.parse(architecture)
