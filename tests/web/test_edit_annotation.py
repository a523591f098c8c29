"""Edit Annotation without a browser: what its scripts ask for, and what they may not."""

from pathlib import Path
from typing import Any

import pytest
from dash import Dash

from iscan_dash.core.annotations.combine import CombineRecipe
from iscan_dash.services.workspace import Source, Workspace
from iscan_dash.web import edit_table
from tests.browser.studies import N_CELLS, small_values
from tests.web.conftest import MakeApp, services_of
from tests.web.page import Page

ROWS, TICKS, LABELS = "/api/v1/edit/rows", "/api/v1/edit/ticks", "/api/v1/edit/labels"


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


@pytest.fixture
def own(workspace: Workspace) -> str:
    """An annotation with the labels none 0, gut 1, lung 2, skin 3."""
    return workspace.create_from_existing("mine", [Source("metadata", "tissue")], CombineRecipe("none")).id


def act(page: Page, own: str, version: int = 1, **action: Any) -> dict[str, Any]:
    """Send an edit as the page does, and return what the callback gave."""
    return page.edit("edit-action.data", {"serial": 7, "annotation": own, "version": version, **action})


def post(page: Page, path: str, body: Any) -> Any:
    response = page.client.post(path, json=body)
    return response.status_code, response.get_json()


def tick(page: Page, **change: Any) -> dict[str, Any]:
    """Change ticks as the page does, and return what it is told."""
    status, told = post(page, TICKS, change)
    assert status == 200
    return dict(told)


def texts(workspace: Workspace, own: str) -> list[str]:
    state = workspace.annotation(own)
    return [state.live.by_id[code].text for code in state.codes.tolist()]


def test_rows_and_ticks(page: Page, own: str) -> None:
    key = f"annotation:{own}"
    assert tick(page, do="one", row=3)["ticked"] == 1
    view = {
        "where": {
            key: {"is": "labels", "values": ["gut"], "missing": False, "not": False},
            "metadata:score": {"is": "range", "low": None, "high": 0.5, "missing": False},
            "id": {"is": "text", "text": "CELL"},
        },
        "sort": [["i", True]],
    }
    status, answer = post(page, ROWS, {"view": view, "columns": [key], "start": 0, "end": 3})
    cells = [row for row, tissue in enumerate(small_values("tissue")) if tissue == "gut" and row < N_CELLS / 2]
    assert status == 200
    assert (answer["total"], answer["ticked"]) == (len(cells), 1)
    assert [row["i"] for row in answer["rows"]] == cells[::-1][:3]
    assert answer["rows"][0][key] == "gut"
    assert tick(page, do="all", view=view)["ticked"] == len({3, *cells})
    rest = {3, *cells} - set(cells[::-1][:2])
    assert tick(page, do="between", first=cells[-1], last=cells[-2], is_on=False, view=view)["ticked"] == len(rest)
    assert tick(page, do="clear")["ticked"] == 0


HOSTILE = [
    (ROWS, {"view": {}, "start": -1, "end": 5}),
    (ROWS, {"view": {}, "start": 0, "end": 10**30}),
    (ROWS, {"view": {"where": {"id": {"is": "nonsense"}}}, "start": 0, "end": 5}),
    (ROWS, {"view": {"where": {"id": {"is": "range", "low": "x"}}}, "start": 0, "end": 5}),
    (ROWS, {"view": {"where": {"id": {"is": "text", "text": "x" * 201}}}, "start": 0, "end": 5}),
    (ROWS, {"view": {"where": {str(k): {"is": "text", "text": "x"} for k in range(65)}}, "start": 0, "end": 5}),
    (ROWS, {"view": [], "start": 0, "end": 5}),
    (ROWS, {"view": {}, "columns": ["x"] * 201, "start": 0, "end": 5}),
    (TICKS, {"do": "one", "row": N_CELLS}),
    (TICKS, {"do": "one", "row": -1}),
    (TICKS, {"do": "some"}),
    (TICKS, None),
    ("/api/v1/edit/split", {"annotation": "gone", "label": 1, "column": "metadata:phase"}),
    ("/api/v1/edit/replace", {"annotation": "gone", "find": "x", "substitute": ""}),
]


@pytest.mark.parametrize(("path", "body"), HOSTILE)
def test_requests_that_are_refused(page: Page, own: str, path: str, body: Any) -> None:
    status, answer = post(page, path, body)
    assert status == 400
    assert answer["error"]


