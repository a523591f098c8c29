"""Settings of a server: environment variables first, then the command line."""

import os
from pathlib import Path
from typing import Annotated

from platformdirs import user_data_path
from pydantic import AliasChoices, Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

DEMO_STUDY = Path(__file__).parent / "demo" / "pbmc8k_2700.h5ad"
"""The study that comes with the package."""


class Settings(BaseSettings):
    """How to serve a study.

    Each field is read from the environment variable ``ISCAN_<FIELD>``, the port also from ``PORT``.
    """

    model_config = SettingsConfigDict(env_prefix="ISCAN_", populate_by_name=True)

    data: Annotated[tuple[Path, ...], NoDecode] = ()
    """The ``.h5ad`` files, separated as in ``PATH``; the demo study when empty."""

    title: str | None = None
    """What to call the study; the name of the first file when not given."""

    host: str = "127.0.0.1"
    """Address to listen on."""

    port: int = Field(8050, ge=0, le=65535, validation_alias=AliasChoices("ISCAN_PORT", "PORT", "port"))
    """Port to listen on; 0 takes a free one."""

    annotations_dir: Path | None = None
    """Where drafts go; beside the first file when not given and it can be written, else the working directory."""

    obs_names: str | None = None
    """An obs column with the cell ids, instead of the index."""

    sample_column: str | None = None
    """The obs column that tells samples apart; chosen automatically when not given."""

    max_category_items: int = Field(1000, ge=2)
    """Values above which the colours of a category are grouped."""

    user: str = Field("local", min_length=1, max_length=64)
    """Who edits."""

    @field_validator("data", mode="before")
    @classmethod
    def _split_paths(cls, value: object) -> object:
        return [part for part in value.split(os.pathsep) if part] if isinstance(value, str) else value

    def with_demo(self) -> "Settings":
        """Return settings that serve the demo study, with its drafts in the user's data folder."""
        drafts = self.annotations_dir or user_data_path("iscan-dash") / "demo"
        return self.model_copy(
            update={"data": (DEMO_STUDY,), "annotations_dir": drafts, "title": self.title or "PBMC 8k demo"}
        )
