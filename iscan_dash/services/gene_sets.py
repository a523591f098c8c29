"""Collections of gene sets: those that come with the package, those of a shared folder, and each user's own."""

import contextlib
import hashlib
import json
import logging
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4

from iscan_dash.core.gene_sets import GeneSet, read_gene_sets
from iscan_dash.core.gene_sets.gene_set import (
    DESCRIPTION_LENGTH,
    check_set_name,
    clean_gene,
    is_gene,
    merged,
    species_of,
)
from iscan_dash.core.gene_sets.read import MOST_BYTES, MOST_GENES, MOST_SETS
from iscan_dash.core.gene_sets.write import cellxgene_text, gmt_text, json_text
from iscan_dash.core.references.registry import BUNDLED, printable
from iscan_dash.core.words import counted
from iscan_dash.errors import (
    DataError,
    EditConflict,
    EnrichmentRefused,
    IscanError,
    NameRefused,
    StorageError,
    UnknownColumn,
)
from iscan_dash.services.ledger import now
from iscan_dash.services.private import only_one, write_private

FOLDER = "gene_sets"
"""What the folder of collections is called, within that of the package, of references and of the server."""

ENDINGS = frozenset({".gmt", ".grp", ".csv", ".tsv", ".txt", ".json"})
"""Of files in such a folder that are meant to be collections."""

BESIDE = frozenset({".gmt", ".grp"})
"""Of files beside references that can be nothing else."""

MOST_COLLECTIONS = 200

KEEP_DELETED = 30 * 24 * 3600.0
"""Seconds for which a deleted collection can be brought back."""

OWN, SHIPPED, SHARED = "own", "shipped", "shared"

GONE = "This gene set collection is not there any more. Choose another one."

FORMAT = 1

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class GeneSetCollection:
    """Gene sets under a name.

    Parameters
    ----------
    id
        What it is chosen by.
    name
        What people read.
    origin
        ``"own"``, ``"shipped"`` or ``"shared"``; only one's own can be edited.
    sets
        The sets, of different names.
    description
        What it is, and where it comes from.
    organism
        ``"human"``, ``"mouse"`` or ``"unknown"``.
    version
        Grows with every edit.
    changed
        When it was edited last, ISO 8601 in UTC; ``""`` when nobody knows.
    problem
        Why it cannot be used, ``""`` when it can.
    """

    id: str
    name: str
    origin: str
    sets: tuple[GeneSet, ...] = ()
    description: str = ""
    organism: str = "unknown"
    version: int = 1
    changed: str = ""
    problem: str = ""

    @cached_property
    def n_genes(self) -> int:
        """Different genes of all sets."""
        return len({gene for own in self.sets for gene in (*own.genes, *own.negative)})

    def to_json(self, *, with_sets: bool = False) -> dict[str, Any]:
        """Return it as plain values."""
        values = {
            "id": self.id,
            "name": self.name,
            "origin": self.origin,
            "organism": self.organism,
            "description": self.description,
            "n_sets": len(self.sets),
            "n_genes": self.n_genes,
            "version": self.version,
            "changed": self.changed,
            "problem": self.problem,
            "editable": self.origin == OWN,
        }
        return {**values, "sets": [own.to_json() for own in self.sets]} if with_sets else values

    def chosen(self, names: Iterable[str]) -> tuple[GeneSet, ...]:
        """Return some of its sets, in its own order.

        Raises
        ------
        EnrichmentRefused
            One of them is not there.
        """
        wanted = dict.fromkeys(names)
        known = {own.name for own in self.sets}
        if gone := [name for name in wanted if name not in known]:
            raise EnrichmentRefused(f'{self.name} has no gene set "{gone[0]}" any more. Load the page again.', "E51")
        return tuple(own for own in self.sets if own.name in wanted)


