"""Edits of the page: none is made twice, and none on a version that the page did not show."""

from pathlib import Path
from typing import Any

import pytest
from dash import Dash

from iscan_dash.core.annotations.combine import CombineRecipe
from iscan_dash.services.workspace import Workspace
from tests.web.conftest import MakeApp, services_of
from tests.web.page import Page, said

NEWER = "There are newer edits. Use the history or the list of deleted annotations instead."


@pytest.fixture
def app(make_app: MakeApp, small_file: Path) -> Dash:
    return make_app(small_file, single_user=True)


@pytest.fixture
def page(app: Dash) -> Page:
    return Page(app)


@pytest.fixture
def workspace(app: Dash) -> Workspace:
    own: Workspace = services_of(app).workspace
    return own


def names(workspace: Workspace) -> list[str]:
    return [state.live.name for state in workspace.annotations()]


def show(page: Page, workspace: Workspace) -> None:
    """Let the page show what there is now."""
    undoable, redoable = workspace.undoable(), workspace.redoable()
    page.values["shell-steps.data"] = {
        "undo": undoable.seq if undoable else None,
        "redo": redoable.seq if redoable else None,
    }
    page.values["existing-versions.data"] = {state.id: state.version for state in workspace.annotations()}


class TestSentAgain:
    """No answer came, so the page sends the request once more."""

    def test_undo_and_redo(self, page: Page, workspace: Workspace) -> None:
        page.create("first")
        page.create("second")
        show(page, workspace)
        answers = [page.edit("shell-undo.n_clicks", 1, request_id="a") for _ in range(2)]
        assert names(workspace) == ["first"]
        assert answers[0] == answers[1]
        show(page, workspace)
        answers = [page.edit("shell-redo.n_clicks", 1, request_id="b") for _ in range(2)]
        assert names(workspace) == ["second", "first"]
        assert answers[0] == answers[1]

    def test_duplicate(self, page: Page, workspace: Workspace) -> None:
        own = page.create("first")
        answers = [page.edit("existing-duplicate.n_clicks", 1, "c", annotation=own) for _ in range(2)]
        assert names(workspace) == ["first (copy)", "first"]
        assert answers[0] == answers[1]
        # Another request is another copy.
        page.edit("existing-duplicate.n_clicks", 2, "d", annotation=own)
        assert len(names(workspace)) == 3

    def test_to_a_server_that_was_restarted(self, page: Page, workspace: Workspace) -> None:
        page.create("first")
        page.create("second")
        show(page, workspace)
        page.edit("shell-undo.n_clicks", 1, "one")
        assert said(page.edit("shell-undo.n_clicks", 1, "unknown to this server")) == NEWER
        assert names(workspace) == ["first"]

    def test_ids_of_other_users_are_theirs(self, make_app: MakeApp, small_file: Path) -> None:
        app = make_app(small_file)
        ada, bob = Page(app), Page(app)
        for page in (ada, bob):
            page.values["new-form.data"] = {"seq": 1, "name": "mine", "default": "none"}
            assert "was created" in said(page.edit("new-create.n_clicks", 1, "same"))
            assert page.client.get("/api/v1/status").get_json()["needs_name"] is False


