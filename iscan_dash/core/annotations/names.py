"""Rules for the names of annotations and for labels."""

import re
import unicodedata
from collections.abc import Mapping

from iscan_dash.errors import NameRefused

NAME_LENGTH = 64
LABEL_LENGTH = 128

RESERVED = frozenset({"_index", "index", ".", ".."})
"""Names that AnnData keeps for itself."""

SAMPLE = "sample"
"""The column of samples in drafts."""


def check_name(name: str, taken: Mapping[str, str]) -> str:
    """Return the name as it will be kept: trimmed and in Unicode's composed form.

    Parameters
    ----------
    name
        What the user typed.
    taken
        Names in use and what uses them (``"metadata"``, ``"cluster"``, ``"cell ID"``, ``"annotation"`` or
        ``"selection"``); a name that differs only in case is taken too.

    Raises
    ------
    NameRefused
        With the code E01 (empty), E02 (taken), E03 (slash), E04 (reserved), E05 (too long) or E06 (control characters).

    Examples
    --------
    >>> check_name("  T cells ", {})
    'T cells'
    >>> check_name("Leiden", {"leiden": "cluster"})
    Traceback (most recent call last):
    iscan_dash.errors.NameRefused: "Leiden" is already used by a cluster column. Choose another name.
    """
    kept = unicodedata.normalize("NFC", name).strip()
    if not kept:
        raise NameRefused("E01", "Enter a name.")
    if "/" in kept or "\\" in kept:
        raise NameRefused("E03", r"Names cannot contain / or \ because HDF5 uses them as separators.")
    if kept in RESERVED or kept.startswith("_index"):
        raise NameRefused("E04", f'"{kept}" is reserved by AnnData.')
    if kept == SAMPLE:
        raise NameRefused("E04", f'"{kept}" is the column of samples in drafts. Choose another name.')
    if len(kept) > NAME_LENGTH:
        raise NameRefused("E05", f"Name is {len(kept)} characters long; the limit is {NAME_LENGTH}.")
    if not is_printable(kept):
        raise NameRefused("E06", "Names cannot contain control characters, tabs or line breaks. Type the name again.")
    users = {unicodedata.normalize("NFC", other).casefold(): user for other, user in taken.items()}
    user = users.get(kept.casefold())
    if user:
        what = {"annotation": "an annotation", "selection": "a saved selection"}.get(user, f"a {user} column")
        raise NameRefused("E02", f'"{kept}" is already used by {what}. Choose another name.')
    return kept


def check_label(text: str) -> str:
    r"""Return a label as it will be kept: trimmed, composed, with line breaks and tabs turned into spaces.

    Raises
    ------
    NameRefused
        With the code E10 (empty), E07 (too long) or E08 (control characters).

    Examples
    --------
    >>> check_label(" CD4+ T, naive/central\tmemory ")
    'CD4+ T, naive/central memory'
    """
    kept = plain_label(unicodedata.normalize("NFC", text)).strip()
    if not kept:
        raise NameRefused("E10", "Enter a default value.")
    if len(kept) > LABEL_LENGTH:
        raise NameRefused("E07", f"Label is {len(kept)} characters long; the limit is {LABEL_LENGTH}.")
    if not is_printable(kept):
        raise NameRefused("E08", "Labels cannot contain control characters. Type the label again.")
    return kept


def check_description(text: str) -> str:
    """Return a description as it will be kept: trimmed, and in Unicode's composed form; it may have several lines.

    Raises
    ------
    NameRefused
        With the code E08 (control characters, or marks that reorder text).
    """
    kept = unicodedata.normalize("NFC", text).strip()
    if not is_printable(re.sub(r"\r?\n|\t", "", kept)):
        raise NameRefused("E08", "Descriptions cannot contain control characters. Type the description again.")
    return kept


def plain_label(text: str) -> str:
    """Turn every run of tabs and line breaks into one space."""
    return re.sub(r"[\t\r\n\v\f\x1c-\x1e\x85\u2028\u2029]+", " ", text)


def label_notices(typed: str, kept: str) -> list[str]:
    """Tell what a user may want to know of a label they typed.

    Examples
    --------
    >>> label_notices("NA", "NA")
    ['Many tools read "NA" as missing.']
    """
    notices = []
    if typed != typed.strip():
        notices.append("Spaces at the ends were removed.")
    if "  " in kept:
        notices.append("The label has two spaces in a row.")
    if kept.casefold() in {"na", "nan", "none", "null", "n/a"}:
        notices.append(f'Many tools read "{kept}" as missing.')
    return notices


def free_name(wanted: str, taken: Mapping[str, str]) -> str:
    """Return `wanted`, or the first of ``"wanted (2)"``, ``"wanted (3)"`` ... that is not taken.

    Examples
    --------
    >>> free_name("fate", {"Fate": "annotation", "fate (2)": "annotation"})
    'fate (3)'
    """
    used = {name.casefold() for name in taken}
    number, name = 1, wanted
    while name.casefold() in used:
        number += 1
        ending = f" ({number})"
        name = wanted[: NAME_LENGTH - len(ending)] + ending
    return name


def is_printable(text: str) -> bool:
    """Tell whether a text has nothing that cannot be seen: control characters, line breaks, marks that reorder text."""
    # Cc: control, Cs: lone surrogates, Co: private, Zl and Zp: line breaks. Cn may be newer than Python's tables. Cf
    # holds joiners that emoji and scripts need, and marks that reorder text, which could make a label read as another:
    # those are refused.
    reordering = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
    refused = {"Cc", "Cs", "Co", "Zl", "Zp"}
    return not any(unicodedata.category(character) in refused or character in reordering for character in text)
