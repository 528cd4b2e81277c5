"""A net: its layers, their weights W and R, and what it answers to images."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from netsim import architectures, geometry, notation, sealed
from netsim.arrays import check_images, check_weights
from netsim.errors import ArrayError, DataError, OptionError, RunError, UnknownNameError, nearest, shown
from netsim.kernels.workers import Workers
from netsim.layers import Full, Layer, PoolRules, Weighted, direct_way, make_layer
from netsim.values import check_number, check_seed
from netsim.workspace import Workspace, chunk_size

#: First words of the random streams that weights and connections are drawn from.
_WEIGHTS, _CONNECTIONS, _DIRECT = 1, 2, 3
#: What stands in the description of a file that `load` reads; "run" is a checkpoint's.
_DESCRIPTION = ("architecture", "input_shape", "classes", "seed", "options", "run", sealed.SEAL)
#: How the filters of untied layers are drawn.
UNTIED_STARTS = ("apart", "spread")


class Network:
    """A net of units with feedforward weights W and separate feedback weights R.

    Parameters
    ----------
    architecture : one of the paper's nets by name (``"simpnet"``, ...), text in the paper's notation, or layer
        specifications
    input_shape : (H, W, C) of the images
    classes : number C of output units
    seed : whole number; the weights are drawn from it
    connectivity : fraction of the connections that exist, thinned separately for W and R (section 4: 0.5); the
        output layer is spared unless ``thin_output``
    symmetric : start with R = W (Zipser and Rumelhart 1990)
    untied_start : filters of untied layers, drawn "apart" at every pixel, or one drawn and "spread" over the map, as
        in the author's code
    slope : slope of sigma, sigma(h) = min(max(slope * h, -1), 1); 1 in the paper, 0.5 in the author's code
    pool_anchor, pool_ties : rules of the max pools, "center" and "first"; "corner" and "all" in the author's code: see
        `netsim.layers.PoolRules`

    Raises
    ------
    NotationError, UnknownNameError, GeometryError, ArrayError, OptionError : see each argument

    Notes
    -----
    Weights are Glorot uniform, W and R drawn independently (section 4). ``net["conv1"].W`` and ``.R`` are float32
    arrays of one shape: conv (Kh, Kw, C_in, C_out), untied (H, W, Kh, Kw, C_in, C_out), full and output
    (n_in, n_out); maps are flattened row-major (H, W, C).
    """

    def __init__(
        self,
        architecture,
        input_shape,
        classes: int,
        seed: int = 0,
        *,
        connectivity: float = 1.0,
        thin_output: bool = False,
        symmetric: bool = False,
        untied_start: str = "apart",
        slope: float = 1.0,
        pool_anchor: str = "center",
        pool_ties: str = "first",
    ):
        self.specs = architectures.resolve(architecture)
        places = geometry.infer(self.specs, input_shape, classes)
        self.input_shape = geometry.check_input_shape(input_shape)
        self.classes = int(classes)
        self.seed = check_seed(seed)
        check_number("connectivity", connectivity, above=0, most=1)
        check_number("slope", slope, above=0)
        if not isinstance(untied_start, str) or untied_start not in UNTIED_STARTS:
            near = nearest(str(untied_start)[:40], UNTIED_STARTS)
            raise OptionError(f"untied_start is {shown(untied_start)}{near}")
        self.options: dict[str, Any] = {
            "connectivity": float(connectivity),
            "thin_output": bool(thin_output),
            "symmetric": bool(symmetric),
            "untied_start": untied_start,
            "slope": float(slope),
            "pool_anchor": pool_anchor,
            "pool_ties": pool_ties,
        }
        self.pools = PoolRules(pool_anchor, pool_ties)
        try:
            self.layers: tuple[Layer, ...] = tuple(make_layer(place, slope, self.pools) for place in places)
        except (MemoryError, ValueError) as error:
            raise OptionError(f"the weights of {self.architecture!r} do not fit into memory: {error}") from None
        self._by_name = {layer.name: layer for layer in self.layers}
        self._workspace: Workspace | None = None
        self._workers: dict[int | None, Workers] = {}
        self._draw()

    def _draw(self) -> None:
        """Glorot uniform weights, thinned connections, each from a stream of its own."""
        fraction = self.options["connectivity"]
        for number, layer in enumerate(self.layers):
            if not isinstance(layer, Weighted):
                continue
            spread = layer.kind == "untied" and self.options["untied_start"] == "spread"
            for which, weights in enumerate((layer.W, layer.R)):
                weights[...] = self._uniform(weights.shape[2:] if spread else weights.shape, _WEIGHTS, number, which)
                weights *= np.float32(2 * layer.limit)
                weights -= np.float32(layer.limit)
            if self.options["symmetric"]:
                layer.R[...] = layer.W
            if fraction < 1 and (layer.kind != "output" or self.options["thin_output"]):
                for which, weights in enumerate((layer.W, layer.R)):
                    mask = self._uniform(weights.shape, _CONNECTIONS, number, which) < fraction
                    weights[~mask] = 0
                    if which == 0:
                        layer.W_mask = mask
                    else:
                        layer.R_mask = mask

    def connect_directly(self) -> None:
        """Give every hidden layer with weights a matrix D for direct feedback (DFA), unless it has one.

        ``net["conv1"].D`` : float32 (units, classes), row-major units, uniform in +-sqrt(6 / (units + classes)), a
        function of (seed, layer). `state` holds it from then on.
        """
        for number, layer in enumerate(self.layers[:-1]):
            if isinstance(layer, Weighted) and layer.direct is None:
                way = direct_way(layer, self.classes)
                way.R[...] = self._uniform(way.weights_shape, _DIRECT, number)
                way.R[...] *= np.float32(2 * way.limit)
                way.R[...] -= np.float32(way.limit)
                layer.direct = way

    def _uniform(self, shape: tuple[int, ...], *words: int) -> np.ndarray:
        """Numbers in [0, 1) from the stream that the seed and ``words`` name."""
        stream = np.random.Generator(np.random.Philox(np.random.SeedSequence([self.seed, *words])))
        return stream.random(shape, np.float32)

    @property
    def architecture(self) -> str:
        """The net in the paper's notation."""
        return notation.render(self.specs)

    @property
    def weighted(self) -> tuple[Weighted, ...]:
        """The layers with weights, bottom up."""
        return tuple(layer for layer in self.layers if isinstance(layer, Weighted))

    def __getitem__(self, name: str) -> Layer:
        if name not in self._by_name:
            raise UnknownNameError(f"no layer {name!r}{nearest(name, self._by_name)}")
        return self._by_name[name]

    def __iter__(self) -> Iterator[Layer]:
        return iter(self.layers)

    def __len__(self) -> int:
        return len(self.layers)

    def __repr__(self) -> str:
        return f"<Network {self.architecture!r} for {geometry.text(self.input_shape)}, {self.classes} classes>"

    def _feedforward(self, images: np.ndarray, threads: int | None):
        """Yield (first image, number, workspace) for chunk after chunk, drop off."""
        workers = self._workers.setdefault(threads, Workers(threads))
        chunk = chunk_size(self.layers, self.input_shape, len(images), workers.threads)
        if self._workspace is None or self._workspace.images < chunk:
            self._workspace = Workspace(self.layers, self.input_shape, chunk)
        for layer in self.weighted:
            layer.prepare(workers, feedback=False)
        for layer in self.layers:
            if layer.kind == "drop":
                layer.draw(self._workspace.at[layer.name], "off", np.uint64(0), 0)
        for first in range(0, len(images), chunk):
            part = images[first : first + chunk]
            self._workspace.feedforward(part, workers)
            yield first, len(part), self._workspace

    def scores(self, images, threads: int | None = None) -> np.ndarray:
        """Activity of the output layer, x_L = h_L (section 3.1), without dropout.

        Parameters
        ----------
        images : (B, H, W, C), converted to float32
        threads : number of threads; None takes all processors. The result does not depend on it.

        Returns
        -------
        (B, classes) float32. The class answered is the one with the largest score.

        Raises
        ------
        ArrayError : wrong shape, or pixels that are not finite
        """
        images = check_images(images, self.input_shape)
        top = self.layers[-1].name
        scores = np.empty((len(images), self.classes), np.float32)
        for first, number, space in self._feedforward(images, threads):
            scores[first : first + number] = space.at[top].array(number)
        return scores

    def activity(self, images, threads: int | None = None) -> dict[str, np.ndarray]:
        """What each unit carries after the feedforward phase, drop off: layer name -> float32 (B, *shape)."""
        images = check_images(images, self.input_shape)
        result = {layer.name: np.empty((len(images), *layer.shape), np.float32) for layer in self.layers}
        for first, number, space in self._feedforward(images, threads):
            for name, array in result.items():
                array[first : first + number] = space.at[name].array(number)
        return result

    def state(self) -> dict[str, np.ndarray]:
        """Every weight and connection by name: ``"conv1.W"``, ``"conv1.R"``, ``"conv1.W_mask"`` (uint8), ...

        ``"conv1.D"`` are weights of direct feedback, ``"untied1.R_epoch"`` R as the epoch began, where there are any.
        """
        state = {}
        for layer in self.weighted:
            state[f"{layer.name}.W"], state[f"{layer.name}.R"] = layer.W.copy(), layer.R.copy()
            for which in ("W_mask", "R_mask"):
                mask = getattr(layer, which)
                if mask is not None:
                    state[f"{layer.name}.{which}"] = mask.astype(np.uint8)
            if layer.direct is not None:
                state[f"{layer.name}.D"] = layer.D.copy()
            if layer.R_epoch is not None:
                state[f"{layer.name}.R_epoch"] = layer.R_epoch.copy()
        return state

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Take over what `state` gave.

        Raises `ArrayError` where a name is missing, unknown, or of another shape; the net is unchanged then.
        """
        expected = {f"{layer.name}.{which}": layer for layer in self.weighted for which in ("W", "R")}
        masks = {f"{layer.name}.{which}_mask": layer for layer in self.weighted for which in ("W", "R")}
        ways = {f"{layer.name}.D": layer for layer in self.weighted[:-1]}
        copies = {f"{layer.name}.R_epoch": layer for layer in self.weighted if layer.kind == "untied"}
        connected: dict[str, np.ndarray] = {}
        straight: dict[str, Full] = {}
        for name in expected:
            if name not in state:
                raise ArrayError(f"the weights {name!r} are missing")
        for name, array in state.items():
            layer = expected.get(name) or masks.get(name) or ways.get(name) or copies.get(name)
            if layer is None:
                raise ArrayError(f"there are no weights {name!r} in this net{nearest(name, expected)}")
            if name in masks:
                connected[name] = check_weights(name, array, layer.weights_shape) != 0
            if name in ways:
                straight[layer.name] = direct_way(layer, self.classes)
                straight[layer.name].R = array
            if name in copies:
                check_weights(name, array, layer.weights_shape)
        weights = {
            name: check_weights(name, state[name], layer.weights_shape, connected.get(f"{name}_mask"))
            for name, layer in expected.items()
        }
        for layer in self.weighted:
            layer.separate()
            layer.direct = straight.get(layer.name)
            layer.R_epoch = None
            if f"{layer.name}.R_epoch" in state:
                layer.R_epoch = np.array(state[f"{layer.name}.R_epoch"], np.float32)
            for which in ("W", "R"):
                name = f"{layer.name}.{which}"
                setattr(layer, f"{which}_mask", connected.get(f"{name}_mask"))
                setattr(layer, which, weights[name])

    def description(self) -> dict[str, Any]:
        """What `load` needs beside the weights to build the net again: JSON-able facts."""
        return {
            "architecture": self.architecture,
            "input_shape": list(self.input_shape),
            "classes": self.classes,
            "seed": self.seed,
            "options": self.options,
        }

    def save(self, path: str | os.PathLike) -> None:
        """Write the net to a safetensors file with a checksum, which `netsim.load` reads.

        What stood at ``path`` is replaced in one step, and the new file has its permissions; any number of threads and
        processes may save to one path, and the last one counts. A symbolic link, a device, a pipe or a folder there is
        refused, not followed or replaced; other names of the same file (hard links) keep what it held. Raises
        DataError where it cannot be written.
        """
        from netsim.runs import durable

        path = Path(path)
        if not path.parent.is_dir():
            raise DataError(f"cannot write {path}: there is no folder {path.parent}")
        content = sealed.to_bytes(self.state(), self.description())
        try:
            durable.write(path, content)
        except RunError as error:
            raise DataError(str(error)) from None


def load(path: str | os.PathLike) -> Network:
    """Read a net that `Network.save` wrote, or that of a checkpoint.

    Files of earlier versions have no checksum; they are read as they are.

    Raises
    ------
    DataError : the file is missing, damaged, or not a net of ours
    """
    path = os.fspath(path)
    if not os.path.isfile(path):
        raise DataError(f"there is no file {path}")
    try:
        arrays, description = sealed.read(path)
        for name in description:
            if name not in _DESCRIPTION:  # a seal whose name is damaged must not count as none
                raise ValueError(f"there is no entry {shown(name)} in the description of a net")
        # a checkpoint within an epoch under a schedule also holds "streams/...", what the units carried then
        state = {name: array for name, array in arrays.items() if not name.startswith("streams/")}
        net = Network(
            description["architecture"],
            description["input_shape"],
            description["classes"],
            description["seed"],
            **description["options"],
        )
        net.restore(state)
    except sealed.SealError as error:
        raise DataError(f"{path} cannot be read as a net: {error}") from None
    except (KeyError, TypeError, ValueError, OverflowError, OSError) as error:
        raise DataError(f"{path} cannot be read as a net: {' '.join(str(error).split())[:200]}") from None
    return net
