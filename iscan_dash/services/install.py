"""Install built-in references: download them with celldex, and keep them in our format."""

import contextlib
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from importlib import import_module
from pathlib import Path
from uuid import uuid4

import filelock

from iscan_dash.core.references.convert import Experiment, from_experiment
from iscan_dash.core.references.manifest import MANIFEST, Manifest, read_manifest
from iscan_dash.core.references.registry import Entry, Registry, State
from iscan_dash.core.references.verify import verify
from iscan_dash.errors import IscanError, PredictionRefused, StorageError

Progress = Callable[[float, str], None]
"""Told how much is done, 0 to 1, and what comes now."""

Fetch = Callable[[Manifest, bool], Experiment]
"""Downloads a reference; the second argument is whether to download again what is there already."""

WASTE = ".part-"
"""Begins the names of folders that an install leaves when it is killed."""


class Outcome(StrEnum):
    """What became of a reference that was to be installed."""

    INSTALLED = "installed"
    PRESENT = "already installed"


class DownloadFailed(IscanError):
    """A reference could not be downloaded."""


def built_ins(registry: Registry) -> dict[str, Entry]:
    """Return the references that can be installed, by id."""
    return {entry.id: entry for entry in registry.entries() if entry.manifest and entry.manifest.celldex}


def install(
    registry: Registry,
    ids: Sequence[str],
    *,
    fetch: Fetch | None = None,
    progress: Progress = lambda _part, _what: None,
) -> Iterator[tuple[Entry, Outcome]]:
    """Install references one after the other; those that are there already are left as they are.

    A reference appears under its name only when it is complete and verified. What was downloaded before an
    interruption is not downloaded again.

    Parameters
    ----------
    registry
        Says what can be installed, and where to.
    ids
        Which ones.
    fetch
        Downloads one; by celldex when None.
    progress
        Told what is done.

    Yields
    ------
    tuple of Entry and Outcome
        Each reference once it is there.

    Raises
    ------
    PredictionRefused
        An id is not that of a built-in reference.
    DownloadFailed
        There is no network, or celldex is not there.
    StorageError
        The folder cannot be written.
    """
    known = built_ins(registry)
    for id_ in ids:
        if id_ not in known:
            raise PredictionRefused(f'"{id_}" is no reference that can be installed. There are: {", ".join(known)}.')
    wanted = list(dict.fromkeys(ids))
    for number, id_ in enumerate(wanted):
        with alone(registry.installed, "Set ISCAN_DATA_DIR to another folder."):
            entry = built_ins(registry)[id_]
            manifest = entry.manifest
            assert manifest is not None

            def tell(part: float, what: str, name: str = manifest.name, number: int = number) -> None:
                progress((number + part) / len(wanted), f"{name}: {what}")

            outcome = Outcome.PRESENT
            if not _is_whole(registry, entry):
                # The bundled manifest, not that of what may be there in a bad state.
                described = read_manifest(registry.bundled / id_ / MANIFEST)
                _install_one(registry.installed, described, fetch or fetch_with_celldex, tell)
                outcome = Outcome.INSTALLED
            tell(1, str(outcome))
        yield registry.find(id_), outcome


def _is_whole(registry: Registry, entry: Entry) -> bool:
    if entry.state is not State.READY:
        return False
    try:
        registry.checksum(entry)
    except PredictionRefused:
        return False
    return True


def _install_one(installed: Path, manifest: Manifest, fetch: Fetch, tell: Progress) -> None:
    tell(0, "download")
    try:
        experiment = fetch(manifest, False)
    except DownloadFailed:
        raise
    except Exception as error:  # noqa: BLE001
        # What an earlier download left may be damaged.
        tell(0, f"download again ({_first_line(error)})")
        experiment = fetch(manifest, True)
    tell(0.6, "convert")
    waste = installed / f"{WASTE}{uuid4().hex}"
    try:
        part = waste / manifest.id
        part.mkdir(parents=True)
        # Its own sizes are written, whatever was announced.
        from_experiment(experiment, manifest, part)
        tell(0.9, "verify")
        problems = verify(part).problems
        if problems:
            raise DownloadFailed(f"{manifest.name} was downloaded but cannot be used. {' '.join(problems)}")
        target = installed / manifest.id
        if target.exists():
            target.rename(waste / "old")
        part.rename(target)
    except OSError as error:
        reason = error.strerror or error
        raise StorageError(f"{installed} cannot be written: {reason}. Free the disk, or set ISCAN_DATA_DIR.") from error
    finally:
        shutil.rmtree(waste, ignore_errors=True)


@contextlib.contextmanager
def alone(folder: Path, remedy: str) -> Iterator[None]:
    """Keep other processes from adding references meanwhile, and remove what a killed one left.

    Parameters
    ----------
    folder
        The folder of references; it is made when it does not exist.
    remedy
        What to do when it cannot be written.

    Raises
    ------
    StorageError
        Another process adds some, or the folder cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with filelock.FileLock(folder / ".install.lock", timeout=1):
            for waste in folder.glob(f"{WASTE}*"):
                shutil.rmtree(waste, ignore_errors=True)
            yield
    except filelock.Timeout as error:
        raise StorageError(f"Another program is installing references into {folder}. Wait for it to end.") from error
    except OSError as error:
        reason = error.strerror or error
        raise StorageError(f"{folder} cannot be written: {reason}. {remedy}") from error


def fetch_with_celldex(manifest: Manifest, again: bool) -> Experiment:
    """Download a reference with the celldex package, which keeps what it downloaded.

    Raises
    ------
    DownloadFailed
        The package is not installed, or there is no network.
    """
    assert manifest.celldex is not None
    try:
        # An extra, slow to import and with many dependencies, so only here.
        celldex, gypsum_client = map(import_module, ("celldex", "gypsum_client"))
    except ImportError as error:
        raise DownloadFailed(
            "References are downloaded with the celldex package, which is not installed. "
            "Run: pip install 'iscan-dash[references]'"
        ) from error
    try:
        experiment: Experiment = celldex.fetch_reference(
            manifest.celldex.name,
            manifest.celldex.version,
            cache_dir=os.fspath(gypsum_client.cache_directory()),
            overwrite=again,
            realize_assays=True,
        )
    except Exception as error:
        if again or _is_network(error):
            raise DownloadFailed(_network_sentence(manifest, error)) from error
        raise
    return experiment


def _is_network(error: BaseException) -> bool:
    """Tell whether an error, or one that it came from, is one of the network."""
    seen: BaseException | None = error
    while seen is not None:
        if type(seen).__name__ == "HTTPError":
            return False
        modules = {kind.__module__.partition(".")[0] for kind in type(seen).__mro__}
        if isinstance(seen, ConnectionError | TimeoutError) or modules & {"requests", "urllib3"}:
            return True
        seen = seen.__cause__ or seen.__context__
    return False


def _network_sentence(manifest: Manifest, error: Exception) -> str:
    how = "Connect to the internet and run the command again; what was downloaded is kept."
    if _is_network(error):
        return f"{manifest.name} cannot be downloaded: celldex's server cannot be reached. {how}"
    return f"{manifest.name} cannot be downloaded: {_first_line(error)}. {how}"


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")[:200]
