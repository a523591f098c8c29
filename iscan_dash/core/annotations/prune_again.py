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
    by_text = {label.text: label.id for label in origin.labels}
    # The last place is that of no label.
    ids = np.full(len(labels) + 1, DEFAULT, np.int64)
    texts = []
    for code, label in enumerate(labels):
        ids[code] = by_text.get(check_label(label), -1)
        known = header.by_id.get(int(ids[code]))
        texts.append(known.text if known else label)
    differs = before != after
    is_own = state.codes == ids[before]
    n_edited = int((differs & ~is_own & (state.codes != ids[after])).sum())
    change = edits.relabel(state, differs & is_own, CategoryColumn("", after, tuple(texts)))
    assert change.after is not None
    return replace(change, after=replace(change.after, recipe=recipe)), n_edited