def test_requests_from_elsewhere_are_refused(page: Page) -> None:
    response = page.client.post(TICKS, json={"do": "clear"}, headers={"Sec-Fetch-Site": "cross-site"})
    assert response.status_code == 403


def test_numbers_that_are_none_find_nothing_wrong(page: Page) -> None:
    body = '{"view": {"where": {"metadata:score": {"is": "range", "low": NaN}}}, "start": 0, "end": 5}'
    assert page.client.post(ROWS, data=body, content_type="application/json").status_code == 400


def test_labels(page: Page, workspace: Workspace, own: str) -> None:
    answer = page.client.get(f"{LABELS}?annotation={own}").get_json()
    counts = {text: small_values("tissue").count(text) for text in ("gut", "lung", "skin")}
    assert {label["text"]: label["count"] for label in answer["labels"]} == {
        "none": small_values("tissue").count(None),
        **counts,
    }
    assert (answer["version"], answer["own"], answer["n_labels"], answer["twins"]) == (1, True, 4, [])
    workspace.add_label(own, "Gut", 1)
    answer = page.client.get(f"{LABELS}?annotation={own}&q=GU").get_json()
    assert [label["text"] for label in answer["labels"]] == ["gut", "Gut"]
    assert answer["twins"] == [[1, 4]]
    assert page.client.get(f"{LABELS}?annotation=gone").status_code == 400


def test_previews(page: Page, own: str) -> None:
    asked = {"annotation": own, "label": 1, "column": "metadata:phase"}
    status, answer = post(page, "/api/v1/edit/split", asked)
    gut = [
        phase for phase, tissue in zip(small_values("phase"), small_values("tissue"), strict=True) if tissue == "gut"
    ]
    assert status == 200
    assert answer == {
        "version": 1,
        "n_labels": 2,
        "labels": [["gut_G1", gut.count("G1")], ["gut_S, early", gut.count("S, early")]],
        "merged": 0,
        "missing": gut.count(None),
    }
    find = {"annotation": own, "find": "(l|g)u", "substitute": "x", "is_pattern": True}
    assert post(page, "/api/v1/edit/replace", find)[1]["changes"] == [
        ["gut", "xt", small_values("tissue").count("gut")],
        ["lung", "xng", small_values("tissue").count("lung")],
    ]
    assert post(page, "/api/v1/edit/replace", find)[1]["version"] == 1
    find = {"annotation": own, "find": "gut|lung", "substitute": "in", "is_pattern": True}
    assert post(page, "/api/v1/edit/replace", find)[1]["merged"] == 1
    status, answer = post(page, "/api/v1/edit/replace", {**find, "find": "("})
    assert (status, answer["error"].startswith("This is no regular expression")) == (400, True)


def test_a_label_is_split_by_sample(page: Page, workspace: Workspace, own: str) -> None:
    status, answer = post(page, "/api/v1/edit/split", {"annotation": own, "label": 1, "column": "sample:"})
    n_gut = small_values("tissue").count("gut")
    assert (status, answer["labels"], answer["missing"]) == (200, [["gut_small", n_gut]], 0)
    told = act(page, own, do="split", label=1, column="sample:")
    assert told["shell-toast.data"]["text"] == 'Label "gut" split by Sample.'
    assert texts(workspace, own).count("gut_small") == n_gut


def test_a_split_is_previewed_as_it_will_be(page: Page, workspace: Workspace, own: str) -> None:
    """Trimmed, in one Unicode form, merged into labels that exist, and refused where the edit would be."""
    gut = [phase for phase, own in zip(small_values("phase"), small_values("tissue"), strict=True) if own == "gut"]
    workspace.add_label(own, "gut + G1", 1)
    asked = {"annotation": own, "label": 1, "column": "metadata:phase", "delimiter": " + "}
    answer = post(page, "/api/v1/edit/split", asked)[1]
    assert (answer["version"], answer["merged"]) == (2, 1)
    counts = dict(answer["labels"])
    assert counts == {"gut + G1": gut.count("G1"), "gut + S, early": gut.count("S, early")}
    act(page, own, 2, do="split", **{key: asked[key] for key in ("label", "column", "delimiter")})
    made = texts(workspace, own)
    assert {text: made.count(text) for text in counts} == counts
    workspace.rename_label(own, 2, "x" * 127, 3)
    status, answer = post(page, "/api/v1/edit/split", {**asked, "label": 2})
    assert (status, "128" in answer["error"]) == (400, True)


