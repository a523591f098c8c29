"""What another program changed in a draft, against a model in plain Python."""

import io
import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from iscan_dash.core.annotations import Annotation, Header, Label
from iscan_dash.core.annotations.csv_table import read_csv_table
from iscan_dash.core.annotations.label_table import match_table
from iscan_dash.core.annotations.outside import new_columns, outside_changes
from iscan_dash.core.study import Study, open_study
from iscan_dash.services.csv_text import quote, table_lines
from tests.studies import write_study

N_CELLS = 6
CELLS = [f"c{number}" for number in range(N_CELLS)]

TEXTS = ["T", "t", "B", "NK, new", 'a"b', "#1", "NA", "nan", "1.0", "=1+1", "ä", "Unassigned"]
"""Labels that are hard to keep as they are."""


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Study]:
    study = open_study([write_study(tmp_path_factory.mktemp("study") / "a.h5ad", cells=CELLS)])
    yield study
    study.close()


@dataclass(frozen=True)
class Case:
    """An annotation as it was written, what was done to it meanwhile, and what another program did to its column."""

    labels: list[str]
    codes: list[int]
    meanwhile: dict[int, int]
    renamed: tuple[int, str] | None
    outside: dict[int, str]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    labels = draw(st.lists(st.sampled_from(TEXTS), min_size=1, max_size=5, unique=True))
    code, row = st.integers(0, len(labels) - 1), st.integers(0, N_CELLS - 1)
    # A cell may get a label that is there, a new one, or none.
    text = st.sampled_from([*TEXTS, "new", "newer", "", "  "])
    free = [text for text in TEXTS if text not in labels]
    return Case(
        labels,
        draw(st.lists(code, min_size=N_CELLS, max_size=N_CELLS)),
        draw(st.dictionaries(row, code, max_size=3)),
        draw(st.none() | st.tuples(code, st.sampled_from([*free, "renamed"]))),
        draw(st.dictionaries(row, text, max_size=4)),
    )


def written_state(number: int, case: Case) -> Annotation:
    labels = tuple(Label(place, text, f"#00000{place}") for place, text in enumerate(case.labels))
    header = Header(f"column {number}", labels, "ada", "", "empty")
    return Annotation(str(number), header, np.array(case.codes, np.int32), 3, "", len(labels) + 2)


def state_now(state: Annotation, case: Case) -> Annotation:
    codes = state.codes.copy()
    for row, code in case.meanwhile.items():
        codes[row] = code
    header = state.live
    if case.renamed:
        label, text = case.renamed
        header = header.with_label(replace(header.by_id[label], text=text))
    return replace(state, header=header, codes=codes, version=state.version + 1)


def texts(state: Annotation) -> list[str]:
    return [state.live.by_id[code].text for code in state.codes.tolist()]


def expected_texts(written: Annotation, now: Annotation, outside: dict[int, str], kept: set[int]) -> list[str]:
    """Return the label of each cell: what the other program wrote where it changed it, else what it is now."""
    found = []
    for row, (before, current) in enumerate(zip(texts(written), texts(now), strict=True)):
        said = outside.get(row, before).strip() or written.live.default.text
        if row not in kept or said == before:
            found.append(current)
        elif said == written.live.default.text:
            # The default label, by whatever name it has now.
            found.append(now.live.default.text)
        else:
            found.append(said)
    return found


@given(
    st.lists(cases(), min_size=1, max_size=2),
    st.sets(st.integers(0, N_CELLS - 1), max_size=N_CELLS - 1),
    st.randoms(use_true_random=False),
)
@example([Case(["none", "NA"], [0, 1, 1, 0, 0, 1], {0: 1}, None, {})], set(), random.Random(0))
@example([Case(["none", "T"], [0, 1, 1, 0, 0, 1], {}, (1, "renamed"), {0: "T"})], {5}, random.Random(1))
@example([Case(["none", "T"], [0, 1, 1, 0, 0, 1], {}, (0, "renamed"), {1: "", 2: "none"})], set(), random.Random(2))
@settings(max_examples=150)
def test_is_what_a_model_says(study: Study, given_cases: list[Case], dropped: set[int], order: random.Random) -> None:
    written = {str(number): written_state(number, case) for number, case in enumerate(given_cases)}
    now = {own: state_now(state, case) for (own, state), case in zip(written.items(), given_cases, strict=True)}
    head, _, body = "".join(table_lines(study, list(written.values()), ["a comment"])).partition("c0")
    assert "index,sample" in head and body
    rows = []
    for row, cell in enumerate(CELLS):
        if row not in dropped:
            values = [
                case.outside.get(row, texts(state)[row])
                for state, case in zip(written.values(), given_cases, strict=True)
            ]
            rows.append(",".join([cell, "a", *map(quote, values)]))
    order.shuffle(rows)
    content = head.rstrip('"') + "\n".join(rows)
    table = match_table(read_csv_table(io.BytesIO(content.encode()), "draft.csv"), study, {})

    changes = {change.annotation_id: change for change in outside_changes(table, written, now)}
    assert new_columns(table, written) == []
    for (own, state), case in zip(written.items(), given_cases, strict=True):
        wanted = expected_texts(state, now[own], case.outside, set(range(N_CELLS)) - dropped)
        after = changes[own].apply(now[own], "later") if own in changes else now[own]
        assert texts(after) == wanted
        assert (own in changes) == (wanted != texts(now[own]))
        event("changed" if own in changes else "the same")
        # The labels of before are as they were; new ones have ids that were never used, in the order they were met.
        known = now[own].live.labels
        assert after.live.labels[: len(known)] == known
        ids = [label.id for label in after.live.labels[len(known) :]]
        assert ids == list(range(state.last_id + 1, state.last_id + 1 + len(ids)))
        assert len({label.text for label in after.live.labels}) == len(after.live.labels)
        assert replace(after.live, labels=()) == replace(now[own].live, labels=())


def test_what_was_deleted_or_is_gone_from_the_file_is_left_alone(study: Study) -> None:
    case = Case(["none", "T"], [1, 1, 0, 0, 0, 0], {}, None, {})
    first, second = written_state(1, case), written_state(2, case)
    content = f"index,{quote('column 1')}\nc0,B\n"
    table = match_table(read_csv_table(io.BytesIO(content.encode()), "draft.csv"), study, {})
    written = {"1": first, "2": second}
    assert list(outside_changes(table, written, {"1": replace(first, header=None), "2": second})) == []
    assert list(outside_changes(table, {"1": replace(first, header=None)}, written)) == []
    (change,) = outside_changes(table, written, written)
    assert (change.annotation_id, change.delta.n_cells) == ("1", 1)