class TestAnotherTabWasFirst:
    def test_undo_and_redo(self, page: Page, workspace: Workspace) -> None:
        page.create("first")
        show(page, workspace)
        page.create("second")
        assert said(page.edit("shell-undo.n_clicks", 1)) == NEWER
        assert names(workspace) == ["second", "first"]
        workspace.undo()
        show(page, workspace)
        workspace.undo()
        assert said(page.edit("shell-redo.n_clicks", 1)) == NEWER
        assert names(workspace) == []

    @pytest.mark.parametrize(
        ("control", "value"),
        [("existing-delete.n_clicks", 1), ("existing-name.value", "x"), ("existing-description.value", "x")],
    )
    def test_what_is_shown_is_outdated(self, page: Page, workspace: Workspace, control: str, value: Any) -> None:
        own = page.create("first")
        show(page, workspace)
        workspace.describe(own, "newer", 1)
        answer = page.edit(control, value, annotation=own)
        assert said(answer).startswith("local saved a newer version (2")
        assert said(answer).endswith(" UTC). Reload or review the differences.")
        verbs = [action["action"]["verb"] for action in answer["shell-toast.data"]["actions"]]
        assert verbs[:2] == ["reload", "compare"]
        assert workspace.annotation(own).version == 2

    def test_a_refused_text_need_not_be_typed_again(self, page: Page, workspace: Workspace) -> None:
        own = page.create("first")
        show(page, workspace)
        workspace.describe(own, "newer", 1)
        answer = page.edit("existing-description.value", "a long text", annotation=own)
        retry = answer["shell-toast.data"]["actions"][-1]
        assert (retry["text"], retry["action"]["verb"]) == ("Keep mine", "retry")
        page.answer(retry["action"])
        assert workspace.annotation(own).live.description == "a long text"
        # It was made on the version that came between, and on no later one.
        page.answer({**retry["action"], "field": {**retry["action"]["field"], "value": "y"}})
        assert workspace.annotation(own).live.description == "a long text"

    def test_the_question_before_a_revert_is_outdated(self, page: Page, workspace: Workspace) -> None:
        own = page.create("first")
        workspace.describe(own, "one", 1)
        page.values["existing-revert-target.data"] = {"annotation": own, "version": 1, "base_version": 2}
        workspace.describe(own, "two", 2)
        assert "saved a newer version" in said(page.edit("existing-revert-confirm.n_clicks", 1))
        assert workspace.annotation(own).live.description == "two"
        page.values["existing-revert-target.data"]["base_version"] = 3
        assert said(page.edit("existing-revert-confirm.n_clicks", 1)) == '"first" is at version 1 again.'

    def test_an_annotation_that_a_table_replaces(self, page: Page, workspace: Workspace) -> None:
        own = page.create("first")
        ids = [cell.decode() for cell in workspace.study.cell_ids.tolist()]
        text = "index,first\n" + "".join(f"{cell},T\n" for cell in dict.fromkeys(ids))
        loaded = page.client.post("/api/v1/import?name=a.csv", data=text.encode()).get_json()
        (show_report,) = (one for one in page.callbacks if "import-report.children" in one["output"])
        seen = page.ask(show_report, "import-loaded", "data", loaded).get_json()["response"]["import-seen"]["data"]
        assert seen == {"first": [own, 1]}
        workspace.describe(own, "newer", 1)
        make = next(one for one in page.callbacks if [asked["id"] for asked in one["inputs"]] == ["import-run"])

        def column(control: str, value: Any) -> list[dict[str, Any]]:
            return [{"id": {"type": f"import-{control}", "column": "first"}, "property": "value", "value": value}]

        def run() -> str:
            inputs = [{"id": "import-run", "property": "n_clicks", "value": 1}]
            plain = {"import-loaded": loaded, "import-seen": seen, "import-default": "none"}
            state: list[Any] = [{**asked, "value": plain.get(asked["id"])} for asked in make["state"][:-3]]
            state += [column("on", True), column("name", "first (2)"), column("action", "replace")]
            answer = page.send(make, "import-run.n_clicks", inputs, state).get_json()
            return str(answer["response"]["shell-toast"]["data"]["text"])

        assert "saved a newer version" in run()
        assert workspace.annotation(own).version == 2
        seen["first"][1] = 2
        assert run() == '"first" was imported from a.csv.'

    def test_a_backup(self, page: Page, workspace: Workspace) -> None:
        own = page.create("first")
        while workspace.save_status.state != "saved":
            pass
        workspace.describe(own, "", 1)
        workspace.rename_label(own, 0, "other", 1)
        while not workspace.backups():
            workspace.watch_draft()
        name = workspace.backups()[0].name
        show(page, workspace)
        workspace.describe(own, "newer", 2)
        button = name.replace(".", "|")
        assert "saved a newer version" in said(page.edit("existing-backup.n_clicks", 1, name=button))
        assert workspace.annotation(own).version == 3
        show(page, workspace)
        assert (
            said(page.edit("existing-backup.n_clicks", 1, name=button))
            == '"first": as in the backup. Undo takes it back.'
        )


def test_a_field_that_the_page_does_not_know_says_so(page: Page, workspace: Workspace) -> None:
    own = workspace.create_from_existing("first", [], CombineRecipe("none")).id
    page.values["existing-versions.data"] = {}
    # What holds was written by the page itself.
    assert "shell-toast.data" not in page.edit("existing-name.value", "first", annotation=own)
    unknown = "This page does not know the annotation as yours yet. Load the page again to edit it."
    assert said(page.edit("existing-name.value", "other", annotation=own)) == unknown
    assert names(workspace) == ["first"]


def test_the_buttons_of_messages(page: Page, workspace: Workspace) -> None:
    own = page.create("first")
    show(page, workspace)
    (undo,) = page.edit("existing-delete.n_clicks", 1, annotation=own)["shell-toast.data"]["actions"]
    assert names(workspace) == []
    assert said(page.answer(undo["action"])) == '"first" is back.'
    assert names(workspace) == ["first"]


def test_no_callback_takes_the_place_of_another(app: Dash, page: Page) -> None:
    outputs = [callback["output"] for callback in app.server.test_client().get("/_dash-dependencies").get_json()]
    assert len(outputs) == len(set(outputs))
