"""The labels that groups get of an enrichment result: what was ticked or typed, and where it comes from."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from iscan_dash.core.annotations.annotation import DEFAULT
from iscan_dash.core.annotations.combine import Combined
from iscan_dash.core.annotations.names import check_label
from iscan_dash.errors import EnrichmentRefused, NameRefused, UnknownColumn
from iscan_dash.services.enrichment_list import EnrichmentEntry
from iscan_dash.services.grouped_scores import COLUMNS, MISSING, Group, GroupedScores, plain
from iscan_dash.services.ledger import DEFAULT_LABEL
from iscan_dash.services.workspace import Source

JOIN_LENGTH = 16


@dataclass(frozen=True)
class GroupChoice:
    """What a user chose for a group.

    Parameters
    ----------
    group
        Its label, None for cells without one.
    sets
        Names of the sets that are ticked.
    custom
        Whether `text` is taken rather than the names of sets.
    text
        The user's own label.
    """

    group: str | None
    sets: tuple[str, ...] = ()
    custom: bool = False
    text: str = ""


@dataclass(frozen=True)
class LabelChoice:
    """How labels are made of a grouped result.

    Parameters
    ----------
    by
        The column of groups.
    groups
        What was chosen; groups that are not named have nothing ticked.
    default
        Label of cells of groups without one, and of those that were not scored.
    join
        What stands between the names of several sets.
    stamp
        That of the table that the user saw; ``""`` for whatever is there now.
    """

    by: Source
    groups: tuple[GroupChoice, ...]
    default: str = DEFAULT_LABEL
    join: str = " / "
    stamp: str = ""


@dataclass(frozen=True)
class GroupLabel:
    """The label that a group gets.

    Parameters
    ----------
    group, n
        The group, None for cells without a value, and its scored cells.
    label
        The label, that of the default when nothing was chosen.
    is_default
        Whether nothing was chosen.
    code, problem
        Why it cannot be, ``""`` when it can.
    """

    group: str | None
    n: int
    label: str
    is_default: bool
    code: str = ""
    problem: str = ""


@dataclass(frozen=True)
class Labelled:
    """The labels that groups get.

    Parameters
    ----------
    rows
        The label of each group, in the order of the table.
    default
        The default label.
    n_left_out
        Cells of the study that were not scored; they get the default.
    """

    rows: tuple[GroupLabel, ...]
    default: str
    n_left_out: int

    @property
    def n_unlabelled(self) -> int:
        """Groups without a label."""
        return sum(row.is_default for row in self.rows)

    @property
    def merged(self) -> dict[str, list[str]]:
        """Labels that several groups get, with these groups."""
        found: dict[str, list[str]] = {}
        for row in self.rows:
            if not row.is_default and not row.problem:
                found.setdefault(row.label, []).append(MISSING if row.group is None else row.group)
        return {label: groups for label, groups in found.items() if len(groups) > 1}

    def to_json(self) -> dict[str, Any]:
        """Return it as plain values."""
        return {
            "rows": [asdict(row) for row in self.rows],
            "default": self.default,
            "n_unlabelled": self.n_unlabelled,
            "n_left_out": self.n_left_out,
            "merged": [[label, groups] for label, groups in self.merged.items()],
            "n_problems": sum(bool(row.problem) for row in self.rows),
        }


def labels_of(grouped: GroupedScores, choice: LabelChoice) -> Labelled:
    """Return the label that each group would get, with what is wrong about it.

    Raises
    ------
    NameRefused
        The default label breaks a rule (E10).
    EnrichmentRefused
        What stands between the names of sets is too long.
    UnknownColumn
        A group or a set that was chosen is not there.
    """
    default = check_label(choice.default)
    if len(choice.join) > JOIN_LENGTH:
        raise EnrichmentRefused(f"What stands between labels can have {JOIN_LENGTH} characters at most.")
    chosen = {own.group: own for own in choice.groups}
    known = {group.label for group in grouped.groups}
    if gone := [own for own in chosen if own not in known]:
        raise UnknownColumn(f'{grouped.title} has no group "{gone[0]}" any more. Look at the groups again.')
    rows = tuple(
        _label_of(group, chosen.get(group.label), grouped.result.names, default, choice.join)
        for group in grouped.groups
    )
    return Labelled(rows, default, grouped.result.n_all - grouped.result.n_cells)


def cell_labels(grouped: GroupedScores, labelled: Labelled) -> Combined:
    """Return the label of each cell of the study; cells that were not scored get the default."""
    texts = list(dict.fromkeys([labelled.default, *(row.label for row in labelled.rows)]))
    place = {text: number for number, text in enumerate(texts)}
    of_group = np.array([place[row.label] for row in labelled.rows], np.int32)
    codes = np.full(grouped.result.n_all, DEFAULT, np.int32)
    mask = grouped.result.cells
    codes[slice(None) if mask is None else mask] = of_group[grouped.codes]
    return Combined(tuple(texts), codes, ())


def provenance(
    entry: EnrichmentEntry, grouped: GroupedScores, choice: LabelChoice, labelled: Labelled
) -> dict[str, Any]:
    """Return where labels come from: the analysis, the groups, what was ticked and its numbers, and the genes."""
    recipe = dict(grouped.result.recipe)
    sets = {own["name"]: own for own in recipe.pop("sets")}
    chosen = {own.group: own for own in choice.groups}
    number = {name: place for place, name in enumerate(grouped.result.names)}
    used: dict[str, Any] = {}
    rows = []
    for place, (group, label) in enumerate(zip(grouped.groups, labelled.rows, strict=True)):
        own = chosen.get(group.label)
        ticked = [] if own is None else [name for name in number if name in own.sets]
        used |= {name: sets[name] for name in ticked}
        rows.append(
            {
                "group": group.label,
                "cells": group.n,
                "label": label.label,
                "custom": own is not None and own.custom,
                "sets": {
                    name: {
                        column: plain(float(getattr(grouped.table, column)[place, number[name]])) for column in COLUMNS
                    }
                    for name in ticked
                },
            }
        )
    return {
        **recipe,
        "result": entry.id,
        "result_name": entry.name,
        "group_by": {"kind": choice.by.kind, "key": choice.by.key, "title": grouped.title},
        "default": labelled.default,
        "join": choice.join,
        "groups": rows,
        "sets": list(used.values()),
    }


def _label_of(group: Group, chosen: GroupChoice | None, names: Sequence[str], default: str, join: str) -> GroupLabel:
    if chosen is None or not (chosen.custom or chosen.sets):
        return GroupLabel(group.label, group.n, default, is_default=True)
    if chosen.custom:
        text = chosen.text
        if not text.strip():
            sentence = f"Enter the custom label for group {group.title}, or switch Custom off."
            return GroupLabel(group.label, group.n, "", is_default=False, code="E21", problem=sentence)
    else:
        ticked = set(chosen.sets)
        if gone := ticked.difference(names):
            raise UnknownColumn(f'This result has no gene set "{sorted(gone)[0]}". Look at the labels again.')
        text = join.join(name for name in names if name in ticked)
    try:
        return GroupLabel(group.label, group.n, check_label(text), is_default=False)
    except NameRefused as error:
        sentence = (
            f"Group {group.title}: {error} Switch Custom on to write a shorter one."
            if error.code == "E07"
            else str(error)
        )
        return GroupLabel(group.label, group.n, text, is_default=False, code=error.code, problem=sentence)
