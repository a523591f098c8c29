import csv
import io
import os
import re
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from iscan_dash.core.annotations import Annotation, Header, Label
from iscan_dash.core.study import Study
from iscan_dash.errors import DataError, StorageError
from iscan_dash.services import csv_text, drafts
from iscan_dash.services.csv_text import quote, table_lines
from iscan_dash.services.drafts import (
    Autosaver,
    SaveState,
    annotations_folder,
    collection_name,
    draft_suffix,
    write_whole,
)
from tests.studies import write_study

Opener = Callable[..., Study]


def annotation(name: str, labels: list[str], codes: list[int]) -> Annotation:
    header = Header(name, tuple(Label(place, text, "#000000") for place, text in enumerate(labels)), "ada", "", "empty")
    return Annotation(name, header, np.array(codes, np.int32), 1, "")


def test_the_suffix_tells_users_and_studies_apart() -> None:
    suffixes = {draft_suffix(user, study) for user in ("ada", "bob") for study in ("aa", "bb")}

    assert len(suffixes) == 4
    assert all(re.fullmatch("[a-z2-7]{8}", suffix) for suffix in suffixes)
    assert draft_suffix("ada", "aa") == draft_suffix("ada", "aa")


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("pbmc3k", "pbmc3k"),
        ("a_b-C", "a_b-C"),
        ("PBMC 8k (demo)", "PBMC-8k-demo"),
        ("a + 2 more", "a-2-more"),
        ("../../etc", "etc"),
        ("Zellen β", "Zellen"),
        ("ββ", "annotations"),
        ("", "annotations"),
        ("x" * 90, "x" * 64),
    ],
)
def test_the_name_of_a_collection(title: str, name: str) -> None:
    assert collection_name(title) == name


class TestFolder:
    def test_the_one_asked_for_is_made(self, tmp_path: Path, open_files: Opener) -> None:
        study = open_files(write_study(tmp_path / "a.h5ad"))
        asked = tmp_path / "x" / "y"

        assert annotations_folder(asked, study) == asked
        assert annotations_folder(asked, study) == asked
        assert asked.is_dir()

    def test_one_that_cannot_be_made_is_refused(self, tmp_path: Path, open_files: Opener) -> None:
        study = open_files(write_study(tmp_path / "a.h5ad"))
        for asked in (tmp_path / "a.h5ad", tmp_path / "a.h5ad" / "below"):
            with pytest.raises(StorageError, match=rf"^The folder {asked} cannot be made: .*\. Choose another one\.$"):
                annotations_folder(asked, study)

    def test_it_is_beside_the_first_file(self, tmp_path: Path, open_files: Opener) -> None:
        (tmp_path / "one").mkdir()
        study = open_files(write_study(tmp_path / "one" / "a.h5ad"), write_study(tmp_path / "b.h5ad"))

        assert annotations_folder(None, study) == tmp_path / "one"

    def test_it_is_the_working_folder_when_that_cannot_be_written(
        self, tmp_path: Path, open_files: Opener, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "here").mkdir()
        study = open_files(write_study(tmp_path / "a.h5ad"))
        monkeypatch.chdir(tmp_path / "here")
        monkeypatch.setattr(os, "access", lambda *_: False)

        assert annotations_folder(None, study) == tmp_path / "here"


