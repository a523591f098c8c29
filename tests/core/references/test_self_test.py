"""The test of a reference: shares, confusion, and a file that may be anything."""

from pathlib import Path

import numpy as np
import pytest

from iscan_dash.core.references.self_test import FILE, GranularityTest, SelfTest, compare, read_self_test


def test_shares_and_confusion() -> None:
    truth = np.array([0, 0, 0, 0, 1, 1, 2])
    found = np.array([0, 1, 1, -1, 1, 0, 2])
    test = compare(("B", "NK", "T"), truth, found)
    assert (test.tested, test.right, test.accuracy) == (7, 3, 3 / 7)
    assert test.mean_of_labels == pytest.approx((1 / 4 + 1 / 2 + 1) / 3)
    assert test.text == "42.9 % of 7 left-out cells got their own label"
    assert [(own.label, own.tested, own.right) for own in test.labels] == [("B", 4, 1), ("NK", 2, 1), ("T", 1, 1)]
    assert list(test.labels[0].taken_for.items()) == [("NK", 2), ("Unassigned", 1)]
    # Labels that nobody was tested for do not count.
    assert compare(("B", "T"), truth[:4], np.zeros(4, int)).mean_of_labels == 1


def test_nobody_was_tested() -> None:
    for test in (GranularityTest(labels=()), compare(("B",), np.zeros(0, int), np.zeros(0, int))):
        assert (test.accuracy, test.mean_of_labels, test.text) == (None, None, "no cell could be left out")


def test_it_is_read_back(tmp_path: Path) -> None:
    test = SelfTest(granularities={"main": compare(("B", "T"), np.array([0, 1]), np.array([0, 0]))})
    (tmp_path / FILE).write_text(test.model_dump_json())
    assert read_self_test(tmp_path) == test


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b'{"granularities": 1}',
        b"\xff",
        b'{"granularities": {"main": {"labels": [{"label": "B", "tested": -1, "right": 0}]}}}',
    ],
)
def test_what_is_none(tmp_path: Path, content: bytes) -> None:
    assert read_self_test(tmp_path) is None
    (tmp_path / FILE).write_bytes(content)
    assert read_self_test(tmp_path) is None
