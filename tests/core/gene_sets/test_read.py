"""Gene sets from every format: what is in them, what is said of them, and nothing that breaks."""

import contextlib
import json
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from iscan_dash.core.gene_sets import GeneSet, ReadSets, read_gene_sets
from iscan_dash.core.gene_sets.gene_set import check_set_name, mangled, merged, species_of
from iscan_dash.core.gene_sets.read import FORMATS
from iscan_dash.core.gene_sets.write import cellxgene_text, gmt_text, json_text
from iscan_dash.errors import DataError, NameRefused
from tests.core.singler.golden import DATA
from tests.core.singler.golden import GOLDEN as PEERS

REAL = DATA / "genesets"
GOLDEN = PEERS / "enrichment" / "sets.gmt"


def genes_of(read: ReadSets) -> dict[str, tuple[str, ...]]:
    return {own.name: own.genes for own in read.sets}


TWO = {"T cell": ("CD3D", "CD3E", "TRAC"), "B cell": ("MS4A1", "CD79A")}

FILES = {
    "gmt": "T cell\thttp://x.org/t\tCD3D\tCD3E\tTRAC\nB cell\tna\tMS4A1\tCD79A\n",
    "gmt, trailing tabs, CRLF and a mark": "\ufeffT cell\t\tCD3D\tCD3E\tTRAC\t\t\r\nB cell\t\tMS4A1\tCD79A\t\t\r\n",
    "gmt as Enrichr has it": "T cell\t\tCD3D,1.0\tCD3E,0.5\tTRAC,1.0\t\nB cell\t\tMS4A1,1.0\tCD79A,2\t\n",
    "cellxgene": (
        "gene_set_name,gene_set_description,gene_symbol,gene_description\n"
        'T cell,"all, of them",CD3D,"a ""chain"""\nT cell,,CD3E,\nB cell,,MS4A1,\nT cell,,TRAC,\nB cell,,CD79A,\n'
    ),
    "long": "source,target\nT cell,CD3D\nT cell,CD3E\nT cell,TRAC\nB cell,MS4A1\nB cell,CD79A\n",
    "long with weights": "source\ttarget\tweight\nT cell\tCD3D\t1\nT cell\tCD3E\t2.5\nT cell\tTRAC\t1\nB cell\tMS4A1\t1\nB cell\tCD79A\t1\n",
    "long, several a cell": "cell_type;markers\nT cell;CD3D, CD3E, TRAC\nB cell;MS4A1, CD79A\n",
    "wide": "T cell,B cell\nCD3D,MS4A1\nCD3E,CD79A\nTRAC,\n",
    "wide with row numbers": ",T cell,B cell\n0,CD3D,MS4A1\n1,CD3E,CD79A\n2,TRAC,\n",
    "wide with tabs": "T cell\tB cell\tNK\nCD3D\tMS4A1\tNKG7\nCD3E\tCD79A\t\nTRAC\t\t\n",
    "json": json.dumps(TWO),
    "json of MSigDB": json.dumps({name: {"geneSymbols": genes, "systematicName": "M1"} for name, genes in TWO.items()}),
    "json, or nearly so": "{'T cell': ['CD3D', 'CD3E', 'TRAC'], 'B cell': ('MS4A1', 'CD79A')}",
    "long without a header": "T cell,CD3D\nT cell,CD3E\nT cell,TRAC\nB cell,MS4A1\nB cell,CD79A\n",
    "long, without a header, with tabs": "T cell\tCD3D\nT cell\tCD3E\nT cell\tTRAC\nB cell\tMS4A1\nB cell\tCD79A\n",
    "gmt that is none": "T cell\tCD3D, CD3E,TRAC\nB cell\tMS4A1,CD79A\n",
    "lines": "T cell: CD3D, CD3E;TRAC\n\nB cell: MS4A1\tCD79A\n",
    "lines that go on": "T cell:\nCD3D\nCD3E\nTRAC\nB cell: MS4A1,\nCD79A\n",
}


@pytest.mark.parametrize("what", FILES)
def test_every_format_is_known_by_its_content(what: str) -> None:
    for read in (read_gene_sets(FILES[what].encode(), "sets.txt"), read_gene_sets(FILES[what])):
        found = genes_of(read)
        assert {name: found[name] for name in TWO} == TWO, read
        if what.startswith("wide"):
            break
    assert what.startswith(read.read_as)
    assert read.organism in {"human", "unknown"} and not read.repeated


