"""iscan-dash: give every cell of a single-cell study a trustworthy label."""

__version__ = "0.1.0"
