"""An edit that the page heard of survives the server's sudden end at any moment, and so does the draft."""

import contextlib
import csv
import hashlib
import http.client
import io
import os
import random
import re
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from iscan_dash.core.annotations import Annotation, Change
from iscan_dash.core.annotations.annotation import absent
from iscan_dash.core.study import Study
from iscan_dash.services.csv_text import table_lines
from iscan_dash.services.drafts import BACKUPS, DraftPlace, draft_suffix
from iscan_dash.services.export import export_header
from iscan_dash.services.journal import Event, read_events
from tests.services.page_client import PageClient
from tests.services.server_to_kill import Starter
from tests.studies import write_study

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="starts servers by forking")

KILLS = 100
N_CELLS = 1000
MOST_ANNOTATIONS = 4
START, LIFE = 0.15, 0.04
"""Seconds within which servers are killed, after the fork and after an edit."""

MOST_EDITS = 4
"""Edits after which a server is killed, at most."""

SEED = int(os.environ.get("ISCAN_TEST_SEED", "2026"))

FORM = {"seq": 1, "name": "first", "default": "none", "copy_on": True, "metadata": ["fate"]}


@dataclass(frozen=True)
class Edit:
    """What was asked for on the page: the journal's verb, the annotation (None for a new one) and the new value."""

    verb: str
    annotation: str | None
    value: str

    def is_in(self, event: Event, change: Change) -> bool:
        """Tell whether an event is this edit."""
        if event.verb != self.verb or (self.annotation or event.annotation_id) != event.annotation_id:
            return False
        if change.after is None:
            return self.verb == "delete"
        told = {
            "create": change.after.origin,
            "describe": change.after.description,
            "rename": change.after.name,
            "rename label": change.after.default.text,
            "recolour": change.after.by_id[1].colour,
            "restore": "",
        }
        return told[self.verb] == self.value


class Editor:
    """Somebody at the page who edits without a pause, until the server is gone.

    Parameters
    ----------
    states
        The annotations, by id.
    revision
        Number of the last event.
    chance
        Chooses the edits.
    """

    def __init__(self, states: dict[str, Annotation], revision: int, chance: random.Random) -> None:
        self.acknowledged: list[tuple[int, Edit]] = []
        self.unanswered: Edit | None = None
        self._chance = chance
        self._revision = revision
        self._versions = {own: state.version for own, state in states.items() if state.header is not None}
        self._deleted = {own: state.version for own, state in states.items() if state.header is None}

    def run(self, port: int, n_edits: int, then: Callable[[], None]) -> None:
        """Make some edits, call a function, and go on until the connection breaks."""
        with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(PageClient(port)) as client:
            self._client = client
            while True:
                if len(self.acknowledged) >= n_edits:
                    then()
                    n_edits = sys.maxsize
                self._edit()

    def _edit(self) -> None:
        # Another value each time, so that no edit changes nothing.
        number = self._revision + 1
        own = self._chance.choice(sorted(self._versions)) if self._versions else ""
        page = {"existing-versions": dict(self._versions)}
        wanted = self._chance.choices(
            ("describe", "rename label", "rename", "recolour", "create", "delete", "restore"), (8, 4, 3, 4, 1, 1, 1)
        )[0]
        if not own:
            wanted = "restore" if self._deleted else "new"
        if wanted == "new":
            self._ask(Edit("create", None, "existing"), "new-create.n_clicks", 1, {"new-form": FORM})
        elif wanted == "describe":
            self._ask(Edit(wanted, own, f"text {number}"), "existing-description.value", f"text {number}", page)
        elif wanted == "rename":
            self._ask(Edit(wanted, own, f"name {number}"), "existing-name.value", f"name {number}", page)
        elif wanted == "rename label":
            self._ask(Edit(wanted, own, f"none {number}"), "existing-default.value", f"none {number}", page)
        elif wanted == "recolour":
            colour = f"#{number % 2**24:06x}"
            self._ask(Edit(wanted, own, colour), "existing-label-colour.value", colour, page, label=1)
        elif wanted == "create":
            if len(self._versions) < MOST_ANNOTATIONS and len(self._deleted) < MOST_ANNOTATIONS:
                self._ask(Edit(wanted, None, "duplicate"), "existing-duplicate.n_clicks", 1, page, annotation=own)
        elif wanted == "delete":
            self._ask(Edit(wanted, own, ""), "existing-delete.n_clicks", 1, page)
        elif self._deleted:
            own = self._chance.choice(sorted(self._deleted))
            self._ask(Edit(wanted, own, ""), "existing-restore.n_clicks", 1, page, annotation=own)

    def _ask(self, edit: Edit, control: str, value: Any, page: dict[str, Any], **which: Any) -> None:
        if edit.annotation is not None:
            which["annotation"] = edit.annotation
        self.unanswered = edit
        revision, said = self._client.edit(control, value, page, **which)
        assert revision == self._revision + 1, said
        self.unanswered = None
        self._revision = revision
        self.acknowledged.append((revision, edit))
        own = edit.annotation
        if own is None:
            # Which one was made is known when the page is loaded anew, but for the first.
            if edit.value == "existing":
                self._versions[said["actions"][0]["action"]["by"].removeprefix("annotation:")] = 1
        elif edit.verb == "delete":
            self._deleted[own] = self._versions.pop(own) + 1
        elif edit.verb == "restore":
            self._versions[own] = self._deleted.pop(own) + 1
        else:
            self._versions[own] += 1


