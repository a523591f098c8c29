"""All claims in one table: what is wanted, what was reached, and what a peer reaches on the same machine."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Claim:
    """One figure that the project wants to reach.

    Parameters
    ----------
    what
        What was measured, with its unit.
    data
        What it was measured with.
    ours
        Our figure.
    peer
        The figure of the best peer and its name; empty when none does the same.
    ratio
        How many times our figure the peer's is.
    goal
        What is wanted and whether it is met; empty when nothing was promised.
    """

    what: str
    data: str
    ours: str
    peer: str = ""
    ratio: str = ""
    goal: str = ""


def goal_text(own: float | None, goal: float | None, digits: int, *, is_least: bool = False) -> str:
    """Say what is wanted at most, or at least, and whether it is met.

    Examples
    --------
    >>> goal_text(1.1, 1.2, 2)
    '<= 1.2 met'
    >>> goal_text(55, 60, 0, is_least=True)
    '>= 60 MISSED'
    """
    if goal is None:
        return ""
    number = f"{goal:,.{digits}f}".rstrip("0").rstrip(".") if digits else f"{goal:,.0f}"
    is_met = own is not None and (own >= goal if is_least else own <= goal)
    return f"{'>=' if is_least else '<='} {number} {'met' if is_met else 'MISSED'}"


def markdown(rows: Iterable[Sequence[str]], n_left: int = 1) -> str:
    """Return rows, the first of them the head, as a Markdown table.

    Parameters
    ----------
    rows
        Their cells.
    n_left
        Columns of words, which are aligned to the left.
    """
    head, *body = rows
    lines = [head, [*["---"] * n_left, *["---:"] * (len(head) - n_left)], *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def claims_table(claims: Sequence[Claim]) -> str:
    """Return all claims as a Markdown table."""
    head = ("", "with", "iscan-dash", "peer", "peer / iscan-dash", "goal")
    body = [(own.what, own.data, own.ours, own.peer, own.ratio, own.goal) for own in claims]
    return markdown([head, *body], n_left=2)
