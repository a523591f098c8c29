"""Cell type prediction from the form to the annotation: what it says, refuses, and makes."""

import csv
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from iscan_dash.settings import DEMO_STUDY
from tests.browser.annotation_pages import ExistingAnnotations
from tests.browser.chromium import Browser
from tests.browser.conftest import Serve
from tests.browser.pages import Shell
from tests.browser.plot_pages import PlotPanel
from tests.browser.prediction_pages import PredictionForm, StudyLogs
from tests.browser.server import Server, plain_environment, real_data
from tests.references import LABELS, gene_names, some_profiles, write_folder, write_profiles
from tests.studies import write_study

pytestmark = pytest.mark.browser

N_CELLS = 120
NAMES = list(dict.fromkeys(LABELS))
TRUTH = [NAMES[place % 4] for place in range(N_CELLS)]


def some_cells() -> np.ndarray:
    """Make counts of cells that are like the profiles, some less so; shape (N_CELLS, 600)."""
    values = some_profiles([*NAMES, *TRUTH], seed=1)[4:]
    values[::10] = values[::10].mean(axis=1, keepdims=True)
    counts: np.ndarray = np.random.default_rng(1).poisson(values / 3).astype(np.float32)
    return counts


@pytest.fixture(scope="module")
def cells_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of 120 cells of two samples, with groups of one type each."""
    obs = {
        "leiden": pd.Categorical([None if place in {0, 5} else str(place % 4) for place in range(N_CELLS)]),
        "donor_kind": pd.Categorical(["one group"] * N_CELLS),
        "sample": pd.Categorical(["one" if place % 3 else "two" for place in range(N_CELLS)]),
    }
    path = tmp_path_factory.mktemp("cells") / "cells.h5ad"
    x = some_cells()
    scaled = ((x - x.mean(axis=0)) / (x.std(axis=0) + 1)).astype(np.float32)
    return write_study(path, obs, genes=gene_names(600), x=x, layers={"scaled": scaled})


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("references")
    write_folder(folder / "gut")
    return folder


@pytest.fixture(scope="module")
def cells(cells_file: Path, shared: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of that study, with a reference that fits it."""
    folder = tmp_path_factory.mktemp("drafts")
    running = Server("serve", cells_file, "--single-user", "--references", shared, folder=folder).start()
    yield running
    running.close()


def by_command_line(study: Path, out: Path, *options: str | Path) -> list[str]:
    """Return the labels that the command predict gives the cells; `options` may begin with other files of the study."""
    command = [sys.executable, "-m", "iscan_dash", "predict", study, *options, "--out", out, "--name", "label"]
    environment = plain_environment() | {"ISCAN_DATA_DIR": str(out.parent / "server")}
    subprocess.run([str(part) for part in command], check=True, env=environment, capture_output=True)
    with out.open(newline="", encoding="utf-8") as stream:
        return [row["label"] for row in csv.DictReader(line for line in stream if not line.startswith("# "))]


def predicted(server: Server, browser: Browser, name: str) -> list[str]:
    """Return the labels of an annotation as the draft has them."""
    Shell(browser).wait_until_saved()
    browser.wait(lambda: list(server.folder.glob("*.csv")) and name in server.draft().columns, f"{name} in the draft")
    return server.draft().columns[name]


