"""Read gene sets from whatever labs have: the content says which format it is, and a report what became of it."""

import ast
import csv
import io
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import PurePath
from typing import Any

from iscan_dash.core.gene_sets.gene_set import (
    DESCRIPTION_LENGTH,
    GeneSet,
    check_set_name,
    clean_gene,
    is_gene,
    mangled,
    merged,
    species_of,
)
from iscan_dash.core.gene_sets.ranked import RANKED_COLUMNS, ranked_rows
from iscan_dash.core.words import counted
from iscan_dash.errors import DataError, NameRefused

MOST_BYTES = 32 * 2**20
MOST_SETS = 20_000
MOST_GENES = 2_000_000
"""Genes of all sets together."""

MOST_LITERAL = 2**20
"""Characters of lists and dictionaries of Python; they take much more memory than JSON does."""

SHOWN = 5
"""Examples in a sentence."""

FORMATS = {
    "gmt": "GMT",
    "cellxgene": "cellxgene gene-set CSV",
    "long": "table with a gene in each row",
    "wide": "table with a set in each column",
    "ranked": "ranked table",
    "json": "JSON",
    "list": "list of genes",
    "lines": "text with a set in each line",
}
"""What can be read, and what people call it."""

SET_COLUMNS = (
    *("gene_set_name", "gene_set", "geneset", "set_name", "set", "source", "pathway", "term", "signature", "cell_type"),
    *("celltype", "cell_name", "cluster", "group", "name", "label"),
)
GENE_COLUMNS = (
    *("gene_symbol", "genesymbol", "symbol", "gene", "genes", "target", "gene_name", "feature", "names", "marker"),
    *("markers", "official_gene_symbol", "gene_id", "gene_ids", "ensembl", "ensembl_id"),
)
WEIGHT_COLUMNS = ("weight", "weights", "mor", "sign")

_SYMBOL = re.compile(r"[A-Za-z][A-Za-z0-9.\-@]{0,24}[+-]?")
_BETWEEN = re.compile(r"[,;\s]+")
_SURROGATE = re.compile(r"\\u(?:0000)?d[89a-f]", re.IGNORECASE)
_WEIGHTED = re.compile(r"(.+),(-?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)")

Row = list[str]
Genes = Iterable[tuple[str, float]]
"""Genes as they stand there, and their weights; only the sign of a weight is kept."""


@dataclass(frozen=True)
class ReadSets:
    """Gene sets as they were read.

    Parameters
    ----------
    sets
        The sets; of those that occur several times with different genes each is there by itself.
    format
        What was read, in words.
    read_as
        The same as a key of `FORMATS`.
    notes
        What was left out, changed or is odd, a sentence each.
    repeated
        Names that occur several times with different genes.
    description, organism
        What the file says of itself, or what the genes look like.
    name
        What the file calls the collection, ``""`` when it does not.
    """

    sets: tuple[GeneSet, ...]
    format: str
    read_as: str
    notes: tuple[str, ...] = ()
    repeated: tuple[str, ...] = ()
    description: str = ""
    organism: str = "unknown"
    name: str = ""

    def merged(self) -> "ReadSets":
        """Return the same with sets of one name united."""
        if not self.repeated:
            return self
        note = f"{counted(len(self.repeated), 'repeated name')}: their sets were united."
        return replace(self, sets=merged(self.sets), repeated=(), notes=(*self.notes, note))

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "format": self.format,
            "read_as": self.read_as,
            "name": self.name,
            "description": self.description,
            "organism": self.organism,
            "notes": list(self.notes),
            "repeated": list(self.repeated),
            "n_sets": len(self.sets),
            "n_genes": sum(own.n_genes for own in self.sets),
            "sets": [own.to_json() for own in self.sets],
        }


