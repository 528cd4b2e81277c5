"""Sets of options by name: the paper's text to the letter, and what the author's code does.

=================  ======================  =============================
option             paper                   author
=================  ======================  =============================
slope              1                       0.5
feedback_through   old                     updated
untied_feedback    current                 epoch
untied_start       apart                   spread
pool_anchor        center                  corner
pool_ties          first                   all
drop               batch                   sample
thin_output        true                    false
feedback_input     x                       x
feedback_clip      none                    none
=================  ======================  =============================

Where neither is asked for, the paper's hold, but for ``drop``, which is "sample" (one mask a batch learns much more
slowly), and ``thin_output``, which is false.

Source: Amit (2019), sections 3 and 4, and the code published with it.
"""

from __future__ import annotations

from netsim.errors import OptionError, nearest, shown

_PAPER: dict[str, object] = {
    "slope": 1.0,
    "feedback_through": "old",
    "untied_feedback": "current",
    "untied_start": "apart",
    "pool_anchor": "center",
    "pool_ties": "first",
    "drop": "batch",
    "thin_output": True,
    "feedback_input": "x",
    "feedback_clip": None,
}
PRESETS: dict[str, dict[str, object]] = {
    "paper": _PAPER,
    "author": {
        **_PAPER,
        "slope": 0.5,
        "feedback_through": "updated",
        "untied_feedback": "epoch",
        "untied_start": "spread",
        "pool_anchor": "corner",
        "pool_ties": "all",
        "drop": "sample",
        "thin_output": False,
    },
}


def preset(name: str) -> dict[str, object]:
    """Values for `netsim.configuration.build`, by name. Raises OptionError for an unknown one."""
    if not isinstance(name, str) or name not in PRESETS:
        raise OptionError(f"unknown preset {shown(name)}{nearest(str(name)[:40], PRESETS)}")
    return dict(PRESETS[name])
