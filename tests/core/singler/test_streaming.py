from collections.abc import Iterator
from importlib import import_module

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from iscan_dash.core.engine.control import Cancelled, Control
from iscan_dash.core.engine.query import Block, Query
from iscan_dash.core.singler.classify import Classified, classify
from iscan_dash.core.singler.reference import Reference
from iscan_dash.core.singler.train import Trained, train
from iscan_dash.core.study.matrices import MatrixKind
from iscan_dash.errors import IscanError
from tests.core.singler.cases import workload

N_CELLS = 120


@pytest.fixture(scope="module")
def trained() -> Trained:
    profiles, labels, _ = workload(N_CELLS)
    genes = [f"gene {number}" for number in range(profiles.shape[1])]
    return train(Reference(genes, profiles, labels), genes)


@pytest.fixture(scope="module")
def wanted(trained: Trained) -> Classified:
    return classify(trained, whole())


def whole() -> Query:
    counts = workload(N_CELLS)[2]
    return Query.of([f"gene {number}" for number in range(counts.shape[1])], counts, MatrixKind.COUNTS)


def cut(cuts: list[int], is_dense: bool = False) -> Query:
    counts = workload(N_CELLS)[2]

    def blocks() -> Iterator[Block]:
        for start, end in zip([0, *cuts], [*cuts, N_CELLS], strict=True):
            yield counts[start:end].toarray() if is_dense else counts[start:end]

    return Query([f"gene {number}" for number in range(counts.shape[1])], N_CELLS, blocks, MatrixKind.COUNTS, "counts")


def same(a: Classified, b: Classified) -> bool:
    pairs = [
        (a.first.scores, b.first.scores),
        (a.first.delta, b.first.delta),
        (a.first.label, b.first.label),
        (a.first.detected, b.first.detected),
        (a.tuned.label, b.tuned.label),
        (a.tuned.delta, b.tuned.delta),
        (a.pruned.is_pruned, b.pruned.is_pruned),
    ]
    return all(x.tobytes() == y.tobytes() for x, y in pairs)


@settings(max_examples=20)
@given(
    cuts=st.lists(st.integers(0, N_CELLS), max_size=5).map(sorted), is_dense=st.booleans(), threads=st.integers(1, 3)
)
def test_blocks_and_threads_do_not_change_a_bit(
    trained: Trained, wanted: Classified, cuts: list[int], is_dense: bool, threads: int
) -> None:
    assert same(classify(trained, cut(cuts, is_dense), threads=threads), wanted)


