from dataclasses import replace

import numpy as np
import pytest

from iscan_dash.core.annotations import Annotation, Change, Header, Label, edits
from iscan_dash.core.annotations.annotation import absent
from iscan_dash.core.study import CategoryColumn
from iscan_dash.errors import NameRefused

LABELS = (Label(0, "Unassigned", "#bbbbbb"), Label(1, "B", "#112233", "bright"), Label(2, "T", "#445566"))
HEADER = Header("fate", LABELS, "ada", "2026-01-01", "existing", {"default": "Unassigned"}, "mine")
STATE = Annotation("id1", HEADER, np.array([1, 0, 2, 1], np.int32), 3, "2026-01-02", 2)
TAKEN = {"fate": "annotation", "leiden": "cluster"}


def after(change: Change, state: Annotation = STATE) -> Annotation:
    """Make the change, and see that its inverse leads back."""
    there = change.apply(state, "2026-01-03")
    back = change.inverse().apply(there, "2026-01-04")
    assert back.header == state.header
    assert back.codes.tolist() == state.codes.tolist()
    assert (there.version, back.version) == (state.version + 1, state.version + 2)
    return there


def test_create() -> None:
    made = after(edits.create(absent("id2", 4), HEADER, STATE.codes), absent("id2", 4))

    assert made.header == HEADER
    assert made.codes.tolist() == [1, 0, 2, 1]
    assert made.version == 1


@pytest.mark.parametrize("codes", [[0, 3, 0, 0], [-1, 0, 0, 0]])
def test_create_refuses_cells_without_a_label(codes: list[int]) -> None:
    with pytest.raises(ValueError, match=r"label that the annotation does not have|negative"):
        edits.create(absent("id2", 4), HEADER, np.array(codes, np.int32))


def test_rename_changes_the_name_alone() -> None:
    made = after(edits.rename(STATE, " Fate 2 ", TAKEN))

    assert made.header == replace(HEADER, name="Fate 2")
    assert made.codes.tolist() == [1, 0, 2, 1]


def test_rename_to_its_own_name_in_another_case() -> None:
    assert after(edits.rename(STATE, "FATE", TAKEN)).live.name == "FATE"
    assert edits.rename(STATE, "fate ", TAKEN).is_empty


@pytest.mark.parametrize(("name", "code"), [("", "E01"), ("Leiden", "E02"), ("a/b", "E03"), ("index", "E04")])
def test_rename_keeps_the_rules_of_names(name: str, code: str) -> None:
    with pytest.raises(NameRefused) as refused:
        edits.rename(STATE, name, TAKEN)
    assert refused.value.code == code


def test_describe() -> None:
    assert after(edits.describe(STATE, " of today\n")).header == replace(HEADER, description="of today")
    assert after(edits.describe(STATE, "x" * 3000)).live.description == "x" * 2000
    assert edits.describe(STATE, "mine").is_empty


@pytest.mark.parametrize("label_id", [0, 1])
def test_rename_label_keeps_all_but_the_text(label_id: int) -> None:
    made = after(edits.rename_label(STATE, label_id, " NK\tcell "))

    expected = list(LABELS)
    expected[label_id] = replace(expected[label_id], text="NK cell")
    assert made.live.labels == tuple(expected)
    assert made.codes.tolist() == [1, 0, 2, 1]


def test_rename_label_to_itself_or_in_another_case() -> None:
    assert edits.rename_label(STATE, 1, "B ").is_empty
    assert after(edits.rename_label(STATE, 1, "t")).live.by_id[1].text == "t"


@pytest.mark.parametrize(
    ("text", "code", "sentence"),
    [
        (" T ", "E09", 'This annotation already has a label "T". Choose another text.'),
        ("Unassigned", "E09", 'This annotation already has a label "Unassigned". Choose another text.'),
        ("x" * 129, "E07", "Label is 129 characters long; the limit is 128."),
        ("a\0", "E08", "Labels cannot contain control characters. Type the label again."),
        ("", "E10", "Enter a default value."),
    ],
)
def test_rename_label_keeps_the_rules_of_labels(text: str, code: str, sentence: str) -> None:
    with pytest.raises(NameRefused) as refused:
        edits.rename_label(STATE, 1, text)
    assert (refused.value.code, str(refused.value)) == (code, sentence)


def test_recolour_label() -> None:
    made = after(edits.recolour_label(STATE, 1, "#AABBCC"))

    assert made.live.labels == (LABELS[0], replace(LABELS[1], colour="#aabbcc"), LABELS[2])


