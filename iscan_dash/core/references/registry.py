"""The references that can be chosen: those that come with the package, installed ones, and those of a shared folder."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from iscan_dash.core.references.manifest import MANIFEST, Manifest
from iscan_dash.core.references.profiles import Contents
from iscan_dash.core.references.verify import Checked, changed, checksum_of, verify
from iscan_dash.errors import PredictionRefused

_PACKAGE = Path(__file__).resolve().parents[2]

BUNDLED = next(
    (folder for folder in (_PACKAGE / "references", _PACKAGE.parent / "references") if folder.is_dir()),
    _PACKAGE / "references",
)
"""The folder that comes with the package; in a checkout it is beside it."""


def printable(text: str) -> str:
    r"""Replace control characters: names of files may have some, and to a terminal they are commands.

    Examples
    --------
    >>> printable("gut \x1b[31m")
    'gut ?[31m'
    """
    return "".join(character if character.isprintable() else "?" for character in text)


class State(StrEnum):
    """Whether a reference can be used."""

    READY = "ready"
    NOT_INSTALLED = "not installed"
    REFUSED = "refused"


@dataclass(frozen=True)
class Entry:
    """A reference that was found.

    Parameters
    ----------
    id
        What it is chosen by.
    state
        Whether it can be used.
    origin
        ``"bundled"``, ``"installed"`` or ``"shared"``.
    path
        Its folder or file.
    manifest
        What is known of it; None when that cannot be read.
    matrix
        The file with its profiles, None while it is not installed or cannot be read.
    contents
        What that file holds.
    reasons
        Why it is not ready and what to do, a sentence each.
    """

    id: str
    state: State
    origin: str
    path: Path
    manifest: Manifest | None
    matrix: Path | None = None
    contents: Contents | None = None
    reasons: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What people read."""
        return self.manifest.name if self.manifest else self.id

    @property
    def n_labels(self) -> dict[str, int]:
        """How many labels it has, by granularity; as its manifest says while it is not installed."""
        if self.contents:
            return self.contents.n_labels
        counts = self.manifest.n_labels if self.manifest else None
        return {kind: number for kind, number in (counts.model_dump() if counts else {}).items() if number}


