import pytest
from hypothesis import given
from hypothesis import strategies as st

from iscan_dash.core.annotations.level_check import check_levels
from iscan_dash.core.annotations.names import check_label
from iscan_dash.errors import NameRefused


@pytest.mark.parametrize(
    ("levels", "labels", "notices"),
    [
        (["T", "B +/- (naive), #1"], ("T", "B +/- (naive), #1"), ()),
        (["", "  ", "\t"], ("", "", ""), ()),
        ([" T", "B "], ("T", "B"), ('2 labels had spaces at their ends, which are removed (first: "T").',)),
        (["a\nb"], ("a b",), ('1 label had tabs or line breaks, which become spaces (first: "a b").',)),
        (["e\u0301"], ("é",), ('1 label had its accents apart, which are joined to their letters (first: "é").',)),
        (["NA", "nan"], ("NA", "nan"), ('Many tools read "NA" as missing.', 'Many tools read "nan" as missing.')),
        (["a  b"], ("a  b",), ("The label has two spaces in a row.",)),
        (["T cell", "t Cell"], ("T cell", "t Cell"), ('"T cell" and "t Cell" differ only by case or spaces; they are kept apart.',)),
        (
            ["T", "T "],
            ("T", "T"),
            (
                '1 label had spaces at its ends, which are removed (first: "T").',
                "1 label becomes the same as another one by that.",
            ),
        ),
    ],
)  # fmt: skip
def test_labels_and_notices(levels: list[str], labels: tuple[str, ...], notices: tuple[str, ...]) -> None:
    checked = check_levels(levels)
    assert (checked.labels, checked.notices, checked.problem) == (labels, notices, "")


def test_the_first_label_that_breaks_a_rule_is_named() -> None:
    checked = check_levels(["T", "x" * 129, "a\x01"])
    assert checked.labels == ("T", None, None)
    assert checked.problem == f'"{"x" * 59}…": Label is 129 characters long; the limit is 128.'
    assert check_levels(["a\x01b"]).problem == '"a b": Labels cannot contain control characters. Type the label again.'


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=140))
def test_it_does_what_check_label_does(level: str) -> None:
    checked = check_levels([level])
    said, kept = "", None
    try:
        kept = check_label(level)
    except NameRefused as refused:
        said = "" if refused.code == "E10" else str(refused)
        kept = "" if refused.code == "E10" else None
    assert checked.labels == (kept,)
    assert checked.problem.endswith(said) and bool(checked.problem) == bool(said)
