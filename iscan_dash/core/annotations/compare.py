"""Compare two states of an annotation: which cells have other labels, and what else is different."""

from dataclasses import dataclass

import numpy as np

from iscan_dash.core.annotations.annotation import Annotation


@dataclass(frozen=True)
class Moved:
    """Cells that had one label and have another.

    Parameters
    ----------
    before, after
        The two labels.
    n_cells
        How many cells.
    """

    before: str
    after: str
    n_cells: int


@dataclass(frozen=True)
class Comparison:
    """What differs between two states of an annotation.

    Parameters
    ----------
    moved
        Cells by the labels that they had and have, most cells first.
    changes
        What else differs, a sentence each: name, description, labels.
    """

    moved: tuple[Moved, ...]
    changes: tuple[str, ...]

    @property
    def n_cells(self) -> int:
        """Cells whose label differs."""
        return sum(moved.n_cells for moved in self.moved)


def compare(earlier: Annotation, now: Annotation) -> Comparison:
    """Compare an annotation with what it was.

    A label that was only renamed moves no cell: a cell has another label when it carries another label id.

    Parameters
    ----------
    earlier, now
        Two states of the same annotation, both not deleted.

    Examples
    --------
    >>> from iscan_dash.core.annotations import Header, Label
    >>> labels = (Label(0, "none", "#bbbbbb"), Label(1, "T", "#000000"))
    >>> header = Header("fate", labels, "ada", "2026-01-01T00:00:00+00:00", "empty")
    >>> old = Annotation("a", header, np.array([0, 0, 1], np.int32), 1, "")
    >>> compare(old, Annotation("a", header, np.array([1, 1, 1], np.int32), 2, "")).moved
    (Moved(before='none', after='T', n_cells=2),)
    """
    rows = np.flatnonzero(earlier.codes != now.codes)
    pairs = np.stack([earlier.codes[rows], now.codes[rows]])
    kinds, counts = np.unique(pairs, axis=1, return_counts=True)
    before, after = earlier.live.by_id, now.live.by_id
    moved = [
        Moved(before[old].text, after[new].text, int(count))
        for (old, new), count in zip(kinds.T.tolist(), counts, strict=True)
    ]
    return Comparison(tuple(sorted(moved, key=lambda one: -one.n_cells)), tuple(_changes(earlier, now)))


def _changes(earlier: Annotation, now: Annotation) -> list[str]:
    old, new = earlier.live, now.live
    found = []
    if old.name != new.name:
        found.append(f'It was called "{old.name}".')
    if old.description != new.description:
        found.append(f'Its description was "{old.description}".' if old.description else "It had no description.")
    for label in new.labels:
        known = old.by_id.get(label.id)
        if known is None:
            found.append(f'Label "{label.text}" is new.')
        elif known.text != label.text:
            found.append(f'Label "{label.text}" was called "{known.text}".')
        elif known.colour != label.colour:
            found.append(f'Label "{label.text}" had another colour.')
        elif known != label:
            found.append(f'What is noted of label "{label.text}" was different.')
    found += [f'Label "{label.text}" is gone.' for label in old.labels if label.id not in new.by_id]
    return found
