"""What every layer has: a place in the net, and whether its units saturate."""

from __future__ import annotations

import math

import numpy as np

from netsim.activity import Activity, Border
from netsim.arrays import check_weights
from netsim.errors import ArrayError
from netsim.geometry import Place, units
from netsim.kernels.memory import empty, zeros
from netsim.kernels.products import STORE
from netsim.kernels.tile import GATE, SATURATE
from netsim.kernels.workers import Workers

EMPTY = np.zeros(1, np.float32)


class Layer:
    """One layer of a net.

    Each kind has ``feedforward`` (sets its own units) and ``feedback`` (REPLACES the units of the layer below by
    their feedback signal); kinds with weights have ``hebbian`` between them (adds to an increment).

    Attributes
    ----------
    name, kind, spec, parents, below, shape : see `netsim.geometry.Place`
    by_image : a call may work on any span of images, in a thread; else it works on a whole chunk, with all threads
    saturates : the units apply sigma, so their feedback passes a gate (eq. 3)
    slope : slope of sigma around 0; 1 in the paper
    """

    by_image = True
    saturates = False
    has_weights = False

    def __init__(self, place: Place, slope: float = 1.0):
        self.name, self.spec, self.parents = place.name, place.spec, place.parents
        self.kind, self.below, self.shape = place.kind, place.below, place.shape
        self.slope = np.float32(slope)
        self.units = units(self.shape)

    def __repr__(self) -> str:
        return f"<{self.name}: {'x'.join(map(str, self.below))} to {'x'.join(map(str, self.shape))}>"

    def __setattr__(self, name: str, value) -> None:
        if name in ("W", "R") and not self.has_weights:
            raise ArrayError(f"{self.name} has no weights {name}")
        super().__setattr__(name, value)

    @property
    def reach_below(self) -> Border:
        """How far beyond the map below this layer reads."""
        return Border()

    @property
    def reach_own(self) -> Border:
        """How far beyond its own map this layer's feedback reads."""
        return Border()

    def activity(self, images: int, border: Border, parents: tuple[Activity, ...]) -> Activity:
        """Room for what the layer's units carry, for so many images, and tables for reading its parents."""
        return Activity(self.shape, images, border)


class Downward:
    """Where a layer's feedback goes: the layer below, and what else reaches that layer's units.

    Attributes
    ----------
    activity : the units to be replaced
    also : float32, the signal of a sum that reads the same units (laid out as they are), or a dummy
    use_also : whether there is one
    gate : whether the units saturate; slope : of their sigma
    """

    def __init__(self, activity: Activity, also: Activity | None, gate: bool, slope: np.float32):
        self.activity = activity
        self.also = EMPTY if also is None else also.values
        self.use_also = also is not None
        self.gate, self.slope = gate, slope
        #: the product of the layer's feedback once it is laid out
        self.product = None

    def __getstate__(self) -> dict:
        """A copy lays its product out anew: it holds addresses."""
        return self.__dict__ | {"product": None}

    @property
    def finish(self) -> int:
        """The micro-kernel's last act on a signal."""
        return GATE if self.gate else STORE


class Weighted(Layer):
    """A layer with feedforward weights W and feedback weights R, both float32 of shape ``weights_shape``.

    ``W_mask`` and ``R_mask`` are None, or bool arrays that are True where there is a connection; a weight without
    a connection is 0 and stays 0. R equal to W means symmetric feedback.
    """

    has_weights = True
    #: a way straight from the output to this layer (`netsim.layers.direct`), which the protocol "dfa" has; else None
    direct: Weighted | None = None
    #: R as it was when the epoch began, where the signals of an untied layer take that (`netsim.variants`); else None
    R_epoch: np.ndarray | None = None

    def __init__(self, place: Place, slope: float, weights_shape: tuple[int, ...], fans: tuple[int, int]):
        super().__init__(place, slope)
        self.weights_shape, self.fans = weights_shape, fans
        self.W_mask: np.ndarray | None = None
        self.R_mask: np.ndarray | None = None
        size = math.prod(weights_shape)
        self._W = zeros(size).reshape(weights_shape)
        self._R = zeros(size).reshape(weights_shape)

    @property
    def limit(self) -> float:
        """Bound of the uniform distribution of Glorot and Bengio (2010): sqrt(6 / (fan_in + fan_out))."""
        return float(np.sqrt(6 / sum(self.fans)))

    @property
    def W(self) -> np.ndarray:
        return self._W

    @W.setter
    def W(self, values) -> None:
        self._set(self._W, values, self.W_mask, "W")

    @property
    def R(self) -> np.ndarray:
        return self._R

    @R.setter
    def R(self, values) -> None:
        self._set(self._R, values, self.R_mask, "R")

    def _set(self, target: np.ndarray, values, mask: np.ndarray | None, what: str) -> None:
        np.copyto(target, check_weights(f"{self.name}.{what}", values, self.weights_shape, mask))

    @property
    def D(self) -> np.ndarray | None:
        """Weights of direct feedback, float32 (units, classes); None where there are none."""
        return None if self.direct is None else self.direct.R

    @property
    def is_symmetric(self) -> bool:
        """Whether R is W itself, one array (BP)."""
        return self._R is self._W

    def make_symmetric(self) -> None:
        """R = W from now on, one array with one set of connections (BP)."""
        self._R, self.R_mask = self._W, self.W_mask

    def separate(self) -> None:
        """Give R an array of its own again, with the values it has."""
        if self.is_symmetric:
            self._R = empty(self._W.size).reshape(self.weights_shape)
            np.copyto(self._R, self._W)
            self.R_mask = None if self.W_mask is None else self.W_mask.copy()

    @property
    def finish(self) -> int:
        """The micro-kernel's last act on an input h."""
        return SATURATE if self.saturates else STORE

    def prepare(self, workers: Workers, feedback: bool) -> None:
        """Lay the weights out for a step's products; called once a step, before anything is read."""
