"""Colours of labels: they belong to a label and never move when others come or go."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import cycle

from natsort import natsorted

UNASSIGNED = "#b4b9c1"
"""Grey of the default label of an annotation."""

MISSING = "#9aa0aa"
"""Grey of cells without a value: darker than zero, which says something."""

OTHER = "#666d78"
"""Grey of labels that share one colour because there are too many."""

ZERO = "#e3e6ea"
"""Light grey of cells in which a gene was not seen."""

ON_DARK = {ZERO: "#363d47", MISSING: "#6a7380", OTHER: "#aab1bb"}
"""What stands for these greys on a dark page, where light ones would shine."""

SINGLE = "#6d8fc4"
"""All cells, when they are coloured by nothing."""

# Chosen greedily: each is the colour farthest from those before it and from the greys, seen with normal, red-blind
# and green-blind eyes (OKLab distance, chroma and lightness bounded), so the first ones differ most.
LABELS = (
    "#3b76d6", "#e8843a", "#2f9e5b", "#9e0c61", "#865500", "#cedb0c", "#db86ff", "#55319e", "#aa6d9e", "#18aace",
    "#006186", "#ff6d92", "#31f39e", "#00dbff", "#aa7900", "#9e3daa", "#e7b661", "#497961", "#92180c", "#9e79f3",
    "#c2313d", "#ffaae7", "#92ce92", "#6daa92", "#7986c2", "#6d3d49", "#6daa00", "#db4986", "#c2b600", "#3d55ce",
    "#db6d6d", "#006d3d", "#ce86b6", "#49496d", "#9eaa61", "#55aaff", "#aaaae7", "#8661c2", "#9ee779", "#791886",
    "#313db6", "#b6550c", "#ce61b6", "#4961aa", "#1892db", "#b6556d", "#c27949", "#aadbc2", "#498692", "#ff8679",
    "#ff79ce", "#92496d", "#79cedb", "#31ceaa", "#923186", "#ffaa86", "#b692e7", "#aace18", "#6db6ce", "#aa0c31",
)  # fmt: skip
"""Sixty colours for labels, the most different ones first."""


def label_colours(labels: Iterable[str], given: Mapping[str, str] | None = None) -> dict[str, str]:
    """Give each label a colour that depends only on the set of labels, not on which cells are shown.

    Parameters
    ----------
    labels
        The labels of a column.
    given
        Colours that some labels have already (from the file); they are kept.

    Examples
    --------
    >>> colours = label_colours(["10", "2", "B"], {"B": "#112233"})
    >>> colours["2"] == LABELS[0], colours["10"] == LABELS[1], colours["B"]
    (True, True, '#112233')
    """
    kept = dict(given or {})
    used = {colour.lower() for colour in kept.values()}
    free = cycle([colour for colour in LABELS if colour not in used] or LABELS)
    # Sorted first, so that labels that count as equal come in the same order whatever the order they are given in.
    return {label: kept.get(label) or next(free) for label in natsorted(sorted(labels), key=str.casefold)}


def next_colour(used: Sequence[str]) -> str:
    """Return the first colour that is not in use, so that a new label recolours no other.

    Examples
    --------
    >>> next_colour([LABELS[0], LABELS[2]]) == LABELS[1]
    True
    """
    return next((colour for colour in LABELS if colour not in used), LABELS[len(used) % len(LABELS)])