def test_prediction_of_the_demo_by_the_bundled_reference(browser: Browser, serve: Serve, tmp_path: Path) -> None:
    server = serve("demo", "--single-user")
    shell = Shell(browser).open(server, "/annotate")
    form = PredictionForm(browser).open()
    assert form.values() == {
        "name": "{method}_{reference}_{granularity}",
        "reference": "",
        "granularity": "main",
        "by_cluster": False,
        "column": "",
        "fine_tune": True,
        "threshold": "0.05",
        "nmads": "3",
        "no_pruning": False,
        "matrix": "",
    }
    offered = form.references()
    builtin = {"blueprint_encode", "hpca", "immgen", "monaco_immune", "mouse_rnaseq"}
    assert offered == {"hao_pbmc": True} | dict.fromkeys(builtin, False)
    assert "iscan-dash references install hpca" in form.how_to_add("hpca")
    assert form.cannot_submit()
    form.choose("hao_pbmc")
    said = form.wait_for_preflight("reference marker genes found")
    assert "2,700 cells" in said[1] and "7 labels" in said[1] and "gene names look human" in said[1]
    assert said[2].startswith("Takes about ")
    browser.until(form.resolved, 'The result is called "SingleR_hao_pbmc_main".')
    job = form.submit()
    browser.wait(lambda: '"SingleR_hao_pbmc_main" was submitted.' in shell.toasts(), "the message")
    # The form stays as it is, and can be sent again at once.
    form.granularity("fine")
    browser.until(form.resolved, 'The result is called "SingleR_hao_pbmc_fine".')
    logs = StudyLogs(browser).open()
    row = logs.wait_for_state(job, "Finished")
    assert (row.type, row.name, row.user, row.progress) == (
        "Cell type prediction",
        "SingleR_hao_pbmc_main",
        "local",
        "100 %",
    )
    expected = by_command_line(DEMO_STUDY, tmp_path / "out.csv", "--reference", "hao_pbmc")
    assert predicted(server, browser, "SingleR_hao_pbmc_main") == expected
    n_labelled = sum(label != "Unassigned" for label in expected)
    assert row.message.startswith(f"{n_labelled:,} of 2,700 cells labelled with ")
    # It opens coloured on the plot.
    logs.act(job, "open")
    plot = PlotPanel(browser)
    plot.wait_for_title("SingleR_hao_pbmc_main")
    assert plot.legend() == dict(Counter(expected))
    browser.until(lambda: browser.text(".result-name"), "SingleR_hao_pbmc_main")
    shell.go_to("Existing Annotations")
    browser.wait(lambda: "SingleR_hao_pbmc_main" in ExistingAnnotations(browser).names(), "the annotation")


@pytest.mark.skipif(not real_data("pbmc3k"), reason="pbmc3k is not here")
def test_fine_labels_of_real_cells(browser: Browser, serve: Serve, tmp_path: Path) -> None:
    (path,) = real_data("pbmc3k")
    server = serve("serve", path, "--single-user")
    Shell(browser).open(server, "/annotate")
    form = PredictionForm(browser).open().choose("hao_pbmc", "fine")
    form.wait_for_preflight("1,647 of 1,793 reference marker genes found (92%).")
    form.wait_until_done(form.submit())
    options = ("--reference", "hao_pbmc", "--granularity", "fine")
    expected = by_command_line(path, tmp_path / "out.csv", *options)
    assert predicted(server, browser, "SingleR_hao_pbmc_fine") == expected


def test_by_cluster_every_group_has_one_label(
    browser: Browser, cells: Server, tmp_path: Path, cells_file: Path, shared: Path
) -> None:
    Shell(browser).open(cells, "/annotate")
    form = PredictionForm(browser).open().choose("gut").by_cluster("leiden").name("groups")
    form.wait_for_preflight("in 4 groups")
    form.wait_until_done(form.submit())
    labels = predicted(cells, browser, "groups")
    groups = [None if place in {0, 5} else place % 4 for place in range(N_CELLS)]
    assert len({(group, label) for group, label in zip(groups, labels, strict=True)}) == 5
    assert labels[0] == labels[5] == "Unassigned"
    options = ("--reference", "gut", "--references", shared, "--by-cluster", "leiden")
    assert labels == by_command_line(cells_file, tmp_path / "out.csv", *options)


def test_higher_cutoffs_leave_fewer_cells_unassigned(browser: Browser, cells: Server) -> None:
    Shell(browser).open(cells, "/annotate")
    form = PredictionForm(browser).open().choose("gut")
    unassigned = []
    jobs = []
    for cutoff in ("2", "3", "5", "100"):
        form.name(f"cutoff {cutoff}").number("nmads", cutoff)
        browser.until(form.resolved, f'The result is called "cutoff {cutoff}".')
        jobs.append(form.submit())
    assert form.slider("nmads") == 5
    for job, cutoff in zip(jobs, ("2", "3", "5", "100"), strict=True):
        form.wait_until_done(job) if job in form.jobs() else None
        unassigned.append(predicted(cells, browser, f"cutoff {cutoff}").count("Unassigned"))
    assert unassigned == sorted(unassigned, reverse=True)
    assert unassigned[0] > unassigned[-1] == 0


