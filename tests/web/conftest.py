"""Applications to look into, without a browser."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from dash import Dash
from flask.testing import FlaskClient

from iscan_dash.settings import Settings
from iscan_dash.web.app import create_app
from iscan_dash.web.services import Services
from tests.browser.studies import small_study

MakeApp = Callable[..., Dash]


SAME_ORIGIN = {"HTTP_SEC_FETCH_SITE": "same-origin"}
"""What a browser says of a request that the server's own page makes."""


def visitor(app: Dash) -> FlaskClient:
    """Return a browser that opened the page."""
    client = app.server.test_client()
    client.environ_base |= SAME_ORIGIN
    assert client.get("/").status_code == 200
    return client


def services_of(app: Dash, user: str = "local") -> Any:
    """Return what an application works with for a user, the single one unless another is named, outside a request."""
    services: Services = app.server.extensions["iscan"]
    with services.at_desk(user, user) as desk:
        return desk


@contextmanager
def asking(app: Dash) -> Iterator[None]:
    """Be within a request of the single user."""
    with app.server.test_request_context("/"):
        app.server.preprocess_request()
        yield


@pytest.fixture(autouse=True, scope="session")
def plain_environment() -> Iterator[None]:
    """Take everything out of the environment that settings are read from."""
    with pytest.MonkeyPatch.context() as patch:
        for name in os.environ:
            if name == "PORT" or name.startswith("ISCAN_"):
                patch.delenv(name)
        yield


@pytest.fixture(scope="module")
def make_app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MakeApp]:
    """Make applications, which are closed after the module's last test."""
    made: list[Dash] = []

    def make(*files: Path, **settings: Any) -> Dash:
        if not settings.get("disable_annotations"):
            folder = settings.setdefault("annotations_dir", tmp_path_factory.mktemp("drafts"))
            settings.setdefault("data_dir", folder / "server")
        made.append(create_app(Settings(data=files, **settings)))
        return made[-1]

    yield make
    for thread in threading.enumerate():
        # Nothing may be closed under the hands of what was begun.
        if thread.name == "warm-up":
            thread.join()
    for app in made:
        app.server.extensions["iscan"].close()


@pytest.fixture(scope="module")
def small_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of 60 cells with missing values."""
    return small_study(tmp_path_factory.mktemp("study") / "small.h5ad")


@pytest.fixture(scope="module")
def app(make_app: MakeApp, small_file: Path) -> Dash:
    """The application of the small study."""
    return make_app(small_file, single_user=True)
