"""What was opened: cells, samples, columns, embeddings and matrices of one or more ``.h5ad`` files."""

from iscan_dash.core.study.columns import CategoryColumn, Column, NumberColumn
from iscan_dash.core.study.study import Choices, ColumnInfo, Study, open_study

__all__ = ["CategoryColumn", "Choices", "Column", "ColumnInfo", "NumberColumn", "Study", "open_study"]
