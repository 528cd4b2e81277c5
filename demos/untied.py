"""The runs with untied filters that figures 8, 9 and 11 share (section 4.1)."""

from __future__ import annotations

import argparse

import experiments
from experiments import Experiment

#: simpnet with filters of their own at every pixel.
SIMPNET = "untied 32 5x5; maxpool 3; drop .8; full 500; drop .3; output"

#: How untied filters begin -> how their nets are called, what a title says, and what a caption.
STARTS = {"apart": "untied", "spread": "spread"}
TITLES = {"apart": "drawn apart", "spread": "one drawn and spread"}
REMARKS = {
    "apart": "Untied filters begin apart: one is drawn for every pixel.",
    "spread": "Untied filters begin alike: one is drawn and spread over the map.",
}


def parser(text: str, epochs: int = 20, **options) -> argparse.ArgumentParser:
    arguments = experiments.parser(text, epochs, **options)
    arguments.add_argument(
        "--tied-epochs", type=experiments.count, metavar="N", help="epochs of the tied runs (as --epochs)"
    )
    return arguments


def add_start(arguments: argparse.ArgumentParser) -> None:
    """The option of how untied filters begin, where the figure shows one way."""
    arguments.add_argument(
        "--start", choices=STARTS, default="apart",
        help="untied filters begin apart, drawn for every pixel (default), or as one that is spread over the map",
    )  # fmt: skip


def words(start: str) -> list[str]:
    """What the name of a figure says of another start than the usual one."""
    return [] if start == "apart" else [start]


def simpnet(options, methods: dict[str, dict], start: str) -> tuple[list[Experiment], list[Experiment]]:
    """simpnet tied, and untied from scratch."""
    tied = experiments.plan(_tied(options), "simpnet", methods)
    return tied, experiments.plan(options, f"simpnet-{STARTS[start]}", methods, SIMPNET, untied_start=start)


def simpnet_from_copies(options, methods: dict[str, dict]) -> list[Experiment]:
    """simpnet untied, its filters at first copies of the tied run's; the layers above start anew."""
    tied = experiments.plan(_tied(options), "simpnet", methods)
    return experiments.plan_from(options, "simpnet-copies", tied, {"untie": "all", "reinit": "rest"})


def deepnet_s(options, methods: dict[str, dict], start: str) -> tuple[list[Experiment], list[Experiment]]:
    """deepnet_s tied; and with that run's first layer, frozen, all above untied and drawn anew."""
    tied = experiments.plan(_tied(options), "deepnet_s", methods)
    inherit = {"untie": "all", "freeze": ["conv1"], "reinit": "all"}
    return tied, experiments.plan_from(options, f"deepnet_s-{STARTS[start]}", tied, inherit, untied_start=start)


def _tied(options) -> argparse.Namespace:
    return argparse.Namespace(**{**vars(options), "epochs": options.tied_epochs or options.epochs})
