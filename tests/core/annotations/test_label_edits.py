from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iscan_dash.core.annotations import Annotation, Change, Header, Label, label_edits
from iscan_dash.core.study import CategoryColumn
from iscan_dash.errors import NameRefused, UnknownColumn

LABELS = (
    Label(0, "Unassigned", "#bbbbbb"),
    Label(1, "B", "#112233", "bright", "CL:0000236", ("MS4A1",), ("CD3D",)),
    Label(2, "T", "#445566"),
    Label(5, "t", "#778899"),
)
HEADER = Header("fate", LABELS, "ada", "2026-01-01", "existing", {"default": "Unassigned"}, "mine")
STATE = Annotation("id1", HEADER, np.array([1, 0, 2, 1, 5, 2], np.int32), 3, "2026-01-02", 7)


def after(change: Change, state: Annotation = STATE) -> Annotation:
    """Make the change, and see that its inverse leads back."""
    there = change.apply(state, "2026-01-03")
    back = change.inverse().apply(there, "2026-01-04")
    assert back.header == state.header
    assert back.codes.tolist() == state.codes.tolist()
    return there


def texts(state: Annotation) -> list[str]:
    """Return the label of each cell."""
    return [state.live.by_id[code].text for code in state.codes.tolist()]


def listed(state: Annotation) -> list[str]:
    """Return the labels in their order."""
    return [label.text for label in state.live.labels]


class TestAdd:
    def test_a_label_that_no_cell_has(self) -> None:
        made = after(label_edits.add_label(STATE, " NK\tcell "))
        assert listed(made) == ["Unassigned", "B", "T", "t", "NK cell"]
        assert made.live.labels[-1].id == 8
        assert made.live.labels[-1].colour not in {label.colour for label in LABELS}
        assert texts(made) == texts(STATE)

    @pytest.mark.parametrize(("text", "code"), [("B", "E09"), (" T ", "E09"), ("", "E10"), ("x" * 129, "E07")])
    def test_refusals(self, text: str, code: str) -> None:
        with pytest.raises(NameRefused) as refused:
            label_edits.add_label(STATE, text)
        assert refused.value.code == code


class TestMerge:
    def test_cells_get_the_other_label(self) -> None:
        made = after(label_edits.merge_labels(STATE, [5, 1], 2))
        assert listed(made) == ["Unassigned", "T"]
        assert texts(made) == ["T", "Unassigned", "T", "T", "T", "T"]

    def test_into_itself_is_nothing(self) -> None:
        assert label_edits.merge_labels(STATE, [2], 2).is_empty
        assert label_edits.merge_labels(STATE, [], 2).is_empty

    def test_the_default_label_stays(self) -> None:
        with pytest.raises(NameRefused) as refused:
            label_edits.merge_labels(STATE, [1, 0], 2)
        assert refused.value.code == "E19"
        assert "Unassigned" in str(refused.value)

    @pytest.mark.parametrize(("sources", "target"), [([9], 1), ([1], 9), ([-1], 1)])
    def test_labels_that_are_not_there(self, sources: list[int], target: int) -> None:
        with pytest.raises(UnknownColumn):
            label_edits.merge_labels(STATE, sources, target)


class TestDelete:
    def test_cells_get_the_default_label(self) -> None:
        made = after(label_edits.delete_label(STATE, 2))
        assert listed(made) == ["Unassigned", "B", "t"]
        assert texts(made) == ["B", "Unassigned", "Unassigned", "B", "t", "Unassigned"]

    def test_the_default_label_stays(self) -> None:
        with pytest.raises(NameRefused) as refused:
            label_edits.delete_label(STATE, 0)
        assert refused.value.code == "E19"


COLUMN = CategoryColumn("phase", np.array([0, 0, 1, -1, 1, 0], np.int8), ("G1", "S"))


