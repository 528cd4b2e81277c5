"""Trainers that draw what reads see from a schedule's probabilities: what those on the CPU and on a GPU share.

A batch is shown in turns: stream s shows part s of the batch, image after image, so that what a unit kept from before
is that of its stream's last image.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from netsim.errors import ArrayError, OptionError
from netsim.events.drawn import Reads
from netsim.events.presets import resolve
from netsim.events.probabilities import PhaseTable
from netsim.events.schedule import Schedule
from netsim.events.wiring import plan
from netsim.geometry import INPUT
from netsim.network import Network
from netsim.values import check_seed


class Drawing:
    """What a trainer gains that draws what reads see; to be put before `netsim.Trainer`, or one of its kind.

    Parameters
    ----------
    net, protocol, loss, ... : as for `netsim.Trainer`
    schedule : `Schedule`, the name of a preset, or the path of a .toml file
    streams : presentations that go on side by side; None chooses by memory. Results depend on it.
    timing_seed : of the draws; None takes ``seed``

    Raises
    ------
    OptionError : a value out of range; a schedule that does not fit the net, or that only the exact engine can do
    """

    phase_locked = False

    def __init__(
        self,
        net: Network,
        schedule: Schedule | str = "nominal",
        protocol: str = "urfb",
        loss: str = "hinge",
        step_size: float = 0.1,
        mu: float | None = None,
        *,
        streams: int | None = None,
        timing_seed: int | None = None,
        **options,
    ):
        if options.get("circuits") is not None:
            raise OptionError("the event engines have ideal circuits: imperfect ones go with the phase-locked engine")
        super().__init__(net, protocol, loss, step_size, mu, **options)
        self.schedule = resolve(schedule)
        if streams is not None and (isinstance(streams, bool) or not isinstance(streams, int) or streams < 1):
            raise OptionError(f"streams is {streams!r}: it must be a whole number of at least 1")
        self.streams = streams
        self.timing_seed = self.seed if timing_seed is None else check_seed(timing_seed, "timing_seed")
        layout = plan(net.layers, net.input_shape).layout
        place = {INPUT: -1, **{name: number for number, name in enumerate(layout.names)}}
        readers = [layer for layer in net.layers if layer.kind != "drop"]
        self._sources = {layer.name: self._populations_below(layer, place) for layer in readers}
        sources = {reader: [name for name, _ in found] for reader, found in self._sources.items()}
        self._reads = Reads(PhaseTable(self.schedule, layout), net.layers, sources, place, self.sums.total)

    def _populations_below(self, layer, populations) -> list[tuple[str, list]]:
        """What a layer reads: (population, the drops in between, from the layer downward), for each parent."""
        found = []
        for name in layer.parents:
            drops = []
            while name not in populations:
                drops.append(self.net[name])
                (name,) = drops[-1].parents
            found.append((name, drops))
        return found

    def begin_epoch(self, epoch: int) -> None:
        """Set the counters to the first batch of an epoch; all streams start at rest."""
        super().begin_epoch(epoch)
        self._drawn, self._shown = None, 0

    def _make_room(self, streams: int) -> None:
        """Set ``_drawn`` and ``_width`` : so many streams, at rest."""

    def _turns(self, batch: int) -> list[np.ndarray]:
        """Indices of the images that are shown together, turn after turn: stream s shows part s of the batch."""
        streams = min(self._width, batch)
        edges = [s * batch // streams for s in range(streams + 1)]
        sizes = np.diff(edges)
        longest_first = np.argsort(-sizes, kind="stable")
        return [
            np.array([edges[s] + turn for s in longest_first if sizes[s] > turn]) for turn in range(int(sizes.max()))
        ]

    def order(self, batch: int) -> np.ndarray:
        """Indices of a batch's images in the order in which drop masks are given out, int64 (B,).

        Image order[i] gets the mask that the phase-locked engine gives to image i of a batch.
        """
        self._prepare(batch)
        return np.arange(batch) if self._reads.locked else np.concatenate(self._turns(batch))

    def _reader(self, layer):
        """The layer whose units the feedback of a layer reaches: right below, or beyond drops; None : the image."""
        layers = self.net.layers
        return next((lower for lower in reversed(layers[: layers.index(layer)]) if lower.kind != "drop"), None)

    def _falling(self, layer) -> tuple[list, list[str]]:
        """A layer and the drops that its signals pass on their way down; the sums whose signals join them there."""
        layers = self.net.layers
        falling = [layer, *reversed(layers[layers.index(self._reader(layer)) + 1 : layers.index(layer)])]
        above = [layers[layers.index(each) + 1] for each in falling if each is not layers[-1]]
        return falling, [each.name for each in above if each.kind == "sum"]

    def state(self) -> dict[str, np.ndarray]:
        """The streams between two batches of an epoch, by name: `restore` goes on from there, bit for bit.

        numbers : int64 (presentations of a stream so far, streams); kept.NAME : float32 (streams, *shape).
        """
        if self._drawn is None:
            return {}
        numbers = np.array([self._shown, self._width], np.int64)
        return {"numbers": numbers, **{f"kept.{name}": self._drawn.kept_of(name) for name in self._reads.remembered}}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Take over what `state` gave; ``epoch`` and ``batch`` must be set as they were. {} : all at rest.

        Raises ArrayError where the state is not that of such streams.
        """
        self._drawn, self._shown = None, 0
        if not state:
            return
        try:
            shown, width = (int(number) for number in state["numbers"])
            self._make_room(width)
            for name in self._reads.remembered:
                self._drawn.keep_these(name, state[f"kept.{name}"])
        except (KeyError, ValueError, TypeError):
            self._drawn = None
            raise ArrayError("the state of the streams is not that of this net") from None
        self._shown = shown

    def phases(self) -> dict[str, dict[str, tuple[float, int]]]:
        """Probability of in-phase reads, as `EventTrainer.phases` counts them: layer -> event -> (share, 0)."""
        return self._reads.in_phase()
