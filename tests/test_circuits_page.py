"""The page on the circuits shows the equations that run, and only pictures that exist, each with its command."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("brian2", reason="the circuits need Brian2")
from circuits import comparator, layered_wiring, output_error, phases, signed_pairs, spiking, threshold

DOCS = Path(__file__).parents[1] / "docs"
EQUATIONS = [
    comparator.COMPARATOR,
    phases.PHASES,
    threshold.UNIT,
    output_error.UNIT,
    signed_pairs.HIDDEN_PAIR,
    signed_pairs.OUTPUT_PAIR,
    signed_pairs.BOTH_PAIRS,
    signed_pairs.INPUT_LINES,
    spiking.NEURON,
    spiking.COMPARATOR_NEURON,
    spiking.HIDDEN_POPULATIONS,
    spiking.OUTPUT_POPULATIONS,
    spiking.BOTH_POPULATIONS,
    layered_wiring.SIGNED_SYNAPSE,
    layered_wiring.SIGNED_TAG,
    layered_wiring.PAIR_SYNAPSE,
    layered_wiring.PAIR_CURRENT,
    layered_wiring.PAIR_TAG,
    layered_wiring.PAIR_CHANGE,
]


@pytest.fixture(scope="module")
def page() -> str:
    path = DOCS / "circuits.md"
    if not path.exists():
        pytest.skip("the documentation is not installed with the package")
    return path.read_text(encoding="utf-8")


def test_equations_on_the_page_are_those_that_run(page):
    for equations in EQUATIONS:
        assert equations.strip("\n") in page


def test_pictures_exist_and_are_shown_once(page):
    shown = re.findall(r"!\[[^]]*\]\(([^)]+)\)", page)
    assert len(shown) > 10 and len(set(shown)) == len(shown)
    assert set(shown) == {f"circuits/{path.name}" for path in (DOCS / "circuits").glob("*.png")}


@pytest.mark.parametrize("out", ["file", "/proc/new"])
def test_demos_refuse_a_folder_that_cannot_be_in_one_line(out, tmp_path):
    demos = DOCS.parent / "demos"
    if not demos.is_dir():
        pytest.skip("the demos are not installed with the package")
    (tmp_path / "file").touch()
    command = [sys.executable, str(demos / "circuit_threshold.py"), "--out", out]
    done = subprocess.run(
        command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(demos.parent)}, capture_output=True, text=True
    )
    assert done.returncode == 2 and done.stdout == "" and done.stderr.count("\n") == 1
    assert done.stderr.startswith("circuit_threshold: error: ") and out in done.stderr


def test_demos_on_the_page_exist(page):
    demos = set(re.findall(r"demos/circuit_\w+\.py", page))
    assert demos == {f"demos/{path.name}" for path in (DOCS.parent / "demos").glob("circuit_*.py")}
