import pytest

from iscan_dash.core.study.genes import inspect_genes

HUMAN = ["CD3D", "MS4A1", "HLA-DRA", "MT-CO1", "LYZ", "C1orf112"]
MOUSE = ["Cd3d", "Ms4a1", "H2-Aa", "Gm1992", "Sox17", "mt-Co1", "Lyz2", "1700003F12Rik"]


def ensembl(prefix: str, n_genes: int = 5, version: str = "") -> list[str]:
    return [f"{prefix}{number:011d}{version}" for number in range(n_genes)]


@pytest.mark.parametrize(
    ("names", "identifiers", "species"),
    [
        (HUMAN, "symbol", "human"),
        (MOUSE, "symbol", "mouse"),
        (ensembl("ENSG"), "Ensembl", "human"),
        (ensembl("ENSG", version=".12"), "Ensembl", "human"),
        (ensembl("ENSMUSG"), "Ensembl", "mouse"),
        (ensembl("ENSDARG"), "Ensembl", "unknown"),
        ([*ensembl("ENSG", 4), "ERCC-00002"], "Ensembl", "human"),
        (ensembl("ENSG", 2) + HUMAN, "symbol", "human"),
        (["drpr", "esg", "upd3", "Rbp6"], "symbol", "unknown"),
        (["0", "1", "2"], "other", "unknown"),
        (["7157", "672", "CD3D"], "other", "unknown"),
        (["ENSG0001", "ENSMUSG1"], "symbol", "human"),
        ([], "other", "unknown"),
    ],
)
def test_identifiers_and_species(names: list[str], identifiers: str, species: str) -> None:
    report = inspect_genes(names)

    assert (report.identifiers, report.species) == (identifiers, species)
    assert report.n_genes == len(names)
    assert report.n_duplicates == 0
    assert report.examples == tuple(names[:5])


def test_repeated_names_are_counted_beyond_the_first() -> None:
    assert inspect_genes(["CD3D", "LYZ", "CD3D", "CD3D", "LYZ"]).n_duplicates == 3


def test_two_species_in_one_file() -> None:
    assert inspect_genes(ensembl("ENSG", 5) + ensembl("ENSMUSG", 5)).species == "unknown"
    assert inspect_genes(ensembl("ENSG", 5) + ensembl("ENSMUSG", 4)).species == "human"
