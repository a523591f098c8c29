"""Another cutoff for an annotation that a prediction made, without losing what was edited since."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from iscan_dash.core.annotations import edits
from iscan_dash.core.annotations.annotation import DEFAULT, Annotation, Header
from iscan_dash.core.annotations.change import Change
from iscan_dash.core.annotations.names import check_label
from iscan_dash.core.study.columns import CategoryColumn


def prune_again(
    state: Annotation,
    origin: Header,
    labels: Sequence[str],
    before: np.ndarray,
    after: np.ndarray,
    recipe: Mapping[str, Any],
) -> tuple[Change, int]:
    """Give cells the labels that other cutoffs leave them, where they still have what the former cutoffs left them.

    Labels that were renamed since keep their new names; those that were taken away come back where cells need them.

    Parameters
    ----------
    state
        The annotation.
    origin
        What it was when the prediction made it: its labels then are known by their ids since.
    labels
        The labels of the prediction.
    before, after
        Label of each cell by the cutoffs so far and by the new ones, as positions in `labels`, -1 for none;
        shape (n_cells,), integer.
    recipe
        What the annotation's recipe becomes.

    Returns
    -------
    change : Change
        The change.
    n_edited : int
        Cells that the new cutoffs have another label for, but that stay as they were edited.
    """
    header = state.live
    ids = result_ids(header, origin, labels)
    known = [header.by_id.get(own) for own in ids[:-1].tolist()]
    texts = [own.text if own else label for own, label in zip(known, labels, strict=True)]
    differs = before != after
    is_own = state.codes == ids[before]
    n_edited = int((differs & ~is_own & (state.codes != ids[after])).sum())
    change = edits.relabel(state, differs & is_own, CategoryColumn("", after, tuple(texts)))
    assert change.after is not None
    return replace(change, after=replace(change.after, recipe=recipe)), n_edited


def result_ids(header: Header, origin: Header, labels: Sequence[str]) -> np.ndarray:
    """Return the ids by which an annotation has the labels of the prediction that made it.

    Parameters
    ----------
    header
        What the annotation is now.
    origin
        What it was when the prediction made it.
    labels
        The labels of the prediction.

    Returns
    -------
    numpy.ndarray
        shape (n_labels + 1,), int64, -1 for a label that it does not have. The last place, that of the code -1, is the
        default label.
    """
    # A label that no cell had at first came with another cutoff; it is known by its text alone.
    by_text = {label.text: label.id for own in (header, origin) for label in own.labels}
    return np.array([*(by_text.get(check_label(label), -1) for label in labels), DEFAULT], np.int64)
