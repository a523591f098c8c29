"""Colours of cells in a plot: one display code a cell, and the ink of each code.

A code fits in a byte whatever the cells are coloured by, so a recolour of a million cells is a megabyte on the way
to the page, and the page has one way to paint.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache

import numpy as np

from iscan_dash.core import palette
from iscan_dash.core.study.columns import CategoryColumn, NumberColumn, number_text

MOST_LABELS = 60
"""Labels that get a colour of their own; of more, the 59 with most cells do and the rest is ``other``."""

STEPS = 253
"""Steps of a continuous scale; with missing, zero and one to spare they fill a byte."""

MISSING_CODE, ZERO_CODE, FIRST_STEP = 0, 1, 2


@dataclass(frozen=True)
class LegendRow:
    """One row of a legend.

    Parameters
    ----------
    code
        Display code of its cells.
    label
        What they are.
    count
        How many.
    colour
        ``"#rrggbb"``.
    is_label
        False for ``other`` and ``missing``, which have no place of their own on the plot.
    """

    code: int
    label: str
    count: int
    colour: str
    is_label: bool = True


@dataclass(frozen=True, eq=False)
class CellColours:
    """How to paint the cells.

    Parameters
    ----------
    title
        What they are coloured by.
    codes
        Display code of each cell, shape (n_cells,), uint8; None when all are 0.
    ink
        Colour of each display code.
    scale
        ``"categorical"`` or ``"sequential"``.
    missing
        The code of cells without a value, None when there is none.
    zero
        Colour of exactly zero on a scale that tells it apart, else None.
    legend
        Rows of a categorical legend, in order.
    range
        Values of the first and last step of a continuous scale.
    n_missing
        Cells without a value.
    unit
        What the numbers are.
    clipped
        Cells with a value below the first step of a continuous scale, and above the last.
    """

    title: str
    codes: np.ndarray | None
    ink: tuple[str, ...]
    scale: str = "categorical"
    missing: int | None = None
    zero: str | None = None
    legend: tuple[LegendRow, ...] = field(default=())
    range: tuple[float, float] | None = None
    n_missing: int = 0
    unit: str = ""
    clipped: tuple[int, int] = (0, 0)


def colour_by_nothing(n_cells: int) -> CellColours:
    """Paint all cells alike."""
    row = LegendRow(0, "All cells", n_cells, palette.SINGLE)
    return CellColours("", None, (palette.SINGLE,), legend=(row,))


def colour_by_category(column: CategoryColumn, colours: Mapping[str, str]) -> CellColours:
    """Paint the cells by their label; with more than 60 labels the rarer ones share the colour of ``other``.

    Parameters
    ----------
    column
        The labels.
    colours
        Colour of each label.

    Examples
    --------
    >>> column = CategoryColumn("fate", np.array([0, 1, -1]), ("B", "T"))
    >>> painted = colour_by_category(column, {"B": "#112233", "T": "#445566"})
    >>> painted.codes.tolist(), [row.label for row in painted.legend]
    ([0, 1, 2], ['B', 'T', 'missing'])
    """
    n_labels = len(column.labels)
    shown = np.arange(n_labels)
    if n_labels > MOST_LABELS:
        shown = np.sort(np.argsort(-column.counts, kind="stable")[: MOST_LABELS - 1])
    rows = [
        LegendRow(code, column.labels[place], int(column.counts[place]), colours[column.labels[place]])
        for code, place in enumerate(shown)
    ]
    n_other = n_labels - len(shown)
    if n_other:
        n_cells = int(column.counts.sum() - column.counts[shown].sum())
        rows.append(LegendRow(len(rows), f"other ({n_other:,} labels)", n_cells, palette.OTHER, is_label=False))
    missing = None
    if column.n_missing:
        missing = len(rows)
        rows.append(LegendRow(missing, "missing", column.n_missing, palette.MISSING, is_label=False))
    # The last entry serves the code -1.
    table = np.full(n_labels + 1, len(shown), np.uint8)
    table[shown] = np.arange(len(shown))
    table[-1] = missing if missing is not None else 0
    return CellColours(
        column.name,
        table[column.codes],
        tuple(row.colour for row in rows),
        missing=missing,
        legend=tuple(rows),
        n_missing=column.n_missing,
    )


def colour_by_number(
    column: NumberColumn, *, is_expression: bool, unit: str = "", scale: str = "Viridis"
) -> CellColours:
    """Paint the cells along a perceptual scale, extremes clipped at the 1st and 99th percentile.

    Parameters
    ----------
    column
        The numbers.
    is_expression
        Zero means "not seen": such cells are light grey, and the scale starts at zero.
    unit
        What the numbers are.
    scale
        Name of the colour scale.
    """
    # Half floats are too short for the steps.
    values = column.values.astype(np.result_type(column.values, np.float32), copy=False)
    present = np.isfinite(values)
    finite = values[present]
    low, high = _clip_range(finite, is_expression)
    steps = (np.clip(values, low, high) - low) / (high - low) * (STEPS - 1)
    codes = np.where(present, np.nan_to_num(steps, posinf=0, neginf=0) + FIRST_STEP + 0.5, MISSING_CODE).astype(
        np.uint8
    )
    if is_expression:
        codes[values == 0] = ZERO_CODE
    n_missing = int(len(values) - len(finite))
    steps_ink = colour_scale(scale, STEPS)
    zero = palette.ZERO if is_expression else None
    return CellColours(
        column.name,
        codes,
        (palette.MISSING, zero or steps_ink[0], *steps_ink),
        "sequential",
        missing=MISSING_CODE,
        zero=zero,
        range=(low, high),
        n_missing=n_missing,
        unit=unit,
        clipped=(int((finite < low).sum()), int((finite > high).sum())),
    )


def _clip_range(finite: np.ndarray, is_expression: bool) -> tuple[float, float]:
    if not len(finite):
        return 0.0, 1.0
    if is_expression:
        expressed = finite[finite > 0]
        low, high = 0.0, float(np.percentile(expressed, 99)) if len(expressed) else 1.0
    else:
        low, high = (float(value) for value in np.percentile(finite, [1, 99]))
    if high <= low:
        low, high = float(finite.min()), float(finite.max())
    # One more, or what can be told apart from a number so large.
    return (low, high) if high > low else (low, low + max(1.0, abs(low) * 1e-6))


def range_text(colours: CellColours) -> tuple[str, str]:
    """Return the ends of a continuous scale as text, three significant digits."""
    assert colours.range is not None
    low, high = (number_text(float(f"{value:.3g}")) for value in colours.range)
    return low, high


@cache
def colour_scale(name: str, steps: int) -> tuple[str, ...]:
    """Sample one of Plotly's colour scales (``"Viridis"``, ``"Cividis"``, ``"RdBu_r"``) evenly, as ``#rrggbb``."""
    from plotly.colors import sample_colorscale

    samples = sample_colorscale(name, [step / (steps - 1) for step in range(steps)], colortype="tuple")
    return tuple("#" + "".join(f"{round(255 * part):02x}" for part in colour) for colour in samples)
