"""Edits as the page makes them: requests to the address at which Dash's callbacks answer."""

import http.client
import json
from collections.abc import Mapping
from typing import Any

HEADERS = {"Content-Type": "application/json", "Sec-Fetch-Site": "same-origin"}


class PageClient:
    """Speaks to one server over one connection.

    Parameters
    ----------
    port
        Where the server listens.
    headers
        Sent with every request.
    """

    def __init__(self, port: int, headers: Mapping[str, str] | None = None) -> None:
        self._headers = dict(headers or {})
        self.told: dict[str, Any] = {}
        """What the stores of the page have by the last edit."""
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        self._callbacks: list[dict[str, Any]] = self.get("/_dash-dependencies")

    def get(self, path: str) -> Any:
        """Fetch an address and read its JSON."""
        self._connection.request("GET", path, headers=self._headers)
        return self._answer()

    def post(self, path: str, value: Any) -> Any:
        """Send JSON to an address and read what it answers."""
        self._connection.request("POST", path, json.dumps(value), HEADERS | self._headers)
        return self._answer()

    def edit(
        self, control: str, value: Any, states: dict[str, Any], **wildcards: Any
    ) -> tuple[int | None, dict[str, Any]]:
        """Change a value on the page as a user does.

        Parameters
        ----------
        control
            The control, ``"type.property"`` for one of many, ``"id.property"`` for one alone.
        value
            Its new value.
        states
            What the page holds, by id.
        wildcards
            Which of many controls it is.

        Returns
        -------
        revision : int or None
            The new revision, None when nothing was edited.
        message : dict
            What the page says; see `toast.message`.
        """
        name, _, prop = control.rpartition(".")
        changed = {**wildcards, "type": name} if wildcards else name
        callback = self._callback(changed, prop)
        inputs: list[Any] = []
        for asked in callback["inputs"]:
            pattern = _id(asked["id"])
            is_it = _kind(pattern) == name and asked["property"] == prop
            if isinstance(pattern, dict):
                inputs.append([{"id": changed, "property": prop, "value": value}] if is_it else [])
            else:
                inputs.append({"id": pattern, "property": asked["property"], "value": value if is_it else None})
        text = json.dumps(changed, sort_keys=True, separators=(",", ":")) if wildcards else name
        outputs = [output.rpartition(".") for output in callback["output"].strip(".").split("...")]
        body = {
            "output": callback["output"],
            "outputs": [{"id": own, "property": its_prop} for own, _, its_prop in outputs],
            "changedPropIds": [f"{text}.{prop}"],
            "inputs": inputs,
            "state": [{**asked, "value": states[asked["id"]]} for asked in callback["state"]],
        }
        self._connection.request("POST", "/_dash-update-component", json.dumps(body), HEADERS | self._headers)
        answer = self._answer() or {"response": {}}
        told = {key: values["data"] for key, values in answer["response"].items() if "data" in values}
        self.told = told
        return told.get("shell-revision"), told.get("shell-toast", {})

    def _callback(self, changed: Any, prop: str) -> dict[str, Any]:
        (found,) = (
            callback
            for callback in self._callbacks
            if "shell-revision" in callback["output"]
            and any(
                _kind(_id(asked["id"])) == _kind(changed) and asked["property"] == prop for asked in callback["inputs"]
            )
        )
        return found

    def read(self, path: str) -> bytes:
        """Fetch an address as it is."""
        self._connection.request("GET", path, headers=self._headers)
        return self._body()

    def _answer(self) -> Any:
        body = self._body()
        return json.loads(body) if body else None

    def _body(self) -> bytes:
        response = self._connection.getresponse()
        body = response.read()
        assert response.status in {200, 204}, body
        return body

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


def _id(text: str) -> Any:
    return json.loads(text) if text.startswith("{") else text


def _kind(control: Any) -> str:
    kind: str = control["type"] if isinstance(control, dict) else control
    return kind
