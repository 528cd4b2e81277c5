"""What a run is asked to do: the model behind run.toml and the options of `netsim train`.

A run.toml may hold any subset of the keys; `resolve` fills in what depends on the data, and the
run folder gets all of it. The tables [resolved] and [versions] are information: they are written, never
obeyed (a resumed run compares them).

Defaults: Amit (2019), section 4 (step 0.1, batches of 500, 5,000 validation images); digits is smaller.
"""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import tomli_w
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from netsim import architectures, notation, protocols, toml_text
from netsim.components import Components
from netsim.errors import NetsimError, OptionError, UnknownNameError, nearest
from netsim.errors import shown as _shown

#: More than any run needs; keeps every product of two of them an exact 64-bit integer.
_LARGEST = 2**31 - 1
_MAX_BYTES = 1_000_000

_Count = Annotated[int, Field(ge=1, le=_LARGEST)]
_Text = Annotated[str, Field(min_length=1, max_length=4_096)]
_Names = Annotated[
    tuple[Annotated[str, Field(max_length=40)], ...],
    Field(strict=False, max_length=1_000),
    BeforeValidator(lambda value: tuple(value) if isinstance(value, list) else value),
]


def _check_information(table: object) -> object:
    """Refuse in a table of information what a run.toml that netsim wrote does not hold and cannot be written again."""
    left = list(table.values()) if isinstance(table, dict) else []
    while left:
        value = left.pop()
        if isinstance(value, list | tuple):
            left += value
        elif isinstance(value, int):
            if abs(value) >= 2**63:
                raise ValueError("holds a whole number of more than 64 bits")
        elif not isinstance(value, str) and not (isinstance(value, float) and math.isfinite(value)):
            raise ValueError("may hold text, finite numbers, true, false and lists of these only")
    return table


_Information = Annotated[dict[str, Any], Field(default_factory=dict), BeforeValidator(_check_information)]


class Source(BaseModel):
    """Where the first weights of a run come from, when not drawn: see `netsim.inheritance`.

    run: its folder. checkpoint: "best" or "last". sha256: of that file. epoch: how many that run had behind it then.
    untie, reinit: layers, by their names there.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    run: _Text
    checkpoint: Literal["best", "last"] = "best"
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    epoch: Annotated[int, Field(ge=0, le=_LARGEST)] | None = None
    untie: _Names = ()
    reinit: _Names = ()


class Configuration(BaseModel):
    """Everything that determines a run; None where the data decide (see `resolve`).

    Frozen; use `changed`. Keys are the long options of `netsim train` with ``_`` for ``-``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    net: Annotated[str, Field(min_length=1, max_length=100_000)] = "simpnet"
    name: Annotated[str, Field(pattern=r"^[\w.+-]{1,60}$")] | None = None
    data: _Text = "digits"
    data_dir: _Text | None = None
    validation: Annotated[int, Field(ge=0, le=_LARGEST)] | None = None
    train_images: _Count | None = None
    batch: _Count | None = None
    epochs: _Count = 40
    seed: Annotated[int, Field(ge=0, le=2**63 - 1)] = 0
    protocol: _Text = "urfb"
    loss: _Text = "hinge"
    step_size: Annotated[float, Field(ge=0)] = 0.1
    mu: Annotated[float, Field(ge=0)] | None = None
    feedback_rate: Annotated[float, Field(ge=0, le=1)] | None = None
    decay: Annotated[float, Field(ge=0)] | None = None
    drop: _Text = "sample"
    connectivity: Annotated[float, Field(gt=0, le=1)] = 1.0
    thin_output: bool = False
    symmetric: bool = False
    untied_start: _Text = "apart"
    slope: Annotated[float, Field(ge=1e-6, le=1e6)] = 1.0
    pool_anchor: _Text = "center"
    pool_ties: _Text = "first"
    feedback_through: _Text = "old"
    untied_feedback: _Text = "current"
    feedback_input: _Text = "x"
    feedback_clip: Annotated[float, Field(gt=0)] | None = None
    frozen: _Names = ()
    circuits: Annotated[dict[str, float], Field(max_length=100)] | None = None
    schedule: Annotated[str, Field(min_length=1, max_length=100_000)] | None = None
    stream: _Text = "random"
    engine: _Text = "exact"
    streams: _Count | None = None
    source: Source | None = None
    threads: Annotated[int, Field(ge=1, le=1_024)] | None = None
    device: _Text = "cpu"
    resolved: _Information
    versions: _Information

    @property
    def label(self) -> str:
        """Short name of the net: the paper's, a parameter file's, or ``net``."""
        return self.name or (self.net if self.net in architectures.ARCHITECTURES else "net")

    @property
    def subject(self) -> str:
        """What is trained, on what, how: net, data and protocol."""
        data = self.data
        if ":" in data:
            data = "npz-" + Path(data.partition(":")[2]).stem
        return f"{self.label}-{data}-{self.protocol}"

    @property
    def run_name(self) -> str:
        """Name of the run's folder: net, data, protocol and seed."""
        return f"{self.subject}-seed{self.seed}"

    def changed(self, source: str = "", **values: object) -> Configuration:
        """A copy with other values, checked again."""
        return build({**self.model_dump(exclude_unset=True), **values}, source)

    def network_options(self) -> dict[str, Any]:
        """Keyword options of `netsim.Network`."""
        names = (
            "connectivity", "thin_output", "symmetric", "untied_start", "slope", "pool_anchor", "pool_ties",
        )  # fmt: skip
        return {name: getattr(self, name) for name in names}

    def trainer_options(self) -> dict[str, Any]:
        """Options of `netsim.Trainer`."""
        names = ("protocol", "loss", "step_size", "mu", "feedback_rate", "decay", "drop", "frozen", "threads")
        chosen = {name: getattr(self, name) for name in names}
        return {**chosen, **self.variants(), "circuits": self.circuits or None}

    def variants(self) -> dict[str, Any]:
        """Options of `netsim.variants.Variants`, which `netsim.Trainer` takes, too."""
        names = ("feedback_through", "untied_feedback", "feedback_input", "feedback_clip")
        return {name: getattr(self, name) for name in names}

    def decisive(self) -> dict[str, Any]:
        """What must be the same when a run is resumed: all but its length, its threads, its device and where files lie.

        Data and the checkpoint of a source are compared by their digests, so files may move.
        """
        spare = dict.fromkeys(("epochs", "threads", "device", "data", "data_dir", "name", "resolved", "versions"), True)
        decay = protocols.find(self.protocol).decay if self.decay is None else self.decay
        return {**self.model_dump(mode="json", exclude={**spare, "source": {"run", "epoch"}}), "decay": decay}

    @classmethod
    def as_decided(cls, before: dict[str, Any]) -> dict[str, Any]:
        """What `decisive` gave when a run began, with the defaults of the options that are new since."""
        now = cls().decisive()
        return {**{key: value for key, value in now.items() if key not in before}, **before}

    def to_toml(self) -> str:
        """The text of run.toml; TOML has no null, so what is None is left out."""
        return "# Repeat this run: netsim train --config THIS_FILE\n" + tomli_w.dumps(
            self.model_dump(mode="json", exclude_none=True)
        )


