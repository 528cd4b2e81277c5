"""Measurements of the PyTorch peer. Each function is a task of `netsim.bench.processes`."""

from __future__ import annotations

import statistics
from dataclasses import asdict, replace
from typing import Any

import torch

from netsim import geometry
from netsim.bench.job import Job
from netsim.bench.measures import images_and_labels, peak_memory, speed, times
from netsim.bench.torch_net import Net, Variant, train_step

#: Seconds spent on each variant when the fastest is sought.
_TRIAL_SECONDS = 0.5


def _prepared(job: Job, variant: Variant):
    """Net with Glorot uniform weights, images and labels."""
    torch.set_num_threads(job.threads)
    torch.manual_seed(0)
    net = Net(job, variant)
    for layer in net.weighted().values():
        glorot(layer)
    pixels, classes = images_and_labels(job)
    images = torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(memory_format=variant.layout)
    return net, images, torch.from_numpy(classes)


def glorot(layer) -> None:
    """W and R uniform within +-sqrt(6 / (fan_in + fan_out)), drawn independently (section 4)."""
    place = layer.place
    if place.kind in ("conv", "untied"):
        area = place.spec.rows * place.spec.columns
        fans = area * (place.below[2] + place.spec.filters)
    else:
        fans = geometry.units(place.below) + geometry.units(place.shape)
    limit = (6 / fans) ** 0.5
    with torch.no_grad():
        layer.W.uniform_(-limit, limit)
        if not layer.symmetric:
            layer.R.uniform_(-limit, limit)


def measure(job: dict, variant: dict) -> dict[str, Any]:
    """Training and inference of a job: images/s each, and the peak memory of training."""
    asked = Job.from_json(job)
    net, images, labels = _prepared(asked, Variant(**variant))
    train_step(net, images, labels)
    training = speed(lambda: train_step(net, images, labels), asked)
    memory = peak_memory()
    net.eval()
    with torch.inference_mode():
        net(images)
        inference = speed(lambda: net(images), asked)
    return {"training": training, "inference": inference, "peak_memory": memory, "torch": torch.__version__}


def variants(job: Job, windows: bool) -> list[Variant]:
    """The variants worth trying, but for the padding of pools.

    Channels last and channels first where a convolution is tied; `unfold` gives its columns in one layout only.
    """
    kinds = {spec.kind for spec in job.specs}
    tried = [Variant(channels_last=True), Variant()] if "conv" in kinds or "untied" not in kinds else [Variant()]
    if "untied" in kinds and windows:
        tried.append(Variant(channels_last=True, windows=True))
    return tried


def try_variants(job: dict, windows: bool = True) -> dict[str, Any]:
    """Milliseconds of a training step for each variant, and the fastest: {"tried": [...], "fastest": {...}}.

    The fastest is tried once more with zeros in place of PyTorch's own padding of pools. ``windows`` : whether
    locally connected layers may be written in the faster, less usual way.
    """
    asked = Job.from_json(job)
    candidates = variants(asked, windows)
    rounds = [[_trial(asked, variant) for variant in candidates] for _ in range(2)]  # in turn: one may be disturbed
    tried = [(min(both), variant) for both, variant in zip(zip(*rounds, strict=True), candidates, strict=True)]
    if any(spec.kind == "maxpool" for spec in asked.specs):
        padded = replace(_fastest(tried), zeros=True)
        tried.append((_trial(asked, padded), padded))
    rows = [{**asdict(variant), "ms": milliseconds} for milliseconds, variant in tried]
    return {"tried": rows, "fastest": asdict(_fastest(tried))}


def _fastest(tried: list[tuple[float, Variant]]) -> Variant:
    return min(tried, key=lambda one: one[0])[1]


def _trial(job: Job, variant: Variant) -> float:
    net, images, labels = _prepared(job, variant)
    train_step(net, images, labels)
    return 1e3 * statistics.median(times(lambda: train_step(net, images, labels), None, _TRIAL_SECONDS))
