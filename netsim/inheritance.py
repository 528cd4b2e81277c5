"""A new run from the weights of another one: tied filters untied, layers frozen, layers drawn anew (section 4.1).

    values = netsim.inheritance.settings("runs/tied", untie=["conv2", "conv3"], freeze=["conv1"], reinit="rest")
    prepared = netsim.preparation.prepare(netsim.configuration.build(values))

Names of layers are those of the source's net. In the new net an untied layer is called ``untied1``, ..., and the
convolutions that are left count anew. A layer takes W, R and connections over, unless it is drawn anew from the new
run's seed; the filters of an untied layer are at first copies of the tied one, at every location.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from netsim import architectures, notation
from netsim import configuration as configurations
from netsim.configuration import Source
from netsim.errors import NetsimError, OptionError, RunError, UnknownNameError, nearest
from netsim.geometry import text
from netsim.notation import LayerSpec, Untied
from netsim.runs import Run, checkpoints, durable, find

if TYPE_CHECKING:
    from netsim.network import Network
    from netsim.runs import Checkpoint

CHECKPOINTS = ("best", "last")

#: Kinds of layers that have weights.
_WEIGHTED = ("conv", "untied", "full", "output")
#: What a layer takes over, where the source has it.
_TIED, _UNITS = ("W", "R", "W_mask", "R_mask"), ("D",)


@dataclass(frozen=True, slots=True)
class Descent:
    """How the layers of a new net come from those of a source's net.

    ``specs`` : of the new net; ``names`` : source's name -> new name, of every layer; ``untied``, ``frozen``,
    ``anew`` : names in the source's net.
    """

    specs: tuple[LayerSpec, ...]
    names: dict[str, str]
    untied: tuple[str, ...]
    frozen: tuple[str, ...]
    anew: tuple[str, ...]


def descend(
    architecture: str,
    untie: str | Iterable[str] = (),
    freeze: str | Iterable[str] = (),
    reinit: str | Iterable[str] = (),
) -> Descent:
    """Plan a new net. ``untie`` : names of convolutions, or "all" that are not frozen; ``freeze`` : names;
    ``reinit`` : names, "rest" (neither untied nor frozen) or "all" (not frozen).

    Raises UnknownNameError for a layer that the source does not have, OptionError for one of the wrong kind, or one
    that is frozen and drawn anew.
    """
    specs = architectures.resolve(architecture)
    kinds = dict(zip(notation.names(specs), (spec.kind for spec in specs), strict=True))
    weighted = [name for name, kind in kinds.items() if kind in _WEIGHTED]
    frozen = _listed("--freeze", freeze, kinds, _WEIGHTED)
    if untie in ("all", ["all"], ("all",)):
        untied = tuple(name for name in weighted if kinds[name] == "conv" and name not in frozen)
        if not untied:
            raise OptionError("--untie all: no convolution is left that is not frozen")
    else:
        untied = _listed("--untie", untie, kinds, ("conv",))
    words = {"rest": (*untied, *frozen), "all": frozen}
    if len(word := _names(reinit)) == 1 and word[0] in words:
        anew = tuple(name for name in weighted if name not in words[word[0]])
    else:
        anew = _listed("--reinit", reinit, kinds, _WEIGHTED, ("rest", "all"))
    for name in anew:
        if name in frozen:
            raise OptionError(f"--reinit {name}: --freeze keeps that layer as it is")
    new = tuple(
        Untied(spec.filters, spec.rows, spec.columns) if name in untied else spec
        for name, spec in zip(kinds, specs, strict=True)
    )
    return Descent(new, dict(zip(kinds, notation.names(new), strict=True)), untied, frozen, anew)


def _names(names: str | Iterable[str]) -> tuple[str, ...]:
    try:
        return (names,) if isinstance(names, str) else tuple(names)
    except TypeError:
        raise OptionError(f"layers are given as {names!r}: expected names") from None


def _listed(
    option: str,
    names: str | Iterable[str],
    kinds: Mapping[str, str],
    wanted: tuple[str, ...],
    words: tuple[str, ...] = (),
) -> tuple[str, ...]:
    """The names, each once, in the order of the net, after the check that they are layers of the wanted kinds."""
    names = _names(names)
    fit = [name for name, kind in kinds.items() if kind in wanted]
    for name in names:
        if name not in kinds:
            raise UnknownNameError(f"{option}: no layer {str(name)[:40]!r}{nearest(str(name)[:40], [*fit, *words])}")
        if kinds[name] not in wanted:
            what = "is no convolution" if wanted == ("conv",) else "has no weights"
            raise OptionError(f"{option}: {name} {what}; there are {', '.join(fit) or 'none'}")
    return tuple(name for name in kinds if name in names)


def settings(
    run: Run | Path | str,
    checkpoint: str = "best",
    *,
    untie: str | Iterable[str] = (),
    freeze: str | Iterable[str] = (),
    reinit: str | Iterable[str] = (),
) -> dict[str, object]:
    """Values for `netsim.configuration.build`: the options of `run`, with a net and a [source] of its own.

    Arguments as for `descend`. Raises RunError where the run or its checkpoint cannot be read.
    """
    run = run if isinstance(run, Run) else find(run)
    source = str(run.configuration_path)
    values = configurations.parse(run.configuration(), source)
    old = configurations.build(values, source)
    path = checkpoint_path(run, checkpoint)
    if not path.exists():
        raise RunError(f"{run.path} has no {checkpoint} weights yet: there is no {path.name} in it")
    network = checkpoints.load(path).network
    descent = descend(_architecture(network, path), untie, freeze, reinit)
    for information in ("resolved", "versions", "name", "source", "frozen"):
        values.pop(information, None)
    if old.name is not None:
        values["name"] = f"{old.name[:53]}-untied" if descent.untied else old.name
    values["net"] = notation.render(descent.specs)
    values["frozen"] = [descent.names[name] for name in descent.frozen]
    values["source"] = {
        "run": str(run.path.absolute()),
        "checkpoint": checkpoint,
        "sha256": digest(path),
        "untie": list(descent.untied),
        "reinit": list(descent.anew),
    }
    return values


def checkpoint_path(run: Run, checkpoint: str) -> Path:
    """The file of a run's "best" or "last" weights."""
    if checkpoint not in CHECKPOINTS:
        raise OptionError(f"unknown checkpoint {str(checkpoint)[:40]!r}{nearest(str(checkpoint)[:40], CHECKPOINTS)}")
    return run.best_path if checkpoint == "best" else run.last_path