def test_descriptions_of_sets_and_genes_are_kept() -> None:
    own = read_gene_sets(FILES["cellxgene"]).sets[0]
    assert (own.description, own.about) == ("all, of them", {"CD3D": 'a "chain"'})


@pytest.mark.parametrize(
    "text",
    [
        "CD3D\nCD3E\nTRAC",
        "CD3D, CD3E, TRAC",
        "CD3D;CD3E;TRAC\n",
        "CD3D\tCD3E\tTRAC",
        "['CD3D', 'CD3E', 'TRAC']",
        "gene\nCD3D\nCD3E\nTRAC",
    ],
)
def test_a_list_of_genes_is_one_set(text: str) -> None:
    (own,) = read_gene_sets(text).sets
    assert own == GeneSet("Gene set", ("CD3D", "CD3E", "TRAC"))
    assert read_gene_sets(b"# made by hand\nCD3D\nCD3E", "my cells.grp").sets[0].name == "my cells"
    (msigdb,) = read_gene_sets(b"HALLMARK_X\n> Genes of x\nCD3D\nCD3E\n", "x.grp").sets
    assert (msigdb.name, msigdb.description, msigdb.genes) == ("HALLMARK_X", "Genes of x", ("CD3D", "CD3E"))


def test_genes_that_are_low() -> None:
    read = read_gene_sets("T cell: CD3D+, CD3E, CD19-, MS4A1-")
    assert read.sets[0] == GeneSet("T cell", ("CD3D", "CD3E"), ("CD19", "MS4A1"))
    weighted = read_gene_sets("source,target,weight\nT,CD3D,2\nT,CD19,-1\nT,LYZ,0\n")
    assert weighted.sets[0] == GeneSet("T", ("CD3D",), ("CD19",))
    assert any("weight 0" in note for note in weighted.notes) and any(
        "only the sign" in note for note in weighted.notes
    )


def test_what_is_said() -> None:
    read = read_gene_sets("T: CD3D, CD3D, 1-Mar, ENSG00000167286.9\nempty:\nB: Sep-07, 2.31E+13, 2021-09-02")
    assert genes_of(read) == {"T": ("CD3D", "1-Mar", "ENSG00000167286"), "B": ("Sep-07", "2.31E+13", "2021-09-02")}
    said = " ".join(read.notes)
    assert "1 gene repeats within a set; the first counts (CD3D in T)." in said
    assert (
        "1-Mar in T (was it MARCHF1?)" in said
        and "Sep-07 in B (was it SEPTIN7?)" in said
        and "4 genes were changed" in said
    )
    assert "1 set has no genes and was left out (empty)." in said
    assert "1 Ensembl id had a version" in said
    assert [mangled(text) for text in ("CD3D", "MARCH1", "1-2", "3-MAR", "Dec-1")] == [
        None,
        None,
        None,
        "MARCHF3",
        "DELEC1",
    ]


def test_repeated_names_are_asked_about() -> None:
    read = read_gene_sets("T: CD3D\nB: CD19\nT: CD3E, CD3D\nB: CD19\n")
    # Both B are the same, word by word.
    assert [own.name for own in read.sets] == ["T", "B", "T"]
    assert read.repeated == ("T",)
    whole = read.merged()
    assert genes_of(whole) == {"T": ("CD3D", "CD3E"), "B": ("CD19",)} and not whole.repeated
    assert whole.merged() is whole


def test_ranked_tables() -> None:
    scanpy = "group,names,scores,logfoldchanges,pvals,pvals_adj\n" + "".join(
        f"{group},G{place},{9 - place},{4 - place},{10.0**-9},{10.0**-8 if place != 1 else 0.5}\n"
        for group in ("0", "1")
        for place in range(8)
    )
    read = read_gene_sets(scanpy.encode(), "de.csv", top=2)
    assert read.read_as == "ranked" and genes_of(read) == {"0": ("G0", "G2"), "1": ("G0", "G2")}
    said = " ".join(read.notes)
    assert "top 2" in said and "8 rows were left out: lower in their group." in said and "adjusted P" in said
    seurat = (
        '"","p_val","avg_log2FC","pct.1","pct.2","p_val_adj","cluster","gene"\n'
        '"CD3D","0",2.1,0.9,0.1,"0","T","CD3D"\n"LYZ","0",-2,0.1,0.9,"0","T","LYZ"\n"CD3E","0",3.1,0.9,0.1,"0","T","CD3E"\n'
    )
    assert genes_of(read_gene_sets(seurat.encode(), "de.csv")) == {"T": ("CD3E", "CD3D")}


