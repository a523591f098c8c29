import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iscan_dash.core.annotations.delta import CodesDelta

IDS = st.one_of(st.integers(0, 2), st.sampled_from([255, 256, 65_535, 65_536, 2**31 - 1]))
PAIRS = st.lists(st.tuples(IDS, IDS), max_size=30).map(
    lambda pairs: (np.array([a for a, _ in pairs], np.int32), np.array([b for _, b in pairs], np.int32))
)


def same(a: CodesDelta, b: CodesDelta) -> bool:
    return all(np.array_equal(getattr(a, name), getattr(b, name)) for name in ("starts", "lengths", "old", "new"))


@given(PAIRS)
def test_a_change_leads_there_and_back(states: tuple[np.ndarray, np.ndarray]) -> None:
    before, after = states
    delta = CodesDelta.between(before, after)
    kept = before.copy()

    assert np.array_equal(delta.apply(before), after)
    assert np.array_equal(delta.inverse().apply(after), before)
    assert same(delta.inverse().inverse(), delta)
    assert same(CodesDelta.between(after, before), delta.inverse())
    assert delta.n_cells == int((before != after).sum())
    assert delta.apply(before).dtype == np.int32
    assert np.array_equal(before, kept)


@given(PAIRS)
def test_packing_keeps_the_change(states: tuple[np.ndarray, np.ndarray]) -> None:
    delta = CodesDelta.between(*states)
    read = CodesDelta.from_bytes(delta.to_bytes())

    assert same(read, delta)
    for name in ("starts", "lengths", "old", "new"):
        assert getattr(read, name).dtype == getattr(delta, name).dtype
    assert np.array_equal(read.apply(states[0]), states[1])


def test_neighbours_with_the_same_change_are_one_run() -> None:
    delta = CodesDelta.between(np.array([0, 0, 1, 1, 0, 0, 0]), np.array([2, 2, 2, 1, 0, 2, 3]))

    assert delta.starts.tolist() == [0, 2, 5, 6]
    assert delta.lengths.tolist() == [2, 1, 1, 1]
    assert delta.old.tolist() == [0, 1, 0, 0]
    assert delta.new.tolist() == [2, 2, 2, 3]


def test_runs_of_a_large_study_stay_small() -> None:
    before = np.zeros(1_000_000, np.int32)
    after = before.copy()
    after[300_000:700_000] = 5

    assert len(CodesDelta.between(before, after).to_bytes()) < 100


@given(PAIRS.filter(lambda states: not np.array_equal(*states)))
def test_a_change_does_not_apply_to_other_cells(states: tuple[np.ndarray, np.ndarray]) -> None:
    before, after = states
    delta = CodesDelta.between(before, after)
    first = int(delta.starts[0])
    other = before.copy()
    other[first] = after[first]

    for codes in (other, before[: int(delta.starts[-1] + delta.lengths[-1]) - 1]):
        with pytest.raises(ValueError, match="do not carry the labels this change starts from"):
            delta.apply(codes)


@given(states=PAIRS, data=st.data())
def test_damaged_bytes_give_the_same_change_or_a_value_error(
    states: tuple[np.ndarray, np.ndarray], data: st.DataObject
) -> None:
    delta = CodesDelta.between(*states)
    packed = bytearray(delta.to_bytes())
    if data.draw(st.booleans(), label="cut"):
        damaged = bytes(packed[: data.draw(st.integers(0, len(packed) - 1))])
    else:
        place = data.draw(st.integers(0, len(packed) - 1))
        packed[place] ^= data.draw(st.integers(1, 255))
        damaged = bytes(packed)
    try:
        read = CodesDelta.from_bytes(damaged)
    except ValueError:
        return
    assert same(read, delta)


@given(st.binary(max_size=60))
def test_other_bytes_in_a_sound_pack_give_a_value_error_or_a_change(content: bytes) -> None:
    try:
        read = CodesDelta.from_bytes(b"runs1" + zlib.compress(content))
    except ValueError:
        return
    assert len(read.starts) == len(read.lengths) == len(read.old) == len(read.new)
    assert CodesDelta.from_bytes(read.to_bytes()).n_cells == read.n_cells


@pytest.mark.parametrize(
    ("packed", "reason"),
    [
        (b"", "not a packed change of labels"),
        (b"runs2" + zlib.compress(b""), "not a packed change of labels"),
        (b"runs1", "is damaged"),
        (b"runs1" + zlib.compress(b""), "is cut short"),
        (b"runs1" + zlib.compress((b"\1" + (1).to_bytes(8, "little") + b"\1") * 3), "is cut short"),
        (b"runs1" + zlib.compress((b"\3" + bytes(8)) * 4), "is cut short"),
        (b"runs1" + zlib.compress((b"\1" + b"\xff" * 8) * 4), "is cut short"),
        (
            b"runs1" + zlib.compress((b"\1" + (1).to_bytes(8, "little") + b"\1") * 3 + b"\1" + bytes(8)),
            "does not fit together",
        ),
        (b"runs1" + zlib.compress((b"\1" + bytes(8)) * 4 + b"more"), "does not fit together"),
    ],
)
def test_what_is_no_pack_is_refused(packed: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        CodesDelta.from_bytes(packed)
