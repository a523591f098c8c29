"""Every error that a user can meet.

::

    IscanError                a sentence for the person: what happened, to what, what to do
    ├── DataError             a file cannot be opened as a study
    ├── UnknownColumn         a column, gene, embedding or matrix that the study does not have
    ├── GeneNotRead           a gene takes a long search, which was ended or not begun
    ├── NameRefused           an annotation name or label breaks a rule (carries the rule's code)
    ├── EditConflict          the annotation changed since the page last saw it
    ├── NothingToUndo         the undo or redo stack is empty
    ├── SelectionRefused      a query or an area is too large, or cannot be understood
    ├── PredictionRefused     cells cannot be labelled with this reference, matrix or setting
    ├── EnrichmentRefused     gene sets cannot be scored with this matrix or setting
    ├── JobRefused            a job cannot be started, cancelled or found
    ├── ClusterError          a cluster cannot be reached, was lost, or has other versions
    ├── UserRefused           a user's name or password breaks a rule
    ├── SettingsConflict      two settings ask for what cannot be had together
    ├── ServerStopping        whoever asks comes too late
    └── StorageError          a draft or journal cannot be read or written

The page and the command line show the sentence; the log has the rest. Anything that is not an ``IscanError`` is a
bug of ours.
"""


class IscanError(Exception):
    """A problem that the user can understand and act on; ``str(error)`` is the sentence to show."""


class DataError(IscanError):
    """A file cannot be opened as a study."""


class UnknownColumn(IscanError, KeyError):
    """The study has no column, gene, embedding or matrix of that name."""

    def __str__(self) -> str:
        """Return the plain sentence (``KeyError`` would show its ``repr``)."""
        return str(self.args[0])


class GeneNotRead(IscanError):
    """A gene takes a long search, which was ended or not begun; nothing is wrong with the gene.

    Parameters
    ----------
    sentence
        What happened and what to do.
    gene
        Its name.
    """

    def __init__(self, sentence: str, gene: str) -> None:
        super().__init__(sentence)
        self.gene = gene


class NameRefused(IscanError, ValueError):
    """An annotation name or a label breaks a rule.

    Parameters
    ----------
    code
        The rule's stable code, such as ``"E02"``.
    sentence
        What is wrong and what to do, shown as it is.
    """

    def __init__(self, code: str, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


class EditConflict(IscanError):
    """An edit was made against a version of the annotation that is no longer the newest, or by somebody else.

    Parameters
    ----------
    sentence
        What happened and what to do.
    annotation_id, version
        The annotation, and the version that the edit was made against; None when there is nothing to compare.
    """

    def __init__(self, sentence: str, annotation_id: str | None = None, version: int | None = None) -> None:
        super().__init__(sentence)
        self.annotation_id = annotation_id
        self.version = version


class NothingToUndo(IscanError):
    """There is no edit of this user left to undo or redo."""


class SelectionRefused(IscanError):
    """A query or an area is too large, or cannot be understood.

    Parameters
    ----------
    sentence
        What is wrong and what to do.
    position
        Where in the text of a query, counted from 0; None when it is not about one.
    """

    def __init__(self, sentence: str, position: int | None = None) -> None:
        super().__init__(sentence)
        self.position = position


class PredictionRefused(IscanError, ValueError):
    """Cells cannot be labelled with this reference, matrix or setting.

    Parameters
    ----------
    sentence
        What is wrong and what to do.
    code
        The rule's stable code, such as ``"E13"``, by which a page finds the field; ``""`` when it is about no field.
    """

    def __init__(self, sentence: str, code: str = "") -> None:
        super().__init__(sentence)
        self.code = code


class EnrichmentRefused(IscanError, ValueError):
    """Gene sets cannot be scored with this matrix or setting.

    Parameters
    ----------
    sentence
        What is wrong and what to do.
    code
        The rule's stable code, such as ``"E52"``, by which a page finds the field; ``""`` when it is about no field.
    """

    def __init__(self, sentence: str, code: str = "") -> None:
        super().__init__(sentence)
        self.code = code


class JobRefused(IscanError):
    """A job cannot be started or cancelled, or is not known any more."""


class ClusterError(IscanError):
    """The cluster that jobs run on cannot be reached, was lost, or has other versions."""


class UserRefused(IscanError, ValueError):
    """A user's name or password breaks a rule."""


# Not a ValueError: pydantic would wrap the sentence in a report of its own.
class SettingsConflict(IscanError):
    """Two settings ask for what cannot be had together."""


class ServerStopping(IscanError):
    """The server is being stopped and takes nobody in."""


class StorageError(IscanError):
    """A draft or a journal cannot be read or written."""
