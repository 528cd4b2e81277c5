"""Epochs over data that stay on the device: the host sends the order of the images and reads what came of it.

A step is some tens of launches, and the same ones every time. From the second step of a size on they are one CUDA
graph, so the host's part of a step is one call. Where a step is, the kernels read from the device.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from netsim.cuda.jit import capture, empty, fetch, upload, within_memory, zeros
from netsim.cuda.layers import Draw
from netsim.cuda.trainer import CudaTrainer, keys, result
from netsim.cuda.units import count, present
from netsim.data.dataset import Split
from netsim.geometry import units
from netsim.steps.setting import StepResult


class CudaLearner:
    """Learns the images of a split, epoch by epoch; see `netsim.devices.HostLearner` for what its calls promise.

    Parameters
    ----------
    trainer : its net's weights are taken to the device at the first epoch
    split : its images and labels are taken to the device at once
    batch : images of a batch; the last of an epoch may have fewer
    graphs : launch a step as one CUDA graph, where there are graphs

    Attributes
    ----------
    network : answers with the weights on the device
    graphs : whether steps are launched as CUDA graphs: "on" from the first one captured, else "off" and why
    """

    def __init__(self, trainer: CudaTrainer, split: Split, batch: int, graphs: bool = True):
        self.trainer, self.network, self._split = trainer, trainer.device_net, split
        self._wanted, self.graphs = graphs, "off: none captured yet" if graphs else "off: not asked for"
        self._images, self._batch = len(split), min(batch, len(split))
        with within_memory(f"{len(split)} images"):
            self._pixels, self._targets = upload(split.images), upload(split.labels)
            self._order, self._losses = empty(self._images, np.int32), empty(self._images, np.float64)
            self._wrong = empty(self._images, np.uint8)
            self._before, self._turn = zeros(1, np.int64), zeros(1, np.int64)
            self._keys = empty(-(-self._images // self._batch) * len(trainer.net.layers), np.uint64)
        self._draw = Draw(self._keys, self._turn, trainer.drop)
        self._captured: dict[int, Callable[[], None] | None] = {}
        self._began = False
        self._pending: list[tuple[int, int]] = []

    def begin_epoch(self, order: np.ndarray, before: int = 0) -> None:
        """Go through the images in this order, from image number ``before`` on, the first of the trainer's batch."""
        trainer = self.trainer
        if not self._began:
            trainer.begin_on_device(self._batch)
            self._began = True
        trainer.begin_epoch_on_device()
        batches = [
            range(first, min(first + self._batch, self._images)) for first in range(before, self._images, self._batch)
        ]
        trainer.expect([batch.stop - batch.start for batch in batches])
        order = order.astype(np.int32)
        for batch in batches:
            order[batch] = order[batch][trainer.order(batch.stop - batch.start)]
        upload(order, self._order)
        upload(keys(trainer, 0, -(-self._images // self._batch)), self._keys)
        upload(np.array([before], np.int64), self._before)
        upload(np.array([trainer.batch], np.int64), self._turn)
        self._pending = []

    def learn(self, first: int, last: int) -> list[tuple[int, StepResult]]:
        """Launch the step of images ``first`` to ``last`` - 1 of the order. Nothing is known of it yet: []."""
        with within_memory("the increments of this net"):
            self._step(last - first)()
        self._pending.append((first, last))
        self.trainer.move_on(last - first)
        self.trainer.batch += 1
        return []

    def _step(self, images: int) -> Callable[[], None]:
        """What launches a step: kernel by kernel at first, which compiles them; then a graph, where it can be had."""
        if images not in self._captured:
            self._captured[images] = None
        elif self._wanted and self._captured[images] is None:
            try:
                self._captured[images] = capture(lambda: self._launch(images))
                self.graphs = "on" if self._captured[images] else "off: the simulator has none"
            except Exception as error:  # a step is the same without: slower where launches dominate
                self.graphs = f"off: {' '.join(str(error).split())[:200] or type(error).__name__}"
            self._wanted = self.graphs == "on"
        return self._captured[images] or (lambda: self._launch(images))

    def _launch(self, images: int) -> None:
        """Every launch of a step."""
        trainer, net = self.trainer, self.network
        each, scale = units(trainer.net.input_shape), np.float32(self._split.scale)
        data = (self._pixels, self._targets, self._order, self._before)
        for first, number in trainer.turns(images):
            present.over(number * each, net.x_0, net.labels, *data, scale, each)
            trainer.present(number, replace(self._draw, before=first), self._losses, self._wrong, self._before)
            count.launch((1,), 1, self._before, number)
        trainer.finish()
        trainer.update(images)
        count.launch((1,), 1, self._turn, 1)

    def tell(self) -> list[tuple[int, StepResult]]:
        """Wait; number of images and result of every step not told yet."""
        if not self._pending:
            return []
        losses, wrong = fetch(self._losses), fetch(self._wrong)
        found = [(last - first, result(losses[first:last], wrong[first:last])) for first, last in self._pending]
        self._pending = []
        return found

    def settle(self) -> list[tuple[int, StepResult]]:
        """The same; when it returns, the net's arrays have the weights of now."""
        found = self.tell()
        if self._began:
            self.network.give()
        return found
