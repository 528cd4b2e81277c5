"""`netsim nets`: the architectures of the paper, or one network layer by layer."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated

import typer

from netsim.console import console, print_table
from netsim.errors import OptionError

if TYPE_CHECKING:
    from netsim.summary import Summary

#: Where the paper describes each network.
SECTIONS = {
    "simpnet": "section 4: shallow",
    "deepnet": "section 4: deep",
    "deepernet": "section 4: deeper, with sums",
    "deepnet_s": "section 4.1: to be untied",
}


def nets(
    net: Annotated[
        str | None,
        typer.Argument(metavar="NET", help="A network of the paper's by name, or notation; all four if left out."),
    ] = None,
    input: Annotated[
        str, typer.Option("--input", metavar="HxWxC", help="Height, width and channels of the images.")
    ] = "32x32x3",
    classes: Annotated[int, typer.Option("--classes", metavar="C", help="Number of output units.")] = 10,
) -> None:
    """Show networks: layers, shapes, numbers of units and weights, multiply-adds and memory."""
    shape = input_shape(input)
    if net is None:
        _show_all(shape, classes)
    else:
        _show(net, shape, classes)


def input_shape(text: str) -> tuple[int, int, int]:
    """(H, W, C) of text such as 32x32x3; OptionError where it is none."""
    sides = re.fullmatch(r"\s*([0-9]{1,6})\s*[xX×]\s*([0-9]{1,6})\s*[xX×]\s*([0-9]{1,6})\s*", text[:100])
    if sides is None or len(text) > 100 or "0" in (side.lstrip("0") or "0" for side in sides.groups()):
        raise OptionError(f"--input is {text[:40]!r}: expected height, width and channels, as in 32x32x3")
    return tuple(int(side) for side in sides.groups())


def _show_all(shape: tuple[int, int, int], classes: int) -> None:
    from rich import box
    from rich.table import Table

    from netsim.architectures import ARCHITECTURES
    from netsim.errors import GeometryError
    from netsim.summary import summarize

    summarize("output", shape, classes)  # what is wrong for every network is an error, not a row
    table = Table(box=box.SIMPLE_HEAD, title=_title("the paper's networks", shape, classes), title_justify="left")
    table.add_column("network", no_wrap=True)
    for heading in ("layers", "units", "weights W"):
        table.add_column(heading, justify="right", no_wrap=True)
    table.add_column("multiply-adds an image", justify="right")
    table.add_column("in the paper")
    for name in ARCHITECTURES:
        try:
            summary = summarize(name, shape, classes)
        except GeometryError as error:
            table.add_row(name, "", "", "", "", f"cannot be built: {error}")
            continue
        table.add_row(
            name,
            f"{len(summary.layers)}",
            f"{summary.units:,}",
            f"{summary.weights:,}",
            _large(summary.feedforward),
            SECTIONS[name],
        )
    print_table(table)
    console().print("netsim nets NAME shows the layers; the notation works in place of a name.")


def _show(net: str, shape: tuple[int, int, int], classes: int) -> None:
    from rich import box
    from rich.table import Table

    from netsim.architectures import ARCHITECTURES
    from netsim.summary import summarize

    summary = summarize(net, shape, classes)
    name = net.strip().lower()
    title = _title(name if name in ARCHITECTURES else "network", shape, classes)
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left", show_footer=True, collapse_padding=True)
    table.add_column("layer", "total", no_wrap=True)
    table.add_column("notation")
    table.add_column("shape", no_wrap=True)
    table.add_column("units", f"{summary.units:,}", justify="right", no_wrap=True)
    table.add_column("weights W", f"{summary.weights:,}", justify="right", no_wrap=True)
    table.add_column("feedforward", _large(summary.feedforward), justify="right", no_wrap=True)
    table.add_column("whole step", _large(summary.step), justify="right", no_wrap=True)
    for layer in summary.layers:
        told = f"sum of {', '.join(layer.parents)}" if layer.name.startswith("sum") else layer.notation
        table.add_row(
            layer.name,
            told,
            "x".join(map(str, layer.shape)),
            f"{layer.units:,}",
            f"{layer.weights:,}" if layer.weights else "",
            _large(layer.feedforward) if layer.weights else "",
            _large(layer.step) if layer.weights else "",
        )
    print_table(table)
    console().print(_notes(summary), soft_wrap=True, markup=False)


def _title(what: str, shape: tuple[int, int, int], classes: int) -> str:
    return f"{what}: images {'x'.join(map(str, shape))}, {classes} classes"


def _notes(summary: Summary) -> str:
    return (
        f"notation: {summary.architecture}\n"
        "feedforward, whole step: multiply-adds an image\n"
        f"memory, float32: W, R (as many as W) and one increment {_memory(summary.weight_bytes)}; "
        f"activity {_memory(summary.activity_bytes)} an image"
    )


def _memory(size: int) -> str:
    """Bytes in MiB, or in KiB below one of them."""
    return f"{size / 2**20:,.1f} MiB" if size >= 2**20 else f"{size / 2**10:,.1f} KiB"


def _large(number: int) -> str:
    """Multiply-adds: exact below a million, then in millions."""
    return f"{number:,}" if number < 10**6 else f"{number / 1e6:,.2f} M"
