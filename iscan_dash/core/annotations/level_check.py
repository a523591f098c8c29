"""Hold the texts of a column against the rules for labels, and tell what becomes of them."""

import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from iscan_dash.core.annotations.names import LABEL_LENGTH, check_label, label_notices, plain_label
from iscan_dash.errors import NameRefused


@dataclass(frozen=True)
class CheckedLevels:
    """What becomes of texts that are to be labels.

    Parameters
    ----------
    labels
        The label of each text; ``""`` for a text that is empty or all spaces, None for one that breaks a rule.
    notices
        What the user may want to know, a sentence each.
    problem
        Why the first text that breaks a rule does, ``""`` when none does.
    """

    labels: tuple[str | None, ...]
    notices: tuple[str, ...]
    problem: str


def check_levels(levels: Sequence[str]) -> CheckedLevels:
    r"""Turn different texts into labels: trimmed, composed, without tabs and line breaks.

    Parameters
    ----------
    levels
        The texts, each once.

    Examples
    --------
    >>> checked = check_levels(["T ", "NA", "", "t"])
    >>> checked.labels
    ('T', 'NA', '', 't')
    >>> for notice in checked.notices:
    ...     print(notice)
    1 label had spaces at its ends, which are removed (first: "T").
    Many tools read "NA" as missing.
    "T" and "t" differ only by case or spaces; they are kept apart.
    """
    labels: list[str | None] = []
    problem = ""
    for level in levels:
        try:
            labels.append(level if _is_plain(level) else check_label(level) if plain_label(level).strip() else "")
        except NameRefused as refused:
            labels.append(None)
            problem = problem or f'"{shortened(level)}": {refused}'
    changed = [(level, label) for level, label in zip(levels, labels, strict=True) if label and label != level]
    kept = [label for label in labels if label]
    notices = [
        *_changes(changed),
        *_merged(len(kept) - len(set(kept))),
        *dict.fromkeys(notice for label in kept for notice in label_notices(label, label)),
        *_twins(list(dict.fromkeys(kept))),
    ]
    return CheckedLevels(tuple(labels), tuple(notices), problem)


def shortened(text: str, length: int = 60) -> str:
    r"""Return a text that fits a sentence, whatever it holds.

    Examples
    --------
    >>> shortened("a\nb"), shortened("x" * 100, 5)
    ('a b', 'xxxx…')
    """
    shown = "".join(character if character.isprintable() else " " for character in text[: length + 1])
    return shown if len(shown) <= length else shown[: length - 1] + "…"


def _is_plain(level: str) -> bool:
    """Tell quickly that a text is a label as it stands, as nearly all are."""
    return level.isascii() and level.isprintable() and 0 < len(level) <= LABEL_LENGTH and level == level.strip()


def _changes(changed: list[tuple[str, str]]) -> list[str]:
    kinds: tuple[tuple[str, Callable[[str], bool]], ...] = (
        ("had spaces at its ends, which are removed", lambda level: level != level.strip(" ")),
        ("had tabs or line breaks, which become spaces", lambda level: plain_label(level) != level),
        ("had its accents apart, which are joined to their letters", lambda level: not _is_composed(level)),
    )
    notices = []
    for what, holds in kinds:
        found = [label for level, label in changed if holds(level)]
        if found:
            n_labels = "1 label" if len(found) == 1 else f"{len(found):,} labels"
            their = what if len(found) == 1 else what.replace(" its ", " their ")
            notices.append(f'{n_labels} {their} (first: "{shortened(found[0])}").')
    return notices


def _is_composed(level: str) -> bool:
    return unicodedata.is_normalized("NFC", level)


def _merged(n_merged: int) -> list[str]:
    if not n_merged:
        return []
    return [f"{n_merged:,} {'label becomes' if n_merged == 1 else 'labels become'} the same as another one by that."]


def _twins(labels: list[str]) -> list[str]:
    seen: dict[str, str] = {}
    for label in labels:
        other = seen.setdefault(label.casefold(), label)
        if other is not label:
            return [
                f'"{shortened(other)}" and "{shortened(label)}" differ only by case or spaces; they are kept apart.'
            ]
    return []
