"""The edits a user makes: each takes the state of an annotation and gives the change to make."""

import re
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from iscan_dash.core import palette
from iscan_dash.core.annotations.annotation import DEFAULT, Annotation, Header, Label
from iscan_dash.core.annotations.change import Change
from iscan_dash.core.annotations.names import check_description, check_label, check_name
from iscan_dash.core.study.columns import CategoryColumn
from iscan_dash.errors import NameRefused

DESCRIPTION_LENGTH = 2000


def create(state: Annotation, header: Header, codes: np.ndarray) -> Change:
    """Bring an annotation into being.

    Parameters
    ----------
    state
        The state before it exists.
    header
        Its header.
    codes
        Label id of each cell, shape (n_cells,), int32; all must be in the header's list.

    Raises
    ------
    ValueError
        A cell carries a label id that the header does not have.
    """
    used = np.flatnonzero(np.bincount(codes))
    if not set(used.tolist()) <= set(header.by_id):
        raise ValueError("a cell carries a label that the annotation does not have")
    return Change.between(state, header, codes)


def rename(state: Annotation, name: str, taken: Mapping[str, str]) -> Change:
    """Give an annotation another name; its id, labels and cells stay.

    Raises
    ------
    NameRefused
        The name breaks a rule or is taken.
    """
    others = {other: user for other, user in taken.items() if other != state.live.name}
    return Change.between(state, replace(state.live, name=check_name(name, others)))


def describe(state: Annotation, description: str) -> Change:
    """Change the free text of an annotation (at most 2,000 characters are kept).

    Raises
    ------
    NameRefused
        It has characters that no label may have either (E08).
    """
    kept = check_description(description)[:DESCRIPTION_LENGTH]
    return Change.between(state, replace(state.live, description=kept))


def rename_label(state: Annotation, label_id: int, text: str) -> Change:
    """Change the text of one label, the default one included.

    Raises
    ------
    NameRefused
        The label breaks a rule, or the annotation has another label of that text (E09).
    """
    kept = check_label(text)
    if any(label.text == kept and label.id != label_id for label in state.live.labels):
        raise NameRefused("E09", f'This annotation already has a label "{kept}". Choose another text.')
    return Change.between(state, state.live.with_label(replace(state.live.label(label_id), text=kept)))


def relabel(state: Annotation, rows: np.ndarray, column: CategoryColumn) -> Change:
    """Give some cells the labels that a column has for them.

    Labels that the annotation does not have yet are added at its end, with colours of their own; where the column has
    no value the default label is given.

    Parameters
    ----------
    state
        The annotation.
    rows
        The cells, shape (n_cells,), bool.
    column
        The labels, one for each cell of the study.

    Raises
    ------
    NameRefused
        A label breaks a rule.
    """
    header, last_id = state.live, state.last_id
    ids = np.full(len(column.labels) + 1, DEFAULT, np.int32)
    by_text = {label.text: label.id for label in header.labels}
    for code in np.unique(column.codes[rows]):
        if code < 0:
            continue
        text = check_label(column.labels[code])
        if text not in by_text:
            last_id += 1
            colour = palette.next_colour([label.colour for label in header.labels])
            header = replace(header, labels=(*header.labels, Label(last_id, text, colour)))
            by_text[text] = last_id
        ids[code] = by_text[text]
    codes = state.codes.copy()
    codes[rows] = ids[column.codes[rows]]
    return Change.between(state, header, codes)


def recolour_label(state: Annotation, label_id: int, colour: str) -> Change:
    """Give one label another colour.

    Raises
    ------
    NameRefused
        The colour is not of the form ``#rrggbb``.
    """
    if not re.fullmatch(r"#[0-9a-fA-F]{6}", colour):
        raise NameRefused("E08", f'"{colour}" is not a colour. Write it as #rrggbb.')
    return Change.between(state, state.live.with_label(replace(state.live.label(label_id), colour=colour.lower())))


def delete(state: Annotation) -> Change:
    """Take an annotation away; the inverse brings it back as it was."""
    return Change.between(state, None, np.zeros_like(state.codes))


def revert(state: Annotation, earlier: Annotation) -> Change:
    """Make an annotation what it was at an earlier version."""
    return Change.between(state, earlier.header, earlier.codes)
