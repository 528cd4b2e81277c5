"""From a configuration to what trains: data loaded, net and trainer built, every option checked, nothing
written.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from netsim import configuration as configurations
from netsim import devices, summary
from netsim.configuration import Configuration
from netsim.errors import OptionError
from netsim.variants import Variants

if TYPE_CHECKING:
    from netsim import Network, Trainer
    from netsim.data import Split
    from netsim.devices import Device


@dataclass(frozen=True)
class Prepared:
    """Everything a run needs; `configuration` is resolved, so its to_toml() is the run.toml of the run."""

    configuration: Configuration
    network: Network
    trainer: Trainer
    device: Device
    train: Split
    validation: Split | None
    test: Split | None
    class_names: tuple[str, ...]


def prepare(configuration: Configuration) -> Prepared:
    """Load the data and build net and trainer. Raises a `NetsimError` for anything wrong with them or the
    options.
    """
    import netsim
    from netsim import data

    dataset = data.load(configuration.data, configuration.data_dir)
    facts: dict[str, object] = {
        "input_shape": list(dataset.input_shape),
        "classes": dataset.classes,
        "test": 0 if dataset.test is None else len(dataset.test),
    }
    resolved = configurations.resolve(configuration, images=len(dataset.train), facts=facts)
    check_memory(resolved, dataset.input_shape, dataset.classes)
    network = netsim.Network(
        resolved.net, dataset.input_shape, dataset.classes, resolved.seed, **resolved.network_options()
    )
    device = _choose_device(resolved)
    with np.errstate(over="ignore"):  # thresholds of circuits that spread beyond float32 are infinite: no gate shuts
        trainer = _make_trainer(resolved, device, network)
    if {layer.name for layer in network.weighted} <= trainer.frozen:
        raise OptionError(
            f"is {','.join(resolved.frozen)}: these are all layers with weights, so none learns", "frozen"
        )
    train, validation = dataset.train, None
    if resolved.validation:
        train, validation = dataset.holdout(resolved.validation)
    if resolved.resolved["train"] < len(train):
        train = train.take(np.arange(resolved.resolved["train"]))
    if resolved.schedule is not None:
        from netsim.events.engines import check_length

        check_length(trainer.schedule, len(train), trainer.streams or 1)
    chosen = {"mu": float(trainer.mu), "decay": trainer.decay}
    facts = {**resolved.resolved, **chosen, "data_sha256": fingerprint(train, validation)}
    versions = resolved.versions if device.name == "cpu" else {**resolved.versions, "device": device.text}
    resolved = resolved.model_copy(update={"resolved": facts, "versions": versions})
    return Prepared(resolved, network, trainer, device, train, validation, dataset.test, dataset.class_names)


def _choose_device(configuration: Configuration) -> Device:
    device = devices.choose(configuration.device)
    if configuration.schedule is None:
        return device
    from netsim.events.engines import on_device

    return on_device(configuration.engine, device)


def _make_trainer(configuration: Configuration, device: Device, network: Network) -> Trainer:
    """The trainer of a device, or, under a schedule, that of an event engine."""
    options = configuration.trainer_options()
    if configuration.schedule is None:
        return devices.make_trainer(device, network, **options)
    from netsim.events.engines import trainer
    from netsim.events.presets import check_fit, from_text

    check_fit(configuration.schedule, [layer.name for layer in network.layers if layer.kind != "drop"])
    schedule = from_text(configuration.schedule)
    return trainer(network, schedule, configuration.engine, device, streams=configuration.streams, **options)


def check_memory(configuration: Configuration, input_shape: tuple[int, int, int], classes: int) -> None:
    """Raise `OptionError` for a net that cannot fit: better than to be killed by the system in the middle.

    Counted are W, R, their increment, the copies of W and R that a checkpoint is made of, and one image's units, or a
    batch's where the step needs all of it at once.
    """
    need = summary.summarize(configuration.net, input_shape, classes)
    images = (configuration.batch or 1) if Variants(**configuration.variants()).chosen else 1
    size = need.weight_bytes + 4 * summary.NUMBER_BYTES * need.weights + images * need.activity_bytes
    there = memory_bytes()
    if there is not None and size > there:
        net = "this net" if configuration.label == "net" else f"the net {configuration.label}"
        raise OptionError(
            f"{net} has {need.weights:,} weights W on images of "
            f"{'x'.join(map(str, input_shape))}: training needs {size / 2**30:,.1f} GiB, "
            f"but there are {there / 2**30:,.1f} GiB of memory"
        )


def memory_bytes() -> int | None:
    """Memory of this machine or of the container that we are in; None where the system does not tell."""
    try:
        sizes = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    except (AttributeError, ValueError, OSError):
        return None
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            sizes.append(int(Path(limit).read_text()))
        except (OSError, ValueError):  # no such limit, or "max"
            continue
    return min(size for size in sizes if size > 0)


def fingerprint(*splits: Split | None) -> str:
    """SHA-256 of images and labels (hexadecimal): a resumed run must see the same data."""
    digest = hashlib.sha256()
    for split in splits:
        if split is not None:
            for array in (split.images, split.labels):
                digest.update(f"{array.dtype.str} {array.shape} ".encode())
                digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