class GeneSetCollections:
    """The collections that users can choose from; looked at anew each time, so that what is dropped in is there.

    A user's own are files of the server, one a collection: they serve all studies. All methods may be called from any
    thread, and by several servers at once.

    Parameters
    ----------
    folder
        The server's own folder; collections are in ``gene_sets`` within.
    shared
        A folder of one's own references, None for none.
    bundled
        The folder that comes with the package.
    """

    def __init__(self, folder: Path, shared: Path | None = None, bundled: Path = BUNDLED) -> None:
        self._folder = folder / FOLDER
        self._shared = shared
        self._bundled = bundled / FOLDER
        self._seen: dict[Path, tuple[tuple[int, int], GeneSetCollection]] = {}
        self._lock = threading.RLock()

    # -- looking -----------------------------------------------------------------------------------------------------

    def list(self, user: str) -> list[GeneSetCollection]:
        """Return all that a user can choose from: their own, the newest first, those of the package, shared ones."""
        own = [self._read(path, OWN) for path in sorted(self._of(user).glob("*.json")) if not path.name.startswith(".")]
        own.sort(key=lambda collection: collection.changed, reverse=True)
        return [*own, *(self._read(path, origin) for path, origin in self._dropped())]

    def get(self, user: str, id_: str) -> GeneSetCollection:
        """Return a collection.

        Raises
        ------
        UnknownColumn
            There is none of this id.
        DataError
            It cannot be read.
        """
        for collection in self.list(user):
            if collection.id == id_:
                if collection.problem:
                    raise DataError(collection.problem)
                return collection
        raise UnknownColumn(GONE)

    def _dropped(self) -> Iterator[tuple[Path, str]]:
        """Find the files of the package and of the shared folder."""
        places = [(self._bundled, SHIPPED, ENDINGS)]
        if self._shared is not None:
            places += [(self._shared / FOLDER, SHARED, ENDINGS), (self._shared, SHARED, BESIDE)]
        for folder, origin, endings in places:
            try:
                paths = sorted(folder.iterdir())
            except OSError:
                continue
            for path in paths:
                # Opening what is no file, such as a pipe, could take for ever.
                if path.suffix.lower() in endings and not path.name.startswith((".", "_")) and path.is_file():
                    yield path, origin

    def _read(self, path: Path, origin: str) -> GeneSetCollection:
        try:
            status = path.stat()
            stamp = status.st_mtime_ns, status.st_size
        except OSError:
            stamp = 0, 0
        with self._lock:
            seen = self._seen.get(path)
        if seen and seen[0] == stamp:
            return seen[1]
        # A name may be of another encoding than UTF-8, and then no text that can be sent.
        name = os.fsencode(path.name).decode("utf-8", "backslashreplace")
        id_ = path.stem if origin == OWN else f"{origin}:{name if path.parent.name == FOLDER else f'../{name}'}"
        try:
            found = _read_own(path) if origin == OWN else _read_dropped(path, id_, origin)
        except (IscanError, OSError) as error:
            reason = (
                f"{path.name} cannot be read: {error.strerror or error}" if isinstance(error, OSError) else str(error)
            )
            found = GeneSetCollection(id_, printable(path.stem), origin, problem=printable(reason))
        with self._lock:
            self._seen[path] = stamp, found
        return found

    # -- making and editing ------------------------------------------------------------------------------------------

    def create(self, user: str, name: str, sets: Sequence[GeneSet] = (), description: str = "") -> GeneSetCollection:
        """Make a collection.

        Parameters
        ----------
        user
            Id of the user.
        name
            What to call it; a name of another collection of the user is refused.
        sets
            The sets, of different names.
        description
            What it is.

        Raises
        ------
        NameRefused
            The name, or that of a set, breaks a rule or is taken.
        EnrichmentRefused
            Sets have the same name (E53), or there are too many.
        StorageError
            It cannot be written.
        """
        with self._editing(user):
            others = self._own(user)
            if len(others) >= MOST_COLLECTIONS:
                raise EnrichmentRefused(f"{MOST_COLLECTIONS} collections can be kept at most. Delete one first.")
            made = GeneSetCollection(uuid4().hex, self._name(user, name), OWN, version=0)
            return self._write(user, replace(made, sets=_checked(sets), description=_line(description)))

    def duplicate(self, user: str, id_: str, name: str) -> GeneSetCollection:
        """Make a copy of any collection, which can be edited; see `create` for the errors."""
        original = self.get(user, id_)
        return self.create(user, name, original.sets, original.description)

    def rename(self, user: str, id_: str, name: str, version: int, description: str | None = None) -> GeneSetCollection:
        """Give a collection another name, and another description unless it is None; see `create` for the errors.

        Raises
        ------
        EditConflict
            It changed since the user saw it.
        """

        def change(old: GeneSetCollection) -> GeneSetCollection:
            text = old.description if description is None else _line(description)
            return replace(old, name=self._name(user, name, old.id), description=text)

        return self._edit(user, id_, version, change)

    def add(
        self, user: str, id_: str, sets: Sequence[GeneSet], version: int, repeated: str = "refuse"
    ) -> GeneSetCollection:
        """Add sets to a collection; see `create` and `rename` for the errors.

        Parameters
        ----------
        user, id_, version
            Whose, which, and the version that the user saw.
        sets
            The sets.
        repeated
            What becomes of those whose name is there already: ``"refuse"`` (E53), ``"merge"`` or ``"replace"``.
        """

        def change(old: GeneSetCollection) -> GeneSetCollection:
            taken = {own.name for own in old.sets}
            again = list(dict.fromkeys(own.name for own in sets if own.name in taken))
            if again and repeated not in {"merge", "replace"}:
                raise EnrichmentRefused(
                    f"{old.name} has {counted(len(again), 'set')} of the same name already ({', '.join(again[:5])}). "
                    "Unite them, replace them, or rename yours.",
                    "E53",
                )
            if repeated == "replace":
                new = {own.name: own for own in _checked(sets)}
                kept = tuple(new.pop(own.name, own) for own in old.sets)
                return replace(old, sets=_checked((*kept, *new.values())))
            return replace(old, sets=_checked(merged((*old.sets, *sets))))

        return self._edit(user, id_, version, change)

    def put_set(self, user: str, id_: str, own: GeneSet, version: int, former: str = "") -> GeneSetCollection:
        """Add a set, or put it in the place of another one; see `create` and `rename` for the errors.

        Parameters
        ----------
        user, id_, version
            Whose, which collection, and the version that the user saw.
        own
            The set.
        former
            Name of the set that it replaces, ``""`` for none.
        """

        def change(old: GeneSetCollection) -> GeneSetCollection:
            if not former:
                return replace(old, sets=_checked((*old.sets, own)))
            if former not in {known.name for known in old.sets}:
                raise UnknownColumn(f'There is no gene set "{former}" any more. Load the page again.')
            return replace(old, sets=_checked(own if known.name == former else known for known in old.sets))

        return self._edit(user, id_, version, change)

    def delete_sets(self, user: str, id_: str, names: Iterable[str], version: int) -> GeneSetCollection:
        """Take sets out of a collection; see `rename` for the errors."""
        gone = set(names)
        return self._edit(
            user, id_, version, lambda old: replace(old, sets=tuple(own for own in old.sets if own.name not in gone))
        )

    def delete(self, user: str, id_: str) -> GeneSetCollection:
        """Delete a collection of the user's; for a month `restore` brings it back.

        Raises
        ------
        UnknownColumn
            There is none of this id.
        StorageError
            It cannot be deleted.
        """
        with self._editing(user):
            old = self._found(user, id_)
            self._path(user, id_).replace(self._deleted(user, id_))
            # From now on the month counts.
            self._deleted(user, id_).touch()
            return old

    def restore(self, user: str, id_: str) -> GeneSetCollection:
        """Bring a deleted collection back, under a free name.

        Raises
        ------
        UnknownColumn
            It was deleted long ago.
        """
        with self._editing(user):
            path = self._deleted(user, id_)
            if not _is_id(id_) or not path.is_file():
                raise UnknownColumn("This gene set collection was deleted long ago and cannot be brought back.")
            old = _read_own(path)
            taken = {own.name.casefold() for own in self._own(user)}
            name, number = old.name, 1
            while name.casefold() in taken:
                number += 1
                name = f"{old.name} ({number})"
            made = self._write(user, replace(old, name=name))
            path.unlink(missing_ok=True)
            return made

    def export(self, collection: GeneSetCollection, kind: str) -> tuple[str, str]:
        """Return the name and the text of a file with a collection.

        Parameters
        ----------
        collection
            The collection.
        kind
            ``"gmt"``, ``"csv"`` (as cellxgene has it) or ``"json"``.
        """
        stem = "".join(character if character.isalnum() or character in "-_." else "_" for character in collection.name)
        if kind == "gmt":
            text = gmt_text(collection.sets)
        elif kind == "csv":
            text = cellxgene_text(collection.sets)
        else:
            text = json_text(collection.name, collection.description, collection.organism, collection.sets)
        return f"{stem[:80] or 'gene_sets'}.{kind}", text

    # -- within ------------------------------------------------------------------------------------------------------

    def _of(self, user: str) -> Path:
        return self._folder / hashlib.blake2b(user.encode(), digest_size=10).hexdigest()

    def _path(self, user: str, id_: str) -> Path:
        return self._of(user) / f"{id_}.json"

    def _deleted(self, user: str, id_: str) -> Path:
        return self._of(user) / f".deleted-{id_}.json"

    def _own(self, user: str) -> Sequence[GeneSetCollection]:
        return [own for own in self.list(user) if own.origin == OWN]

    def _found(self, user: str, id_: str) -> GeneSetCollection:
        found = self.get(user, id_)
        if found.origin != OWN:
            raise EnrichmentRefused(f"{found.name} belongs to everybody. Duplicate it to edit it.")
        return found

    def _name(self, user: str, name: str, own: str = "") -> str:
        kept = check_set_name(name)
        for other in self._own(user):
            if other.id != own and other.name.casefold() == kept.casefold():
                raise NameRefused(
                    "E02", f'"{kept}" is already used by another collection of yours. Choose another name.'
                )
        return kept

    def _edit(
        self, user: str, id_: str, version: int, change: Callable[[GeneSetCollection], GeneSetCollection]
    ) -> GeneSetCollection:
        with self._editing(user):
            old = self._found(user, id_)
            if old.version != version:
                raise EditConflict(f"{old.name} was changed meanwhile, maybe in another window. Load the page again.")
            new = change(old)
            return old if new == old else self._write(user, new)

    @contextlib.contextmanager
    def _editing(self, user: str) -> Iterator[None]:
        """Keep others, other processes among them, from writing a user's collections meanwhile."""
        folder = self._of(user)
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with self._lock, only_one(folder / "collections"):
                self._tidy(folder)
                yield
        except OSError as error:
            raise StorageError(
                f"The gene sets cannot be kept in {folder}: {error.strerror or error}. Free the disk or check the "
                "folder's permissions, then try again."
            ) from error

    def _tidy(self, folder: Path) -> None:
        for path in folder.glob(".deleted-*.json"):
            with contextlib.suppress(OSError):
                if time.time() - path.stat().st_mtime > KEEP_DELETED:
                    path.unlink()

    def _write(self, user: str, new: GeneSetCollection) -> GeneSetCollection:
        kept = replace(new, version=new.version + 1, changed=now(), organism=species_of(new.sets))
        values = {
            "format": FORMAT,
            "id": kept.id,
            "name": kept.name,
            "description": kept.description,
            "version": kept.version,
            "changed": kept.changed,
            "sets": [own.to_json() for own in kept.sets],
        }
        path = self._path(user, kept.id)
        write_private(path, json.dumps(values, ensure_ascii=False))
        with self._lock:
            # Written twice within one tick of the clock, a file may look as it did.
            self._seen.pop(path, None)
        return kept