def test_only_the_chosen_samples_are_labelled(browser: Browser, cells: Server) -> None:
    Shell(browser).open(cells, "/annotate")
    form = PredictionForm(browser).open().choose("gut").name("one sample")
    form.tick("samples-all", False)
    form.wait_for_error("samples", "Choose at least one sample.")
    assert form.cannot_submit()
    form.tick("sample-1")
    form.wait_for_preflight("40 cells")
    form.wait_until_done(form.submit())
    labels = predicted(cells, browser, "one sample")
    assert {label for place, label in enumerate(labels) if place % 3} == {"Unassigned"}
    assert len(set(labels[::3])) > 1


def test_what_cannot_be_is_said_at_its_place(browser: Browser, cells: Server) -> None:
    Shell(browser).open(cells, "/annotate")
    form = PredictionForm(browser).open().choose("gut")
    assert form.is_granularity_off("fine") == "This reference has no fine labels"
    assert form.is_granularity_off("main") == ""
    form.name("{lab}_x")
    form.wait_for_error("name", "Unknown placeholder {lab}. Use {method}, {reference} or {granularity}.")
    form.name("a/b")
    form.wait_for_error("name", r"Names cannot contain / or \ because HDF5 uses them as separators.")
    form.name("")
    form.wait_for_error("name", "Enter a name.")
    form.name("leiden")
    browser.until(form.resolved, '"leiden" is used already; the result will be called "leiden (2)".')
    form.number("threshold", "0.2")
    form.wait_for_error("threshold", "Fine-tune threshold must be 0 to 0.1.")
    form.number("threshold", "0.1").number("nmads", "-1")
    form.wait_for_error("threshold", "")
    form.wait_for_error("nmads", "Outlier cutoff must be a number of at least 0.")
    form.number("nmads", "3").matrix("layers/scaled")
    form.wait_for_error("matrix", "layers/scaled looks scaled (negative values). Choose counts or log values.")
    assert form.cannot_submit()
    form.matrix("").by_cluster("donor_kind", "metadata")
    form.wait_for_error("column", "donor_kind has only one group.")
    form.by_cluster("", "metadata")
    form.wait_for_error("column", "Choose a column to group by.")


def test_two_files_are_labelled_in_one_job(
    browser: Browser, serve: Serve, tmp_path: Path, cells_file: Path, shared: Path
) -> None:
    genes = [*gene_names(600)[::-1], "OTHER"]
    x = np.concatenate([some_cells()[:50, ::-1], np.ones((50, 1), np.float32)], axis=1)
    second = write_study(tmp_path / "more.h5ad", {"leiden": pd.Categorical(["0"] * 50)}, genes=genes, x=x)
    server = serve("serve", cells_file, second, "--single-user", "--references", shared)
    Shell(browser).open(server, "/annotate")
    form = PredictionForm(browser).open().choose("gut").name("both")
    form.wait_for_preflight("170 cells")
    form.wait_until_done(form.submit())
    options = (second, "--reference", "gut", "--references", shared)
    expected = by_command_line(cells_file, tmp_path / "both.csv", *options)
    assert predicted(server, browser, "both") == expected
    # The same cells have the same labels, whichever file they are in and whatever the order of its genes.
    pairs = zip(expected[:50], expected[N_CELLS:], strict=True)
    kept = [(one, other) for one, other in pairs if "Unassigned" not in {one, other}]
    assert len(kept) > 30 and all(one == other for one, other in kept)


def test_names_of_genes_by_a_column(browser: Browser, serve: Serve, tmp_path: Path, shared: Path) -> None:
    ids = [f"id{place}" for place in range(600)]
    var = {"symbol": gene_names(600), "chromosome": pd.Categorical(["1", "2"] * 300)}
    path = write_study(
        tmp_path / "ids.h5ad", {"leiden": pd.Categorical(["0"] * N_CELLS)}, genes=ids, x=some_cells(), var=var
    )
    server = serve("serve", path, "--single-user", "--references", shared)
    Shell(browser).open(server, "/annotate")
    form = PredictionForm(browser).open().choose("gut").name("by symbol")
    form.wait_for_preflight("Only 0 of ")
    assert form.gene_columns() == {
        "": "Automatic (index)",
        "_index": "index: id0 ...",
        "symbol": "symbol: GENE0 ...",
    }
    form.genes("symbol").wait_for_preflight("reference marker genes found (100%).")
    job = form.submit()
    form.wait_until_done(job)
    labels = predicted(server, browser, "by symbol")
    assert sum(label == truth for label, truth in zip(labels, TRUTH, strict=True)) > 0.8 * N_CELLS
    # It is asked for again as it was.
    StudyLogs(browser).open().act(job, "rerun")
    form.wait()
    browser.until(lambda: browser.js("return document.getElementById('predict-genes').value"), "symbol")