def build(values: dict[str, object], source: str = "", names: dict[str, str] | None = None) -> Configuration:
    """Check `values` and return the configuration. Every problem is one line.

    `source` stands first in the message (a file's name); `names` maps keys to what the user typed (options).
    The net is resolved to the canonical notation. Raises `OptionError`, `UnknownNameError`, `NotationError`.
    """
    names = names or {}
    where = f"{source}: " if source else ""
    known = Configuration.model_fields
    for key in values:
        if key not in known:
            raise UnknownNameError(f"{where}unknown key {_shown(key)}{nearest(str(key)[:80], known)}")
    try:
        configuration = Configuration(**values)
    except ValidationError as error:
        raise OptionError(where + _one_line(error, names)) from None
    try:
        specs = architectures.resolve(configuration.net)
        if configuration.circuits is not None:
            Components.from_json(configuration.circuits)
        _check_loss(configuration)
        _check_timing(configuration)
    except OptionError as error:
        raise OptionError(f"{where}{error.renamed(names)}") from None
    except NetsimError as error:
        raise type(error)(f"{where}{error}") from None
    word = configuration.net.strip().lower()
    fixed: dict[str, object] = {"net": notation.render(specs)}
    if configuration.name is None:
        by_text = {notation.render(architectures.resolve(name)): name for name in architectures.ARCHITECTURES}
        fixed["name"] = word if word in architectures.ARCHITECTURES else by_text.get(fixed["net"])
    return configuration.model_copy(update=fixed)


def _check_loss(configuration: Configuration) -> None:
    if configuration.loss == "softmax" and configuration.mu is not None:
        raise OptionError(f"is {configuration.mu:g}, but the softmax loss has no off-class factor", "mu")


def _check_timing(configuration: Configuration) -> None:
    if configuration.schedule is not None:
        from netsim.events.engines import check_engine
        from netsim.events.presets import from_text

        from_text(configuration.schedule)
        check_engine(configuration.engine)
    else:
        for key, default in (("engine", "exact"), ("streams", None)):
            if getattr(configuration, key) != default:
                raise OptionError("goes with a schedule", key)
    if configuration.stream != "random":
        from netsim.events.streams import Stream

        Stream.parse(configuration.stream)


