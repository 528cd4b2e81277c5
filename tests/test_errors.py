"""Error messages: values as they show them, options by the names that users type."""

import numpy as np
import pytest

from netsim.errors import OptionError, shown
from netsim.values import check_number, check_whole


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (5, "5"),
        ("urbf", "'urbf'"),
        ("two\nlines", "'two\\nlines'"),
        (b"\x00", "b'\\x00'"),
        (None, "None"),
        (10**40, "a number of more than 40 digits"),
        ([10**5000], "a list"),
        (np.float32(0.5), repr(np.float32(0.5))),
    ],
)
def test_values_in_messages(value, text):
    assert shown(value) == text


def test_long_values_are_cut_and_text_stays_in_its_quotes():
    assert shown("a" * 41) == f"'{'a' * 41}'"
    assert shown("a" * 10**6) == f"'{'a' * 39}...'"
    assert shown([1.5] * 1000) == f"{str([1.5] * 20)[:40]}..."
    assert len(shown("\0" * 10**6)) <= 44


def test_an_option_is_renamed_to_what_was_typed():
    with pytest.raises(OptionError) as refusal:
        check_whole("epochs", 1.5, least=1)
    error = refusal.value
    assert str(error) == "epochs is 1.5: it must be a whole number of at least 1"
    assert str(error.renamed({"epochs": "--epochs"})) == "--epochs is 1.5: it must be a whole number of at least 1"
    assert str(error.renamed({"batch": "--batch"})) == str(error)
    with pytest.raises(OptionError) as refusal:
        check_number("mu", -1, least=0)
    assert str(refusal.value.renamed({"mu": "--mu"})) == "--mu is -1: it must be a number at least 0"
    other = OptionError("the net is given twice")
    assert str(other.renamed({"net": "NET"})) == str(other)
