from dataclasses import replace

import numpy as np
import pytest

from iscan_dash.core.annotations import Annotation, Change, Header, Label
from iscan_dash.core.annotations.annotation import absent

HEADER = Header(
    "fate",
    (Label(0, "Unassigned", "#bbbbbb"), Label(3, "B", "#112233", "bright"), Label(1, "T", "#445566")),
    "ada",
    "2026-01-01T00:00:00+00:00",
    "existing",
    {"sources": [{"kind": "metadata", "key": "c"}], "default": "Unassigned"},
    "mine",
)
CODES = np.array([3, 0, 1, 3], np.int32)


def state(version: int = 4) -> Annotation:
    return Annotation("id1", HEADER, CODES, version, "2026-01-02")


class TestAnnotation:
    def test_the_header_survives_json(self) -> None:
        assert Header.from_json(HEADER.to_json()) == HEADER
        assert HEADER.to_json()["labels"][1] == {"id": 3, "text": "B", "colour": "#112233", "description": "bright"}

    def test_labels_by_their_id(self) -> None:
        assert HEADER.default.text == "Unassigned"
        assert {label_id: label.text for label_id, label in HEADER.by_id.items()} == {0: "Unassigned", 3: "B", 1: "T"}
        changed = HEADER.with_label(Label(3, "B cell", "#000000"))
        assert [label.text for label in changed.labels] == ["Unassigned", "B cell", "T"]
        assert changed.name == "fate"

    def test_counts(self) -> None:
        assert state().counts == {0: 1, 3: 2, 1: 1}
        assert state().n_set == 3

    def test_a_label_without_cells_is_counted(self) -> None:
        few = Annotation("id1", HEADER, np.zeros(2, np.int32), 1, "")

        assert few.counts == {0: 2, 3: 0, 1: 0}
        assert few.n_set == 0

    def test_as_a_column(self) -> None:
        column = state().column

        assert column.name == "fate"
        assert column.labels == ("Unassigned", "B", "T")
        assert column.codes.tolist() == [1, 0, 2, 1]
        assert column.n_missing == 0
        assert column.counts.tolist() == [1, 2, 1]

    def test_before_it_exists(self) -> None:
        none = absent("id1", 3)

        assert (none.id, none.header, none.version) == ("id1", None, 0)
        assert none.codes.tolist() == [0, 0, 0]
        with pytest.raises(ValueError, match="read-only"):
            none.codes[0] = 1


class TestChange:
    def test_of_nothing_is_empty(self) -> None:
        assert Change.between(state(), HEADER).is_empty
        assert Change.between(state(), replace(HEADER), CODES.copy()).is_empty
        assert not Change.between(state(), None).is_empty
        assert not Change.between(state(), replace(HEADER, name="x")).is_empty
        assert not Change.between(state(), HEADER, np.zeros(4, np.int32)).is_empty

    def test_leads_to_the_next_version(self) -> None:
        codes = np.array([3, 3, 3, 0], np.int32)
        renamed = replace(HEADER, name="x")
        after = Change.between(state(), renamed, codes).apply(state(), "2026-01-03")

        assert (after.id, after.header, after.version, after.modified) == ("id1", renamed, 5, "2026-01-03")
        assert after.codes.tolist() == [3, 3, 3, 0]
        assert not after.codes.flags.writeable
        assert CODES.tolist() == [3, 0, 1, 3]

    def test_inverse_leads_back_as_a_further_version(self) -> None:
        change = Change.between(state(), None, np.zeros(4, np.int32))
        gone = change.apply(state(), "2026-01-03")
        back = change.inverse().apply(gone, "2026-01-04")

        assert (gone.header, gone.codes.tolist(), gone.version) == (None, [0, 0, 0, 0], 5)
        assert (back.header, back.codes.tolist(), back.version) == (HEADER, [3, 0, 1, 3], 6)

    @pytest.mark.parametrize(
        "other",
        [
            Annotation("id2", HEADER, CODES, 4, ""),
            Annotation("id1", replace(HEADER, name="x"), CODES, 4, ""),
            Annotation("id1", None, CODES, 4, ""),
            Annotation("id1", HEADER, np.array([0, 0, 1, 3], np.int32), 4, ""),
        ],
        ids=["id", "header", "deleted", "cells"],
    )
    def test_does_not_apply_to_another_state(self, other: Annotation) -> None:
        change = Change.between(state(), HEADER, np.zeros(4, np.int32))
        with pytest.raises(ValueError, match="starts from"):
            change.apply(other, "")
