"""An annotation: one label a cell, drawn from a list of labels of its own."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any

import numpy as np

from iscan_dash.core.study.columns import CategoryColumn, code_type
from iscan_dash.errors import UnknownColumn

DEFAULT = 0
"""Id of the default label: that of every cell nobody labelled."""


@dataclass(frozen=True)
class Label:
    """One label of an annotation.

    Parameters
    ----------
    id
        Number that the cells carry; never used again in the same annotation, so a rename touches no cell.
    text
        What the user reads.
    colour
        ``"#rrggbb"``; belongs to the label for ever.
    description
        Free text.
    ontology
        A term such as ``"CL:0000084"``, ``""`` for none.
    markers, absent_markers
        Genes that its cells express, and that they do not.
    """

    id: int
    text: str
    colour: str
    description: str = ""
    ontology: str = ""
    markers: tuple[str, ...] = ()
    absent_markers: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Return plain values that `from_json` reads back; what is empty is left out."""
        return {name: value for name, value in vars(self).items() if value not in ("", ())}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Label":
        """Read back what `to_json` gave."""
        genes = {name: tuple(values[name]) for name in ("markers", "absent_markers") if name in values}
        return cls(**{**values, **genes})


@dataclass(frozen=True)
class Header:
    """All of an annotation but its cells.

    Parameters
    ----------
    name
        Its name.
    labels
        Its labels in display order; the first has the id 0 and is the default label.
    owner
        Who made it.
    created
        When, ISO 8601 in UTC.
    origin
        ``"existing"``, ``"empty"`` or ``"duplicate"``.
    recipe
        How it was made, as plain JSON values.
    description
        Free text.
    """

    name: str
    labels: tuple[Label, ...]
    owner: str
    created: str
    origin: str
    recipe: Mapping[str, Any] = field(default_factory=dict)
    description: str = ""

    @property
    def default(self) -> Label:
        """The default label."""
        return self.labels[0]

    @cached_property
    def by_id(self) -> dict[int, Label]:
        """The labels by their id."""
        return {label.id: label for label in self.labels}

    def label(self, label_id: int) -> Label:
        """Return one of the labels.

        Raises
        ------
        UnknownColumn
            There is no label of that id.
        """
        if label_id not in self.by_id:
            raise UnknownColumn(f'"{self.name}" does not have this label. Load the page again.')
        return self.by_id[label_id]

    def with_label(self, label: Label) -> "Header":
        """Return the header with one label replaced by its new form."""
        return replace(self, labels=tuple(label if own.id == label.id else own for own in self.labels))

    def to_json(self) -> dict[str, Any]:
        """Return plain values that `from_json` reads back."""
        # Not by `asdict`, which copies every value and makes an edit of many labels slow.
        values = {own.name: getattr(self, own.name) for own in fields(self)}
        return {**values, "labels": [label.to_json() for label in self.labels]}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> "Header":
        """Read back what `to_json` gave.

        Examples
        --------
        >>> header = Header("fate", (Label(0, "Unassigned", "#bbbbbb"),), "ada", "2026-01-01T00:00:00+00:00", "empty")
        >>> Header.from_json(header.to_json()) == header
        True
        """
        return cls(**{**values, "labels": tuple(map(Label.from_json, values["labels"]))})


@dataclass(frozen=True, eq=False)
class Annotation:
    """The state of an annotation at one version.

    Parameters
    ----------
    id
        Its identity, kept through renames and never used again.
    header
        Name, labels and the rest; None while the annotation is deleted.
    codes
        Label id of each cell, shape (n_cells,), int32, read-only.
    version
        Number of events so far.
    modified
        When the last of them was, ISO 8601 in UTC.
    last_id
        The largest label id it ever had: the next label takes the one after, so that no id is used twice.
    """

    id: str
    header: Header | None
    codes: np.ndarray
    version: int
    modified: str
    last_id: int = 0

    @property
    def live(self) -> Header:
        """The header of an annotation that is not deleted."""
        assert self.header is not None, f"annotation {self.id} is deleted"
        return self.header

    @cached_property
    def counts(self) -> dict[int, int]:
        """Cells of each label by its id, labels without cells included."""
        tally = np.bincount(self.codes, minlength=max(self.live.by_id) + 1)
        return {label.id: int(tally[label.id]) for label in self.live.labels}

    @property
    def n_labels(self) -> int:
        """Number of labels, the default one counted only when a cell has it."""
        return len(self.live.labels) - (self.counts[DEFAULT] == 0)

    @property
    def n_set(self) -> int:
        """Cells whose label is not the default."""
        return len(self.codes) - self.counts[DEFAULT]

    @cached_property
    def column(self) -> CategoryColumn:
        """The annotation as a column of a study; every label is kept, used or not, and no cell is missing."""
        labels = self.live.labels
        table = np.zeros(max(self.live.by_id) + 1, code_type(len(labels)))
        table[[label.id for label in labels]] = np.arange(len(labels))
        return CategoryColumn(self.live.name, table[self.codes], tuple(label.text for label in labels))


def absent(annotation_id: str, n_cells: int) -> Annotation:
    """Return the state of an annotation before it exists, the start of every history."""
    codes = np.zeros(n_cells, np.int32)
    codes.flags.writeable = False
    return Annotation(annotation_id, None, codes, 0, "")
