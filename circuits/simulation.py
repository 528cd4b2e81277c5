"""How a circuit is run: code target, random state, presentations one after another, what is read when."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass

import numpy as np
from brian2 import BrianLogger, Equations, Network, NetworkOperation, NeuronGroup, Quantity, StateMonitor, prefs
from brian2 import seed as set_brian_seed

from circuits.errors import MissingCompilerError, ParameterError, choose
from circuits.parameters import Parameters, as_array
from circuits.phases import PHASES

TARGETS = ("numpy", "cython")


@functools.cache
def _compiles() -> bool:
    """Whether Brian2 can compile for its cython target; tried once."""
    from brian2.codegen.runtime.cython_rt.cython_rt import CythonCodeObject

    BrianLogger.suppress_name("failed_compile_test")  # many lines, where one says it
    with open(os.devnull, "w") as nowhere, redirect_stderr(nowhere), redirect_stdout(nowhere):
        return CythonCodeObject.is_available()


@contextmanager
def code_target(target: str, seed: int | None = None) -> Iterator[None]:
    """Brian2's code target within the block ("numpy" needs no compiler), and its random state from `seed`.

    Both are put back afterwards. Errors: UnknownCircuitError for another target, MissingCompilerError for cython
    where nothing can be compiled.
    """
    choose("code target", target, TARGETS)
    if target == "cython" and not _compiles():
        raise MissingCompilerError(
            "the code target cython needs the package Cython and a C++ compiler (a trial compilation failed): "
            "install them, or take the target numpy"
        )
    before = prefs.codegen.target
    state = np.random.get_state()  # noqa: NPY002 -- the numpy target draws from this global state
    prefs.codegen.target = target
    if seed is not None:
        set_brian_seed(seed)
    try:
        yield
    finally:
        prefs.codegen.target = before
        np.random.set_state(state)  # noqa: NPY002


@dataclass(frozen=True)
class Traces:
    """Time courses of one circuit: time (T,) in seconds from the start, and one array (P*T', n) a variable."""

    time: np.ndarray
    values: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Reading:
    """What n circuits carried: at the end of each feedforward phase, of each feedback phase, and in between.

    feedforward, feedback: name of a variable -> (P, n); traces: for the circuits in `recorded`, or None.
    """

    feedforward: Mapping[str, np.ndarray]
    feedback: Mapping[str, np.ndarray]
    traces: Traces | None


def unit_group(
    equations: str | Equations, n: int, parameters: Parameters, constants: Mapping[str, object], **options: object
) -> NeuronGroup:
    """n independent circuits as one NeuronGroup.

    Every equation is linear in its own variable: exponential Euler is exact for inputs that stand still
    within a step, so errors come from the length of the phases and not from dt.
    """
    names = {**parameters.constants(), **constants}
    equations = Equations(PHASES) + (equations if isinstance(equations, Equations) else Equations(equations))
    return NeuronGroup(n, equations, method="exponential_euler", dt=parameters.dt, namespace=names, **options)


def loader(group: NeuronGroup, rows: Mapping[str, np.ndarray], period: Quantity) -> NetworkOperation:
    """An operation that sets parameters of the group whenever a presentation begins, before anything reads it.

    rows: name -> (P, n), one row a presentation; after the last one nothing is set. An operation and not a
    TimedArray: it needs no ratio of period and time step that is exact in floating point.
    """
    presentations = iter(zip(*rows.values(), strict=True))

    def load() -> None:
        for name, values in zip(rows, next(presentations, ()), strict=False):
            setattr(group, name, values)

    return NetworkOperation(load, dt=period, when="before_start", order=-1)


def own(values: object) -> np.ndarray:
    """What a simulation computed, as an array of its own without units.

    A copy: from Brian2 2.10 on, arrays of a network are views of memory that goes when the network does.
    """
    return np.array(values)


def as_presentations(**inputs: np.ndarray) -> dict[str, np.ndarray]:
    """Inputs as float arrays (P, n) of one shape; plain (n,) is one presentation. Errors: CircuitError."""
    arrays = {name: np.atleast_1d(as_array(name, value)) for name, value in inputs.items()}
    try:
        arrays = dict(zip(arrays, np.broadcast_arrays(*arrays.values()), strict=True))
    except ValueError:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise ParameterError(f"inputs must have one shape, (n,) or (presentations, n): {shapes}") from None
    for name, array in arrays.items():
        if array.ndim > 2 or array.size == 0:
            raise ParameterError(f"{name} {array.shape} must have the shape (n,) or (presentations, n), none empty")
        if not np.isfinite(array).all():
            raise ParameterError(f"{name} must be finite; {np.count_nonzero(~np.isfinite(array))} values are not")
    return {name: np.atleast_2d(array) for name, array in arrays.items()}


def present(
    equations: str | Equations,
    inputs: Mapping[str, np.ndarray],
    parameters: Parameters,
    *,
    read: Sequence[str],
    record: Sequence[int] = (),
    traced: Sequence[str] = (),
    constants: Mapping[str, object] | None = None,
    attach: Callable[[NeuronGroup], list] | None = None,
    target: str = "numpy",
    seed: int | None = None,
) -> Reading:
    """Show the presentations one after another to n circuits: feedforward, feedback and reset phase each.

    inputs: parameter of the equations -> (P, n), constant within a presentation. read: variables read at the
    end of the feedforward and of the feedback phase. record: circuits whose `traced` variables are kept at
    every step. attach: adds populations to the units (spiking) and returns the new Brian2 objects.
    """
    presentations, n = next(iter(inputs.values())).shape
    steps = parameters.steps
    windows = {"release_step": 2 * steps, "period": 3 * steps}
    period = 3 * parameters.phase
    with code_target(target, seed):
        units = unit_group(equations, n, parameters, {**(constants or {}), **windows}, name="units")
        units.feedback_step = steps
        ends = StateMonitor(units, list(read), record=True, dt=parameters.phase, when="before_start", order=-2)
        parts = [units, loader(units, inputs, period), ends, *(attach(units) if attach else [])]
        monitor = None
        if len(record):
            monitor = StateMonitor(units, list(traced), record=list(record))
            parts.append(monitor)
        Network(*parts).run(presentations * period, namespace={})
    # sample k of `ends` is the state at k phases: 1 + 3p ends a feedforward phase, 2 + 3p a feedback phase
    values = {name: own(getattr(ends, name)) for name in read}
    return Reading(
        feedforward={name: value[:, 1::3].T for name, value in values.items()},
        feedback={name: value[:, 2::3].T for name, value in values.items()},
        traces=None
        if monitor is None
        else Traces(own(monitor.t), {name: own(getattr(monitor, name)).T for name in traced}),
    )
