"""The files of a figure: NAME.png and NAME.json, with the caption in both."""

from __future__ import annotations

import io
import json
import textwrap
from pathlib import Path

from experiments import Result

from netsim.runs import durable

#: Letters of a caption's line for each inch of a figure's width.
_LETTERS = 13

_DATA = {"cifar10": "CIFAR-10", "cifar100": "CIFAR-100", "digits": "Handwritten digits"}


def name(options, *words: str) -> str:
    """The name of a figure's files: its words, and the data set, where it is another than the usual one."""
    return "_".join([*words, *([] if options.data == options.usual_data else [options.data])])


def write(options, name: str, figure, results: list[Result], numbers: dict, remark: str = "") -> None:
    """Write a figure made of runs. remark: a sentence about what is shown, at the caption's end."""
    text = " ".join(filter(None, [caption(options, results), remark]))
    content = {"runs": [_facts(result) for result in results], "numbers": numbers}
    save(options.out / name, figure, text, content)


def save(path: Path, figure, caption: str, content: dict, indent: int | None = 1) -> None:
    """Write `figure` with its caption below, and `content` as JSON beside it."""
    figure.supxlabel("\n".join(textwrap.wrap(caption, int(_LETTERS * figure.get_figwidth()))), fontsize="small")
    text = (
        json.dumps(
            {"figure": path.name, "caption": caption, **content}, allow_nan=False, ensure_ascii=False, indent=indent
        )
        + "\n"
    )
    durable.make_folder(path.parent)
    picture = io.BytesIO()
    figure.savefig(picture, dpi=110, metadata={"Software": None})
    durable.write(path.with_suffix(".png"), picture.getvalue())
    durable.write(path.with_suffix(".json"), text.encode())
    print(f"wrote {path}.png and {path}.json")


def caption(options, results: list[Result]) -> str:
    """Data; then of every net: images, epochs, seeds, time, and the runs that it started from."""
    groups: dict[tuple, list[Result]] = {}
    for result in results:
        groups.setdefault((result.experiment.net, len(result.records), _images(result)), []).append(result)
    images = {_images(result) for result in results}
    common = f", {images.pop()}" if len(images) == 1 else ""
    note = f" ({options.note})" if options.note else ""
    shown = {result.path for result in results}
    nets = [_of_net(group, shown, not common) for group in groups.values()]
    return " ".join([f"{_DATA[options.data]}{note}{common}.", *nets])


def _images(result: Result) -> str:
    return f"{result.images:,} images to learn, {result.validation:,} to validate"


def _of_net(results: list[Result], shown: set[Path], images: bool) -> str:
    """The sentence about the runs of a net. shown : folders of all runs of the figure; images : tell their number."""
    first, seeds = results[0], sorted({result.experiment.seed for result in results})
    text = [
        *([_images(first)] if images else []),
        _number(len(first.records), "epoch"),
        f"seeds {seeds[0]} to {seeds[-1]}" if len(seeds) > 1 else f"seed {seeds[0]}",
        f"{_number(len(results), 'run')} in {time(results)}",
    ]
    if first.source:
        before = {result.source.path: result.source for result in results}
        text.append(f"after {_number(len(first.source.records), 'epoch')} of {first.source.experiment.net}, tied")
        if not before.keys() <= shown:
            text.append(f"which took {time(list(before.values()))}")
    return f"{first.experiment.net.replace('-', ', ')}: {', '.join(text)}."


def _number(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def time(results: list[Result]) -> str:
    """The seconds of learning and validating, summed over runs, in words."""
    seconds = sum(result.seconds for result in results)
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"


def _facts(result: Result) -> dict:
    facts = {
        "run": result.path.name, "method": result.experiment.method, "seed": result.experiment.seed,
        "images": result.images, "validation": result.validation, **_length(result),
    }  # fmt: skip
    if result.source:
        facts["source"] = {"run": result.source.path.name, **_length(result.source)}
    return facts


def _length(result: Result) -> dict:
    return {"epochs": len(result.records), "seconds": round(result.seconds, 2)}
