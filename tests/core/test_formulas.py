import csv
import json
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from iscan_dash.core.formulas import inert_json, marked, unmarked

HARD = st.text("'=+-@\t\r\n\uff1d1.e,;\" \\a", max_size=12) | st.text(max_size=12)


@pytest.mark.parametrize(
    "text",
    [
        *("=1", "=cmd|' /C calc'!A0", "+1+2", "-T", "--1", "-", "+", "@SUM(A1)", "\tx", "\r=1", "\n=1", "\uff1d1"),
        *("\uff0b1", "-1x", "-1-1", "+1e", "-1\n", "-\u0661", "-1_000", "-inf"),
    ],
)
@pytest.mark.parametrize("n_apostrophes", [0, 1, 2])
def test_what_is_marked(text: str, n_apostrophes: int) -> None:
    text = "'" * n_apostrophes + text
    assert marked(text) == f"'{text}"


@pytest.mark.parametrize(
    "text",
    ["", "'", "''", "CD8+", "T = B", "5' end", "'T'", "-1", "+3.5", "-.5", "+1.", "-1e-5", "'-1", "''+3.5", " ", "#"],
)
def test_what_stays_as_it_is(text: str) -> None:
    assert marked(text) == text == unmarked(text)


@given(HARD)
@example("'=1")
@example("''-1")
def test_a_mark_comes_off_as_it_went_on(text: str) -> None:
    assert unmarked(marked(text)) == text
    # A spreadsheet sees text, or a number.
    assert not re.match("[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]", marked(text)) or float(text) is not None


@given(st.recursive(HARD | st.integers(), lambda own: st.lists(own) | st.dictionaries(HARD, own), max_leaves=8))
@example({"name": "a,=1", "b": ["=1", ";=2", 'a,"=3', "a, =4"], "c": [-1, -2.5]})
def test_a_comment_has_no_formula_in_it(value: object) -> None:
    line = inert_json(value)
    assert json.loads(line) == value
    for delimiter in ",;\t":
        for cell in next(csv.reader([f"# {line}"], delimiter=delimiter, skipinitialspace=True)):
            start = cell.lstrip(" \"'")
            assert start[:1] not in set("=+-@\t\uff1d\uff0b\uff0d\uff20") or re.match(r"-[0-9]", start)
