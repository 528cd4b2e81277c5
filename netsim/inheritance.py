"""A new run from the weights of another one: tied filters untied, layers frozen, layers drawn anew (section 4.1).

    values = netsim.inheritance.settings("runs/tied", untie=["conv2", "conv3"], freeze=["conv1"], reinit="rest")
    prepared = netsim.preparation.prepare(netsim.configuration.build(values))

Names of layers are those of the source's net. In the new net an untied layer is called ``untied1``, ..., and the
convolutions that are left count anew. A layer takes W, R and connections over, unless it is drawn anew from the new
run's seed; the filters of an untied layer are at first copies of the tied one, at every location.

Options of the new run that say how weights begin hold for the layers that are taken over, too. ``connectivity``, where
it is another than the source's: a layer that had all its connections is thinned, one that gets all of them has the
missing ones back as 0. ``symmetric``: R = W. And where R was a function of W (bp, sign-symmetry), but now has a life of
its own, R is drawn anew.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from netsim import architectures, notation, protocols
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
#: What a layer takes over, where the source has it: by connection, and by unit.
_BY_CONNECTION, _BY_UNIT = ("W", "R", "W_mask", "R_mask"), ("D",)


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
    """Plan a new net. ``untie`` : names of convolutions, and "all" that are not frozen; ``freeze`` : names;
    ``reinit`` : names, "rest" (neither untied nor frozen) and "all" (not frozen).

    Raises UnknownNameError for a layer that the source does not have, OptionError for one of the wrong kind, or one
    that is frozen and drawn anew.
    """
    specs = architectures.resolve(architecture)
    kinds = dict(zip(notation.names(specs), (spec.kind for spec in specs), strict=True))
    weighted = [name for name, kind in kinds.items() if kind in _WEIGHTED]
    frozen = _listed("--freeze", freeze, kinds, _WEIGHTED, {})
    left = [name for name in weighted if name not in frozen]
    untied = _listed("--untie", untie, kinds, ("conv",), {"all": [name for name in left if kinds[name] == "conv"]})
    if not untied and "all" in _names(untie):
        raise OptionError("--untie all: no convolution is left that is not frozen")
    words = {"rest": [name for name in left if name not in untied], "all": left}
    anew = _listed("--reinit", reinit, kinds, _WEIGHTED, words)
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
    words: Mapping[str, list[str]],
) -> tuple[str, ...]:
    """The names, each once, in the order of the net, after the check that they are layers of the wanted kinds.

    ``words`` : what stands for several of them.
    """
    names = _names(names)
    fit = [name for name, kind in kinds.items() if kind in wanted]
    meant = {name for word in names if word in words for name in words[word]}
    for name in names:
        if name in words:
            continue
        if name not in kinds:
            raise UnknownNameError(f"{option}: no layer {str(name)[:40]!r}{nearest(str(name)[:40], [*fit, *words])}")
        if kinds[name] not in wanted:
            what = "is no convolution" if wanted == ("conv",) else "has no weights"
            raise OptionError(f"{option}: {name} {what}; there are {', '.join(fit) or 'none'}")
    return tuple(name for name in kinds if name in names or name in meant)


def settings(
    run: Run | Path | str,
    checkpoint: str = "best",
    *,
    untie: str | Iterable[str] = (),
    freeze: str | Iterable[str] = (),
    reinit: str | Iterable[str] = (),
) -> dict[str, object]:
    """Values for `netsim.configuration.build`: the options of `run`, with a net and a [source] of its own.

    All options but ``symmetric``: that run began with R = W, which says nothing of this one. Arguments as for
    `descend`. Raises RunError where the run or its checkpoint cannot be read.
    """
    run = run if isinstance(run, Run) else find(run)
    source = str(run.configuration_path)
    values = configurations.parse(run.configuration(), source)
    old = configurations.build(values, source)
    path = checkpoint_path(run, checkpoint)
    if not path.exists():
        raise RunError(f"{run.path} has no {checkpoint} weights yet: there is no {path.name} in it")
    saved = checkpoints.load(path)
    descent = descend(_architecture(saved.network, path), untie, freeze, reinit)
    for information in ("resolved", "versions", "name", "source", "frozen", "symmetric"):
        values.pop(information, None)
    if old.name is not None:
        values["name"] = f"{old.name[:53]}-untied" if descent.untied else old.name
    values["net"] = notation.render(descent.specs)
    values["frozen"] = [descent.names[name] for name in descent.frozen]
    values["source"] = {
        "run": str(run.path.absolute()),
        "checkpoint": checkpoint,
        "sha256": digest(path),
        "epoch": saved.position["epoch"],
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
    durable.check_file(path)
    with durable.refusals(path, "cannot be read"), open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def inherit(network: Network, source: Source, protocol: str = "urfb") -> str:
    """Give `network`, as its seed drew it, the weights that it takes over; return one line that says what was done.

    ``protocol`` : of the new run. Raises RunError where the source's checkpoint is gone, damaged or another one, or
    does not fit this net; OptionError for a connectivity that thinned layers cannot get.
    """
    path = checkpoint_path(Run(source.run), source.checkpoint)
    if digest(path) != source.sha256:
        raise RunError(f"{path} is no longer the checkpoint that this run starts from: its SHA-256 is another")
    if {"rest", "all"} & {*source.untie, *source.reinit}:
        raise OptionError("untie and reinit of a source are names of its layers, without 'rest' and 'all'")
    saved = checkpoints.load(path)
    if source.epoch not in (None, saved.position["epoch"]):
        raise RunError(f"{path} holds the weights of epoch {saved.position['epoch']}, not {source.epoch}")
    _check_data(saved, network, path)
    descent = descend(_architecture(saved.network, path), source.untie, (), source.reinit)
    if descent.specs != network.specs:
        raise RunError(f"{path} holds weights of another net: {notation.render(descent.specs)}")
    state = network.state()
    taken = [name for name in descent.names if f"{name}.W" in saved.weights and name not in descent.anew]
    followed = protocols.find(saved.position["configuration"]["protocol"])
    own_R = protocols.find(protocol).derives_R or not followed.derives_R
    had, has = (options["connectivity"] for options in (saved.network["options"], network.options))
    thinned, filled = [], []
    for name in taken:
        layer = network[descent.names[name]]
        old, new = {}, {}
        for which in (*_BY_CONNECTION, *_BY_UNIT):
            old[which] = saved.weights.get(f"{name}.{which}")
            new[which] = state.pop(f"{layer.name}.{which}", None)
            if name in descent.untied and which in _BY_CONNECTION and old[which] is not None:
                old[which] = np.broadcast_to(old[which], layer.weights_shape)
        were, are = (weights["W_mask"] is not None for weights in (old, new))
        if were and are and had != has:
            raise OptionError(
                f"connectivity is {has:g}, but {name} of {path} has {had:g} of its connections: give {had:g}, "
                "or 1 for all of them"
            )
        if were != are:
            (filled if were else thinned).append(name)
        begins = _beginning(old, new, own_R, network.options["symmetric"])
        state.update({f"{layer.name}.{which}": array for which, array in begins.items() if array is not None})
    try:
        network.restore(state)
    except NetsimError as error:
        raise RunError(f"{path}: its weights do not fit: {error}") from error
    changes = [f"{what}: {', '.join(of)}" for what, of in (("thinned", thinned), ("all connections", filled)) if of]
    if network.options["symmetric"]:
        changes.append("R = W")
    elif not own_R:
        changes.append(f"R drawn anew, since under {followed.name} it was a function of W")
    return _told(source, saved, descent, taken, changes)


def _beginning(old: dict, new: dict, own_R: bool, symmetric: bool) -> dict[str, np.ndarray | None]:
    """W, R, their connections and D that a layer begins with.

    ``old`` : of the source; ``new`` : as drawn. ``own_R`` : R of the source goes on, else the one drawn does.
    """
    begins = dict(old)
    if not own_R:
        begins["R"], begins["R_mask"] = new["R"], new["R_mask"]
    if symmetric:
        begins["R"] = old["W"]
    for side in ("W", "R"):
        mask = f"{side}_mask"
        if new[mask] is None or old[mask] is None:  # all connections from now on, or a first thinning
            begins[mask] = new[mask]
        if begins[mask] is not None:
            begins[side] = begins[side] * (begins[mask] != 0)
    return begins


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


def _told(source: Source, saved: Checkpoint, descent: Descent, taken: list[str], changes: list[str]) -> str:
    untied = [f"{name} untied as {descent.names[name]}" for name in descent.untied]
    kept = [name for name in taken if name not in descent.untied]
    parts = [*untied, f"taken over: {', '.join(kept) or 'no other layer'}"]
    if descent.anew:
        parts.append(f"drawn anew: {', '.join(descent.anew)}")
    told = "; ".join([*parts, *changes])
    return f"from the {source.checkpoint} weights (epoch {saved.position['epoch']}) of {source.run}: {told}"