def read_gene_sets(data: bytes | str, name: str = "", *, read_as: str | None = None, top: int = 50) -> ReadSets:
    r"""Read gene sets.

    Parameters
    ----------
    data
        A file's bytes, or pasted text.
    name
        The file's name, ``""`` for what was pasted. A list of genes is called by it; nothing else depends on it but
        whether commas separate columns or genes.
    read_as
        A key of `FORMATS`, for text that is taken for something else; found out when None.
    top
        Genes that are taken of each group of a ranked table.

    Raises
    ------
    DataError
        It is no text, is too large, or there is no gene set in it. The message is one sentence for the user.

    Examples
    --------
    >>> read = read_gene_sets("T cell: CD3D, CD3E\nB cell: MS4A1;CD79A")
    >>> read.format, [own.genes for own in read.sets]
    ('text with a set in each line', [('CD3D', 'CD3E'), ('MS4A1', 'CD79A')])
    >>> read_gene_sets(b"T cell\t\tCD3D,1.0\tCD3E,1.0\t\n", "enrichr.txt").sets[0].genes
    ('CD3D', 'CD3E')
    """
    title = name or "The text"
    text = data if isinstance(data, str) else _decoded(data, title)
    if len(text) > MOST_BYTES:
        raise DataError(f"{title} is too large: {MOST_BYTES >> 20} MB can be read at most.")
    if "\0" in text:
        raise DataError(f"{title} is not a text file. Save the gene sets as text with the encoding UTF-8.")
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").replace("\r", "\n")
    if not text.strip():
        raise DataError(f"{title} is empty. Give at least one gene.")
    if read_as is not None and read_as not in FORMATS:
        raise DataError(f"Gene sets cannot be read as {read_as!r}. Choose one of: {', '.join(FORMATS)}.")
    found = _Builder(title, PurePath(name).stem or "Gene set")
    try:
        kind = _read(text, found, read_as, top, is_file=bool(name))
    except csv.Error as error:
        raise DataError(f"{title} is no table that can be read: {error}.") from error
    except RecursionError as error:
        raise DataError(f"{title} is nested too deeply to be gene sets.") from error
    return found.finished(kind)


def _decoded(data: bytes, title: str) -> str:
    if len(data) > MOST_BYTES:
        raise DataError(
            f"{title} has {len(data) / 2**20:,.0f} MB; {MOST_BYTES >> 20} MB can be read at most. "
            "Keep only the sets you need."
        )
    if data[:2] == b"PK":
        raise DataError(
            f"{title} is an Excel workbook or a zip archive. Save the sheet as CSV with the encoding UTF-8."
        )
    if data[:2] == b"\x1f\x8b":
        raise DataError(f"{title} is compressed with gzip. Unpack it first (gunzip).")
    # Excel's "Unicode text" is UTF-16 with a mark.
    encoding = "utf-16" if data[:2] in {b"\xff\xfe", b"\xfe\xff"} else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{title} is not UTF-8 text (byte {error.start:,}). Save it with the encoding UTF-8."
        ) from error


# -- what it is ------------------------------------------------------------------------------------------------------


def _read(text: str, found: "_Builder", read_as: str | None, top: int, *, is_file: bool) -> str:
    """Read text into a builder and return what it was read as."""
    if read_as == "json" or (read_as is None and text.lstrip()[0] in "{["):
        _read_json(text, found)
        return "json"
    lines = _without_comments(text.split("\n"), found)
    if read_as in {"list", "lines"}:
        return _read_lines(lines, found, read_as)
    delimiter, rows = _table(lines)
    if not rows:
        raise DataError(f"{found.title} has nothing but empty cells. Give at least one gene.")
    header = [_column_name(cell) for cell in rows[0]]
    kind = read_as or _kind_of(header, rows, delimiter, lines, is_file=is_file)
    if kind in {"cellxgene", "long", "ranked"}:
        _read_long(rows, found, kind, top)
    elif kind == "gmt":
        _read_gmt(lines, found)
    elif kind == "wide":
        _read_wide(rows, found)
    else:
        return _read_lines(lines, found, kind)
    return kind


