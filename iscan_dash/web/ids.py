"""Ids of everything on the page that callbacks or tests address: ``<page>-<thing>``."""

from enum import StrEnum


class Shell(StrEnum):
    """The frame around the pages."""

    LOCATION = "shell-location"
    REVISION = "shell-revision"
    STATUS = "shell-status"
    SAVE_TEXT = "shell-save-text"
    UNDO = "shell-undo"
    REDO = "shell-redo"
    STEPS = "shell-steps"
    JOBS = "shell-jobs"
    THEME = "shell-theme"
    HELP = "shell-help"
    HELP_DIALOG = "shell-help-dialog"
    USER = "shell-user"
    TOAST = "shell-toast"
    TOASTS = "shell-toasts"
    TOAST_ACTION = "shell-toast-action"
    TOAST_RETRY = "shell-toast-retry"
    BANNER = "shell-banner"
    TABS = "shell-tabs"


class User(StrEnum):
    """Who works here."""

    OPEN = "user-open"
    NAME = "user-name"
    ERROR = "user-error"


class Naming(StrEnum):
    """The dialog that asks what to call the drafts."""

    DIALOG = "naming-dialog"
    NAME = "naming-name"
    ERROR = "naming-error"
    SHOWN = "naming-shown"
    OK = "naming-ok"
    CANCEL = "naming-cancel"
    DONE = "naming-done"


class Plots(StrEnum):
    """What all plots share."""

    GRID = "plots-grid"
    PAN = "plot-pan"
    ZOOM = "plot-zoom"
    LASSO = "plot-lasso"
    BOX = "plot-box"
    RESET = "plot-reset"


class Selection(StrEnum):
    """The selection of cells."""

    STATE = "selection-state"
    SAVED = "selection-saved"


class Plot(StrEnum):
    """A plot; these are the first one's ids, see `of_plot`."""

    START = "plot-start"
    EMBEDDING = "plot-embedding"
    GENE_X = "plot-gene-x"
    GENE_Y = "plot-gene-y"
    GENE_X_FIELD = "plot-gene-x-field"
    GENE_Y_FIELD = "plot-gene-y-field"
    COLOUR = "plot-colour"
    GENE = "plot-gene"
    LAYER = "plot-layer"
    LAYER_FIELD = "plot-layer-field"
    DISPLAY = "plot-display"
    LABELS = "plot-labels"
    SIZE = "plot-size"
    OPACITY = "plot-opacity"
    SPEC = "plot-spec"
    GRAPH_WANTED = "plot-graph-wanted"
    NOTE = "plot-note"
    EXPORT = "plot-export"
    EXPORT_PNG = "plot-export-png"
    EXPORT_SVG = "plot-export-svg"
    TABLE = "plot-table"
    TABLE_DIALOG = "plot-table-dialog"
    TABLE_BODY = "plot-table-body"
    WINDOW = "plot-window"


class Filter(StrEnum):
    """The strip of the selection and the Cell Filter above it."""

    PANEL = "cell-filter"
    STRIP = "selection-strip"


class Data(StrEnum):
    """The Data page."""

    FINDINGS = "data-findings"
    COLUMNS = "data-columns"
    MATRICES = "data-matrices"
    INDICES = "data-indices"
    FILES = "data-files"
    SAMPLE = "data-sample"
    REFRESH = "data-refresh"


class Annotate(StrEnum):
    """The Cell Annotation page."""

    TABS = "annotate-tabs"
    BODY = "annotate-body"


class New(StrEnum):
    """New Annotation."""

    KIND = "new-kind"
    MADE = "new-made"
    NAME = "new-name"
    NAME_ERROR = "new-name-error"
    DEFAULT = "new-default"
    DEFAULT_ERROR = "new-default-error"
    COPY = "new-copy"
    SOURCES = "new-sources"
    METADATA = "new-metadata"
    CLUSTER = "new-cluster"
    ANNOTATION = "new-annotation"
    JOINING = "new-joining"
    DELIMITER = "new-delimiter"
    MISSING = "new-missing"
    MISSING_BOX = "new-missing-box"
    FILTERED = "new-filtered"
    FILTERED_NOTE = "new-filtered-note"
    WARNINGS = "new-warnings"
    SUMMARY = "new-summary"
    FORM = "new-form"
    PREVIEW = "new-preview"
    GRID = "new-grid"
    COUNTS = "new-counts"
    COUNTS_SEARCH = "new-counts-search"
    CREATE = "new-create"
    TOUCHED = "new-touched"


class Import(StrEnum):
    """Import CSV."""

    PANEL = "import-panel"
    DROP = "import-drop"
    BUSY = "import-busy"
    PROGRESS = "import-progress"
    ERROR = "import-error"
    LOADED = "import-loaded"
    SEEN = "import-seen"
    MATCHING = "import-matching"
    ID_COLUMN = "import-id-column"
    SAMPLE_COLUMN = "import-sample-column"
    DEFAULT = "import-default"
    REPORT = "import-report"
    SUMMARY = "import-summary"
    RUN = "import-run"


