"""Measurements of the PyTorch peer on a GPU. Each function is a task of `netsim.bench.processes`.

The net is that of `netsim.bench.torch_net`, channels last, its batch on the device beforehand, as float32; a step
reads nothing back. Times are taken as in `netsim.bench.cuda_engine`. TF32 is allowed in convolutions and products
alike, or in neither.
"""

from __future__ import annotations

import statistics
from typing import Any

import torch
import torch.nn.functional as F

from netsim.bench.job import Job
from netsim.bench.measures import images_and_labels
from netsim.bench.torch_net import Net, Variant
from netsim.bench.torch_peer import glorot

_WARM, _GROUPS, _GROUP = 10, 20, 5

#: Rows and columns of the square matrices whose product gives the GPU's rate.
_SIDE = 8192


def usable() -> dict[str, Any]:
    """Whether this PyTorch can use a GPU, and its version."""
    return {"usable": torch.cuda.is_available(), "torch": torch.__version__}


def measure(job: dict, compiled: bool, tf32: bool, windows: bool) -> dict[str, Any]:
    """Median milliseconds of whole training steps; {"failed": why} where this PyTorch cannot.

    ``compiled`` : by torch.compile; ``windows`` : locally connected layers by a view of windows, else by unfold.
    """
    asked = Job.from_json(job)
    _allow(tf32)
    torch.manual_seed(0)
    net = Net(asked, Variant(channels_last=True, windows=windows))
    for layer in net.weighted().values():
        glorot(layer)
    net = net.cuda()
    pixels, classes = images_and_labels(asked)
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(memory_format=torch.channels_last).cuda()
    labels = torch.from_numpy(classes).cuda()
    forward = torch.compile(net) if compiled else net
    try:
        milliseconds = _times(lambda: _step(net, forward, images, labels), asked.steps or _GROUPS)
    except Exception as error:  # a compiler that is not there, a net that it cannot do, memory
        return {"failed": " ".join(str(error).split())[:200] or type(error).__name__}
    median = statistics.median(milliseconds)
    return {"ms": median, "least_ms": min(milliseconds), "images_per_s": 1e3 * asked.batch / median}


def rates() -> dict[str, float]:
    """TFLOP/s of a large product in float32 without TF32, and with."""
    found = {}
    a, b = (torch.rand(_SIDE, _SIDE, device="cuda") for _ in range(2))
    for name, tf32 in (("fp32", False), ("tf32", True)):
        _allow(tf32)
        found[name] = 2 * _SIDE**3 / statistics.median(_times(lambda: a @ b, 10)) / 1e9
    return found


def _allow(tf32: bool) -> None:
    torch.backends.cuda.matmul.allow_tf32 = tf32
    torch.backends.cudnn.allow_tf32 = tf32
    torch.backends.cudnn.benchmark = True


def _times(act, number: int) -> list[float]:
    """Milliseconds a call, of groups of calls between two events, after warming up."""
    taken = []
    for _ in range(_WARM):
        act()
    for _ in range(number):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        for _ in range(_GROUP):
            act()
        end.record()
        end.synchronize()
        taken.append(start.elapsed_time(end) / _GROUP)
    return taken


def _step(net: Net, forward, images, labels, step_size: float = 0.1) -> None:
    """One batch: forward, feedback, update of W and, under urfb, the same of R."""
    layers = net.weighted().values()
    for layer in layers:
        layer.W.grad = None
    hinge(forward(images), labels).backward()
    with torch.no_grad():
        for layer in layers:
            layer.W.add_(layer.W.grad, alpha=-step_size)
            if net.updates_feedback:
                layer.R.add_(layer.W.grad, alpha=-step_size)


def hinge(scores: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """`netsim.bench.torch_net.hinge` without the choice of entries by a mask, which waits for the device."""
    mu = 1 / (scores.shape[1] - 1)
    own = F.one_hot(labels, scores.shape[1]).to(scores.dtype)
    return (own * F.relu(1 - scores) + mu * (1 - own) * F.relu(1 + scores)).sum() / len(labels)