@pytest.mark.parametrize(
    ("data", "name", "words"),
    [
        (b"", "a.gmt", "is empty"),
        (b"  \n\t\n", "a.gmt", "is empty"),
        (b"PK\x03\x04", "a.xlsx", "Excel workbook"),
        (b"\x1f\x8b\x08", "a.gmt.gz", "gunzip"),
        (b"caf\xe9: CD3D", "a.txt", "not UTF-8"),
        (b"a\0b", "a.txt", "not a text file"),
        (b'{"a": [1, {"b": 2}]}', "a.json", "no list of genes"),
        (b'{"a": ', "a.json", "not valid"),
        (b'[{"genes": ["CD3D"]}]', "a.json", "without a name"),
        (b"# nothing\n#else", "a.grp", "nothing but comments"),
        (b"T\t\n", "a.gmt", "No gene set"),
        (b"[" * 100_000, "a.json", "nested"),
        (b'a,b\n"c', "a.csv", ""),
        (b"T" * 300 + b": CD3D", "a.txt", "200"),
    ],
)
def test_what_cannot_be_read_is_a_sentence(data: bytes, name: str, words: str) -> None:
    if not words:
        # An open quote: read somehow, or refused in a sentence.
        with pytest.raises(DataError):
            raise DataError(str(read_gene_sets(data, name)))
        return
    with pytest.raises(DataError, match=words):
        read_gene_sets(data, name)


def test_excel_text_with_a_mark() -> None:
    assert genes_of(read_gene_sets("T cell\tx y\tCD3D\tCD3E\n".encode("utf-16"), "sets.txt")) == {
        "T cell": ("CD3D", "CD3E")
    }


def test_another_reading_can_be_asked_for() -> None:
    text = "CD3D,MS4A1,X\nCD3E,CD79A,Y\nTRAC,CD19,Z\n"
    assert read_gene_sets(text).read_as == "list"
    assert genes_of(read_gene_sets(text, read_as="wide")) == {
        "CD3D": ("CD3E", "TRAC"),
        "MS4A1": ("CD79A", "CD19"),
        "X": ("Y", "Z"),
    }
    with pytest.raises(DataError, match="no column of genes"):
        read_gene_sets(text, read_as="long")
    with pytest.raises(DataError, match="cannot be read as"):
        read_gene_sets(text, read_as="nonsense")


@pytest.mark.parametrize("text", ["null", "true", "1.5", '"CD3D"', ",,,", "\t\t\n;;", "#", "[]", "{}", '{"sets": [1]}'])
@pytest.mark.parametrize("read_as", FORMATS)
def test_nothing_breaks_whatever_it_is_read_as(text: str, read_as: str) -> None:
    with contextlib.suppress(DataError):
        assert read_gene_sets(text, "x.csv", read_as=read_as).sets


@pytest.mark.parametrize(
    "text", [r'{"\ud800 T": {"genes": ["CD3D"], "description": "a\ud800"}}', r"{'\udc00 T': ['CD3D'], }"]
)
def test_halves_of_characters_can_be_written(text: str) -> None:
    (own,) = read_gene_sets(text).sets
    assert (own.name, own.genes) == ("? T", ("CD3D",)) and own.description in {"", "a?"}
    assert read_gene_sets(r'{"T": ["CD3D"], "about": ["\ud83d\ude00"]}').sets[1].genes == ("\U0001f600",)


def test_millions_of_quotes_take_no_time() -> None:
    start = time.process_time()
    for text in ('"' * 2**21, "T: " + "'\"" * 2**20 + "A" + "\"'" * 2**20):
        with pytest.raises(DataError, match="No gene set"):
            read_gene_sets(text)
    assert time.process_time() - start < 10


