"""Users who are away: what was theirs is put away, and is there again with their next request."""

import json
import os
import threading
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dash import Dash
from flask.testing import FlaskClient

from iscan_dash.services import drafts
from iscan_dash.services.absences import KEPT_FOR
from iscan_dash.services.collection import journals_in
from iscan_dash.services.gene_searches import GeneSearches, SearchCancelled
from iscan_dash.services.journal import read_events
from iscan_dash.services.merge_run import MergeState
from iscan_dash.services.selections import Selections
from iscan_dash.settings import Settings
from iscan_dash.web.app import create_app
from iscan_dash.web.services import Services
from tests.browser.studies import small_values
from tests.services.page_client import PageClient
from tests.web.conftest import SAME_ORIGIN, MakeApp
from tests.web.host import Host
from tests.web.page import Page

WHO = "X-Who"
SELECT = "/api/v1/selection"
DRAW = {"do": "draw", "plot": 1, "axes": "X_umap", "points": [[-50, -50], [2.25, -50], [2.25, 50], [-50, 50]]}
LEIDEN = {"do": "filter", "condition": {"is": "labels", "kind": "cluster", "key": "leiden", "values": ["1", "3"]}}

Apps = Callable[..., Dash]


@pytest.fixture
def make(make_app: MakeApp, small_file: Path) -> Apps:
    """Make applications whose users are told apart by a header."""
    return lambda **settings: make_app(small_file, user_header=WHO, idle_minutes=0, **settings)


@pytest.fixture
def app(make: Apps) -> Dash:
    return make()


def browser_of(app: Dash, name: str) -> FlaskClient:
    client = app.server.test_client()
    client.environ_base |= {"HTTP_X_WHO": name, **SAME_ORIGIN}
    return client


def services(app: Dash) -> Services:
    found: Services = app.server.extensions["iscan"]
    assert found.warm_up is not None
    found.warm_up.join()
    return found


def put_away(app: Dash) -> list[str]:
    """Wait until all is saved, and put away what belongs to users who ask for nothing now."""
    wait_until_saved(app)
    return services(app).put_idle_away(0)


def wait_until_saved(app: Dash) -> None:
    """Wait for what keeps users here though they ask for nothing."""
    for thread in threading.enumerate():
        if thread.name == "old-drafts":
            thread.join()
    end = time.monotonic() + 10
    while not all(own.is_saved for own in services(app).workspaces.here().values()) and time.monotonic() < end:
        time.sleep(0.05)


def get(client: FlaskClient, path: str) -> Any:
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    return answer.get_json()


def act(client: FlaskClient, action: dict[str, Any]) -> dict[str, Any]:
    answer = client.post(SELECT, json=action)
    assert answer.status_code == 200, answer.text
    state: dict[str, Any] = answer.get_json()
    return state


def tick(client: FlaskClient, row: int) -> dict[str, Any]:
    answer = client.post("/api/v1/edit/ticks", json={"do": "one", "row": row})
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.get_json()
    return told


def seen(client: FlaskClient) -> tuple[Any, ...]:
    """Return what the pages of a user are told."""
    # Cells of saved selections are counted when they are asked for.
    counts = get(client, "/api/v1/filter/saved")
    status = get(client, "/api/v1/status")
    # By whom the draft was written last, and when, is known as long as they are here.
    status.pop("saved_at")
    rows = client.post("/api/v1/edit/rows", json={"view": {}, "start": 0, "end": 60}).get_json()
    return status, get(client, f"{SELECT}/state"), client.get(SELECT).data, counts, rows


