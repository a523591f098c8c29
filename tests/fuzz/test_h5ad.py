"""Files that are damaged, or made to harm: they are read or refused in a sentence, in little time and memory."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from tests.fuzz.effort import FUZZ
from tests.fuzz.reader import Reader
from tests.studies import write_as_anndata_0_7, write_study

KEPT = Path(__file__).parents[1] / "regressions" / "h5ad"
"""Files that once did harm. Longer runs that find others leave them here: see `kept_if_new`."""

HUGE = 10**10

Edit = Callable[[h5py.File], None]


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    running = Reader()
    yield running
    running.close()


@pytest.fixture(scope="module")
def bases(tmp_path_factory: pytest.TempPathFactory) -> list[bytes]:
    """A small file with something of everything, as AnnData writes it now and as it once did."""
    obs = {
        "leiden": pd.Categorical(list("0101")),
        "sample": pd.Categorical(list("aabb")),
        "n": [1, 2, 3, 4],
        "f": [0.5, np.nan, 2, 3],
        "t": list("xyzw"),
        "b": [True, False, True, True],
        "nb": pd.array([True, None, False, True], dtype="boolean"),
        "ni": pd.array([1, None, 3, 4], dtype="Int64"),
    }
    x = sparse.csr_matrix(np.random.default_rng(0).poisson(1.0, (4, 5)).astype(np.float32))
    folder = tmp_path_factory.mktemp("bases")
    made = []
    for number in range(2):
        path = write_study(
            folder / f"{number}.h5ad",
            obs,
            x=x,
            layers={"csc": sparse.csc_matrix(x), "dense": x.toarray()},
            obsm={"X_umap": np.arange(8, dtype=np.float32).reshape(4, 2)},
            uns={"leiden_colors": np.array(["#ff0000", "#00ff00"], dtype=object)},
            var={"symbol": list("ABCDE")},
        )
        if number:
            with h5py.File(path, "r+") as file:
                # There were none of them then.
                file["obs"].attrs["column-order"] = list(file["obs"].attrs["column-order"])[:-2]
                del file["obs/nb"], file["obs/ni"]
            write_as_anndata_0_7(path)
        made.append(path.read_bytes())
    return made


def put(path: str, value: Any, **options: Any) -> Edit:
    """Put something in the place of what is there, and leave its attributes."""

    def edit(file: h5py.File) -> None:
        attributes = dict(file[path].attrs) if path in file else {}
        if path in file:
            del file[path]
        made = file.create_dataset(path, data=value, **options)
        made.attrs.update(attributes)

    return edit


def declare(path: str, shape: tuple[int, ...], dtype: Any = "f4", **options: Any) -> Edit:
    """Declare an array of which nothing is written."""

    def edit(file: h5py.File) -> None:
        attributes = dict(file[path].attrs) if path in file else {}
        if path in file:
            del file[path]
        made = file.create_dataset(path, shape, dtype, **({"chunks": True} | options))
        made.attrs.update(attributes)

    return edit


def drop(path: str) -> Edit:
    return lambda file: file.__delitem__(path)


def attribute(path: str, name: str, value: Any) -> Edit:
    return lambda file: file[path].attrs.__setitem__(name, value)


def forget(path: str, name: str) -> Edit:
    return lambda file: file[path].attrs.__delitem__(name)


def soft(path: str, target: str) -> Edit:
    def edit(file: h5py.File) -> None:
        if path in file:
            del file[path]
        file[path] = h5py.SoftLink(target)

    return edit


def hard(path: str, target: str) -> Edit:
    def edit(file: h5py.File) -> None:
        if path in file:
            del file[path]
        file[path] = file[target]

    return edit


def references(path: str) -> Edit:
    def edit(file: h5py.File) -> None:
        made = np.array([file["obs"].ref, file["X"].ref, file["var"].ref, None], dtype=h5py.ref_dtype)
        put(path, made)(file)

    return edit


LATIN = np.array([b"caf\xe9", b"\xff\xfe", b"a\x00b", b""], dtype="S4")
VLEN_LATIN = np.array([b"caf\xe9", b"\xff\xfe", b"ab", b""], dtype=object)
BYTES = h5py.string_dtype("utf-8")

FAULTS: dict[str, tuple[Edit, ...]] = {
    "no X": (drop("X"),),
    "no obsm": (drop("obsm"),),
    "obs is an array": (put("obs", [1, 2]),),
    "obsm is an array": (put("obsm", [1, 2]),),
    "layers is an array": (put("layers", [1, 2]),),
    "uns is an array": (put("uns", [1, 2]),),
    "raw without var": (hard("raw/X", "X"),),
    "index of numbers": (put("obs/_index", [1, 2, 3, 4]),),
    "index of two dimensions": (put("obs/_index", np.ones((4, 2))),),
    "index without values": (put("obs/_index", h5py.Empty("f4")),),
    "index that is a group": (drop("obs/_index"), lambda file: file.create_group("obs/_index")),
    "index is elsewhere": (attribute("obs", "_index", "../var/_index"),),
    "index is a number": (attribute("obs", "_index", 7),),
    "index is a list": (attribute("obs", "_index", [b"a", b"b"]),),
    "ids that are not UTF-8": (put("obs/_index", LATIN),),
    "long ids that are not UTF-8": (put("obs/_index", VLEN_LATIN, dtype=BYTES),),
    "genes that are not UTF-8": (put("var/_index", np.array([*VLEN_LATIN, b"\x80"], dtype=object), dtype=BYTES),),
    "labels that are not UTF-8": (put("obs/leiden/categories", VLEN_LATIN[:2], dtype=BYTES),),
    "texts that are not UTF-8": (put("obs/t", VLEN_LATIN, dtype=BYTES),),
    "ids that are references": (references("obs/_index"),),
    "texts that are references": (references("obs/t"),),
    "columns in no order": (forget("obs", "column-order"),),
    "order of numbers": (attribute("obs", "column-order", [1.5, 2.5]),),
    "order with odd names": (attribute("obs", "column-order", ["../var", "", "n", "n", ".", "/X", "x" * 999]),),
    "order is no list": (attribute("obs", "column-order", "n"),),
    "codes out of range": (put("obs/leiden/codes", np.array([0, 1, 2, 99], np.int8)),),
    "codes far below zero": (put("obs/leiden/codes", np.array([0, -1, -2, -128], np.int8)),),
    "codes without a sign": (put("obs/leiden/codes", np.array([0, 255, 1, 255], np.uint8)),),
    "codes that are no numbers": (put("obs/leiden/codes", LATIN),),
    "codes of two dimensions": (put("obs/leiden/codes", np.zeros((4, 2), np.int8)),),
    "fewer codes": (put("obs/leiden/codes", np.zeros(3, np.int8)),),
    "labels that repeat": (put("obs/leiden/categories", [b"a", b"a"]),),
    "labels of two dimensions": (put("obs/leiden/categories", np.zeros((2, 2))),),
    "labels without values": (put("obs/leiden/categories", h5py.Empty("f4")),),
    "column that is a table": (put("obs/n", np.zeros(4, [("a", "i4"), ("b", "f8")])),),
    "column of lists": (put("obs/n", np.array([[1], [2], [3], [4]])),),
    "column that is a group": (drop("obs/n"), lambda file: file.create_group("obs/n")),
    "column of another kind": (attribute("obs/n", "encoding-type", "categorical"),),
    "column of no kind": (attribute("obs/n", "encoding-type", "nothing"),),
    "kind that is a list": (attribute("obs/n", "encoding-type", [1, 2]),),
    "column of complex numbers": (put("obs/n", np.ones(4, complex)),),
    "column of infinite numbers": (put("obs/n", [np.inf, -np.inf, np.nan, 1e308]),),
    "missing values of another length": (put("obs/ni/mask", [True]),),
    "position not finite": (put("obsm/X_umap", [[np.inf, 0], [np.nan, 0], [-np.inf, 1e300], [1e38, -1e38]]),),
    "position of text": (put("obsm/X_umap", np.full((4, 2), b"x", "S1")),),
    "position of one number": (put("obsm/X_umap", 1.0),),
    "colours of numbers": (put("uns/leiden_colors", [1, 2]),),
    "colours of two dimensions": (put("uns/leiden_colors", np.full((2, 2), b"red", "S3")),),
    "pointers not in order": (put("X/indptr", [0, 9, 3, 4, 5]),),
    "pointers below zero": (put("X/indptr", [0, -1, 3, 4, 5]),),
    "pointers past the end": (put("X/indptr", [0, 1, 2, 3, 10**9]),),
    "pointers that are fractions": (put("X/indptr", np.zeros(5)),),
    "genes that are not there": (lambda file: file["X/indices"].__setitem__(0, 99),),
    "genes below zero": (lambda file: file["X/indices"].__setitem__(0, -1),),
    "cells that are not there": (lambda file: file["layers/csc/indices"].__setitem__(0, 99),),
    "cells far below zero": (lambda file: file["layers/csc/indices"].__setitem__(0, -(2**31)),),
    "fewer values": (put("X/data", [1.0]),),
    "fewer genes": (put("X/indices", [1]),),
    "values of text": (put("X/data", [b"a"] * 12),),
    "values that are not finite": (lambda file: file["X/data"].__setitem__(slice(0, 3), [np.nan, np.inf, -np.inf]),),
    "sparse without a shape": (forget("X", "shape"),),
    "sparse of another shape": (attribute("X", "shape", [4, 6]),),
    "sparse of a negative shape": (attribute("X", "shape", [-4, 5]),),
    "sparse of three dimensions": (attribute("X", "shape", [4, 5, 1]),),
    "sparse of fractions": (attribute("X", "shape", [4.5, np.nan]),),
    "X of three dimensions": (put("X", np.ones((4, 5, 1))),),
    "X of text": (put("X", np.full((4, 5), b"x", "S1")),),
    "X without values": (put("X", h5py.Empty("f4")),),
    "many cells, none written": (declare("obs/_index", (HUGE,), BYTES),),
    "many cells, none written, nor in X": (
        declare("obs/_index", (HUGE,), "S8"),
        declare("X", (HUGE, 5)),
        drop("layers"),
        drop("obsm"),
    ),
    "many genes, none written": (declare("var/_index", (HUGE,), BYTES), drop("X"), drop("layers")),
    "many values, none written": (
        declare("X/data", (HUGE,)),
        declare("X/indices", (HUGE,), "i4"),
        put("X/indptr", [0, 1, 2, 3, HUGE]),
    ),
    "many labels, none written": (declare("obs/leiden/categories", (HUGE,), BYTES),),
    "many numbers, none written": (declare("obs/n", (HUGE,)),),
    "many colours, none written": (declare("uns/leiden_colors", (HUGE,), BYTES),),
    "many symbols, none written": (declare("var/symbol", (HUGE,), BYTES),),
    "a dense X, declared only": (drop("X"), declare("X", (4, 5), chunks=(4, 5))),
    "a text as long as the memory": (attribute("obs/n", "encoding-type", b"x" * 60_000),),
    "a circle of groups": (hard("obs/again", "/"),),
    "a circle of columns": (hard("obs/again", "obs"), attribute("obs", "column-order", ["again", "n"])),
    "a circle in uns": (hard("uns/again", "uns"),),
    "links in a circle": (soft("X", "/X2"), soft("X2", "/X")),
    "a link to nothing": (soft("X", "/nothing"),),
    "a layer that links to nothing": (soft("layers/gone", "/nothing"),),
    "an embedding that links to nothing": (soft("obsm/gone", "/nothing"),),
    "a column that links to nothing": (soft("obs/n", "/nothing"),),
    "obs links to var": (soft("obs", "/var"),),
    "a column that is X": (soft("obs/n", "/X"),),
    "deep groups": (lambda file: file.create_group("uns/" + "a/" * 500),),
    "hostile names": (
        lambda file: file.create_group("layers/<script>alert(1)</script>"),
        put("obsm/../x", np.ones((4, 2))),
        lambda file: file["obsm"].create_dataset("a\x1b[31m\nb", data=np.ones((4, 2))),
    ),
}
"""What is wrong, and how a file is made so."""


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("age", ["now", "0.7"])
def test_a_fault_is_a_sentence(reader: Reader, bases: list[bytes], tmp_path: Path, fault: str, age: str) -> None:
    path = tmp_path / "a.h5ad"
    path.write_bytes(bases[age == "0.7"])
    with h5py.File(path, "r+") as file:
        for edit in FAULTS[fault]:
            try:
                edit(file)
            except (KeyError, ValueError, TypeError):
                if age == "now":
                    raise
                pytest.skip("Files were not written so then.")
    outcome, said = reader.look(path)
    assert outcome in {"read", "refused"}, said
    if "none written" in fault:
        assert "never written" in said or "values for" in said


def test_a_whole_file_is_read(reader: Reader, bases: list[bytes], tmp_path: Path) -> None:
    path = tmp_path / "a.h5ad"
    for base in bases:
        path.write_bytes(base)
        assert reader.look(path) == ("read", "")


@pytest.mark.parametrize("path", sorted(KEPT.glob("*.h5ad")), ids=lambda path: path.stem)
def test_what_once_did_harm(reader: Reader, tmp_path: Path, path: Path) -> None:
    copy = tmp_path / path.name
    copy.write_bytes(path.read_bytes())
    outcome, said = reader.look(copy)
    assert outcome in {"read", "refused"}, said


# -- at random -------------------------------------------------------------------------------------------------------

OBJECTS = [
    *("obs", "obs/_index", "obs/leiden", "obs/leiden/codes", "obs/leiden/categories", "obs/n", "obs/f", "obs/t"),
    *("obs/nb/values", "obs/nb/mask", "var", "var/_index", "var/symbol", "X", "X/data", "X/indices", "X/indptr"),
    *("layers/csc", "layers/csc/indices", "layers/csc/indptr", "layers/dense", "obsm", "obsm/X_umap"),
    *("uns", "uns/leiden_colors", "raw", "raw/X", "raw/var"),
]
VALUES: list[Any] = [
    *(0, -1, 2**31, 1.5, np.nan, "x", b"\xff", "", [], [0], [1, 2], [-1, 2, 3, 4], [0, 1, 2, 3, 4], np.ones((4, 5))),
    *(np.ones((4, 2)), np.ones((2, 2, 2)), LATIN, np.zeros(4, [("a", "i4")]), h5py.Empty("f4"), np.ones(4, bool)),
    *(np.array([2**63], np.uint64), np.ones(5, np.float16), np.ones(4, ">i4"), ["a", "b", "c", "d"]),
]
ATTRIBUTES = [
    "_index",
    "column-order",
    "encoding-type",
    "encoding-version",
    "shape",
    "categories",
    "ordered",
    "h5sparse_shape",
]
KINDS = ["categorical", "csr_matrix", "csc_matrix", "array", "string-array", "dataframe", "dict", "nullable-integer"]

objects = st.sampled_from(OBJECTS)
edits = st.one_of(
    st.builds(put, objects, st.sampled_from(VALUES)),
    st.builds(
        declare,
        objects,
        st.sampled_from([(4,), (5,), (HUGE,), (4, HUGE), (HUGE, 2)]),
        st.sampled_from(["f4", "i1", "S4"]),
    ),
    st.builds(drop, objects),
    st.builds(attribute, objects, st.sampled_from(ATTRIBUTES), st.sampled_from([*VALUES[:13], *KINDS])),
    st.builds(attribute, objects, st.just("encoding-type"), st.sampled_from(KINDS)),
    st.builds(forget, objects, st.sampled_from(ATTRIBUTES)),
    st.builds(soft, objects, objects.map("/".__add__)),
    st.builds(hard, objects, objects),
)


@FUZZ
@given(base=st.integers(0, 1), changes=st.lists(edits, min_size=1, max_size=4))
def test_faults_at_random(reader: Reader, bases: list[bytes], tmp_path: Path, base: int, changes: list[Edit]) -> None:
    path = tmp_path / "a.h5ad"
    path.write_bytes(bases[base])
    with h5py.File(path, "r+") as file:
        for change in changes:
            try:
                change(file)
            except (KeyError, ValueError, TypeError, AttributeError, RuntimeError, OSError):
                continue
    check(reader, path)


def outside_heaps(content: bytes, place: int) -> bool:
    """Tell whether a byte is in none of the heaps of texts: damage there makes HDF5 itself hang or crash."""
    heap = content.rfind(b"GCOL", 0, place + 4)
    return heap < 0 or place >= heap + 4096


@FUZZ
@given(
    base=st.integers(0, 1),
    changes=st.lists(
        st.tuples(
            st.integers(0, 50_000), st.sampled_from([b"\0", b"\1", b"\xff", b"\0" * 8, b"\xff" * 8, b"\x7f" * 4])
        ),
        min_size=1,
        max_size=6,
    ),
)
def test_bytes_at_random(
    reader: Reader, bases: list[bytes], tmp_path: Path, base: int, changes: list[tuple[int, bytes]]
) -> None:
    content = bytearray(bases[base])
    for drawn, new in changes:
        place = drawn % (len(content) - 8)
        if outside_heaps(bases[base], place) and outside_heaps(bases[base], place + 8):
            content[place : place + len(new)] = new
    path = tmp_path / "a.h5ad"
    path.write_bytes(content)
    check(reader, path)


def check(reader: Reader, path: Path) -> None:
    outcome, said = reader.look(path)
    if outcome not in {"read", "refused"}:
        kept_if_new(path, said)
    assert outcome in {"read", "refused"}, said


def kept_if_new(path: Path, said: str) -> None:
    """Keep a file that does harm, one for each last line of the traceback."""
    name = "".join(letter if letter.isalnum() else "-" for letter in (said.strip().splitlines() or ["hung"])[-1])[:60]
    KEPT.mkdir(parents=True, exist_ok=True)
    kept = KEPT / f"{name}.h5ad"
    if not kept.exists():
        kept.write_bytes(path.read_bytes())
