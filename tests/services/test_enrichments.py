"""Enrichment: from gene sets by way of a job to a table of groups and an annotation, against golden tables."""

import stat
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from iscan_dash.core.gene_sets import GeneSet, read_gene_sets
from iscan_dash.core.selection.mask_codec import encode
from iscan_dash.core.study import CategoryColumn, Study
from iscan_dash.errors import (
    EditConflict,
    EnrichmentRefused,
    NameRefused,
    PredictionRefused,
    StorageError,
    UnknownColumn,
)
from iscan_dash.services import enrichment_list, result_files
from iscan_dash.services import enrichments as module
from iscan_dash.services.enrichment import enrichment_preflight, match_genes, score_study
from iscan_dash.services.enrichment_labels import GroupChoice, LabelChoice
from iscan_dash.services.enrichment_parameters import EnrichmentParameters, plain_parameters, read_parameters
from iscan_dash.services.enrichment_result import EnrichmentResult
from iscan_dash.services.enrichments import Enrichments
from iscan_dash.services.job_table import Job, JobState
from iscan_dash.services.jobs import Jobs
from iscan_dash.services.workspace import Source, Workspace
from iscan_dash.services.workspaces import Workspaces
from tests.conftest import Opener
from tests.core.singler.golden import GOLDEN as PEERS
from tests.studies import write_study

GOLDEN = PEERS / "enrichment"
LOUVAIN = Source("cluster", "louvain")

needs_golden = pytest.mark.skipif(not GOLDEN.is_dir(), reason="the golden files are not here")


def write_golden(path: Path) -> Path:
    """Write the 700 cells of the golden files, some without a fate."""
    obs = pd.read_csv(GOLDEN / "pbmc_obs.csv", dtype=str)
    genes = pd.read_csv(GOLDEN / "pbmc_genes.csv").iloc[:, 0].astype(str)
    columns = {name: pd.Categorical(obs[name]) for name in ("bulk_labels", "louvain")}
    columns["fate"] = pd.Categorical(
        [None if place % 7 == 0 else "A" if place % 2 else "B" for place in range(len(obs))]
    )
    columns["rare"] = pd.Categorical(["one" if place == 3 else "rest" for place in range(len(obs))])
    columns["all"] = pd.Categorical(["everything"] * len(obs))
    columns["depth"] = np.linspace(0.5, 9.7, len(obs))
    x = sparse.load_npz(GOLDEN / "pbmc_X.npz")
    return write_study(path, columns, cells=obs.iloc[:, 0].tolist(), genes=genes.tolist(), x=sparse.csr_matrix(x))


@pytest.fixture
def study(tmp_path: Path, open_files: Opener) -> Study:
    return open_files(write_golden(tmp_path / "pbmc.h5ad"))


@pytest.fixture
def workspaces(tmp_path: Path, study: Study) -> Iterator[Workspaces]:
    workspaces = Workspaces(study, annotations_dir=tmp_path / "drafts")
    yield workspaces
    workspaces.close()


@pytest.fixture
def ada(workspaces: Workspaces) -> Workspace:
    return workspaces.enter("a", "Ada")


@pytest.fixture
def jobs(tmp_path: Path, workspaces: Workspaces) -> Iterator[Jobs]:
    jobs = Jobs(workspaces, tmp_path / "server")
    yield jobs
    jobs.close()


def golden_sets() -> tuple[GeneSet, ...]:
    return read_gene_sets((GOLDEN / "sets.gmt").read_bytes(), "sets.gmt").sets


def golden_parameters(**changes: object) -> EnrichmentParameters:
    # One of the edge sets has no exact match, but several by case; the golden tables know only exact ones.
    sets = tuple(own for own in golden_sets() if own.name != "edge_lower_case")
    return EnrichmentParameters(sets, "Golden", **changes)


def run(jobs: Jobs, workspace: Workspace, parameters: EnrichmentParameters, name: str = "Run") -> Job:
    job = jobs.submit("enrichment", name, plain_parameters(parameters), workspace)
    for _ in range(6000):
        if not jobs.get(job.id).is_active:
            return jobs.get(job.id)
        time.sleep(0.02)
    raise AssertionError("the job does not end")


