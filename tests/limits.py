"""Limits of the operating system that tests run into for real."""

import os
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

posix = pytest.mark.skipif(os.name != "posix", reason="limits and signals as POSIX has them")


@contextmanager
def no_more_files() -> Iterator[None]:
    """Let this process open no file: it has too many open already (EMFILE)."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (0, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