@pytest.mark.parametrize("threads", [1, 2, 4])
def test_the_size_of_pieces_does_not_change_a_bit(
    trained: Trained, wanted: Classified, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The functions of these names hide their modules in the package.
    monkeypatch.setattr(import_module("iscan_dash.core.singler.first_pass"), "PIECE_VALUES", 1)
    monkeypatch.setattr(import_module("iscan_dash.core.singler.fine_tune"), "POOL_BYTES", 2_000)

    assert same(classify(trained, cut([50]), threads=threads), wanted)


@pytest.mark.parametrize("threads", [1, 3])
def test_training_does_not_depend_on_threads(threads: int) -> None:
    profiles, labels, _ = workload(1)
    genes = [f"gene {number}" for number in range(profiles.shape[1])]
    one, other = (train(Reference(genes, profiles, labels), genes, threads=count) for count in (1, threads))

    assert one.genes == other.genes
    assert np.array_equal(one.markers.rows, other.markers.rows)
    assert np.array_equal(one.arrays.profiles.ranks, other.arrays.profiles.ranks)


def test_results_can_go_where_the_caller_wants(trained: Trained, wanted: Classified) -> None:
    room = np.full((N_CELLS, len(trained.labels)), np.nan)
    found = classify(trained, whole(), scores=room)

    assert found.first.scores is room
    assert same(found, wanted)


def test_the_cells_given_are_not_changed(trained: Trained) -> None:
    counts = workload(N_CELLS)[2].astype(np.int64)
    kept = counts.copy()
    classify(trained, Query.of(whole().genes, counts))

    assert counts.dtype == np.int64
    assert (counts != kept).nnz == 0


def test_read_only_blocks_and_wide_indices_are_taken(trained: Trained, wanted: Classified) -> None:
    counts = workload(N_CELLS)[2]
    counts.indices, counts.indptr = counts.indices.astype(np.int64), counts.indptr.astype(np.int64)
    for array in (counts.data, counts.indices, counts.indptr):
        array.flags.writeable = False

    assert same(classify(trained, Query.of(whole().genes, counts)), wanted)


def test_explicit_zeros_and_split_values_count_as_their_sum(trained: Trained, wanted: Classified) -> None:
    counts = workload(N_CELLS)[2].tocoo()
    rows, columns = counts.coords
    half = (counts.data // 2).astype(np.float32)
    indptr = np.concatenate([[0], np.cumsum(np.bincount(np.concatenate([rows, rows]), minlength=N_CELLS))])
    order = np.argsort(np.concatenate([rows, rows]), kind="stable")
    parts = np.concatenate([half, counts.data - half])[order], np.concatenate([columns, columns])[order], indptr
    split = sparse.csr_array(parts, shape=counts.shape)

    assert same(classify(trained, Query.of(whole().genes, split)), wanted)
    assert split.nnz == 2 * counts.nnz, "the block given was changed"


def test_progress_is_told_in_order(trained: Trained) -> None:
    told: list[tuple[str, int, int]] = []
    classify(trained, cut([30, 60]), control=Control(progress=lambda *step: told.append(step)))

    assert told[0] == ("score", 0, N_CELLS)
    assert [step for step, _, _ in told if step != "score"] == ["fine-tune", "prune"]
    scored = [done for step, done, _ in told if step == "score"]
    assert scored == sorted(scored)
    assert scored[-1] == N_CELLS


@pytest.mark.parametrize("after", [0, 1, 3])
@pytest.mark.parametrize("threads", [1, 2])
def test_cancelling_ends_it(trained: Trained, after: int, threads: int) -> None:
    asked = 0

    def is_cancelled() -> bool:
        nonlocal asked
        asked += 1
        return asked > after

    with pytest.raises(Cancelled):
        classify(trained, cut([20, 40, 60, 80]), threads=threads, control=Control(is_cancelled=is_cancelled))


def test_an_error_while_reading_comes_through(trained: Trained) -> None:
    def blocks() -> Iterator[Block]:
        yield workload(N_CELLS)[2][:30]
        raise OSError("disk gone")

    query = Query(whole().genes, N_CELLS, blocks, MatrixKind.COUNTS)
    with pytest.raises(OSError, match="disk gone"):
        classify(trained, query, threads=2)


@pytest.mark.parametrize("place", [0, 7])
@pytest.mark.parametrize("is_dense", [True, False])
def test_missing_values_are_refused(trained: Trained, place: int, is_dense: bool) -> None:
    counts = workload(N_CELLS)[2]
    counts.data[place] = np.nan
    query = Query.of(whole().genes, counts.toarray() if is_dense else counts, name="layers/counts")

    with pytest.raises(IscanError, match=r"layers/counts has missing values \(NaN\)"):
        classify(trained, query)


def test_scaled_values_are_refused_by_name(trained: Trained) -> None:
    query = Query.of(whole().genes, workload(N_CELLS)[2], MatrixKind.SCALED, "layers/scaled")

    with pytest.raises(IscanError, match=r"^layers/scaled looks scaled \(negative values\)\. Choose counts or log val"):
        classify(trained, query)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda query: Query(query.genes[1:], N_CELLS, query.blocks, query.kind), "does not have the genes"),
        (lambda query: Query(query.genes, N_CELLS + 1, query.blocks, query.kind), "121 were announced"),
        (
            lambda query: Query(query.genes, N_CELLS, lambda: iter([np.zeros((N_CELLS, 3))]), query.kind),
            "does not have the 300 genes",
        ),
    ],
)
def test_cells_that_do_not_fit_are_refused(trained: Trained, change: object, reason: str) -> None:
    with pytest.raises(IscanError, match=reason):
        classify(trained, change(whole()))  # type: ignore[operator]


@pytest.mark.parametrize(("options", "reason"), [({"quantile": 1.2}, "quantile"), ({"threshold": -0.1}, "threshold")])
def test_settings_out_of_range_are_refused(trained: Trained, options: dict[str, float], reason: str) -> None:
    with pytest.raises(IscanError, match=reason):
        classify(trained, whole(), **options)