def test_names() -> None:
    assert check_set_name(" CD4+ T, naive/central\tmemory \u200b") == "CD4+ T, naive/central memory"
    assert check_set_name('"stage 5\'"') == "stage 5'"
    for name, code in (("", "E01"), ("x" * 201, "E05"), ("a\x07b", "E06"), ("a\u202eb", "E06")):
        with pytest.raises(NameRefused) as caught:
            check_set_name(name)
        assert caught.value.code == code


def _is_name(text: str) -> bool:
    try:
        return check_set_name(text) == text
    except NameRefused:
        return False


WORD = st.text(
    st.characters(codec="utf-8", categories=("L", "N", "P", "S"), exclude_characters="\u202a"), min_size=1, max_size=20
)
NAMES = WORD.map(lambda text: f"set {text}").filter(_is_name)
GENES = st.from_regex(r"[A-Z][A-Z0-9]{1,6}(-[A-Z][0-9]?)?", fullmatch=True).filter(lambda text: mangled(text) is None)
SETS = st.lists(
    st.builds(
        lambda name, genes, n, text: GeneSet(name, tuple(genes[n:]), tuple(genes[:n]), text, {}),
        NAMES,
        st.lists(GENES, min_size=2, max_size=8, unique=True),
        st.integers(0, 1),
        st.sampled_from(["", "about it", "http://a.b/c: d"]),
    ),
    min_size=1,
    max_size=5,
    unique_by=lambda own: own.name,
)


@given(SETS)
@settings(max_examples=150)
def test_what_is_written_is_read_again(sets: list[GeneSet]) -> None:
    expected = [(own.name, own.genes, own.negative, own.description) for own in sets]
    for text, kind in (
        (gmt_text(sets), "gmt"),
        (cellxgene_text(sets), "cellxgene"),
        (json_text("all", "of them", "human", sets), "json"),
    ):
        read = read_gene_sets(text.encode(), f"sets.{kind}", read_as="gmt" if kind == "gmt" else None)
        assert read.read_as == kind
        assert [(own.name, own.genes, own.negative, own.description) for own in read.sets] == expected
    assert [GeneSet.from_json(own.to_json()) for own in sets] == sets


@given(
    st.one_of(st.binary(max_size=400), st.text(max_size=400).map(str.encode)), st.sampled_from(["", "a.csv", "b.gmt"])
)
@settings(max_examples=400)
def test_whatever_comes_is_read_or_refused_in_a_sentence(data: bytes, name: str) -> None:
    try:
        read = read_gene_sets(data, name)
    except DataError:
        return
    for own in read.sets:
        assert own.name and own.n_genes and len(set(own.genes)) == len(own.genes)
        assert not set(own.genes) & set(own.negative)
    json.dumps(read.to_json())


@given(st.text("ab,;:\t\n\"'{}[]+-.#01", max_size=60), st.booleans())
@settings(max_examples=500)
def test_odd_mixtures_of_marks(text: str, is_file: bool) -> None:
    try:
        read = read_gene_sets(text, "x" if is_file else "")
    except DataError:
        return
    assert read.sets and read.merged().repeated == ()


def test_merged_keeps_the_first_say() -> None:
    sets = [GeneSet("T", ("A",), ("B",)), GeneSet("T", ("B", "C"), ("A", "D"), "text")]
    assert merged(sets) == (GeneSet("T", ("A", "C"), ("B", "D"), "text"),)


@pytest.mark.skipif(not REAL.is_dir(), reason="the shared data are not here")
def test_real_files() -> None:
    human = read_gene_sets((REAL / "human_immune_cell_markers.json").read_bytes(), "human.json").merged()
    assert human.organism == "human" and len(human.sets) > 10
    assert "CD3D" in next(own for own in human.sets if own.name == "T cell").genes
    mouse = read_gene_sets((REAL / "mouse_immune_cell_markers.json").read_bytes(), "mouse.json")
    assert mouse.organism == "mouse" == species_of(mouse.sets)
    golden = read_gene_sets(GOLDEN.read_bytes(), "sets.gmt")
    assert golden.read_as == "gmt" and len(golden.sets) == 14
    assert genes_of(golden)["edge_duplicates"] == ("CD3D", "CD3E", "LTB")