class TestSplit:
    def test_by_the_values_of_its_cells(self) -> None:
        made = after(label_edits.split_label(STATE, 2, COLUMN, "_"))
        assert texts(made) == ["B", "Unassigned", "T_S", "B", "t", "T_G1"]
        # No cell has the label itself any more.
        assert listed(made) == ["Unassigned", "B", "t", "T_G1", "T_S"]

    def test_cells_without_a_value_keep_the_label(self) -> None:
        made = after(label_edits.split_label(STATE, 1, COLUMN, " / "))
        assert texts(made) == ["B / G1", "Unassigned", "T", "B", "t", "T"]
        assert "B" in listed(made)

    def test_the_default_label_stays(self) -> None:
        made = after(label_edits.split_label(STATE, 0, COLUMN, "_"))
        assert listed(made)[0] == "Unassigned"
        assert texts(made)[1] == "Unassigned_G1"

    def test_into_labels_that_are_there(self) -> None:
        column = CategoryColumn("x", np.zeros(6, np.int8), ("",))
        assert label_edits.split_label(STATE, 2, column, "").is_empty
        made = after(label_edits.split_label(STATE, 5, CategoryColumn("x", np.zeros(6, np.int8), (" ",)), ""))
        assert texts(made) == texts(STATE)

    def test_nothing_to_split_by(self) -> None:
        column = CategoryColumn("x", np.full(6, -1, np.int8), ())
        assert label_edits.split_label(STATE, 2, column, "_").is_empty

    def test_a_label_that_is_too_long(self) -> None:
        column = CategoryColumn("x", np.zeros(6, np.int8), ("x" * 127,))
        with pytest.raises(NameRefused) as refused:
            label_edits.split_label(STATE, 2, column, "_")
        assert refused.value.code == "E07"


class TestRetext:
    def test_labels_that_come_to_read_alike_are_merged(self) -> None:
        made = after(label_edits.retext(STATE, {5: "T", 1: "B cell"}))
        assert listed(made) == ["Unassigned", "B cell", "T"]
        assert texts(made) == ["B cell", "Unassigned", "T", "B cell", "T", "T"]
        # The one that has the text already stays, with all that is known of it.
        assert made.live.by_id[2] == LABELS[2]

    def test_the_default_label_stays(self) -> None:
        made = after(label_edits.retext(STATE, {0: "T"}))
        assert listed(made) == ["T", "B", "t"]
        assert made.live.default.id == 0

    def test_texts_that_go_round(self) -> None:
        made = after(label_edits.retext(STATE, {1: "T", 2: "B"}))
        assert listed(made) == ["Unassigned", "T", "B", "t"]
        assert texts(made) == ["T", "Unassigned", "B", "T", "t", "B"]

    def test_nothing(self) -> None:
        assert label_edits.retext(STATE, {}).is_empty
        assert label_edits.retext(STATE, {1: "B"}).is_empty

    def test_refusals(self) -> None:
        with pytest.raises(NameRefused):
            label_edits.retext(STATE, {1: " "})
        with pytest.raises(UnknownColumn):
            label_edits.retext(STATE, {9: "x"})


def test_replaced_texts() -> None:
    assert label_edits.replaced_texts(HEADER, "n", r"\1") == {0: r"U\1assig\1ed"}
    assert label_edits.replaced_texts(HEADER, "T", "x", ignore_case=True) == {2: "x", 5: "x"}
    assert label_edits.replaced_texts(HEADER, ".", "x") == {}
    assert label_edits.replaced_texts(HEADER, "", "x") == {}


def test_case_twins() -> None:
    assert [[label.id for label in group] for group in label_edits.case_twins(HEADER)] == [[2, 5]]


class TestDetails:
    def test_all_that_is_noted(self) -> None:
        change = label_edits.detail_label(
            STATE, 2, description=" of the thymus ", ontology=" CL:0000084 ", markers=["CD3D", " CD3D", "", "CD3E"],
            absent_markers=["MS4A1"],
        )  # fmt: skip
        label = after(change).live.by_id[2]
        assert label == replace(
            LABELS[2],
            description="of the thymus",
            ontology="CL:0000084",
            markers=("CD3D", "CD3E"),
            absent_markers=("MS4A1",),
        )

    def test_what_is_not_given_stays(self) -> None:
        assert label_edits.detail_label(STATE, 1).is_empty
        assert after(label_edits.detail_label(STATE, 1, ontology="")).live.by_id[1] == replace(LABELS[1], ontology="")

    @pytest.mark.parametrize(
        ("values", "code"),
        [
            ({"ontology": "T cell"}, "E20"),
            ({"ontology": "CL:"}, "E20"),
            ({"description": "a\0"}, "E08"),
            ({"markers": ["MS4A1"], "absent_markers": ["MS4A1"]}, "E22"),
            ({"markers": ["CD3D"]}, "E22"),
            ({"markers": [f"g{k}" for k in range(201)]}, "E07"),
        ],
    )
    def test_refusals(self, values: dict[str, object], code: str) -> None:
        with pytest.raises(NameRefused) as refused:
            label_edits.detail_label(STATE, 1, **values)
        assert refused.value.code == code

    def test_a_header_with_details_reads_back(self) -> None:
        assert Header.from_json(HEADER.to_json()) == HEADER
        # As journals of earlier versions have it.
        old = {"id": 1, "text": "B", "colour": "#112233", "description": ""}
        assert Label.from_json(old) == Label(1, "B", "#112233")


