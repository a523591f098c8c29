"""The edits of an annotation's labels: each takes the state of an annotation and gives the change to make."""

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from iscan_dash.core import palette
from iscan_dash.core.annotations.annotation import DEFAULT, Annotation, Header, Label
from iscan_dash.core.annotations.change import Change
from iscan_dash.core.annotations.edits import DESCRIPTION_LENGTH
from iscan_dash.core.annotations.names import check_description, check_label
from iscan_dash.core.study.columns import CategoryColumn
from iscan_dash.errors import NameRefused

MOST_MARKERS = 200
"""Marker genes of one label, of either kind."""

TERM = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,31}:[A-Za-z0-9_.-]{1,64}")
"""An ontology term, such as ``CL:0000084``."""


def label_of(header: Header, text: str) -> Label | None:
    """Return the label of a text, None when the annotation has none."""
    return next((label for label in header.labels if label.text == text), None)


def case_twins(header: Header) -> list[list[Label]]:
    """Return groups of labels that differ only in case, each in display order.

    Examples
    --------
    >>> labels = (Label(0, "none", "#bbbbbb"), Label(1, "T cell", "#000000"), Label(2, "T Cell", "#111111"))
    >>> header = Header("fate", labels, "ada", "2026-01-01T00:00:00+00:00", "empty")
    >>> [[label.text for label in group] for group in case_twins(header)]
    [['T cell', 'T Cell']]
    """
    groups: dict[str, list[Label]] = defaultdict(list)
    for label in header.labels:
        groups[label.text.casefold()].append(label)
    return [group for group in groups.values() if len(group) > 1]


def add_label(state: Annotation, text: str) -> Change:
    """Add a label that no cell has yet.

    Raises
    ------
    NameRefused
        The label breaks a rule, or the annotation has it already (E09).
    """
    kept = _checked(text)
    if label_of(state.live, kept):
        raise NameRefused("E09", f'This annotation already has a label "{kept}". Choose another text.')
    return Change.between(state, _with_new(state, [kept])[0])


def merge_labels(state: Annotation, sources: Iterable[int], target: int) -> Change:
    """Give the cells of some labels another label, and take the former away.

    Parameters
    ----------
    state
        The annotation.
    sources
        Ids of the labels that go.
    target
        Id of the label that their cells get; among the sources it is left aside.

    Raises
    ------
    NameRefused
        The default label is among those that would go (E19).
    UnknownColumn
        A label does not exist.
    """
    header = state.live
    into = header.label(target)
    gone = {header.label(source).id for source in sources} - {into.id}
    if DEFAULT in gone:
        raise _default_stays(header)
    table = np.arange(max(header.by_id) + 1, dtype=np.int32)
    table[list(gone)] = into.id
    labels = tuple(label for label in header.labels if label.id not in gone)
    return Change.between(state, replace(header, labels=labels), table[state.codes])


def delete_label(state: Annotation, label_id: int) -> Change:
    """Take a label away; its cells get the default label. See `merge_labels` for the errors."""
    if label_id == DEFAULT:
        raise _default_stays(state.live)
    return merge_labels(state, [label_id], DEFAULT)


def split_label(state: Annotation, label_id: int, column: CategoryColumn, delimiter: str) -> Change:
    """Split a label by another column: each of its cells gets ``label + delimiter + value``.

    Cells without a value keep the label; when none does it goes, unless it is the default one.

    Parameters
    ----------
    state
        The annotation.
    label_id
        The label.
    column
        One value for each cell of the study.
    delimiter
        What stands between the label and the value.

    Raises
    ------
    NameRefused
        A label that would come of it breaks a rule.
    UnknownColumn
        The label does not exist.
    """
    rows = state.codes == label_id
    texts = split_texts(state, label_id, column, delimiter)
    header, ids = _with_new(state, list(texts.values()))
    # The last entry serves cells without a value.
    table = np.full(len(column.labels) + 1, label_id, np.int32)
    for code, text in texts.items():
        table[code] = ids[text]
    codes = state.codes.copy()
    codes[rows] = table[column.codes[rows]]
    if texts and label_id != DEFAULT and label_id not in codes:
        header = replace(header, labels=tuple(label for label in header.labels if label.id != label_id))
    return Change.between(state, header, codes)


def split_texts(state: Annotation, label_id: int, column: CategoryColumn, delimiter: str) -> dict[int, str]:
    """Return the labels that the cells of a label would get, by the code of the value that they have in a column.

    See `split_label` for the parameters and errors. Several values may come to one label.
    """
    own = state.live.label(label_id)
    found = np.unique(column.codes[state.codes == label_id]).tolist()
    return {code: _checked(f"{own.text}{delimiter}{column.labels[code]}") for code in found if code >= 0}


