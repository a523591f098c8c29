"""Forms of the page, checked before anything else sees them."""

from typing import Literal

from pydantic import BaseModel, Field

from iscan_dash.core.annotations.combine import DELIMITER_LENGTH, CombineRecipe, MissingParts
from iscan_dash.core.study.matrices import MatrixKind
from iscan_dash.services.workspace import Source

DETECTED: Literal["detected"] = "detected"
"""Choice of a matrix's kind that leaves it as detected."""


class Click(BaseModel):
    """A click on a button of an annotation, such as Delete."""

    type: str
    annotation: str
    value: int


class VersionClick(Click):
    """A click on a button of one version of an annotation."""

    version: int


class OlderClick(Click):
    """A click on the button that shows more versions than so many."""

    shown: int


class BackupClick(BaseModel):
    """A click on the Restore button of a backup."""

    name: str
    value: int


class FieldEdit(BaseModel):
    """What was typed into a field of an annotation."""

    type: Literal["existing-name", "existing-default", "existing-description"]
    annotation: str
    value: str


class Recolour(BaseModel):
    """A colour that was chosen for a label."""

    annotation: str
    label: int
    value: str


class RevertTarget(BaseModel):
    """What the dialog before a revert shows: a version, and the one that it was compared with."""

    annotation: str
    version: int
    base_version: int


class Compare(BaseModel):
    """A message's button that shows what changed since a version."""

    annotation: str
    version: int


class PlotStart(BaseModel):
    """What a plot shows when it is made."""

    axes: str = Field("", max_length=1000)
    by: str = Field("", max_length=1000)


class Retry(BaseModel):
    """A message's button that makes a refused edit again, on top of the version that came between."""

    field: FieldEdit
    version: int


class Answer(BaseModel):
    """Another button of a message."""

    verb: Literal["restore", "reattach", "leave", "undo"]
    annotation: str = ""
    fingerprint: str = ""
    seq: int = 0


class Steps(BaseModel):
    """Numbers of the events that the buttons for undo and redo show; None for a button that is off."""

    undo: int | None = None
    redo: int | None = None


class Loaded(BaseModel):
    """What became of an upload: a table, or a sentence that says why there is none."""

    token: str = ""
    error: str = ""


class ColumnValue(BaseModel):
    """What a control of a column of an uploaded table holds."""

    id: dict[str, str]
    value: bool | str | None = None


class ImportForm(BaseModel):
    """What is to be imported of an uploaded table: the controls of its columns."""

    on: list[ColumnValue]
    names: list[ColumnValue]
    actions: list[ColumnValue]
    seen: dict[str, tuple[str, int]] = Field(default_factory=dict)


class KindChoice(BaseModel):
    """What kind of values a matrix is said to hold."""

    matrix: str
    value: MatrixKind | Literal["detected"]


class ColumnChoice(BaseModel):
    """A metadata column and how it is to be used."""

    name: str
    treat_as: str
    role: str


class CopyForm(BaseModel):
    """The form of an annotation made from existing data."""

    name: str = Field("", max_length=1000)
    default: str = Field("", max_length=1000)
    copy_on: bool = False
    metadata: list[str] = Field(default_factory=list, max_length=16)
    cluster: list[str] = Field(default_factory=list, max_length=16)
    annotation: list[str] = Field(default_factory=list, max_length=16)
    delimiter: str = Field("_", max_length=DELIMITER_LENGTH)
    missing: MissingParts = MissingParts.DEFAULT_PART
    filtered: bool = False
    selection: int | None = None

    @property
    def sources(self) -> list[Source]:
        """The sources in the order of the parts: metadata, clusters, annotations, each in picking order."""
        if not self.copy_on:
            return []
        kinds = (("metadata", self.metadata), ("cluster", self.cluster), ("annotation", self.annotation))
        return [Source(kind, key) for kind, keys in kinds for key in keys]

    @property
    def recipe(self) -> CombineRecipe:
        """How the sources are combined."""
        return CombineRecipe(self.default, self.delimiter, self.missing)
