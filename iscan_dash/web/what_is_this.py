"""What the page is told when it asks what cells are, before they get a label."""

import math
from typing import Any, Literal

from pydantic import Field

from iscan_dash.services.prepared_references import Waiting
from iscan_dash.services.what_is_this import WhatIsThis
from iscan_dash.web.inspection import CellsRequest
from iscan_dash.web.services import Services


class WhatRequest(CellsRequest):
    """A question what cells are, of a page that may ask again before it has the answer."""

    reference: str = Field(max_length=64)
    granularity: Literal["main", "fine"] = "main"
    page: str = Field(max_length=40)


def what_is_this(services: Services, asked: WhatRequest) -> dict[str, Any]:
    """Return the labels that cells are most like, or what the answer waits for.

    Returns
    -------
    dict
        ``waiting`` and ``part``, or ``candidates`` (``label``, ``score``, ``term``), ``delta`` (None with a single
        label), ``n_cells``, ``n_read``, ``reference``, ``found`` and ``warnings``.

    Raises
    ------
    PredictionRefused, UnknownColumn
        It cannot be said; the message says why and what to do.
    Superseded
        The page asked again meanwhile.
    """
    cells = asked.cells(services.edit_table)
    # Its questions for marker genes are others.
    check = services.inspection.checker(f"{asked.page} what")
    study = services.workspace.study
    found = services.namer.what_is(study, cells, asked.reference, asked.granularity, check)
    return {"waiting": found.step, "part": found.part} if isinstance(found, Waiting) else _plain(found)


def _plain(found: WhatIsThis) -> dict[str, Any]:
    return {
        "candidates": [vars(candidate) for candidate in found.candidates],
        "delta": None if math.isnan(found.delta) else found.delta,
        "n_cells": found.n_cells,
        "n_read": found.n_read,
        "reference": found.reference_name,
        "found": found.found_text,
        "warnings": list(found.warnings),
    }
