"""Find the genes of sets among those of a study: as they are written, by other ids, or by case."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from iscan_dash.core.gene_sets.gene_set import VERSIONED, GeneSet, mangled
from iscan_dash.core.study.genes import ENSEMBL, inspect_genes

AMBIGUOUS = -1
"""Instead of a column: there is none, or there are several."""

FEW = 0.2
"""Share of the genes of a set below which too few are there to trust its score."""


@dataclass(frozen=True, eq=False)
class GeneIndex:
    """The genes of a matrix, by all that they are called.

    Parameters
    ----------
    names
        Name of each column, None where there is none. Of a name that repeats the first column counts.
    others
        Column of each other id, such as an Ensembl id; an id of several columns stands for the first.
    """

    names: tuple[str | None, ...]
    others: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of(cls, names: Sequence[str | None], more: Iterable[Sequence[str]] = ()) -> "GeneIndex":
        """Make one of the names and further ids of the columns, each with a text a column."""
        others: dict[str, int] = {}
        for texts in more:
            for place, text in enumerate(texts):
                if text:
                    others.setdefault(without_version(text), place)
                    others.setdefault(text, place)
        return cls(tuple(name or None for name in names), others)

    @cached_property
    def columns(self) -> dict[str, int]:
        """Column of each name."""
        found: dict[str, int] = {}
        for place, name in enumerate(self.names):
            if name:
                found.setdefault(name, place)
                found.setdefault(without_version(name), place)
        return found

    @cached_property
    def folded(self) -> dict[str, int]:
        """Column of each name and id in small letters, `AMBIGUOUS` where several differ only by case."""
        found: dict[str, int] = {}
        for name, place in (*self.columns.items(), *self.others.items()):
            known = found.setdefault(name.casefold(), place)
            if known != place:
                found[name.casefold()] = AMBIGUOUS
        return found

    @cached_property
    def species(self) -> str:
        """Which species the names look like."""
        return inspect_genes([name for name in self.names if name]).species

    @cached_property
    def n_repeated(self) -> int:
        """Columns whose name an earlier one has."""
        named = [name for name in self.names if name]
        return len(named) - len(set(named))


@dataclass(frozen=True, eq=False)
class FoundSet:
    """What of a gene set is in a study.

    Parameters
    ----------
    name
        The set.
    n_high, n_low
        Different genes that it asks for.
    high, low
        Columns of those that were found, each once, int64.
    missing
        Genes that are not there.
    by_case
        Genes found under a name that differs by case, with that name.
    by_id
        Genes found by another id than the names of the matrix.
    n_same
        Genes that turned out to be the same as another one of the set.
    """

    name: str
    n_high: int
    n_low: int
    high: np.ndarray
    low: np.ndarray
    missing: tuple[str, ...]
    by_case: tuple[tuple[str, str], ...]
    by_id: tuple[str, ...]
    n_same: int

    @property
    def n_asked(self) -> int:
        """Different genes that it asks for."""
        return self.n_high + self.n_low

    @property
    def n_found(self) -> int:
        """Genes of it that are there."""
        return len(self.high) + len(self.low)

    @property
    def is_few(self) -> bool:
        """Whether so few are there that the score says little."""
        return self.n_found < FEW * self.n_asked

    def to_json(self, most_missing: int = 200) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "name": self.name,
            "asked": self.n_asked,
            "found": self.n_found,
            "few": self.is_few,
            "missing": list(self.missing[:most_missing]),
            "n_missing": len(self.missing),
            "by_case": len(self.by_case),
            "by_id": len(self.by_id),
            "collapsed": self.n_same,
        }


def match_set(own: GeneSet, index: GeneIndex) -> FoundSet:
    """Find the genes of a set: exactly first, then by another id, then by case where only one gene fits.

    Parameters
    ----------
    own
        The set.
    index
        The genes of the matrix.

    Examples
    --------
    >>> index = GeneIndex.of(["CD3D", "MS4A1", "C1orf112"], [["ENSG00000167286.9", "", ""]])
    >>> found = match_set(GeneSet("T", ("ENSG00000167286", "CD3D", "C1ORF112", "CD4")), index)
    >>> found.high.tolist(), found.n_asked, found.missing, found.by_case
    ([0, 2], 3, ('CD4',), (('C1ORF112', 'C1orf112'),))
    """
    by_case: list[tuple[str, str]] = []
    by_id: list[str] = []
    missing: list[str] = []
    places: dict[int, bool] = {}
    exact = {place for gene in (*own.genes, *own.negative) if (place := index.columns.get(gene)) is not None}
    n_same = {True: 0, False: 0}
    for is_high, genes in ((True, own.genes), (False, own.negative)):
        for gene in genes:
            place = index.columns.get(gene, AMBIGUOUS)
            if place == AMBIGUOUS and gene in index.others:
                place = index.others[gene]
                by_id.append(gene)
            elif place == AMBIGUOUS:
                place = index.folded.get(gene.casefold(), AMBIGUOUS)
                if place in exact:
                    # The one that is written as the study has it stands for both.
                    n_same[is_high] += 1
                    continue
                if place != AMBIGUOUS:
                    by_case.append((gene, index.names[place] or gene))
            if place == AMBIGUOUS:
                missing.append(gene)
            elif place in places:
                n_same[is_high] += 1
            else:
                places[place] = is_high
    return FoundSet(
        own.name,
        len(own.genes) - n_same[True],
        len(own.negative) - n_same[False],
        np.array([place for place, is_high in places.items() if is_high], np.int64),
        np.array([place for place, is_high in places.items() if not is_high], np.int64),
        tuple(missing),
        tuple(by_case),
        tuple(by_id),
        sum(n_same.values()),
    )


def match_warnings(matched: Sequence[FoundSet], index: GeneIndex) -> list[str]:
    """Say what is odd about how sets were found, a sentence each."""
    said = []
    empty = [own.name for own in matched if not own.n_found]
    if empty:
        said.append(f"{_count(len(empty), 'set has', 'sets have')} no gene in this study: {_some(empty)}.")
    few = [f"{own.name} {own.n_found}/{own.n_asked}" for own in matched if own.n_found and own.is_few]
    if few:
        said.append(f"Fewer than {FEW:.0%} of the genes were found of {_count(len(few), 'set', 'sets')}: {_some(few)}.")
    case = {pair: None for own in matched for pair in own.by_case}
    if case:
        examples = [f"{asked} as {found}" for asked, found in case]
        said.append(f"{_count(len(case), 'gene was', 'genes were')} found only by ignoring case: {_some(examples)}.")
    dates = {gene: None for own in matched for gene in own.missing if mangled(gene) is not None}
    if dates:
        said.append(
            f"Excel seems to have changed {_count(len(dates), 'gene', 'genes')} into dates or numbers: "
            f"{_some([_was(gene) for gene in dates])}."
        )
    ids = sum(ENSEMBL.match(gene) is not None for own in matched for gene in own.missing)
    if ids and not any(own.by_id for own in matched) and not any(ENSEMBL.match(name) for name in index.columns):
        said.append("The sets have Ensembl ids, but the study has none of them.")
    if index.n_repeated:
        n = index.n_repeated
        said.append(f"{_count(n, 'gene name repeats', 'gene names repeat')} in this study; the first one counts.")
    twice = sum(own.n_same for own in matched)
    if twice:
        said.append(f"{_count(twice, 'gene is', 'genes are')} another name of a gene that its set has already.")
    return said


def without_version(text: str) -> str:
    """Return an Ensembl id without its version, any other name as it is."""
    found = VERSIONED.fullmatch(text)
    return found.group(1) if found else text


def _was(gene: str) -> str:
    name = mangled(gene)
    return f"{gene} (was it {name}?)" if name else gene


def _count(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"


def _some(texts: Sequence[str], most: int = 5) -> str:
    return ", ".join(texts[:most]) + (f" and {len(texts) - most:,} more" if len(texts) > most else "")