class Predict(StrEnum):
    """Cell type prediction. What is in the panel is drawn by its script."""

    PANEL = "predict-panel"


class Logs(StrEnum):
    """Study Logs. What is on the page is drawn by its script."""

    PAGE = "logs-page"
    OPENED = "logs-opened"


class References(StrEnum):
    """The page References. What is on it is drawn by its script."""

    PAGE = "references-page"
    OPENED = "references-opened"
    LIST = "references-list"
    MAKE = "references-make"


class Enrichment(StrEnum):
    """The page Enrichment. What is on it is drawn by its scripts."""

    PAGE = "enrichment-page"
    OPENED = "enrichment-opened"


class FromEnrichment(StrEnum):
    """From Enrichment, among the cards of New Annotation and in windows. What is on it is drawn by its scripts."""

    PANEL = "from-enrichment-panel"
    WINDOW = "from-enrichment-window"
    PAGE = "from-enrichment-page"
    OPENED = "from-enrichment-opened"
    RESULTS = "from-enrichment-results"


class Result(StrEnum):
    """The tab Result. What is on it is drawn by its scripts."""

    PAGE = "result-page"
    OPEN = "result-open"


class Review(StrEnum):
    """The tab Review. What is on it is drawn by its scripts."""

    PAGE = "review-page"
    OPEN = "review-open"


class Export(StrEnum):
    """The Export page."""

    CHOICE = "export-choice"
    FOR_CELLXGENE = "export-for-cellxgene"
    WARNINGS = "export-warnings"
    CSV = "export-csv"
    SNIPPET = "export-snippet"
    NAME = "export-name"
    TARGETS = "export-targets"
    ERROR = "export-error"
    MERGE = "export-merge"
    CANCEL = "export-cancel"
    STATE = "export-state"
    POLL = "export-poll"


class Existing(StrEnum):
    """Existing Annotations."""

    TABLE = "existing-table"
    OPEN = "existing-open"
    SHOWN = "existing-shown"
    REFUSED = "existing-refused"
    DETAILS = "existing-details"
    HISTORY = "existing-history"
    VERSIONS = "existing-versions"
    DELETED = "existing-deleted"
    BACKUPS = "existing-backups"
    SHOW_BACKUPS = "existing-show-backups"
    BACKUP_LIST = "existing-backup-list"
    REVERT_DIALOG = "existing-revert-dialog"
    REVERT_TITLE = "existing-revert-title"
    REVERT_TEXT = "existing-revert-text"
    REVERT_CONFIRM = "existing-revert-confirm"
    REVERT_CANCEL = "existing-revert-cancel"
    REVERT_TARGET = "existing-revert-target"


class Edit(StrEnum):
    """Edit Annotation. What is on the page besides is drawn by its scripts."""

    STATE = "edit-state"
    ACTION = "edit-action"
    ANSWER = "edit-answer"
    OPEN = "edit-open"
    ASSIGN = "edit-assign"
    CHECK = "edit-check"
    TOOLS = "edit-tools"
    CHIPS = "edit-chips"
    GRID = "edit-grid"
    LABELS = "edit-labels"


PLOTS = (1, 2, 3, 4)
"""The numbers of the plots."""


def of_plot(part: Plot, number: int) -> str:
    """Return the id of a part of a plot.

    Examples
    --------
    >>> of_plot(Plot.COLOUR, 1), of_plot(Plot.COLOUR, 2)
    ('plot-colour', 'plot-2-colour')
    """
    return str(part) if number == 1 else part.replace("plot-", f"plot-{number}-", 1)


def drawn_by_script(part: str, number: int) -> str:
    """Return the id of a part of a plot that its script owns: its slot, frame, overlay, graph, legend or view.

    Examples
    --------
    >>> drawn_by_script("frame", 1)
    'plot-1-frame'
    """
    return f"plot-{number}-{part}"


def row_action(action: str, annotation_id: str) -> dict[str, str]:
    """Return the id of a control of one annotation's row, such as its Delete button."""
    return {"type": f"existing-{action}", "annotation": annotation_id}


def import_control(control: str, column: str) -> dict[str, str]:
    """Return the id of a control of one column of an uploaded table."""
    return {"type": f"import-{control}", "column": column}


def backup_button(name: str) -> dict[str, str]:
    """Return the id of the Restore button of a backup, given its file name."""
    # Dash takes a point for the end of an id.
    return {"type": "existing-backup", "name": name.replace(".", "|")}


def label_control(control: str, annotation_id: str, label_id: int) -> dict[str, str | int]:
    """Return the id of a control of one label of an annotation, such as its colour."""
    return {"type": f"existing-label-{control}", "annotation": annotation_id, "label": label_id}


def older_button(annotation_id: str, shown: int) -> dict[str, str | int]:
    """Return the id of the button that shows more versions of an annotation than so many."""
    return {"type": "existing-older", "annotation": annotation_id, "shown": shown}


def version_button(action: str, annotation_id: str, version: int) -> dict[str, str | int]:
    """Return the id of a button of one version in an annotation's history, such as Revert."""
    return {"type": f"existing-{action}", "annotation": annotation_id, "version": version}
