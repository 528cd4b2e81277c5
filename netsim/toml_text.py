"""TOML from outside: how deep and how long it may be is looked at before it is parsed.

The parser of the standard library takes time that grows with the square of a dotted key's length and recurses into
nested values, so a text of some kilobytes could keep it busy for minutes.
"""

from __future__ import annotations

import re
import tomllib

#: Bounds on the dots of one key, on brackets within one another, and on signs that give a text its structure: far
#: above any configuration or schedule that is meant.
DEEPEST, MOST_SIGNS = 16, 20_000

#: Strings, comments, ends of lines and signs. Possessive, so that no text is looked at twice; the end of a string of
#: many lines may have two quotes of the string before it; one that does not end matches as its quotes alone.
_TOKEN = re.compile(
    r'"""(?:[^"\\]++|\\.|"(?!""))*+"{3,5}+|\'\'\'(?:[^\']++|\'(?!\'\'))*+\'{3,5}+'
    r'|"(?!"")(?:[^"\\\n]++|\\.)*+"|\'(?!\'\')[^\'\n]*+\'|""(?!")|\'\'(?!\')'
    r"|#[^\n]*+|[\n.=,\[\]{}]|(?P<open>[\"']+)",
    re.DOTALL,
)


def loads(text: str) -> dict[str, object]:
    """The keys and values of a TOML document. Raises ValueError where it is none, or is too deep or too long."""
    _check(text)
    try:
        return tomllib.loads(text)
    except (RecursionError, OverflowError) as error:
        raise ValueError(str(error)) from None


def _check(text: str) -> None:
    """Raise ValueError for a text that the parser should not see. Linear in its length.

    What stands behind a string that does not end is not looked at: the parser does not come that far.
    """
    signs = brackets = dots = 0
    for token in _TOKEN.finditer(text):
        sign = token[0]
        if token["open"]:
            return
        if sign[0] in "\"'":  # a quoted part of a key, or a value
            continue
        dots = dots + 1 if sign == "." else 0
        brackets += (sign in "[{") - (sign in "]}" and brackets > 0)
        signs += sign != "\n" and sign[0] != "#"
        if dots > DEEPEST or brackets > DEEPEST:
            raise ValueError(f"tables or lists within one another, more than {DEEPEST} deep")
        if signs > MOST_SIGNS:
            raise ValueError(f"more than {MOST_SIGNS:,} keys, values and tables")