@dataclass
class Record:
    """What the journal has to hold, and what it held when last looked at."""

    journal: Path
    states: dict[str, Annotation] = field(default_factory=dict)
    versions: dict[tuple[str, int], Annotation] = field(default_factory=dict)
    verbs: Counter[str] = field(default_factory=Counter)
    seq: int = 0
    n_unheard: int = 0

    def compare(self, editor: Editor | None) -> None:
        """See that the events since the last look are those acknowledged, with at most the one on its way."""
        found = list(read_events(self.journal, self.seq)) if self.journal.exists() else []
        wanted = editor.acknowledged if editor else []
        for event, change in found:
            self.seq += 1
            assert event.seq == self.seq
            before = self.states.get(event.annotation_id) or absent(event.annotation_id, N_CELLS)
            after = change.apply(before, event.time)
            assert event.version == after.version == before.version + 1
            self.states[event.annotation_id] = self.versions[event.annotation_id, event.version] = after
            self.verbs[event.verb] += 1
        assert len(wanted) <= len(found), f"{len(wanted) - len(found)} acknowledged edits are lost"
        for (seq, edit), (event, change) in zip(wanted, found, strict=False):
            assert event.seq == seq
            assert edit.is_in(event, change), (edit, event)
        for event, change in found[len(wanted) :]:
            # The server wrote it and was killed before it answered.
            assert editor is not None and editor.unanswered is not None, f"nobody asked for {event}"
            assert editor.unanswered.is_in(event, change), (editor.unanswered, event)
            editor.unanswered = None
            self.n_unheard += 1


class Reader(threading.Thread):
    """Reads the draft and its backups over and over, as another program may at any moment.

    Parameters
    ----------
    place
        The draft and its backups.
    """

    def __init__(self, place: DraftPlace) -> None:
        super().__init__(name="reader")
        self.seen: dict[str, str] = {}
        self.n_drafts = self.n_backups = self.most_backups = 0
        self.problem: BaseException | None = None
        self._place = place
        self._last = (0, 0, 0)
        self._known: set[Path] = set()
        self._end = threading.Event()

    def run(self) -> None:
        """Read until the end."""
        try:
            while not self._end.wait(0.002):
                self._look()
        except BaseException as error:  # noqa: BLE001 - the test fails with it
            self.problem = error

    def close(self) -> None:
        """End."""
        self._end.set()
        self.join()

    def _look(self) -> None:
        with contextlib.suppress(FileNotFoundError), self._place.draft.open("rb") as stream:
            found = os.fstat(stream.fileno())
            stamp = (found.st_ino, found.st_size, found.st_mtime_ns)
            if stamp != self._last:
                self._last = stamp
                self._check(stream.read())
                self.n_drafts += 1
        backups = list(self._place.backups.glob("*"))
        self.most_backups = max(self.most_backups, len(backups))
        for backup in set(backups) - self._known:
            try:
                text = backup.read_bytes()
            except FileNotFoundError:
                continue
            self._check(text)
            self.n_backups += 1
        self._known = set(backups)

    def _check(self, content: bytes) -> None:
        """See that a draft is whole, and keep what it says."""
        comments, table = parts(content)
        assert content.endswith(b"\n")
        head, *rows = csv.reader(io.StringIO(table), strict=True)
        assert [row[0] for row in rows] == [f"cell{number}" for number in range(N_CELLS)]
        assert {len(row) for row in rows} == {len(head)}
        digest = hashlib.sha256(table.encode()).hexdigest()
        assert self.seen.setdefault(comments[-1], digest) == digest


def parts(content: bytes) -> tuple[list[str], str]:
    """Return the comments of a draft and its table."""
    lines = content.decode().splitlines(keepends=True)
    comments = [line for line in lines if line.startswith("# ")]
    assert len(comments) == 5
    return comments, "".join(lines[5:])


