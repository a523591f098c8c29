import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from iscan_dash.core.annotations import Annotation, Change, Header, Label
from iscan_dash.core.annotations.annotation import absent
from iscan_dash.errors import StorageError
from iscan_dash.services.journal import Event, Journal, read_events

LABELS = (Label(0, "Unassigned", "#bbbbbb"), Label(1, 'T "cell", #1', "#112233", "naïve"))
HEADER = Header("fate", LABELS, "ada", "2026-01-01", "existing", {"sources": [{"kind": "cluster"}]}, "mine")
CODES = np.array([0, 1, 1, 0], np.int32)

CREATE = Change.between(absent("id1", 4), HEADER, CODES)
STATE = Annotation("id1", HEADER, CODES, 1, "2026-01-01")
RENAME = Change.between(STATE, replace(HEADER, name="new"))
DELETE = Change.between(STATE, None, np.zeros(4, np.int32))

Opener = Callable[..., Journal]


def event(version: int = 1, annotation_id: str = "id1", undoes: int | None = None) -> Event:
    return Event(0, annotation_id, version, "2026-01-02", "ada", "create", "Created from x", 2, undoes)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "mine.journal.db"


@pytest.fixture
def open_journal(path: Path) -> Iterator[Opener]:
    opened: list[Journal] = []

    def open_(fingerprint: str = "aa") -> Journal:
        opened.append(Journal(path, fingerprint))
        return opened[-1]

    yield open_
    for journal in opened:
        journal.close()


def change_file(path: Path, statement: str, values: tuple[object, ...] = ()) -> None:
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(statement, values)


