import unicodedata

import anndata as ad
import h5py
import numpy as np
import pandas as pd
import pytest
from anndata.io import read_elem, write_elem
from hypothesis import example, given
from hypothesis import strategies as st

from iscan_dash.core.annotations.names import check_label, check_name, free_name, label_notices, plain_label
from iscan_dash.errors import NameRefused

TAKEN = {
    "fate": "annotation",
    "Leiden": "cluster",
    "n_genes": "metadata",
    "barcode": "cell ID",
    "Cafe\u0301": "metadata",
}


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("T cells", "T cells"),
        ("  T cells \n", "T cells"),
        ("T  cells", "T  cells"),
        ("cafe\u0301", "café"),
        ('CD4+ (α), #1; "x"', 'CD4+ (α), #1; "x"'),
        ("Index", "Index"),
        ("...", "..."),
        ("a._index", "a._index"),
        ("👩\u200d🔬", "👩\u200d🔬"),
        ("x" * 64, "x" * 64),
        ("e\u0301" * 64, "é" * 64),
        ("טסיות", "טסיות"),
    ],
)
def test_names_that_are_kept(typed: str, kept: str) -> None:
    assert check_name(typed, {}) == kept


@pytest.mark.parametrize(
    ("typed", "code", "sentence"),
    [
        ("", "E01", "Enter a name."),
        (" \t\n", "E01", "Enter a name."),
        ("fate", "E02", '"fate" is already used by an annotation. Choose another name.'),
        (" FATE ", "E02", '"FATE" is already used by an annotation. Choose another name.'),
        ("leiden", "E02", '"leiden" is already used by a cluster column. Choose another name.'),
        ("n_genes", "E02", '"n_genes" is already used by a metadata column. Choose another name.'),
        ("Barcode", "E02", '"Barcode" is already used by a cell ID column. Choose another name.'),
        ("café", "E02", '"café" is already used by a metadata column. Choose another name.'),
        ("T/B", "E03", "Names cannot contain / or \\ because HDF5 uses them as separators."),
        ("T\\B", "E03", "Names cannot contain / or \\ because HDF5 uses them as separators."),
        ("_index", "E04", '"_index" is reserved by AnnData.'),
        ("_index2", "E04", '"_index2" is reserved by AnnData.'),
        ("index", "E04", '"index" is reserved by AnnData.'),
        (".", "E04", '"." is reserved by AnnData.'),
        (" .. ", "E04", '".." is reserved by AnnData.'),
        ("x" * 65, "E05", "Name is 65 characters long; the limit is 64."),
        *(
            (
                f"a{character}b",
                "E06",
                "Names cannot contain control characters, tabs or line breaks. Type the name again.",
            )
            for character in "\t\n\r\0\x1b\x7f\x85\u2028\u2029\u202e\u2066\ue000\ud800"
        ),
    ],
)
def test_names_that_are_refused(typed: str, code: str, sentence: str) -> None:
    with pytest.raises(NameRefused) as refused:
        check_name(typed, TAKEN)
    assert (refused.value.code, str(refused.value)) == (code, sentence)


HOSTILE = st.one_of(
    st.text(max_size=70),
    st.text(alphabet="./\\_ index#,\"';\t\n\u0301é\u0130ßΣ", max_size=12),
)


@given(typed=st.lists(HOSTILE, min_size=1, max_size=8))
@example(typed=["__categories", "a.", ".a", "%00", "\u200b", "-1", "True", "column-order"])
def test_a_name_that_is_accepted_can_be_stored_in_an_h5ad_file(typed: list[str]) -> None:
    names: list[str] = []
    for text in typed:
        try:
            names.append(check_name(text, dict.fromkeys(names, "annotation")))
        except NameRefused:
            continue
    for name in names:
        assert check_name(name, {}) == name
        assert name == name.strip() == unicodedata.normalize("NFC", name)
        assert 1 <= len(name) <= 64
    obs = pd.DataFrame(
        {name: pd.Categorical(["a", str(place)]) for place, name in enumerate(names)}, index=["c1", "c2"]
    )
    pd.testing.assert_frame_equal(stored(obs), obs)