def test_everything_is_there_again(app: Dash) -> None:
    page = Page(app, browser_of(app, "Ada"))
    client = page.client
    made = page.create("mine")
    act(client, LEIDEN)
    act(client, {"do": "save", "name": "some clusters"})
    act(client, DRAW)
    act(client, {"do": "draw", **DRAW, "points": [[0, 0], [1, 0], [0, 1]], "mode": "subtract"})
    for row in (3, 7, 59):
        tick(client, row)
    wait_until_saved(app)
    before = seen(client)
    assert before[1]["can_go_back"] and len(before[2]) == 8

    assert "Ada" in put_away(app)
    assert "Ada" not in services(app).workspaces.here()
    again = seen(client)
    assert again[1] == before[1]
    assert again == before
    # The ids of what is added go on.
    assert act(client, LEIDEN)["filters"][-1]["id"] not in {own["id"] for own in before[1]["filters"]}

    # Undo knows the edit that was made before, and the draft is still the user's.
    assert "Ada" in put_away(app)
    page.values["shell-steps.data"] = {"undo": 1, "redo": None}
    assert page.edit("shell-undo.n_clicks", 1)["shell-revision.data"] == 2
    assert made not in {own.id for own in services(app).workspaces.enter("Ada", "Ada").annotations()}


def test_going_back_goes_on(app: Dash) -> None:
    client = browser_of(app, "Ada")
    states = [act(client, LEIDEN), act(client, DRAW), act(client, {"do": "clear"})]
    put_away(app)
    for state in reversed(states[:2]):
        back = act(client, {"do": "back"})
        assert (back["text"], back["count"]) == (state["text"], state["count"])


def test_where_annotations_are_switched_off(small_file: Path, tmp_path: Path) -> None:
    settings = Settings(
        data=(small_file,), user_header=WHO, idle_minutes=0, disable_annotations=True, data_dir=tmp_path / "server"
    )
    app = create_app(settings)
    client = browser_of(app, "Ada")
    act(client, LEIDEN)
    state = act(client, {"do": "save", "name": "some clusters"})
    with services(app).at_desk("Ada", "Ada") as desk:
        desk.workspace.choose(roles={"tissue": "cluster"})
    state = get(client, f"{SELECT}/state")
    assert "Ada" in put_away(app)
    assert get(client, f"{SELECT}/state") == state
    assert [own["name"] for own in state["saved"]] == ["some clusters"]
    with services(app).at_desk("Ada", "Ada") as desk:
        assert desk.workspace.study.columns["tissue"].role == "cluster"
    services(app).close()


def test_who_only_looked_leaves_nothing(app: Dash) -> None:
    client = browser_of(app, "Ada")
    assert client.get("/").status_code == 200
    seen(client)
    assert "Ada" in put_away(app)
    folder = services(app)._absences._folder
    assert not folder.exists() and journals_in(folder.parents[1]) == []


def test_everybody_who_was_put_away_is_told_to_be_back(app: Dash, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "iscan_dash")
    for _ in range(2):
        # Looks at cells, and selects none: nothing has to be kept.
        get(browser_of(app, "Bob"), "/api/v1/cells/7?by=")
        assert "Bob" in put_away(app)
    told = [record.message for record in caplog.records if getattr(record, "fields", {}).get("user") == "Bob"]
    assert [event for event in told if event in {"away", "back"}] == ["away", "back", "away"]


def test_cells_that_changed_meanwhile_have_another_version(app: Dash) -> None:
    ada, bob = Page(app, browser_of(app, "Ada")), browser_of(app, "Bob")
    made = ada.create("hers")
    with services(app).at_desk("Ada", "Ada") as desk:
        hers = desk.workspace
        labels = {"is": "labels", "kind": "annotation", "key": made, "values": ["T"]}
        end = time.monotonic() + 10
        while (state := act(bob, {"do": "filter", "condition": labels}))["count"] is None and time.monotonic() < end:
            time.sleep(0.2)
        assert state["count"] == 0
        assert "Bob" in put_away(app)
        hers.assign(made, np.arange(60) < 5, "T", 1)
        # The others look into the folder once a second.
        time.sleep(1.1)
    again = get(bob, f"{SELECT}/state")
    assert again["count"] == 5
    assert again["version"] > state["version"] and again["mask_version"] > state["mask_version"]


