"""What a group of cells is made of, by the labels of a column."""

from dataclasses import dataclass

import numpy as np

from iscan_dash.core.study.columns import CategoryColumn


@dataclass(frozen=True)
class Part:
    """The cells of a group that have the same label.

    Parameters
    ----------
    label
        The label.
    count
        How many cells of the group have it.
    total
        How many cells of the study have it.
    """

    label: str
    count: int
    total: int


@dataclass(frozen=True)
class Composition:
    """The labels of a group of cells.

    Parameters
    ----------
    n_cells
        Cells in the group.
    parts
        Its labels, those of most cells first; of equally many, in the order of the column.
    n_missing
        Cells of the group without a label.
    """

    n_cells: int
    parts: tuple[Part, ...]
    n_missing: int

    @property
    def purity(self) -> float | None:
        """Share of the group that has its most frequent label; None when no cell has any.

        A cell without a label does not agree with those that have one.
        """
        return self.parts[0].count / self.n_cells if self.parts else None


def composition(column: CategoryColumn, mask: np.ndarray) -> Composition:
    """Count the labels of some cells.

    Parameters
    ----------
    column
        The labels.
    mask
        Which cells; shape (n_cells,), bool.

    Examples
    --------
    >>> fate = CategoryColumn("fate", np.array([0, 1, 1, -1, 0], np.int8), ("B", "T"))
    >>> found = composition(fate, np.array([True, True, True, True, False]))
    >>> [(part.label, part.count, part.total) for part in found.parts], found.n_missing, found.purity
    ([('T', 2, 2), ('B', 1, 2)], 1, 0.5)
    """
    n_labels = len(column.labels)
    # Code -1 comes first. Per block: the codes of a bincount take eight bytes each.
    tally = np.zeros(n_labels + 1, np.int64)
    for start in range(0, len(mask), _BLOCK):
        codes = column.codes[start : start + _BLOCK][mask[start : start + _BLOCK]]
        tally += np.bincount(codes.astype(np.intp) + 1, minlength=n_labels + 1)
    n_missing, counts = int(tally[0]), tally[1:]
    order = np.argsort(-counts, kind="stable")[: int((counts > 0).sum())]
    parts = tuple(Part(column.labels[place], int(counts[place]), int(column.counts[place])) for place in order)
    return Composition(int(tally.sum()), parts, n_missing)


_BLOCK = 1 << 18
