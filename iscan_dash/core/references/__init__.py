"""References: labelled expression profiles that cell type prediction compares cells with."""

from iscan_dash.core.references.manifest import Manifest
from iscan_dash.core.references.registry import Entry, Registry, State

__all__ = ["Entry", "Manifest", "Registry", "State"]
