"""Whatever a browser sends to a callback: an answer, no traceback, and no change that is not told."""

import json
import logging
from collections.abc import Callable
from typing import Any

import pytest
from dash import Dash
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from iscan_dash.services.workspace import Workspace
from tests.web.conftest import services_of
from tests.web.page import Page, said

ODD = [None, 0, 1, -1, 1.5, True, 10**18, "", "x", "\ud800", "a\0b", [], [1], [[]], {}, {"a": 1}, {"verb": ["x"]}]
ODD += [{"verb": verb} for verb in ("restore", "reattach", "leave", "compare", "retry")]
"""What once was not understood in some place."""

VALUES = st.sampled_from(ODD) | st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(st.characters(), max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner, max_size=3),
    max_leaves=5,
)
UNDERSTOOD_NOT = "The request is not understood. Load the page again."


@pytest.fixture(scope="module")
def page(app: Dash) -> Page:
    page = Page(app)
    # The one by which Dash itself changes pages is not ours.
    page.callbacks = [one for one in page.callbacks if "_pages_location" not in str(one["inputs"])]
    return page


@pytest.fixture(scope="module")
def workspace(app: Dash) -> Workspace:
    own: Workspace = services_of(app).workspace
    return own


def control(asked: dict[str, Any], values: Any, annotation: str) -> tuple[Any, str]:
    """Return a control that a callback listens to with an odd value, and its id as Dash writes it."""
    own = asked["id"]
    if not own.startswith("{"):
        return {"id": own, "property": asked["property"], "value": values()}, own
    pattern = json.loads(own)
    wild: dict[str, Any] = {"annotation": annotation, "version": 1, "label": 0, "shown": 50}
    made = {key: given if isinstance(given, str) else wild.get(key, values()) for key, given in pattern.items()}
    text = json.dumps(made, sort_keys=True, separators=(",", ":"))
    return [{"id": made, "property": asked["property"], "value": values()}], text


@given(data=st.data())
@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck), derandomize=True)
def test_odd_values(page: Page, workspace: Workspace, data: st.DataObject, caplog: pytest.LogCaptureFixture) -> None:
    callback = data.draw(st.sampled_from(page.callbacks))
    check_survives(page, workspace, callback, lambda: data.draw(VALUES), caplog)


@pytest.mark.parametrize("odd", ODD, ids=ascii)
def test_odd_values_everywhere(page: Page, workspace: Workspace, odd: Any, caplog: pytest.LogCaptureFixture) -> None:
    for callback in page.callbacks:
        check_survives(page, workspace, callback, lambda: odd, caplog)


def check_survives(
    page: Page,
    workspace: Workspace,
    callback: dict[str, Any],
    values: Callable[[], Any],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """See that a callback that gets odd values answers, logs no traceback, and tells of what it changed."""
    state = next(iter(workspace.annotations()), None)
    own = state.id if state else page.create("mine")
    before = workspace.revision
    inputs = [control(asked, values, own) for asked in callback["inputs"]]
    states = [control(asked, values, own)[0] for asked in callback["state"]]
    for asked, (_, text) in zip(callback["inputs"], inputs, strict=True):
        caplog.clear()
        response = page.send(callback, f"{text}.{asked['property']}", [made for made, _ in inputs], states)
        # Text that is none is refused as a whole.
        assert response.status_code in {200, 204, 400}
        assert [record for record in caplog.records if record.exc_info or record.levelno >= logging.ERROR] == []
        if workspace.revision != before:
            # Something made sense after all, and the page hears of it.
            assert "shell-revision" in response.text
            before = workspace.revision


@pytest.mark.parametrize("typed", [5, {"a": 1}, [], False])
@pytest.mark.parametrize("field", ["name", "default", "description"])
def test_a_field_of_another_kind(page: Page, workspace: Workspace, field: str, typed: Any) -> None:
    own = page.create(f"{field} {typed!a}"[:60].replace("\\", "-"))
    page.values["existing-versions.data"] = {own: 1}
    assert said(page.edit(f"existing-{field}.value", typed, annotation=own)) == UNDERSTOOD_NOT
    assert workspace.annotation(own).version == 1


@pytest.mark.parametrize("text", ["a\0b", "a\u202eb", "a\x1bb", "\ue000"])
def test_a_description_that_reads_otherwise_than_it_is(page: Page, workspace: Workspace, text: str) -> None:
    own = page.create(f"text {text!a}".replace("\\", "-"))
    page.values["existing-versions.data"] = {own: 1}
    answer = page.edit("existing-description.value", text, annotation=own)
    assert said(answer) == "Descriptions cannot contain control characters. Type the description again."
    page.edit("existing-description.value", " two\nlines \U0001f469\u200d\U0001f52c ", annotation=own)
    assert workspace.annotation(own).live.description == "two\nlines \U0001f469\u200d\U0001f52c"


def test_a_label_that_is_not_there(page: Page, workspace: Workspace) -> None:
    own = page.create("labels")
    page.values["existing-versions.data"] = {own: 1}
    answer = page.edit("existing-label-colour.value", "#112233", annotation=own, label=77)
    assert said(answer) == '"labels" does not have this label. Load the page again.'


def test_nothing_is_undone_without_a_click(page: Page, workspace: Workspace) -> None:
    page.create("stays")
    last = workspace.undoable()
    assert last is not None
    page.values["shell-steps.data"] = {"undo": last.seq, "redo": None}
    page.edit("shell-undo.n_clicks", None)
    assert workspace.undoable() == last


def test_choices_of_what_is_not_there(page: Page, workspace: Workspace) -> None:
    before = workspace.study.choices
    assert said(page.edit("data-sample.value", "nonsense")) == 'The study has no column "nonsense".'
    row = {"name": "nonsense", "treat_as": "number", "role": "metadata"}
    answer = page.edit("data-columns.cellValueChanged", [{"data": row}])
    assert said(answer) == 'The study has no column "nonsense".'
    assert said(page.edit("data-kind.value", "counts", matrix="nonsense")) == 'The study has no matrix "nonsense".'
    assert said(page.edit("data-kind.value", "nonsense", matrix="X")) == UNDERSTOOD_NOT
    assert workspace.study.choices == before


def test_a_page_that_is_elsewhere(app: Dash, caplog: pytest.LogCaptureFixture) -> None:
    whole = Page(app)
    (callback,) = (each for each in whole.callbacks if "_pages_content.children" in each["output"])
    answer = whole.ask(callback, "_pages_location", "pathname", "elsewhere").get_json()
    assert answer["sideUpdate"]["shell-toast"]["data"]["text"] == UNDERSTOOD_NOT
    assert caplog.messages == []
