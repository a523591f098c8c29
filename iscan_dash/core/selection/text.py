"""Queries in words, and back.

::

    (Plot 1 AND NOT Plot 2) OR leiden in {3, 4}
    n_counts from 200 to 2500 AND gene:CD3E >= 1.5
    fate not in {"T cell", missing} AND cell in {AAAC-1, "donor 2"/AAAG-1}
    saved "my T cells" AND n_genes <= 900 or missing

NOT binds closer than AND, and AND closer than OR. What is no plain word stands in double quotes, as in JSON. A kind
(``gene:``, ``metadata:``, ``cluster:``, ``annotation:``, ``sample:``) tells columns of one name apart; ``#`` begins an
id, or the name of something that may not be there any more.
"""

import json
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn, Protocol

from iscan_dash.core.selection.query import (
    AllOf,
    AnyOf,
    Cells,
    Condition,
    Labels,
    Not,
    PlotAreas,
    Query,
    Range,
    Saved,
    Unfinished,
    check_size,
    simplified,
)
from iscan_dash.errors import SelectionRefused

LONGEST = 200_000
"""Characters of a query in words."""

MOST_IDS = 50
"""Cells that are named one by one; more are a list that is called by its digest."""

DEEPEST = 40
"""Brackets within brackets, needed or not."""

KINDS = ("metadata", "cluster", "annotation", "sample", "gene")

KEYWORDS = frozenset(
    {"and", "or", "not", "in", "is", "from", "to", "missing", "present", "plot", "removed", "saved", "cell", "list"}
)

_TOKEN = re.compile(r"\s*(?:(\"(?:[^\"\\]|\\.)*\")|(>=|<=|[(){},:/#?])|([\w.+\-]+))", re.DOTALL)
_PLAIN = re.compile(r"[\w.+\-]+")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)


class Names(Protocol):
    """What things are called."""

    def title(self, kind: str, key: str) -> str | None:
        """Return the name of a column, gene or annotation, None when it is not there."""

    def find(self, kind: str | None, name: str) -> tuple[str, str] | None:
        """Return kind and key of what has a name; of whichever kind when None. None when nothing has, or several do."""

    def saved_name(self, saved_id: str) -> str | None:
        """Return the name of a saved selection, None when it is not there."""

    def find_saved(self, name: str) -> str | None:
        """Return the id of the saved selection of a name."""

    def find_cells(self, digest: str) -> Cells | None:
        """Return the list of cells of a digest."""


# -- writing ---------------------------------------------------------------------------------------------------------


def to_text(query: Query, names: Names) -> str:
    """Say a query in words that `parse` reads back as the same query, but for groups of one and double negations.

    Parameters
    ----------
    query
        The query.
    names
        What things are called.
    """
    return _write(simplified(query), names)


def _write(query: Query, names: Names, within: type | None = None) -> str:
    if isinstance(query, AllOf | AnyOf):
        if not query.of:
            return "()"
        word = " AND " if isinstance(query, AllOf) else " OR "
        text = word.join(_write(part, names, type(query)) for part in query.of)
        return f"({text})" if within is not None else text
    if isinstance(query, Not):
        if isinstance(query.of, Labels | Cells):
            return _write_condition(query.of, names, "not in")
        return f"NOT {_write(query.of, names, Not)}"
    return _write_condition(query, names, "in")


def _write_condition(query: Condition, names: Names, relation: str) -> str:
    if isinstance(query, Labels):
        values = [*map(_quoted, query.values), *(["missing"] if query.missing else [])]
        return f"{_source(query.kind, query.key, names)} {relation} {{{', '.join(values)}}}"
    if isinstance(query, Range):
        if query.low is not None and query.high is not None:
            ends = f"from {_number(query.low)} to {_number(query.high)}"
        elif query.low is not None:
            ends = f">= {_number(query.low)}"
        else:
            ends = f"<= {_number(query.high)}" if query.high is not None else "is present"
        return f"{_source(query.kind, query.key, names)} {ends}{' or missing' if query.missing else ''}"
    if isinstance(query, Cells):
        if len(query) > MOST_IDS:
            return f"cell {relation} list #{_quoted(query.digest)}"
        ids = (f"{_quoted(sample)}/{_quoted(cell)}" if sample else _quoted(cell) for sample, cell in query.ids)
        return f"cell {relation} {{{', '.join(ids)}}}"
    if isinstance(query, PlotAreas):
        return f"Plot {query.plot}{' (removed)' if query.removed else ''}"
    if isinstance(query, Saved):
        name = names.saved_name(query.id)
        is_known = name is not None and names.find_saved(name) == query.id
        return f"saved {_quoted(name or '') if is_known else '#' + _quoted(query.id)}"
    return "?"