def _is_id(id_: str) -> bool:
    return len(id_) == 32 and all(character in "0123456789abcdef" for character in id_)


def _read_own(path: Path) -> GeneSetCollection:
    try:
        values = json.loads(path.read_text("utf-8"))
        if values["format"] > FORMAT:
            raise DataError(f"{path.name} was written by a newer iscan-dash. Update iscan-dash to use it.")
        sets = tuple(GeneSet.from_json(own) for own in values["sets"])
        return GeneSetCollection(
            str(values["id"]),
            str(values["name"]),
            OWN,
            sets,
            str(values["description"]),
            species_of(sets),
            int(values["version"]),
            str(values["changed"]),
        )
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        log.warning("%s cannot be read: %s", path, error)
        raise DataError(f"The collection in {path} is damaged. Delete the file, or bring back a copy of it.") from error


def _read_dropped(path: Path, id_: str, origin: str) -> GeneSetCollection:
    if path.stat().st_size > MOST_BYTES:
        raise DataError(
            f"{path.name} is too large: {MOST_BYTES >> 20} MB can be read at most. Keep only the sets you need."
        )
    read = read_gene_sets(path.read_bytes(), path.name).merged()
    notes = " ".join(read.notes) if origin == SHARED else ""
    return GeneSetCollection(
        id_,
        printable(read.name or path.stem),
        origin,
        read.sets,
        read.description or f"{read.format}, {printable(path.name)}." + (f" {notes}" if notes else ""),
        read.organism,
    )


