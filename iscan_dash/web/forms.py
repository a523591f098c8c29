"""Forms of the page, checked before anything else sees them."""

from pydantic import BaseModel, Field

from iscan_dash.core.annotations.combine import DELIMITER_LENGTH, CombineRecipe, MissingParts
from iscan_dash.services.workspace import Source


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