def test_pages_that_ask_by_themselves_do_not_keep_a_user_here(app: Dash) -> None:
    client = browser_of(app, "Ada")
    Page(app, client).create("mine")
    get(client, "/api/v1/status")
    wait_until_saved(app)
    act(client, LEIDEN)
    assert "Ada" not in services(app).put_idle_away(0.25)
    time.sleep(0.3)
    status = get(client, "/api/v1/status")
    # Something was done 0.3 seconds ago; that this was asked just now does not matter.
    assert "Ada" in services(app).put_idle_away(0.25)
    assert get(client, "/api/v1/status")["selection"] == status["selection"]
    assert "Ada" not in services(app).workspaces.here()
    # What others do is told all the same.
    Page(app, browser_of(app, "Bob")).create("his")
    time.sleep(1.1)
    assert get(client, "/api/v1/status")["revision"] == status["revision"] + 1
    assert "Ada" not in services(app).workspaces.here()
    act(client, DRAW)
    assert "Ada" in services(app).workspaces.here()


def test_what_goes_on_stays(app: Dash, monkeypatch: pytest.MonkeyPatch) -> None:
    client = browser_of(app, "Ada")
    client.post("/api/v1/import?name=a.csv", data=b"index,fate\nc0,T\n", content_type="text/csv")
    assert "Ada" not in put_away(app)
    with services(app).at_desk("Ada", "Ada") as desk:
        desk.imports.forget()
        desk.merge_run._state = MergeState(is_running=True, message="Copying")
    assert "Ada" not in put_away(app)
    # The files of a merge that is done are still offered.
    desk.merge_run._state = MergeState(part=1.0, message="Done")
    assert "Ada" in put_away(app)
    with services(app).at_desk("Ada", "Ada") as again:
        assert again is not desk and again.merge_run.state.message == "Done"


def test_a_disk_that_cannot_be_written_keeps_the_user_here(app: Dash) -> None:
    client = browser_of(app, "Ada")
    state = act(client, LEIDEN)
    folder = services(app)._absences._folder
    folder.parent.mkdir(exist_ok=True)
    folder.write_text("in the way")
    assert "Ada" not in put_away(app)
    assert get(client, f"{SELECT}/state") == state
    folder.unlink()
    assert "Ada" in put_away(app)
    assert get(client, f"{SELECT}/state") == state


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"cells": 3}', "selection", "ticks", "offers", "notices"])
def test_what_was_kept_is_damaged(app: Dash, damage: bytes | str) -> None:
    client = browser_of(app, "Ada")
    act(client, LEIDEN)
    tick(client, 3)
    put_away(app)
    (kept,) = services(app)._absences._folder.glob("*.json")
    assert kept.stat().st_mode & 0o077 == 0
    if isinstance(damage, str):
        kept.write_text(json.dumps(json.loads(kept.read_text()) | {damage: [{"a": 1}, 7]}))
    else:
        kept.write_bytes(damage)
    get(client, f"{SELECT}/state")
    assert act(client, LEIDEN)["count"] == sum(own in {"1", "3"} for own in small_values("leiden"))


def test_a_selection_outlasts_a_restart(make: Apps, tmp_path: Path) -> None:
    folders = {"annotations_dir": tmp_path / "drafts", "data_dir": tmp_path / "server"}
    app = make(**folders)
    client = browser_of(app, "Ada")
    act(client, LEIDEN)
    tick(client, 3)
    before = seen(client)
    services(app).close()
    client = browser_of(make(**folders), "Ada")
    after = seen(client)
    assert after[1:4] == before[1:4] and after[0]["ticks"] == before[0]["ticks"]


