"""SingleR: label cells by their correlation with reference profiles whose labels are known.

``train`` a `Reference` for the genes of a `Query`, then ``classify`` its cells; or take the steps apart:
``first_pass``, ``fine_tune`` (again with another threshold), ``prune`` (again with another cutoff). ``pseudo_bulk``
makes one cell of each cluster. The method is that of Aran et al., Nature Immunology 2019
(doi:10.1038/s41590-018-0276-y); names and defaults are those of the R package, whose results these are.
"""

from iscan_dash.core.singler.classify import Classified, classify
from iscan_dash.core.singler.control import Cancelled, Control
from iscan_dash.core.singler.fine_tune import Tuned, fine_tune
from iscan_dash.core.singler.first_pass import FirstPass, first_pass
from iscan_dash.core.singler.prune import Pruned, prune
from iscan_dash.core.singler.pseudo_bulk import PseudoBulk, pseudo_bulk
from iscan_dash.core.singler.query import Query
from iscan_dash.core.singler.reference import Reference
from iscan_dash.core.singler.train import Trained, train
from iscan_dash.core.singler.warm_up import is_warm, warm_up

__all__ = [
    "Cancelled",
    "Classified",
    "Control",
    "FirstPass",
    "Pruned",
    "PseudoBulk",
    "Query",
    "Reference",
    "Trained",
    "Tuned",
    "classify",
    "fine_tune",
    "first_pass",
    "is_warm",
    "prune",
    "pseudo_bulk",
    "train",
    "warm_up",
]
