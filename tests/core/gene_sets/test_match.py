"""Genes of sets among those of a study: exactly, by other ids, by case."""

from hypothesis import given
from hypothesis import strategies as st

from iscan_dash.core.gene_sets import GeneIndex, GeneSet, match_set
from iscan_dash.core.gene_sets.match import match_warnings

NAMES = ["CD3D", "CD3E", "MS4A1", "C1orf112", "Abc", "ABC", "CD3D", None]
IDS = ["ENSG00000000001.4", "ENSG00000000002", "ENSG00000000003", "", "", "", "ENSG00000000007", "ENSG00000000008"]


def index() -> GeneIndex:
    return GeneIndex.of(NAMES, [IDS])


def test_exact_then_ids_then_case() -> None:
    own = GeneSet("x", ("CD3E", "ENSG00000000003", "C1ORF112", "CD8A"), ("ENSG00000000008",))
    found = match_set(own, index())
    assert found.high.tolist() == [1, 2, 3] and found.low.tolist() == [7]
    assert (found.n_high, found.n_low, found.n_asked, found.n_found) == (4, 1, 5, 4)
    assert found.missing == ("CD8A",) and found.by_case == (("C1ORF112", "C1orf112"),)
    assert found.by_id == ("ENSG00000000003", "ENSG00000000008")
    assert not found.is_few


def test_the_first_of_repeated_names_counts() -> None:
    assert match_set(GeneSet("x", ("CD3D",)), index()).high.tolist() == [0]
    assert index().n_repeated == 1


def test_case_that_fits_several_genes_fits_none() -> None:
    found = match_set(GeneSet("x", ("aBc", "Abc", "ms4a1")), index())
    assert found.high.tolist() == [4, 2] and found.missing == ("aBc",)


def test_two_names_of_one_gene_count_once() -> None:
    found = match_set(GeneSet("x", ("ENSG00000000001", "CD3D", "cd3d", "CD3E")), index())
    assert found.high.tolist() == [0, 1] and found.n_asked == 2 and found.n_same == 2


def test_nothing_found() -> None:
    found = match_set(GeneSet("x", ("FOO", "1-Mar")), index())
    assert found.n_found == 0 and found.is_few and found.to_json()["missing"] == ["FOO", "1-Mar"]


def test_what_is_said() -> None:
    sets = [
        GeneSet("none", ("FOO", "1-Mar")),
        GeneSet("few", ("CD3D", *(f"X{n}" for n in range(9)))),
        GeneSet("c", ("cd3e",)),
    ]
    said = match_warnings([match_set(own, index()) for own in sets], index())
    text = " ".join(said)
    assert "1 set has no gene in this study: none." in text
    assert "Fewer than 20% of the genes were found of 1 set: few 1/10." in text
    assert "cd3e as CD3E" in text and "was it MARCHF1?" in text and "1 gene name repeats" in text


def test_ensembl_ids_that_nobody_knows() -> None:
    names = GeneIndex.of(["CD3D"])
    own = GeneSet("x", ("ENSG00000000001",))
    assert "The sets have Ensembl ids, but the study has none of them." in match_warnings(
        [match_set(own, names)], names
    )


WORDS = st.text("abAB1", min_size=1, max_size=3)


@given(
    st.lists(WORDS, min_size=1, max_size=12), st.lists(WORDS, min_size=1, max_size=6, unique=True), st.integers(0, 3)
)
def test_every_gene_is_found_once_or_missing(names: list[str], genes: list[str], n_low: int) -> None:
    own = GeneSet("x", tuple(genes[n_low:]), tuple(genes[:n_low]))
    found = match_set(own, GeneIndex.of(names))
    columns = [*found.high.tolist(), *found.low.tolist()]
    assert len(set(columns)) == len(columns)
    assert found.n_found + len(found.missing) == found.n_asked == own.n_genes - found.n_same
    for gene in genes:
        if gene in names:
            assert names.index(gene) in columns
        else:
            fits = {names.index(name) for name in names if name.casefold() == gene.casefold()}
            assert (gene in found.missing) == (len(fits) != 1)
