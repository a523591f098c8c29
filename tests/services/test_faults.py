"""Faults of the disk while somebody edits: they are told in a sentence, and nothing acknowledged is lost."""

import contextlib
import errno
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pandas as pd
import pytest

from iscan_dash.core.annotations import Annotation
from iscan_dash.core.annotations.combine import CombineRecipe
from iscan_dash.core.study import open_study
from iscan_dash.errors import StorageError
from iscan_dash.services import drafts, journal, ledger
from iscan_dash.services.drafts import BACKUPS, SaveState
from iscan_dash.services.journal import Journal
from iscan_dash.services.workspace import Source, Workspace
from tests.studies import write_study

FATE = Source("metadata", "fate")
RECIPE = CombineRecipe("Unassigned")
N_CELLS = 2000

Opener = Callable[..., Workspace]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drafts, "DELAY", 0.01)
    monkeypatch.setattr(drafts, "RETRY", 0.01)
    monkeypatch.setattr(ledger, "SETTLED", 0.0)
    monkeypatch.setattr(journal, "PATIENCE", 0.05)


@pytest.fixture
def home() -> Iterator[Path]:
    """A folder that other users of the machine may look into, unlike those that pytest makes."""
    with tempfile.TemporaryDirectory() as name:
        path = Path(name)
        path.chmod(0o755)
        (path / "drafts").mkdir()
        yield path


@pytest.fixture
def folder(home: Path) -> Path:
    return home / "drafts"