def test_numbers_are_not_taken_for_labels(page: Page, workspace: Workspace, own: str) -> None:
    numbers = '"score" holds numbers and no labels.'
    status, answer = post(page, "/api/v1/edit/split", {"annotation": own, "label": 1, "column": "metadata:score"})
    assert (status, answer["error"].startswith(numbers)) == (400, True)
    told = act(page, own, do="split", label=1, column="metadata:score")
    assert told["shell-toast.data"]["text"].startswith(numbers)
    assert workspace.annotation(own).version == 1
    values = page.client.get("/api/v1/filter/values?kind=metadata&key=score")
    assert (values.status_code, values.get_json()["error"].startswith(numbers)) == (400, True)
    tick(page, do="all")
    for by, label in (("metadata:score", "0.5"), ("metadata:tissue", "brain")):
        assert post(page, "/api/v1/check/trim", {"by": by, "label": label})[0] == 400
    assert services_ticked(page) == N_CELLS


class TestAssign:
    def test_ticked_cells(self, page: Page, workspace: Workspace, own: str) -> None:
        for row in (3, 4, 5):
            seen = tick(page, do="one", row=row)["ticks"]
        told = act(page, own, do="assign", value="new", target="ticked", expected=3, seen=seen)
        assert told["edit-answer.data"] == {"serial": 7, "is_done": True, "version": 2}
        message = told["shell-toast.data"]
        assert message["text"] == '3 cells set to "new" (ticked cells).'
        assert [row for row, text in enumerate(texts(workspace, own)) if text == "new"] == [3, 4, 5]
        # They stay ticked, and the message leads back.
        assert services_ticked(page) == 3
        page.answer(message["actions"][0]["action"])
        assert "new" not in texts(workspace, own)

    def test_the_way_back_is_closed_by_a_newer_edit(self, page: Page, workspace: Workspace, own: str) -> None:
        told = act(page, own, do="assign one", row=1, value="new")
        workspace.describe(own, "newer", 2)
        answer = page.answer(told["shell-toast.data"]["actions"][0]["action"])
        assert answer["shell-toast.data"]["text"].startswith("There are newer edits.")
        assert texts(workspace, own)[1] == "new"

    def test_nothing_is_chosen(self, page: Page, workspace: Workspace, own: str) -> None:
        assign = {"do": "assign", "value": "new", "expected": 0}
        told = act(page, own, target="ticked", seen=tick(page, do="clear")["ticks"], **assign)
        assert told["shell-toast.data"]["text"] == "No cells are chosen, so nothing was changed."
        assert workspace.annotation(own).version == 1
        seen = str(page.client.get("/api/v1/selection/state").get_json()["mask_version"])
        told = act(page, own, target="selection", seen=seen, **assign)
        assert told["shell-toast.data"]["text"] == "No cells are chosen, so nothing was changed."
        assert workspace.annotation(own).version == 1

    def test_others_are_chosen_by_now(self, page: Page, workspace: Workspace, own: str) -> None:
        seen = tick(page, do="one", row=3)["ticks"]
        told = act(page, own, do="assign", value="new", target="ticked", expected=2, seen=seen)
        assert "By now 1 cell is chosen, not 2" in told["shell-toast.data"]["text"]
        assert told["edit-answer.data"]["is_done"] is False
        assert workspace.annotation(own).version == 1

    def test_as_many_others_are_chosen_by_now(self, page: Page, app: Dash, workspace: Workspace, own: str) -> None:
        seen = tick(page, do="one", row=3)["ticks"]
        # In another browser, which this page hears of with the server's state.
        other = Page(app)
        tick(other, do="clear")
        tick(other, do="one", row=4)
        told = act(page, own, do="assign", value="new", target="ticked", expected=1, seen=seen)
        assert told["shell-toast.data"]["text"].startswith("By now 1 other cell is chosen")
        assert workspace.annotation(own).version == 1
        seen = page.client.get("/api/v1/status").get_json()["ticks"]
        act(page, own, do="assign", value="new", target="ticked", expected=1, seen=seen)
        assert [row for row, text in enumerate(texts(workspace, own)) if text == "new"] == [4]

    def test_as_many_others_are_filtered_or_selected_by_now(self, page: Page, workspace: Workspace, own: str) -> None:
        tick(page, do="one", row=3)
        view = {"only_ticked": True}
        seen = post(page, ROWS, {"view": view, "start": 0, "end": 9})[1]["filtered"]
        tick(page, do="clear")
        tick(page, do="one", row=4)
        told = act(page, own, do="assign", value="new", target="filtered", expected=1, seen=seen, view=view)
        assert told["shell-toast.data"]["text"].startswith("By now 1 other cell is chosen")
        versions = []
        for cell in ("cell3", "cell4"):
            condition = {"is": "cells", "text": cell}
            state = page.client.post("/api/v1/selection", json={"do": "filter", "id": "f1", "condition": condition})
            versions.append(str(state.get_json()["mask_version"]))
        assign = {"do": "assign", "value": "new", "target": "selection", "expected": 1}
        told = act(page, own, seen=versions[0], **assign)
        assert told["shell-toast.data"]["text"].startswith("By now 1 other cell is chosen")
        assert workspace.annotation(own).version == 1
        act(page, own, seen=versions[1], **assign)
        assert [row for row, text in enumerate(texts(workspace, own)) if text == "new"] == [4]

    def test_the_page_shows_an_old_version(self, page: Page, workspace: Workspace, own: str) -> None:
        workspace.describe(own, "newer", 1)
        told = act(page, own, do="assign one", row=1, value="new")
        assert "saved a newer version" in told["shell-toast.data"]["text"]
        assert [action["text"] for action in told["shell-toast.data"]["actions"]] == ["Reload", "Review"]
        assert "new" not in texts(workspace, own)

    def test_one_cell(self, page: Page, workspace: Workspace, own: str) -> None:
        act(page, own, do="assign one", row=9, value=" NK ")
        assert texts(workspace, own)[9] == "NK"
        for row in (N_CELLS, 2**50):
            told = act(page, own, 2, do="assign one", row=row, value="x")
            assert told["shell-toast.data"]["text"] == "This study has no such cell. Load the page again."

    def test_a_new_label_that_tools_misread(self, page: Page, own: str) -> None:
        told = act(page, own, do="assign one", row=5, value="NA ")["shell-toast.data"]
        assert told["text"] == '1 cell set to "NA". Spaces at the ends were removed. Many tools read "NA" as missing.'
        assert [action["text"] for action in told["actions"]] == ["Undo"]
        # Whoever gives it to more cells knows.
        told = act(page, own, 2, do="assign one", row=6, value="NA")["shell-toast.data"]
        assert told["text"] == '1 cell set to "NA".'

    def test_an_edit_that_is_sent_again_is_made_once(self, page: Page, workspace: Workspace, own: str) -> None:
        edit = {"serial": 1, "annotation": own, "version": 1, "do": "assign one", "row": 1, "value": "new"}
        answers = [page.edit("edit-action.data", edit, "same") for _ in range(2)]
        assert answers[0] == answers[1]
        assert workspace.annotation(own).version == 2


