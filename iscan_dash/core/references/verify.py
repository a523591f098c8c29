"""Tell whether a file or folder is a reference, and if not, every reason why."""

from dataclasses import dataclass
from pathlib import Path

from iscan_dash.core.references.manifest import MANIFEST, SLUG, LabelColumns, Manifest, read_manifest
from iscan_dash.core.references.profiles import Contents, guess_columns, inspect_profiles
from iscan_dash.core.study.fingerprint import file_sha256
from iscan_dash.errors import IscanError, PredictionRefused


@dataclass(frozen=True)
class Checked:
    """A file or folder that is meant to be a reference.

    Parameters
    ----------
    path
        The ``.h5ad`` file, or the folder.
    manifest
        What is known of it; None when not even that can be told.
    matrix
        The file with the profiles, None when there is none.
    contents
        What that file holds, None when it cannot be opened.
    problems
        Why it cannot be used, a sentence each; empty when it can.
    """

    path: Path
    manifest: Manifest | None
    matrix: Path | None
    contents: Contents | None
    problems: tuple[str, ...]


def verify(path: Path, *, with_checksum: bool = True) -> Checked:
    """Look a reference over: its manifest, labels, genes and the kind of its values.

    Parameters
    ----------
    path
        An ``.h5ad`` file, whose name is the id of the reference, or a folder with a manifest and a matrix.
    with_checksum
        Whether to read the whole matrix and compare it with the checksum in the manifest.
    """
    try:
        manifest, matrix = _from_folder(path) if path.is_dir() else _from_file(path)
    except IscanError as error:
        return Checked(path, None, None, None, (str(error),))
    if not matrix.is_file():
        missing = f"{matrix} is missing: a reference needs its matrix beside the manifest."
        return Checked(path, manifest, None, None, (missing,))
    try:
        contents = inspect_profiles(matrix, manifest)
    except IscanError as error:
        return Checked(path, manifest, matrix, None, (str(error),))
    problems = list(contents.problems)
    if path.is_dir() and manifest.checksum is None:
        problems.append(f'{MANIFEST} has no field "checksum": add "sha256:" and the SHA-256 of {matrix.name}.')
    elif with_checksum and manifest.checksum not in {None, checksum_of(matrix)}:
        problems.append(changed(matrix))
    return Checked(path, manifest, matrix, contents, tuple(problems))


def checksum_of(matrix: Path) -> str:
    """Return the checksum of a file as manifests have it.

    Raises
    ------
    PredictionRefused
        The file cannot be read.
    """
    try:
        return f"sha256:{file_sha256(matrix)}"
    except OSError as error:
        raise PredictionRefused(f"{matrix} cannot be read: {error.strerror or error}.") from error


def changed(matrix: Path) -> str:
    """Say that a matrix is not the one its manifest was written for."""
    return (
        f"{matrix} is not the file its manifest was written for (its SHA-256 differs). Copy it again, or correct the "
        "checksum if you changed the file on purpose."
    )


def _from_folder(folder: Path) -> tuple[Manifest, Path]:
    manifest = read_manifest(folder / MANIFEST)
    name = folder.resolve().name
    if manifest.id != name:
        raise PredictionRefused(f'The folder is called "{name}" but its manifest has the id "{manifest.id}".')
    return manifest, folder / manifest.matrix


def _from_file(path: Path) -> tuple[Manifest, Path]:
    if not path.exists():
        raise PredictionRefused(f"{path} does not exist. Check the path.")
    if path.suffix != ".h5ad" or not path.is_file():
        raise PredictionRefused(f"{path} is no reference: name an .h5ad file, or a folder with a {MANIFEST}.")
    if not SLUG.fullmatch(path.stem):
        raise PredictionRefused(
            f"{path.name} cannot be an id: call the file by 1 to 64 small letters, digits and _, then .h5ad."
        )
    columns = guess_columns(path)
    if not columns:
        raise PredictionRefused(f"{path.name} has no obs column label_main or label_fine with the labels.")
    labels = LabelColumns(**{column.removeprefix("label_"): column for column in columns})
    plain = Manifest(id=path.stem, name=path.stem, organism="unknown", labels=labels, source=path.name)
    species = inspect_profiles(path, plain).genes.species
    organism = species if species in {"human", "mouse"} else "unknown"
    return plain.model_copy(update={"organism": organism}), path
