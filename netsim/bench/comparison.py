"""Two ways of doing one job, in turn: ours, theirs, ours, theirs, each in a fresh process.

Machines are shared and their clocks wander. So only ratios within a pair are compared, and their median and range
are reported. So is the share of this machine's sgemm, measured once in every pair.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import util
from typing import Any

from netsim import summary
from netsim.bench import processes
from netsim.bench.job import Job
from netsim.errors import OptionError, nearest

#: Peer: what reports call it. "torch" is the fastest of PyTorch's variants, "torch-unfold" the fastest of those
#: that write locally connected layers in the usual way.
PEERS = {"torch": "PyTorch", "torch-unfold": "PyTorch, unfold", "one-thread": "one thread"}

#: Protocols that the net in PyTorch knows.
PROTOCOLS = ("bp", "frfb", "urfb")

#: Figure of a measurement: where it stands in a measurement's answer.
FIGURES = {
    "training": ("training", "images_per_s"),
    "inference": ("inference", "images_per_s"),
    "memory": ("peak_memory",),
}

#: Seconds of each measurement of sgemm.
_SGEMM_SECONDS = 0.3

Show = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Way:
    """One way of doing the job: a task of `netsim.bench.processes` and its arguments."""

    task: str
    arguments: dict[str, Any]

    def measure(self) -> dict[str, Any]:
        return processes.run(self.task, **self.arguments)


def check_peer(peer: str, protocol: str) -> None:
    """Raise `OptionError` where the peer is unknown or not installed, or does not know the protocol."""
    if peer not in PEERS:
        raise OptionError(f"--vs is {peer[:40]!r}{nearest(peer[:40], PEERS)}")
    if peer != "one-thread":
        if util.find_spec("torch") is None:
            raise OptionError(
                f"--vs {peer} needs PyTorch, which is not installed here: pip install '.[peers]' in netsim's checkout"
            )
        if protocol not in PROTOCOLS:
            raise OptionError(f"--vs {peer} knows the protocols {', '.join(PROTOCOLS)}, not {protocol}")


def compare(job: Job, peer: str, pairs: int, show: Show = lambda text: None) -> dict[str, Any]:
    """Measure a job in turn with a peer.

    Parameters
    ----------
    peer : "torch" or "torch-unfold", the same net in PyTorch, in its fastest variant, after equality was checked;
        or "one-thread", our own engine with one thread
    pairs : number of alternating pairs
    show : called with a line about what is being done

    Returns
    -------
    job, peer, what was checked and tried, ``pairs`` (each with ``ours``, ``theirs``, ``sgemm``), ``ratios``, ``sgemm``
    """
    check_peer(peer, job.protocol)
    ours, found = Way("netsim", {"job": job.to_json()}), {}
    if peer == "one-thread":
        theirs = Way("netsim", {"job": replace(job, threads=1).to_json()})
    else:
        show(f"{job.name}: checking that one step is the same")
        found["equality"] = processes.run("torch equality", job=job.to_json())
        show(f"{job.name}: looking for PyTorch's fastest variant")
        found["variants"] = processes.run("torch variants", job=job.to_json(), windows=peer == "torch")
        theirs = Way("torch", {"job": job.to_json(), "variant": found["variants"]["fastest"]})
    show(f"{job.name}: filling the cache of compiled kernels")
    processes.run("netsim", job=replace(job, steps=1).to_json())
    measured = []
    for pair in range(pairs):
        show(f"{job.name}: pair {pair + 1} of {pairs}")
        rate = processes.run("sgemm", threads=job.threads, seconds=_SGEMM_SECONDS)["gflops"]
        measured.append({"ours": ours.measure(), "theirs": theirs.measure(), "sgemm": rate})
    found |= {"pairs": measured, "ratios": ratios(measured), "sgemm": sgemm_share(job, measured)}
    return {"job": job.to_json(), "peer": peer, **found}


def ratios(pairs: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Of each figure: median, least and largest ratio of ours to theirs, and the median of both."""
    result = {}
    for figure, path in FIGURES.items():
        ours = [_at(pair["ours"], path) for pair in pairs]
        theirs = [_at(pair["theirs"], path) for pair in pairs]
        medians = {"ours": statistics.median(ours), "theirs": statistics.median(theirs)}
        result[figure] = _spread([a / b for a, b in zip(ours, theirs, strict=True)]) | medians
    return result


def sgemm_share(job: Job, pairs: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Our training in GFLOP/s, this machine's sgemm, and the share of the first in the second, pair by pair."""
    rates = [step_gflops(job, pair["ours"]["training"]["images_per_s"]) for pair in pairs]
    limits = [pair["sgemm"] for pair in pairs]
    shares = [rate / limit for rate, limit in zip(rates, limits, strict=True)]
    return {"training_gflops": _spread(rates), "gflops": _spread(limits), "share": _spread(shares)}


def step_gflops(job: Job, images_per_s: float) -> float:
    """GFLOP/s of whole training steps: the products of the paper's algorithm, whatever part of them is saved."""
    counted = summary.summarize(job.architecture, job.input_shape, job.classes)
    return 2 * counted.step * images_per_s / 1e9


def _spread(values: list[float]) -> dict[str, float]:
    return {"median": statistics.median(values), "least": min(values), "largest": max(values)}


def _at(measurement: dict[str, Any], path: tuple[str, ...]) -> float:
    for key in path:
        measurement = measurement[key]
    return measurement
