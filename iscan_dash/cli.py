"""The command line ``iscan-dash``."""

import contextlib
import logging
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import click
from pydantic import ValidationError

from iscan_dash import __version__
from iscan_dash.errors import IscanError
from iscan_dash.settings import Settings

F = TypeVar("F", bound=Callable[..., Any])

EXIT_CANNOT_OPEN = 2

study_options = (
    click.option("--obs-names", metavar="COLUMN", help="An obs column with the cell ids, instead of the index."),
    click.option("--sample-column", metavar="COLUMN", help="The obs column that tells samples apart."),
    click.option("--max-category-items", type=int, metavar="N", help="Values above which colours are grouped [1000]."),
)
server_options = (
    click.option("--title", help="What to call the study."),
    click.option("--annotations-dir", type=click.Path(path_type=Path, file_okay=False), help="Where drafts go."),
    click.option(
        "--annotations-file",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE.csv",
        help="The one file of annotations, with --single-user.",
    ),
    click.option("--disable-annotations", is_flag=True, default=None, help="Only look at the study."),
    click.option("--host", help="Address to listen on [127.0.0.1]."),
    click.option("--port", type=int, help="Port to listen on [8050, or the environment's PORT]."),
    click.option("--single-user", is_flag=True, default=None, help="Take everybody for the same user."),
    click.option("--user", help="Who that single user is [local]."),
    click.option(
        "--users",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE",
        help='Let only these users in; see "iscan-dash users".',
    ),
    click.option("--allowed-hosts", metavar="NAMES", help="Names of this server, with commas between [any]."),
    click.option("--proxies", type=int, metavar="N", help="Trusted proxies in front of this server [0]."),
)
data_argument = click.argument("data", nargs=-1, required=True, type=click.Path(path_type=Path))


def _with(options: tuple[Callable[[F], F], ...]) -> Callable[[F], F]:
    def add(command: F) -> F:
        for option in reversed(options):
            command = option(command)
        return command

    return add


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="iscan-dash")
def main() -> None:
    """Give every cell of a single-cell study a trustworthy label."""


@main.command()
@data_argument
@_with(study_options)
@_with(server_options)
def serve(data: tuple[Path, ...], **options: Any) -> None:
    """Serve one or more .h5ad files (DATA) as one study."""
    with _plain_errors():
        _serve(_settings(options, data=data))


@main.command()
@_with(server_options)
def demo(**options: Any) -> None:
    """Serve the demo study that comes with iscan-dash."""
    with _plain_errors():
        _serve(_settings(options).with_demo())


@main.command()
@data_argument
@_with(study_options)
def check(data: tuple[Path, ...], **options: Any) -> None:
    """Look a study over: exit code 0 when all is well, 1 with warnings, 2 when it cannot be opened."""
    from iscan_dash.core.study import open_study
    from iscan_dash.core.study.health import Severity, check_study
    from iscan_dash.core.study.report import report_text

    with _plain_errors():
        settings = _settings(options, data=data)
        study = open_study(settings.data, obs_names=settings.obs_names, sample_column=settings.sample_column)
        findings = check_study(study, settings.max_category_items)
        click.echo(report_text(study, findings))
        sys.exit(max((finding.severity for finding in findings), default=Severity.INFO))


@main.group()
def users() -> None:
    """Say who may sign in: the file that serve --users reads."""


users_file = click.option(
    "--file",
    "path",
    required=True,
    envvar="ISCAN_USERS",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The users file [the environment's ISCAN_USERS].",
)


@users.command("add")
@click.argument("name")
@users_file
def add_user(name: str, path: Path) -> None:
    """Add a user (NAME), or change the password of one; it is asked for."""
    from iscan_dash.services.accounts import Accounts

    with _plain_errors():
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
        is_new = Accounts(path).add(name, password)
        click.echo(f"{name} can sign in now." if is_new else f"{name} has another password now.")


@users.command("remove")
@click.argument("name")
@users_file
def remove_user(name: str, path: Path) -> None:
    """Remove a user (NAME), and sign them out."""
    from iscan_dash.services.accounts import Accounts

    with _plain_errors():
        Accounts(path).remove(name)
        click.echo(f"{name} cannot sign in any more.")


@users.command("list")
@users_file
def list_users(path: Path) -> None:
    """Name those who may sign in."""
    from iscan_dash.services.accounts import Accounts

    with _plain_errors():
        for name in Accounts(path).names():
            click.echo(name)


def _settings(options: dict[str, Any], **more: Any) -> Settings:
    try:
        return Settings(**more, **{name: value for name, value in options.items() if value is not None})
    except ValidationError as error:
        problem = error.errors()[0]
        raise click.UsageError(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}") from error


@contextlib.contextmanager
def _plain_errors() -> Iterator[None]:
    """Show a problem the user can act on as one sentence, without a traceback."""
    try:
        yield
    except IscanError as error:
        click.echo(f"iscan-dash: {error}", err=True)
        sys.exit(EXIT_CANNOT_OPEN)


def _serve(settings: Settings) -> None:
    import waitress.server

    from iscan_dash.web.app import create_app
    from iscan_dash.web.security import LARGEST_UPLOAD

    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    # A request that waits a moment for a thread is nothing to tell.
    logging.getLogger("waitress.queue").setLevel(logging.ERROR)
    app = create_app(settings.with_loopback_hosts())
    try:
        listening = socket.create_server((settings.host, settings.port))
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        raise IscanError(f"Cannot listen on {where}: {error.strerror}. Choose another --port.") from error
    server = waitress.server.create_server(
        app.server,
        sockets=[listening],
        threads=8,
        max_request_body_size=LARGEST_UPLOAD,
        # What trusted proxies say is read by the application.
        clear_untrusted_proxy_headers=not settings.proxies,
    )
    port = listening.getsockname()[1]
    click.echo(f"iscan-dash is ready: http://{settings.host}:{port}/  (Ctrl+C stops it)")
    # As Ctrl+C does: what is unsaved is written before the process ends.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        server.run()
    finally:
        server.close()
        app.server.extensions["iscan"].close()