class TestText:
    def test_of_a_draft(self, tmp_path: Path, open_files: Opener) -> None:
        obs = {"sample": pd.Categorical(["s,1", "t", "t"])}
        study = open_files(write_study(tmp_path / "a.h5ad", obs, cells=["c1", 'c"2', "é"]))
        fate = annotation('fate "1"', ["Unassigned", "T, #1"], [0, 1, 1])
        empty = annotation("empty", ["NA"], [0, 0, 0])
        text = "".join(table_lines(study, [fate, empty], ["iscan-dash", "data: a"]))

        assert text == (
            "# iscan-dash\n"
            "# data: a\n"
            'index,sample,"fate ""1""","empty"\n'
            '"c1","s,1","Unassigned","NA"\n'
            '"c""2","t","T, #1","NA"\n'
            '"é","t","T, #1","NA"\n'
        )

    def test_without_annotations(self, tmp_path: Path, open_files: Opener) -> None:
        study = open_files(write_study(tmp_path / "a.h5ad", cells=["c1", "c2"]))
        assert "".join(table_lines(study, [], [])) == 'index,sample\n"c1","a"\n"c2","a"\n'

    @pytest.mark.parametrize("n_rows", [1, 2, 3, 7, 100])
    def test_comes_in_blocks(
        self, tmp_path: Path, open_files: Opener, monkeypatch: pytest.MonkeyPatch, n_rows: int
    ) -> None:
        monkeypatch.setattr(csv_text, "ROWS", n_rows)
        study = open_files(write_study(tmp_path / "a.h5ad", cells=7))
        codes = [0, 1, 2, 0, 1, 2, 2]
        pieces = list(table_lines(study, [annotation("fate", ["x", "y", "z"], codes)], []))
        table = list(csv.reader(io.StringIO("".join(pieces))))

        assert len(pieces) == 2 + -(-7 // n_rows)
        assert table == [
            ["index", "sample", "fate"],
            *([f"cell{row}", "a", "xyz"[code]] for row, code in enumerate(codes)),
        ]

    @pytest.mark.parametrize("text", ["", "a", '"', 'a""b', "a,b", "a\nb", "#a", " a "])
    def test_is_quoted_so_that_it_reads_back(self, text: str) -> None:
        assert next(csv.reader([quote(text)])) == [text] or "\n" in text
        assert list(csv.reader(io.StringIO(quote(text), newline=""))) == [[text]]


class TestWriteWhole:
    def test_replaces_the_file(self, tmp_path: Path) -> None:
        path = tmp_path / "a.csv"
        for content in ("first\r\nä\n", "second\n"):
            write_whole(path, iter(content))
            assert path.read_bytes() == content.encode()
            assert list(tmp_path.iterdir()) == [path]

    def test_keeps_the_old_file_until_the_new_one_is_whole(self, tmp_path: Path) -> None:
        path = tmp_path / "a.csv"
        path.write_text("old")
        seen = []

        def pieces() -> Iterator[str]:
            for _ in range(3):
                yield "new" * 100_000
                seen.append(path.read_text())

        write_whole(path, pieces())
        assert seen == ["old"] * 3
        assert path.read_text() == "new" * 300_000

    @pytest.mark.parametrize("error", [OSError("disk full"), ValueError("a bug"), KeyboardInterrupt()])
    def test_that_fails_leaves_the_old_file_and_no_other(self, tmp_path: Path, error: BaseException) -> None:
        path = tmp_path / "a.csv"
        path.write_text("old")

        def pieces() -> Iterator[str]:
            yield "new" * 100_000
            raise error

        with pytest.raises(type(error)):
            write_whole(path, pieces())
        assert path.read_text() == "old"
        assert list(tmp_path.iterdir()) == [path]

    def test_onto_a_folder_leaves_no_other_file(self, tmp_path: Path) -> None:
        (tmp_path / "a.csv").mkdir()
        with pytest.raises(OSError, match="directory"):
            write_whole(tmp_path / "a.csv", iter(["x"]))
        assert list(tmp_path.iterdir()) == [tmp_path / "a.csv"]

    def test_into_a_folder_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(FileNotFoundError):
            write_whole(tmp_path / "none" / "a.csv", iter(["x"]))

    def test_may_be_read_by_whoever_may_read_new_files_there(self, tmp_path: Path) -> None:
        write_whole(tmp_path / "a.csv", iter(["x"]))
        (tmp_path / "b").touch()
        assert stat.S_IMODE((tmp_path / "a.csv").stat().st_mode) == stat.S_IMODE((tmp_path / "b").stat().st_mode)

    def test_names_that_are_no_unicode_do_not_stop_it(self, tmp_path: Path) -> None:
        write_whole(tmp_path / "a.csv", iter(["# data: \udcff.h5ad\n"]))
        assert (tmp_path / "a.csv").read_text() == "# data: \\udcff.h5ad\n"


def eventually(is_so: Callable[[], bool]) -> None:
    """Wait until something is so."""
    for _ in range(2000):
        if is_so():
            return
        time.sleep(0.005)
    raise AssertionError("it never came")


def saver_of(path: Path, pieces: Callable[[], Iterator[str]]) -> Autosaver:
    """Return an autosaver that writes some text into a file."""

    def save() -> None:
        write_whole(path, pieces())

    return Autosaver(path, save)


class TestAutosaver:
    @pytest.fixture(autouse=True)
    def _quick(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(drafts, "DELAY", 0.01)
        monkeypatch.setattr(drafts, "RETRY", 0.01)

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        (tmp_path / "drafts").mkdir()
        return tmp_path / "drafts"

    @pytest.fixture
    def texts(self) -> list[str]:
        return ["first"]

    @pytest.fixture
    def saver(self, folder: Path, texts: list[str]) -> Iterator[Autosaver]:
        saver = saver_of(folder / "a.csv", lambda: iter([texts[-1]]))
        yield saver
        saver.flush()

    def test_writes_nothing_before_it_is_asked(self, saver: Autosaver, folder: Path) -> None:
        assert saver.status.state is SaveState.SAVED
        assert (saver.status.reason, saver.status.path, saver.status.saved_at) == ("", str(folder / "a.csv"), "")
        assert saver.flush()
        assert list(folder.iterdir()) == []

    def test_writes_what_is_there_by_then(self, saver: Autosaver, folder: Path, texts: list[str]) -> None:
        for text in ("second", "third"):
            texts.append(text)
            saver.request()
            eventually(lambda: saver.status.state is SaveState.SAVED)
            assert (folder / "a.csv").read_text() == text
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", saver.status.saved_at)

    def test_says_that_it_is_saving(self, folder: Path, texts: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(drafts, "DELAY", 600)
        saver = saver_of(folder / "a.csv", lambda: iter([texts[-1]]))
        saver.request()
        assert saver.status.state is SaveState.SAVING
        assert saver.flush()
        assert saver.status.state is SaveState.SAVED
        assert (folder / "a.csv").read_text() == "first"

    def test_edits_that_come_together_share_a_draft(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(drafts, "DELAY", 600)
        written: list[str] = []

        def write() -> Iterator[str]:
            written.append("x")
            yield "x"

        saver = saver_of(folder / "a.csv", write)
        for _ in range(5):
            saver.request()
        assert saver.flush()
        assert written == ["x"]

    def test_an_edit_made_while_it_writes_is_saved_too(self, folder: Path, texts: list[str]) -> None:
        def write() -> Iterator[str]:
            yield texts[-1]
            if len(texts) == 1:
                texts.append("second")
                saver.request()
                assert saver.status.state is SaveState.SAVING

        saver = saver_of(folder / "a.csv", write)
        saver.request()
        eventually(lambda: saver.status.state is SaveState.SAVED)
        assert (folder / "a.csv").read_text() == "second"
        assert saver.flush()

    def test_says_why_it_fails_and_recovers(self, saver: Autosaver, folder: Path, texts: list[str]) -> None:
        saver.request()
        eventually(lambda: saver.status.state is SaveState.SAVED)
        saved_at = saver.status.saved_at
        shutil.rmtree(folder)

        texts.append("second")
        saver.request()
        eventually(lambda: saver.status.state is SaveState.FAILED)
        assert saver.status.reason == os.strerror(2)
        assert saver.status.saved_at == saved_at
        saver.request()
        assert saver.status.state is SaveState.FAILED

        folder.mkdir()
        eventually(lambda: saver.status.state is SaveState.SAVED)
        assert saver.status.reason == ""
        assert (folder / "a.csv").read_text() == "second"
        assert list(folder.iterdir()) == [folder / "a.csv"]

    def test_that_ends_unsaved_says_so(self, saver: Autosaver, folder: Path) -> None:
        shutil.rmtree(folder)
        saver.request()
        assert not saver.flush()
        assert saver.status.state is SaveState.FAILED

    def test_a_study_that_cannot_be_read_is_a_failure_too(self, folder: Path) -> None:
        broken = [True]

        def write() -> Iterator[str]:
            if broken:
                raise DataError("a.h5ad cannot be read.")
            yield "well again"

        saver = saver_of(folder / "a.csv", write)
        saver.request()
        eventually(lambda: saver.status.state is SaveState.FAILED)
        assert saver.status.reason == "a.h5ad cannot be read."
        broken.clear()
        eventually(lambda: saver.status.state is SaveState.SAVED)
        assert (folder / "a.csv").read_text() == "well again"
        assert saver.flush()
