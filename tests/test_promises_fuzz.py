"""Text from outside, some hundred inputs of each kind: a result or one line, never more than a second.

A campaign of 100,000 inputs each: python tests/fuzz/campaign.py
"""

import pytest
from fuzz import campaign

INPUTS = 150


@pytest.mark.parametrize("name", campaign.TARGETS)
def test_inputs_end_in_a_result_or_in_one_line(tmp_path, name, monkeypatch):
    monkeypatch.chdir(tmp_path)
    target = campaign.TARGETS[name](tmp_path)
    seen = campaign.campaign(target, INPUTS, seed=0)
    assert seen.total() >= INPUTS
    assert seen["result"]
    assert len(seen) > 1  # some were refused