# -- any edits, and the way back ------------------------------------------------------------------------------------

N_CELLS = 8
words = st.sampled_from(["B", "T", "t", "NK", "T cell", "none"])


@st.composite
def states(draw: st.DrawFn) -> Annotation:
    """Any annotation: labels of different texts, and any of them for each cell."""
    own = draw(st.lists(words, min_size=1, max_size=5, unique=True))
    ids = [0, *draw(st.lists(st.integers(1, 20), min_size=len(own) - 1, max_size=len(own) - 1, unique=True))]
    labels = tuple(Label(key, text, f"#{key:06x}") for key, text in zip(ids, own, strict=True))
    codes = draw(st.lists(st.sampled_from(ids), min_size=N_CELLS, max_size=N_CELLS))
    last = draw(st.integers(max(ids), 25))
    header = Header("fate", labels, "ada", "2026-01-01", "empty")
    return Annotation("id", header, np.array(codes, np.int32), 1, "2026-01-02", last)


columns = st.builds(
    lambda codes: CategoryColumn("x", np.array(codes, np.int8), ("p", "q")),
    st.lists(st.integers(-1, 1), min_size=N_CELLS, max_size=N_CELLS),
)


@st.composite
def changes(draw: st.DrawFn, state: Annotation) -> Change:
    """Any edit of the labels of an annotation."""
    label = st.sampled_from([label.id for label in state.live.labels])
    own = draw(label)
    kind = draw(st.sampled_from(["add", "merge", "delete", "split", "retext", "detail"]))
    if kind == "add":
        return label_edits.add_label(state, draw(words))
    if kind == "merge":
        return label_edits.merge_labels(state, draw(st.lists(label, max_size=3)), own)
    if kind == "delete":
        return label_edits.delete_label(state, own)
    if kind == "split":
        return label_edits.split_label(state, own, draw(columns), draw(st.sampled_from(["", "_", " / "])))
    if kind == "retext":
        return label_edits.retext(state, draw(st.dictionaries(label, words, max_size=4)))
    return label_edits.detail_label(state, own, description=draw(words), markers=draw(st.lists(words, max_size=3)))


@given(data=st.data(), start=states())
def test_any_edits_leave_a_sound_annotation_and_their_inverses_lead_back(
    data: st.DataObject, start: Annotation
) -> None:
    state, made = start, []
    for _ in range(data.draw(st.integers(1, 5))):
        try:
            change = data.draw(changes(state))
        except NameRefused:
            continue
        made.append(change)
        state = change.apply(state, "2026-01-03")
        labels = state.live.labels
        assert labels[0].id == 0
        assert len({label.id for label in labels}) == len(labels)
        assert len({label.text for label in labels}) == len(labels)
        assert set(state.codes.tolist()) <= set(state.live.by_id)
        # A label that is new has an id that no label ever had.
        before = change.before
        assert before is not None
        assert all(label.id > start.last_id for label in labels if label.id not in start.live.by_id)
        assert sum(Counter(texts(state)).values()) == N_CELLS
    for change in reversed(made):
        state = change.inverse().apply(state, "2026-01-04")
    assert state.header == start.header
    assert state.codes.tolist() == start.codes.tolist()
    for change in made:
        state = change.apply(state, "2026-01-05")


@given(state=states(), wanted=st.dictionaries(st.integers(0, 20), words, max_size=5))
def test_retext_gives_each_cell_the_new_text_of_its_label(state: Annotation, wanted: dict[int, str]) -> None:
    known = {label_id: text for label_id, text in wanted.items() if label_id in state.live.by_id}
    expected = [known.get(code, state.live.by_id[code].text) for code in state.codes.tolist()]
    assert texts(label_edits.retext(state, known).apply(state, "2026-01-03")) == expected


@given(state=states(), column=columns, data=st.data())
def test_split_gives_each_cell_its_own_value(state: Annotation, column: CategoryColumn, data: st.DataObject) -> None:
    own = data.draw(st.sampled_from([label.id for label in state.live.labels]))
    base = state.live.by_id[own].text
    values = [None if code < 0 else column.labels[code] for code in column.codes.tolist()]
    expected = [
        f"{base}_{value}" if code == own and value is not None else text
        for code, text, value in zip(state.codes.tolist(), texts(state), values, strict=True)
    ]
    assert texts(label_edits.split_label(state, own, column, "_").apply(state, "2026-01-03")) == expected
