"""`netsim eval`: loss, error and confusion of a run's net on validation and test images."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from netsim.console import console
from netsim.errors import OptionError, RunError, nearest

if TYPE_CHECKING:
    from netsim.runs import Run

#: Pairs of classes named in the output, the most frequent confusions first.
CONFUSIONS = 5


def evaluate(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder.", show_default=False)],
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="NAME", help="Other data than the run's: all its images.", show_default=False),
    ] = None,
    data_dir: Annotated[
        str | None,
        typer.Option("--data-dir", metavar="DIR", help="Where the data files lie.", show_default=False),
    ] = None,
    checkpoint: Annotated[str, typer.Option("--checkpoint", metavar="best|last", help="Which weights.")] = "best",
    threads: Annotated[
        int | None,
        typer.Option("--threads", metavar="N", min=1, max=1024, show_default=False, help="All cores."),
    ] = None,
    device: Annotated[
        str, typer.Option("--device", metavar="D", help="cpu, cuda, or auto: a GPU where one can be used.")
    ] = "cpu",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Loss, error and the most frequent confusions of a run's net."""
    if checkpoint not in ("best", "last"):
        raise OptionError(f"--checkpoint is {checkpoint[:40]!r}{nearest(checkpoint[:40], ('best', 'last'))}")
    report = measure(run, data, data_dir, checkpoint, threads, device)
    if as_json:
        import json

        typer.echo(json.dumps(report))
    else:
        show(report)


def measure(
    path: Path, data: str | None, data_dir: str | None, checkpoint: str, threads: int | None, device: str = "cpu"
) -> dict:
    """What `netsim eval --json` prints: run, checkpoint, epoch, data, and for each split loss, error,
    confusion.
    """
    from netsim import configuration as configurations
    from netsim import devices, evaluation, preparation, runs
    from netsim.errors import NetsimError
    from netsim.runs import checkpoints

    chosen = devices.choose(device)
    if chosen.why:
        print(f"netsim: note: {chosen.choice}", file=sys.stderr)
    run = runs.find(path)
    source = str(run.configuration_path)
    configuration = configurations.build(configurations.parse(run.configuration(), source), source)
    other = configurations.absolute_paths({"data": data or configuration.data, "data_dir": data_dir})
    change = {"data": other["data"], "device": "cpu"}
    if data is not None or data_dir is not None:
        change["data_dir"] = other["data_dir"]
    saved = checkpoints.load(_weights(run, checkpoint))
    if data is not None and other["data"] != configuration.data:
        # All images of a strange set: none of them was learned.
        change.update(validation=0, train_images=None)
    prepared = preparation.prepare(configuration.changed(**change))
    try:
        prepared.network.restore(saved.weights)
    except NetsimError as error:
        raise RunError(f"{run.path}: the checkpoint does not fit {prepared.configuration.data}: {error}") from error
    network = devices.answering(chosen, prepared.network)
    splits = {"validation": prepared.validation, "test": prepared.test}
    if data is not None and other["data"] != configuration.data:
        splits = {"train": prepared.train, "test": prepared.test}
    splits = {name: split for name, split in splits.items() if split is not None}
    if not splits:
        raise OptionError(
            f"{run.path} set no validation images aside, and {prepared.configuration.data} has no test images: "
            "--data NAME evaluates on other images"
        )
    report = {
        "run": str(run.path),
        "checkpoint": checkpoint,
        "epoch": saved.position.get("epoch"),
        "data": prepared.configuration.data,
        "classes": list(prepared.class_names),
        "splits": {},
    }
    for name, split in splits.items():
        result = evaluation.evaluate(
            network, split, configuration.loss, prepared.trainer.mu, threads or configuration.threads
        )
        report["splits"][name] = {
            "images": len(split),
            "loss": result.loss,
            "error": result.error,
            "confusion": result.confusion.tolist(),
        }
    return report


def _weights(run: Run, checkpoint: str) -> Path:
    """The file of the run's "best" or "last" weights; `RunError` where there are none yet."""
    path = run.best_path if checkpoint == "best" else run.last_path
    if path.exists():
        return path
    if checkpoint == "best" and run.last_path.exists() and not run.metrics():
        raise RunError(
            f"{run.path} has finished no epoch yet, so no weights are its best: --checkpoint last takes the newest"
        )
    raise RunError(f"{run.path} has no {checkpoint} weights: there is no {path.name} in it")


def show(report: dict) -> None:
    """The report as a table, and the classes most often taken for others."""
    from rich.table import Table

    typer.echo(f"{report['run']}, {report['checkpoint']} weights (epoch {report['epoch']}), {report['data']}")
    table = Table()
    for heading in ("", "images", "loss", "error"):
        table.add_column(heading, justify="right" if heading else "left")
    for name, split in report["splits"].items():
        table.add_row(name, f"{split['images']:,}", f"{split['loss']:.4g}", f"{100 * split['error']:.2f} %")
    console().print(table)
    for name, split in report["splits"].items():
        pairs = confusions(split["confusion"], report["classes"])
        if pairs:
            typer.echo(f"{name}, most often confused: {'; '.join(pairs)}")


def confusions(confusion: list[list[int]], names: list[str]) -> list[str]:
    """``cat taken for dog 123 times``, the most frequent first."""
    wrong = [
        (count, true, answer)
        for true, row in enumerate(confusion)
        for answer, count in enumerate(row)
        if count and true != answer
    ]
    wrong.sort(key=lambda entry: (-entry[0], entry[1], entry[2]))
    return [f"{names[true]} taken for {names[answer]}: {count}" for count, true, answer in wrong[:CONFUSIONS]]
