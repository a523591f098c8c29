"""How well a reference labels cells of its own study that were left out of it."""

from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from iscan_dash.core.words import counted

FILE = "self_test.json"
"""File name in the folder of a reference."""

LARGEST = 4 * 2**20
"""Bytes of the largest file that is read."""


class LabelTest(BaseModel):
    """What became of the left-out cells of a label."""

    model_config = ConfigDict(frozen=True)

    label: str
    tested: int = Field(ge=0)
    right: int = Field(ge=0)
    taken_for: dict[str, int] = Field(default_factory=dict)
    """The wrong labels that its cells got, and how many got each, the most frequent first."""


class GranularityTest(BaseModel):
    """What became of all left-out cells, with the labels of one granularity."""

    model_config = ConfigDict(frozen=True)

    labels: tuple[LabelTest, ...]

    @property
    def tested(self) -> int:
        """Cells that were labelled."""
        return sum(own.tested for own in self.labels)

    @property
    def right(self) -> int:
        """Those of them that got their own label."""
        return sum(own.right for own in self.labels)

    @property
    def accuracy(self) -> float | None:
        """The share that got their own label; None when no cell was tested."""
        return self.right / self.tested if self.tested else None

    @property
    def mean_of_labels(self) -> float | None:
        """The mean of the labels' own shares, so that rare labels count as much as others."""
        shares = [own.right / own.tested for own in self.labels if own.tested]
        return sum(shares) / len(shares) if shares else None

    @property
    def text(self) -> str:
        """The outcome in words."""
        if self.accuracy is None:
            return "no cell could be left out"
        return f"{100 * self.accuracy:.1f} % of {counted(self.tested, 'left-out cell')} got their own label"


class SelfTest(BaseModel):
    """The test of a reference, by granularity."""

    model_config = ConfigDict(frozen=True)

    granularities: dict[str, GranularityTest]


def compare(names: tuple[str, ...], truth: np.ndarray, found: np.ndarray) -> GranularityTest:
    """Compare the labels that cells have with those that they got.

    Parameters
    ----------
    names
        The labels that codes stand for.
    truth, found
        Codes of the cells' own labels, and of those they got, -1 for none; shape (n_cells,), integer.

    Examples
    --------
    >>> test = compare(("B", "T"), np.array([0, 0, 1, 1]), np.array([0, 1, 1, -1]))
    >>> test.text, test.labels[0].taken_for
    ('50.0 % of 4 left-out cells got their own label', {'T': 1})
    """
    width = len(names) + 1
    # The last column is for cells that got none.
    table = np.bincount(truth * width + np.where(found < 0, len(names), found), minlength=len(names) * width)
    titles = (*names, "Unassigned")
    labels = []
    for code, counts in enumerate(table.reshape(len(names), width).tolist()):
        wrong = sorted((-count, titles[other]) for other, count in enumerate(counts) if count and other != code)
        taken_for = {name: -count for count, name in wrong}
        labels.append(LabelTest(label=names[code], tested=sum(counts), right=counts[code], taken_for=taken_for))
    return GranularityTest(labels=tuple(labels))


def read_self_test(folder: Path) -> SelfTest | None:
    """Return the test in the folder of a reference, None when there is none or it cannot be read."""
    try:
        with (folder / FILE).open("rb") as stream:
            return SelfTest.model_validate_json(stream.read(LARGEST))
    except (OSError, ValidationError):
        return None
