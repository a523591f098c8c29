"""The manifest of a reference, ``reference.json``: what it is, where it comes from, and how its matrix is read."""

import json
import re
from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from iscan_dash.errors import PredictionRefused

MANIFEST = "reference.json"
"""File name of the manifest in the folder of a reference."""

MATRIX = "reference.h5ad"
"""File name of the matrix, unless the manifest has another."""

SLUG = re.compile(r"[a-z0-9_]{1,64}")
"""What the id of a reference looks like."""

LARGEST = 4 * 2**20
"""Bytes of the largest manifest that is read."""

MOST_TEXT = 10_000
"""Characters of the longest text in a manifest."""


def _one_line(text: str) -> str:
    # The texts are shown in terminals, too, where control characters are commands.
    line = " ".join(text.split())
    if not line.isprintable():
        raise ValueError("it has control characters")
    return line


def _slug(text: str) -> str:
    if not SLUG.fullmatch(text):
        raise ValueError("an id has 1 to 64 small letters, digits and _")
    return text


def _plain_file(name: str) -> str:
    if not re.fullmatch(r"[\w][\w .+-]*\.h5ad", name):
        raise ValueError("it must be the name of an .h5ad file in the same folder")
    return name


Text = Annotated[str, Field(max_length=MOST_TEXT), AfterValidator(_one_line)]
Slug = Annotated[str, Field(max_length=64), AfterValidator(_slug)]
Count = Annotated[int, Field(ge=1, le=10**9, strict=True)]


class LabelColumns(BaseModel):
    """The columns of ``obs`` that hold the labels."""

    model_config = ConfigDict(frozen=True)

    main: Text | None = None
    """Coarse labels."""

    fine: Text | None = None
    """Detailed labels."""

    ontology: Text | None = None
    """Terms of the Cell Ontology for the detailed labels, where the profiles have them in a column."""


class LabelCounts(BaseModel):
    """How many labels there are."""

    model_config = ConfigDict(frozen=True)

    main: Count | None = None
    fine: Count | None = None


class LabelTerms(BaseModel):
    """The term of the Cell Ontology of each label, where it has one."""

    model_config = ConfigDict(frozen=True)

    main: dict[Text, Text] = Field(default_factory=dict)
    fine: dict[Text, Text] = Field(default_factory=dict)


class CelldexSource(BaseModel):
    """Where the celldex package finds a reference."""

    model_config = ConfigDict(frozen=True)

    name: Slug
    version: Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]{1,32}$")]


class Manifest(BaseModel):
    """What is known of a reference. All texts are plain text, on one line.

    Examples
    --------
    >>> manifest = Manifest(id="gut", name="Our  gut", organism="human", labels=LabelColumns(main="label_main"))
    >>> manifest.name, manifest.granularities
    ('Our gut', ('main',))
    """

    model_config = ConfigDict(frozen=True)

    id: Slug
    """Tells references apart; the name of the folder."""

    name: Annotated[Text, Field(min_length=1, max_length=200)]
    """What people read."""

    organism: Literal["human", "mouse", "unknown"]
    """Whose cells the profiles are of."""

    labels: LabelColumns
    """The columns of labels: main, fine or both."""

    version: Text = ""
    """Changes with the matrix."""

    description: Text = ""
    """What else to know."""

    source: Text = ""
    """Where the data come from."""

    citation: Text = ""
    """What to cite."""

    licence: Text = ""
    """Under which terms the data may be used."""

    celldex: CelldexSource | None = None
    """Where the celldex package finds it, for those that are installed with it."""

    matrix: Annotated[str, Field(max_length=255), AfterValidator(_plain_file)] = MATRIX
    """Name of the file with the profiles, in the same folder."""

    checksum: Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$")] | None = None
    """SHA-256 of that file; None while a reference is not installed."""

    n_profiles: Count | None = None
    """How many profiles there are."""

    n_genes: Count | None = None
    """How many genes they have."""

    n_labels: LabelCounts = LabelCounts()
    """How many labels they have."""

    gene_ids: Text = ""
    """``symbol`` or ``ensembl``."""

    values: Text = ""
    """How the values were made."""

    ontology: LabelTerms = LabelTerms()
    """Terms of the Cell Ontology."""

    @property
    def granularities(self) -> tuple[str, ...]:
        """Which labels there are: ``"main"``, ``"fine"`` or both."""
        return tuple(kind for kind in ("main", "fine") if getattr(self.labels, kind))

    def column(self, granularity: str) -> str:
        """Return the column of labels of a granularity.

        Raises
        ------
        PredictionRefused
            The reference has none.
        """
        column: str | None = getattr(self.labels, granularity, None)
        if not column:
            raise PredictionRefused(f"{self.name} has no {granularity} labels. Choose {self.granularities[0]} labels.")
        return column

    def to_json(self) -> str:
        """Write the manifest, without what is not known."""
        filled = self.model_dump(exclude_none=True, exclude_defaults=True)
        return json.dumps({**filled, "matrix": self.matrix}, indent=2, ensure_ascii=False) + "\n"


def read_manifest(path: Path) -> Manifest:
    """Read a manifest.

    Raises
    ------
    PredictionRefused
        It cannot be read, or breaks a rule; every problem is named.
    """
    try:
        if path.exists() and not path.is_file():
            raise PredictionRefused(f"{path} is no file.")
        with path.open("rb") as stream:
            content = stream.read(LARGEST + 1)
    except OSError as error:
        raise PredictionRefused(f"{path} cannot be read: {error.strerror or error}.") from error
    if len(content) > LARGEST:
        raise PredictionRefused(f"{path} is no manifest: it is larger than {LARGEST >> 20} MB.")
    return parse_manifest(content, path.name)


def parse_manifest(content: bytes, name: str = MANIFEST) -> Manifest:
    """Read the text of a manifest.

    Parameters
    ----------
    content
        The text, UTF-8.
    name
        What to call it in messages.

    Raises
    ------
    PredictionRefused
        It breaks a rule; every problem is named.

    Examples
    --------
    >>> parse_manifest(b'{"id": "../x", "name": "X", "organism": "human", "labels": {"main": "m"}}')
    Traceback (most recent call last):
    iscan_dash.errors.PredictionRefused: "id" of reference.json: an id has 1 to 64 small letters, digits and _.
    """
    try:
        fields = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise PredictionRefused(f"{name} is not JSON text ({error}).") from error
    if not isinstance(fields, dict):
        raise PredictionRefused(f"{name} is no manifest: it must be an object of fields.")
    try:
        manifest = Manifest.model_validate(fields)
    except ValidationError as error:
        problems = (_sentence(name, problem["loc"], problem["type"], problem["msg"]) for problem in error.errors())
        raise PredictionRefused(" ".join(problems)) from error
    if not manifest.granularities:
        raise PredictionRefused(f'"labels" of {name} names no column: it needs "main", "fine" or both.')
    return manifest


def _sentence(name: str, place: tuple[int | str, ...], kind: str, message: str) -> str:
    field = ".".join(map(str, place))
    if kind == "missing":
        return f'{name} has no field "{field}".'
    if kind == "string_pattern_mismatch" and field == "checksum":
        return f'"checksum" of {name} must be "sha256:" and 64 hexadecimal digits.'
    said = message.removeprefix("Value error, ").rstrip(".")
    return f'"{field[:80]}" of {name}: {said}.'