@given(st.lists(HOSTILE | st.text(min_size=120, max_size=140), min_size=1, max_size=8))
def test_a_label_that_is_accepted_can_be_stored_in_an_h5ad_file(typed: list[str]) -> None:
    labels: list[str] = []
    for text in typed:
        try:
            labels.append(check_label(text))
        except NameRefused:
            continue
    for label in labels:
        assert check_label(label) == label
        assert label == label.strip() == unicodedata.normalize("NFC", label) == plain_label(label)
        assert 1 <= len(label) <= 128
    obs = pd.DataFrame({"fate": pd.Categorical(labels)}, index=[f"c{place}" for place in range(len(labels))])
    read = stored(obs)
    assert read["fate"].tolist() == labels


def stored(obs: pd.DataFrame) -> pd.DataFrame:
    with h5py.File("obs.h5ad", "w", driver="core", backing_store=False) as file:
        write_elem(file, "obs", obs)
        return read_elem(file["obs"])


def test_hostile_names_and_labels_survive_a_whole_file(tmp_path: object) -> None:
    names = ['CD4+ #1, "x"', "α; (β)", "a.b", "👩\u200d🔬", "-", "x" * 64]
    labels = ["T cell, naive/memory", '"', "#", "NA"]
    adata = ad.AnnData(
        np.ones((4, 1)), obs=pd.DataFrame({name: pd.Categorical(labels) for name in names}, index=list("abcd"))
    )
    path = f"{tmp_path}/a.h5ad"
    adata.write_h5ad(path)
    read = ad.read_h5ad(path)

    assert list(read.obs.columns) == [check_name(name, {}) for name in names]
    assert all(read.obs[name].tolist() == [check_label(label) for label in labels] for name in names)


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        (" CD4+ T ", "CD4+ T"),
        ("naive\tT\r\ncell", "naive T cell"),
        ("a\u2028b\x0bc\x1cd", "a b c d"),
        ("T  cell", "T  cell"),
        ("γδ; #/\\,\"'()", "γδ; #/\\,\"'()"),
        ("e\u0301", "é"),
        ("x" * 128, "x" * 128),
        ("NA", "NA"),
        ("_index", "_index"),
    ],
)
def test_labels_that_are_kept(typed: str, kept: str) -> None:
    assert check_label(typed) == kept


@pytest.mark.parametrize(
    ("typed", "code", "sentence"),
    [
        ("", "E10", "Enter a default value."),
        (" \t\n ", "E10", "Enter a default value."),
        ("x" * 129, "E07", "Label is 129 characters long; the limit is 128."),
        *(
            (f"a{character}b", "E08", "Labels cannot contain control characters. Type the label again.")
            for character in "\0\x07\x7f\u202d\u2069\ue000\udfff"
        ),
    ],
)
def test_labels_that_are_refused(typed: str, code: str, sentence: str) -> None:
    with pytest.raises(NameRefused) as refused:
        check_label(typed)
    assert (refused.value.code, str(refused.value)) == (code, sentence)


@pytest.mark.parametrize(
    ("typed", "notices"),
    [
        ("T cell", []),
        (" T cell", ["Spaces at the ends were removed."]),
        ("T  cell ", ["Spaces at the ends were removed.", "The label has two spaces in a row."]),
        *((text, [f'Many tools read "{text}" as missing.']) for text in ("NA", "nan", "None", "null", "N/A")),
        ("Nano", []),
    ],
)
def test_notices(typed: str, notices: list[str]) -> None:
    assert label_notices(typed, check_label(typed)) == notices


@given(
    wanted=st.text(alphabet="aB", min_size=1, max_size=64),
    taken=st.sets(st.text(alphabet="Ab", min_size=1, max_size=3), max_size=4),
    n_more=st.integers(0, 12),
)
def test_a_free_name_is_free_and_legal(wanted: str, taken: set[str], n_more: int) -> None:
    used = dict.fromkeys({wanted.upper(), *taken}, "annotation")
    for _ in range(n_more):
        used[free_name(wanted, used)] = "annotation"
    name = free_name(wanted, used)

    assert check_name(name, used) == name
    assert len(used) == len({wanted.upper(), *taken}) + n_more


def test_a_free_name_is_the_one_wanted_or_the_first_number() -> None:
    assert free_name("fate", {}) == "fate"
    assert free_name("fate", {"FATE": "cluster", "fate (3)": "metadata"}) == "fate (2)"
    assert free_name("x" * 64, {"x" * 64: "annotation"}) == "x" * 60 + " (2)"