def expected_table(study: Study, versions: dict[tuple[str, int], Annotation], comment: str) -> str:
    """Return the table that a draft has to hold which names these versions."""
    named = re.findall(r"\b([0-9a-f]{32})\b\D+(\d+)", comment)
    states = [versions[own, int(version)] for own, version in named]
    return "".join(table_lines(study, states, []))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "drafts").mkdir()
    return tmp_path / "drafts"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    fates = pd.Categorical([["B", "T", "NK, or not"][number % 7 % 3] for number in range(N_CELLS)])
    return write_study(tmp_path / "mine.h5ad", {"fate": fates})


@pytest.fixture
def starter(folder: Path, file: Path) -> Iterator[Starter]:
    with tempfile.TemporaryFile() as errors:
        starter = Starter(folder, file, errors)
        yield starter
        starter.close()
        errors.seek(0)
        said = errors.read().decode()
    assert not said, f"the servers logged:\n{said}"


@pytest.fixture
def study(file: Path, open_files: Callable[..., Study]) -> Study:
    return open_files(file)


@pytest.fixture
def place(folder: Path, study: Study) -> DraftPlace:
    return DraftPlace(folder, "mine", draft_suffix("local", study.fingerprint))


@pytest.fixture
def reader(place: DraftPlace) -> Iterator[Reader]:
    reader = Reader(place)
    reader.start()
    yield reader
    reader.close()
    if reader.problem:
        raise reader.problem


def until(is_so: Callable[[], bool]) -> None:
    """Wait until something is so."""
    for _ in range(2000):
        if is_so():
            return
        time.sleep(0.005)
    raise AssertionError("it never came")


def test_what_was_acknowledged_survives_a_kill_at_any_moment(
    starter: Starter, reader: Reader, study: Study, place: DraftPlace
) -> None:
    print(f"seed {SEED}")
    chance = random.Random(SEED)
    record = Record(place.journal)
    editor: Editor | None = None
    n_acknowledged = 0
    met: Counter[str] = Counter()
    for _ in range(KILLS):
        kills_start = chance.random() < 0.4
        moment = chance.uniform(0, START if kills_start else LIFE)
        pid = starter.start()
        killer = threading.Timer(moment, starter.end, (pid, signal.SIGKILL))
        if kills_start:
            killer.start()
        port = starter.port()
        if port is not None:
            # By now the server has mended what the kill before left, as it would without this test.
            record.compare(editor)
            editor = Editor(record.states, record.seq, chance)
            editor.run(port, sys.maxsize if kills_start else chance.randint(0, MOST_EDITS), killer.start)
            starter.wait()
            n_acknowledged += len(editor.acknowledged)
        met["starting" if port is None else "editing"] += 1
        met["within a commit"] += place.journal.with_name(f"{place.journal.name}-journal").exists()
        met["within a draft"] += len(leftovers(place.folder)) > met["leftovers"]
        met["leftovers"] = len(leftovers(place.folder))

    pid = starter.start()
    port = starter.port()
    assert port
    record.compare(editor)
    client = PageClient(port)
    until(lambda: bool(client.get("/api/v1/status")["save"] == "saved"))
    assert client.get("/api/v1/status")["revision"] == record.seq
    client.close()
    starter.end(pid, signal.SIGTERM)
    starter.wait()
    reader.close()
    print(f"{n_acknowledged} edits acknowledged, {record.n_unheard} more written; kills: {dict(met)}")
    print(f"{dict(record.verbs)}; {reader.n_drafts} drafts and {reader.n_backups} backups read, {reader.most_backups=}")

    assert met["starting"] + met["editing"] == KILLS
    assert min(met["starting"], met["within a draft"]) >= KILLS / 20
    assert n_acknowledged >= KILLS
    assert n_acknowledged + record.n_unheard == record.seq
    # No program but the server wrote the drafts, and the server knew that.
    assert "outside" not in record.verbs

    live = [state for state in record.states.values() if state.header is not None]
    comments, table = parts(place.draft.read_bytes())
    assert comments[-1] == f"# {export_header(study, live)[-1]}\n"
    rows = list(csv.DictReader(io.StringIO(table)))
    for state in live:
        labels = [state.live.by_id[code].text for code in state.codes.tolist()]
        assert [row[state.live.name] for row in rows] == labels

    assert reader.n_drafts >= KILLS / 2 and reader.n_backups >= KILLS / 2
    for comment, digest in reader.seen.items():
        assert hashlib.sha256(expected_table(study, record.versions, comment).encode()).hexdigest() == digest
    # The one more is there while a draft is replaced, and when the server was killed just then.
    assert reader.most_backups <= BACKUPS + 1
    assert len(list(place.backups.iterdir())) == BACKUPS
    assert leftovers(place.folder) == []


def leftovers(folder: Path) -> list[Path]:
    """Return the drafts that were not written to their end."""
    return [path for path in folder.rglob(".*") if re.search(r"\.csv\.[0-9a-f]{32}$", path.name)]