def services_ticked(page: Page) -> int:
    answer = post(page, ROWS, {"view": {}, "start": 0, "end": 1})[1]
    return int(answer["ticked"])


class TestLabels:
    def test_a_text_that_another_label_has_is_a_question(self, page: Page, workspace: Workspace, own: str) -> None:
        told = act(page, own, do="rename", label=1, text=" lung ")
        count = small_values("tissue").count("lung")
        assert told["edit-answer.data"] == {
            "serial": 7,
            "is_done": False,
            "question": {"label": 2, "text": "lung", "count": count},
        }
        assert "shell-toast.data" not in told
        act(page, own, do="merge", sources=[1], into=2)
        assert texts(workspace, own).count("lung") == count + small_values("tissue").count("gut")

    @pytest.mark.parametrize(
        ("edit", "sentence"),
        [
            ({"do": "add", "text": "NK"}, 'Label "NK" added.'),
            ({"do": "rename", "label": 1, "text": "bowel"}, 'Label "gut" renamed to "bowel".'),
            ({"do": "recolour", "label": 1, "colour": "#123456"}, 'Colour of "gut" changed.'),
            ({"do": "merge", "sources": [1], "into": 2}, '"gut" merged into "lung".'),
            ({"do": "delete", "label": 3}, 'Label "skin" deleted, 17 cells set to "none".'),
            ({"do": "split", "label": 1, "column": "cluster:leiden"}, 'Label "gut" split by leiden.'),
            ({"do": "replace", "find": "u", "substitute": "U"}, '"u" replaced by "U" in 2 labels.'),
            ({"do": "detail", "label": 1, "ontology": "UBERON:0000160"}, 'Label "gut" described.'),
        ],
    )
    def test_an_edit(self, page: Page, workspace: Workspace, own: str, edit: dict[str, Any], sentence: str) -> None:
        before = workspace.annotation(own)
        told = act(page, own, **edit)
        assert told["shell-toast.data"]["text"] == sentence
        page.answer(told["shell-toast.data"]["actions"][0]["action"])
        after = workspace.annotation(own)
        assert (after.header, after.codes.tolist()) == (before.header, before.codes.tolist())

    @pytest.mark.parametrize(
        "edit",
        [
            {"do": "delete", "label": 0},
            {"do": "delete", "label": 99},
            {"do": "merge", "sources": [0], "into": 1},
            {"do": "recolour", "label": 1, "colour": "red"},
            {"do": "split", "label": 1, "column": "nonsense:x"},
            {"do": "split", "label": 1, "column": "annotation:gone"},
            {"do": "replace", "find": "(", "substitute": "", "is_pattern": True},
            {"do": "add", "text": " "},
        ],
    )
    def test_what_is_refused_changes_nothing(self, page: Page, workspace: Workspace, own: str, edit: Any) -> None:
        told = act(page, own, **edit)
        assert told["shell-toast.data"]["kind"] == "danger"
        assert told["edit-answer.data"]["is_done"] is False
        assert workspace.annotation(own).version == 1

    @pytest.mark.parametrize("edit", [{"do": "format"}, {"do": "add"}, {}, {"do": "add", "text": "x" * 5000}])
    def test_what_is_no_edit(self, page: Page, workspace: Workspace, own: str, edit: Any) -> None:
        told = act(page, own, **edit)
        assert told["shell-toast.data"]["text"] == "The request is not understood. Load the page again."
        # The script waits for it.
        assert (told["edit-answer.data"]["serial"], told["edit-answer.data"]["is_done"]) == (7, False)
        assert workspace.annotation(own).version == 1

    def test_an_edit_that_fails_is_answered_too(self, page: Page, own: str, monkeypatch: pytest.MonkeyPatch) -> None:
        def fail(*_: Any) -> None:
            raise RuntimeError("a bug")

        monkeypatch.setattr(edit_table, "perform", fail)
        monkeypatch.setattr("iscan_dash.web.app.log.error", lambda *_, **__: None)
        told = act(page, own, do="add", text="x")
        assert (told["edit-answer.data"]["serial"], told["edit-answer.data"]["is_done"]) == (7, False)
        assert "Something went wrong" in told["shell-toast.data"]["text"]

    def test_many_genes_at_once_are_refused_in_words(self, page: Page, own: str) -> None:
        told = act(page, own, do="detail", label=1, markers=[f"gene{k}" for k in range(1500)])
        assert told["shell-toast.data"]["text"] == "1500 genes are too many; the limit is 200."

    def test_many_values_of_a_filter(self, page: Page, own: str) -> None:
        where = {"metadata:tissue": {"is": "labels", "values": ["gut", *(f"v{k}" for k in range(9_999))]}}
        for row in (3, 4):
            seen = tick(page, do="one", row=row)["ticks"]
        view = {"where": where}
        told = act(page, own, do="assign", value="x", target="ticked", expected=2, seen=seen, view=view)
        assert told["edit-answer.data"]["is_done"] is True

    def test_others_labels(self, make_app: MakeApp, small_file: Path) -> None:
        app = make_app(small_file)
        ada, bob = Page(app), Page(app)
        own = ada.create("mine")
        assert bob.client.get(f"{LABELS}?annotation={own}").get_json()["own"] is False
        told = act(bob, own, do="add", text="x")
        assert "belongs to" in told["shell-toast.data"]["text"]


def test_what_the_page_is_built_of(page: Page, workspace: Workspace, own: str) -> None:
    (follow,) = (one for one in page.callbacks if "edit-state.data" in one["output"])
    state = page.ask(follow, "shell-revision", "data", 1).get_json()["response"]["edit-state"]["data"]
    assert state["cells"] == N_CELLS
    assert [(one["id"], one["name"], one["own"], one["version"]) for one in state["annotations"]] == [
        (own, "mine", True, 1)
    ]
    kinds = {column["key"]: column["kind"] for column in state["columns"]}
    assert kinds["cluster:leiden"] == "category"
    assert kinds["metadata:score"] == "number"
