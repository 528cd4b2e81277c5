"""The author's text parameter files, read into layer specifications and training options.

A file has one ``key:value`` a line, then one ``name:...;key:value;...;parent:...`` a layer; ``#`` starts a
comment. Layers are told apart by what their names contain (conv, dens, pool, drop, concatsum), as in the
author's code. The notation can express a chain, with sums of two layers in a row; anything else is refused.

Source: the code published with Amit (2019), its README and its files for simpnet, deepernet and deepernet_s.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from netsim import notation
from netsim.errors import DataError, NotationError, OptionError, nearest, shown
from netsim.notation import Conv, Drop, Full, LayerSpec, Maxpool, Output, Sum, Untied
from netsim.parameter_values import OPTIONS, Value, number, training_options, truth, untied_phase

MAX_TEXT = 100_000

#: Keys of the author's that change nothing here, each with what it asks for.
UNUSED = {
    "debug": "more printing",
    "SDS": "statistics of the untied weights",
    "shift": "random shifts of the training images",
    "saturation": "random color saturation of the training images",
    "by_class": "one class at a time, here --stream one-at-a-time",
    "one_class": "training on one class alone",
}
#: Keys of the second phase, in which tied layers become untied copies and training goes on.
UNTIED_PHASE = (
    "sparse", "non_trainable", "re_randomize", "num_epochs_sparse", "sparse_batch_size", "sparse_step_size",
    "sparse_global_prob",
)  # fmt: skip
KINDS = ("input", "conv", "dens", "pool", "drop", "concatsum")
LAYER_KEYS = {
    "input": (),
    "conv": ("num_filters", "filter_size", "non_linearity", "parent"),
    "dens": ("num_units", "non_linearity", "parent", "final"),
    "pool": ("pool_size", "stride", "parent"),
    "drop": ("drop", "parent"),
    "concatsum": ("parent",),
}


@dataclass(frozen=True, slots=True)
class ParameterFile:
    """What a parameter file says, in this package's words.

    ``options`` may hold seed, epochs, data, batch, step_size, loss, mu (None: 1/(C-1)), protocol, feedback_rate,
    connectivity, slope, train_images, validation, feedback_clip, feedback_input; and ``untied_phase``, a dict with
    untie, freeze and reinit (tuples of layer names) and those options that differ in that phase. Where the first phase
    has no epochs, the second one is the run: ``specs`` and ``options`` are its own, frozen and untied_start with them.
    ``names`` gives the name here of each of the file's layers. ``warnings`` are single lines.
    """

    specs: tuple[LayerSpec, ...]
    options: dict[str, Any]
    names: dict[str, str]
    warnings: tuple[str, ...]


@dataclass(slots=True)
class _Layer:
    line: int
    name: str
    kind: str
    values: dict[str, str]
    parents: list[str] = field(default_factory=list)


def load(path: str | Path) -> ParameterFile:
    """`read` the file at `path`, whose name stands first in every error; DataError where there is no readable text."""
    try:
        with open(path, encoding="utf-8") as file:
            text = file.read(MAX_TEXT + 1)
    except OSError as error:
        raise DataError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise DataError(f"{path}: is not a text file") from None
    try:
        return read(text)
    except (NotationError, OptionError) as error:
        raise type(error)(f"{path}: {error}") from None


def read(text: str) -> ParameterFile:
    """Layer specifications and training options of a parameter file's text.

    Raises NotationError for a layer, OptionError for a key or value: one line, which names the file's line.
    """
    if len(text) > MAX_TEXT:
        raise NotationError(f"a parameter file has at most {MAX_TEXT} characters")
    warnings: list[str] = []
    values: dict[str, Value] = {}
    layers: list[_Layer] = []
    for at, line in enumerate(text.splitlines(), 1):
        line = line.split("#", 1)[0].strip().rstrip("; ")
        if not line:
            continue
        fields = _fields(line, at)
        if "name" in fields:
            layers.append(_layer(fields, at))
            if len(layers) > notation.MAX_LAYERS + 1:
                raise NotationError(f"line {at}: a network has at most {notation.MAX_LAYERS} layers")
            continue
        if len(fields) != 1:
            raise NotationError(f"line {at}: expected one key:value, or a layer with a name, found {shown(line)}")
        [(key, value)] = fields.items()
        known = (*OPTIONS, *UNUSED, *UNTIED_PHASE)
        if key not in known:
            raise OptionError(f"line {at}: unknown key {shown(key)}{nearest(key[:40], known)}")
        if key in values:
            warnings.append(f"line {at}: {key} is given again; the last one counts, as in the author's code")
        values[key] = at, value
    specs, names = _chain(layers, warnings)
    final = layers[-1]
    options = training_options(values, (final.line, final.values["num_units"]), warnings)
    if "sparse" in values:
        options["untied_phase"] = untied_phase(values, names)
    if options.get("epochs") == 0:
        specs, names = _untied_phase_alone(specs, names, options, values)
        warnings.append(
            "num_epochs is 0: the run is the untied phase, in which each untied filter is drawn once and spread"
        )
    elif "untied_phase" in options:
        warnings.append("the untied phase (sparse) is a run of its own, which starts from the first one's weights")
    idle = [key for key in values if key in UNTIED_PHASE] if "sparse" not in values else []
    for key, asks in UNUSED.items():
        if key in values:
            if not truth(values[key][1]):
                idle.append(key)
            else:
                warnings.append(f"line {values[key][0]}: {key} is not used: {asks}")
    if idle:
        warnings.append(f"not used, and without effect as set: {', '.join(sorted(idle))}")
    return ParameterFile(specs, options, names, tuple(warnings))


def _untied_phase_alone(
    specs: tuple[LayerSpec, ...], names: dict[str, str], options: dict[str, Any], values: dict[str, Value]
) -> tuple[tuple[LayerSpec, ...], dict[str, str]]:
    """Layers and names of the second phase, where the first has no epochs; `options` become those of the second."""
    phase, line = options.pop("untied_phase", {}), values["num_epochs"][0]
    if "epochs" not in phase:
        missing = "num_epochs_sparse" if "sparse" in values else "an untied phase (sparse)"
        raise OptionError(f"line {line}: num_epochs is 0, and without {missing} there is nothing to train")
    untied, frozen = (phase.pop(key, ()) for key in ("untie", "freeze"))
    phase.pop("reinit", None)  # what nothing has changed yet
    if "protocol" in phase:
        options.pop("feedback_rate", None)
    before = notation.names(specs)
    specs = tuple(
        Untied(spec.filters, spec.rows, spec.columns) if name in untied else spec
        for name, spec in zip(before, specs, strict=True)
    )
    after = dict(zip(before, notation.names(specs), strict=True))
    options.update(phase, frozen=[after[name] for name in frozen], untied_start="spread")
    return specs, {name: after[ours] for name, ours in names.items()}


def _fields(line: str, at: int) -> dict[str, str]:
    """The ``key:value`` pairs of one line."""
    fields: dict[str, str] = {}
    for part in line.split(";"):
        key, colon, value = part.partition(":")
        key, value = key.strip(), value.strip()
        if not key or not colon or not value:
            raise NotationError(f"line {at}: expected key:value, found {shown(part.strip() or line)}")
        if key in fields:
            raise NotationError(f"line {at}: {shown(key)} is given twice")
        fields[key] = value
    return fields


def _layer(fields: dict[str, str], at: int) -> _Layer:
    name = fields.pop("name")
    if not re.fullmatch(r"[A-Za-z0-9_]{1,64}", name):
        raise NotationError(f"line {at}: a layer's name has up to 64 letters, digits and _, found {shown(name)}")
    kind = next((kind for kind in KINDS if kind in name), None)
    if kind is None:
        raise NotationError(f"line {at}: layer {name!r} is of no known kind; its name contains none of {KINDS}")
    for key in fields:
        if key not in LAYER_KEYS[kind]:
            near = nearest(key[:40], ("name", *LAYER_KEYS[kind]))
            raise NotationError(f"line {at}: layer {name!r}: unknown key {shown(key)}{near}")
    return _Layer(at, name, kind, fields)


def _chain(layers: list[_Layer], warnings: list[str]) -> tuple[tuple[LayerSpec, ...], dict[str, str]]:
    """Specifications of the layers, and their names here, after the check that they form a chain."""
    if not layers or layers[0].kind != "input":
        where = f"line {layers[0].line}: " if layers else "there is no layer: "
        raise NotationError(f"{where}expected the input as the first layer, as in 'name:input1'")
    specs: list[LayerSpec] = []
    for index, layer in enumerate(layers[1:], 1):
        fail = _failure(layer)
        if any(layer.name == other.name for other in layers[:index]):
            raise fail("the name is taken by an earlier layer")
        if layer.kind == "input":
            raise fail("a second input; the notation has one")
        last = index == len(layers) - 1
        if last and (layer.kind != "dens" or "final" not in layer.values):
            raise fail("the last layer must be a dens layer with final:final")
        if not last and "final" in layer.values:
            raise fail("only the last layer can be final")
        _check_parents(layer, layers[:index], fail, warnings)
        spec = _spec(layer, fail)
        specs.append(Output() if last else spec)
    if not specs:
        raise NotationError(f"line {layers[0].line}: no layer follows the input")
    ours = notation.names(notation.check(specs))
    return tuple(specs), {layer.name: name for layer, name in zip(layers[1:], ours, strict=True)}


def _failure(layer: _Layer) -> Callable[[str], NotationError]:
    return lambda message: NotationError(f"line {layer.line}: layer {layer.name!r}: {message}")


def _check_parents(layer: _Layer, earlier: list[_Layer], fail: Any, warnings: list[str]) -> None:
    """That the layer reads the one before it, or, a sum, the two before it."""
    value = layer.values.get("parent")
    if value is None:
        raise fail("has no parent")
    parents = [name.strip() for name in value.strip("[] ").split(",")] if value.startswith("[") else [value]
    if len(parents) != (2 if layer.kind == "concatsum" else 1):
        raise fail("a concatsum has two parents, as in 'parent:[a,b]', and every other layer one")
    known = [other.name for other in earlier]
    for parent in parents:
        found = parent
        if parent not in known:
            # The author's code takes any layer whose name contains the parent's.
            matches = [name for name in known if parent and parent in name]
            if not matches:
                raise fail(f"no earlier layer is named {shown(parent)}{nearest(parent[:40], known[-40:])}")
            found = matches[0] if len(parents) > 1 else matches[-1]
            warnings.append(f"line {layer.line}: parent {parent!r} is read as {found!r}")
        layer.parents.append(found)
    expected = set(known[-len(parents) :])
    if set(layer.parents) != expected or (len(parents) == 2 and len(earlier) < 3):
        before = " and ".join(known[-len(parents) :])
        raise fail(f"reads {' and '.join(layer.parents)}; the notation can only express {before}, just before it")


def _spec(layer: _Layer, fail: Any) -> LayerSpec:
    values = layer.values
    if layer.kind in ("conv", "dens"):
        linearity = values.get("non_linearity")
        if "final" in values:
            if linearity == "tanh":
                raise fail("the final layer is linear here; it cannot have non_linearity:tanh")
        elif linearity != "tanh":
            raise fail(f"needs non_linearity:tanh (the saturated linearity), found {shown(linearity or 'none')}")

    def value(key: str) -> str:
        if key not in values:
            raise fail(f"has no {key}")
        return values[key]

    def whole(key: str, text: str) -> int:
        if not re.fullmatch("[0-9]{1,9}", text):
            raise fail(f"{key} must be a whole number, found {shown(text)}")
        return int(text)

    def pair(key: str) -> tuple[int, int]:
        sides = value(key).strip().removeprefix("(").removesuffix(")").split(",")
        if len(sides) != 2 or not value(key).startswith("("):
            raise fail(f"{key} must be a pair such as (3,3), found {shown(value(key))}")
        return whole(key, sides[0].strip()), whole(key, sides[1].strip())

    def square(key: str) -> int:
        rows, columns = pair(key)
        if rows != columns:
            raise fail(f"{key} must have equal sides, found {shown(value(key))}")
        return rows

    try:
        if layer.kind == "conv":
            return Conv(whole("num_filters", value("num_filters")), *pair("filter_size"))
        if layer.kind == "dens":
            return Full(whole("num_units", value("num_units")))
        if layer.kind == "pool":
            return Maxpool(square("pool_size"), square("stride"))
        if layer.kind == "drop":
            return Drop(number("drop", layer.line, value("drop")))
        return Sum()
    except NotationError as error:
        if str(error).startswith("line "):
            raise
        raise fail(str(error)) from None
