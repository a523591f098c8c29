"""Texts that a spreadsheet would take for formulas: marked in the tables that people open, and unmarked when read.

A mark is one apostrophe, which makes any such text begin like text. Whether a text needs one depends only on what
follows its apostrophes, so that marks come off again exactly: ``=1`` becomes ``'=1``, and what was ``'=1`` before
becomes ``''=1``.
"""

import json
import re
from typing import Any

STARTS = r"[=+\-@\t\r\n\uff1d\uff0b\uff0d\uff20]"
"""What such a text begins with, as a pattern; wide letters are among them."""

_NUMBER = r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?"
_TAKEN = rf"(?='*{STARTS})(?!'*{_NUMBER}\Z)"

MARK = rf"\A'{_TAKEN}"
"""The mark of a text, as a pattern."""

NOTE = "marked: ' before what a spreadsheet takes for a formula"
"""The comment of a table whose texts are marked."""

_NEEDS_MARK, _HAS_MARK = re.compile(_TAKEN), re.compile(MARK)
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_START_WITHIN = re.compile(rf"(?<!\w){STARTS}")


def marked(text: str) -> str:
    """Put an apostrophe before a text that a spreadsheet would take for a formula; numbers stay as they are.

    Examples
    --------
    >>> [marked(text) for text in ("=1+1", "'=1+1", "-1", "-T", "CD8+")]
    ["'=1+1", "''=1+1", '-1', "'-T", 'CD8+']
    """
    return f"'{text}" if _NEEDS_MARK.match(text) else text


def unmarked(text: str) -> str:
    """Take the mark from a text that has one: the way back from `marked`.

    Examples
    --------
    >>> [unmarked(text) for text in ("'=1+1", "''=1+1", "'-1", "5' end")]
    ['=1+1', "'=1+1", "'-1", "5' end"]
    """
    return text[1:] if _HAS_MARK.match(text) else text


def inert_json(value: Any) -> str:
    r"""Write JSON for a line of comment, which a spreadsheet divides at its commas: no part of it is a formula.

    It reads back the same, as only characters within texts are escaped.

    Examples
    --------
    >>> print(inert_json({"name": "CD8+,=1", "delta": -2}))
    {"name": "CD8+,\u003d1", "delta": -2}
    """
    text = json.dumps(value, ensure_ascii=False)
    return _STRING.sub(lambda own: _START_WITHIN.sub(lambda start: f"\\u{ord(start[0]):04x}", own[0]), text)
