"""Circuits of one unit on the command line: comparator, threshold, output error, and their calibration.

Arrays and sizes pass between netsim and `circuits`, nothing else.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import typer

from netsim.cli.circuit_tables import table
from netsim.console import console

if TYPE_CHECKING:
    from circuits.motifs import Response
    from circuits.parameters import Parameters
    from circuits.spiking import SpikingParameters

#: Inputs (h, u) of the threshold circuit that are shown; the first three are drawn.
_SHOWN = ((0.5, 1.2), (1.6, 1.2), (-2.0, -0.8), (-0.3, -1.5), (0.9, 2.0), (1.1, 2.0), (-0.9, 1.0), (-1.1, 1.0))

#: Inputs (x, teacher) of the output error circuit that are shown; the first four are drawn.
_SHOWN_ERRORS = ((0.4, 1), (1.6, 1), (0.2, -1), (-1.7, -1), (-2.0, 1), (0.9, 1), (2.0, -1), (-0.9, -1))

#: Columns and rows of the inputs at which populations of neurons are run, which take their time.
_COARSE = (21, 5)


def _suffix(cells: str) -> str:
    return "" if cells == "signed" else f"-{cells}"


def threshold(
    *, parameters: Parameters, cells: str, spiking: SpikingParameters, target: str, seed: int, out: Path
) -> None:
    """The gate of eq. 3: computed beside gate * u, the worst error over a plane of inputs, two pictures."""
    from circuits import accuracy
    from circuits.motifs import respond_threshold
    from circuits.pictures import motif_picture

    how = {"cells": cells, "spiking": spiking, "seed": seed, "target": target}
    h, u = np.array(_SHOWN).T
    shown = respond_threshold(h, u, parameters, record=range(3), **how)
    rows = [
        (f"{h[i]:.2f}", f"{u[i]:.2f}", "shut" if abs(h[i]) >= 1 else "open", *_numbers(shown, i)) for i in range(len(h))
    ]
    headings = ("h", "u", "gate", "computed", "gate · u", "error")
    title = f"threshold circuit, {_kind(cells, spiking)}, phases of {parameters.phase_over_tau:g} tau"
    console().print(table(title, headings, rows))
    inputs = accuracy.plane(*_COARSE) if cells == "spiking" else accuracy.plane()
    plane = respond_threshold(*inputs, parameters, **how)
    _print_worst(plane, parameters, "h in [-3, 3], u in [-2, 2]", inputs[0], cells)
    _print_path(motif_picture("threshold", shown, parameters, out / f"threshold{_suffix(cells)}.png"))
    _draw_wiring("threshold", cells, out)


def output_error(
    *, parameters: Parameters, cells: str, spiking: SpikingParameters, mu: float, target: str, seed: int, out: Path
) -> None:
    """The output error of eq. 6: computed beside 1, -mu or 0, the worst error over inputs, two pictures."""
    from circuits import accuracy
    from circuits.motifs import respond_output_error
    from circuits.pictures import motif_picture

    how = {"cells": cells, "spiking": spiking, "seed": seed, "target": target}
    x, teacher = np.array(_SHOWN_ERRORS).T
    shown = respond_output_error(x, teacher, mu, parameters, record=range(4), **how)
    rows = [(f"{x[i]:.2f}", "own" if teacher[i] > 0 else "another", *_numbers(shown, i)) for i in range(len(x))]
    title = f"output error circuit, {_kind(cells, spiking)}, mu = {mu:.3g}, phases of {parameters.phase_over_tau:g} tau"
    console().print(table(title, ("x", "class", "computed", "eq. 6", "error"), rows))
    inputs = accuracy.line(_COARSE[0]) if cells == "spiking" else accuracy.line()
    both = respond_output_error(*inputs, mu, parameters, **how)
    _print_worst(both, parameters, "x in [-3, 3], both classes", inputs[0], cells)
    _print_path(motif_picture("output-error", shown, parameters, out / f"output-error{_suffix(cells)}.png"))
    _draw_wiring("output-error", cells, out)


def comparator(
    *, parameters: Parameters, cells: str, spiking: SpikingParameters, target: str, seed: int, out: Path
) -> None:
    """A comparator at drives below and above its level: whether it fires, holds, and is reset."""
    from circuits import comparator as comparators
    from circuits.diagrams import draw_wiring
    from circuits.pictures import comparator_picture
    from netsim.errors import OptionError

    if cells != "signed":
        raise OptionError("a comparator alone has rates only; see it spike in `netsim circuit threshold --spiking`")
    drive = np.array([[0.9, 0, 0, 0], [1.3, 0, 0, 0], [1.3, 0, 0, 0.8]])
    trace = comparators.respond(drive, np.array([0, 0, 1, 0]), parameters, target=target)
    ends = trace.fired[:, parameters.steps - 1 :: parameters.steps]
    rows = [
        (f"{first:g}", f"{last:g}", *("fires" if state else "silent" for state in states))
        for (first, _, _, last), states in zip(drive, ends, strict=True)
    ]
    headings = (
        "first drive",
        "last drive",
        "during it",
        "after it",
        "at the end of the reset",
        "during the last drive",
    )
    console().print(table(f"comparator, level {parameters.upper:g}", headings, rows))
    titles = ["drive 0.9", "drive 1.3", "drive 1.3, reset, drive 0.8"]
    _print_path(comparator_picture(trace, titles, parameters, out / "comparator.png"))
    _print_path(draw_wiring("comparator", out / "comparator-wiring.png"))


def calibrate(
    *, parameters: Parameters, cells: str, spiking: SpikingParameters, target: str, seed: int, out: Path
) -> None:
    """Measure thresholds, leak, noise and settling time; write them as JSON for `netsim train --circuits`."""
    from circuits import calibration
    from netsim.runs import durable

    path = out / f"calibration{_suffix(cells)}.json"
    durable.check_place(path)
    found = calibration.calibrate(parameters, cells=cells, spiking=spiking, units=8, seed=seed, target=target)
    rows = [
        ("width of a threshold", f"{found.gate.width:.2g}", f"{found.error.width:.2g}", "0"),
        ("bias of the thresholds", f"{found.gate.bias:.2g}", f"{found.error.bias:.2g}", "0"),
        ("spread from unit to unit", f"{found.gate.spread:.2g}", f"{found.error.spread:.2g}", "0"),
        ("resolution of the above", f"{found.gate.resolution:.2g}", f"{found.error.resolution:.2g}", ""),
        ("leak of a shut gate", f"{found.gate_leak:.2g}", "", "0"),
        ("noise of the output", f"{found.gate_noise:.2g}", f"{found.error_noise:.2g}", "0"),
        ("signal of full noise", f"{found.noise_onset:.2g}", "", ""),
        ("settling time over tau", f"{found.settling_time_over_tau:.2g}", "", f"{np.log(1 / calibration.SETTLED):.2g}"),
    ]
    title = f"calibration, {_kind(cells, spiking)}, phases of {parameters.phase_over_tau:g} tau"
    console().print(table(title, ("measured", "gate", "output error", "ideal"), rows))
    durable.write(path, found.as_json().encode())
    _print_path(path)


def _kind(cells: str, spiking: SpikingParameters) -> str:
    kinds = {"signed": "signed rates", "pairs": "signed pairs of rates"}
    return kinds.get(cells, f"populations of {spiking.neurons} neurons")


def _numbers(response: Response, circuit: int) -> tuple[str, str, str]:
    computed, ideal = response.output[0, circuit], response.ideal[0, circuit] + 0.0  # no minus zero
    return f"{computed:.5f}", f"{ideal:.5f}", f"{computed - ideal:+.1e}"


def _print_worst(response: Response, parameters: Parameters, where: str, inputs: np.ndarray, cells: str) -> None:
    error = np.abs(response.error)
    nearest = np.abs(np.abs(inputs) - 1).min()
    line = f"{where}, {len(inputs)} inputs, {nearest:.2g} and more from the thresholds: worst error {error.max():.2g}"
    if cells == "spiking":
        line += f", root mean square {np.sqrt((error**2).mean()):.2g}"
    else:
        distance = np.abs(response.activity - response.ideal).max()
        line += f"; phases of {parameters.phase_over_tau:g} tau imply {parameters.expected_error(distance):.2g}"
    typer.echo(line)


def _draw_wiring(motif: str, cells: str, out: Path) -> None:
    from circuits.diagrams import draw_wiring

    name = motif if cells == "signed" else f"{motif}-pairs"
    _print_path(draw_wiring(name, out / f"{motif}{_suffix(cells)}-wiring.png", populations=cells == "spiking"))
    if cells != "signed":
        _print_path(draw_wiring("weight-pairs", out / "weight-pairs-wiring.png"))


def _print_path(path: Path) -> None:
    typer.echo(str(path))
