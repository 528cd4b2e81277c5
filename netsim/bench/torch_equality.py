"""Whether the PyTorch peer does the same as the engine: one step from the same weights. A task of `processes`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch

import netsim
from netsim.bench.job import Job
from netsim.bench.measures import images_and_labels
from netsim.bench.torch_net import Net, Variant, train_step
from netsim.bench.torch_peer import variants
from netsim.errors import NetsimError

#: Images of the step that is compared.
_IMAGES = 4

#: The step size is large, so that a weight's change is not lost in the rounding of the weight.
_STEP_SIZE = 64.0

#: Largest difference allowed, relative to the change of the layer's weights (norms). Sums of float32 in another
#: order differ by some 1e-6; minus infinity in place of 0 outside the grid of a pool makes 0.03 or more.
TOLERANCE = 1e-4

#: Two float32 sums of one input may fall on two sides of a threshold, or let another unit of a pool win: then a step
#: differs by more, though no rule does. Such an input is rare, so that another draw of weights and images decides. A
#: rule that differs does so in every draw.
_DRAWS = 3


class DisagreementError(NetsimError, ArithmeticError):
    """The peer and the engine do not do the same."""


def check(job: dict) -> dict[str, Any]:
    """The largest relative difference of a layer's W and R after one step, drop off, over all variants of the peer.

    Raises `DisagreementError` where it is above `TOLERANCE`.
    """
    asked = replace(Job.from_json(job), batch=_IMAGES)
    torch.set_num_threads(asked.threads)
    worst = ("", 0.0)
    for variant in variants(asked, windows=True):
        for draw in range(_DRAWS):
            where, difference = differences(asked, draw, replace(variant, zeros=True))
            if difference <= TOLERANCE:
                break
        else:
            raise DisagreementError(
                f"{asked.name}: after one step of {asked.protocol}, {where} of PyTorch and netsim differ by "
                f"{difference:.1e} of their change, more than {TOLERANCE:g}; nothing was timed"
            )
        worst = max(worst, (where, difference), key=lambda one: one[1])
    return {"difference": worst[1], "weights": worst[0], "tolerance": TOLERANCE, "images": _IMAGES}


def differences(job: Job, seed: int, variant: Variant) -> tuple[str, float]:
    """The weights that differ most after a step of both, drop off ("conv1.W"), and by how much of their change."""
    job = replace(job, drop="off")
    net = netsim.Network(job.architecture, job.input_shape, job.classes, seed=seed)
    trainer = netsim.Trainer(net, job.protocol, step_size=_STEP_SIZE, drop="off", threads=job.threads)
    peer = Net(job, variant)
    with torch.no_grad():
        for name, layer in peer.weighted().items():
            layer.W.copy_(_tensor(layer.turned(net[name].W)))
            if not layer.symmetric:
                layer.R.copy_(_tensor(layer.turned(net[name].R)))
    before = net.state()
    pixels, classes = images_and_labels(job)
    pixels = np.roll(pixels, seed, axis=2)
    images = _tensor(pixels).permute(0, 3, 1, 2).contiguous(memory_format=variant.layout)
    train_step(peer, images, _tensor(classes), _STEP_SIZE)
    trainer.step(pixels, classes)
    worst = ("", -1.0)
    for name, layer in peer.weighted().items():
        for which in ("W", "R"):
            theirs = layer.turned_back(getattr(layer, which).detach().numpy())
            ours, old = getattr(net[name], which), before[f"{name}.{which}"]
            change = float(np.linalg.norm(ours - old))
            difference = float(np.linalg.norm(ours - theirs))
            # Weights that do not learn (R under frfb) have no change; then nothing at all may differ.
            relative = difference / change if change else (np.inf if difference else 0.0)
            if not relative <= worst[1]:
                worst = (f"{name}.{which}", relative)
    return worst


def _tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))
