"""What conditions of a selection are called: columns, annotations, genes and saved selections by their names."""

from collections.abc import Callable

from iscan_dash.core.annotations import Annotation
from iscan_dash.core.selection import AllOf, AnyOf, Cells, Labels, Not, PlotAreas, Query, Range, Saved
from iscan_dash.errors import UnknownColumn
from iscan_dash.services.saved_selections import SavedSelections
from iscan_dash.services.workspace import Workspace

SAMPLE = "Sample"


class WorkspaceNames:
    """Names of a workspace's columns, annotations and genes, and of saved selections; see `core.selection.text.Names`.

    Parameters
    ----------
    workspace
        The study and its annotations.
    saved
        The saved selections.
    find_cells
        Gives the list of cells of a digest.
    """

    def __init__(self, workspace: Workspace, saved: SavedSelections, find_cells: Callable[[str], Cells | None]) -> None:
        self._workspace = workspace
        self._saved = saved
        self.find_cells = find_cells

    def title(self, kind: str, key: str) -> str | None:
        """Return the name of a column, gene or annotation, None when it is not there."""
        if kind == "sample":
            return SAMPLE
        if kind == "annotation":
            try:
                return self._workspace.annotation(key).live.name
            except UnknownColumn:
                return None
        there = self._workspace.study.genes if kind == "gene" else self._workspace.study.columns
        return key if key in there else None

    def find(self, kind: str | None, name: str) -> tuple[str, str] | None:
        """Return kind and key of what has a name; of whichever kind when None. None when nothing has, or several do."""
        study = self._workspace.study
        if kind in {"metadata", "cluster"}:
            return (kind, name) if name in study.columns else None
        if kind == "gene":
            return (kind, name) if name in study.genes else None
        if kind == "sample":
            return "sample", ""
        found = [] if kind else self._columns(name)
        if kind in {None, "annotation"}:
            found += [("annotation", own.id) for own in self._annotations(name)]
        if not found and kind is None and name in study.genes:
            return "gene", name
        return found[0] if len(found) == 1 else None

    def _columns(self, name: str) -> list[tuple[str, str]]:
        study = self._workspace.study
        info = study.columns.get(name)
        # The column that tells files apart is made of the samples, which are called like it.
        if info is not None and name != study.file_column:
            return [("cluster" if info.role == "cluster" else "metadata", name)]
        return [("sample", "")] if name.casefold() == SAMPLE.casefold() else []

    def _annotations(self, name: str) -> list[Annotation]:
        own = [state for state in self._workspace.annotations() if state.live.name == name]
        # What others made may have any name; one's own is meant first.
        return own or [state for state in self._workspace.others() if state.live.name == name]

    def saved_name(self, saved_id: str) -> str | None:
        """Return the name of a saved selection, None when it is not there."""
        own = self._saved.all().get(saved_id)
        return own.name if own else None

    def find_saved(self, name: str) -> str | None:
        """Return the id of the saved selection of a name."""
        known = self._saved.all().values()
        return next((own.id for own in known if own.name.casefold() == name.casefold()), None)

    def what(self, query: Query) -> str:
        """Say in a word or two what a condition is about."""
        if isinstance(query, Not):
            return self.what(query.of)
        if isinstance(query, Labels | Range):
            return self.title(query.kind, query.key) or query.key
        if isinstance(query, Saved):
            return self.saved_name(query.id) or "Saved selection"
        if isinstance(query, PlotAreas):
            return f"Plot {query.plot}"
        if isinstance(query, AllOf | AnyOf):
            return "Query"
        return "Cell IDs" if isinstance(query, Cells) else "Condition"