@needs_golden
def test_from_job_to_table_to_annotation(jobs: Jobs, ada: Workspace, tmp_path: Path) -> None:
    job = run(jobs, ada, golden_parameters())
    assert job.state is JobState.FINISHED, jobs.log(job.id)
    assert job.message == "700 cells scored for 12 gene sets. Without a gene in this study: edge_all_missing."
    enrichments = Enrichments(ada)
    (entry,) = enrichments.list()
    assert (entry.id, entry.name, entry.n_cells, entry.n_sets, entry.n_used) == (job.result, "Run", 700, 13, 12)
    assert entry.to_json()["method_title"] == "UCell" and entry.matrix == "X"
    # The table of every grouping equals the brute-force one.
    for column in ("louvain", "bulk_labels"):
        grouped = enrichments.table(entry.id, Source("cluster", column))
        wanted = pd.read_csv(GOLDEN / f"reco_table_{column}.csv", dtype={"group": str})
        plain = grouped.to_json()
        sets = [own["name"] for own in plain["sets"]]
        groups = [own["label"] for own in plain["groups"]]
        n_compared = 0
        for row in wanted.itertuples():
            if row.gene_set == "edge_lower_case" or row.group not in groups:
                continue
            place, number = groups.index(row.group), sets.index(row.gene_set)
            assert plain["groups"][place]["n"] == row.n_cells
            assert plain["sets"][number]["found"] == row.n_genes_found
            for own, name in (
                ("average_expression", "avg_expression"),
                ("average_percentage", "avg_percentage"),
                ("score", "score"),
                ("difference", "score_diff"),
                ("auc", "auc"),
            ):
                value = plain["columns"][own][place][number]
                expected = getattr(row, name)
                if row.n_genes_found == 0:
                    assert value is None
                else:
                    assert value == pytest.approx(expected, rel=1e-6, abs=1e-9)
            if row.n_genes_found:
                p = plain["columns"]["minus_log10_p"][place][number]
                assert p == pytest.approx(-np.log10(row.p), rel=1e-8, abs=1e-8)
            n_compared += 1
        assert n_compared > 50
    # Two ticked, one custom, the rest nothing.
    grouped = enrichments.table(entry.id, LOUVAIN)
    labels = [group.label for group in grouped.groups]
    choice = LabelChoice(
        LOUVAIN,
        (
            GroupChoice(labels[0], ("T cell", "B cell")),
            GroupChoice(labels[1], ("NK",), custom=True, text="  killers "),
            GroupChoice(labels[2], ("B cell",)),
            GroupChoice(labels[3], ("B cell",)),
        ),
        default="Unknown",
        stamp=grouped.stamp,
    )
    labelled = enrichments.labels(entry.id, choice)
    assert [row.label for row in labelled.rows[:4]] == ["B cell / T cell", "killers", "B cell", "B cell"]
    assert labelled.n_unlabelled == len(labels) - 4 and labelled.merged == {"B cell": labels[2:4]}
    assert not labelled.to_json()["n_problems"]
    made = enrichments.create(entry.id, choice, "Fates")
    column = ada.study.category("louvain")
    of_group = {row.group: row.label for row in labelled.rows}
    texts = [label.text for label in made.live.labels]
    assert [texts[code] for code in made.codes] == [of_group[column.labels[code]] for code in column.codes]
    recipe = made.live.recipe
    assert made.live.origin == "enrichment" and recipe["group_by"]["key"] == "louvain" and recipe["method"] == "UCell"
    assert {own["name"] for own in recipe["sets"]} == {"T cell", "B cell", "NK"}
    assert recipe["groups"][0]["sets"]["T cell"]["auc"] is not None
    # By the annotation that was just made; after an edit its groups are others.
    by = Source("annotation", made.id)
    before = enrichments.table(entry.id, by)
    assert before.groups[0].label in texts
    choice = LabelChoice(by, (), stamp=before.stamp)
    ada.rename(made.id, "Fates 2", made.version)
    with pytest.raises(EditConflict, match="changed meanwhile"):
        enrichments.create(entry.id, choice, "Late")


