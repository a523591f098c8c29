"""The review queue: groups of a prediction's cells, those with most cells in doubt first, worked off one by one.

Progress is kept with the user's drafts. It is by group, and a group is named by its values (cluster 3, or the T cells
of cluster 3), so it outlasts edits, another cutoff and a restart.
"""

import hashlib
import json
import logging
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from iscan_dash.core.annotations import Annotation
from iscan_dash.core.review import cell_doubts, cell_labels, group_doubts, usual_labels
from iscan_dash.core.singler.outcome import Outcome
from iscan_dash.core.singler.prune import Pruned
from iscan_dash.core.study.columns import CategoryColumn
from iscan_dash.errors import PredictionRefused, UnknownColumn
from iscan_dash.services.workspace import Source, Workspace

MOST_ITEMS = 5_000

MOST_LEVELS = 4
"""How deep a group can be split, itself included."""

LABEL = Source("prediction", "label before pruning")
"""The column that groups are split by unless another one is asked for."""

OPEN, ACCEPTED, RELABELLED, SPLIT, SKIPPED = "open", "accepted", "relabelled", "split", "skipped"

log = logging.getLogger(__name__)

Step = tuple[str, str, str | None]
"""A column, by kind and key, and the value that a group has in it; None where it is missing."""

Path = tuple[Step, ...]


@dataclass(frozen=True)
class ReviewItem:
    """A group of cells to be looked at.

    Parameters
    ----------
    id
        What it is chosen by.
    path
        The values that make it, the cluster first.
    state
        ``"open"``, ``"accepted"``, ``"relabelled"`` or ``"skipped"``.
    text
        The label that it was given when it was relabelled, else ``""``.
    n_cells
        Its cells.
    uncertainty
        Their mean doubt, 0 to 1; see `core.review`.
    in_doubt
        Uncertainty x size: what the queue is ordered by.
    label
        The most frequent label before pruning; ``""`` when none has any.
    n_label
        Cells that have it.
    """

    id: str
    path: Path
    state: str
    text: str
    n_cells: int
    uncertainty: float
    in_doubt: float
    label: str
    n_label: int

    @property
    def title(self) -> str:
        """The values that make it, in words."""
        return " / ".join("missing" if value is None else value for _, _, value in self.path)


@dataclass(frozen=True)
class ReviewQueue:
    """The groups of a review, and how far it is.

    Parameters
    ----------
    items
        All groups, the one with most cells in doubt first, whatever became of them.
    n_reviewed
        Groups that were accepted or relabelled.
    n_skipped
        Groups that were put off.
    """

    items: tuple[ReviewItem, ...]
    n_reviewed: int
    n_skipped: int


@dataclass(frozen=True)
class _Progress:
    """What became of a group; `version` is that of the annotation which its label made, 0 for none."""

    path: Path
    state: str
    text: str = ""
    split_by: Source | None = None
    version: int = 0

    def to_json(self) -> dict[str, Any]:
        return {name: value for name, value in asdict(self).items() if value}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "_Progress":
        by = values.get("split_by")
        path = tuple((str(kind), str(key), value) for kind, key, value in values["path"])
        version = int(values.get("version", 0))
        return cls(path, str(values["state"]), str(values.get("text", "")), Source(**by) if by else None, version)


