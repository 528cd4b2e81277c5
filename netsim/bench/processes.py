"""A fresh Python process for every measurement, and what it answers.

The process reads one JSON request from its standard input and answers with one JSON line.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from netsim import errors
from netsim.errors import NetsimError

#: Task: (module, function). The function takes the request's arguments and returns plain values.
TASKS = {
    "sgemm": ("netsim.bench.peak", "sgemm"),
    "netsim": ("netsim.bench.engine", "measure"),
    "layers": ("netsim.bench.engine", "measure_layers"),
    "batches": ("netsim.bench.engine", "measure_batches"),
    "torch": ("netsim.bench.torch_peer", "measure"),
    "torch variants": ("netsim.bench.torch_peer", "try_variants"),
    "torch equality": ("netsim.bench.torch_equality", "check"),
    "cuda": ("netsim.bench.cuda_engine", "measure"),
    "cuda bandwidth": ("netsim.bench.cuda_engine", "bandwidth"),
    "cuda torch": ("netsim.bench.cuda_torch", "measure"),
    "cuda torch rates": ("netsim.bench.cuda_torch", "rates"),
    "cuda torch usable": ("netsim.bench.cuda_torch", "usable"),
}


class MeasurementError(NetsimError, RuntimeError):
    """A measuring process that failed."""


def run(task: str, *, cache: str | os.PathLike | None = None, **arguments) -> dict[str, Any]:
    """Answer of a task in a process of its own.

    ``cache`` : folder for compiled kernels, in place of the user's.

    Raises `NetsimError`: what the process raised, or that it died.
    """
    root = str(Path(__file__).resolve().parents[2])
    environment = dict(os.environ)
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [root, environment.get("PYTHONPATH")]))
    if cache is not None:
        environment["NETSIM_CACHE"] = os.fspath(cache)
    request = json.dumps({"task": task, "started": time.time(), "arguments": arguments})
    # -P: no module of the folder that the user stands in takes the place of a real one.
    done = subprocess.run(
        [sys.executable, "-P", "-m", "netsim.bench.processes"],
        input=request, capture_output=True, text=True, env=environment,
    )  # fmt: skip
    try:
        answer = json.loads(done.stdout.splitlines()[-1])
    except (IndexError, ValueError):
        raise MeasurementError(f"measuring ({task}) failed: {_reason(done)}") from None
    if "error" in answer:
        kind = getattr(errors, answer["kind"], MeasurementError)
        raise kind(answer["error"])
    return answer["result"]


def _reason(done: subprocess.CompletedProcess) -> str:
    if done.returncode < 0:
        name = signal.Signals(-done.returncode).name
        return f"the process was ended by {name}" + (", perhaps for want of memory" if name == "SIGKILL" else "")
    last = [line for line in done.stderr.splitlines() if line.strip()][-1:]
    return last[0].strip() if last else f"exit status {done.returncode}"


def _answer() -> None:
    """What the fresh process does."""
    request = json.load(sys.stdin)
    module, function = TASKS[request["task"]]
    try:
        result = getattr(importlib.import_module(module), function)(**_with_start(request))
        answer = {"result": result}
    except NetsimError as error:
        answer = {"error": str(error), "kind": type(error).__name__}
    except MemoryError:
        answer = {"error": "not enough memory for this net and batch", "kind": "MeasurementError"}
    except KeyboardInterrupt:
        sys.exit(130)
    print(json.dumps(answer), flush=True)


def _with_start(request: dict) -> dict:
    """The arguments, with the wall-clock time of the process's start where the task wants it."""
    arguments = request["arguments"]
    if request["task"] == "netsim":
        arguments["started"] = request["started"]
    return arguments


if __name__ == "__main__":
    _answer()