def read(path: Path | str) -> dict[str, object]:
    """The keys and values of a TOML file. Raises `OptionError` in one line if it cannot be read."""
    path = Path(path)
    try:
        with open(path, "rb") as file:
            content = file.read(_MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        what = getattr(error, "strerror", None) or str(error)
        raise OptionError(f"{path!s}: cannot be read: {what}".replace("\0", "\\0")) from None
    return parse(content, str(path))


def parse(content: bytes | str, source: str = "run.toml") -> dict[str, object]:
    """The keys and values of TOML text. Raises `OptionError` in one line."""
    if len(content) > _MAX_BYTES:
        raise OptionError(f"{source}: larger than {_MAX_BYTES} bytes, so no configuration")
    try:
        text = content.decode("utf-8") if isinstance(content, bytes) else content
        return toml_text.loads(text)
    except UnicodeDecodeError as error:
        raise OptionError(f"{source}: not UTF-8 text (byte {error.start})") from None
    except ValueError as error:  # also: deep nesting, a number of 5,000 digits
        raise OptionError(f"{source}: not valid TOML: {_flat(str(error))}") from None


def resolve(configuration: Configuration, *, images: int, facts: dict[str, object]) -> Configuration:
    """Fill in what depends on the data.

    images: training images before validation images are taken away. facts: entries of [resolved] (input
    shape, classes, numbers, digest of the data). Raises `OptionError` for a validation set as large as the
    data.
    """
    digits = configuration.data == "digits"
    validation, batch = configuration.validation, configuration.batch
    if validation is None:
        validation = 360 if digits and images > 360 else min(5_000, images // 10)
    if validation >= images:
        raise OptionError(f"is {validation} images, but {configuration.data} has {images} in all", "validation")
    if batch is None:
        batch = 50 if digits else 500
    train = min(images - validation, configuration.train_images or images)
    facts = {"train": train, "validation": validation, **facts}
    update = {"validation": validation, "batch": batch, "resolved": facts, "versions": versions()}
    return configuration.model_copy(update=update)


def versions() -> dict[str, str]:
    """Versions of what computes, and the kind of CPU: a run repeats bit for bit where they are the same."""
    from importlib import metadata

    import netsim
    from netsim.kernels.jit import CPU

    found = {"netsim": netsim.__version__, "python": platform.python_version(), "cpu": CPU}
    for package in ("numpy", "numba"):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "unknown"
    return found


def absolute_paths(values: dict[str, object]) -> dict[str, object]:
    """`values` with data_dir and npz:PATH made absolute, so that a run can be resumed from any folder."""
    values = dict(values)
    if isinstance(values.get("data_dir"), str) and values["data_dir"]:
        values["data_dir"] = os.path.abspath(os.path.expanduser(values["data_dir"]))
    data = values.get("data")
    if isinstance(data, str) and data.startswith("npz:") and data != "npz:":
        values["data"] = "npz:" + os.path.abspath(os.path.expanduser(data[4:]))
    return values


# Messages

_WORDS = {
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "finite_number": "must be a finite number",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing_size": "is too large",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "string_type": "must be text",
    "string_too_short": "must not be empty",
    "string_too_long": "is longer than {max_length} characters",
    "string_pattern_mismatch": "may hold letters, digits and ._+- only",
    "tuple_type": "must be a list of names",
    "too_long": "has more than {max_length} entries",
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "missing": "must be given",
    "extra_forbidden": "is no key there",
    "literal_error": "must be {expected}",
    "value_error": "{error}",
}


def _one_line(error: ValidationError, names: dict[str, str]) -> str:
    first = error.errors(include_url=False)[0]
    key, *within = (str(part) for part in first["loc"] if isinstance(part, str))
    name = " ".join([names.get(key, key), *(word[:40] for word in within)])
    return f"{name} is {_shown(first['input'])}: it {would_be_right(first)}"


def would_be_right(refused: dict[str, Any]) -> str:
    """End of a message: what a value must be, from one of the errors that pydantic lists."""
    words = _WORDS.get(refused["type"])
    bounds = refused.get("ctx", {}).items()
    bounds = {name: f"{value:g}" if isinstance(value, float) else value for name, value in bounds}
    return words.format(**bounds) if words else _flat(refused["msg"])


def _flat(text: str) -> str:
    return " ".join(text.split())[:160]


def differences(before: dict[str, object], now: dict[str, object]) -> Iterable[str]:
    """The keys whose values differ, with both values, in one phrase each."""
    for key in sorted({*before, *now}):
        if before.get(key) != now.get(key):
            yield f"{key} was {_shown(before.get(key))}, now {_shown(now.get(key))}"
