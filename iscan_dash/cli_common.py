"""What the commands of ``iscan-dash`` share: arguments, options, settings, and how problems are shown."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
from pydantic import ValidationError

from iscan_dash.errors import IscanError
from iscan_dash.settings import Settings, wrong_setting

if TYPE_CHECKING:
    # Loading this takes a moment that a command which does not need it is spared.
    from iscan_dash.core.study import Study

F = TypeVar("F", bound=Callable[..., Any])

EXIT_CANNOT_OPEN = 2

study_options = (
    click.option("--obs-names", metavar="COLUMN", help="An obs column with the cell ids, instead of the index."),
    click.option("--sample-column", metavar="COLUMN", help="The obs column that tells samples apart."),
    click.option("--max-category-items", type=int, metavar="N", help="Values above which colours are grouped [1000]."),
)
data_argument = click.argument("data", nargs=-1, required=True, type=click.Path(path_type=Path))
out_option = click.option("-o", "--out", required=True, type=click.Path(path_type=Path), help="The file to write.")


def with_options(options: tuple[Callable[[F], F], ...]) -> Callable[[F], F]:
    """Add several options to a command."""

    def add(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return add


def make_settings(options: dict[str, Any], **more: Any) -> Settings:
    """Make settings of the options that were given; the environment has the others."""
    try:
        return Settings(**more, **{name: value for name, value in options.items() if value is not None})
    except ValidationError as error:
        raise click.UsageError(wrong_setting(error, options)) from error


@contextlib.contextmanager
def plain_errors() -> Iterator[None]:
    """Show a problem the user can act on as one sentence, without a traceback."""
    try:
        yield
    except IscanError as error:
        click.echo(f"iscan-dash: {error}", err=True)
        sys.exit(EXIT_CANNOT_OPEN)


def show_progress(part: float, what: str) -> None:
    """Show progress on one line, when somebody watches."""
    if sys.stderr.isatty():
        end = "\n" if part == 1 else ""
        click.echo(f"\r\033[K{part:4.0%} {what}{end}", nl=False, err=True)


@contextlib.contextmanager
def opened_study(data: tuple[Path, ...], options: dict[str, Any]) -> "Iterator[tuple[Study, Settings]]":
    """Open the study of a command, and close it."""
    from iscan_dash.core.study import open_study

    wanted = ("obs_names", "sample_column", "max_category_items", "annotations_dir")
    settings = make_settings({name: options.get(name) for name in wanted}, data=data)
    study = open_study(settings.data, obs_names=settings.obs_names, sample_column=settings.sample_column)
    try:
        yield study, settings
    finally:
        study.close()
