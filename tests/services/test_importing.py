import pytest

from iscan_dash.core.annotations.label_table import ColumnReport, TableReport, Tally
from iscan_dash.errors import UnknownColumn
from iscan_dash.services.importing import chosen_columns, import_choices
from iscan_dash.services.workspace import ImportChoice


def column(name: str, *, is_on: bool = True, clash: str = "", new_name: str = "") -> ColumnReport:
    return ColumnReport(name, 2, 0, False, is_on, "" if is_on else "Why not.", clash, new_name or name, (), "")


def report(*columns: ColumnReport) -> TableReport:
    return TableReport("x.csv", "index", None, 3, 3, Tally(0), Tally(0), Tally(0), 0, True, columns)


MIXED = report(column("a"), column("b", is_on=False), column("c", clash="annotation", new_name="c (2)"))


def test_columns_that_look_right_are_chosen() -> None:
    assert chosen_columns(MIXED) == ["a", "c"]
    assert chosen_columns(MIXED, ["b", "a", "b"]) == ["b", "a"]


def test_columns_that_are_not_there() -> None:
    with pytest.raises(UnknownColumn, match=r'^x\.csv has no column "d" with labels\. It has: a, b, c\.$'):
        chosen_columns(MIXED, ["d"])
    with pytest.raises(UnknownColumn, match=r'^x\.csv has no column "d" with labels\. It has: none\.$'):
        chosen_columns(report(), ["d"])
    with pytest.raises(UnknownColumn, match=r"^x\.csv has no column that is imported by itself\. Name one\.$"):
        chosen_columns(report(column("a", is_on=False)))


def test_names_that_are_free_or_replaced() -> None:
    assert import_choices(MIXED, default="none") == [ImportChoice("a", "a", "none"), ImportChoice("c", "c (2)", "none")]
    assert import_choices(MIXED, ["c", "b"], default="none", replaces=True) == [
        ImportChoice("c", "c", "none", True),
        ImportChoice("b", "b", "none"),
    ]
    # A column of the data cannot be replaced.
    of_data = report(column("a", clash="metadata", new_name="a (2)"))
    assert import_choices(of_data, default="none", replaces=True) == [ImportChoice("a", "a (2)", "none")]
