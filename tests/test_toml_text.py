"""TOML texts made to keep the parser busy: refused in one line before they are parsed; all that is meant passes."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netsim import configuration, toml_text
from netsim.errors import NetsimError
from netsim.events.schedule import Schedule

BOMBS = {
    "dotted key": ".".join(["a"] * 100_000) + " = 1",
    "dotted key, quoted parts": ".".join(['"a"'] * 100_000) + " = 1",
    "dotted key, blanks": " . ".join(["a"] * 100_000) + " = 1",
    "dotted header": "[" + ".".join(["a"] * 100_000) + "]",
    "many dotted keys": "".join(f"a{line}{'.b' * 16} = 1\n" for line in range(10_000)),
    "many deep headers": "".join(f"[a{line}.b.c.d.e.f.g.h.i]\n" for line in range(30_000)),
    "many keys": "".join(f"a{line} = 1\n" for line in range(90_000)),
    "deep list": "a = " + "[" * 400_000,
    "deep table": "a = " + "{a = " * 100_000,
    "closed and deep": "a = " + "[" * 300 + "]" * 300,
    "deep behind a string": "a = \"[ ' \\\" \"\nb = ''' \" ''\\'''\nc = " + "[" * 1_000 + "]" * 1_000,
    "deep behind a quote at the end of a string": 'a = """b""""\nc = ' + "[" * 1_000 + "]" * 1_000,
    "deep behind two single quotes": "a = \'\'\'b\'\'\'\'\'\nc" + ".c" * 8_000 + " = 1",
    "deep behind a comment": "# \"\n# '''\na = " + "[" * 1_000 + "]" * 1_000,
    "long list": "a = [" + "1," * 400_000 + "]",
    "strings that do not end": 'a = """' + '\\""" ' * 150_000,
    "quotes": "a = " + '"' * 900_000,
    "single quotes": "a = " + "'" * 900_000,
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_is_refused_in_one_line_at_once(name):
    for read in (configuration.parse, Schedule.from_toml):
        began = time.process_time()
        with pytest.raises(NetsimError) as refusal:
            read(BOMBS[name])
        assert time.process_time() - began < 0.5
        assert "\n" not in str(refusal.value) and len(str(refusal.value)) < 300
    began = time.process_time()
    with pytest.raises(ValueError):
        toml_text.loads(BOMBS[name])
    assert time.process_time() - began < 0.5


def test_signs_within_strings_and_comments_do_not_count():
    text = "[" * 30_000 + "." * 30_000
    many = "# " + text + '\na = "' + text + '\\""\nb = \'' + text + '\'\nc = """\n' + text + '\n""\\" """\n'
    many += "d = '''" + text + "\n'' '''\ne = 1.5\n\"f.g\".h = ''\ni = \"\"\n"
    table = toml_text.loads(many)
    assert [*table] == ["a", "b", "c", "d", "e", "f.g", "i"]
    assert table["a"] == text + '"' and table["f.g"] == {"h": ""}


def test_what_is_meant_passes():
    layers = "".join(f"conv{number} = {number}.5\n" for number in range(1_000))
    schedule = Schedule.from_toml(f"forward_phase = 2000.0\n[feedforward]\n{layers}[feedback]\n{layers}")
    assert len(schedule.feedforward) == 1_000
    assert Schedule.from_toml(schedule.to_toml()) == schedule
    kept = configuration.build({"frozen": [f"conv{n}" for n in range(1_000)], "schedule": schedule.to_toml()})
    assert configuration.build(configuration.parse(kept.to_toml())) == kept


#: Any order of what the check has to tell apart.
PIECES = st.sampled_from(
    ['"', "'", '"""', "'''", "\\", "\\\n", "\n", "#", "[", "]", "{", "}", ".", ",", "=", "a", "1", " "]
)


@given(st.lists(PIECES, max_size=60).map("".join))
def test_the_check_refuses_nothing_small(text):
    """Whatever the quotes: with fewer signs than the bounds the check lets it pass, and the parser decides."""
    if text.count(".") <= toml_text.DEEPEST and text.count("[") + text.count("{") <= toml_text.DEEPEST:
        toml_text._check(text)


@given(st.lists(PIECES, max_size=40).map("".join))
def test_nothing_deep_passes_behind_any_text(text):
    """Either the parser refuses the text itself, or the check sees what stands behind it."""
    import tomllib

    deep = text + "\nz = " + "[" * 30 + "]" * 30 + "\n"
    try:
        tomllib.loads(deep)
    except ValueError:
        return
    with pytest.raises(ValueError, match="deep"):
        toml_text.loads(deep)
