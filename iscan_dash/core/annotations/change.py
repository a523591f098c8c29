"""A change of an annotation: what every edit comes down to, and what its inverse is made of."""

from dataclasses import dataclass

import numpy as np

from iscan_dash.core.annotations.annotation import Annotation, Header
from iscan_dash.core.annotations.delta import CodesDelta


@dataclass(frozen=True, eq=False)
class Change:
    """The difference between two states of an annotation.

    Creating, deleting and restoring are changes too: a state without header is an annotation that does not exist,
    and all its cells carry the id 0.

    Parameters
    ----------
    annotation_id
        The annotation it belongs to.
    before, after
        The headers of the two states, None where the annotation does not exist.
    delta
        The cells that change their label.
    """

    annotation_id: str
    before: Header | None
    after: Header | None
    delta: CodesDelta

    @classmethod
    def between(cls, old: Annotation, header: Header | None, codes: np.ndarray | None = None) -> "Change":
        """Find the change from a state to another header and, unless None, other label ids."""
        return cls(old.id, old.header, header, CodesDelta.between(old.codes, old.codes if codes is None else codes))

    @property
    def is_empty(self) -> bool:
        """Whether nothing changes."""
        return self.before == self.after and self.delta.n_cells == 0

    def inverse(self) -> "Change":
        """Return the change back."""
        return Change(self.annotation_id, self.after, self.before, self.delta.inverse())

    def apply(self, state: Annotation, time: str) -> Annotation:
        """Return the next state of an annotation.

        Parameters
        ----------
        state
            The state the change starts from.
        time
            When the change is made, ISO 8601 in UTC.

        Raises
        ------
        ValueError
            The change starts from another state.
        """
        if state.id != self.annotation_id or state.header != self.before:
            raise ValueError("the change starts from another state of the annotation")
        codes = self.delta.apply(state.codes) if self.delta.n_cells else state.codes
        codes.flags.writeable = False
        last_id = max([state.last_id, *(self.after.by_id if self.after else ())])
        return Annotation(state.id, self.after, codes, state.version + 1, time, last_id)
