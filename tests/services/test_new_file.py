import os
import stat
from pathlib import Path

import pytest

from iscan_dash.errors import StorageError
from iscan_dash.services.new_file import new_file


def test_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with new_file(path) as part:
        part.write_text("new")
        assert not path.exists()
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]
    (tmp_path / "b").touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE((tmp_path / "b").stat().st_mode)


@pytest.mark.parametrize("error", [ValueError("a bug"), KeyboardInterrupt()])
def test_that_fails_leaves_nothing(tmp_path: Path, error: BaseException) -> None:
    def write() -> None:
        with new_file(tmp_path / "a.csv") as part:
            part.write_text("new")
            raise error

    with pytest.raises(type(error)):
        write()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(StorageError) as refused, new_file(tmp_path / "a.csv"):
        raise OSError(28, "No space left on device")
    assert str(refused.value) == (
        f"{tmp_path / 'a.csv'} cannot be written: No space left on device. Choose another folder, or free the disk."
    )
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be written: No such file"), new_file(tmp_path / "x" / "a.csv"):
        pass


@pytest.mark.parametrize("what", ["file", "folder", "broken link"])
def test_a_name_that_is_taken(tmp_path: Path, what: str) -> None:
    path = tmp_path / "a.csv"
    if what == "file":
        path.write_text("old")
    elif what == "folder":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / "none")
    with pytest.raises(StorageError) as refused, new_file(path):
        raise AssertionError("it began")
    assert str(refused.value) == f"{path} exists. Choose another name."
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.csv"]


@pytest.mark.parametrize("has_links", [True, False])
def test_a_name_that_is_taken_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_links: bool) -> None:
    def no_link(*_: object) -> None:
        raise OSError(95, "Operation not supported")

    if not has_links:
        monkeypatch.setattr(os, "link", no_link)
    path = tmp_path / "a.csv"

    def write() -> None:
        with new_file(path) as part:
            part.write_text("new")
            path.write_text("of somebody else")

    with pytest.raises(StorageError, match=r"exists\. Choose another name\.$"):
        write()
    assert path.read_text() == "of somebody else"
    assert list(tmp_path.iterdir()) == [path]
    path.unlink()
    with new_file(path) as part:
        part.write_text("new")
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]
