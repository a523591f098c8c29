"""The page without a browser: callbacks are asked as Dash's script asks them."""

import json
from collections.abc import Mapping
from typing import Any

from dash import Dash
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.web.conftest import visitor


class Page:
    """A page that somebody opened.

    Parameters
    ----------
    app
        The application.
    client
        The browser; a new one when None.
    """

    def __init__(self, app: Dash, client: FlaskClient | None = None) -> None:
        self.client = client or visitor(app)
        self.callbacks: list[dict[str, Any]] = [
            callback
            for callback in self.client.get("/_dash-dependencies").get_json()
            if not callback["clientside_function"]
        ]
        self.values: dict[str, Any] = {}

    def edit(self, control: str, value: Any, request_id: str = "", **wildcards: Any) -> dict[str, Any]:
        """Change a value and ask the callback that edits; return what it gave, by ``"id.property"``.

        Values of other controls are those of `values`, None when they are not there.
        """
        name, _, prop = control.rpartition(".")
        changed: Any = {**wildcards, "type": name} if wildcards else name
        found = [
            callback
            for callback in self.callbacks
            if "shell-revision.data" in callback["output"]
            and any(_kind(asked["id"]) == name and asked["property"] == prop for asked in callback["inputs"])
        ]
        response = self.ask(found[0], changed, prop, value, request_id)
        assert response.status_code in {200, 204}, response.text
        return _flat(response)

    def ask(
        self, callback: Mapping[str, Any], changed: Any, prop: str, value: Any, request_id: str = ""
    ) -> TestResponse:
        """Ask one callback, one of whose controls changed to a value."""

        def given(asked: Mapping[str, Any]) -> Any:
            own = asked["id"]
            is_it = _kind(own) == (changed["type"] if isinstance(changed, dict) else changed)
            is_it = is_it and asked["property"] == prop
            if own.startswith("{"):
                return [{"id": changed, "property": prop, "value": value}] if is_it else []
            known = value if is_it else self.values.get(f"{own}.{asked['property']}")
            return {"id": own, "property": asked["property"], "value": known}

        text = json.dumps(changed, sort_keys=True, separators=(",", ":")) if isinstance(changed, dict) else changed
        return self.send(
            callback,
            f"{text}.{prop}",
            [given(asked) for asked in callback["inputs"]],
            [given(asked) for asked in callback["state"]],
            request_id,
        )

    def send(
        self, callback: Mapping[str, Any], changed: str, inputs: list[Any], state: list[Any], request_id: str = ""
    ) -> TestResponse:
        """Send what a callback is to be called with."""
        output = callback["output"]
        names = [part.rpartition(".") for part in output.strip(".").split("...")]
        outputs = [{"id": _id(own, changed), "property": prop} for own, _, prop in names]
        body = {
            "output": output,
            "outputs": outputs if output.startswith("..") else outputs[0],
            "changedPropIds": [changed],
            "inputs": inputs,
            "state": state,
        }
        headers = {"X-Request-Id": request_id} if request_id else {}
        return self.client.post("/_dash-update-component", json=body, headers=headers)

    def answer(self, action: Mapping[str, Any]) -> dict[str, Any]:
        """Click a button of a message; return what the callbacks that hear of it gave."""
        told: dict[str, Any] = {}
        store = "shell-toast-retry" if action["verb"] == "retry" else "shell-toast-action"
        for callback in self.callbacks:
            if [asked["id"] for asked in callback["inputs"]] == [store]:
                told |= _flat(self.ask(callback, store, "data", action))
        return told

    def create(self, name: str) -> str:
        """Make an empty annotation and return its id."""
        self.values["new-form.data"] = {"seq": 1, "name": name, "default": "none"}
        made = self.edit("new-create.n_clicks", 1)
        address: str = made["shell-toast.data"]["actions"][1]["href"]
        return address.partition("open=")[2]


def said(answer: Mapping[str, Any]) -> str:
    """Return the sentence of the message that an edit was answered with."""
    text: str = answer["shell-toast.data"]["text"]
    return text


def _flat(response: TestResponse) -> dict[str, Any]:
    answer = response.get_json(silent=True) or {}
    told = {
        f"{own}.{prop}": value for own, props in answer.get("response", {}).items() for prop, value in props.items()
    }
    side = answer.get("sideUpdate") or {}
    return told | {f"{own}.{prop}": value for own, props in side.items() for prop, value in props.items()}


def _kind(own: str) -> str:
    return str(json.loads(own)["type"]) if own.startswith("{") else own


def _id(own: str, changed: str) -> Any:
    """Return the id of an output; what it takes from the control that changed is filled in."""
    if not own.startswith("{"):
        return own
    by = json.loads(changed.rpartition(".")[0])
    return {key: by[key] if part == ["MATCH"] else part for key, part in json.loads(own).items()}