class Registry:
    """Looks for references, anew each time, so that what is dropped into a folder is there at once.

    A file that did not change is not opened again.

    Parameters
    ----------
    installed
        The folder that ``references install`` fills; it need not exist.
    shared
        A folder of one's own references, None for none.
    bundled
        The folder that comes with the package.
    """

    def __init__(self, installed: Path, shared: Path | None = None, bundled: Path = BUNDLED) -> None:
        self.installed = installed
        self.shared = shared
        self.bundled = bundled
        self._seen: dict[Path, tuple[tuple[tuple[int, int], ...], Checked]] = {}
        self._checksums: dict[Path, tuple[tuple[int, int], str]] = {}
        self._lock = threading.Lock()

    def entries(self) -> list[Entry]:
        """List all references: the bundled and built-in ones, other installed ones, then the shared ones."""
        found: dict[str, Entry] = {}
        refused = []
        for path in _candidates(self.bundled, lenient=True):
            entry = self._entry(path, "bundled")
            if entry.manifest and entry.manifest.celldex and entry.matrix is None:
                entry = self._built_in(entry)
            found[entry.id] = entry
        for folder, origin in ((self.installed, "installed"), (self.shared, "shared")):
            for path in _candidates(folder, lenient=origin == "installed") if folder else ():
                if origin == "installed" and path.name in found:
                    continue
                entry = self._entry(path, origin)
                if other := found.get(entry.id):
                    where = printable(str(other.path))
                    clash = f'The id "{entry.id}" is that of another reference ({where}). Rename this one.'
                    refused.append(replace(entry, state=State.REFUSED, reasons=(clash,)))
                else:
                    found[entry.id] = entry
        return [*found.values(), *refused]

    def folder_problem(self) -> str:
        """Say what is wrong with the shared folder, ``""`` when nothing is."""
        if self.shared is not None and not self.shared.is_dir():
            return f"The folder of references {self.shared} does not exist. Check --references or ISCAN_REFERENCES."
        return ""

    def find(self, id_: str) -> Entry:
        """Return the reference of an id, whether it can be used or not.

        Raises
        ------
        PredictionRefused
            There is none.
        """
        entries = self.entries()
        for entry in entries:
            if entry.id == id_:
                return entry
        known = ", ".join(entry.id for entry in entries if entry.state is not State.REFUSED) or "none"
        raise PredictionRefused(f'There is no reference "{id_}". There are: {known}.')

    def ready(self, id_: str) -> Entry:
        """Return the reference of an id that can be used.

        Raises
        ------
        PredictionRefused
            There is none, or it cannot be used; the message has the reasons.
        """
        entry = self.find(id_)
        if entry.state is not State.READY:
            raise PredictionRefused(f"{entry.name} cannot be used. {' '.join(entry.reasons)}")
        return entry

    def checksum(self, entry: Entry) -> str:
        """Return the checksum of a reference that is ready, after comparing it with the matrix.

        Raises
        ------
        PredictionRefused
            The matrix is not the one its manifest was written for.
        """
        assert entry.matrix is not None
        assert entry.manifest is not None
        stamp = _stamp(entry.matrix)
        with self._lock:
            known = self._checksums.get(entry.matrix)
        checksum = known[1] if known and known[0] == stamp else checksum_of(entry.matrix)
        with self._lock:
            self._checksums[entry.matrix] = stamp, checksum
        if entry.manifest.checksum not in {None, checksum}:
            raise PredictionRefused(changed(entry.matrix))
        return checksum

    def _built_in(self, known: Entry) -> Entry:
        """Look for what ``install`` made of a built-in reference."""
        path = self.installed / known.id
        how = f"It is not installed. To add it: iscan-dash references install {known.id}"
        if not (path / MANIFEST).is_file():
            return replace(known, state=State.NOT_INSTALLED, reasons=(how,))
        entry = self._entry(path, "installed")
        if entry.state is State.READY:
            return entry
        again = f"Install it again: iscan-dash references install {known.id}"
        return replace(entry, manifest=entry.manifest or known.manifest, reasons=(*entry.reasons, again))

    def _entry(self, path: Path, origin: str) -> Entry:
        checked = self._checked(path)
        id_ = checked.manifest.id if checked.manifest else path.name if path.is_dir() else path.stem
        state = State.REFUSED if checked.problems else State.READY
        reasons = tuple(map(printable, checked.problems))
        return Entry(
            printable(id_), state, origin, path, checked.manifest, checked.matrix, checked.contents, reasons=reasons
        )

    def _checked(self, path: Path) -> Checked:
        stamps = tuple(_stamp(part) for part in (path, path / MANIFEST, *sorted(path.glob("*.h5ad"))))
        with self._lock:
            seen = self._seen.get(path)
        if seen and seen[0] == stamps:
            return seen[1]
        checked = verify(path, with_checksum=False)
        with self._lock:
            self._seen[path] = stamps, checked
        return checked


def _candidates(folder: Path, *, lenient: bool) -> Iterator[Path]:
    """List what in a folder is meant to be a reference; a lenient look passes over folders without a manifest."""
    try:
        paths = sorted(folder.iterdir())
    except OSError:
        return
    for path in paths:
        # Collections of gene sets are in the same folders.
        if path.name.startswith((".", "_")) or path.name == "gene_sets":
            continue
        # Opening what is neither, such as a pipe, could take for ever.
        is_matrix = path.suffix == ".h5ad" and path.is_file()
        if is_matrix or (path.is_dir() and (not lenient or (path / MANIFEST).is_file())):
            yield path


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_mtime_ns, status.st_size
