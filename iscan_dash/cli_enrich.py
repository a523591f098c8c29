"""The command ``iscan-dash enrich``."""

import tempfile
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
from iscan_dash.cli_predict import references_option
from iscan_dash.errors import EnrichmentRefused

if TYPE_CHECKING:
    # Loading this takes a moment that a command which does not need it is spared.
    import numpy as np

    from iscan_dash.core.gene_sets import ReadSets
    from iscan_dash.core.study import Study

METHODS = ("ucell", "aucell", "module", "ulm")


@click.command()
@data_argument
@with_options(study_options)
@references_option
@click.option(
    "--gene-sets",
    required=True,
    metavar="FILE",
    help="Gene sets in any usual format (GMT, CSV, JSON, text), or the name of a collection that comes along, such as "
    "canonical_markers_human.",
)
@click.option("--set", "names", multiple=True, metavar="NAME", help="A set that is scored [all].")
@click.option("--method", type=click.Choice(METHODS), default=METHODS[0], help="How cells are scored [ucell].")
@click.option("--group-by", metavar="COLUMN", help="Compare the groups of an obs column; else cells are written.")
@click.option("--sample", "samples", multiple=True, metavar="NAME", help="A sample whose cells are scored [all].")
@click.option("--matrix", metavar="KEY", help="The matrix, such as X, raw/X or layers/counts [the best one].")
@click.option("--max-rank", type=int, default=1500, help="Genes of a cell whose rank counts, for UCell [1500].")
@click.option("--top", type=click.IntRange(1), default=50, help="Genes of each group of a ranked table [50].")
@click.option("--seed", type=int, default=0, help="Chooses the genes a module score compares with [0].")
@click.option("--merge", is_flag=True, help="Unite sets of the same name.")
@click.option("--any-organism", is_flag=True, help="Go on when the genes look like those of another organism.")
@click.option("--threads", type=click.IntRange(1), metavar="N", help="Threads to use [all processors].")
@out_option
def enrich(
    data: tuple[Path, ...],
    out: Path,
    folder: Path | None,
    gene_sets: str,
    names: tuple[str, ...],
    group_by: str | None,
    threads: int | None,
    **options: Any,
) -> None:
    """Score the cells of a study (DATA) for gene sets, and write a CSV table."""
    from iscan_dash.core.engine.control import Control
    from iscan_dash.core.selection.mask_codec import encode
    from iscan_dash.services.cluster import on_cluster
    from iscan_dash.services.enrichment import score_study
    from iscan_dash.services.enrichment_parameters import EnrichmentParameters
    from iscan_dash.services.enrichment_result import EnrichmentResult, save_result
    from iscan_dash.services.enrichment_table import write_cell_table, write_group_table
    from iscan_dash.services.grouped_scores import group_scores, groups_of
    from iscan_dash.services.new_file import refuse_existing
    from iscan_dash.services.processes import processors
    from iscan_dash.services.workspace import Source

    with plain_errors(), opened_study(data, options) as (study, settings):
        refuse_existing(out)
        read, title = _read(gene_sets, folder, options["top"])
        if read.repeated and not options["merge"]:
            raise EnrichmentRefused(
                f"{title} has different sets of the same name ({', '.join(read.repeated[:5])}). Rename them, or say "
                "--merge to unite them.",
                "E53",
            )
        read = read.merged()
        known = {own.name for own in read.sets}
        if gone := [name for name in names if name not in known]:
            raise EnrichmentRefused(f'{title} has no gene set "{gone[0]}".', "E51")
        column = None if group_by is None else groups_of(study, group_by, settings.max_category_items)
        cells = _cells(study, options["samples"])
        parameters = EnrichmentParameters(
            tuple(own for own in read.sets if not names or own.name in names),
            title,
            options["method"],
            matrix=options["matrix"],
            cells=None if cells is None else encode(cells),
            cells_recipe=None if cells is None else {"text": f"sample in {', '.join(options['samples'])}"},
            seed=options["seed"],
            max_rank=options["max_rank"],
            any_organism=options["any_organism"],
        )
        for note in read.notes:
            click.echo(f"{title}: {note}", err=True)
        with tempfile.TemporaryDirectory(prefix="iscan-enrich-") as scratch:
            place, control = Path(scratch), Control(_tell)
            with on_cluster(settings.dask_scheduler, control) as map_chunks:
                scored = score_study(
                    study,
                    parameters,
                    threads=threads or processors(),
                    control=control,
                    folder=place,
                    map_chunks=map_chunks,
                )
            save_result(place, scored)
            result = EnrichmentResult.load(place)
            warnings = list(scored.warnings)
            _tell("save", 0, 1)
            if column is None:
                write_cell_table(out, study, result)
            else:
                grouped = group_scores(result, Source("metadata", column.name), column)
                warnings = grouped.warnings
                write_group_table(out, study, grouped)
            show_progress(1, "done")
        preflight = scored.preflight
        what = f"{preflight.n_cells:,} cells scored for {preflight.n_usable:,} of {len(preflight.matched):,} gene sets"
        click.echo(f"{what} ({', '.join(dict.fromkeys(own.name for own in preflight.matrices))}).")
        click.echo(f"{out} was written.")
        for warning in warnings:
            click.echo(f"warning: {warning}", err=True)


def _read(place: str, folder: Path | None, top: int) -> "tuple[ReadSets, str]":
    """Read a file of gene sets, or a collection by its name; return it with what it is called."""
    from iscan_dash.core.gene_sets import ReadSets, read_gene_sets
    from iscan_dash.core.gene_sets.read import MOST_BYTES
    from iscan_dash.services.gene_sets import GeneSetCollections

    path = Path(place)
    if path.is_file():
        if path.stat().st_size > MOST_BYTES:
            raise EnrichmentRefused(f"{path} is too large: {MOST_BYTES >> 20} MB can be read at most.")
        try:
            return read_gene_sets(path.read_bytes(), path.name, top=top), path.name
        except OSError as error:
            raise EnrichmentRefused(f"{path} cannot be read: {error.strerror or error}. Check the path.") from error
    settings = make_settings({"references": folder})
    collections = GeneSetCollections(settings.data_dir, settings.references).list("")
    for own in collections:
        if place in {own.id, own.name, Path(own.id.partition(":")[2]).stem} and not own.problem:
            return ReadSets(own.sets, "", "", organism=own.organism), own.name
    known = ", ".join(Path(own.id.partition(":")[2]).stem for own in collections) or "none"
    raise EnrichmentRefused(f"{place} is no file, and no collection of gene sets. Collections: {known}.")


def _cells(study: "Study", names: tuple[str, ...]) -> "np.ndarray | None":
    """Return the cells of some samples, shape (n_cells,), bool; None for all."""
    import numpy as np

    if not names:
        return None
    samples = study.samples
    for name in names:
        if name not in samples.labels:
            raise EnrichmentRefused(f'There is no sample "{name}". There are: {", ".join(samples.labels)}.')
    return np.isin(samples.codes, [place for place, label in enumerate(samples.labels) if label in names])


def _tell(step: str, done: int, total: int) -> None:
    if step == "Preparing (once)":
        # It takes long enough to be told whoever watches.
        click.echo(step, err=True)
    show_progress(0.99 * done / max(1, total), f"{step} ({done:,}/{total:,} cells)" if total > 1 else step)