def _kind_of(header: Row, rows: list[Row], delimiter: str, lines: list[str], *, is_file: bool) -> str:
    """Tell what a text without JSON holds."""
    if len(header) > 1:
        if {"gene_set_name", "gene_symbol"} <= set(header):
            return "cellxgene"
        has_genes = _first(header, GENE_COLUMNS) is not None
        if has_genes and _first(header, RANKED_COLUMNS) is not None:
            return "ranked"
        # Both in different columns: `name` may be of either.
        if has_genes and _first(header, SET_COLUMNS, but=_first(header, GENE_COLUMNS)) is not None:
            return "long"
    if _are_pairs(rows):
        return "long"
    if any(_name_before_colon(line) for line in lines):
        return "lines"
    if delimiter == "\t":
        if _is_wide(rows):
            return "wide"
        return "gmt" if is_file or not _are_all_symbols(rows) else "list"
    if delimiter and is_file and len(rows) > 1:
        return "wide"
    return "list"


def _is_wide(rows: list[Row]) -> bool:
    """Tell a table with a set in each column from GMT, which has one in each row."""
    widths = {len(row) for row in rows}
    if len(rows) < 3 or len(widths) > 1 or 1 in widths:
        return False
    seconds = [row[1].strip() for row in rows[1:]]
    # What follows the name in GMT is about it: nothing, an address, words, or the same in many rows.
    is_about = sum(not _SYMBOL.fullmatch(text) for text in seconds if text) > len(seconds) / 4
    if is_about or len(set(filter(None, seconds))) < 0.8 * len(list(filter(None, seconds))):
        return False
    filled = [[bool(cell.strip()) for cell in row] for row in rows]
    down = _gaps(zip(*filled, strict=True))
    right = _gaps(row[2:] for row in filled)
    if down != right:
        # Columns of sets end at different heights, rows of GMT at different widths.
        return down < right
    return bool(seconds) and not any("_" in row[0] or " " in row[0].strip() for row in rows[1:])


def _are_pairs(rows: list[Row]) -> bool:
    """Tell a long table without a header: sets that repeat, and a gene for each."""
    if len(rows) < 2 or any(len(row) != 2 for row in rows):
        return False
    names = [row[0].strip() for row in rows]
    genes = {row[1].strip() for row in rows}
    return len(set(names)) < len(names) <= len(genes) * 2 and all(map(_SYMBOL.fullmatch, genes)) and all(names)


def _gaps(lines: Iterable[Sequence[bool]]) -> int:
    """Count places at which something follows nothing."""
    return sum(not before and own for line in lines for before, own in pairwise(line))


def _are_all_symbols(rows: list[Row]) -> bool:
    return all(_SYMBOL.fullmatch(cell.strip()) for row in rows for cell in row if cell.strip())


def _without_comments(lines: list[str], found: "_Builder") -> list[str]:
    """Leave out empty lines, and comments before the first line that counts."""
    kept = [line for line in lines if line.strip()]
    start = 0
    while start < len(kept) and kept[start].lstrip().startswith("#"):
        start += 1
    if start == len(kept):
        raise DataError(f"{found.title} has nothing but comments. Give at least one gene.")
    return kept[start:]


def _table(lines: list[str]) -> tuple[str, list[Row]]:
    """Divide lines into cells; return the delimiter, ``""`` when there is none."""
    best = ""
    if any("\t" in line for line in lines):
        best = "\t"
    else:
        counts = {mark: lines[0].count(mark) for mark in ",;"}
        best = max(counts, key=lambda mark: counts[mark]) if any(counts.values()) else ""
    if not best:
        return "", [[line] for line in lines]
    reader = csv.reader(io.StringIO("\n".join(lines)), delimiter=best)
    return best, [row for row in reader if any(cell.strip() for cell in row)]


def _column_name(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", text.strip("\ufeff \"'").lower()).strip("_")


