"""The review queue: its order, what is done with its groups, and progress that is kept."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from iscan_dash.core.annotations import Annotation
from iscan_dash.core.annotations.combine import CombineRecipe
from iscan_dash.core.review import cell_doubts
from iscan_dash.core.singler.outcome import Outcome
from iscan_dash.core.singler.prune import margins, prune
from iscan_dash.core.study import open_study
from iscan_dash.errors import EditConflict, PredictionRefused, UnknownColumn
from iscan_dash.services import review as module
from iscan_dash.services.review import Review, ReviewItem
from iscan_dash.services.workspace import Source, Workspace
from tests.studies import write_study

N_CELLS = 100
BY = Source("cluster", "leiden")
PHASE = Source("metadata", "phase")
Maker = Callable[..., Review]


@pytest.fixture
def open_workspace(tmp_path: Path) -> Iterator[Callable[..., Workspace]]:
    cells = np.arange(N_CELLS)
    # Cluster 0 has 50 cells, 1 has 30, 2 has 15, and 5 have none.
    leiden = np.array(["0", "1", "2", None], object)[np.searchsorted([50, 80, 95], cells, side="right")]
    obs = {"leiden": pd.Categorical(leiden), "phase": pd.Categorical(np.where(cells % 2, "S", "G1"))}
    path = write_study(tmp_path / "mine.h5ad", obs, cells=N_CELLS)
    (tmp_path / "drafts").mkdir()
    opened: list[Workspace] = []

    def open_(**options: Any) -> Workspace:
        opened.append(Workspace(open_study([path]), user="ada", folder=tmp_path / "drafts", **options))
        return opened[-1]

    yield open_
    for workspace in opened:
        workspace.close()
        workspace.study.close()


@pytest.fixture
def workspace(open_workspace: Callable[..., Workspace]) -> Workspace:
    return open_workspace()


@pytest.fixture
def annotation(workspace: Workspace) -> Annotation:
    return workspace.create_from_existing("SingleR", [BY], CombineRecipe("Unassigned"))


@pytest.fixture
def outcome() -> Outcome:
    """Cluster 0 is sure but for 10 cells of another label; 1 is half in doubt; 2 is sure; a cell was left out."""
    cells = np.arange(N_CELLS)
    label = np.where(cells < 40, 0, np.where(cells < 50, 1, 2)).astype(np.int32)
    scores = np.full((N_CELLS, 3), 0.1)
    scores[cells, label] = 0.5
    delta = np.where((cells >= 50) & (cells < 80), 0.025, 0.2)
    rows = np.where(cells == 99, -1, cells)
    return Outcome(("B", "NK", "T"), scores, label, delta, margins(scores, label), cells >= 0, rows)


@pytest.fixture
def begin(workspace: Workspace, annotation: Annotation, outcome: Outcome) -> Maker:
    def begin_(by: Source = BY, in_workspace: Workspace = workspace, **options: Any) -> Review:
        pruned = prune(outcome.scores, outcome.label, outcome.delta)
        return Review(in_workspace, annotation.id, outcome, pruned, by, **options)

    return begin_


def titles(review: Review) -> list[str]:
    return [item.title for item in review.queue().items]


def item(review: Review, title: str) -> ReviewItem:
    return next(own for own in review.queue().items if own.title == title)


class TestQueue:
    def test_most_cells_in_doubt_come_first(self, begin: Maker, outcome: Outcome) -> None:
        review = begin()
        items = review.queue().items
        assert [(own.title, own.n_cells) for own in items] == [("1", 30), ("0", 50), ("2", 15), ("missing", 4)]
        assert [own.in_doubt for own in items] == pytest.approx([15, 10, 0, 0])
        assert [own.uncertainty for own in items] == pytest.approx([0.5, 0.2, 0, 0])
        assert [(own.label, own.n_label) for own in items] == [("T", 30), ("B", 40), ("T", 15), ("T", 4)]
        codes = np.searchsorted([50, 80, 95], np.arange(N_CELLS), side="right").astype(np.int8)
        codes[codes == 3] = -1
        doubts = cell_doubts(outcome, prune(outcome.scores, outcome.label, outcome.delta), codes)
        for own in items:
            assert np.nansum(doubts[review.mask(own.id)]) == pytest.approx(own.in_doubt)
            assert review.mask(own.id).sum() == own.n_cells

    def test_groups_by_label_and_cluster(self, begin: Maker) -> None:
        review = begin(with_labels=True)
        assert titles(review) == ["1 / T", "0 / NK", "0 / B", "2 / T", "missing / T"]
        assert item(review, "0 / NK").uncertainty == 1
        assert review.mask(item(review, "0 / NK").id).nonzero()[0].tolist() == list(range(40, 50))

    def test_a_threshold_of_none(self, begin: Maker) -> None:
        assert titles(begin(threshold=0)) == titles(begin())
        assert titles(begin(threshold=0.025))[0] == "0"

    def test_too_many_groups(self, begin: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "MOST_ITEMS", 3)
        with pytest.raises(PredictionRefused, match="too many groups"):
            begin()

    def test_no_such_column(self, begin: Maker) -> None:
        with pytest.raises(UnknownColumn):
            begin(Source("metadata", "x"))


class TestReviewing:
    def test_from_one_open_group_to_the_next(self, begin: Maker) -> None:
        review = begin()

        def after(title: str | None) -> str | None:
            found = review.following(item(review, title).id if title else None)
            return found.title if found else None

        def progress() -> tuple[int, int, int]:
            queue = review.queue()
            return queue.n_reviewed, queue.n_skipped, len(queue.items)

        assert (after(None), after("1"), after("missing")) == ("1", "0", "1")
        review.accept(item(review, "0").id)
        review.skip(item(review, "2").id)
        assert (after(None), after("1")) == ("1", "missing")
        assert progress() == (1, 1, 4)
        for title in ("1", "missing"):
            review.accept(item(review, title).id)
        assert after(None) is None
        review.reopen(item(review, "0").id)
        assert after("0") == "0"
        assert progress() == (2, 1, 4)

    def test_a_group_is_given_a_label(self, begin: Maker, workspace: Workspace, annotation: Annotation) -> None:
        review = begin()
        group = item(review, "1")
        state = review.relabel(group.id, " CD4 T ", annotation.version)
        mask = review.mask(group.id)
        assert {state.live.by_id[code].text for code in state.codes[mask].tolist()} == {"CD4 T"}
        np.testing.assert_array_equal(state.codes[~mask], annotation.codes[~mask])
        assert (item(review, "1").state, item(review, "1").text) == ("relabelled", "CD4 T")
        assert workspace.history(annotation.id)[0].description == '30 cells set to "CD4 T" (review of 1)'
        with pytest.raises(EditConflict):
            review.relabel(item(review, "0").id, "x", annotation.version)
        assert item(review, "0").state == "open"

    def test_a_label_that_is_undone_opens_its_group(
        self, begin: Maker, workspace: Workspace, annotation: Annotation
    ) -> None:
        review = begin()
        state = review.relabel(item(review, "1").id, "CD4 T", annotation.version)
        review.relabel(item(review, "0").id, "B", state.version)
        assert [item(review, title).state for title in "10"] == ["relabelled", "relabelled"]
        workspace.undo()
        assert [item(review, title).state for title in "10"] == ["relabelled", "open"]
        assert (item(review, "0").text, review.following()) == ("", item(review, "0"))
        workspace.undo()
        assert review.queue() == begin().queue()
        assert review.queue().n_reviewed == 0
        workspace.redo()
        assert [item(review, title).state for title in "10"] == ["relabelled", "open"]
        # Nothing was changed that could be undone.
        version = workspace.annotation(annotation.id).version
        review.relabel(item(review, "1").id, "CD4 T", version)
        workspace.undo()
        assert item(review, "1").state == "relabelled"

    def test_a_group_is_split_and_united_again(self, begin: Maker) -> None:
        review = begin()
        group = item(review, "0")
        parts = review.split(group.id)
        assert titles(review) == ["1", "0 / NK", "0 / B", "2", "missing"]
        assert parts == [item(review, "0 / NK").id, item(review, "0 / B").id]
        assert sum(item(review, title).in_doubt for title in ("0 / NK", "0 / B")) == pytest.approx(group.in_doubt)
        with pytest.raises(UnknownColumn, match="split or is gone"):
            review.accept(group.id)
        review.split(parts[1], PHASE)
        assert {"0 / B / G1", "0 / B / S"} <= set(titles(review))
        mask = review.mask(item(review, "0 / B / S").id)
        assert mask.nonzero()[0].tolist() == list(range(1, 40, 2))
        review.accept(item(review, "0 / B / S").id)
        assert review.unite(group.path) == group.id
        assert titles(begin()) == titles(review) == ["1", "0", "2", "missing"]
        assert review.queue().n_reviewed == 0
        with pytest.raises(UnknownColumn, match="not split"):
            review.unite(group.path)

    def test_what_cannot_be_split(self, begin: Maker, monkeypatch: pytest.MonkeyPatch) -> None:
        review = begin()
        with pytest.raises(PredictionRefused, match="only one value of label before pruning"):
            review.split(item(review, "2").id)
        with pytest.raises(UnknownColumn):
            review.split(item(review, "0").id, Source("metadata", "x"))
        with monkeypatch.context() as patched:
            patched.setattr(module, "MOST_ITEMS", 5)
            with pytest.raises(PredictionRefused, match="at most 5 groups"):
                review.split(item(review, "0").id)
        monkeypatch.setattr(module, "MOST_LEVELS", 1)
        with pytest.raises(PredictionRefused, match="at most"):
            review.split(item(review, "0").id)
        assert titles(review) == ["1", "0", "2", "missing"]


class TestProgress:
    def test_it_outlasts_a_restart(
        self, begin: Maker, workspace: Workspace, open_workspace: Callable[..., Workspace]
    ) -> None:
        review = begin()
        review.accept(item(review, "1").id)
        review.split(item(review, "0").id)
        review.skip(item(review, "0 / NK").id)
        # Another column has progress of its own.
        other = begin(PHASE)
        other.accept(item(other, "S").id)
        workspace.close()
        again = begin(in_workspace=open_workspace())
        assert again.queue() == review.queue()
        assert [own.state for own in again.queue().items] == ["accepted", "skipped", "open", "open", "open"]

    def test_a_column_that_is_gone_is_no_split(
        self, begin: Maker, workspace: Workspace, annotation: Annotation
    ) -> None:
        copy = workspace.create_from_existing("phases", [PHASE], CombineRecipe("Unassigned"))
        review = begin()
        review.split(item(review, "0").id, Source("annotation", copy.id))
        assert len(titles(review)) == 5
        workspace.delete(copy.id, copy.version)
        assert titles(begin()) == ["1", "0", "2", "missing"]
        assert item(begin(), "0").state == "open"
        assert workspace.annotation(annotation.id)

    def test_what_cannot_be_read_is_passed_over(
        self, begin: Maker, workspace: Workspace, annotation: Annotation
    ) -> None:
        review = begin()
        review.accept(item(review, "1").id)
        kept = workspace.kept(f"review:{annotation.id}")
        name = json.dumps(["cluster", "leiden", False])
        workspace.keep(f"review:{annotation.id}", {name: [{"state": "x"}, {"path": [1]}, *kept[name]]})
        assert begin().queue() == review.queue()

    def test_where_annotations_are_switched_off_it_lasts_as_long_as_the_page(
        self, begin: Maker, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(workspace, "is_closed", True)
        review = begin()
        review.accept(item(review, "1").id)
        assert item(review, "1").state == "accepted"
        assert item(begin(), "1").state == "open"
