"""The commands ``iscan-dash references`` and ``iscan-dash predict``."""

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

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
from iscan_dash.errors import PredictionRefused

if TYPE_CHECKING:
    # Loading this takes a moment that a command which does not need it is spared.
    from iscan_dash.core.references import Entry, Registry

EXIT_PROBLEMS = 1

references_option = click.option(
    "--references",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="DIR",
    help="A folder of your own references [the environment's ISCAN_REFERENCES].",
)
gene_column_option = click.option(
    "--gene-column",
    metavar="COLUMN",
    help="The var column with the gene names, _index for the index [found by itself].",
)


@click.group()
def references() -> None:
    """See, install and make references, what cell types are predicted by."""


@references.command("list")
@references_option
def list_references(folder: Path | None) -> None:
    """List all references and whether they can be used."""
    with plain_errors():
        registry = _registry(folder)
        entries = registry.entries()
        widths = [max(len(row[place]) for row in map(_row, entries)) for place in range(3)]
        for entry in entries:
            start = "  ".join(text.ljust(width) for text, width in zip(_row(entry), widths, strict=False))
            click.echo(f"{start}  {_row(entry)[-1]}")
            for reason in entry.reasons if entry.state == "refused" else ():
                click.echo(f"  {reason}")
        if any(entry.state == "not installed" for entry in entries):
            click.echo("To add one that is not installed: iscan-dash references install ID")
        if problem := registry.folder_problem():
            click.echo(problem, err=True)


@references.command("show")
@click.argument("id_", metavar="ID")
@references_option
def show_reference(id_: str, folder: Path | None) -> None:
    """Show what is known of a reference (ID), and its labels."""
    with plain_errors():
        click.echo("\n".join(_description(_registry(folder).find(id_))))


@references.command("install")
@click.argument("names", nargs=-1, metavar="ID...")
@click.option("--all", "wants_all", is_flag=True, help="Install all that can be installed.")
def install_references(names: tuple[str, ...], wants_all: bool) -> None:
    """Download references (ID...) with celldex and keep them."""
    from iscan_dash.services.install import built_ins, install

    if bool(names) == wants_all:
        raise click.UsageError("Name references to install, or say --all.")
    with plain_errors():
        registry = _registry(None)
        for entry, outcome in install(
            registry,
            names or tuple(built_ins(registry)),
            progress=lambda part, what: show_progress(min(part, 0.99), what),
        ):
            show_progress(1, entry.name)
            click.echo(f"{entry.id} is {outcome}: {entry.path}")


@references.command("check")
@click.argument("path", type=click.Path(path_type=Path))
def check_reference(path: Path) -> None:
    """Tell whether a file or folder (PATH) can be used as a reference: exit code 0 when it can, 1 when not."""
    from iscan_dash.core.references.profiles import counted_labels
    from iscan_dash.core.references.registry import printable
    from iscan_dash.core.references.verify import verify

    with plain_errors():
        checked = verify(path)
        if checked.manifest and checked.contents:
            found = checked.contents
            click.echo(f"{checked.manifest.id}: {checked.manifest.name}, {checked.manifest.organism}")
            size = f"{found.n_profiles:,} profiles, {found.n_genes:,} genes ({found.genes.identifiers})"
            click.echo(f"{size}, {counted_labels(found.n_labels) or 'no labels'}")
        for problem in checked.problems:
            click.echo(f"problem: {printable(problem)}")
        click.echo("It cannot be used." if checked.problems else "It can be used.")
        if checked.problems:
            sys.exit(EXIT_PROBLEMS)