def _source(kind: str, key: str, names: Names) -> str:
    """Name a column as briefly as is unmistakable."""
    title = names.title(kind, key)
    if title is not None:
        if kind != "gene" and names.find(None, title) == (kind, key):
            return _quoted(title)
        if names.find(kind, title) == (kind, key):
            return f"{kind}:{_quoted(title)}"
    return f"{kind}:#{_quoted(key)}"


def _number(value: float) -> str:
    return repr(value).removesuffix(".0")


def _quoted(text: str) -> str:
    is_plain = _PLAIN.fullmatch(text) and text.casefold() not in KEYWORDS
    return text if is_plain else json.dumps(text, ensure_ascii=False)


# -- reading ---------------------------------------------------------------------------------------------------------


def parse(text: str, names: Names) -> Query | None:
    """Read a query from words.

    Parameters
    ----------
    text
        The words.
    names
        What things are called.

    Returns
    -------
    Query or None
        None when there are no words.

    Raises
    ------
    SelectionRefused
        The text cannot be understood; it says where, and what was expected.
    """
    if len(text) > LONGEST:
        raise SelectionRefused(f"The text of a query can have {LONGEST:,} characters at most.")
    reader = _Reader(text, names)
    if reader.peek().kind == "end":
        return None
    query = simplified(reader.any_of(0))
    reader.expect_end()
    check_size(query)
    return query


@dataclass(frozen=True)
class _Token:
    kind: str
    """``"word"``, ``"string"``, ``"sign"`` or ``"end"``."""

    text: str
    start: int

    @property
    def keyword(self) -> str:
        return self.text.casefold() if self.kind == "word" and self.text.casefold() in KEYWORDS else ""

    @property
    def sign(self) -> str:
        return self.text if self.kind == "sign" else ""


