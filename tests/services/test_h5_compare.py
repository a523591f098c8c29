import shutil
import tracemalloc
from collections.abc import Callable
from math import prod
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from iscan_dash.errors import StorageError
from iscan_dash.services.h5_compare import Compared, blocks, compare_files

Edit = Callable[[h5py.File], None]


@pytest.fixture
def original(tmp_path: Path) -> Path:
    """Write a file with an object of each kind there is."""
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.attrs["version"] = "1"
        x = file.create_dataset("group/x", data=np.arange(60.0).reshape(10, 6), chunks=(3, 6), compression="gzip")
        x[0, 0] = np.nan
        x.attrs.update({"nan": np.nan, "texts": ["a", "ü"], "none": h5py.Empty("f8"), "ref": x.ref})
        file["text"] = ["a", "b", "c"]
        file["scalar"] = "one text"
        file["number"] = np.int8(3)
        file["empty"] = h5py.Empty("f8")
        file["flags"] = np.array([True, False])
        file["references"] = np.array([x.ref, h5py.Reference()], h5py.ref_dtype)
        file["records"] = np.array([(1, b"x"), (2, b"y")], [("n", "i4"), ("t", h5py.string_dtype())])
        lists = file.create_dataset("lists", (2,), h5py.vlen_dtype(np.int32))
        lists[0], lists[1] = [1, 2, 3], [4]
        file["type"] = np.dtype("f4")
        file["group/again"] = file["group"]
        file["group/soft"] = h5py.SoftLink("/nowhere")
        file["group/far"] = h5py.ExternalLink("none.h5", "/x")
    return path


def compare(original: Path, edit: Edit = lambda _: None, **options: object) -> Compared:
    copy = original.with_name("b.h5")
    shutil.copy(original, copy)
    with h5py.File(copy, "r+") as file:
        edit(file)
    with h5py.File(original) as one, h5py.File(copy) as two:
        return compare_files(one, two, **options)


def test_a_copy_is_the_same(original: Path) -> None:
    compared = compare(original)
    assert (compared.n_objects, compared.n_attributes) == (11, 5)
    assert compared.n_bytes == 60 * 8 + 3 * 8 + 8 + 1 + 2 + 2 * 8 + 2 * 12 + 2 * 8


@pytest.mark.parametrize("block", [1, 8, 100, 10_000])
def test_blocks_do_not_show(original: Path, block: int) -> None:
    assert compare(original, block=block) == compare(original)


def set_value(path: str, place: object, value: object) -> Edit:
    def edit(file: h5py.File) -> None:
        file[path][place] = value

    return edit


def set_attribute(path: str, name: str, value: object) -> Edit:
    def edit(file: h5py.File) -> None:
        file[path].attrs[name] = value

    return edit


def put(path: str, value: object, **options: object) -> Edit:
    def edit(file: h5py.File) -> None:
        if path in file or file.get(path, getlink=True):
            del file[path]
        if options:
            file.create_dataset(path, data=value, **options)
        else:
            file[path] = value

    return edit


def twin(file: h5py.File) -> None:
    values = file["group/x"][()]
    del file["group/again"]
    file["group/again"] = file.create_group("twin")
    del file["twin"]
    file["group/again/x"] = values


def remove(file: h5py.File) -> None:
    del file["flags"]


def remove_attribute(file: h5py.File) -> None:
    del file["group/x"].attrs["nan"]


