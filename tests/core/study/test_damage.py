"""Files that would show other files, or fill the memory: refused in a sentence; and values that are looked at."""

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy import sparse

from iscan_dash.core.study.blocks import RowBlocks
from iscan_dash.core.study.damage import CheckedArray
from iscan_dash.core.study.dataset import open_dataset
from iscan_dash.errors import DataError
from tests.studies import write_study

SECRET = b"the secret of another user"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    """Another file of the machine."""
    path = tmp_path / "secret.txt"
    path.write_bytes(SECRET)
    return path


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A study of somebody else."""
    return write_study(tmp_path / "other.h5ad", {"secret": list("abcd")})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write_study(tmp_path / "a.h5ad", {"n": [1, 2, 3, 4]})


@pytest.mark.parametrize("place", ["obs/secret", "obs", "X", "layers/secret", "uns/deep/down/secret"])
def test_a_link_to_another_file(path: Path, other: Path, place: str) -> None:
    with h5py.File(path, "r+") as file:
        if place in file:
            del file[place]
        file[place] = h5py.ExternalLink(other, "obs/secret")
    with pytest.raises(DataError) as refused:
        open_dataset(path)
    assert str(refused.value) == (
        f'{path} is not whole: "{place}" leads to another file ({other}). '
        "Write what is there into it with anndata, then open it again."
    )
    # It is closed again.
    h5py.File(path, "r+").close()


def test_values_that_are_the_bytes_of_another_file(path: Path, secret: Path) -> None:
    with h5py.File(path, "r+") as file:
        file.create_dataset("obs/secret", (4,), "S6", external=[(secret, 0, 24)])
        assert file["obs/secret"][0] == SECRET[:6]
    with pytest.raises(DataError, match=r'"obs/secret" takes its values from other files'):
        open_dataset(path)


def test_values_that_are_those_of_another_file(path: Path, other: Path) -> None:
    layout = h5py.VirtualLayout((4, 5), "f4")
    layout[:] = h5py.VirtualSource(other, "X", (4, 5))
    with h5py.File(path, "r+") as file:
        file.create_virtual_dataset("layers/secret", layout)
        assert file["layers/secret"][()].any()
    with pytest.raises(DataError, match=r'"layers/secret" takes its values from other files'):
        open_dataset(path)


def test_links_within_a_file_are_none_of_that(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file["layers/soft"] = h5py.SoftLink("/X")
        file["layers/hard"] = file["X"]
        file["uns/circle"] = file["uns"]
        file["uns/gone"] = h5py.SoftLink("/nothing")
    dataset = open_dataset(path)
    assert list(dataset.matrices) == ["X", "layers/hard", "layers/soft"]
    dataset.close()


@pytest.mark.parametrize("options", [{"chunks": True}, {"chunks": (1000,), "compression": "gzip"}, {}])
def test_values_that_nobody_wrote(path: Path, options: dict[str, object]) -> None:
    with h5py.File(path, "r+") as file:
        file.create_dataset("uns/many", (10**11,), "f8", **options)
    with pytest.raises(DataError) as refused:
        open_dataset(path)
    assert str(refused.value) == (
        f'{path} is damaged: "uns/many" says that it has 100,000,000,000 values, but most were never written. '
        "Write the file again."
    )


def test_values_that_pack_well_are_there(path: Path) -> None:
    with h5py.File(path, "r+") as file:
        file.create_dataset("uns/many", data=np.zeros(10**7), compression="gzip")
        assert file["uns/many"].nbytes > 100 * file.id.get_filesize()
    open_dataset(path).close()


def read(values: np.ndarray, place: slice = slice(None), **rules: bool | int) -> np.ndarray:
    with h5py.File("a", "w", driver="core", backing_store=False) as file:
        checked = CheckedArray(file.create_dataset("x", data=values), "X of a.h5ad", **rules)  # type: ignore[arg-type]
        assert (len(checked), checked.shape, checked.dtype) == (len(values), values.shape, values.dtype)
        return checked[place]


@pytest.mark.parametrize("dtype", ["i1", "i2", "i4", "i8", "u1", "u4", "u8", ">i4"])
def test_places_are_looked_at(dtype: str) -> None:
    good = np.array([0, 3, 1, 4], dtype)
    np.testing.assert_array_equal(read(good, end=5), good)
    for bad in (5, 127, -1):
        values = np.array([0, 3, 1, 4], dtype)
        values[2:3] = np.array([bad]).astype(dtype)
        with pytest.raises(DataError, match=r"^X of a\.h5ad is damaged: it names what is not there\. "):
            read(values, end=5)
        np.testing.assert_array_equal(read(values, slice(0, 2), end=5), [0, 3])


def test_an_order_is_looked_at() -> None:
    assert read(np.array([0, 0, 4]), end=5, ascend=True).tolist() == [0, 0, 4]
    with pytest.raises(DataError, match=r"^X of a\.h5ad is damaged: it is not in order\. "):
        read(np.array([0, 3, 2]), end=5, ascend=True)


def test_room_for_more_values_than_there_are(path: Path) -> None:
    x = sparse.csr_matrix(np.array([[1, 0, 0, 0, 2]] * 4, np.float32))
    path = write_study(path.with_name("b.h5ad"), x=x, layers={"csc": x.tocsc()})
    with h5py.File(path, "r+") as file:
        for matrix in (file["X"], file["layers/csc"]):
            for part in ("data", "indices"):
                values = matrix[part][()]
                del matrix[part]
                matrix[part] = [*values, 7, 7, 7]
    dataset = open_dataset(path)
    for matrix in dataset.matrices.values():
        assert matrix.stored == 8
        assert [matrix.gene(place).tolist() for place in (0, 1, 4)] == [[1] * 4, [0] * 4, [2] * 4]
        assert matrix.cell_totals()[0].tolist() == [3] * 4
        assert (
            np.concatenate([block.toarray() for block in RowBlocks(matrix, block=3)]).tolist() == x.toarray().tolist()
        )
    dataset.close()


@pytest.mark.parametrize("pointers", [[1, 2, 4, 6, 8], [-1, 2, 4, 6, 8], [0, 2, 4, 6, 9], [0, 2, 4, 6, -1]])
def test_pointers_that_lead_nowhere(path: Path, pointers: list[int]) -> None:
    path = write_study(
        path.with_name("b.h5ad"), x=sparse.csr_matrix(np.eye(4, 5, dtype=np.float32) * 2 + np.eye(4, 5, 1))
    )
    with h5py.File(path, "r+") as file:
        file["X/indptr"][:] = pointers
    with pytest.raises(
        DataError, match=r"^X of .* is damaged: its values are not where it says\. Write the file again\.$"
    ):
        open_dataset(path)


Damage = Callable[[h5py.File], None]


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda file: file["layers/csr/indices"].__setitem__(0, 99), "layers/csr of .* names what is not there"),
        (lambda file: file["layers/csr/indptr"].__setitem__(1, 99), "layers/csr of .* names what is not there"),
        (lambda file: file["layers/csr/indptr"].__setitem__(1, 3), "layers/csr of .* is not in order"),
    ],
)
def test_a_matrix_is_looked_at_when_it_is_read(path: Path, damage: Damage, said: str) -> None:
    x = sparse.csr_matrix(np.array([[1, 0, 0, 0, 1]] * 4, np.float32))
    path = write_study(path.with_name("b.h5ad"), layers={"csr": x})
    with h5py.File(path, "r+") as file:
        damage(file)
        file["layers/csr/indptr"][2] = min(2, file["layers/csr/indptr"][2])
    dataset = open_dataset(path)
    with pytest.raises(DataError, match=said):
        dataset.matrices["layers/csr"].gene(0)
    dataset.close()
