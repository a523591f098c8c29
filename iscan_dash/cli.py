"""The command line ``iscan-dash``."""

import contextlib
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from iscan_dash import __version__, logs
from iscan_dash.cli_common import (
    data_argument,
    make_settings,
    opened_study,
    out_option,
    plain_errors,
    show_progress,
    study_options,
    with_options,
)
from iscan_dash.cli_enrich import enrich
from iscan_dash.cli_predict import predict, references
from iscan_dash.errors import IscanError, UnknownColumn
from iscan_dash.settings import Settings
from iscan_dash.starting import without_collecting

if TYPE_CHECKING:
    # Loading these takes a moment that a command which does not need them is spared.
    from iscan_dash.services.workspace import Workspace

server_options = (
    click.option("--title", help="What to call the study."),
    click.option("--annotations-dir", type=click.Path(path_type=Path, file_okay=False), help="Where drafts go."),
    click.option(
        "--annotations-file",
        type=click.Path(path_type=Path, dir_okay=False),
        metavar="FILE.csv",
        help="The one file of annotations, with --single-user.",
    ),
    click.option(
        "--references",
        type=click.Path(path_type=Path, file_okay=False),
        metavar="DIR",
        help="A folder of your own references [the environment's ISCAN_REFERENCES].",
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
    click.option("--url-prefix", metavar="PATH", help="Path of this server below its host, such as /cells/ [/]."),
    click.option("--proxies", type=int, metavar="N", help="Trusted proxies in front of this server [0]."),
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="iscan-dash")
def main() -> None:
    """Give every cell of a single-cell study a trustworthy label."""


main.add_command(predict)
main.add_command(enrich)
main.add_command(references)


@main.command()
@data_argument
@with_options(study_options)
@with_options(server_options)
def serve(data: tuple[Path, ...], **options: Any) -> None:
    """Serve one or more .h5ad files (DATA) as one study."""
    with plain_errors():
        _serve(make_settings(options, data=data))


@main.command()
@with_options(server_options)
def demo(**options: Any) -> None:
    """Serve the demo study that comes with iscan-dash."""
    with plain_errors():
        _serve(make_settings(options).with_demo())


@main.command()
@data_argument
@with_options(study_options)
def check(data: tuple[Path, ...], **options: Any) -> None:
    """Look a study over: exit code 0 when all is well, 1 with warnings, 2 when it cannot be opened."""
    from iscan_dash.core.study import open_study
    from iscan_dash.core.study.health import Severity, check_study
    from iscan_dash.core.study.report import report_text

    with plain_errors():
        settings = make_settings(options, data=data)
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

    with plain_errors():
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
        is_new = Accounts(path).add(name, password)
        click.echo(f"{name} can sign in now." if is_new else f"{name} has another password now.")


@users.command("remove")
@click.argument("name")
@users_file
def remove_user(name: str, path: Path) -> None:
    """Remove a user (NAME), and sign them out."""
    from iscan_dash.services.accounts import Accounts

    with plain_errors():
        Accounts(path).remove(name)
        click.echo(f"{name} cannot sign in any more.")


@users.command("list")
@users_file
def list_users(path: Path) -> None:
    """Name those who may sign in."""
    from iscan_dash.services.accounts import Accounts

    with plain_errors():
        for name in Accounts(path).names():
            click.echo(name)


def _serve(settings: Settings) -> None:
    logs.configure(settings.log_format, settings.log_level)
    try:
        # Before anything reads the study in the background: a process that ends meanwhile hangs in HDF5's lock.
        listening = socket.create_server((settings.host, settings.port))
    except OSError as error:
        where = f"{settings.host}:{settings.port}"
        raise IscanError(f"Cannot listen on {where}: {error.strerror}. Choose another --port.") from error
    with without_collecting():
        import waitress.server

        from iscan_dash.web.app import create_app
        from iscan_dash.web.security import LARGEST_UPLOAD

        app = create_app(settings.with_loopback_hosts())
        server = waitress.server.create_server(
            app.server,
            sockets=[listening],
            threads=8,
            max_request_body_size=LARGEST_UPLOAD,
            # What trusted proxies say is read by the application.
            clear_untrusted_proxy_headers=not settings.proxies,
        )
    port = listening.getsockname()[1]
    click.echo(f"iscan-dash is ready: http://{settings.host}:{port}{settings.url_prefix}  (Ctrl+C stops it)")
    # As Ctrl+C does: what is unsaved is written before the process ends.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        server.run()
    finally:
        server.close()
        app.server.extensions["iscan"].close()


table_options = (
    click.option("--column", "columns", multiple=True, metavar="NAME", help="A column to take [all that look right]."),
    click.option("--default", default="Unassigned", help="Label of cells that the table has none for [Unassigned]."),
    click.option("--id-column", metavar="NAME", help="The table's column with cell ids [the first]."),
    click.option("--table-sample-column", metavar="NAME", help="The table's column with samples [found by its name]."),
)
draft_options = (
    click.option("--annotations-dir", type=click.Path(path_type=Path, file_okay=False), help="Where drafts are."),
    click.option("--user", help="Whose drafts [local]."),
)
table_argument = click.argument("table", type=click.Path(path_type=Path))


@main.command("import")
@data_argument
@table_argument
@with_options(study_options)
@with_options(draft_options)
@with_options(table_options)
@click.option("--replace", is_flag=True, help="Replace annotations of the same names, rather than adding new ones.")
@click.option("--dry-run", is_flag=True, help="Only say how the table fits.")
def import_table(data: tuple[Path, ...], table: Path, replace: bool, dry_run: bool, **options: Any) -> None:
    """Add the labels of a CSV or TSV file (TABLE) to the drafts of a study (DATA)."""
    from iscan_dash.core.annotations.csv_table import open_csv_table
    from iscan_dash.core.annotations.label_table import match_table, report_lines
    from iscan_dash.services.importing import import_choices

    with plain_errors(), _drafts(data, options) as workspace:
        matched = match_table(
            open_csv_table(table).unmarked(),
            workspace.study,
            workspace.taken_names(),
            id_column=options["id_column"],
            sample_column=options["table_sample_column"],
            max_items=workspace.max_items,
        )
        click.echo("\n".join(report_lines(matched.report)))
        choices = import_choices(matched.report, options["columns"], default=options["default"], replaces=replace)
        if dry_run:
            click.echo("Nothing was imported (--dry-run).")
            return
        for choice, made in zip(choices, workspace.import_columns(matched, choices), strict=True):
            what = "replaced" if choice.replaces else "new"
            click.echo(f'"{made.live.name}" is {what}: {made.n_set:,} of {len(made.codes):,} cells are set.')


@main.command()
@data_argument
@with_options(study_options)
@with_options(draft_options)
@out_option
@click.option("--annotation", "names", multiple=True, metavar="NAME", help="An annotation to write [all].")
@click.option("--cellxgene", is_flag=True, help="Write what cellxgene reads: no column of samples.")
def export(data: tuple[Path, ...], out: Path, names: tuple[str, ...], cellxgene: bool, **options: Any) -> None:
    """Write the annotations of a study (DATA) to a new CSV file."""
    from iscan_dash.services.drafts import annotations_folder
    from iscan_dash.services.export import cellxgene_warnings, export_csv, named_annotations
    from iscan_dash.services.shared import SharedAnnotations

    with plain_errors(), opened_study(data, options) as (study, settings):
        # Read as other users' are: a server may be editing them meanwhile.
        folder = annotations_folder(settings.annotations_dir, study)
        shared = SharedAnnotations(folder, study.fingerprint, study.n_cells)
        chosen = named_annotations(shared.of_user(options["user"])[::-1], names)
        export_csv(out, study, chosen, for_cellxgene=cellxgene)
        click.echo(f"{out} was written: {', '.join(annotation.live.name for annotation in chosen)}.")
        for code, warning in cellxgene_warnings(chosen) if cellxgene else ():
            click.echo(f"{code} warning: {warning}", err=True)


@main.command()
@data_argument
@click.argument("draft", type=click.Path(path_type=Path))
@with_options(study_options)
@with_options(table_options)
@out_option
@click.option("--rename", multiple=True, metavar="OLD=NEW", help="Call a column otherwise in the new file.")
def merge(data: tuple[Path, ...], draft: Path, out: Path, rename: tuple[str, ...], **options: Any) -> None:
    """Write the data (DATA) with the labels of a CSV file (DRAFT) to a new .h5ad file, and check it.

    Several files are written to one new file each: OUT-<name of the file>.h5ad.
    """
    from iscan_dash.core.annotations.csv_table import open_csv_table
    from iscan_dash.core.annotations.label_table import match_table, report_lines
    from iscan_dash.services.importing import chosen_columns
    from iscan_dash.services.merge import merge as merge_columns
    from iscan_dash.services.merge import output_paths, table_column

    names = dict(_name_pair(pair) for pair in rename)
    with plain_errors(), opened_study(data, options) as (study, settings):
        matched = match_table(
            open_csv_table(draft).unmarked(),
            study,
            {},
            id_column=options["id_column"],
            sample_column=options["table_sample_column"],
            max_items=settings.max_category_items,
        )
        click.echo("\n".join(report_lines(matched.report)))
        chosen = chosen_columns(matched.report, options["columns"])
        unknown = [name for name in names if name not in chosen]
        if unknown:
            raise UnknownColumn(f'There is no column "{unknown[0]}" to rename. There are: {", ".join(chosen)}.')
        columns = [table_column(matched, name, names.get(name, name), options["default"]) for name in chosen]
        reports = merge_columns(study, columns, output_paths(study, out), progress=show_progress)
        for report in reports or ():
            click.echo(report.statement)


def _name_pair(pair: str) -> tuple[str, str]:
    old, equals, new = pair.rpartition("=")
    if not equals:
        raise click.UsageError(f'--rename wants OLD=NEW, not "{pair}".')
    return old, new


@contextlib.contextmanager
def _drafts(data: tuple[Path, ...], options: dict[str, Any]) -> "Iterator[Workspace]":
    """Open the drafts of a user for a command; they are saved when it ends."""
    from iscan_dash.services.drafts import annotations_folder
    from iscan_dash.services.workspace import Workspace

    with opened_study(data, options) as (study, settings):
        workspace = Workspace(
            study,
            user=options["user"] or settings.user,
            folder=annotations_folder(settings.annotations_dir, study),
            max_items=settings.max_category_items,
        )
        try:
            yield workspace
        finally:
            workspace.close()