def _first(header: Sequence[str], names: Iterable[str], but: int | None = None) -> int | None:
    """Return the place of the first of some names that a header has."""
    return next((header.index(name) for name in names if name in header and header.index(name) != but), None)


def _name_before_colon(line: str) -> tuple[str, str] | None:
    """Divide ``name: genes``; None when a line is something else."""
    name, mark, genes = line.partition(": ")
    if not mark and line.rstrip().endswith(":"):
        name, genes = line.rstrip()[:-1], ""
        mark = ":"
    if not mark:
        # Terms such as GO:0006955 have a colon of their own.
        name, mark, genes = line.rpartition(":")
        if "," in name or ";" in name:
            return None
    if not mark or not name.strip() or "\t" in name:
        return None
    return name, genes


# -- one reader a format ---------------------------------------------------------------------------------------------


def _read_gmt(lines: list[str], found: "_Builder") -> None:
    for line in lines:
        name, _, rest = line.partition("\t")
        about, mark, genes = rest.partition("\t")
        if not mark and "," in about and all(_SYMBOL.fullmatch(part) for part in _BETWEEN.split(about.strip())):
            # No GMT, but what it means is plain.
            about, genes = "", "\t".join(_BETWEEN.split(about.strip()))
        found.add(name, (_weighted(cell) for cell in genes.split("\t")), about)


def _weighted(cell: str) -> tuple[str, float]:
    """Read a gene of GMT, which may have a weight as Enrichr writes it: ``CD3D,1.0``."""
    found = _WEIGHTED.fullmatch(cell.strip()) if "," in cell else None
    return (found.group(1), float(found.group(2))) if found else (cell, 1.0)


def _read_wide(rows: list[Row], found: "_Builder") -> None:
    header, body = rows[0], rows[1:]
    for place, name in enumerate(header):
        genes = [(row[place], 1.0) for row in body if place < len(row)]
        if not name.strip():
            if not any(gene.strip() for gene, _ in genes):
                continue
            if place == 0 and all(gene.strip().isdigit() or not gene.strip() for gene, _ in genes):
                # Row numbers, as pandas and R write them.
                continue
        found.add(name or f"column {place + 1}", genes)


def _read_long(rows: list[Row], found: "_Builder", kind: str, top: int) -> None:
    first, *rows = rows
    header = [_column_name(cell) for cell in first]
    gene_at = _first(header, ("gene_symbol",) if kind == "cellxgene" else GENE_COLUMNS)
    if gene_at is None and kind == "long" and len(header) == 2:
        # Without a header: what was taken for one is a row.
        header, rows, gene_at = ["set", "gene"], [first, *rows], 1
    if gene_at is None:
        raise DataError(f"{found.title} has no column of genes. Call one of them gene, or gene_symbol.")
    set_at = _first(header, SET_COLUMNS, but=gene_at)
    if kind == "ranked":
        rows = ranked_rows(header, rows, gene_at, set_at, top, found.notes)
        weight_at = None
    else:
        weight_at = _first(header, WEIGHT_COLUMNS)
    about_at = _first(header, ("gene_set_description", "set_description"))
    gene_about_at = _first(header, ("gene_description",))
    genes: dict[str, list[tuple[str, float]]] = {}
    texts: dict[str, str] = {}
    about: dict[str, dict[str, str]] = {}
    for row in rows:
        cells = _Cells(row)
        name = cells.at(set_at) if set_at is not None else found.fallback
        if not name.strip():
            found.n_nameless += 1
            continue
        weight = _number(cells.at(weight_at)) if weight_at is not None else 1.0
        own = genes.setdefault(name, [])
        # A cell may list several.
        for gene in re.split(r"[,;|]", cells.at(gene_at)):
            own.append((gene, weight))
            if text := cells.at(gene_about_at).strip():
                about.setdefault(name, {})[clean_gene(gene)] = text
        if not texts.get(name):
            texts[name] = cells.at(about_at).strip()
    for name, own in genes.items():
        found.add(name, own, texts.get(name, ""), about.get(name, {}))


