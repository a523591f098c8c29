"""From Enrichment: statistics of groups, and labels made of what is ticked."""

from typing import Any, Literal

from pydantic import BaseModel, Field

from iscan_dash.core.annotations.names import check_name
from iscan_dash.core.words import counted
from iscan_dash.errors import IscanError, NameRefused
from iscan_dash.services.enrichment_labels import GroupChoice, LabelChoice
from iscan_dash.services.workspace import Source
from iscan_dash.web.predictions import labelled_columns
from iscan_dash.web.services import Services

MOST_GROUPS = 100_000

FIELDS = {"E10": "default", "default": "default"}


class By(BaseModel):
    """The column that cells are grouped by."""

    kind: Literal["cluster", "metadata", "annotation"]
    key: str = Field(max_length=10_000)

    @property
    def source(self) -> Source:
        """The same as services take it."""
        return Source(self.kind, self.key)


class ChosenGroup(BaseModel):
    """What was ticked and typed for a group; a group that is None has the cells without a value."""

    group: str | None = Field(max_length=10_000)
    sets: list[str] = Field(default_factory=list, max_length=20_000)
    custom: bool = False
    text: str = Field("", max_length=10_000)


class LabelForm(BaseModel):
    """How labels are to be made."""

    by: By
    groups: list[ChosenGroup] = Field(default_factory=list, max_length=MOST_GROUPS)
    default: str = Field("Unassigned", max_length=10_000)
    join: str = Field(" / ", max_length=1000)
    stamp: str = Field("", max_length=100)
    name: str = Field("", max_length=1000)

    @property
    def choice(self) -> LabelChoice:
        """The same as services take it."""
        groups = tuple(GroupChoice(own.group, tuple(own.sets), own.custom, own.text) for own in self.groups)
        return LabelChoice(self.by.source, groups, self.default, self.join, self.stamp)


def columns(services: Services) -> dict[str, Any]:
    """Return what cells can be grouped by: kind, key, name, and how many groups."""
    workspace = services.workspace
    found = [
        {"kind": kind, "key": own["name"], "name": own["name"], "groups": own["groups"]}
        for kind in ("cluster", "metadata")
        for own in labelled_columns(workspace, kind)
    ]
    for state in (*workspace.annotations(), *workspace.others()):
        name = state.live.name if workspace.is_own(state.id) else f"{state.live.name} of {state.live.owner}"
        found.append({"kind": "annotation", "key": state.id, "name": name, "groups": len(state.column.labels)})
    return {"columns": found}


def table(services: Services, result_id: str, by: By) -> dict[str, Any]:
    """Return the statistics of a result for the groups of a column."""
    grouped = services.enrichments.table(result_id, by.source)
    return {**grouped.to_json(), "name": services.enrichments.entry(result_id).name}


def labels(services: Services, result_id: str, form: LabelForm) -> dict[str, Any]:
    """Return the labels that groups would get, and what is wrong with the form, by field."""
    problems: dict[str, tuple[str, str]] = {}
    found: dict[str, Any] = {"problems": problems, "labels": None}
    try:
        check_name(form.name, services.workspace.taken_names())
    except NameRefused as error:
        problems["name"] = error.code, str(error)
    try:
        found["labels"] = services.enrichments.labels(result_id, form.choice).to_json()
    except NameRefused as error:
        problems["default"] = error.code, str(error)
    except IscanError as error:
        problems["join" if len(form.join) > 16 else "groups"] = "", str(error)
    return found


def create(services: Services, result_id: str, form: LabelForm) -> dict[str, Any]:
    """Make the annotation, and return what is said of it."""
    made = services.enrichments.create(result_id, form.choice, form.name)
    counts = f"{counted(made.n_labels, 'label')}, {counted(made.n_set, 'cell')} set"
    return {"id": made.id, "name": made.live.name, "text": f'"{made.live.name}" was created: {counts}.'}
