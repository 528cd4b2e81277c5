"""The runs with untied filters that figures 8, 9 and 11 share (section 4.1)."""

from __future__ import annotations

import argparse

import experiments
from experiments import Experiment

#: simpnet with filters of their own at every pixel, drawn apart.
SIMPNET = "untied 32 5x5; maxpool 3; drop .8; full 500; drop .3; output"


def parser(text: str, epochs: int = 20) -> argparse.ArgumentParser:
    arguments = experiments.parser(text, epochs)
    arguments.add_argument("--tied-epochs", type=int, metavar="N", help="epochs of the tied runs (as --epochs)")
    return arguments


def simpnet(options, methods: dict[str, dict]) -> tuple[list[Experiment], list[Experiment]]:
    """simpnet tied, and untied from scratch."""
    tied = experiments.plan(_tied(options), "simpnet", methods)
    return tied, experiments.plan(options, "simpnet-untied", methods, SIMPNET)


def simpnet_from_copies(options, methods: dict[str, dict]) -> list[Experiment]:
    """simpnet untied, its filters at first copies of the tied run's; the layers above start anew."""
    tied = experiments.plan(_tied(options), "simpnet", methods)
    return experiments.plan_from(options, "simpnet-copies", tied, untie="all", reinit="rest")


def deepnet_s(options, methods: dict[str, dict]) -> tuple[list[Experiment], list[Experiment]]:
    """deepnet_s tied; and with that run's first layer, frozen, all above untied and drawn anew."""
    tied = experiments.plan(_tied(options), "deepnet_s", methods)
    return tied, experiments.plan_from(
        options, "deepnet_s-untied", tied, untie="all", freeze=["conv1"], reinit="all"
    )  # fmt: skip


def _tied(options) -> argparse.Namespace:
    return argparse.Namespace(**{**vars(options), "epochs": options.tied_epochs or options.epochs})