@needs_golden
def test_an_edit_while_groups_are_read_is_not_missed(ada: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    enrichments, versions, by = Enrichments(ada), [1], Source("annotation", "x")
    old, new = (CategoryColumn("x", np.full(2, code, np.int32), ("a",)) for code in (-1, 0))

    def read(_: Source) -> CategoryColumn:
        # It is edited as soon as it was read for the first time.
        versions.append(2)
        return old if len(versions) == 2 else new

    monkeypatch.setattr(ada, "version_of", lambda _: versions[-1])
    monkeypatch.setattr(ada, "category", read)
    monkeypatch.setattr(enrichments, "result", lambda _: None)
    table = SimpleNamespace(score=np.zeros((1, 1)))
    monkeypatch.setattr(
        module,
        "group_scores",
        lambda _result, _by, column, _stamp: SimpleNamespace(column=column, codes=column.codes, table=table),
    )
    assert [enrichments.table("y", by).column for _ in range(3)] == [old, new, new]


@needs_golden
def test_filtered_cells_missing_values_and_small_groups(jobs: Jobs, ada: Workspace) -> None:
    mask = np.arange(700) % 3 > 0
    job = run(jobs, ada, golden_parameters(cells=encode(mask), cells_recipe={"text": "two of three"}))
    enrichments = Enrichments(ada)
    entry = enrichments.entry(job.result or "")
    assert (entry.n_cells, entry.n_all, entry.cells) == (int(mask.sum()), 700, "two of three")
    fate = enrichments.table(entry.id, Source("metadata", "fate"))
    codes = ada.study.category("fate").codes[mask]
    assert [(group.label, group.n) for group in fate.groups] == [
        ("A", int((codes == 0).sum())),
        ("B", int((codes == 1).sum())),
        (None, int((codes == -1).sum())),
    ]
    made = enrichments.create(
        entry.id,
        LabelChoice(
            fate.by,
            (GroupChoice("A", ("NK",)), GroupChoice(None, custom=True, text="none")),
        ),
        "By fate",
    )
    texts = np.array([label.text for label in made.live.labels])[made.codes]
    everywhere = ada.study.category("fate").codes
    expected = np.where(~mask, "Unassigned", np.array(["NK", "Unassigned", "none"])[everywhere])
    assert (texts == expected).all()
    assert enrichments.labels(entry.id, LabelChoice(fate.by, ())).n_left_out == int((~mask).sum())
    rare = enrichments.table(entry.id, Source("metadata", "rare")).to_json()
    assert [group["n"] for group in rare["groups"]][-1] == entry.n_cells
    everything = enrichments.table(entry.id, Source("metadata", "all")).to_json()
    for name in ("difference", "minus_log10_p", "auc"):
        assert {value for row in everything["columns"][name] for value in row} == {None}
    assert everything["best"] == [None]
    assert any("only one group" in text for text in everything["warnings"])
    with pytest.raises(EnrichmentRefused, match="no groups"):
        enrichments.table(entry.id, Source("metadata", "depth"))
    with pytest.raises(EnrichmentRefused, match="Choose a column"):
        enrichments.table(entry.id, Source("metadata", ""))
    with pytest.raises(UnknownColumn):
        enrichments.table(entry.id, Source("annotation", "0" * 32))


@needs_golden
def test_labels_that_cannot_be(jobs: Jobs, ada: Workspace) -> None:
    long = golden_sets()[0]
    sets = tuple(replace(long, name=f"a rather long name of a set of genes number {place}") for place in range(4))
    job = run(jobs, ada, EnrichmentParameters(sets))
    enrichments = Enrichments(ada)
    first, second = (group.label for group in enrichments.table(job.result or "", LOUVAIN).groups[:2])
    choice = LabelChoice(
        LOUVAIN, (GroupChoice(first, custom=True), GroupChoice(second, tuple(own.name for own in sets)))
    )
    rows = enrichments.labels(job.result or "", choice).rows
    assert (rows[0].code, rows[0].problem) == (
        "E21",
        f"Enter the custom label for group {first}, or switch Custom off.",
    )
    assert rows[1].code == "E07" and "Custom" in rows[1].problem
    with pytest.raises(NameRefused, match="Enter the custom label"):
        enrichments.create(job.result or "", choice, "x")
    with pytest.raises(NameRefused, match="default"):
        enrichments.labels(job.result or "", replace(choice, default=" "))
    for odd in (GroupChoice("nobody"), GroupChoice(first, ("no set",))):
        with pytest.raises(UnknownColumn):
            enrichments.labels(job.result or "", replace(choice, groups=(odd,)))
    with pytest.raises(NameRefused, match="already used"):
        enrichments.create(job.result or "", LabelChoice(LOUVAIN, ()), "louvain")


@needs_golden
def test_the_list(
    jobs: Jobs, ada: Workspace, workspaces: Workspaces, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parameters = replace(golden_parameters(), sets=golden_sets()[:2])
    first = run(jobs, ada, parameters).result or ""
    second = run(jobs, ada, replace(parameters, method="aucell")).result or ""
    enrichments = Enrichments(ada)
    assert [entry.name for entry in enrichments.list()] == ["Run (2)", "Run"]
    assert Enrichments(workspaces.enter("b", "Ben")).list() == []
    version = enrichments.version
    with pytest.raises(NameRefused, match="another enrichment result"):
        enrichments.rename(second, "run")
    assert enrichments.rename(second, "AUCell").name == "AUCell" and enrichments.version != version
    enrichments.table(first, LOUVAIN)
    enrichments.delete(first)
    assert [entry.name for entry in enrichments.list()] == ["AUCell"]
    with pytest.raises(UnknownColumn, match="deleted"):
        enrichments.table(first, LOUVAIN)
    enrichments.restore(first)
    # The collection may be given another name: the results go along.
    ada.name_collection("blood")
    assert enrichments.table(first, LOUVAIN).result.folder.is_dir()
    for id_ in ("", "../..", "0" * 32):
        for act in (enrichments.delete, enrichments.restore, enrichments.result):
            with pytest.raises(UnknownColumn):
                act(id_)
    # A month after it was deleted it is gone for good.
    folder = enrichments.result(first).folder
    enrichments.delete(first)
    monkeypatch.setattr(enrichment_list, "KEEP_DELETED", -1.0)
    run(jobs, ada, replace(parameters, method="ulm"))
    assert not folder.exists()
    with pytest.raises(UnknownColumn, match="long ago"):
        enrichments.restore(first)
    # Files that are gone or damaged are said.
    (enrichments.result(second).folder / "result.json").write_text("{")
    with pytest.raises(StorageError, match="Run the analysis again"):
        Enrichments(ada).result(second)


@needs_golden
def test_a_result_that_cannot_be_kept_leaves_nothing(
    jobs: Jobs, ada: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    parameters = replace(golden_parameters(), sets=golden_sets()[:2])
    with monkeypatch.context() as patch:
        patch.setattr(result_files, "sync", full)
        job = run(jobs, ada, parameters)
    assert job.state is JobState.FAILED and "No space left on device. Free the disk" in job.message
    assert Enrichments(ada).list() == []
    with monkeypatch.context() as patch:
        patch.setattr(module, "write_list", lambda *_: (_ for _ in ()).throw(StorageError("no journal")))
        job = run(jobs, ada, parameters)
    assert job.state is JobState.FAILED and list(ada.place.results.iterdir()) == []
    job = run(jobs, ada, parameters)
    (folder,) = ada.place.results.iterdir()
    assert job.state is JobState.FINISHED and folder.name == job.result
    assert {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()} == {0o600}
    # Cells were ranked by the worker; where that is gone they are ranked anew.
    kept = EnrichmentResult.load(folder).ranked
    (folder / "ranks.npy").unlink()
    again = EnrichmentResult.load(folder).ranked
    assert (kept.ranks == again.ranks).all() and (kept.ties == again.ties).all()


@needs_golden
def test_a_result_on_another_disk_is_copied(jobs: Jobs, ada: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    replacing = Path.replace

    def elsewhere(self: Path, target: Path) -> Path:
        if ".folder" in str(target.parent):
            raise OSError(18, "Invalid cross-device link")
        return replacing(self, target)

    monkeypatch.setattr(Path, "replace", elsewhere)
    job = run(jobs, ada, replace(golden_parameters(), sets=golden_sets()[:2]))
    assert job.state is JobState.FINISHED, job.message
    assert len(Enrichments(ada).table(job.result or "", LOUVAIN).groups) == 11


def test_several_files_are_scored_as_one(tmp_path: Path, open_files: Opener) -> None:
    random = np.random.default_rng(5)
    genes = [f"GENE{place}" for place in range(60)]
    counts = random.poisson(0.7, (40, 60)).astype(np.float32)
    order = random.permutation(60)
    whole = open_files(write_study(tmp_path / "whole.h5ad", cells=40, genes=genes, x=counts))
    halves = open_files(
        write_study(tmp_path / "a.h5ad", cells=25, genes=genes, x=counts[:25]),
        write_study(
            tmp_path / "b.h5ad",
            cells=15,
            genes=[genes[place] for place in order],
            x=sparse.csc_matrix(counts[25:, order]),
        ),
    )
    sets = (GeneSet("some", tuple(genes[:9])), GeneSet("other", tuple(genes[20:30]), tuple(genes[40:43])))
    for method in ("ucell", "aucell", "module", "ulm"):
        parameters = EnrichmentParameters(sets, method=method, any_organism=True)
        one, two = score_study(whole, parameters).scores, score_study(halves, parameters).scores
        np.testing.assert_allclose(one.expression, two.expression, rtol=1e-5)
        np.testing.assert_allclose(one.score, two.score, rtol=1e-5, atol=1e-7)
        cells = np.arange(40) % 2 == 0
        some = score_study(halves, replace(parameters, cells=encode(cells))).scores
        if method != "module":
            np.testing.assert_allclose(some.score, two.score[:, cells], rtol=1e-5, atol=1e-7)


@needs_golden
def test_preflight(study: Study) -> None:
    parameters = EnrichmentParameters(golden_sets(), "Golden")
    found = enrichment_preflight(study, parameters).to_json()
    assert found["n_usable"] == 13 and found["species_sets"] == found["species_study"] == "human"
    by_name = {own["name"]: own for own in found["sets"]}
    assert by_name["edge_lower_case"]["by_case"] == 3 and by_name["edge_all_missing"]["found"] == 0
    assert by_name["B cell"]["missing"] == ["CD19"] or by_name["B cell"]["found"] == 6
    assert any("only by ignoring case" in text for text in found["warnings"])
    assert len(match_genes(study, parameters)) == 14
    mouse = GeneSet("T", ("Cd3d", "Cd3e", "Cd2", "Cd4"))
    with pytest.raises(EnrichmentRefused, match="mouse but gene names look like human") as caught:
        enrichment_preflight(study, EnrichmentParameters((mouse,), "Mine"))
    assert caught.value.code == "E14"
    used = enrichment_preflight(study, EnrichmentParameters((mouse,), "Mine", any_organism=True))
    assert "used anyway" in used.warnings[0] and used.matched[0].n_found == 4
    for changes, code in (
        ({"sets": ()}, "E51"),
        ({"sets": (GeneSet("x", ("FOO",)),)}, "E52"),
        ({"sets": (mouse, mouse)}, "E53"),
        ({"cells": encode(np.zeros(700, bool))}, ""),
        ({"cells": b"x"}, ""),
        ({"sets": tuple(GeneSet(f"s{n}", ("A",)) for n in range(1001))}, "E51"),
        ({"sets": (GeneSet("s", tuple(f"A{n}" for n in range(500_001))),)}, "E51"),
        ({"method": "gsva"}, ""),
        ({"max_rank": 0}, ""),
        ({"seed": -1}, ""),
    ):
        with pytest.raises(EnrichmentRefused) as caught:
            enrichment_preflight(study, replace(parameters, **changes))
        assert caught.value.code == code, changes


def test_parameters_that_are_none() -> None:
    good = plain_parameters(EnrichmentParameters((GeneSet("x", ("A",)),), cells=b"\x01"))
    assert read_parameters(good).cells == b"\x01"
    for changes in (
        {"cells": "?"},
        {"cells": "AAAA"},
        {"sets": 3},
        {"sets": [{"name": "x"}]},
        {"more": 1},
        {"sets": [{"name": 1, "genes": []}]},
    ):
        with pytest.raises(EnrichmentRefused):
            read_parameters({**good, **changes})


def test_scaled_values_are_refused(tmp_path: Path, open_files: Opener) -> None:
    study = open_files(
        write_study(tmp_path / "a.h5ad", genes=["CD3D", "LYZ"], x=np.array([[1.0, -2], [0.5, 3], [0, 1], [1, 1]]))
    )
    with pytest.raises(PredictionRefused, match="looks scaled"):
        enrichment_preflight(study, EnrichmentParameters((GeneSet("x", ("CD3D",)),)))


def test_ensembl_ids_find_symbols_and_back(tmp_path: Path, open_files: Opener) -> None:
    ids = [f"ENSG{place:011d}" for place in range(5)]
    symbols = ["CD3D", "CD3E", "MS4A1", "LYZ", "NKG7"]
    by_symbol = open_files(
        write_study(tmp_path / "a.h5ad", genes=symbols, var={"gene_ids": [f"{own}.2" for own in ids]})
    )
    by_id = open_files(write_study(tmp_path / "b.h5ad", genes=ids, var={"feature_name": symbols}))
    for study in (by_symbol, by_id):
        for genes in (("CD3D", "NKG7"), (ids[0], ids[4])):
            (found,) = match_genes(study, EnrichmentParameters((GeneSet("x", genes),)))
            assert found.high.tolist() == [0, 4], (genes, found.missing)
    both = open_files(tmp_path / "a.h5ad", write_study(tmp_path / "c.h5ad", genes=symbols[::-1][:4]))
    (found,) = match_genes(both, EnrichmentParameters((GeneSet("x", (ids[4], "CD3D", "LYZ")),)))
    assert found.n_found == 2 and found.missing == ("CD3D",)
