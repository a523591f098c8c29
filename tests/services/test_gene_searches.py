"""Long searches for genes are told of, one at a time, and end when nobody wants to wait."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from iscan_dash.core.study import Study, gene_index, matrices
from iscan_dash.core.study.long_searches import MOST_WAITING, TooManySearches
from iscan_dash.services.gene_searches import GeneSearches, SearchCancelled
from tests.conftest import Opener
from tests.studies import STORAGES, some_counts, write_study


@pytest.fixture
def searches() -> GeneSearches:
    return GeneSearches()


@pytest.fixture(params=["csr", "dense"])
def study(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    open_files: Opener,
    searches: GeneSearches,
    monkeypatch: pytest.MonkeyPatch,
) -> Study:
    """Two files, that are read in many blocks."""
    monkeypatch.setattr(gene_index, "SMALLEST", 1)
    monkeypatch.setattr(matrices, "BLOCK", 40)
    counts = STORAGES[request.param](some_counts(60, 8))
    files = [write_study(tmp_path / f"{name}.h5ad", cells=60, genes=8, x=counts) for name in "ab"]
    return open_files(*files).watched(searches.watch)


def spy(monkeypatch: pytest.MonkeyPatch, seen: Callable[[], None]) -> list[int]:
    """Call something at each block of a search; return what counts the searches."""
    begun: list[int] = []
    gene = matrices.Matrix.gene

    def seen_gene(self: matrices.Matrix, column: int, tell: matrices.Tell) -> np.ndarray:
        def tell_and_see(part: float) -> None:
            tell(part)
            seen()

        begun.append(column)
        return gene(self, column, tell_and_see)

    monkeypatch.setattr(matrices.Matrix, "gene", seen_gene)
    return begun


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_the_progress_over_all_files_is_told(
    study: Study, searches: GeneSearches, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts: list[float] = []
    spy(monkeypatch, lambda: parts.extend(part or 0 for _, part in searches.running()))
    expected = np.tile(some_counts(60, 8)[:, 2], 2)
    np.testing.assert_array_equal(study.gene("GENE2").values, expected)
    assert len(parts) > 8
    assert parts == sorted(parts)
    assert parts[0] == 0
    assert any(0 < part < 0.5 for part in parts)
    assert 0.5 < parts[-1] < 1
    assert searches.running() == []


def test_what_was_found_is_not_searched_for_again(
    study: Study, searches: GeneSearches, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = spy(monkeypatch, lambda: None)
    first = study.gene("GENE2").values
    assert study.gene("GENE2").values is first
    assert len(begun) == 2
    with pytest.raises(ValueError, match="read-only"):
        first[0] = 1
    study.gene("GENE3")
    assert len(begun) == 4


def test_little_is_kept_of_what_was_found(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("iscan_dash.core.study.long_searches.FOUND_BYTES", 2 * 120 * 4)
    begun = spy(monkeypatch, lambda: None)
    for name in ("GENE1", "GENE2", "GENE1", "GENE3", "GENE1", "GENE2"):
        study.gene(name)
    assert begun == [1, 1, 2, 2, 3, 3, 2, 2]


def test_a_search_that_is_cancelled_ends_and_can_be_made_again(
    study: Study, searches: GeneSearches, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        begun = spy(patch, searches.cancel)
        with pytest.raises(SearchCancelled, match="GENE2 was not read"):
            study.gene("GENE2")
    assert begun == [2]
    assert searches.running() == []
    np.testing.assert_array_equal(study.gene("GENE2").values[:60], some_counts(60, 8)[:, 2])


class TestWaiting:
    """Somebody else's search for GENE2 runs meanwhile."""

    @pytest.fixture
    def go_on(self, study: Study, monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
        runs, go_on = threading.Event(), threading.Event()

        def hold() -> None:
            runs.set()
            go_on.wait(10)

        study.gene("GENE5")
        spy(monkeypatch, hold)
        first = threading.Thread(target=study.gene, args=("GENE2",))
        first.start()
        assert runs.wait(10)
        yield go_on
        go_on.set()
        first.join(10)

    def test_it_can_be_cancelled_before_it_begins(
        self, study: Study, searches: GeneSearches, go_on: threading.Event
    ) -> None:
        others = GeneSearches()
        with ThreadPoolExecutor() as threads:
            second = threads.submit(study.watched(others.watch).gene, "GENE3")
            until(lambda: others.running() == [("GENE3", None)])
            others.cancel()
            with pytest.raises(SearchCancelled):
                second.result(2)
            assert searches.running() == [("GENE2", 0)]
            assert not go_on.is_set()

    def test_what_was_found_does_not_wait(self, study: Study, go_on: threading.Event) -> None:
        with ThreadPoolExecutor() as threads:
            found = threads.submit(study.gene, "GENE5").result(2)
        np.testing.assert_array_equal(found.values[:60], some_counts(60, 8)[:, 5])
        assert not go_on.is_set()

    def test_no_more_wait_than_leave_threads_to_others(self, study: Study, go_on: threading.Event) -> None:
        users = [GeneSearches() for _ in range(MOST_WAITING)]
        with ThreadPoolExecutor() as threads:
            waiting = [
                threads.submit(study.watched(user.watch).gene, f"GENE{place % 3}") for place, user in enumerate(users)
            ]
            until(lambda: all(user.running() for user in users))
            with pytest.raises(TooManySearches, match=r"GENE7 was not read: too many .* Try again in a moment"):
                study.gene("GENE7")
            go_on.set()
            for place, own in enumerate(waiting):
                np.testing.assert_array_equal(own.result(10).values[:60], some_counts(60, 8)[:, place % 3])
        study.gene("GENE7")

    def test_the_same_gene_is_found_once(
        self, study: Study, go_on: threading.Event, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        begun = spy(monkeypatch, lambda: None)
        with ThreadPoolExecutor() as threads:
            both = [threads.submit(study.gene, "GENE2") for _ in range(2)]
            go_on.set()
            first, second = (own.result(10).values for own in both)
        assert first is second
        # The search that runs already began in the first file before they were counted.
        assert begun == [2]


def test_a_server_that_stops_ends_them(study: Study, searches: GeneSearches) -> None:
    searches.close()
    with pytest.raises(SearchCancelled):
        study.gene("GENE2")


def test_genes_that_need_no_search_are_not_told_of(tmp_path: Path, open_files: Opener) -> None:
    def refuse(_: str) -> None:
        raise AssertionError

    study = open_files(write_study(tmp_path / "small.h5ad", cells=60, genes=8))
    np.testing.assert_array_equal(study.watched(refuse).gene("GENE2").values, some_counts(60, 8)[:, 2])  # type: ignore[arg-type]