@pytest.mark.parametrize("colour", ["", "red", "#abc", "#aabbccdd", "#gggggg", "#aabbcc\n"])
def test_recolour_label_takes_colours_only(colour: str) -> None:
    with pytest.raises(NameRefused) as refused:
        edits.recolour_label(STATE, 1, colour)
    assert refused.value.code == "E08"
    assert str(refused.value) == f'"{colour}" is not a colour. Write it as #rrggbb.'


def test_delete() -> None:
    gone = after(edits.delete(STATE))

    assert gone.header is None
    assert gone.codes.tolist() == [0, 0, 0, 0]


def test_revert_makes_it_what_it_was() -> None:
    earlier = Annotation("id1", replace(HEADER, name="old"), np.array([0, 0, 2, 2], np.int32), 1, "")
    change = edits.revert(STATE, earlier)

    assert change.delta.n_cells == 2
    assert after(change).header == replace(HEADER, name="old")
    assert after(change).codes.tolist() == [0, 0, 2, 2]
    assert edits.revert(STATE, STATE).is_empty


def column(*labels: str | None) -> CategoryColumn:
    """Return a column with a label, or none, for each cell."""
    known = list(dict.fromkeys(label for label in labels if label is not None))
    codes = [-1 if label is None else known.index(label) for label in labels]
    return CategoryColumn("from elsewhere", np.array(codes, np.int32), tuple(known))


ALL = np.ones(4, bool)


class TestRelabel:
    def test_gives_labels_that_are_there_and_new_ones(self) -> None:
        made = after(edits.relabel(STATE, ALL, column("T", "NK", None, "B")))

        assert made.codes.tolist() == [2, 3, 0, 1]
        assert made.live.labels[:3] == LABELS
        assert [(label.id, label.text) for label in made.live.labels[3:]] == [(3, "NK")]
        assert made.live.labels[3].colour not in {label.colour for label in LABELS}
        assert replace(made.live, labels=LABELS) == HEADER
        assert made.last_id == 3

    def test_leaves_other_cells_alone(self) -> None:
        change = edits.relabel(STATE, np.array([False, True, False, True]), column("new", "T", "new", "B"))

        assert change.delta.n_cells == 1
        # A label that no such cell has is not added.
        assert after(change).live.labels == LABELS
        assert after(change).codes.tolist() == [1, 2, 2, 1]

    def test_changes_nothing(self) -> None:
        assert edits.relabel(STATE, np.zeros(4, bool), column("x", "y", "z", None)).is_empty
        assert edits.relabel(STATE, ALL, column("B", None, "T", "B")).is_empty
        assert edits.relabel(STATE, ALL, column("B", "Unassigned", "T", "B")).is_empty

    def test_new_labels_have_colours_of_their_own(self) -> None:
        made = after(edits.relabel(STATE, ALL, column("a", "b", "c", "d")))

        assert [label.id for label in made.live.labels] == [0, 1, 2, 3, 4, 5, 6]
        assert len({label.colour for label in made.live.labels}) == 7

    def test_texts_become_labels_by_the_rules(self) -> None:
        made = after(edits.relabel(STATE, ALL, column(" T", "T ", "a\tb", "a b")))

        assert made.codes.tolist() == [2, 2, 3, 3]
        assert [label.text for label in made.live.labels] == ["Unassigned", "B", "T", "a b"]

    def test_refuses_what_is_no_label(self) -> None:
        with pytest.raises(NameRefused) as refused:
            edits.relabel(STATE, ALL, column("x" * 129, None, None, None))
        assert refused.value.code == "E07"
        # Of cells that are left alone the label does not matter.
        assert edits.relabel(STATE, np.array([False, True, True, True]), column("x" * 129, None, "T", "B")).is_empty

    def test_ids_are_never_used_again(self) -> None:
        first = after(edits.relabel(STATE, ALL, column("NK", "M", None, "B")))
        assert [(label.id, label.text) for label in first.live.labels[3:]] == [(3, "NK"), (4, "M")]
        back = after(edits.revert(first, STATE), first)
        assert (back.live.labels, back.last_id) == (LABELS, 4)

        again = after(edits.relabel(back, ALL, column("M", "M", None, "B")), back)
        assert [(label.id, label.text) for label in again.live.labels[3:]] == [(5, "M")]
        assert again.codes.tolist() == [5, 5, 0, 1]
        assert again.last_id == 5

    def test_ids_are_never_used_again_after_it_was_deleted(self) -> None:
        first = after(edits.relabel(STATE, ALL, column("NK", None, None, "B")))
        gone = after(edits.delete(first), first)
        assert (gone.header, gone.last_id) == (None, 3)
        back = edits.create(gone, HEADER, STATE.codes).apply(gone, "2026-01-05")
        made = after(edits.relabel(back, ALL, column("NK", None, None, "B")), back)
        assert [(label.id, label.text) for label in made.live.labels[3:]] == [(4, "NK")]