def refer_elsewhere(file: h5py.File) -> None:
    file["references"][0] = file["text"].ref


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (set_value("group/x", (9, 5), 0.0), "/group/x has other values"),
        (set_value("group/x", (0, 1), np.nan), "/group/x has other values"),
        (set_value("text", 2, "d"), "/text has other values"),
        (set_value("scalar", (), "another"), "/scalar has other values"),
        (set_value("number", (), 4), "/number has other values"),
        (set_value("records", 1, (2, b"z")), "/records has other values"),
        (set_value("lists", 1, [5]), "/lists has other values"),
        (refer_elsewhere, "/references has other values"),
        (put("number", np.int16(3)), "/number has values of another type"),
        (put("flags", np.array([True])), "/flags has another shape"),
        (put("flags", np.array([True, False]), maxshape=(None,)), "/flags has another shape"),
        (put("flags", np.array([True, False]), chunks=(1,)), "/flags is stored in another way"),
        (put("type", np.dtype("f8")), "/type is another type"),
        (put("flags", np.dtype("f8")), "/flags is of another kind"),
        (put("group/soft", h5py.SoftLink("/text")), "/group/soft links to something else"),
        (put("group/far", h5py.ExternalLink("other.h5", "/x")), "/group/far links to something else"),
        (put("group/soft", 1), "/group/soft is another kind of link"),
        (set_attribute("/", "version", "2"), '/ has another attribute "version"'),
        (set_attribute("/", "new", "2"), "/ has other attributes"),
        (set_attribute("group/x", "nan", 0.0), '/group/x has another attribute "nan"'),
        (set_attribute("group/x", "texts", ["a"]), '/group/x has another attribute "texts"'),
        (remove_attribute, "/group/x has other attributes"),
        (remove, "/ holds other objects"),
        (put("new", 1), "/ holds other objects"),
        (put("group/new", 1), "/group holds other objects"),
        (twin, "/group/again is another object"),
    ],
)
def test_whatever_differs_is_found(original: Path, edit: Edit, said: str) -> None:
    with pytest.raises(StorageError) as refused:
        compare(original, edit)
    assert str(refused.value) == f"The copy was given up: {said} than in the original. Try again."


def test_what_was_added_may_be_there(original: Path) -> None:
    def edit(file: h5py.File) -> None:
        file["group/new/inner"] = 1
        file["group"].attrs["order"] = "x"

    options = {"added": ["/group/new"], "rewritten": [("/group", "order")]}
    assert compare(original, edit, **options) == compare(original)
    with pytest.raises(StorageError, match="/group holds other objects"):
        compare(original, put("group/other", 1), **options)


def test_what_cannot_be_read_is_named(original: Path) -> None:
    def spoil(file: h5py.File) -> None:
        x = file["group/x"]
        x.id.write_direct_chunk((3, 0), b"this is not gzip")

    with pytest.raises(StorageError, match=r"^The copy was given up: /group/x cannot be read to be compared"):
        compare(original, spoil)


def test_steps_add_up_to_what_is_stored(original: Path) -> None:
    for block in (8, 10_000):
        steps: list[int] = []
        compare(original, block=block, step=steps.append)
        with h5py.File(original) as file:
            names = ["group/x", "text", "scalar", "number", "flags", "references", "records", "lists"]
            assert sum(steps) == sum(file[name].id.get_storage_size() for name in names)


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    path = tmp_path / "large.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("x", (2000, 1000), "f8", chunks=(50, 1000), fillvalue=1.5)[::50] = 2
        file.create_dataset("y", (2_000_000,), "f8")[-1] = 2
    compare(path, block=2**18)
    tracemalloc.start()
    compared = compare(path, block=2**18)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert compared.n_bytes == 32_000_000
    assert peak < 3_000_000


@given(
    st.lists(st.integers(0, 9), max_size=3).map(tuple),
    st.integers(1, 50),
    st.none() | st.lists(st.integers(1, 4), min_size=3, max_size=3).map(tuple),
)
def test_blocks_cover_each_value_once(shape: tuple[int, ...], n_values: int, chunks: tuple[int, ...] | None) -> None:
    seen = np.zeros(shape, int)
    for place in blocks(shape, n_values, chunks[: len(shape)] if chunks else None):
        assert prod(part.stop - part.start for part in place) <= max(n_values, 1)
        seen[place] += 1
    assert (seen == 1).all()