@pytest.fixture
def open_workspace(home: Path) -> Iterator[Opener]:
    study = write_study(home / "mine.h5ad", {"fate": pd.Categorical(["B", "T", None, "B"] * (N_CELLS // 4))})
    opened: list[Workspace] = []

    def open_(folder: Path = home / "drafts", user: str = "ada") -> Workspace:
        opened.append(Workspace(open_study([study]), user=user, folder=folder))
        return opened[-1]

    yield open_
    for workspace in opened:
        workspace.close()
        workspace.study.close()


@pytest.fixture
def workspace(open_workspace: Opener) -> Workspace:
    """A workspace with a saved draft of one annotation."""
    workspace = open_workspace()
    workspace.create_from_existing("mine", [FATE], RECIPE)
    until(workspace, SaveState.SAVED)
    return workspace


def until(workspace: Workspace, state: SaveState) -> str:
    """Wait until the draft is saved, or cannot be; return the reason."""
    for _ in range(2000):
        if workspace.save_status.state is state:
            return workspace.save_status.reason
        time.sleep(0.005)
    raise AssertionError(workspace.save_status)


def own(workspace: Workspace) -> Annotation:
    (annotation,) = workspace.annotations()
    return annotation


def texts(annotation: Annotation) -> list[str]:
    return [annotation.live.by_id[code].text for code in annotation.codes.tolist()]


def check_all_is_kept(workspace: Workspace, open_workspace: Opener) -> None:
    """See that the draft on disk and the workspace after a restart are as the workspace is."""
    until(workspace, SaveState.SAVED)
    states = workspace.annotations()
    events = [workspace.history(state.id) for state in states]
    folder = workspace.place.folder
    table = pd.read_csv(workspace.place.draft, comment="#", dtype=str, keep_default_na=False)
    for state in states:
        assert table[state.live.name].tolist() == texts(state)
    workspace.close()
    again = open_workspace(folder)
    assert [(state.id, state.header, texts(state)) for state in again.annotations()] == [
        (state.id, state.header, texts(state)) for state in states
    ]
    assert [again.history(state.id) for state in states] == events
    assert again.notices() == []
    again.close()
    # What was begun and given up is gone.
    assert [path for path in folder.rglob(".*") if path != again.place.lock] == []


def check_refused(workspace: Workspace, reason: str) -> None:
    """See that an edit is refused with a reason, and that nothing of it is done."""
    before, revision = own(workspace), workspace.revision
    with pytest.raises(StorageError, match=reason) as refused:
        workspace.describe(before.id, "refused", before.version)
    assert str(refused.value).startswith("The edit was not saved")
    assert (own(workspace), workspace.revision) == (before, revision)


def edit(workspace: Workspace, text: str) -> None:
    """Make an edit, which has to be acknowledged."""
    before = own(workspace)
    made = workspace.describe(before.id, text, before.version)
    assert (made.live.description, made.version) == (text, before.version + 1)


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[None]:
    """Put a disk of a certain size in the place of a folder."""
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("needs the right to mount a disk")
    try:
        yield
    finally:
        # Lazily: after a failure files on it may be open still.
        subprocess.run(["umount", "-l", str(folder)], check=True)


def fill(path: Path, but: int = 0) -> None:
    """Fill the disk with a file, but for some bytes."""
    with path.open("wb", buffering=0) as stream, contextlib.suppress(OSError):
        while stream.write(bytes(1024)):
            pass
    os.truncate(path, path.stat().st_size - but)


@contextmanager
def without_permission(folder: Path, mode: int = 0o555) -> Iterator[None]:
    """Take away the right to write into a folder; root has to become somebody else for that."""
    folder.chmod(mode)
    if os.geteuid() == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        if os.getuid() == 0:
            os.seteuid(0)
        folder.chmod(0o755)


posix = pytest.mark.skipif(os.name != "posix", reason="permissions as POSIX has them")


class TestFullDisk:
    def test_for_the_journal(self, open_workspace: Opener, folder: Path) -> None:
        with small_disk(folder, "1m"):
            workspace = open_workspace()
            made = workspace.create_from_existing("mine", [FATE], RECIPE)
            until(workspace, SaveState.SAVED)
            fill(folder / "other")
            check_refused(workspace, "disk is full")
            check_refused(workspace, "disk is full")
            assert until(workspace, SaveState.FAILED) == os.strerror(errno.ENOSPC)

            (folder / "other").unlink()
            until(workspace, SaveState.SAVED)
            edit(workspace, "after")
            assert own(workspace).id == made.id
            check_all_is_kept(workspace, open_workspace)

    def test_for_the_draft_alone(self, open_workspace: Opener, folder: Path) -> None:
        with small_disk(folder, "1m"):
            workspace = open_workspace()
            workspace.create_from_existing("mine", [FATE], RECIPE)
            until(workspace, SaveState.SAVED)
            before = workspace.place.draft.read_bytes()
            fill(folder / "other", but=40_960)
            edit(workspace, "while it is full")
            assert until(workspace, SaveState.FAILED) == os.strerror(errno.ENOSPC)
            assert workspace.place.draft.read_bytes() == before

            (folder / "other").unlink()
            check_all_is_kept(workspace, open_workspace)

    def test_for_a_backup_alone(self, workspace: Workspace, open_workspace: Opener) -> None:
        # On another disk a backup cannot be a link.
        workspace.place.backups.mkdir()
        with small_disk(workspace.place.backups, "128k"):
            fill(workspace.place.backups / "other", but=8192)
            edit(workspace, "while it is full")
            assert until(workspace, SaveState.FAILED) == os.strerror(errno.ENOSPC)
            # No part of a draft is there for one.
            assert [path.name for path in workspace.place.backups.iterdir()] == ["other"]
            (workspace.place.backups / "other").unlink()
            check_all_is_kept(workspace, open_workspace)


class TestFolder:
    def test_taken_away_and_put_back(self, workspace: Workspace, open_workspace: Opener, folder: Path) -> None:
        edit(workspace, "before")
        folder.rename(folder.with_name("away"))
        check_refused(workspace, "unable to open database file")
        assert until(workspace, SaveState.FAILED) == os.strerror(errno.ENOENT)
        folder.with_name("away").rename(folder)
        until(workspace, SaveState.SAVED)
        edit(workspace, "after")
        check_all_is_kept(workspace, open_workspace)

    def test_replaced_by_a_copy(self, workspace: Workspace, open_workspace: Opener, folder: Path) -> None:
        shutil.copytree(folder, folder.with_name("copy"))
        edit(workspace, "not in the copy")
        until(workspace, SaveState.SAVED)
        shutil.rmtree(folder)
        check_refused(workspace, "unable to open database file")
        folder.with_name("copy").rename(folder)
        edit(workspace, "after")
        assert [event.description for event in workspace.history(own(workspace).id)] == [
            "Description changed",
            "Description changed",
            "Created from fate",
        ]
        check_all_is_kept(workspace, open_workspace)

    def test_emptied(self, workspace: Workspace, open_workspace: Opener, folder: Path) -> None:
        shutil.rmtree(folder)
        check_refused(workspace, "unable to open database file")
        until(workspace, SaveState.FAILED)
        folder.mkdir()
        until(workspace, SaveState.SAVED)
        edit(workspace, "after")
        check_all_is_kept(workspace, open_workspace)


@posix
class TestPermission:
    def test_taken_away_and_given_back(self, workspace: Workspace, open_workspace: Opener, folder: Path) -> None:
        edit(workspace, "before")
        with without_permission(folder):
            check_refused(workspace, "unable to open database file|readonly")
            assert until(workspace, SaveState.FAILED) == os.strerror(errno.EACCES)
            assert own(workspace).live.description == "before"
        until(workspace, SaveState.SAVED)
        edit(workspace, "after")
        check_all_is_kept(workspace, open_workspace)

    def test_to_look_into_the_folder(self, workspace: Workspace, open_workspace: Opener, folder: Path) -> None:
        edit(workspace, "before")
        with without_permission(folder, 0o000):
            check_refused(workspace, "ermission denied|unable to open")
            until(workspace, SaveState.FAILED)
        edit(workspace, "after")
        check_all_is_kept(workspace, open_workspace)

    def test_missing_from_the_start(self, open_workspace: Opener, folder: Path) -> None:
        workspace = open_workspace()
        with without_permission(folder):
            assert workspace.annotations() == []
            assert workspace.needs_name
            assert workspace.preview([FATE], RECIPE).labels == ("Unassigned", "B", "T")
            assert workspace.save_status.state is SaveState.SAVED
            sentence = f"{folder} cannot be written: Permission denied. Choose another --annotations-dir."
            for _ in range(2):
                with pytest.raises(StorageError) as refused:
                    workspace.create_from_existing("mine", [FATE], RECIPE)
                assert str(refused.value) == sentence
            assert workspace.annotations() == []
            assert list(folder.iterdir()) == []
        workspace.create_from_existing("mine", [FATE], RECIPE)
        check_all_is_kept(workspace, open_workspace)


class TestLocked:
    def test_journal(self, workspace: Workspace, open_workspace: Opener) -> None:
        edit(workspace, "before")
        until(workspace, SaveState.SAVED)
        with closing(sqlite3.connect(workspace.place.journal, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            check_refused(workspace, r"another program uses .* Try again in a moment")
            assert "is locked" in until(workspace, SaveState.FAILED)
            place = workspace.place
            for act in (workspace.undo, lambda: workspace.name_collection("another")):
                with pytest.raises(StorageError, match=r"another program uses|is locked") as refused:
                    act()
                assert "damaged" not in str(refused.value)
            assert workspace.place == place
            other.execute("ROLLBACK")
        until(workspace, SaveState.SAVED)
        edit(workspace, "after")
        check_all_is_kept(workspace, open_workspace)

    def test_journal_at_the_start(self, workspace: Workspace, open_workspace: Opener) -> None:
        edit(workspace, "before")
        workspace.close()
        again = open_workspace()
        with closing(sqlite3.connect(workspace.place.journal, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            with pytest.raises(StorageError, match="cannot be opened: database is locked"):
                again.open()
            other.execute("ROLLBACK")
        assert own(again).live.description == "before"
        edit(again, "after")
        check_all_is_kept(again, open_workspace)

    def test_by_another_process(self, workspace: Workspace, open_workspace: Opener) -> None:
        edit(workspace, "before")
        workspace.close()
        again = open_workspace()
        script = "import filelock, sys; lock = filelock.FileLock(sys.argv[1]); lock.acquire(); print(flush=True); sys.stdin.read()"
        with subprocess.Popen(
            [sys.executable, "-c", script, str(workspace.place.lock)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as other:
            assert other.stdout and other.stdout.readline()
            with pytest.raises(StorageError, match="are open in another iscan-dash") as refused:
                again.open()
            assert str(workspace.place.folder) in str(refused.value)
            other.communicate()
        assert own(again).live.description == "before"
        edit(again, "after")
        check_all_is_kept(again, open_workspace)


class TestBackups:
    def test_that_cannot_be_made(self, workspace: Workspace, open_workspace: Opener) -> None:
        workspace.place.backups.write_text("a file in the way")
        edit(workspace, "not in the draft")
        reason = until(workspace, SaveState.FAILED)
        assert reason == os.strerror(errno.EEXIST)
        time.sleep(0.1)  # It is tried again, and again.
        workspace.close()
        assert workspace.save_status.state is SaveState.FAILED

        workspace.place.backups.unlink()
        again = open_workspace()
        again.open()
        until(again, SaveState.SAVED)
        assert own(again).live.description == "not in the draft"
        check_all_is_kept(again, open_workspace)

    def test_that_cannot_be_made_while_cells_change(self, workspace: Workspace, open_workspace: Opener) -> None:
        made = own(workspace)
        workspace.rename_label(made.id, 1, "plasma", made.version)
        until(workspace, SaveState.SAVED)
        shutil.rmtree(workspace.place.backups)
        workspace.place.backups.write_text("a file in the way")
        copy = workspace.duplicate(made.id)
        workspace.revert(made.id, 1, workspace.annotation(made.id).version)
        until(workspace, SaveState.FAILED)
        time.sleep(0.1)
        workspace.close()
        workspace.place.backups.unlink()
        again = open_workspace()
        again.open()
        # That the draft is an old one does not look as if somebody had changed it.
        until(again, SaveState.SAVED)
        assert {event.verb for event in again.history(made.id)} == {"create", "rename label", "revert"}
        assert [state.id for state in again.annotations()] == [copy.id, made.id]
        check_all_is_kept(again, open_workspace)

    def test_on_a_disk_without_links(
        self, workspace: Workspace, open_workspace: Opener, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object) -> None:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM))

        monkeypatch.setattr(os, "link", refuse)
        versions = [workspace.place.draft.read_bytes()]
        for number in range(3):
            edit(workspace, f"text {number}")
            until(workspace, SaveState.SAVED)
            versions.append(workspace.place.draft.read_bytes())
        kept = sorted(workspace.place.backups.iterdir())
        assert [path.read_bytes() for path in kept] == versions[:-1]
        assert {stat.S_IMODE(path.stat().st_mode) for path in kept} == {
            stat.S_IMODE(workspace.place.draft.stat().st_mode)
        }
        check_all_is_kept(workspace, open_workspace)

    def test_on_another_disk(self, workspace: Workspace, open_workspace: Opener) -> None:
        workspace.place.backups.mkdir()
        with small_disk(workspace.place.backups, "1m"):
            before = workspace.place.draft.read_bytes()
            edit(workspace, "after")
            until(workspace, SaveState.SAVED)
            (kept,) = workspace.place.backups.iterdir()
            assert kept.read_bytes() == before
            check_all_is_kept(workspace, open_workspace)

    def test_after_the_clock_went_back(self, workspace: Workspace, open_workspace: Opener) -> None:
        for number in range(BACKUPS):
            edit(workspace, f"text {number}")
            until(workspace, SaveState.SAVED)
        # As if they had been made in another century.
        for path in workspace.place.backups.iterdir():
            path.rename(path.with_name(path.name.replace("-20", "-21")))
        versions = []
        for number in range(3):
            versions.append(workspace.place.draft.read_bytes())
            edit(workspace, f"later {number}")
            until(workspace, SaveState.SAVED)
        kept = sorted(workspace.place.backups.iterdir())
        assert len(kept) == BACKUPS
        assert [path.read_bytes() for path in kept[-3:]] == versions
        check_all_is_kept(workspace, open_workspace)


def test_a_crash_right_after_the_draft_was_replaced(workspace: Workspace, open_workspace: Opener) -> None:
    collection = workspace._collection
    (first,) = collection.setting("drafts")
    edit(workspace, "before")
    until(workspace, SaveState.SAVED)
    (second,) = collection.setting("drafts")
    assert (first["seq"], second["seq"]) == (1, 2)
    workspace.close()
    # What the journal says at that moment.
    with closing(Journal(workspace.place.journal, workspace.study.fingerprint)) as left:
        left.set_setting("drafts", [second, first])
    again = open_workspace()
    again.open()
    assert again._collection.setting("drafts") == [second]
    check_all_is_kept(again, open_workspace)


def test_a_draft_that_was_edited_outside_after_a_crash(workspace: Workspace, open_workspace: Opener) -> None:
    made = own(workspace)
    (first,) = workspace._collection.setting("drafts")
    draft = workspace.place.draft.read_text()
    workspace.rename_label(made.id, 1, "plasma", made.version)
    until(workspace, SaveState.SAVED)
    (second,) = workspace._collection.setting("drafts")
    workspace.close()
    # Killed before the draft was replaced, which somebody then changed.
    workspace.place.draft.write_text(draft.replace('"cell1","mine","T"', '"cell1","mine","NK"'))
    with closing(Journal(workspace.place.journal, workspace.study.fingerprint)) as left:
        left.set_setting("drafts", [second, first])
    again = open_workspace()
    again.open()
    until(again, SaveState.SAVED)
    # The cells of the label that was renamed meanwhile did not change.
    assert texts(own(again))[:4] == ["plasma", "NK", "Unassigned", "plasma"]
    assert [(event.verb, event.n_cells) for event in again.history(made.id)] == [
        ("outside", 1),
        ("rename label", 0),
        ("create", 1500),
    ]