class _Cells:
    """The cells of a row, ``""`` where there is none."""

    def __init__(self, row: Row) -> None:
        self._row = row

    def at(self, place: int | None) -> str:
        return self._row[place] if place is not None and place < len(self._row) else ""


def _number(text: str) -> float:
    try:
        return float(text.replace(",", ".") or 1)
    except ValueError:
        return 1.0


def _read_lines(lines: list[str], found: "_Builder", kind: str) -> str:
    """Read ``name: genes`` a line, or a list of genes."""
    pairs = [_name_before_colon(line) for line in lines] if kind == "lines" else [None] * len(lines)
    if kind == "lines" and any(pairs):
        sets: list[tuple[str, list[str]]] = []
        for line, pair in zip(lines, pairs, strict=True):
            if pair is not None:
                sets.append((pair[0], _BETWEEN.split(pair[1])))
            elif sets:
                sets[-1][1].extend(_BETWEEN.split(line))
            else:
                sets.append((found.fallback, _BETWEEN.split(line)))
        for name, genes in sets:
            found.add(name, ((gene, 1.0) for gene in genes))
        return kind
    # As MSigDB's files of one set begin: the name, and a line about it.
    name, about = found.fallback, ""
    if len(lines) > 2 and lines[1].lstrip().startswith((">", "#")):
        name, about, lines = lines[0], lines[1].strip("># \t"), lines[2:]
    elif len(lines) > 1 and _column_name(lines[0]) in GENE_COLUMNS:
        lines = lines[1:]
    found.add(name, ((gene, 1.0) for line in lines for gene in _BETWEEN.split(line)), about)
    return "list"


def _read_json(text: str, found: "_Builder") -> None:
    try:
        values = json.loads(text, parse_int=str, parse_float=str)
    except ValueError as error:
        values = _of_python(text)
        if values is None:
            raise DataError(f"{found.title} begins like JSON but is not valid: {error}.") from error
    if not isinstance(values, dict | list):
        raise DataError(f'{found.title} is no JSON of gene sets. Write {{"name": ["gene", ...]}}.')
    if _SURROGATE.search(text):
        # Half a character, which can be escaped but not written.
        values = json.loads(json.dumps(values, ensure_ascii=False, default=str).encode("utf-8", "replace"))
    if isinstance(values, dict) and isinstance(values.get("sets"), list):
        found.describe(values)
        values = values["sets"]
    if isinstance(values, dict) and isinstance(values.get("cell_types"), list):
        _read_cell_types(values, found)
    elif isinstance(values, dict):
        for name, own in values.items():
            _read_json_set(name, own, found)
    elif values and all(isinstance(own, str) for own in values):
        found.add(found.fallback, ((gene, 1.0) for gene in values))
    else:
        for own in values:
            if not isinstance(own, dict) or not isinstance(own.get("name"), str):
                raise DataError(f'{found.title} has a set without a name. Write {{"name": ["gene", ...]}}.')
            _read_json_set(own["name"], own, found)


def _of_python(text: str) -> Any:
    """Read what people copy from a notebook: lists and dictionaries with single quotes; None when it is not that."""
    if len(text) > MOST_LITERAL:
        return None
    try:
        values = ast.literal_eval(text.strip())
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
        return None
    return _with_lists(values)


def _with_lists(values: Any) -> Any:
    if isinstance(values, dict):
        return {str(key): _with_lists(own) for key, own in values.items()}
    if isinstance(values, list | tuple | set):
        ordered = sorted(values, key=str) if isinstance(values, set) else values
        return [_with_lists(own) for own in ordered]
    return values


