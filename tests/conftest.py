"""Settings and fixtures for all tests."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from iscan_dash.core.study import Study, open_study

# Whoever works on it looks at other examples each time; whether a change may land must not depend on them.
settings.register_profile("iscan", deadline=None, database=None, print_blob=True, derandomize="CI" in os.environ)
# See tests/fuzz/effort.py.
settings.register_profile("fuzz", settings.get_profile("iscan"), max_examples=25, derandomize=True)
settings.register_profile("long", settings.get_profile("iscan"), max_examples=3000)
settings.load_profile("iscan")

collect_ignore = ["offline"]  # for processes that tests start

Opener = Callable[..., Study]


@pytest.fixture
def open_files() -> Iterator[Opener]:
    """Open files as one study, which is closed when the test ends."""
    opened: list[Study] = []

    def open_(*paths: Path, **options: Any) -> Study:
        opened.append(open_study(paths, **options))
        return opened[-1]

    yield open_
    for study in opened:
        study.close()
