"""Schedules by name."""

from __future__ import annotations

import os

from netsim.errors import UnknownNameError, nearest
from netsim.events.distributions import Distribution, number
from netsim.events.schedule import Schedule


def nominal() -> Schedule:
    """Everything at its time: the event level then computes what the phase-locked engine computes."""
    return Schedule()


def guerguiev2017() -> Schedule:
    """Times of Guerguiev et al. (2017, eLife 6:e22901), in ms.

    Theirs: forward and target phase of 50 ms each plus a Wald(2, 1) ms extension, 30 ms of settling left out, 3 ms of
    synaptic delay, and for each unit a shift of its plateau by min(abs N(0, 3), 5) ms. The mapping to events is
    this project's: a unit latches after the settling and one synaptic delay a layer; the shift of the plateau is
    the jitter of both arrivals; plasticity follows 1.5 ms after the unit's own feedback arrival.
    """
    plateau = Distribution("normal", 3.0, absolute=True, maximum=5.0)
    extension = Distribution("wald", 2.0, shape=1.0)
    return Schedule(
        unit="ms",
        layer_delay=3.0,
        settling=30.0,
        forward_phase=50.0,
        feedback_phase=50.0,
        jitter_feedforward=plateau,
        jitter_feedback=plateau,
        plasticity_follows=True,
        forward_extension=extension,
        feedback_extension=extension,
    )


def desynchronised(p: float = 0.8) -> Schedule:
    """The author's desynchronised replacement: a hidden unit carries its signal with probability p, else still x.

    It applies to the layers with a saturating unit (conv, untied, full), for each unit and presentation; where
    the feedback does not arrive, the unit above and the synapses below go on reading x. The author's code has
    p = 0.8, and units there carry the derivative of the loss, not minus it: so does this schedule.
    Raises OptionError unless 0 <= p <= 1.
    """
    return Schedule(replacement=number(p, "p of the desynchronised replacement", 0.0, 1.0), sign="minus")


PRESETS = {"nominal": nominal, "guerguiev2017": guerguiev2017, "desynchronised": desynchronised}
_SPELLINGS = {"desynchronized": "desynchronised"}


def preset(name: str) -> Schedule:
    """A preset by name; ``desynchronised:0.6`` sets its p. Raises UnknownNameError, OptionError."""
    name, _, argument = str(name).partition(":")
    name = _SPELLINGS.get(name, name)
    if name not in PRESETS or (argument and name != "desynchronised"):
        raise UnknownNameError(f"unknown schedule {name!r}{nearest(name, PRESETS)}; a file name ends in .toml")
    if not argument:
        return PRESETS[name]()
    try:
        p: object = float(argument)
    except ValueError:
        p = argument
    return desynchronised(p)


def resolve(name: str | os.PathLike | Schedule) -> Schedule:
    """A schedule from a preset's name, the path of a .toml file, or a schedule itself."""
    if isinstance(name, Schedule):
        return name
    if os.fspath(name).endswith(".toml"):
        return Schedule.load(name)
    return preset(os.fspath(name))


def as_text(name: str) -> str:
    """A preset's name as it is, checked; the content of a .toml file as the text of a schedule (`from_text`)."""
    if not name.endswith(".toml"):
        preset(name)
        return name
    return Schedule.load(name).to_toml() or "nominal"


def from_text(text: str) -> Schedule:
    """The schedule of a preset's name, or of the text of a schedule file (it has an = in it)."""
    return Schedule.from_toml(text) if "=" in text else preset(text)
