"""Annotations: labels of cells that are ours to edit, and the changes made to them."""

from iscan_dash.core.annotations.annotation import Annotation, Header, Label
from iscan_dash.core.annotations.change import Change

__all__ = ["Annotation", "Change", "Header", "Label"]