@references.command("make")
@data_argument
@with_options(study_options)
@references_option
@click.option("--main", "main_column", required=True, metavar="COLUMN", help="The obs column with the labels.")
@click.option("--fine", "fine_column", metavar="COLUMN", help="An obs column with more detailed labels.")
@click.option("--id", "id_", required=True, metavar="ID", help="What the reference is chosen by.")
@click.option("--name", help="What people read [the id].")
@click.option("--organism", type=click.Choice(["human", "mouse", "unknown"]), help="[as the gene names look]")
@click.option("--exclude", multiple=True, metavar="LABEL", help="A label to leave out [those that mean none].")
@click.option("--profiles", type=int, default=10, help="Profiles of each label, where it has enough cells [10].")
@click.option("--matrix", metavar="KEY", help="The matrix, such as X, raw/X or layers/counts [the best one].")
@gene_column_option
@click.option("--threads", type=click.IntRange(1), metavar="N", help="Threads to use [all processors].")
def make_reference_(data: tuple[Path, ...], folder: Path | None, **options: Any) -> None:
    """Make a reference of the labelled cells of a study (DATA), and test it on cells that are left out.

    It goes into your folder of references, or to the installed ones when there is none.
    """
    from iscan_dash.core.engine.control import Control
    from iscan_dash.services.make_reference import Labels, Wanted, check, keep_reference, make_reference, organism_of
    from iscan_dash.services.processes import processors

    with plain_errors(), opened_study(data, options) as (study, _), tempfile.TemporaryDirectory() as made_in:
        registry = _registry(folder)
        matrix, gene_column = options["matrix"], options["gene_column"]
        wanted = Wanted(
            id=options["id_"],
            name=options["name"] or options["id_"],
            organism=options["organism"] or organism_of(study, matrix, gene_column),
            exclude=options["exclude"] or None,
            profiles=options["profiles"],
            matrix=matrix,
            gene_column=gene_column,
        )
        for problem in check(wanted, registry).values():
            raise PredictionRefused(problem)
        main = Labels(study.category(options["main_column"]))
        fine = Labels(study.category(options["fine_column"])) if options["fine_column"] else None
        threads = options["threads"] or processors()
        path = Path(made_in) / wanted.id
        made = make_reference(study, wanted, main, fine, path, threads=threads, control=Control(_tell))
        path = keep_reference(registry, path)
        show_progress(1, "done")
        click.echo("\n".join(made.summary))
        for test in made.test.granularities.values():
            for own in test.labels:
                wrong = ", ".join(f"{count:,} {other}" for other, count in own.taken_for.items())
                click.echo(f"  {own.label}: {own.right:,} of {own.tested:,}{f' (taken for: {wrong})' if wrong else ''}")
        click.echo(f"{path} was written.")


@click.command()
@data_argument
@with_options(study_options)
@references_option
@click.option(
    "--reference", required=True, metavar="ID", help='What to compare with; see "iscan-dash references list".'
)
@click.option("--granularity", type=click.Choice(["main", "fine"]), default="main", help="Which labels [main].")
@click.option("--sample", "samples", multiple=True, metavar="NAME", help="A sample whose cells are labelled [all].")
@click.option("--by-cluster", metavar="COLUMN", help="Label the groups of an obs column, instead of cells.")
@click.option("--no-fine-tune", is_flag=True, help="Do not compare the best labels once more.")
@click.option("--threshold", type=float, default=0.05, help="What counts as best in that, 0 to 0.1 [0.05].")
@click.option("--nmads", type=float, default=3.0, help="Outlier cutoff in MADs; 100 and more prunes nothing [3].")
@click.option("--min-diff-med", type=float, metavar="X", help="Least lead over the median of all labels [none].")
@click.option("--matrix", metavar="KEY", help="The matrix, such as X, raw/X or layers/counts [the best one].")
@gene_column_option
@click.option("--any-organism", is_flag=True, help="Go on when the genes look like those of another organism.")
@click.option("--threads", type=click.IntRange(1), metavar="N", help="Threads to use [all processors].")
@click.option("--name", default="{method}_{reference}_{granularity}", help="What to call the column of labels.")
@click.option("--scores", type=click.Path(path_type=Path), metavar="FILE.npz", help="Write all scores to a file, too.")
@out_option
def predict(
    data: tuple[Path, ...],
    out: Path,
    folder: Path | None,
    scores: Path | None,
    name: str,
    threads: int | None,
    **options: Any,
) -> None:
    """Label the cells of a study (DATA) by a reference, and write a CSV table that can be imported."""
    from iscan_dash.core.annotations.names import check_name
    from iscan_dash.core.engine.control import Control
    from iscan_dash.services.cluster import on_cluster
    from iscan_dash.services.new_file import refuse_existing
    from iscan_dash.services.prediction import Predictor
    from iscan_dash.services.prediction_parameters import Parameters, resolved_name
    from iscan_dash.services.prediction_result import summary
    from iscan_dash.services.prediction_table import COLUMNS, write_scores, write_table
    from iscan_dash.services.processes import processors

    with plain_errors(), opened_study(data, options) as (study, settings):
        registry = _registry(folder)
        parameters = Parameters(
            options["reference"],
            options["granularity"],
            samples=options["samples"] or None,
            by_cluster=options["by_cluster"],
            fine_tune=not options["no_fine_tune"],
            threshold=options["threshold"],
            nmads=options["nmads"],
            min_diff_med=options["min_diff_med"],
            matrix=options["matrix"],
            gene_column=options["gene_column"],
            any_organism=options["any_organism"],
        )
        # All that can be refused is refused before the work.
        column = check_name(resolved_name(name, parameters), dict.fromkeys(COLUMNS, "table"))
        for path in (out, *([scores] if scores else [])):
            refuse_existing(path)
        if scores and scores.resolve() == out.resolve():
            raise PredictionRefused("--scores and --out name the same file. Choose another name for one.")
        if (problem := registry.folder_problem()) and folder:
            raise PredictionRefused(problem)
        control = Control(_tell)
        with on_cluster(settings.dask_scheduler, control) as map_chunks:
            prediction = Predictor(registry).predict(
                study, parameters, threads=threads or processors(), control=control, map_chunks=map_chunks
            )
        _tell("save", 0, 1)
        write_table(out, study, prediction, column)
        if scores:
            write_scores(scores, study, prediction)
        show_progress(1, "done")
        click.echo("\n".join(summary(prediction)))
        click.echo(f"{out} was written.")
        if scores:
            click.echo(f"{scores} was written.")
        for warning in prediction.preflight.warnings:
            click.echo(f"warning: {warning}", err=True)