def _read_json_set(name: str, own: Any, found: "_Builder") -> None:
    about: dict[str, str] = {}
    text = ""
    negative: Any = []
    if isinstance(own, dict):
        text = own.get("description") or own.get("exactSource") or ""
        if isinstance(own.get("about"), dict):
            about = {key: value for key, value in own["about"].items() if isinstance(value, str)}
        negative = next((own[key] for key in ("negative", "down", "-") if key in own), [])
        own = next((own[key] for key in ("genes", "geneSymbols", "positive", "up", "markers", "+") if key in own), None)
    genes, low = _texts(own), _texts(negative)
    if genes is None or low is None:
        raise DataError(f'{found.title}: "{str(name)[:60]}" is no list of genes. Write {{"name": ["gene", ...]}}.')
    found.add(
        name,
        [*((gene, 1.0) for gene in genes), *((gene, -1.0) for gene in low)],
        text if isinstance(text, str) else "",
        about,
    )


def _texts(values: Any) -> list[str] | None:
    if isinstance(values, str):
        return _BETWEEN.split(values)
    if isinstance(values, list) and all(isinstance(value, str) for value in values):
        return list(values)
    return None


def _read_cell_types(values: dict[str, Any], found: "_Builder") -> None:
    """Read cell types with markers and subtypes, as Pegasus keeps them."""
    for own in values["cell_types"]:
        markers = own.get("markers") if isinstance(own, dict) else None
        if not isinstance(markers, list) or not isinstance(own.get("name"), str):
            raise DataError(f"{found.title} has a cell type without a name or markers.")
        genes = [gene for part in markers if isinstance(part, dict) for gene in _texts(part.get("genes")) or ()]
        found.add(own["name"], ((gene, 1.0) for gene in genes))
        below = own.get("subtypes")
        if isinstance(below, dict) and isinstance(below.get("cell_types"), list):
            _read_cell_types(below, found)


# -- the report ------------------------------------------------------------------------------------------------------