def test_what_nobody_expected_keeps_only_that_user_here(
    make: Apps, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folders = {"annotations_dir": tmp_path / "drafts", "data_dir": tmp_path / "server"}
    app = make(**folders)
    for name in ("Ada", "Bob"):
        act(browser_of(app, name), LEIDEN)
    with services(app).at_desk("Ada", "Ada") as desk:
        desk.edit_table.remember = lambda: {"ticks": b"no JSON"}  # type: ignore[method-assign]
    gone = put_away(app)
    assert "Bob" in gone and "Ada" not in gone
    assert "Ada was not put away." in caplog.text and "not JSON serializable" in caplog.text
    assert act(browser_of(app, "Ada"), DRAW)["can_go_back"]

    # At a stop neither she nor what cannot be tidied keeps drafts of others from being written.
    Page(app, browser_of(app, "Bob")).create("his")
    jobs = services(app).jobs
    assert jobs.n_active() == 0 and jobs._table
    lock = Path(jobs._guard.lock_file)
    lock.unlink()
    lock.mkdir()
    services(app).close()
    assert "Jobs.close failed." in caplog.text
    assert "What Ada had selected cannot be kept" in caplog.text
    (draft,) = (tmp_path / "drafts").glob("*.csv")
    assert ',"his"\n' in draft.read_text()
    lock.rmdir()
    assert get(browser_of(make(**folders), "Bob"), f"{SELECT}/state")["filters"]


def test_nobody_comes_in_while_the_server_stops(make: Apps, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    app = make(annotations_dir=tmp_path / "drafts", data_dir=tmp_path / "server")
    own, statuses = services(app), []
    for name in ("Ada", "Bob"):
        act(browser_of(app, name), LEIDEN)
    close = GeneSearches.close

    def close_and_come(searches: GeneSearches) -> None:
        answer = browser_of(app, f"Visitor {len(statuses)}").get("/api/v1/status")
        assert answer.get_json() == {
            "error": "The server is stopping. What you did is kept; load the page again in a moment."
        }
        statuses.append(answer.status_code)
        close(searches)

    monkeypatch.setattr(GeneSearches, "close", close_and_come)
    own.close()
    assert len(statuses) >= 2 and set(statuses) == {503}
    assert browser_of(app, "Ada").get(f"{SELECT}/state").status_code == 503
    assert not [name for name in own._desks if name.startswith("Visitor")]


@pytest.mark.parametrize("is_given_up", [False, True])
def test_who_comes_back_while_the_server_stops_loses_nothing(
    make: Apps, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_given_up: bool
) -> None:
    folders = {"annotations_dir": tmp_path / "drafts", "data_dir": tmp_path / "server"}
    app = make(**folders)
    state = act(browser_of(app, "Ada"), LEIDEN)
    assert "Ada" in put_away(app)
    recall, is_coming, is_closing = Selections.recall, threading.Event(), threading.Event()

    def slow_recall(selections: Selections, kept: dict[str, Any]) -> None:
        is_coming.set()
        assert is_closing.wait(10)
        time.sleep(0.2)
        if is_given_up:
            raise SearchCancelled("CD3D")
        recall(selections, kept)

    monkeypatch.setattr(Selections, "recall", slow_recall)
    coming = threading.Thread(target=lambda: browser_of(app, "Ada").get(f"{SELECT}/state"))
    coming.start()
    assert is_coming.wait(10)
    closing = threading.Thread(target=services(app).close)
    closing.start()
    assert services(app).is_closing.wait(10)
    is_closing.set()
    for thread in (coming, closing):
        thread.join()
    monkeypatch.undo()
    assert get(browser_of(make(**folders), "Ada"), f"{SELECT}/state")["filters"] == state["filters"]


def test_what_was_kept_long_ago_is_forgotten_where_nobody_is_put_away(make: Apps, tmp_path: Path) -> None:
    folders = {"annotations_dir": tmp_path / "drafts", "data_dir": tmp_path / "server"}
    app = make(**folders)
    for name in ("Ada", "Bob"):
        act(browser_of(app, name), LEIDEN)
    services(app).close()
    folder = services(app)._absences._folder
    old = services(app)._absences._path("Ada")
    assert len(list(folder.glob("*.json"))) == 2
    os.utime(old, (long_ago := time.time() - KEPT_FOR - 60, long_ago))
    make(**folders)
    assert not old.exists() and len(list(folder.glob("*.json"))) == 1


def test_requests_while_users_are_put_away(make: Apps, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Nobody is put away as long as a draft waits to be written.
    monkeypatch.setattr(drafts, "DELAY", 0.0)
    app = make(annotations_dir=tmp_path / "drafts", data_dir=tmp_path / "server")
    own, ends = services(app), time.monotonic() + 30
    problems: list[str] = []
    acknowledged: dict[str, int] = {}

    def use(name: str) -> None:
        page = Page(app, browser_of(app, name))
        annotation, version, rows = page.create(name), 1, set[int]()
        for number in count():
            if is_enough() or time.monotonic() > ends:
                break
            state = act(page.client, LEIDEN if number % 2 else {"do": "clear"})
            rows ^= {number % 60}
            told = page.client.post(
                "/api/v1/edit/ticks", json={"do": "one", "row": number % 60, "is_on": number % 60 in rows}
            ).get_json()
            if told["ticked"] != len(rows):
                problems.append(f"{told['ticked']} ticks rather than {len(rows)}")
            again = get(page.client, f"{SELECT}/state")
            if again != state:
                problems.append(f"the selection became {again} from {state}")
            if number % 10:
                continue
            page.values["existing-versions.data"] = {annotation: version}
            answer = page.edit("existing-description.value", f"{number}", annotation=annotation)
            version += 1
            if "shell-revision.data" not in answer:
                problems.append(str(answer))
            get(page.client, "/api/v1/status")
            time.sleep(0.2)
        acknowledged[name] = version

    gone: list[str] = []
    names = ("Ada", "Bob", "Cleo", "Dan")

    def is_enough() -> bool:
        return all(gone.count(name) > 4 for name in names)

    def watch() -> None:
        while not is_enough() and time.monotonic() < ends:
            gone.extend(own.put_idle_away(0))
            time.sleep(0.002)

    threads = [threading.Thread(target=use, args=(name,)) for name in names]
    threads += [threading.Thread(target=watch) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert problems == []
    assert is_enough()
    assert min(acknowledged.values()) > 2
    own.close()
    journals = journals_in(tmp_path / "drafts")
    assert sorted(sum(1 for _ in read_events(path)) for path in journals) == sorted(acknowledged.values())


def test_a_server_that_runs(small_file: Path, tmp_path: Path) -> None:
    settings = {
        "ISCAN_USER_HEADER": WHO,
        "ISCAN_IDLE_MINUTES": "0.01",
        "ISCAN_LOG_LEVEL": "info",
        "ISCAN_LOG_FORMAT": "json",
    }
    host = Host(small_file, tmp_path, settings, waitress=True).start()
    try:
        client = PageClient(host.port, {WHO: "Ada"})
        form = {"seq": 1, "name": "organ", "default": "none", "copy_on": True, "metadata": ["tissue"]}
        revision, said = client.edit("new-create.n_clicks", 1, {"new-form": form})
        assert revision == 1, said
        state = client.post(SELECT, LEIDEN)

        def times(event: str) -> int:
            return sum(own["event"] == event and own["user"] == "Ada" for own in host.events())

        for number in range(1, 3):
            end = time.monotonic() + 20
            while times("away") < number and time.monotonic() < end:
                client.get("/api/v1/status")
                time.sleep(0.1)
            assert times("away") == number
            assert client.get(f"{SELECT}/state") == state
            assert times("back") == number
        revision, said = client.edit("shell-undo.n_clicks", 1, {"shell-steps": {"undo": 1, "redo": None}})
        assert revision == 2, said
        client.close()
        assert host.stop() == 0
    finally:
        host.close()