def digest(path: Path) -> str:
    """SHA-256 of a file, hexadecimal: what `sha256sum` prints."""
    with durable.refusals(path, "cannot be read"), open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def inherit(network: Network, source: Source) -> str:
    """Give `network`, as its seed drew it, the weights that it takes over; return one line that says what was done.

    Raises RunError where the source's checkpoint is gone, damaged or another one, or does not fit this net.
    """
    path = checkpoint_path(Run(source.run), source.checkpoint)
    if digest(path) != source.sha256:
        raise RunError(f"{path} is no longer the checkpoint that this run starts from: its SHA-256 is another")
    if {"rest", "all"} & {*source.untie, *source.reinit}:
        raise OptionError("untie and reinit of a source are names of its layers, without 'rest' and 'all'")
    saved = checkpoints.load(path)
    _check_data(saved, network, path)
    descent = descend(_architecture(saved.network, path), source.untie, (), source.reinit)
    if descent.specs != network.specs:
        raise RunError(f"{path} holds weights of another net: {notation.render(descent.specs)}")
    state = network.state()
    taken = [name for name in descent.names if f"{name}.W" in saved.weights and name not in descent.anew]
    for name in taken:
        layer = network[descent.names[name]]
        for which in (*_TIED, *_UNITS):
            state.pop(f"{layer.name}.{which}", None)
            weights = saved.weights.get(f"{name}.{which}")
            if weights is not None:
                if name in descent.untied and which in _TIED:
                    weights = np.broadcast_to(weights, layer.weights_shape)
                state[f"{layer.name}.{which}"] = weights
    try:
        network.restore(state)
    except NetsimError as error:
        raise RunError(f"{path}: its weights do not fit: {error}") from error
    return _told(source, saved, descent, taken)


def _architecture(network: Mapping, path: Path) -> str:
    architecture = network.get("architecture")
    if not isinstance(architecture, str):
        raise RunError(f"{path} does not say of which net its weights are")
    return architecture


def _check_data(saved: Checkpoint, network: Network, path: Path) -> None:
    """Refuse data of another shape than those the source learned."""
    then = saved.network.get("input_shape"), saved.network.get("classes")
    if then != (list(network.input_shape), network.classes):
        shape = text(then[0]) if isinstance(then[0], list) else then[0]
        raise RunError(
            f"{path} has learned images of {shape} in {then[1]} classes: these are of {text(network.input_shape)} "
            f"in {network.classes}"
        )


def _told(source: Source, saved: Checkpoint, descent: Descent, taken: list[str]) -> str:
    untied = [f"{name} untied as {descent.names[name]}" for name in descent.untied]
    kept = [name for name in taken if name not in descent.untied]
    parts = [*untied, f"taken over: {', '.join(kept) or 'no other layer'}"]
    if descent.anew:
        parts.append(f"drawn anew: {', '.join(descent.anew)}")
    epoch = saved.position.get("epoch")
    return f"from the {source.checkpoint} weights (epoch {epoch}) of {source.run}: {'; '.join(parts)}"