def _checked(sets: Iterable[GeneSet]) -> tuple[GeneSet, ...]:
    """Return sets as they are kept; see `GeneSetCollections.create` for the errors."""
    kept = tuple(_checked_set(own) for own in sets)
    repeated = [name for name, times in Counter(own.name for own in kept).items() if times > 1]
    if repeated:
        raise EnrichmentRefused(
            f"{counted(len(repeated), 'name is', 'names are')} used by several sets ({', '.join(repeated[:5])}). "
            "Unite them, or rename one.",
            "E53",
        )
    if len(kept) > MOST_SETS or sum(own.n_genes for own in kept) > MOST_GENES:
        raise EnrichmentRefused(
            f"A collection can have {MOST_SETS:,} sets and {MOST_GENES:,} genes at most. Make several of them."
        )
    return kept


def _checked_set(own: GeneSet) -> GeneSet:
    genes = tuple(dict.fromkeys(filter(None, map(clean_gene, own.genes))))
    negative = tuple(gene for gene in dict.fromkeys(filter(None, map(clean_gene, own.negative))) if gene not in genes)
    name = check_set_name(own.name)
    if odd := [gene for gene in (*genes, *negative) if not is_gene(gene)]:
        raise EnrichmentRefused(f'"{odd[0][:60]}" in {name} is no gene. Correct it or take it out.')
    if not genes and not negative:
        raise EnrichmentRefused(f"{name} has no genes. Give at least one.")
    return GeneSet(name, genes, negative, _line(own.description), own.about)


def _line(text: str) -> str:
    kept = " ".join(text.split())[:DESCRIPTION_LENGTH]
    return "".join(character if character.isprintable() else "?" for character in kept)