class Review:
    """One user's review of an annotation that a prediction made.

    Parameters
    ----------
    workspace
        The study and the user's annotations.
    annotation_id
        The annotation.
    outcome, pruned
        What the prediction found, and what is pruned of it.
    by
        The column whose groups are reviewed.
    with_labels
        Whether each group is split by its labels from the beginning.
    threshold
        Lead from which a label is not in doubt, as fine-tuning had it.

    Raises
    ------
    UnknownColumn
        There is no such column or annotation.
    PredictionRefused
        There are too many groups.
    """

    def __init__(
        self,
        workspace: Workspace,
        annotation_id: str,
        outcome: Outcome,
        pruned: Pruned,
        by: Source,
        *,
        with_labels: bool = False,
        threshold: float = 0.05,
    ) -> None:
        self._workspace = workspace
        self._annotation_id = workspace.annotation(annotation_id).id
        self._by = by
        self._with_labels = with_labels
        self._lock = threading.RLock()
        self._labels = CategoryColumn(LABEL.key, cell_labels(outcome), outcome.labels)
        self._clusters = workspace.category(by)
        # A threshold of 0 leaves nothing undecided; SingleR's own then tells what is close.
        self._doubts = cell_doubts(outcome, pruned, self._clusters.codes, threshold or 0.05)
        self._progress = self._kept()
        self._undone = self._undone_now()
        self._item_of, self._items = self._grouped()

    # -- looking -----------------------------------------------------------------------------------------------------

    def queue(self) -> ReviewQueue:
        """Return the groups in the order they are to be looked at; one is open again when its label was undone."""
        with self._lock:
            self._follow_history()
            items = tuple(self._items.values())
        states = [item.state for item in items]
        n_reviewed = states.count(ACCEPTED) + states.count(RELABELLED)
        return ReviewQueue(items, n_reviewed, states.count(SKIPPED))

    def mask(self, item_id: str) -> np.ndarray:
        """Return the cells of a group, shape (n_cells,), bool.

        Raises
        ------
        UnknownColumn
            There is no such group any more.
        """
        with self._lock:
            self._find(item_id)
            mask: np.ndarray = self._item_of == list(self._items).index(item_id)
            return mask

    def following(self, item_id: str | None = None) -> ReviewItem | None:
        """Return the open group after another one in the queue; None when none is open.

        Parameters
        ----------
        item_id
            Where to begin; with None, or a group that was split, at the beginning. After the last group comes the
            first.
        """
        with self._lock:
            self._follow_history()
            items = list(self._items.values())
            place = next((place for place, item in enumerate(items) if item.id == item_id), -1)
            round_ = [*items[place + 1 :], *items[: place + 1]]
            return next((item for item in round_ if item.state == OPEN), None)

    @property
    def sources(self) -> tuple[Source, ...]:
        """The columns and annotations that groups are made of; other values there make other groups."""
        with self._lock:
            splits = [kept.split_by for kept in self._progress.values() if kept.split_by is not None]
        return tuple(dict.fromkeys(source for source in (self._by, *splits) if source != LABEL))

    # -- reviewing ---------------------------------------------------------------------------------------------------

    def accept(self, item_id: str) -> None:
        """Note that the labels of a group are right; see `mask` for the errors."""
        self._note(item_id, ACCEPTED)

    def skip(self, item_id: str) -> None:
        """Put a group off; see `mask` for the errors."""
        self._note(item_id, SKIPPED)

    def reopen(self, item_id: str) -> None:
        """Take back what was noted of a group; see `mask` for the errors. Its labels stay as they are."""
        self._note(item_id, OPEN)

    def relabel(self, item_id: str, text: str, base_version: int) -> Annotation:
        """Give all cells of a group a label.

        Parameters
        ----------
        item_id
            The group.
        text
            The label.
        base_version
            The version of the annotation that the user saw.

        Raises
        ------
        UnknownColumn
            There is no such group any more.
        EditConflict, NameRefused
            See `Labelling.assign`.
        """
        with self._lock:
            mask, title = self.mask(item_id), self._find(item_id).title
            state = self._workspace.assign(self._annotation_id, mask, text, base_version, f"review of {title}")
            # No version came of it when all cells had the label.
            version = state.version if state.version != base_version else 0
            self._note(item_id, RELABELLED, text.strip(), version=version)
            return state

    def split(self, item_id: str, by: Source = LABEL) -> list[str]:
        """Have the parts of a group reviewed instead of it.

        Parameters
        ----------
        item_id
            The group.
        by
            The column whose values make the parts; the label before pruning unless it is said.

        Returns
        -------
        list of str
            The ids of the parts, in the order of the queue.

        Raises
        ------
        UnknownColumn
            There is no such group or column any more.
        PredictionRefused
            There is nothing to split, or too much.
        """
        with self._lock:
            path, mask = self._find(item_id).path, self.mask(item_id)
            column = self._column(by)
            n_parts = len(np.unique(column.codes[mask]))
            if n_parts < 2:
                raise PredictionRefused(f"These cells have only one value of {column.name}. Choose another column.")
            if len(path) >= MOST_LEVELS:
                raise PredictionRefused(f"Groups can be split {MOST_LEVELS - 1} times at most.")
            if len(self._items) + n_parts > MOST_ITEMS:
                raise PredictionRefused(
                    f"{column.name} has {n_parts:,} values there; at most {MOST_ITEMS:,} groups can be reviewed."
                )
            self._note(item_id, SPLIT, split_by=by)
            return [item.id for item in self._items.values() if item.path[:-1] == path]

    def unite(self, path: Path) -> str:
        """Take a split back: the group is reviewed rather than its parts, and what was noted of them is forgotten.

        Returns
        -------
        str
            The group's id.

        Raises
        ------
        UnknownColumn
            No group of this path was split.
        """
        with self._lock:
            item_id = _id_of(path)
            if item_id not in self._progress or self._progress[item_id].state != SPLIT:
                raise UnknownColumn("This group was not split. Load the page again.")
            under = {own for own, kept in self._progress.items() if kept.path[: len(path)] == path}
            self._keep({own: kept for own, kept in self._progress.items() if own not in under})
            return item_id

    # -- within ------------------------------------------------------------------------------------------------------

    @property
    def _setting(self) -> str:
        return f"review:{self._annotation_id}"

    @property
    def _name(self) -> str:
        """What this way to review the annotation is kept as: other columns have progress of their own."""
        return json.dumps([self._by.kind, self._by.key, self._with_labels])

    def _kept(self) -> dict[str, _Progress]:
        kept = (self._workspace.kept(self._setting) or {}).get(self._name, [])
        found = {}
        for values in kept:
            try:
                progress = _Progress.from_json(values)
            except (LookupError, TypeError, ValueError) as error:
                log.warning("What was noted of a group cannot be read: %s", error)
                continue
            found[_id_of(progress.path)] = progress
        return found

    def _note(self, item_id: str, state: str, text: str = "", split_by: Source | None = None, version: int = 0) -> None:
        with self._lock:
            progress = _Progress(self._find(item_id).path, state, text, split_by, version)
            others = {own: kept for own, kept in self._progress.items() if own != item_id}
            self._keep(others if state == OPEN else {**others, item_id: progress})

    def _keep(self, progress: dict[str, _Progress]) -> None:
        if not self._workspace.is_closed:
            all_ = self._workspace.kept(self._setting) or {}
            own = [kept.to_json() for kept in progress.values()]
            self._workspace.keep(self._setting, {**all_, self._name: own})
        self._progress = progress
        self._undone = self._undone_now()
        self._item_of, self._items = self._grouped()

    def _undone_now(self) -> frozenset[int]:
        """Return the versions of the annotation that labels of groups made, and that were undone since."""
        versions = {kept.version for kept in self._progress.values() if kept.version}
        if not versions:
            return frozenset()
        events = self._workspace.history(self._annotation_id)
        # The newest comes first, and the last word counts.
        words: dict[int, str] = {}
        for event in events:
            if event.undoes is not None:
                words.setdefault(event.undoes, event.verb)
        return frozenset(event.version for event in events if words.get(event.seq) == "undo") & versions

    def _follow_history(self) -> None:
        undone = self._undone_now()
        if undone != self._undone:
            self._undone = undone
            self._item_of, self._items = self._grouped()

    def _find(self, item_id: str) -> ReviewItem:
        if item_id not in self._items:
            raise UnknownColumn("This group was split or is gone. Load the page again.")
        return self._items[item_id]

    def _column(self, source: Source) -> CategoryColumn:
        return self._labels if source == LABEL else self._workspace.category(source)

    def _grouped(self) -> tuple[np.ndarray, dict[str, ReviewItem]]:
        """Divide the cells into the groups of the queue; return the place of each cell's group, and the groups."""
        counts = ~np.isnan(self._doubts)
        group_of = np.full(len(counts), -1, np.int32)
        paths: list[Path] = []
        pending: deque[tuple[Path, np.ndarray, Source]] = deque([((), np.flatnonzero(counts), self._by)])
        while pending:
            above, cells, source = pending.popleft()
            for path, own in _parts(above, cells, source, self._clusters if not above else self._column(source)):
                split_by = self._split_by(path)
                if split_by is not None:
                    pending.append((path, own, split_by))
                    continue
                group_of[own] = len(paths)
                paths.append(path)
                if len(paths) > MOST_ITEMS:
                    raise PredictionRefused(
                        f"{self._clusters.name} has too many groups to review; {MOST_ITEMS:,} are possible. Choose "
                        "another column."
                    )
        found = group_doubts(group_of, self._doubts, len(paths))
        usual = np.append(usual_labels(group_of, self._labels.codes, len(self._labels.labels)), -1)
        n_usual = np.bincount(group_of[counts & (self._labels.codes == usual[group_of])], minlength=len(paths))
        items = {}
        for place in found.order.tolist():
            path = paths[place]
            progress = self._progress.get(_id_of(path))
            is_known = progress is not None and progress.state != SPLIT and progress.version not in self._undone
            label = int(usual[place]) if place < len(usual) - 1 else -1
            items[_id_of(path)] = ReviewItem(
                id=_id_of(path),
                path=path,
                state=progress.state if progress and is_known else OPEN,
                text=progress.text if progress and is_known else "",
                n_cells=int(found.sizes[place]),
                uncertainty=float(found.uncertainty[place]),
                in_doubt=float(found.in_doubt[place]),
                label=self._labels.labels[label] if label >= 0 else "",
                n_label=int(n_usual[place]) if label >= 0 else 0,
            )
        # One more place, for the -1 of cells that were not to be labelled.
        place_of = np.full(len(paths) + 1, -1, np.int32)
        place_of[found.order] = np.arange(len(found.order))
        return place_of[group_of], items

    def _split_by(self, path: Path) -> Source | None:
        """Return the column that a group was split by, None when it was not or the column is gone."""
        progress = self._progress.get(_id_of(path))
        if progress is not None and progress.split_by is not None:
            try:
                self._column(progress.split_by)
            except UnknownColumn:
                return None
            return progress.split_by
        return LABEL if self._with_labels and len(path) == 1 else None


def _parts(above: Path, cells: np.ndarray, source: Source, column: CategoryColumn) -> list[tuple[Path, np.ndarray]]:
    """Divide some cells by their values in a column."""
    codes = column.codes[cells]
    order = np.argsort(codes, kind="stable")
    values, starts = np.unique(codes[order], return_index=True)
    return [
        ((*above, (source.kind, source.key, column.labels[value] if value >= 0 else None)), np.sort(cells[own]))
        for value, own in zip(values.tolist(), np.split(order, starts[1:]), strict=True)
    ]


def _id_of(path: Path) -> str:
    return hashlib.blake2b(json.dumps(path).encode(), digest_size=8).hexdigest()