class _Builder:
    """Collects sets while they are read, and what is to be said of them."""

    def __init__(self, title: str, fallback: str) -> None:
        self.title = title
        self.fallback = fallback
        self.notes: list[str] = []
        self.n_nameless = 0
        self._sets: list[GeneSet] = []
        self._plain: dict[str, str] = {}
        self._said: dict[str, dict[str, None]] = {}
        self._n: dict[str, int] = {}
        self._n_genes = 0
        self._name = self._description = self._organism = ""

    def describe(self, values: dict[str, Any]) -> None:
        """Take what a file says of itself."""
        texts = (values.get(key) for key in ("name", "description", "organism"))
        self._name, self._description, self._organism = (text if isinstance(text, str) else "" for text in texts)

    def add(self, name: str, genes: Genes, text: str = "", about: dict[str, str] | None = None) -> None:
        """Take a set, and note what is odd about it."""
        try:
            kept = check_set_name(str(name))
        except NameRefused as error:
            if error.code == "E01":
                self.n_nameless += 1
                return
            raise DataError(f'{self.title}: the set "{str(name)[:60]}" cannot be called so. {error}') from error
        high: dict[str, None] = {}
        low: dict[str, None] = {}
        for given, weight in genes:
            # Most genes of a large file were met before, and there is nothing to say of them.
            gene = self._plain.get(given) if weight == 1 else None
            is_low = False
            if gene is None:
                gene, is_low = self._gene(given, kept, weight)
            if gene is None:
                continue
            if gene in high or gene in low:
                self._note("duplicates", f"{gene} in {kept}")
                if (gene in low) != is_low:
                    self._note("both", f"{gene} in {kept}")
                continue
            (low if is_low else high)[gene] = None
        if not high and low:
            # Nothing to be high: what is low is the set.
            self._note("only low", kept)
        if not high and not low:
            self._note("empty", kept)
            return
        description = " ".join(text.split())[:DESCRIPTION_LENGTH]
        known = {gene: " ".join(line.split()) for gene, line in (about or {}).items() if gene in high or gene in low}
        self._sets.append(GeneSet(kept, tuple(high), tuple(low), description, known))
        self._n_genes += len(high) + len(low)
        if len(self._sets) > MOST_SETS or self._n_genes > MOST_GENES:
            raise DataError(
                f"{self.title} has more than {MOST_SETS:,} sets or {MOST_GENES:,} genes. Keep only the sets you need."
            )

    def _gene(self, given: str, name: str, weight: float) -> tuple[str | None, bool]:
        text = clean_gene(given)
        if text.strip("+-") == "":
            return None, False
        is_low = weight < 0
        if text[-1] in "+-" and len(text) > 1:
            # As UCell and Pegasus write that a gene is high or low.
            is_low ^= text[-1] == "-"
            text = clean_gene(text[:-1])
        if weight == 0:
            self._note("no weight", f"{text} in {name}")
            return None, False
        if weight not in {1, -1}:
            self._n["weights"] = self._n.get("weights", 0) + 1
        if not is_gene(text):
            self._note("no gene", f"{text[:30]!r} in {name}")
            return None, False
        if text != given.strip() and given.strip().startswith(text + "."):
            self._n["versions"] = self._n.get("versions", 0) + 1
        was = mangled(text)
        if was is not None:
            self._note("mangled", f"{text} in {name}" + (f" (was it {was}?)" if was else ""))
        elif text == given:
            self._plain[given] = text
        return text, is_low

    def _note(self, what: str, example: str) -> None:
        self._n[what] = self._n.get(what, 0) + 1
        examples = self._said.setdefault(what, {})
        if len(examples) < SHOWN:
            examples[example] = None

    def finished(self, kind: str) -> ReadSets:
        """Return what was read.

        Raises
        ------
        DataError
            There is no gene set.
        """
        if not self._sets:
            raise DataError(
                f"No gene set was found in {self.title if self.title != 'The text' else 'the text'} "
                f"(read as {FORMATS[kind]}). Write one in each line, such as: T cell: CD3D, CD3E."
            )
        # What is there twice, word by word, is there once.
        sets = list({(own.name, own.genes, own.negative): own for own in self._sets}.values())
        repeated = tuple(name for name, times in Counter(own.name for own in sets).items() if times > 1)
        organism = self._organism if self._organism in {"human", "mouse"} else species_of(sets)
        return ReadSets(
            tuple(sets),
            FORMATS[kind],
            kind,
            tuple(self._sentences()),
            repeated,
            self._description,
            organism,
            self._name,
        )

    def _sentences(self) -> Iterator[str]:
        yield from self.notes
        if self.n_nameless:
            n = self.n_nameless
            yield f"{counted(n, 'row or set has', 'rows or sets have')} no name and {_was(n)} left out."
        for what, number in self._n.items():
            examples = ", ".join(self._said.get(what, ()))
            more = ", ..." if number > len(self._said.get(what, ())) else ""
            one, many, then = _SENTENCES[what]
            which = f" ({examples}{more})" if examples else ""
            yield f"{counted(number, one, many)} {then.format(was=_was(number))}{which}."


def _was(number: int) -> str:
    return "was" if number == 1 else "were"


_SENTENCES = {
    "duplicates": ("gene repeats", "genes repeat", "within a set; the first counts"),
    "both": ("gene is", "genes are", "said to be both high and low; the first counts"),
    "only low": ("set has", "sets have", "only genes that are low"),
    "empty": ("set has", "sets have", "no genes and {was} left out"),
    "no weight": ("gene has", "genes have", "the weight 0 and {was} left out"),
    "no gene": ("entry is", "entries are", "no gene and {was} left out"),
    "mangled": ("gene was", "genes were", "changed into dates or numbers, it seems by Excel"),
    "weights": ("weight is", "weights are", "neither 1 nor -1: only the sign is used"),
    "versions": ("Ensembl id", "Ensembl ids", "had a version, which was taken off"),
}
"""What is said of each oddity: of one, of several, and how it goes on."""
