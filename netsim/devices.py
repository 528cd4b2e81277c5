"""Which device a run computes on, the CPU or a GPU, and what drives its epochs there.

Nothing of CUDA is imported until a GPU is asked for, or looked for by "auto". A GPU that cannot be used is an error,
never a quiet run on the CPU.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib import util
from typing import TYPE_CHECKING

import numpy as np

from netsim import summary
from netsim.errors import OptionError, nearest

if TYPE_CHECKING:
    from netsim import Network, Trainer
    from netsim.data import Split
    from netsim.steps.setting import StepResult

DEVICES = ("cpu", "cuda", "auto")

#: Multiply-adds of a batch's step below which a GPU has little to do: an estimate from some twenty launches of a few
#: microseconds each, in which the CPU does about as many.
_WORTHWHILE = 20_000_000


@dataclass(frozen=True, slots=True)
class Device:
    """The device that a run takes.

    Attributes
    ----------
    name : "cpu" or "cuda"
    text : what it is, for people: "CPU", "CUDA: NVIDIA H200"
    why : why it was taken, where the choice was ours ("auto"), else ""
    """

    name: str
    text: str
    why: str = ""

    @property
    def choice(self) -> str:
        """What was taken and why, where the choice was ours; else nothing."""
        return f"device: {self.text} ({self.why})" if self.why else ""

    def notices(self, configuration, input_shape, classes: int) -> tuple[str, ...]:
        """What the user should know: one line each."""
        lines = [self.choice] if self.why else []
        if self.name == "cuda":
            work = multiply_adds(configuration.net, input_shape, classes, configuration.batch)
            if work < _WORTHWHILE:
                lines.append(
                    f"this net is small: {work / 1e6:.2g} million multiply-adds a batch keep no GPU busy; "
                    "--device cpu may be as fast"
                )
        return tuple(lines)


CPU = Device("cpu", "CPU")


def choose(asked: str) -> Device:
    """The device of that name; "auto" takes a GPU where one can be used.

    Raises `OptionError` for an unknown name, and for "cuda" where no GPU can be used: the message says why.
    """
    if asked == "cpu":
        return CPU
    if asked not in DEVICES:
        raise OptionError(f"--device is {str(asked)[:40]!r}{nearest(str(asked)[:40], DEVICES)}")
    missing = _missing(simulator=asked == "cuda")
    if missing is None:
        from netsim.cuda.jit import device_name

        why = "a GPU was found" if asked == "auto" else ""
        return Device("cuda", f"CUDA: {device_name()}", why)
    if asked == "auto":
        return Device("cpu", "CPU", missing)
    raise OptionError(f"--device cuda: {missing}")


def _missing(simulator: bool) -> str | None:
    """Why no GPU can be used, or None. ``simulator`` : the CUDA simulator will do, where it is turned on."""
    if util.find_spec("numba_cuda") is None:
        return "numba-cuda is not installed: pip install '.[cuda]' in netsim's checkout"
    if os.environ.get("NUMBA_ENABLE_CUDASIM", "0") not in ("", "0"):
        return None if simulator else "the CUDA simulator is turned on, which only --device cuda takes"
    from netsim.cuda import jit

    return jit.missing()


def multiply_adds(net: str, input_shape, classes: int, batch: int) -> int:
    """Multiply-adds of one training step."""
    return batch * summary.summarize(net, input_shape, classes).step


def make_trainer(device: Device, network: Network, **options) -> Trainer:
    """The trainer of a device, with the options of `netsim.Trainer`."""
    if device.name == "cuda":
        from netsim.cuda.trainer import CudaTrainer

        return CudaTrainer(network, **options)
    import netsim

    return netsim.Trainer(network, **options)


def make_learner(trainer: Trainer, split: Split, batch: int) -> HostLearner:
    """What drives a trainer through the epochs of a split: for a trainer on a GPU, with the data there."""
    if hasattr(trainer, "device_net"):
        from netsim.cuda.learner import CudaLearner

        return CudaLearner(trainer, split, batch)
    return HostLearner(trainer, split)


def answering(device: Device, network: Network):
    """The net as its device answers: something with ``scores``, ``activity``, ``layers`` and ``classes``."""
    if device.name == "cuda":
        from netsim.cuda.network import DeviceNet

        return DeviceNet(network)
    return network


class HostLearner:
    """Learns the images of a split on the CPU, step by step.

    Attributes
    ----------
    network : what answers for evaluation, with the weights as they are now
    """

    def __init__(self, trainer: Trainer, split: Split):
        self._trainer, self._split, self.network = trainer, split, trainer.net

    def begin_epoch(self, order: np.ndarray, before: int = 0) -> None:
        """Go through the images in this order, from image number ``before`` on, the first of the trainer's batch."""
        self._order = order

    def learn(self, first: int, last: int) -> list[tuple[int, StepResult]]:
        """Learn images ``first`` to ``last`` - 1 of the order as one batch.

        Returns (number of images, result) of the steps that are known by now, in order; a device may keep some back.
        """
        images, labels = self._split.batch(self._order[first:last])
        return [(last - first, self._trainer.step(images, labels))]

    def tell(self) -> list[tuple[int, StepResult]]:
        """The results that were kept back."""
        return []

    def settle(self) -> list[tuple[int, StepResult]]:
        """The results that were kept back. When it returns, the net's arrays have the weights of now."""
        return []
