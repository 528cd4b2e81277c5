"""Schedules by name."""

from __future__ import annotations

import os
from collections.abc import Sequence

from netsim.errors import OptionError, UnknownNameError, nearest, shown
from netsim.events.distributions import Distribution, number
from netsim.events.schedule import Schedule


def nominal() -> Schedule:
    """Everything at its time: the event level then computes what the phase-locked engine computes."""
    return Schedule()


def guerguiev2017(phase: float = 50.0) -> Schedule:
    """Times of Guerguiev et al. (2017, eLife 6:e22901), in ms.

    Theirs: forward and target phase of 50 ms each plus a Wald(2, 1) ms extension, 30 ms of settling left out, 3 ms of
    synaptic delay, and for each unit a shift of its plateau by min(abs N(0, 3), 5) ms. The mapping to events is
    this project's: a unit latches after the settling and one synaptic delay a layer; the shift of the plateau is
    the jitter of both arrivals; plasticity follows 1.5 ms after the unit's own feedback arrival.

    phase : length of each phase. Theirs have room for 6 layers; a deeper net needs longer ones, see `check_fit`.
    Raises OptionError unless 0 <= phase <= 1e6.
    """
    plateau = Distribution("normal", 3.0, absolute=True, maximum=5.0)
    extension = Distribution("wald", 2.0, shape=1.0)
    phase = number(phase, "phase of guerguiev2017 (in ms)", 0.0, 1e6)
    return Schedule(
        unit="ms",
        layer_delay=3.0,
        settling=30.0,
        forward_phase=phase,
        feedback_phase=phase,
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
    """A preset by name; ``desynchronised:0.6`` sets its p, ``guerguiev2017:80`` its phases.

    Raises UnknownNameError, OptionError.
    """
    name, _, argument = str(name).partition(":")
    name = _SPELLINGS.get(name, name)
    if name not in PRESETS or (argument and name == "nominal"):
        hint = nearest(name[:40], PRESETS)
        raise UnknownNameError(f"unknown schedule {shown(name)}{hint}; a file name ends in .toml")
    if not argument:
        return PRESETS[name]()
    try:
        value: object = float(argument)
    except ValueError:
        value = argument
    return PRESETS[name](value)


def check_fit(name: str, names: Sequence[str]) -> None:
    """Raise OptionError where the phases of a preset are too short for these populations (bottom up).

    name : as `preset` takes it; anything else passes.
    """
    word = str(name).partition(":")[0]
    if word != "guerguiev2017":
        return
    schedule = preset(name)
    taken = schedule.settling + schedule.layer_delay / 2
    needed = taken + len(names) * schedule.layer_delay
    if schedule.feedback_phase < needed:
        room = max(0, int((schedule.feedback_phase - taken) / schedule.layer_delay))
        raise OptionError(
            f"phases of {schedule.feedback_phase:g} ms have room for {room} layers of {schedule.layer_delay:g} ms "
            f"after {schedule.settling:g} ms of settling, the net has {len(names)}: say {word}:{needed:g} for phases "
            f"of {needed:g} ms"
        )


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
