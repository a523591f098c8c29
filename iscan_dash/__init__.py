"""iscan-dash: give every cell of a single-cell study a trustworthy label."""

from importlib.metadata import version

__version__ = version("iscan-dash")
