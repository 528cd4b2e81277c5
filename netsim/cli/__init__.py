"""The command line: a table of commands, each in a file of its own that is imported when it is called.

Every refusal is one line on stderr, ``netsim: error: ...``, with exit status 2 (3 where a loss is no longer
finite, 130 after Ctrl-C); there is no traceback for bad input.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import importlib.util
import os
import sys
import warnings
from collections.abc import Sequence
from typing import Annotated

import typer
from typer.core import TyperGroup

from netsim.errors import NetsimError, NetsimWarning, UnknownNameError, nearest, shown

#: Command: (module, function or sub-application, one line of help), in the order of `netsim --help`.
COMMANDS = {
    "train": ("netsim.cli.train", "train", "Train a net; without arguments simpnet on handwritten digits."),
    "eval": ("netsim.cli.evaluate", "evaluate", "Loss, error and confusion of a run's net."),
    "plot": ("netsim.cli.plot", "plot", "Draw the errors of runs over one another."),
    "nets": ("netsim.cli.nets", "nets", "Layers, shapes, weights, multiply-adds and memory of nets."),
    "data": ("netsim.cli.data", "data_app", "List, fetch and show data sets."),
    "bench": ("netsim.cli.bench", "bench", "Time training steps."),
    "timing": ("netsim.cli.timing", "timing", "What late, early and missing events do to learning."),
    "events": ("netsim.cli.events", "events", "Draw one presentation event by event: who fires when."),
    "circuit": ("netsim.cli.circuit", "circuit", "The paper's circuits as differential equations."),
}

#: Characters of a message that may repeat an argument of any length; a longer one is cut in the middle.
LONGEST_LINE = 600
#: The same for a message that names places: room for any path that a system can have, but for the longest names.
LONGEST_WHOLE = 1_800


def exists(name: str) -> bool:
    """Whether the command's module is installed: one that is missing hides its command and no other."""
    return importlib.util.find_spec(COMMANDS[name][0]) is not None


class Group(TyperGroup):
    """Commands; for one that is unknown the nearest is named."""

    def resolve_command(self, ctx, args):
        name, known = args[0], self.list_commands(ctx)
        if name not in known:
            raise UnknownNameError(f"no command is named {name[:40]!r}{nearest(name[:40], known)}")
        return super().resolve_command(ctx, args)


class CommandTable(Group):
    """The commands of `COMMANDS`: listed from the table, imported when called."""

    def list_commands(self, ctx):
        return [name for name in COMMANDS if exists(name)]

    def get_command(self, ctx, cmd_name):
        """A stand-in with the name and the line of help: what `netsim --help` shows."""
        stand_in = typer.Typer()
        stand_in.command(cmd_name, help=COMMANDS[cmd_name][2])(lambda: None)
        return typer.main.get_command(stand_in)

    def resolve_command(self, ctx, args):
        name, _, rest = super().resolve_command(ctx, args)
        return name, _load(name), rest


def _load(name: str):
    module, attribute, help_line = COMMANDS[name]
    target = getattr(importlib.import_module(module), attribute)
    if not isinstance(target, typer.Typer):
        command = typer.Typer(add_completion=False)
        command.command(name)(target)
        target = command
    loaded = typer.main.get_command(target)
    loaded.name, loaded.help = name, loaded.help or help_line
    for command in (loaded, *getattr(loaded, "commands", {}).values()):
        command.help = _paragraphs(command.help)
    return loaded


def _paragraphs(text: str) -> str:
    """A docstring as paragraphs without line breaks: the terminal's width breaks them."""
    return "\n\n".join(" ".join(paragraph.split()) for paragraph in text.split("\n\n"))


app = typer.Typer(cls=CommandTable, add_completion=False, pretty_exceptions_enable=False)


def _version(wanted: bool) -> None:
    if wanted:
        import netsim

        typer.echo(f"netsim {netsim.__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _netsim(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Simulate learning by updated random feedback: activity, then feedback, in one unit."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def run(arguments: Sequence[str] | None = None) -> int:
    """Run a command line (default: that of the process); return the exit status."""
    try:
        status = typer.main.get_command(app).main(
            args=None if arguments is None else list(arguments), prog_name="netsim", standalone_mode=False
        )
        sys.stdout.flush()
        return status if isinstance(status, int) else 0
    except NetsimError as error:
        return _refuse(str(error), error.exit_status, error.whole)
    except (KeyboardInterrupt, typer.Abort):
        return _refuse("interrupted", 130)
    except OSError as error:
        if error.errno == errno.EPIPE:  # the reader of our output went away
            _silence(sys.stdout)
            return 1
        _silence(sys.stdout)  # it may be what cannot be written
        return _refuse(f"{error.filename or 'the system'}: {error.strerror or error}", 2)
    except MemoryError:
        return _refuse("not enough memory for this net, batch and data", 2)
    except Exception as error:
        # Usage errors of the command line library: it has changed their classes, but not what they offer.
        if not hasattr(error, "format_message"):
            raise
        message = _wrong_value(error) or _first_lower(error.format_message())
        return _refuse(message, 2) if message else 0  # a group without a command has printed its help


def _refuse(message: str, status: int, whole: bool = False) -> int:
    line = " ".join(message.split())
    longest = LONGEST_WHOLE if whole else LONGEST_LINE
    if len(line) > longest:
        line = f"{line[: longest // 2]} ... {line[-longest // 2 :]}"
    with contextlib.suppress(OSError, ValueError):  # stderr may be closed
        print(f"netsim: error: {line}", file=sys.stderr, flush=True)
    return status


def _wrong_value(error: Exception) -> str:
    """The message for an option whose value pydantic refused, in our words; empty for other usage errors."""
    refused, option = getattr(error.__cause__, "errors", list)(), getattr(error, "param", None)
    if not refused or option is None:
        return ""
    from netsim.configuration import would_be_right

    value = shown(refused[0]["input"])
    with contextlib.suppress(ValueError):
        float(value.strip("'"))
        value = value.strip("'")  # a number stands without quotes, as in the messages of other options
    return f"{max(option.opts, key=len)} is {value}: it {would_be_right(refused[0])}"


def _first_lower(message: str) -> str:
    return message[:1].lower() + message[1:].rstrip(".")


def _silence(stream) -> None:
    """Let what is still buffered go nowhere, so that Python does not complain at exit."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _open_closed_streams() -> None:
    """Let a standard stream that was closed lead nowhere.

    Its number would else go to the first file that is opened, and what is printed into that file.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)  # gets the lowest number that is free: that of the stream
            os.set_inheritable(nowhere, True)
            setattr(sys, name, open(nowhere, mode, encoding="utf-8", closefd=False))  # noqa: SIM115 (open to the end)


def _show_warning(message, category, *place) -> None:
    """Ours as a note of one line, others as Python shows them."""
    if issubclass(category, NetsimWarning):
        print(f"netsim: note: {message}", file=sys.stderr, flush=True)
    else:
        _python_shows(message, category, *place)


_python_shows = warnings.showwarning


def main() -> None:
    """Entry point of the `netsim` command."""
    _open_closed_streams()
    warnings.showwarning = _show_warning
    for stream in (sys.stdout, sys.stderr):  # a path that the terminal's encoding lacks is no reason to stop
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    status = run()
    for stream in (sys.stdout, sys.stderr):  # Python would complain at exit of what cannot be written
        try:
            stream.flush()
        except (OSError, ValueError):
            _silence(stream)
    sys.exit(status)
