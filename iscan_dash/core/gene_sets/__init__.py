"""Gene sets: read from what labs have, written again, and matched to the genes of a study."""

from iscan_dash.core.gene_sets.gene_set import GeneSet
from iscan_dash.core.gene_sets.match import FoundSet, GeneIndex, match_set
from iscan_dash.core.gene_sets.read import ReadSets, read_gene_sets

__all__ = ["FoundSet", "GeneIndex", "GeneSet", "ReadSets", "match_set", "read_gene_sets"]