def retext(state: Annotation, texts: Mapping[int, str]) -> Change:
    """Give several labels other texts at once; those that come to read alike are merged.

    Of labels that become one, the default label stays, else the one that has the text already, else the first.

    Parameters
    ----------
    state
        The annotation.
    texts
        New texts by label id.

    Raises
    ------
    NameRefused
        A label breaks a rule.
    UnknownColumn
        A label does not exist.
    """
    header = state.live
    wanted = {header.label(label_id).id: _checked(text) for label_id, text in texts.items()}
    groups: dict[str, list[Label]] = defaultdict(list)
    for label in header.labels:
        groups[wanted.get(label.id, label.text)].append(label)
    table = np.arange(max(header.by_id) + 1, dtype=np.int32)
    stays: dict[int, str] = {}
    for text, group in groups.items():
        one = next((label for label in group if label.id == DEFAULT), None)
        one = one or next((label for label in group if label.text == text), group[0])
        stays[one.id] = text
        table[[label.id for label in group]] = one.id
    labels = tuple(replace(label, text=stays[label.id]) for label in header.labels if label.id in stays)
    return Change.between(state, replace(header, labels=labels), table[state.codes])


def replaced_texts(header: Header, find: str, substitute: str, *, ignore_case: bool = False) -> dict[int, str]:
    """Return what the labels that contain a text would read like with another in its place, by label id.

    Parameters
    ----------
    header
        The annotation's header.
    find
        The text to look for; nothing is found by an empty one.
    substitute
        What takes its place.
    ignore_case
        Whether case does not matter.
    """
    if not find:
        return {}
    pattern = re.compile(re.escape(find), re.IGNORECASE if ignore_case else 0)
    return changed_texts(header, [pattern.sub(lambda _: substitute, label.text) for label in header.labels])


def changed_texts(header: Header, texts: Sequence[str]) -> dict[int, str]:
    """Return the new texts of those labels whose text changes, by label id; `texts` has one for each label."""
    pairs = zip(header.labels, texts, strict=True)
    return {label.id: text for label, text in pairs if text != label.text}


def detail_label(
    state: Annotation,
    label_id: int,
    *,
    description: str | None = None,
    ontology: str | None = None,
    markers: Sequence[str] | None = None,
    absent_markers: Sequence[str] | None = None,
) -> Change:
    """Change what is known of a label besides its text; what is None stays.

    Parameters
    ----------
    state
        The annotation.
    label_id
        The label.
    description
        Free text, of which 2,000 characters are kept.
    ontology
        A term such as ``"CL:0000084"``, ``""`` for none.
    markers, absent_markers
        Genes that its cells express, and that they do not.

    Raises
    ------
    NameRefused
        A text has characters that no label may have (E08), the term is none (E20), or a gene is in both lists (E22).
    UnknownColumn
        The label does not exist.
    """
    label = state.live.label(label_id)
    if description is not None:
        label = replace(label, description=check_description(description)[:DESCRIPTION_LENGTH])
    if ontology is not None:
        term = ontology.strip()
        if term and not TERM.fullmatch(term):
            raise NameRefused("E20", f'"{term}" is no ontology term. Write it like CL:0000084, or leave it empty.')
        label = replace(label, ontology=term)
    if markers is not None:
        label = replace(label, markers=_genes(markers))
    if absent_markers is not None:
        label = replace(label, absent_markers=_genes(absent_markers))
    both = sorted({*label.markers} & {*label.absent_markers})
    if both:
        raise NameRefused("E22", f"{both[0]} is listed as a marker and as absent. Take it out of one of the lists.")
    return Change.between(state, state.live.with_label(label))


def _default_stays(header: Header) -> NameRefused:
    return NameRefused("E19", f'"{header.default.text}" is the default label: it can be renamed, but not taken away.')


def _checked(text: str) -> str:
    """Return a label as it will be kept; an empty one is refused in words that fit."""
    if not text.strip():
        raise NameRefused("E10", "Enter a label.")
    return check_label(text)


def _with_new(state: Annotation, texts: Sequence[str]) -> tuple[Header, dict[str, int]]:
    """Return the header with labels of some texts added where it lacks them, and the id of each text."""
    header, last_id = state.live, state.last_id
    ids = {label.text: label.id for label in header.labels}
    colours = [label.colour for label in header.labels]
    added = []
    for text in texts:
        if text not in ids:
            last_id += 1
            colours.append(palette.next_colour(colours))
            added.append(Label(last_id, text, colours[-1]))
            ids[text] = last_id
    return replace(header, labels=(*header.labels, *added)), ids


def _genes(names: Sequence[str]) -> tuple[str, ...]:
    """Return names of genes as they are kept: trimmed, each once, in their order."""
    kept = dict.fromkeys(name.strip() for name in names if name.strip())
    if len(kept) > MOST_MARKERS:
        raise NameRefused("E07", f"{len(kept)} genes are too many; the limit is {MOST_MARKERS}.")
    return tuple(check_label(name) for name in kept)