def rows(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        number: int = db.execute("SELECT count(*) FROM events").fetchone()[0]
        return number


def same(change: Change, other: Change) -> bool:
    parts = ("starts", "lengths", "old", "new")
    return (change.annotation_id, change.before, change.after) == (
        other.annotation_id,
        other.before,
        other.after,
    ) and all(np.array_equal(getattr(change.delta, part), getattr(other.delta, part)) for part in parts)


def test_events_are_there_when_the_file_is_opened_again(open_journal: Opener) -> None:
    journal = open_journal()
    assert list(journal.replay()) == []
    kept = [
        journal.append(event(1), CREATE),
        journal.append(event(2, undoes=1), RENAME),
        journal.append(event(1, "id2"), DELETE),
    ]
    journal.close()
    found = list(open_journal().replay())

    assert kept == [
        replace(event(1), seq=1),
        replace(event(2, undoes=1), seq=2),
        replace(event(1, "id2"), seq=3),
    ]
    assert [one for one, _ in found] == kept
    assert all(
        same(replace(change, annotation_id="id1"), expected)
        for (_, change), expected in zip(found, [CREATE, RENAME, DELETE], strict=True)
    )


def test_the_change_of_an_event(open_journal: Opener) -> None:
    journal = open_journal()
    first, second = journal.append(event(1), CREATE), journal.append(event(2), RENAME)

    assert same(journal.change(first), CREATE)
    assert same(journal.change(second), RENAME)


def test_an_event_is_on_the_disk_when_append_returns(open_journal: Opener, path: Path) -> None:
    open_journal().append(event(), CREATE)
    # Read by another connection while the first is open, as after the process was killed.
    assert rows(path) == 1


def test_a_journal_whose_writer_was_ended_before_its_first_commit_has_no_events(path: Path) -> None:
    path.touch()
    assert list(read_events(path)) == []


def test_settings(open_journal: Opener) -> None:
    journal = open_journal()
    assert journal.setting("choices") is None
    journal.set_setting("choices", {"roles": {"ä": "cluster"}, "sample_column": None})
    journal.set_setting("choices", {"roles": {"ä": "metadata"}, "sample_column": ""})
    journal.set_setting("format", 7)
    journal.close()

    assert open_journal().setting("choices") == {"roles": {"ä": "metadata"}, "sample_column": ""}
    assert open_journal().setting("format") == 7


class TestRefused:
    def test_a_journal_of_other_cells(self, open_journal: Opener, path: Path) -> None:
        open_journal("aa").close()
        with pytest.raises(StorageError) as refused:
            open_journal("bb")
        assert str(refused.value) == f"{path} belongs to a study with other cells. Choose another annotations folder."
        assert list(open_journal("aa").replay()) == []

    def test_a_newer_format(self, open_journal: Opener, path: Path) -> None:
        open_journal().close()
        change_file(path, "UPDATE meta SET value = '2' WHERE key = 'format'")
        with pytest.raises(StorageError) as refused:
            open_journal()
        assert str(refused.value) == f"{path} was written by a newer iscan-dash. Update iscan-dash to open it."

    def test_a_database_of_another_program_which_is_left_as_it_is(self, open_journal: Opener, path: Path) -> None:
        change_file(path, "CREATE TABLE other (x)")
        before = path.read_bytes()
        with pytest.raises(StorageError) as refused:
            open_journal()
        assert str(refused.value) == f"{path} is no journal of iscan-dash. Move it away, or choose another folder."
        assert path.read_bytes() == before

    @pytest.mark.parametrize(
        "table", ["meta (key, value)", "meta (x)", "meta (key, value); INSERT INTO meta VALUES ('format', 'x')"]
    )
    def test_a_database_with_a_table_of_the_same_name(self, open_journal: Opener, path: Path, table: str) -> None:
        for statement in f"CREATE TABLE {table}".split("; "):
            change_file(path, statement)
        with pytest.raises(StorageError, match=r"is no journal of iscan-dash|cannot be opened: no such column"):
            open_journal()

    def test_a_file_that_is_no_database(self, open_journal: Opener, path: Path) -> None:
        path.write_text("index,fate\n" * 100)
        with pytest.raises(StorageError) as refused:
            open_journal()
        assert str(refused.value) == (
            f"The journal {path} cannot be opened: file is not a database. Check the folder's permissions."
        )

    def test_a_path_that_is_a_folder(self, open_journal: Opener, path: Path) -> None:
        path.mkdir()
        with pytest.raises(StorageError, match="cannot be opened: unable to open database file"):
            open_journal()

    def test_a_folder_that_is_not_there(self, tmp_path: Path) -> None:
        with pytest.raises(StorageError, match="cannot be opened: unable to open database file"):
            Journal(tmp_path / "none" / "a.db", "aa")

    @pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may write everywhere")
    def test_a_folder_that_cannot_be_written(self, open_journal: Opener, path: Path) -> None:
        path.parent.chmod(0o500)
        try:
            with pytest.raises(StorageError, match="cannot be opened"):
                open_journal()
        finally:
            path.parent.chmod(0o700)


class TestDamage:
    @pytest.mark.parametrize(
        ("column", "value"),
        [
            ("delta", b"x"),
            ("delta", b""),
            ("delta", "runs1"),
            ("delta", 3),
            ("delta", CREATE.delta.to_bytes()[:-3]),
            ("after", "{"),
            ("after", "[]"),
            ("after", "3"),
            ("after", '{"name": "x"}'),
            ("after", '{"labels": [{"id": 1}]}'),
            ("before", '{"labels": []}'),
        ],
    )
    def test_of_an_event(self, open_journal: Opener, path: Path, column: str, value: object) -> None:
        journal = open_journal()
        first = journal.append(event(), CREATE)
        change_file(path, f"UPDATE events SET {column} = ?", (value,))

        for read in (lambda: list(journal.replay()), lambda: journal.change(first)):
            with pytest.raises(StorageError) as refused:
                read()
            assert str(refused.value).startswith(f"The journal {path} is damaged: ")
            assert str(refused.value).endswith(". Restore it from a backup.")

    def test_of_an_event_that_is_gone(self, open_journal: Opener, path: Path) -> None:
        journal = open_journal()
        first = journal.append(event(), CREATE)
        change_file(path, "DELETE FROM events")
        with pytest.raises(StorageError, match="is damaged"):
            journal.change(first)

    def test_of_a_setting(self, open_journal: Opener, path: Path) -> None:
        journal = open_journal()
        journal.set_setting("choices", {})
        change_file(path, "UPDATE meta SET value = '{' WHERE key = 'setting:choices'")
        with pytest.raises(StorageError, match="is damaged"):
            journal.setting("choices")

    def test_of_the_file(self, open_journal: Opener, path: Path) -> None:
        journal = open_journal()
        for version in range(1, 60):
            journal.append(event(version), CREATE)
        journal.close()
        content = path.read_bytes()
        path.write_bytes(content[: len(content) // 2] + bytes(len(content) - len(content) // 2))

        with pytest.raises(StorageError, match=r"is damaged|cannot be opened"):
            list(open_journal().replay())


class TestFailedAppend:
    def test_of_a_version_that_exists_leaves_nothing(self, open_journal: Opener, path: Path) -> None:
        journal = open_journal()
        journal.append(event(1), CREATE)
        with pytest.raises(StorageError) as refused:
            journal.append(event(1), RENAME)

        assert str(refused.value).startswith(f"The edit was not saved in {path}: UNIQUE constraint failed")
        assert [one.version for one, _ in journal.replay()] == [1]
        assert same(next(change for _, change in journal.replay()), CREATE)
        assert journal.append(event(2), RENAME).seq == 2
        assert rows(path) == 2

    def test_while_another_holds_the_file_leaves_nothing(self, open_journal: Opener, path: Path) -> None:
        journal = open_journal()
        journal._db.execute("PRAGMA busy_timeout = 1")
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StorageError, match="another program uses"):
                journal.append(event(), CREATE)
            with pytest.raises(StorageError, match="another program uses"):
                journal.set_setting("choices", {})
            other.execute("ROLLBACK")

        assert rows(path) == 0
        assert journal.setting("choices") is None
        assert journal.append(event(), CREATE).seq == 1

    def test_on_a_full_disk_leaves_nothing(self, open_journal: Opener) -> None:
        journal = open_journal()
        journal.append(event(1), CREATE)
        pages = journal._db.execute("PRAGMA page_count").fetchone()[0]
        journal._db.execute(f"PRAGMA max_page_count = {pages}")
        large = replace(HEADER, description="x" * 100_000)
        with pytest.raises(StorageError, match="database or disk is full"):
            journal.append(event(2), Change.between(STATE, large))
        assert [one.version for one, _ in journal.replay()] == [1]

        journal._db.execute("PRAGMA max_page_count = 1000")
        assert journal.append(event(2), Change.between(STATE, large)).seq == 2

    def test_when_the_journal_is_closed(self, open_journal: Opener) -> None:
        journal = open_journal()
        journal.close()
        with pytest.raises(StorageError, match="The edit was not saved"):
            journal.append(event(), CREATE)
