"""Run folders: one folder a run, one writing process at a time, nothing saved is ever lost.

====================  =============================================================================
run.toml              what was asked for and what it resolved to (`netsim.configuration`)
metrics.jsonl         a line an epoch: loss, error, alignment of W and R, share of saturated units
timings.jsonl         a line an epoch: seconds and images/s, of the machine and not of the run
last.safetensors      the newest checkpoint
previous.safetensors  the one before it
best.safetensors      the weights with the smallest validation error
curves.png            errors and alignment
====================  =============================================================================
"""

from netsim.runs.checkpoints import Checkpoint
from netsim.runs.folder import Run, create, find, new_path
from netsim.runs.records import History

__all__ = ["Checkpoint", "History", "Run", "create", "find", "new_path"]
