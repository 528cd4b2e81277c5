"""`netsim train`: its options; what is done with them: `netsim.cli.launch`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from netsim.cli import launch
from netsim.cli.launch import OPTION_NAMES
from netsim.errors import OptionError

Net = Annotated[
    str | None,
    typer.Argument(
        metavar="NET",
        help="simpnet, deepnet, deepernet, deepnet_s, notation such as 'conv 32 5x5; maxpool 3; output', "
        "or an author's parameter file (.txt).",
        show_default=False,
    ),
]


def _option(*names: str, help: str, metavar: str | None = None, panel: str | None = None):
    return typer.Option(*names, help=help, metavar=metavar, show_default=False, rich_help_panel=panel)


_DATA, _LEARN, _RUN, _FROM = "Data", "Learning", "Run", "From another run"
_TIMES = "Times of the units (netsim timing sweeps them)"
_VARIANTS = "Differences of the author's code"


def train(
    net: Net = None,
    net_option: Annotated[str | None, _option("--net", help="The same as NET.", metavar="NET")] = None,
    data: Annotated[
        str | None,
        _option(
            "--data",
            metavar="NAME",
            panel=_DATA,
            help="digits (default), cifar10, cifar100, mnist, fashion-mnist, npz:PATH.",
        ),
    ] = None,
    data_dir: Annotated[
        str | None, _option("--data-dir", metavar="DIR", panel=_DATA, help="Where the data files lie.")
    ] = None,
    validation: Annotated[
        int | None,
        _option(
            "--validation",
            metavar="N",
            panel=_DATA,
            help="Images set aside to validate on (default 5000 or a tenth, whichever is less; digits 360).",
        ),
    ] = None,
    train_images: Annotated[
        int | None,
        _option("--train-images", metavar="N", panel=_DATA, help="Learn from at most N images (default all)."),
    ] = None,
    protocol: Annotated[
        str | None,
        _option(
            "--protocol", metavar="P", panel=_LEARN, help="urfb (default), frfb, bp, kolen-pollack, sign-symmetry, dfa."
        ),
    ] = None,
    loss: Annotated[
        str | None, _option("--loss", metavar="L", panel=_LEARN, help="hinge (default) or softmax.")
    ] = None,
    epochs: Annotated[
        int | None, _option("--epochs", metavar="N", panel=_LEARN, help="Epochs in all (default 40).")
    ] = None,
    batch: Annotated[
        int | None, _option("--batch", metavar="N", panel=_LEARN, help="Images a batch (default 500; digits 50).")
    ] = None,
    step_size: Annotated[
        float | None, _option("--step-size", metavar="ETA", panel=_LEARN, help="Step size, eta (default 0.1).")
    ] = None,
    mu: Annotated[
        float | None,
        _option(
            "--mu", metavar="MU", panel=_LEARN, help="Off-class factor of the hinge loss (default 1/(classes - 1))."
        ),
    ] = None,
    feedback_rate: Annotated[
        float | None,
        _option(
            "--feedback-rate",
            metavar="EPS",
            panel=_LEARN,
            help="Rate of R's update under urfb, 0 to 1 (equation 7; default 1).",
        ),
    ] = None,
    decay: Annotated[
        float | None,
        _option(
            "--decay", metavar="LAMBDA", panel=_LEARN, help="Weight decay on W and R (default 0; kolen-pollack 0.01)."
        ),
    ] = None,
    drop: Annotated[
        str | None,
        _option(
            "--drop", metavar="D", panel=_LEARN, help="Dropout masks: one a sample (default), one a batch, or off."
        ),
    ] = None,
    connectivity: Annotated[
        float | None,
        _option(
            "--connectivity", metavar="C", panel=_LEARN, help="Share of connections kept, W and R apart (default 1)."
        ),
    ] = None,
    thin_output: Annotated[
        bool | None,
        _option(
            "--thin-output/--no-thin-output",
            panel=_LEARN,
            help="With --connectivity: thin the output layer, too (default no).",
        ),
    ] = None,
    symmetric: Annotated[
        bool | None,
        _option(
            "--symmetric-init/--no-symmetric-init",
            panel=_LEARN,
            help="Start with R = W (default no: R is drawn apart).",
        ),
    ] = None,
    slope: Annotated[
        float | None,
        _option("--slope", metavar="S", panel=_LEARN, help="Slope of sigma, clip(S h, -1, 1) (default 1)."),
    ] = None,
    preset: Annotated[
        str | None,
        _option(
            "--preset",
            metavar="NAME",
            panel=_VARIANTS,
            help="A set of options, these and some above: paper (its text), or author (the code; not with --schedule).",
        ),
    ] = None,
    feedback_through: Annotated[
        str | None,
        _option(
            "--feedback-through",
            metavar="R",
            panel=_VARIANTS,
            help="Signals pass R as it was before the batch (old, default), or updated.",
        ),
    ] = None,
    untied_feedback: Annotated[
        str | None,
        _option(
            "--untied-feedback",
            metavar="R",
            panel=_VARIANTS,
            help="Signals of untied layers pass R as it is (current, default), or as the epoch began (epoch).",
        ),
    ] = None,
    untied_start: Annotated[
        str | None,
        _option(
            "--untied-start",
            metavar="S",
            panel=_VARIANTS,
            help="Untied filters begin apart (default: one drawn for each pixel), or as one that is spread.",
        ),
    ] = None,
    feedback_input: Annotated[
        str | None,
        _option(
            "--feedback-input",
            metavar="X",
            panel=_VARIANTS,
            help="R learns from x (default), or from its positive part (positive).",
        ),
    ] = None,
    feedback_clip: Annotated[
        float | None,
        _option(
            "--feedback-clip",
            metavar="S",
            panel=_VARIANTS,
            help="What R sends down, u, becomes clip(S u, -1, 1) (default: it stays).",
        ),
    ] = None,
    pool_anchor: Annotated[
        str | None,
        _option(
            "--pool-anchor",
            metavar="A",
            panel=_VARIANTS,
            help="Pool windows lie around their pixel (center, default), or begin at it (corner).",
        ),
    ] = None,
    pool_ties: Annotated[
        str | None,
        _option(
            "--pool-ties",
            metavar="T",
            panel=_VARIANTS,
            help="Feedback of a pool goes to the first maximum (default), or to all.",
        ),
    ] = None,
    frozen: Annotated[
        str | None,
        _option("--freeze", metavar="LAYERS", panel=_LEARN, help="Layers that do not learn, such as conv1,conv2."),
    ] = None,
    circuits: Annotated[
        Path | None,
        _option(
            "--circuits", metavar="FILE", panel=_LEARN, help="Imperfect circuits: JSON that netsim circuit calibrated."
        ),
    ] = None,
    schedule: Annotated[
        str | None,
        _option(
            "--schedule",
            metavar="FILE|PRESET",
            panel=_TIMES,
            help="Units with event times of their own, from a .toml file or by name: nominal (no jitter), "
            "guerguiev2017[:PHASE], desynchronised:P. Default: all in step.",
        ),
    ] = None,
    stream: Annotated[
        str | None,
        _option(
            "--stream",
            metavar="S",
            panel=_TIMES,
            help="Order of the images: random (default), blocked:RUN or similar:RUN (RUN images of a class in a row), "
            "one-at-a-time[:REFRESH[:EPOCHS]].",
        ),
    ] = None,
    engine: Annotated[
        str | None,
        _option(
            "--engine", metavar="E", panel=_TIMES, help="With --schedule: exact (default), or batched, which is faster."
        ),
    ] = None,
    streams: Annotated[
        int | None,
        _option(
            "--streams",
            metavar="N",
            panel=_TIMES,
            help="With --schedule: sequences of images that the exact engine learns side by side (default 4).",
        ),
    ] = None,
    seed: Annotated[
        int | None, _option("--seed", metavar="N", panel=_RUN, help="Seed of weights, order and dropout (default 0).")
    ] = None,
    threads: Annotated[
        int | None,
        _option(
            "--threads", metavar="N", panel=_RUN, help="Threads (default all cores). Changes no bit of the result."
        ),
    ] = None,
    device: Annotated[
        str | None, _option("--device", metavar="D", panel=_RUN, help="cpu (default), cuda, or auto: a GPU if usable.")
    ] = None,
    out: Annotated[
        str | None,
        _option("--out", metavar="DIR", panel=_RUN, help="Run folder (default runs/NET-DATA-PROTOCOL-seedN)."),
    ] = None,
    source: Annotated[
        Path | None,
        _option("--from", metavar="RUN", panel=_FROM, help="Start from that run's weights, with its net and options."),
    ] = None,
    checkpoint: Annotated[
        str | None,
        _option("--checkpoint", metavar="C", panel=_FROM, help="With --from: the best (default) or the last weights."),
    ] = None,
    untie: Annotated[
        str | None,
        _option(
            "--untie",
            metavar="LAYERS",
            panel=_FROM,
            help="With --from: tied filters become untied copies, such as conv2,conv3, or all.",
        ),
    ] = None,
    reinit: Annotated[
        str | None,
        _option(
            "--reinit",
            metavar="LAYERS",
            panel=_FROM,
            help="With --from: layers drawn anew, by name, all, or rest (neither untied nor frozen).",
        ),
    ] = None,
    resume: Annotated[
        Path | None,
        _option("--resume", metavar="RUN", panel=_RUN, help="Go on with a run; with --epochs N until it has N in all."),
    ] = None,
    config: Annotated[
        Path | None,
        _option(
            "--config", metavar="FILE", panel=_RUN, help="Options from a run.toml; those typed beside it override."
        ),
    ] = None,
    quiet: Annotated[bool, _option("--quiet", "-q", panel=_RUN, help="Print the path of the run folder only.")] = False,
) -> None:
    """Train a net; without arguments simpnet with URFB on handwritten digits.

    The run folder gets the configuration, the metrics of every epoch, checkpoints and curves. Ctrl-C finishes
    the batch and saves; --resume goes on, bit for bit.
    """
    given = {key: value for key, value in locals().items() if key in OPTION_NAMES and value is not None}
    if net is not None and net_option is not None:
        raise OptionError("the net is given twice: as NET and as --net")
    if net_option is not None:
        given["net"] = net_option
    given.pop("source", None)
    if frozen is not None:
        given["frozen"] = launch.split(frozen)
        if not given["frozen"]:
            raise OptionError("--freeze names no layer")
    if circuits is not None:
        given["circuits"] = launch.components(circuits)
    if schedule is not None:
        given["schedule"] = launch.schedule(schedule)
    inherited = {"checkpoint": checkpoint, "untie": untie, "reinit": reinit}
    inherited = {key: value for key, value in inherited.items() if value is not None}
    if source is not None:
        inherited["run"] = source
    elif inherited:
        raise OptionError(f"--{next(iter(inherited))} goes with --from RUN, the run to start from")
    if resume is None:
        status = launch.start(given, preset, inherited, out, config, quiet)
    else:
        unfit = [name for name, there in (("--preset", preset), ("--from", source)) if there is not None]
        status = launch.resume(resume, given, unfit, out, config, quiet)
    if status:
        raise typer.Exit(status)