class _Reader:
    """Reads a query token by token."""

    def __init__(self, text: str, names: Names) -> None:
        self._names = names
        self._tokens = list(_tokens(text))
        self._place = 0

    def peek(self, ahead: int = 0) -> _Token:
        return self._tokens[min(self._place + ahead, len(self._tokens) - 1)]

    def _next(self) -> _Token:
        token = self.peek()
        self._place += 1
        return token

    def _takes(self, *wanted: str) -> bool:
        """Step over words or signs when they come next."""
        for ahead, own in enumerate(wanted):
            token = self.peek(ahead)
            if own not in (token.keyword, token.sign):
                return False
        self._place += len(wanted)
        return True

    def _refuse(self, expected: str, token: _Token | None = None) -> NoReturn:
        found = token or self.peek()
        what = "the end" if found.kind == "end" else f'"{found.text[:40]}"'
        raise SelectionRefused(f"Character {found.start + 1}: {expected}, not {what}.", found.start)

    def expect_end(self) -> None:
        if self.peek().kind != "end":
            self._refuse("expected AND, OR or the end")

    def any_of(self, level: int) -> Query:
        return self._series("or", lambda: self._all_of(level), AnyOf)

    def _all_of(self, level: int) -> Query:
        return self._series("and", lambda: self._negated(level), AllOf)

    def _series(self, word: str, part: Callable[[], Query], group: type[AllOf] | type[AnyOf]) -> Query:
        parts = [part()]
        while self._takes(word):
            parts.append(part())
        return group(tuple(parts)) if len(parts) > 1 else parts[0]

    def _negated(self, level: int) -> Query:
        is_negated = False
        while self._takes("not"):
            is_negated = not is_negated
        query = self._atom(level)
        return Not(query) if is_negated else query

    def _atom(self, level: int) -> Query:
        if level > DEEPEST:
            self._refuse(f"brackets can be nested {DEEPEST} deep at most")
        if self._takes("("):
            if self._takes(")"):
                return AllOf(())
            query = self.any_of(level + 1)
            if not self._takes(")"):
                self._refuse("expected AND, OR or )")
            return query
        if self._takes("?"):
            return Unfinished()
        if self._takes("plot"):
            return self._plot()
        if self._takes("saved"):
            return self._saved()
        if self._takes("cell"):
            return self._cells()
        return self._column()

    def _plot(self) -> Query:
        token = self._next()
        if token.kind != "word" or token.text not in {"1", "2", "3", "4"}:
            self._refuse("expected the number of a plot, 1 to 4", token)
        return PlotAreas(int(token.text), removed=self._takes("(", "removed", ")"))

    def _saved(self) -> Query:
        if self._takes("#"):
            return Saved(self._text("the id of a saved selection"))
        token = self.peek()
        name = self._text("the name of a saved selection")
        found = self._names.find_saved(name)
        if found is None:
            self._refuse("there is no saved selection of that name; expected one that is there", token)
        return Saved(found)

    def _cells(self) -> Query:
        is_negated = self._relation()
        if self._takes("list"):
            token = self.peek()
            if not self._takes("#"):
                self._refuse("expected # and the digest of a list of cells")
            found = self._names.find_cells(self._text("the digest of a list of cells"))
            if found is None:
                self._refuse("this list of cells is not known here; paste the cells again", token)
        else:
            found = Cells.of(self._braced(self._cell))
        return Not(found) if is_negated else found

    def _cell(self) -> tuple[str, str]:
        token = self.peek()
        first = self._text("the id of a cell")
        cell = (first, self._text("the id of a cell")) if self._takes("/") else ("", first)
        if any(sign in part for part in cell for sign in "\t\r\n"):
            self._refuse("expected the id of a cell, without tabs and line breaks", token)
        return cell

    def _column(self) -> Query:
        kind, key = self._source()
        if self._takes("is", "present"):
            return Range(kind, key, None, None, self._or_missing())
        if self._takes("is", "missing"):
            return Labels(kind, key, (), missing=True)
        if self._takes("is", "not", "missing"):
            return Not(Labels(kind, key, (), missing=True))
        if self._takes("from"):
            low = self._number()
            if not self._takes("to"):
                self._refuse("expected TO and a number")
            return Range(kind, key, low, self._number(), self._or_missing())
        if self._takes(">="):
            return Range(kind, key, self._number(), None, self._or_missing())
        if self._takes("<="):
            return Range(kind, key, None, self._number(), self._or_missing())
        is_negated = self._relation()
        values: list[str] = []
        is_missing = False
        for value in self._braced(self._label):
            if value is None:
                is_missing = True
            else:
                values.append(value)
        labels = Labels(kind, key, tuple(values), is_missing)
        return Not(labels) if is_negated else labels

    def _source(self) -> tuple[str, str]:
        token = self.peek()
        if token.kind == "word" and token.text in KINDS and self.peek(1).sign == ":":
            self._place += 2
            if self._takes("#"):
                return token.text, self._text("a name")
            name, kind = self._text("a name"), token.text
        else:
            name, kind = self._text("a condition"), None
        found = self._names.find(kind, name)
        if found is None:
            what = kind or "column, annotation or gene"
            sentence = f'there is no {what} "{name[:40]}", or several; gene: or annotation: before it tells which'
            raise SelectionRefused(f"Character {token.start + 1}: {sentence}.", token.start)
        return found

    def _relation(self) -> bool:
        """Read IN or NOT IN; tell whether it was the latter."""
        if self._takes("not", "in"):
            return True
        if not self._takes("in"):
            self._refuse("expected IN, NOT IN, IS, FROM, >= or <=")
        return False

    def _braced(self, read: Callable[[], "str | tuple[str, str] | None"]) -> list[Any]:
        if not self._takes("{"):
            self._refuse("expected {")
        found: list[Any] = []
        while not self._takes("}"):
            if found and not self._takes(","):
                self._refuse("expected , or }")
            found.append(read())
        return found

    def _label(self) -> str | None:
        return None if self._takes("missing") else self._text("a label")

    def _or_missing(self) -> bool:
        return self._takes("or", "missing")

    def _number(self) -> float:
        token = self._next()
        number = float(token.text) if token.kind == "word" and _NUMBER.fullmatch(token.text) else math.nan
        if not math.isfinite(number):
            self._refuse("expected a number", token)
        return number

    def _text(self, expected: str) -> str:
        token = self._next()
        if token.kind == "word" and not token.keyword:
            return token.text
        if token.kind != "string":
            self._refuse(f"expected {expected}", token)
        try:
            text: str = json.loads(token.text, strict=False)
        except ValueError:
            self._refuse(r"expected text in which \ stands only before another \, before a quote or in \n", token)
        return text


def _tokens(text: str) -> list[_Token]:
    found, place, end = [], 0, len(text.rstrip())
    while place < end:
        match = _TOKEN.match(text, place, end)
        if match is None:
            start = place + len(text[place:]) - len(text[place:].lstrip())
            raise SelectionRefused(f"Character {start + 1}: {text[start]!r} is not expected here.", start)
        kind = ("string", "sign", "word")[match.lastindex - 1 if match.lastindex else 0]
        found.append(_Token(kind, match[match.lastindex or 0], match.start(match.lastindex or 0)))
        place = match.end()
    return [*found, _Token("end", "", end)]
