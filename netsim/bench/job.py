"""What is measured: a net, how it learns, and for how long."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

from netsim import architectures, geometry, notation
from netsim.errors import OptionError, nearest
from netsim.values import check_whole

DROP_MODES = ("sample", "batch", "off")

#: Seconds that a measurement spends on steps where their number is not given, after one step to warm up.
SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Job:
    """One net under one way of learning.

    Attributes
    ----------
    name : what reports call it
    architecture : the net in the paper's notation
    input_shape : (H, W, C) of the images
    classes : number of output units
    protocol : name of the protocol
    batch : images a step, B
    threads : number of threads
    drop : "sample", "batch" or "off"
    steps : timed steps; None takes as many as fit into ``seconds``, at least two
    seconds : see ``steps``

    Raises
    ------
    OptionError : a number or a word out of range
    NotationError, GeometryError, UnknownNameError : the net cannot be built
    """

    name: str
    architecture: str
    input_shape: tuple[int, int, int] = (32, 32, 3)
    classes: int = 10
    protocol: str = "urfb"
    batch: int = 500
    threads: int = 1
    drop: str = "sample"
    steps: int | None = None
    seconds: float = SECONDS

    def __post_init__(self):
        check_whole("the batch", self.batch, least=1, most=1_000_000)
        check_whole("the number of threads", self.threads, least=1, most=1024)
        if self.steps is not None:
            check_whole("the number of steps", self.steps, least=1, most=1_000_000)
        if self.drop not in DROP_MODES:
            raise OptionError(f"unknown drop {self.drop[:40]!r}{nearest(self.drop[:40], DROP_MODES)}")
        object.__setattr__(self, "input_shape", geometry.check_input_shape(self.input_shape))
        geometry.infer(self.specs, self.input_shape, self.classes)

    @property
    def specs(self) -> tuple[notation.LayerSpec, ...]:
        """Layer specifications, bottom up."""
        return architectures.resolve(self.architecture)

    def to_json(self) -> dict[str, Any]:
        """Plain values, from which `from_json` makes the job again."""
        return asdict(self) | {"input_shape": list(self.input_shape)}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Job:
        return cls(**values)

    def with_filters(self, filters: int) -> Job:
        """The same with so many filters in every convolution, tied or untied."""
        check_whole("the number of filters", filters, least=1, most=notation.MAX_WIDTH)
        specs = tuple(
            replace(spec, filters=filters) if spec.kind in ("conv", "untied") else spec for spec in self.specs
        )
        if specs == self.specs and not any(spec.kind in ("conv", "untied") for spec in specs):
            raise OptionError(f"{self.name} has no convolution whose number of filters could be set")
        return replace(self, architecture=notation.render(specs))


def make(net: str, *, untied: bool = False, **options) -> Job:
    """The job of a net by name or notation; ``untied`` makes every convolution locally connected.

    The other options are those of `Job`.
    """
    specs = architectures.resolve(net)
    word = net.strip().lower()
    name = word if word in architectures.ARCHITECTURES else notation.render(specs)
    if untied:
        if not any(spec.kind == "conv" for spec in specs):
            raise OptionError(f"{name} has no convolution that could be untied")
        specs = tuple(
            notation.Untied(spec.filters, spec.rows, spec.columns) if spec.kind == "conv" else spec for spec in specs
        )
        name = f"{name}, untied" if word in architectures.ARCHITECTURES else notation.render(specs)
    return Job(name, notation.render(specs), **options)