def _tell(step: str, done: int, total: int) -> None:
    if step == "Preparing (once)":
        # It takes long enough to be told whoever watches.
        click.echo(step, err=True)
    show_progress(0.99 * done / max(1, total), f"{step} ({done:,}/{total:,} cells)" if total > 1 else step)


def _registry(folder: Path | None) -> "Registry":
    from iscan_dash.core.references import Registry

    settings = make_settings({"references": folder})
    return Registry(settings.data_dir / "references", settings.references)


def _row(entry: "Entry") -> tuple[str, ...]:
    from iscan_dash.core.references.profiles import counted_labels

    organism = entry.manifest.organism if entry.manifest else "-"
    labels = counted_labels(entry.n_labels)
    return entry.id, str(entry.state), organism, f"{entry.name} ({labels})" if labels else entry.name


def _description(entry: "Entry") -> Iterator[str]:
    from iscan_dash.core.references.profiles import counted_labels, label_names
    from iscan_dash.core.references.registry import printable

    manifest, contents = entry.manifest, entry.contents
    yield f"{entry.id}: {entry.name}"
    yield f"state: {entry.state}"
    yield from (f"  {reason}" for reason in entry.reasons)
    yield f"where: {printable(str(entry.path))} ({entry.origin})"
    if manifest is None:
        return
    size = (
        (f"{number:,} {what}" if number else "")
        for number, what in (
            (contents.n_profiles if contents else manifest.n_profiles, "profiles"),
            (contents.n_genes if contents else manifest.n_genes, "genes"),
        )
    )
    known = {
        "organism": manifest.organism,
        "version": manifest.version,
        "size": ", ".join([*filter(None, size), counted_labels(entry.n_labels)]),
        "values": manifest.values,
        "description": manifest.description,
        "source": manifest.source,
        "licence": manifest.licence,
        "citation": manifest.citation,
        "checksum": manifest.checksum,
    }
    yield from (f"{what}: {text}" for what, text in known.items() if text)
    if entry.state != "ready" or entry.matrix is None:
        return
    for granularity in manifest.granularities:
        terms = getattr(manifest.ontology, granularity)
        yield f"{granularity} labels:"
        for label in label_names(entry.matrix, manifest.column(granularity)):
            yield f"  {label}" + (f" ({terms[label]})" if label in terms else "")
