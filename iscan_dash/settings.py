"""Settings of a server: environment variables first, then the command line."""

import importlib.util
import ipaddress
import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import Annotated, Self

from platformdirs import user_data_path
from pydantic import AliasChoices, Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from iscan_dash import logs
from iscan_dash.errors import SettingsConflict

LOOPBACK_HOSTS = ("localhost", "127.0.0.1", "[::1]")
"""What a browser on the same machine calls it."""

PATH_PART = re.compile(r"(?!\.+$)[A-Za-z0-9._~-]+")
"""What stands between the slashes of a path without being written otherwise in an address."""

DEMO_STUDY = Path(__file__).parent / "demo" / "pbmc8k_2700.h5ad"
"""The study that comes with the package."""


class Settings(BaseSettings):
    """How to serve a study.

    Each field is read from the environment variable ``ISCAN_<FIELD>``, the port also from ``PORT``; an empty
    one is as good as none.
    """

    model_config = SettingsConfigDict(env_prefix="ISCAN_", populate_by_name=True, env_ignore_empty=True)

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

    annotations_file: Path | None = None
    """The one CSV file that is read, made when absent, and rewritten; for a single user."""

    disable_annotations: bool = False
    """Whether the study is only looked at."""

    obs_names: str | None = None
    """An obs column with the cell ids, instead of the index."""

    sample_column: str | None = None
    """The obs column that tells samples apart; chosen automatically when not given."""

    max_category_items: int = Field(1000, ge=2)
    """Values above which the colours of a category are grouped."""

    user: str = Field("local", min_length=1, max_length=64)
    """Who edits, when the server has a single user; naming one makes it so."""

    single_user: bool = False
    """Whether everybody who reaches the server is the same user."""

    user_header: str | None = Field(None, pattern=r"^[A-Za-z0-9-]{1,64}$")
    """The header in which a trusted proxy, the only one who reaches the server, says who asks."""

    users: Path | None = None
    """The file of those who may sign in, made with ``iscan-dash users``."""

    references: Path | None = None
    """A folder of one's own references, beside those that come with the package and those that are installed."""

    data_dir: Path = Field(default_factory=lambda: user_data_path("iscan-dash"))
    """Where the server keeps its secret and its jobs, and where references are installed."""

    gene_index_gb: float = Field(20.0, ge=0)
    """Disk space for indices of genes, in the data folder; without any (0) genes of large matrices are searched for."""

    running_jobs: int = Field(1, ge=1, le=64)
    """Jobs, such as predictions, that run at once; each uses all processors."""

    user_memory_mb: int = Field(512, ge=16)
    """Megabytes for what is worked out for a user and kept: masks, orders of rows, opened results."""

    study_memory_mb: int = Field(2048, ge=64)
    """Megabytes for columns and embeddings of the study that were read and are kept."""

    idle_minutes: float = Field(60.0, ge=0, allow_inf_nan=False)
    """Minutes after which what a user had open, who asks for nothing, is put away; 0 keeps it."""

    dask_scheduler: str | None = None
    """The scheduler of a Dask cluster whose workers do predictions and scorings, such as ``tcp://10.0.0.5:8786``."""

    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = ()
    """Names under which the server may be asked for, separated by commas; any when empty."""

    proxies: int = Field(0, ge=0, le=8)
    """Trusted proxies in front of the server, which say for whom they ask and whether by https."""

    log_format: logs.Format = "text"
    """What a line of the log is: for people, or a JSON object."""

    log_level: logs.Level = "warning"
    """What is logged; ``info`` tells of every request, edit and job."""

    @field_validator("log_format", "log_level", mode="before")
    @classmethod
    def _fold_case(cls, value: object) -> object:
        return value.lower() if isinstance(value, str) else value

    url_prefix: str = Field("/", max_length=200)
    """The path below which the server is, with a slash at both ends; ``/`` is the top of its host."""

    @field_validator("url_prefix")
    @classmethod
    def _whole_prefix(cls, value: str) -> str:
        parts = [part for part in value.split("/") if part]
        if not all(PATH_PART.fullmatch(part) for part in parts):
            raise ValueError(
                f'"{value}" is no path to serve at. Give one of letters, digits, ".", "-", "_" and "~", such as /cells/'
            )
        return "".join(["/", *(f"{part}/" for part in parts)])

    @field_validator("data", mode="before")
    @classmethod
    def _split_paths(cls, value: object) -> object:
        return [part for part in value.split(os.pathsep) if part] if isinstance(value, str) else value

    @field_validator("allowed_hosts", mode="before")
    @classmethod
    def _split_hosts(cls, value: object) -> object:
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value

    @field_validator("dask_scheduler")
    @classmethod
    def _check_scheduler(cls, value: str | None) -> str | None:
        if not value:
            return None
        if not re.fullmatch(r"(tcp|tls)://[^\s/@]+:\d{1,5}", value):
            raise SettingsConflict(
                f'ISCAN_DASK_SCHEDULER is the address of a Dask scheduler, such as tcp://10.0.0.5:8786, not "{value}".'
            )
        # Here, so that it is told when the server starts and not with the first job.
        if importlib.util.find_spec("distributed") is None:
            raise SettingsConflict(
                "ISCAN_DASK_SCHEDULER needs Dask, which is not installed: pip install '.[dask]' in a checkout."
            )
        return value

    @model_validator(mode="after")
    def _refuse_conflicts(self) -> Self:
        drafts = {"--annotations-file": self.annotations_file, "--annotations-dir": self.annotations_dir}
        given = [option for option, value in drafts.items() if value is not None]
        if self.disable_annotations:
            given.insert(0, "--disable-annotations")
        if len(given) > 1:
            raise SettingsConflict(f"Use either {given[0]} or {given[1]}, not both.")
        if self.annotations_file and not self.fixed_user:
            raise SettingsConflict(
                "--annotations-file needs --single-user: one file cannot hold the work of several users."
            )
        if sum(map(bool, (self.fixed_user, self.user_header, self.users))) > 1:
            raise SettingsConflict(
                "Choose one way to tell users apart: --single-user (or --user), --users, or ISCAN_USER_HEADER."
            )
        return self

    @property
    def fixed_user(self) -> str | None:
        """The one user of the server, None when it tells users apart."""
        return self.user if self.single_user or "user" in self.model_fields_set else None

    def with_loopback_hosts(self) -> "Settings":
        """Return settings for a server that listens on `host` itself.

        On a loopback address it is asked for only under that address and its usual names: a site elsewhere whose name
        points here (DNS rebinding) is refused.
        """
        try:
            is_loopback = ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            is_loopback = self.host == "localhost"
        if not is_loopback:
            return self
        own = f"[{self.host}]" if ":" in self.host else self.host
        return self.model_copy(update={"allowed_hosts": tuple({*self.allowed_hosts, *LOOPBACK_HOSTS, own})})

    def with_demo(self) -> "Settings":
        """Return settings that serve the demo study, with its drafts in the data folder unless said otherwise."""
        drafts = self.annotations_dir
        if not (drafts or self.annotations_file or self.disable_annotations):
            drafts = self.data_dir / "demo"
        return self.model_copy(
            update={"data": (DEMO_STUDY,), "annotations_dir": drafts, "title": self.title or "PBMC 8k demo"}
        )


def wrong_setting(error: ValidationError, given: Collection[str] = ()) -> str:
    """Return a sentence about a setting that makes no sense.

    Parameters
    ----------
    error
        What is wrong.
    given
        Fields that were options of a command; others are variables of the environment.
    """
    problem = error.errors()[0]
    field = str(problem["loc"][0])
    name = f"--{field.replace('_', '-')}" if field in given else f"ISCAN_{field.upper().removeprefix('ISCAN_')}"
    message = problem["msg"].removeprefix("Value error, ").rstrip(".")
    return f'{name} is "{problem["input"]}": {message}.'
