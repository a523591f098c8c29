"""Edits of labels by a user: each is one event with a sentence for the history."""

import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from iscan_dash.core.annotations import Annotation, edits, label_edits
from iscan_dash.core.annotations.annotation import DEFAULT, Header
from iscan_dash.core.annotations.names import check_label
from iscan_dash.core.annotations.prune_again import prune_again
from iscan_dash.core.study import CategoryColumn, Study
from iscan_dash.core.words import counted
from iscan_dash.errors import NameRefused
from iscan_dash.services import patterns
from iscan_dash.services.ledger import Ledger

MOST_NAMED = 3
"""Labels that a sentence names; of more it tells how many."""


@dataclass(frozen=True)
class Split:
    """What would come of splitting a label.

    Parameters
    ----------
    version
        The version of the annotation that was looked at.
    counts
        Cells by the label that they would get.
    merged
        Labels of these that the annotation has already.
    n_missing
        Cells that would keep the label, because they have no value.
    """

    version: int
    counts: dict[str, int]
    merged: list[str]
    n_missing: int


class Labelling(Ledger):
    """A ledger whose labels can be edited. See `Ledger` for the parameters.

    Every method takes the version of the annotation that the user saw, and raises `EditConflict` when it is not the
    newest or the annotation is somebody else's, `NameRefused` when a label breaks a rule, and `UnknownColumn` when the
    annotation has no such label. What changes nothing is no event.
    """

    def __init__(self, study: Study, **options: Any) -> None:
        super().__init__(study, **options)
        self._own_turn = threading.Lock()

    def assign(
        self, annotation_id: str, rows: np.ndarray, text: str, base_version: int, chosen_by: str = ""
    ) -> Annotation:
        """Give some cells a label, which is added when the annotation does not have it.

        Parameters
        ----------
        annotation_id
            The annotation.
        rows
            The cells, shape (n_cells,), bool; none of them means that nothing happens.
        text
            The label.
        base_version
            The version the user saw.
        chosen_by
            How the cells were chosen, for the history; ``""`` when nothing is to be said of it.
        """
        with self._lock:
            state = self._current(annotation_id, base_version)
            if not text.strip():
                raise NameRefused("E10", "Enter a label.")
            column = CategoryColumn("", np.zeros(len(rows), np.int8), (text,))
            change = edits.relabel(state, rows, column)
            n_cells, n_changed = int(np.count_nonzero(rows)), change.delta.n_cells
            said = f'{counted(n_cells, "cell")} set to "{check_label(text)}"'
            if n_changed < n_cells:
                said += f", {n_changed:,} of them changed"
            return self._apply(change, "assign", f"{said} ({chosen_by})" if chosen_by else said)

    def prune_again(
        self,
        annotation_id: str,
        labels: Sequence[str],
        before: np.ndarray,
        after: np.ndarray,
        recipe: Mapping[str, Any],
        base_version: int,
        cutoff: str,
    ) -> Annotation:
        """Give cells the labels that another cutoff of their prediction leaves; see the function of that name.

        Parameters
        ----------
        annotation_id
            The annotation.
        labels, before, after, recipe
            Labels of the prediction, those of each cell by the former cutoff and by the new one, and the new recipe.
        base_version
            The version the user saw.
        cutoff
            The cutoff in words.
        """
        with self._lock:
            state = self._current(annotation_id, base_version)
            change, n_edited = prune_again(state, self.origin(annotation_id), labels, before, after, recipe)
            edited = f", {counted(n_edited, 'edited cell')} kept" if n_edited else ""
            said = f"{counted(change.delta.n_cells, 'cell')} changed{edited}"
            return self._apply(change, "prune", f"Outlier cutoff {cutoff}: {said}")

    def origin(self, annotation_id: str) -> Header:
        """Return what an annotation was when it was made; one of another user is taken as it is."""
        with self._lock:
            if not self.is_own(annotation_id):
                return self.annotation(annotation_id).live
            return self._at(annotation_id, 1)[0].live

    def rename_label(self, annotation_id: str, label_id: int, text: str, base_version: int) -> Annotation:
        """Rename a label; another one of that text is refused (E09), see `merge_labels`."""
        with self._lock:
            state = self._current(annotation_id, base_version)
            before = state.live.label(label_id).text
            if label_id != DEFAULT and not text.strip():
                raise NameRefused("E10", "Enter a label.")
            change = edits.rename_label(state, label_id, text)
            what = "Default label" if label_id == DEFAULT else "Label"
            after = change.after.label(label_id).text if change.after else ""
            description = f'{what} "{before}" renamed to "{after}"'
            return self._apply(change, "rename label", description)

    def recolour_label(self, annotation_id: str, label_id: int, colour: str, base_version: int) -> Annotation:
        """Give a label another colour."""
        with self._lock:
            state = self._current(annotation_id, base_version)
            description = f'Colour of "{state.live.label(label_id).text}" changed'
            return self._apply(edits.recolour_label(state, label_id, colour), "recolour", description)

    def add_label(self, annotation_id: str, text: str, base_version: int) -> Annotation:
        """Add a label that no cell has yet."""
        with self._lock:
            state = self._current(annotation_id, base_version)
            change = label_edits.add_label(state, text)
            return self._apply(change, "add label", f'Label "{check_label(text)}" added')

    def merge_labels(self, annotation_id: str, sources: Sequence[int], target: int, base_version: int) -> Annotation:
        """Give the cells of some labels another label, and take the former away."""
        with self._lock:
            state = self._current(annotation_id, base_version)
            gone = [state.live.label(source).text for source in dict.fromkeys(sources) if source != target]
            into = state.live.label(target).text
            change = label_edits.merge_labels(state, sources, target)
            return self._apply(change, "merge labels", f'{_named(gone)} merged into "{into}"')

    def delete_label(self, annotation_id: str, label_id: int, base_version: int) -> Annotation:
        """Take a label away; its cells get the default label."""
        with self._lock:
            state = self._current(annotation_id, base_version)
            text = state.live.label(label_id).text
            change = label_edits.delete_label(state, label_id)
            said = f', {counted(change.delta.n_cells, "cell")} set to "{state.live.default.text}"'
            description = f'Label "{text}" deleted{said if change.delta.n_cells else ""}'
            return self._apply(change, "delete label", description)

    def split_label(
        self, annotation_id: str, label_id: int, column: CategoryColumn, delimiter: str, base_version: int
    ) -> Annotation:
        """Split a label by the values of a column; one with too many values is refused (E23)."""
        with self._lock:
            state = self._current(annotation_id, base_version)
            text = state.live.label(label_id).text
            self._check_split(state, label_id, column)
            change = label_edits.split_label(state, label_id, column, delimiter)
            return self._apply(change, "split label", f'Label "{text}" split by {column.name}')

    def find_split(self, annotation_id: str, label_id: int, column: CategoryColumn, delimiter: str) -> Split:
        """Return what would come of splitting a label; see `label_edits.split_label` for the errors."""
        state = self.annotation(annotation_id)
        self._check_split(state, label_id, column)
        texts = label_edits.split_texts(state, label_id, column, delimiter)
        tally = _tally(state, label_id, column)
        counts: dict[str, int] = defaultdict(int)
        for code, text in texts.items():
            counts[text] += int(tally[code + 1])
        merged = [text for text in counts if label_edits.label_of(state.live, text)]
        return Split(state.version, dict(counts), merged, int(tally[0]))

    def _check_split(self, state: Annotation, label_id: int, column: CategoryColumn) -> None:
        n_values = int(np.count_nonzero(_tally(state, label_id, column)[1:]))
        if n_values > self.max_items:
            raise NameRefused(
                "E23", f'"{column.name}" has {n_values:,} values there; at most {self.max_items:,} labels are made.'
            )

    def find_in_labels(
        self, annotation_id: str, find: str, replacement: str, *, is_pattern: bool, ignore_case: bool
    ) -> dict[int, str]:
        """Return what labels would read like after find and replace, by label id: those that change.

        Raises
        ------
        NameRefused
            The regular expression is none, or takes too long (E18).
        UnknownColumn
            There is no such annotation.
        """
        header = self.annotation(annotation_id).live
        if not is_pattern:
            return label_edits.replaced_texts(header, find, replacement, ignore_case=ignore_case)
        if not find:
            return {}
        texts = [label.text for label in header.labels]
        with patterns.turn(self._own_turn):
            changed = patterns.substitute(texts, find, replacement, ignore_case=ignore_case)
        return label_edits.changed_texts(header, changed)

    def replace_in_labels(
        self,
        annotation_id: str,
        find: str,
        replacement: str,
        base_version: int,
        *,
        is_pattern: bool,
        ignore_case: bool,
    ) -> Annotation:
        """Find and replace in all labels; those that come to read alike are merged."""
        self._current(annotation_id, base_version)
        # Without the lock: it may take a while. The version below is the one that was looked at.
        texts = self.find_in_labels(annotation_id, find, replacement, is_pattern=is_pattern, ignore_case=ignore_case)
        with self._lock:
            state = self._current(annotation_id, base_version)
            change = label_edits.retext(state, texts)
            many = counted(len(texts), "label")
            return self._apply(change, "replace", f'"{find}" replaced by "{replacement}" in {many}')

    def detail_label(
        self,
        annotation_id: str,
        label_id: int,
        base_version: int,
        *,
        description: str,
        ontology: str,
        markers: Sequence[str],
        absent_markers: Sequence[str],
    ) -> Annotation:
        """Change what is noted of a label: description, ontology term, markers."""
        with self._lock:
            state = self._current(annotation_id, base_version)
            change = label_edits.detail_label(
                state,
                label_id,
                description=description,
                ontology=ontology,
                markers=markers,
                absent_markers=absent_markers,
            )
            return self._apply(change, "describe label", f'Label "{state.live.label(label_id).text}" described')


def _tally(state: Annotation, label_id: int, column: CategoryColumn) -> np.ndarray:
    """Count the values that a column has in the cells of a label; the first entry is of cells without a value."""
    codes = column.codes[state.codes == label_id].astype(np.intp)
    return np.bincount(codes + 1, minlength=len(column.labels) + 1)


def merged_by(state: Annotation, texts: Mapping[int, str]) -> int:
    """Count the labels that go because they come to read like another one."""
    after = label_edits.retext(state, texts).after
    return len(state.live.labels) - len(after.labels) if after else 0


def _named(texts: Sequence[str]) -> str:
    if len(texts) > MOST_NAMED:
        return counted(len(texts), "label")
    return ", ".join(f'"{text}"' for text in texts)
