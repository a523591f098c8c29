"""Trained references on disk: the same as when they were made, and no loss when they are damaged."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from iscan_dash.core.singler.reference import Reference
from iscan_dash.core.singler.train import Trained, train
from iscan_dash.services import trained_cache
from iscan_dash.services.trained_cache import TrainedCache
from tests.references import LABELS, gene_names, some_profiles

KEY = ["sha256:0", "main", None, *gene_names(600)]


def flat(record: Any) -> list[Any]:
    if isinstance(record, np.ndarray | str | int):
        return [record]
    parts = record if isinstance(record, tuple) else vars(record).values()
    return [leaf for part in parts for leaf in flat(part)]


@pytest.fixture(scope="module")
def trained() -> Trained:
    return train(Reference(gene_names(600), some_profiles(LABELS), LABELS), gene_names(600))


def never() -> Trained:
    raise AssertionError("it is to be kept")


def test_what_comes_back_is_the_same(tmp_path: Path, trained: Trained) -> None:
    cache = TrainedCache(tmp_path / "kept")
    assert cache.get(KEY, lambda: trained) is trained
    kept = cache.get(KEY, never)
    ours, theirs = flat(kept), flat(trained)
    assert len(ours) == len(theirs) > 8
    for own, other in zip(ours, theirs, strict=True):
        assert type(own) is type(other)
        if isinstance(own, np.ndarray):
            assert own.dtype == other.dtype
            assert own.flags.c_contiguous == other.flags.c_contiguous
        np.testing.assert_array_equal(own, other)


def test_names_of_any_script(tmp_path: Path) -> None:
    genes = [f'{name} é𝛼,"#' for name in gene_names(600)]
    made = train(Reference(genes, some_profiles(LABELS), LABELS), genes)
    TrainedCache(tmp_path).get(["x"], lambda: made)
    assert TrainedCache(tmp_path).get(["x"], never).genes == made.genes


def empty(path: Path) -> None:
    path.write_bytes(b"")


def text(path: Path) -> None:
    path.write_text("no archive")


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-500])


def flipped(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 255
    path.write_bytes(content)


def other_arrays(path: Path) -> None:
    np.savez(path, labels=np.array(["a"]))


def pickled(path: Path) -> None:
    np.savez(path, labels=np.array([{"a": 1}], dtype=object))


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    "damage", [empty, text, cut, flipped, other_arrays, pickled, folder], ids=lambda damage: damage.__name__
)
def test_a_damaged_file_is_made_again(tmp_path: Path, trained: Trained, damage: Callable[[Path], None]) -> None:
    cache = TrainedCache(tmp_path)
    cache.get(KEY, lambda: trained)
    (path,) = tmp_path.iterdir()
    damage(path)
    assert cache.get(KEY, lambda: trained) is trained
    if damage is not folder:
        assert cache.get(KEY, never).genes == trained.genes
    assert [left.name for left in tmp_path.iterdir()] == [path.name]


def test_keys_do_not_run_into_each_other(tmp_path: Path, trained: Trained) -> None:
    keys = [["ab", "c"], ["a", "bc"], ["abc"], ["ab", None, "c"], ["ab", "-", "c"], ["a", "b", "c"], ["", "abc"]]
    cache = TrainedCache(tmp_path)
    for key in keys:
        cache.get(key, lambda: trained)
    assert len(list(tmp_path.iterdir())) == len(keys)


def test_a_folder_that_cannot_be_written(tmp_path: Path, trained: Trained) -> None:
    (tmp_path / "file").write_text("")
    assert TrainedCache(tmp_path / "file" / "kept").get(KEY, lambda: trained) is trained


def test_only_the_newest_are_kept(tmp_path: Path, trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trained_cache, "MOST_FILES", 3)
    cache = TrainedCache(tmp_path)
    for number in range(6):
        cache.get([str(number)], lambda: trained)
    assert len(list(tmp_path.iterdir())) == 3
    cache.get(["5"], never)
