"""A Chromium for all browser tests, and servers to look at."""

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from selenium.webdriver import Chrome

from tests.browser import chromium
from tests.browser.chromium import Browser
from tests.browser.server import Server
from tests.browser.studies import small_study

Serve = Callable[..., Server]


@pytest.fixture(scope="session")
def driver() -> Iterator[Chrome]:
    """One Chromium, which is started when the first test needs it."""
    running = chromium.start()
    yield running
    running.quit()


@pytest.fixture
def browser(driver: Chrome) -> Iterator[Browser]:
    """A fresh tab; when the test ends no console may have an error."""
    tab = Browser(driver)
    yield tab
    tab.close()


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of the demo study, for tests that edit nothing."""
    server = Server("demo", "--single-user", folder=tmp_path_factory.mktemp("demo")).start()
    yield server
    server.close()


@pytest.fixture(scope="session")
def small_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of 60 cells with missing values."""
    return small_study(tmp_path_factory.mktemp("study") / "small.h5ad")


@pytest.fixture(scope="module")
def server(small_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of the small study for one user, which the tests of a module share: each makes its own annotations."""
    running = Server("serve", small_file, "--single-user", folder=tmp_path_factory.mktemp("drafts")).start()
    yield running
    running.close()


@pytest.fixture(scope="module")
def open_server(small_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of the small study on which each browser is a user of its own; each test begins as a new one."""
    running = Server("serve", small_file, folder=tmp_path_factory.mktemp("open")).start()
    yield running
    running.close()


@pytest.fixture(scope="session")
def port() -> int:
    """A port for servers that come one after the other: Chromium keeps what it compiled for an address."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        free: int = probe.getsockname()[1]
    return free


@pytest.fixture
def serve(browser: Browser, tmp_path: Path, port: int) -> Iterator[Serve]:
    """Start servers of the test's own, one at a time; their drafts go to ``tmp_path / "drafts"``."""
    started: list[Server] = []

    def start(*command: str | Path, **settings: str) -> Server:
        started.append(Server(*command, folder=tmp_path / "drafts", port=port, **settings).start())
        return started[-1]

    yield start
    # A page that still asks would complain of a server that went away.
    browser.leave()
    # All of them end before one is judged: they share a port.
    for running in started:
        running.stop()
    for running in started:
        running.close()
