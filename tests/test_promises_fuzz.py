"""Text from outside, some hundred inputs of each kind: a result or one line, never more than a second.

A campaign of 100,000 inputs each: python tests/fuzz/campaign.py
"""

import contextlib

import hypothesis
import pytest
from fuzz import campaign, targets

INPUTS = 150


@pytest.mark.parametrize("name", campaign.TARGETS)
def test_inputs_end_in_a_result_or_in_one_line(tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    target = campaign.target_named(name, tmp_path)
    with contextlib.suppress(targets.NetsimError):  # the first call imports and compiles
        target.feed(hypothesis.find(target.inputs, lambda value: True))
    seen = campaign.campaign(target, INPUTS, seed=0)
    assert seen.total() >= INPUTS
    assert seen["result"]
    assert len(seen) > 1  # some were refused
