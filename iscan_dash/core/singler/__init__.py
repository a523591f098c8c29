"""SingleR: label cells by their correlation with reference profiles whose labels are known.

``train`` a `Reference` for the genes of a `Query`, then ``classify`` its cells; or take the steps apart:
``first_pass``, ``fine_tune`` (again with another threshold), ``prune`` (again with another cutoff). ``pseudo_bulk``
makes one cell of each cluster. The method is that of Aran et al., Nature Immunology 2019
(doi:10.1038/s41590-018-0276-y); names and defaults are those of the R package, whose results these are.
"""
