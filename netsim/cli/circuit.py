"""`netsim circuit`: run one of the paper's circuits, show what it computed beside what it should, draw it."""

from __future__ import annotations

import contextlib
import re
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from netsim.errors import NetsimError, OptionError, UnknownNameError, nearest

if TYPE_CHECKING:
    from circuits.parameters import Parameters
    from circuits.spiking import SpikingParameters

#: What `netsim circuit NAME` knows.
NAMES = ("threshold", "output-error", "layered", "comparator", "calibrate")

#: Seconds in each unit of time that `--tau` takes.
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}


def circuit(
    name: Annotated[str, typer.Argument(metavar="NAME", help=f"{', '.join(NAMES[:-1])}, or {NAMES[-1]}.")],
    spiking: Annotated[
        bool, typer.Option("--spiking", help="Populations of integrate-and-fire neurons instead of rates.")
    ] = False,
    pairs: Annotated[bool, typer.Option("--pairs", help="Signed pairs: rates of 0 and more only.")] = False,
    phase: Annotated[
        float, typer.Option("--phase", metavar="K", help="Length of each phase in time constants tau.")
    ] = 10.0,
    tau: Annotated[
        str, typer.Option("--tau", metavar="TIME", help="Time constant of a unit, with its unit: 10ms, 0.01s.")
    ] = "10ms",
    neurons: Annotated[
        int | None, typer.Option("--neurons", metavar="N", help="Neurons in each population: 200.", show_default=False)
    ] = None,
    mu: Annotated[
        float | None,
        typer.Option("--mu", metavar="MU", help="Off-class factor of output-error: 1/3.", show_default=False),
    ] = None,
    presentations: Annotated[
        int | None,
        typer.Option(
            "--presentations", metavar="N", help="Digits shown to layered: 100; spiking 5.", show_default=False
        ),
    ] = None,
    target: Annotated[
        str, typer.Option("--target", metavar="T", help="Brian2's code: numpy, or cython (needs a compiler).")
    ] = "numpy",
    seed: Annotated[int, typer.Option("--seed", metavar="S", help="Of random numbers.")] = 0,
    out: Annotated[
        str,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Folder of the pictures, or of calibrate's JSON: made where it is missing. Files of the same names "
            "are replaced.",
        ),
    ] = ".",
) -> None:
    """Run a circuit of neurons, print what it computed beside what it should compute, and draw its time courses."""
    if name not in NAMES:
        raise UnknownNameError(f"no circuit is named {name[:40]!r}{nearest(name[:40], NAMES)}")
    if spiking and pairs:
        raise OptionError("--spiking and --pairs exclude each other: populations are signed pairs already")
    if neurons is not None and not spiking:
        raise OptionError("--neurons needs --spiking")
    if presentations is not None and name != "layered":
        raise OptionError("--presentations is for layered")
    if mu is not None and name != "output-error":
        raise OptionError("--mu is for output-error")
    if not 0 <= seed < 2**31:
        raise OptionError(f"--seed {seed} must be from 0 to {2**31 - 1}")
    if not out:
        raise OptionError("--out is empty: expected a folder")
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise OptionError(f"--out {out} is not a folder")
    cells = "spiking" if spiking else "pairs" if pairs else "signed"
    with _reported():
        parameters, populations = _settings(spiking, phase, tau, neurons)
        with _made(folder):  # before anything is computed that could not be kept
            if name == "layered":
                from netsim.cli import circuit_layered

                circuit_layered.layered(parameters, cells, populations, presentations, target, seed, folder)
                return
            from netsim.cli import circuit_motifs

            run = getattr(circuit_motifs, name.replace("-", "_"))
            factor = {"mu": 1 / 3 if mu is None else mu} if name == "output-error" else {}
            run(parameters=parameters, cells=cells, spiking=populations, target=target, seed=seed, out=folder, **factor)


@contextlib.contextmanager
def _made(folder: Path) -> Iterator[None]:
    """`folder` within the block; afterwards what was made of it goes again if nothing was written into it."""
    from netsim.runs import durable

    with durable.refusals(folder, "cannot be made"):
        missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        durable.make_folder(folder)
        yield
    finally:
        for path in missing:
            with contextlib.suppress(OSError):  # it is not empty
                path.rmdir()


def _settings(spiking: bool, phase: float, tau: str, neurons: int | None) -> tuple[Parameters, SpikingParameters]:
    """Parameters of the command line, all times in proportion to tau; a spiking circuit takes steps half as long."""
    from brian2 import ms

    from circuits.parameters import Parameters, scaled
    from circuits.spiking import SpikingParameters

    parameters = Parameters(dt=(0.5 if spiking else 1) * ms)
    factor = _seconds(tau) / float(parameters.tau)
    populations = SpikingParameters() if neurons is None else SpikingParameters(neurons=neurons)
    return scaled(parameters, factor).with_phase(phase), scaled(populations, factor)


def _seconds(text: str) -> float:
    """Seconds of text such as 10ms; OptionError where the unit is missing or the number is none."""
    found = re.fullmatch(r"\s*([-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)\s*([a-zA-Zµ]*)\s*", text[:40])
    if found is None:
        raise OptionError(f"--tau {text[:40]!r} is not a time; give one such as 10ms")
    number, unit = found.groups()
    if not unit:
        raise OptionError(f"--tau {number} has no unit; give a time, such as {number}ms")
    unit = unit.replace("µ", "u")
    if unit not in _SECONDS:
        raise OptionError(f"--tau {text[:40]!r}: {unit!r} is no unit of time{nearest(unit, _SECONDS)}")
    try:
        seconds = float(number) * _SECONDS[unit]
    except ValueError:
        raise OptionError(f"--tau {text[:40]!r} is not a time; give one such as 10ms") from None
    if not 1e-6 <= seconds <= 1e3:
        raise OptionError(f"--tau {text[:40]!r} must be a positive time, from 1us to 1000s")
    return seconds


@contextlib.contextmanager
def _reported() -> Iterator[None]:
    """Errors of circuits become netsim's, with the same line; their warnings go to stderr."""
    try:
        import brian2  # noqa: F401 -- Brian2 takes warnings over when it is imported: before they are taken over here

        from circuits.errors import CircuitError, CircuitWarning, UnknownCircuitError
    except ImportError as error:
        raise OptionError(f"the circuits need Brian2, which cannot be imported: {error}") from None

    def show(message, category, filename, lineno, file=None, line=None) -> None:
        if issubclass(category, CircuitWarning):
            print(f"netsim: warning: {message}", file=sys.stderr, flush=True)

    with warnings.catch_warnings():
        warnings.simplefilter("once", CircuitWarning)
        warnings.showwarning = show
        try:
            yield
        except UnknownCircuitError as error:
            raise UnknownNameError(str(error)) from None
        except NetsimError:
            raise
        except CircuitError as error:
            raise OptionError(str(error)) from None
