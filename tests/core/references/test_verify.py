"""What is no reference is refused, with every reason."""

from pathlib import Path

import numpy as np
import pytest

from iscan_dash.core.references.verify import verify
from tests.references import LABELS, some_profiles, write_folder, write_profiles
from tests.studies import STORAGES


def problems(path: Path) -> tuple[str, ...]:
    checked = verify(path)
    assert all(problem.endswith((".", ")")) and "\n" not in problem for problem in checked.problems)
    return checked.problems


def test_a_file_by_itself(tmp_path: Path) -> None:
    checked = verify(write_profiles(tmp_path / "our_gut.h5ad", label_fine=[f"{label} 1" for label in LABELS]))
    assert checked.problems == ()
    assert checked.manifest and checked.contents
    assert (checked.manifest.id, checked.manifest.organism) == ("our_gut", "human")
    assert checked.manifest.granularities == ("main", "fine")
    assert (checked.contents.n_profiles, checked.contents.n_genes) == (12, 600)
    assert checked.contents.n_labels == {"main": 4, "fine": 4}


@pytest.mark.parametrize("storage", STORAGES)
def test_any_storage(tmp_path: Path, storage: str) -> None:
    x = STORAGES[storage](np.maximum(some_profiles(LABELS) - 0.5, 0))
    assert problems(write_profiles(tmp_path / "gut.h5ad", x=x)) == ()


def test_a_folder(tmp_path: Path) -> None:
    checked = verify(write_folder(tmp_path / "gut", n_profiles=12, n_genes=600, n_labels={"main": 4}))
    assert checked.problems == ()
    assert checked.matrix == tmp_path / "gut" / "reference.h5ad"


@pytest.mark.parametrize(
    ("x", "said"),
    [
        (
            np.random.default_rng(0).poisson(3, (12, 600)).astype(np.float32),
            "Its values are whole numbers, as counts are",
        ),
        (np.random.default_rng(0).normal(0, 1, (12, 600)), "Its values are scaled (negative values, "),
        (np.random.default_rng(0).gamma(1, 40, (12, 600)), "Its values are normalised, not logged (fractions up to "),
        (np.zeros((12, 600), np.float32), "Its values are whole numbers, as counts are (whole numbers, 0 to 0, in "),
    ],
)
def test_other_values(tmp_path: Path, x: np.ndarray, said: str) -> None:
    (problem,) = problems(write_profiles(tmp_path / "gut.h5ad", x=x))
    assert problem.startswith(said)
    assert problem.endswith("A reference needs log-normalised values in X.")


def test_log_values_of_celldex_may_be_negative(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "hpca", celldex={"name": "hpca", "version": "2024-02-26"}, checksum=None)
    write_profiles(folder / "reference.h5ad", x=some_profiles(LABELS) - 1)
    assert problems(folder) == (
        'reference.json has no field "checksum": add "sha256:" and the SHA-256 of reference.h5ad.',
    )


def test_names_that_are_no_id(tmp_path: Path) -> None:
    for name in ("Our gut.h5ad", "gut-2.h5ad", "é.h5ad"):
        (problem,) = problems(write_profiles(tmp_path / name))
        assert problem == (f"{name} cannot be an id: call the file by 1 to 64 small letters, digits and _, then .h5ad.")


def test_labels(tmp_path: Path) -> None:
    assert problems(write_profiles(tmp_path / "a.h5ad", [None] * 12)) == (
        'No profile has a label in the column "label_main".',
    )
    assert problems(write_profiles(tmp_path / "b.h5ad", ["T"] * 12)) == (
        "It has only one label: there is nothing to tell apart.",
    )
    (problem,) = problems(write_profiles(tmp_path / "c.h5ad", ["T"] * 6 + ["x" * 129] * 6))
    assert problem.startswith('A label in the column "label_main" breaks a rule: ')
    folder = write_folder(tmp_path / "gut", labels={"fine": "none"})
    assert problems(folder) == ('reference.h5ad has no obs column "none".',)
    folder = write_folder(tmp_path / "terms", ontology={"main": {"<b>": "CL:1"}})
    assert problems(folder) == ('The manifest has a term for "<b>", which is no label of the column "label_main".',)


def test_no_labels_at_all(tmp_path: Path) -> None:
    import anndata as ad

    ad.AnnData(some_profiles(LABELS)).write_h5ad(tmp_path / "gut.h5ad")
    assert problems(tmp_path / "gut.h5ad") == ("gut.h5ad has no obs column label_main or label_fine with the labels.",)


def test_a_manifest_that_does_not_fit(tmp_path: Path) -> None:
    folder = write_folder(
        tmp_path / "gut",
        n_profiles=13,
        n_genes=1,
        n_labels={"main": 2},
        organism="mouse",
        checksum="sha256:" + "0" * 64,
    )
    assert problems(folder) == (
        "It has 12 profiles; the manifest says 13.",
        "It has 600 genes; the manifest says 1.",
        "It has 4 main labels; the manifest says 2.",
        "The manifest says mouse but gene names look like human.",
        f"{folder / 'reference.h5ad'} is not the file its manifest was written for (its SHA-256 differs). Copy it again, "
        "or correct the checksum if you changed the file on purpose.",
    )
    folder.rename(tmp_path / "gut2")
    assert problems(tmp_path / "gut2") == ('The folder is called "gut2" but its manifest has the id "gut".',)


def test_missing_and_damaged_files(tmp_path: Path) -> None:
    assert problems(tmp_path / "none.h5ad") == (f"{tmp_path / 'none.h5ad'} does not exist. Check the path.",)
    (tmp_path / "text.txt").write_text("x")
    assert problems(tmp_path / "text.txt") == (
        f"{tmp_path / 'text.txt'} is no reference: name an .h5ad file, or a folder with a reference.json.",
    )
    (tmp_path / "empty").mkdir()
    (problem,) = problems(tmp_path / "empty")
    assert problem.endswith("reference.json cannot be read: No such file or directory.")
    folder = write_folder(tmp_path / "gut")
    matrix = folder / "reference.h5ad"
    matrix.write_bytes(matrix.read_bytes()[:3000])
    (problem,) = problems(folder)
    assert "cut short" in problem
    matrix.unlink()
    (problem,) = problems(folder)
    assert problem == f"{matrix} is missing: a reference needs its matrix beside the manifest."
