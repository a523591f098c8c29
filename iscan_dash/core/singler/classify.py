"""The whole of it: score, fine-tune and prune in one pass over the cells."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np

from iscan_dash.core.engine.chunks import MapChunks, chunks_of
from iscan_dash.core.engine.control import Control
from iscan_dash.core.engine.query import Block, Query
from iscan_dash.core.singler.fine_tune import Tuned, tune_all
from iscan_dash.core.singler.first_pass import FirstPass, scored
from iscan_dash.core.singler.prune import Pruned, prune
from iscan_dash.core.singler.train import Trained

PRUNED = "pruned"
NO_MARKERS = "no marker genes detected"


@dataclass(frozen=True, eq=False)
class Classified:
    """Labels of cells, and what they rest on.

    Parameters
    ----------
    labels
        The labels that codes stand for.
    first
        Scores, and what the labels were before fine-tuning.
    tuned
        Final labels.
    pruned
        Which of them are not to be trusted.
    """

    labels: tuple[str, ...]
    first: FirstPass
    tuned: Tuned
    pruned: Pruned

    def assigned(self) -> np.ndarray:
        """Return each cell's label, -1 where it was pruned or no marker gene was found, shape (n_cells,), int32."""
        return np.where(self.pruned.is_pruned | (self.first.detected == 0), np.int32(-1), self.tuned.label)

    def reason(self, cell: int) -> str:
        """Return why a cell has no label, empty if it has one."""
        if self.first.detected[cell] == 0:
            return NO_MARKERS
        return PRUNED if self.pruned.is_pruned[cell] else ""

    def pruned_with(self, nmads: float | None) -> "Classified":
        """Return the same with another cutoff; nothing is classified again."""
        pruned = prune(self.first.scores, self.tuned.label, self.tuned.delta, nmads=nmads)
        return Classified(self.labels, self.first, self.tuned, pruned)


def classify(
    trained: Trained,
    query: Query,
    *,
    quantile: float = 0.8,
    threshold: float | None = 0.05,
    nmads: float | None = 3.0,
    threads: int = 1,
    control: Control | None = None,
    scores: np.ndarray | None = None,
    map_chunks: MapChunks | None = None,
) -> Classified:
    """Label cells by a reference.

    Parameters
    ----------
    trained
        The reference, trained for the query's genes.
    query
        The cells, or the clusters of a `PseudoBulk`. They are read once.
    quantile
        Quantile of the correlations with a label's profiles that is the label's score, 0 to 1.
    threshold
        Labels within this of the best score are considered again; None leaves fine-tuning out.
    nmads
        Deviations below the median from which a label is pruned; with None, or 100 and more, nothing is.
    threads
        Threads to use; the results are the same to the last bit for any number, and for any size of blocks.
    control
        Who is told of the progress and may cancel.
    scores
        Where to write the scores, shape (n_cells, n_labels), float64; memory of our own when None.
    map_chunks
        Who labels chunks of cells, with the same results to the last bit; done here when None.

    Raises
    ------
    PredictionRefused
        The matrix is scaled, has missing values or other genes.
    Cancelled
        It was cancelled.

    Examples
    --------
    >>> from iscan_dash.core.singler.reference import Reference
    >>> from iscan_dash.core.singler.train import train
    >>> values = np.array([[5.0, 0.0, 1.0], [0.5, 7.0, 1.0]])
    >>> reference = Reference(["CD3D", "LYZ", "ACTB"], values, ["T cell", "Monocyte"])
    >>> query = Query.of(["LYZ", "ACTB", "CD3D"], np.array([[0.0, 2.0, 3.0], [4.0, 2.0, 0.0]]))
    >>> found = classify(train(reference, query.genes), query)
    >>> [found.labels[code] for code in found.assigned()]
    ['T cell', 'Monocyte']
    """
    control = control or Control()
    first = FirstPass.empty(query.n_cells, len(trained.labels), quantile, scores)
    tuned = Tuned(np.empty(query.n_cells, np.int32), np.empty(query.n_cells))
    if map_chunks is None:
        _label(trained, query, first, tuned, threshold, threads, control)
    else:
        _label_chunks(map_chunks, trained, query, first, tuned, threshold, control)
    control.tell("prune", 0, query.n_cells)
    pruned = prune(first.scores, tuned.label, tuned.delta, nmads=nmads)
    return Classified(trained.labels, first, tuned, pruned)


def _label(
    trained: Trained,
    query: Query,
    first: FirstPass,
    tuned: Tuned,
    threshold: float | None,
    threads: int,
    control: Control,
) -> None:
    """Score and fine-tune cells here."""
    with ThreadPoolExecutor(threads) as pool:
        cells = scored(trained, query, first, pool, threads, control)
        if threshold is None:
            for _ in cells:
                pass
            tuned.label[:], tuned.delta[:] = first.label, first.delta
        else:
            tune_all(trained, cells, first, tuned, threshold, pool, threads, control)


def _label_chunks(
    map_chunks: MapChunks,
    trained: Trained,
    query: Query,
    first: FirstPass,
    tuned: Tuned,
    threshold: float | None,
    control: Control,
) -> None:
    """Have chunks of cells scored and fine-tuned elsewhere."""
    query.refuse_scaled()
    control.tell("score", 0, query.n_cells)
    shared = trained, first.quantile, threshold, query.name
    end = 0
    for own, own_tuned in map_chunks(label_chunk, shared, chunks_of(query, len(trained.labels))):
        rows = slice(end, end + len(own.label))
        first.scores[rows], first.label[rows], first.delta[rows] = own.scores, own.label, own.delta
        first.detected[rows], tuned.label[rows], tuned.delta[rows] = own.detected, own_tuned.label, own_tuned.delta
        end = rows.stop
        control.tell("score", end, query.n_cells)
        if threshold is not None:
            control.tell("fine-tune", end, query.n_cells)


def label_chunk(shared: tuple[Trained, float, float | None, str], chunk: Block) -> tuple[FirstPass, Tuned]:
    """Score and fine-tune a chunk of cells.

    Parameters
    ----------
    shared
        The reference, the quantile, the threshold, and what the matrix is called; see `classify`.
    chunk
        The cells.
    """
    trained, quantile, threshold, name = shared
    query = Query.of([None] * trained.n_genes_query, chunk, name=name)
    first = FirstPass.empty(query.n_cells, len(trained.labels), quantile)
    tuned = Tuned(np.empty(query.n_cells, np.int32), np.empty(query.n_cells))
    _label(trained, query, first, tuned, threshold, 1, Control())
    return first, tuned
