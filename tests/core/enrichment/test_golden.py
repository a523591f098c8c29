"""The same numbers as the peers, where the definitions are the same."""

import json

import numpy as np
import pytest
from scipy import sparse

from iscan_dash.core.engine.query import Query
from iscan_dash.core.enrichment.group_table import group_table
from iscan_dash.core.enrichment.method import Method
from iscan_dash.core.enrichment.scores import SetScores
from iscan_dash.core.enrichment.scoring import score_sets
from iscan_dash.core.enrichment.sets import MatchedSet
from tests.core.enrichment.golden import FOLDER, columns, groups, needs_golden, pbmc, pbmc_sets, rows

pytestmark = needs_golden


def scored(method: Method = Method.UCELL, **options: int) -> tuple[SetScores, dict[str, int]]:
    scores = score_sets(pbmc(), pbmc_sets(), method, threads=2, **options)
    return scores, {own.name: number for number, own in enumerate(scores.sets)}


@pytest.mark.parametrize("peer", ["pyucell", "R_UCell217"])
def test_ucell_is_that_of_the_peers(peer: str) -> None:
    scores, place = scored(max_rank=200)
    for name, wanted in columns(f"{peer}_maxrank200.csv.gz").items():
        own = scores.sets[place[name]]
        # pyucell counts a repeated gene several times; R does not, and neither do we.
        if own.is_empty or (peer == "pyucell" and name == "edge_duplicates"):
            continue
        assert np.abs(scores.score[place[name]] - wanted).max() <= 1e-6, name


def test_ucell_scores_are_the_recommended_ones() -> None:
    scores, place = scored()
    for name, wanted in columns("reco_ucell_scores.csv.gz").items():
        if scores.sets[place[name]].is_empty:
            assert np.isnan(scores.score[place[name]]).all()
        else:
            assert np.abs(scores.score[place[name]] - wanted).max() <= 1e-10, name


def test_ucell_of_cells_with_many_genes() -> None:
    with np.load(FOLDER / "synth_first300.npz") as arrays:
        parts = tuple(arrays[f"X_{part}"] for part in ("data", "indices", "indptr"))
        matrix = sparse.csr_array(parts, shape=tuple(arrays["shape"]))
        genes, wanted = arrays["genes"].tolist(), arrays["ucell"]
    sets = json.loads((FOLDER / "synth_sets50.json").read_text())
    scores = score_sets(Query.of(genes, matrix), [MatchedSet.of(name, own, genes) for name, own in sets.items()])

    assert np.abs(scores.score - wanted.T).max() <= 1e-7


@pytest.mark.parametrize(("peer", "share"), [("decoupler_aucell", 0.05), ("decoupler_aucell_nup100", None)])
def test_aucell_is_the_middle_of_the_orders_of_ties(
    peer: str, share: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The peer orders ties at random: its score is between that of the best and of the worst order."""
    values = pbmc().blocks().__next__().toarray()
    max_rank = 100 if share is None else int(np.ceil(share * values.shape[1]))
    monkeypatch.setattr("iscan_dash.core.enrichment.scoring.TOP_SHARE", max_rank / values.shape[1] - 1e-9)
    scores, place = scored(Method.AUCELL)
    assert scores.max_rank == max_rank
    n_exact = 0
    for name, wanted in columns(f"{peer}.csv.gz").items():
        genes = scores.sets[place[name]].columns
        m = min(len(genes), max_rank - 1)
        highest = m * max_rank - m * (m + 1) / 2
        for cell, value in enumerate(wanted):
            row = values[cell]
            bounds = []
            for sign in (1e-6, -1e-6):
                tied = row.astype(np.float64)
                tied[genes] += sign
                rank = np.empty(len(row))
                rank[np.argsort(-tied, kind="stable")] = np.arange(1, len(row) + 1)
                bounds.append(np.maximum(max_rank - rank[genes], 0).sum() / highest)
            best, worst = bounds
            assert worst - 1e-8 <= value <= best + 1e-8
            if (row > 0).sum() >= max_rank:
                assert worst - 1e-12 <= scores.score[place[name], cell] <= best + 1e-12
                if best == worst:
                    n_exact += 1
                    assert abs(scores.score[place[name], cell] - value) <= 1e-8
    assert n_exact > 1000


def test_ulm_is_that_of_decoupler() -> None:
    scores, place = scored(Method.ULM)
    for name, wanted in columns("decoupler_ulm.csv.gz").items():
        assert np.abs(scores.score[place[name]] - wanted).max() <= 1e-8 * max(1, np.abs(wanted).max()), name


def test_module_score_is_that_of_scanpy() -> None:
    scores, place = scored(Method.MODULE)
    for name, wanted in columns("scanpy_score_genes.csv.gz").items():
        assert np.abs(scores.score[place[name]] - wanted).max() <= 1e-8, name


@pytest.mark.parametrize("column", ["bulk_labels", "louvain"])
def test_statistics_are_the_recommended_ones_row_by_row(column: str) -> None:
    scores, place = scored()
    codes, names = groups(column)
    table = group_table(scores, codes, len(names), threads=2)
    fields = {
        "avg_expression": table.average_expression,
        "avg_percentage": table.average_percentage,
        "score": table.score,
        "score_diff": table.difference,
        "auc": table.auc,
    }
    wanted = rows(f"reco_table_{column}.csv")
    assert len(wanted) == table.score.size
    for row in wanted:
        at = names.index(row["group"]), place[row["gene_set"]]
        own = scores.sets[at[1]]
        assert (table.n_cells[at[0]], own.n_requested, own.n_found) == tuple(
            int(row[key]) for key in ("n_cells", "n_genes", "n_genes_found")
        )
        for key, found in fields.items():
            assert found[at] == pytest.approx(float(row[key] or "nan"), rel=1e-7, abs=3e-10, nan_ok=True), (row, key)
        for key, logs in (("p", table.minus_log10_p), ("p_bh", table.minus_log10_adjusted)):
            # The file has ten digits.
            p = float(row[key] or "nan")
            assert logs[at] == pytest.approx(-np.log10(p), abs=3e-10, nan_ok=True), (row, key)