def test_another_organism_is_used_when_one_insists(
    browser: Browser, serve: Serve, tmp_path: Path, shared: Path
) -> None:
    # Most genes look like a mouse's; those of the reference are there all the same.
    genes = [*gene_names(600), *(f"Gene{chr(97 + place % 26)}{place}" for place in range(1500))]
    x = np.concatenate([some_cells(), np.zeros((N_CELLS, 1500), np.float32)], axis=1)
    path = write_study(tmp_path / "mixed.h5ad", {"leiden": pd.Categorical(["0"] * N_CELLS)}, genes=genes, x=x)
    server = serve("serve", path, "--single-user", "--references", shared)
    Shell(browser).open(server, "/annotate")
    form = PredictionForm(browser).open().choose("gut").name("insisted")
    form.wait_for_error("reference", "Our gut is human but gene names look like mouse.")
    form.tick("any-organism")
    said = form.wait_for_preflight("it is used anyway")
    assert "gene names look mouse" in said[1]
    form.wait_until_done(form.submit())
    labels = predicted(server, browser, "insisted")
    assert sum(label == truth for label, truth in zip(labels, TRUTH, strict=True)) > 0.8 * N_CELLS


def test_two_tabs_show_one_job(browser: Browser, cells: Server) -> None:
    shell = Shell(browser).open(cells, "/annotate")
    form = PredictionForm(browser).open().choose("gut").name("in two tabs")
    browser.until(form.resolved, 'The result is called "in two tabs".')
    job = form.submit()
    first = browser.another_tab()
    shell.open(cells, "/logs")
    assert StudyLogs(browser).wait_for_state(job, "Finished").name == "in two tabs"
    assert len(predicted(cells, browser, "in two tabs")) == N_CELLS
    browser.look_at(first)
    assert " labelled with " in form.wait_until_done(job)


def test_another_organism_needs_a_tick(browser: Browser, serve: Serve, tmp_path: Path) -> None:
    genes = [f"Gene{chr(97 + place % 26)}{place}" for place in range(600)]
    path = write_study(
        tmp_path / "mouse.h5ad", {"leiden": pd.Categorical(["0", "1"] * 60)}, genes=genes, x=some_cells()
    )
    folder = tmp_path / "references"
    write_folder(folder / "gut")
    server = serve("serve", path, "--single-user", "--references", folder)
    Shell(browser).open(server, "/annotate")
    form = PredictionForm(browser).open().choose("gut")
    form.wait_for_error("reference", "Our gut is human but gene names look like mouse.")
    assert form.cannot_submit()
    form.tick("any-organism")
    # Its genes are others, too.
    assert "marker genes were found" in form.wait_for_preflight("marker genes were found")[0]
    assert form.cannot_submit()


def test_a_reference_dropped_in_while_running(browser: Browser, cells: Server, shared: Path) -> None:
    Shell(browser).open(cells, "/annotate")
    form = PredictionForm(browser).open()
    assert "late" not in form.references()
    write_profiles(shared / "late.h5ad")
    browser.wait(lambda: form.references().get("late"), "the new reference")
    form.choose("late").name("by the late one")
    form.wait_until_done(form.submit())
    labels = predicted(cells, browser, "by the late one")
    assert sum(label == truth for label, truth in zip(labels, TRUTH, strict=True)) > 0.8 * N_CELLS


def test_the_form_is_kept_over_a_reload_and_a_job_goes_on(browser: Browser, cells: Server) -> None:
    shell = Shell(browser).open(cells, "/annotate")
    form = PredictionForm(browser).open().choose("gut").name("kept on").number("nmads", "4")
    job = form.submit()
    shell.reload()
    form.wait()
    assert form.values()["nmads"] == "4" and form.values()["name"] == "kept on"
    assert StudyLogs(browser).open().wait_for_state(job, "Finished").name == "kept on"
    assert len(predicted(cells, browser, "kept on")) == N_CELLS
