"""The values of the author's text parameter files: numbers, switches and pairs, turned into training options.

Source: the code published with Amit (2019); `netsim.parameter_files` reads the lines.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from netsim.errors import OptionError, nearest, shown

#: A key's place in the file: its line, and the text of its value.
Value = tuple[int, str]

DATA_SETS = {"cifar10": "cifar10", "cifar100": "cifar100", "mnist": "mnist", "fmnist": "fashion-mnist"}
CLASSES = {"cifar10": 10, "cifar100": 100, "mnist": 10, "fashion-mnist": 10}

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")


def number(key: str, line: int, text: str) -> float:
    """The number that `text` is; OptionError where it is none."""
    if len(text) > 40 or not _NUMBER.fullmatch(text):
        raise OptionError(f"line {line}: {key} must be a number, found {shown(text)}")
    return float(text)


def truth(text: str) -> bool:
    """As Python takes the value: False, None and 0 are false."""
    if text in ("False", "None"):
        return False
    return len(text) > 40 or not _NUMBER.fullmatch(text) or float(text) != 0.0


def _integer(low: int, high: int) -> Callable[[str, int, str], int]:
    def convert(key: str, line: int, text: str) -> int:
        if not re.fullmatch("[0-9]{1,19}", text) or not low <= int(text) <= high:
            raise OptionError(f"line {line}: {key} must be a whole number from {low} to {high}, found {shown(text)}")
        return int(text)

    return convert


def _positive(key: str, line: int, text: str) -> float:
    found = number(key, line, text)
    if not 0.0 < found < 1e6:
        raise OptionError(f"line {line}: {key} must be above 0 and below 1000000, found {shown(text)}")
    return found


def _off_class(key: str, line: int, text: str) -> float:
    found = number(key, line, text)
    if not 0.0 <= found < 1e6:
        raise OptionError(f"line {line}: {key} must be at least 0 and below 1000000, found {shown(text)}")
    return found


def _data(key: str, line: int, text: str) -> str:
    if text not in DATA_SETS:
        raise OptionError(f"line {line}: unknown data set {shown(text)}{nearest(text[:40], DATA_SETS)}")
    return DATA_SETS[text]


def _clip(key: str, line: int, text: str) -> float | None:
    return _positive(key, line, text) if truth(text) else None


def _input(key: str, line: int, text: str) -> str:
    return "x" if truth(text) else "positive"


def _loss(key: str, line: int, text: str) -> str:
    return "hinge" if truth(text) else "softmax"


def _protocol(key: str, line: int, text: str) -> dict[str, Any]:
    """``(connectivity, e)``: e = 1 URFB, 0 FRFB, -1 back-propagation, between 0 and 1 the feedback rate."""
    parts = text.strip("() ").split(",")
    if not text.startswith("(") or not text.endswith(")") or len(parts) != 2:
        raise OptionError(f"line {line}: {key} must be a pair such as (1.,1.), found {shown(text)}")
    connectivity, rate = (number(key, line, part.strip()) for part in parts)
    if not 0.0 < connectivity <= 1.0:
        raise OptionError(f"line {line}: {key}: the connectivity must be above 0 and at most 1, found {parts[0]}")
    if rate == -1.0:
        return {"protocol": "bp", "connectivity": connectivity}
    if not 0.0 <= rate <= 1.0:
        raise OptionError(f"line {line}: {key}: the feedback rate must be -1, or from 0 to 1, found {parts[1].strip()}")
    if rate in (0.0, 1.0):
        return {"protocol": "urfb" if rate else "frfb", "connectivity": connectivity}
    return {"protocol": "urfb", "feedback_rate": rate, "connectivity": connectivity}


_SEED = _integer(0, 2**63 - 1)
_COUNT = _integer(1, 10**9)
#: Key of the file: (option here, conversion of its text).
OPTIONS: dict[str, tuple[str, Callable[[str, int, str], Any]]] = {
    "seed": ("seed", _SEED),
    "num_epochs": ("epochs", _integer(0, 10**9)),
    "data_set": ("data", _data),
    "batch_size": ("batch", _COUNT),
    "step_size": ("step_size", _positive),
    "hinge": ("loss", _loss),
    "off_class_fac": ("mu", _off_class),
    "force_global_prob": ("protocol", _protocol),
    "nonlin_scale": ("slope", _positive),
    "b_nonlin_scale": ("feedback_clip", _clip),
    "sym": ("feedback_input", _input),
    "num_train": ("train_images", _COUNT),
    "nval": ("validation", _integer(0, 10**9)),
}


def training_options(values: dict[str, Value], final: Value, warnings: list[str]) -> dict[str, Any]:
    """Options of the run from the file's `values`; `final` is the last layer's number of units.

    Appends to `warnings`; raises OptionError.
    """
    # What the author's code does where the file has no such keys.
    options: dict[str, Any] = {"loss": "softmax", "slope": 0.5}
    for key, (name, convert) in OPTIONS.items():
        if key in values:
            result = convert(key, *values[key])
            options.update(result if isinstance(result, dict) else {name: result})
    if "nonlin_scale" not in values:
        warnings.append("nonlin_scale is not given: the slope is 0.5, as in the author's code")
    line, text = final
    units = _COUNT("num_units", line, text)
    classes = CLASSES.get(options.get("data", ""), units)
    if classes != units:
        warnings.append(f"line {line}: {units} units in the final layer, but {options['data']} has {classes} "
                        "classes, which count")  # fmt: skip
    if "mu" in options:
        factor = options.pop("mu")
        if options["loss"] == "hinge":
            options["mu"] = None if factor == 1.0 else factor / max(classes - 1, 1)
    _variants(options, values, warnings)
    if options.get("protocol") == "bp" and options["connectivity"] < 1.0:
        options["connectivity"] = 1.0
        warnings.append("the author's code thins no connections under back-propagation: connectivity is 1")
    return options


def _variants(options: dict[str, Any], values: dict[str, Value], warnings: list[str]) -> None:
    """Keep the switches that the paper does not describe where they change something; say how they are read."""
    clip, learns = options.pop("feedback_clip", None), options.pop("feedback_input", "x")
    if clip is not None:
        options["feedback_clip"] = clip
        warnings.append(
            f"line {values['b_nonlin_scale'][0]}: b_nonlin_scale is read as --feedback-clip {clip:g}: what comes "
            f"down from a layer with sigma, u, becomes clip({clip:g} u, -1, 1)"
        )
    if learns == "positive":
        still = options.get("protocol", "urfb") != "urfb"
        if still:
            warnings.append(f"line {values['sym'][0]}: sym is without effect where R does not learn")
        else:
            options["feedback_input"] = learns


def untied_phase(values: dict[str, Value], names: dict[str, str]) -> dict[str, Any]:
    """Options of the second phase, in which tied layers become untied; `names` maps layers to names here.

    A layer that is drawn anew as it is untied gets one filter, which the author's code spreads over the map.
    """
    phase: dict[str, Any] = {}
    for key, name in (("sparse", "untie"), ("non_trainable", "freeze"), ("re_randomize", "reinit")):
        if key not in values:
            continue
        line, text = values[key]
        listed = [part.strip() for part in text.split(",") if part.strip()]
        for layer in listed:
            wrong = "a conv layer" if key == "sparse" and "conv" not in layer else "one of the layers"
            if layer not in names or wrong == "a conv layer":
                raise OptionError(f"line {line}: {key}: {shown(layer)} is not {wrong}{nearest(layer[:40], names)}")
        phase[name] = tuple(names[layer] for layer in listed)
    if set(phase.get("untie", ())) & set(phase.get("reinit", ())):
        phase["untied_start"] = "spread"
    for key, name, convert in (
        ("num_epochs_sparse", "epochs", _COUNT),
        ("sparse_batch_size", "batch", _COUNT),
        ("sparse_step_size", "step_size", _positive),
        ("sparse_global_prob", "protocol", _protocol),
    ):
        if key in values:
            result = convert(key, *values[key])
            phase.update(result if isinstance(result, dict) else {name: result})
    if "sym" in values and "protocol" in phase:  # R may learn in one phase alone
        learns = _input("sym", *values["sym"])
        phase["feedback_input"] = learns if phase["protocol"] == "urfb" else "x"
    return phase
