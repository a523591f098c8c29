"""Settings: the environment, then the command line."""

import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from iscan_dash.settings import DEMO_STUDY, Settings


def test_nothing_set_serves_locally() -> None:
    settings = Settings()
    assert (settings.host, settings.port, settings.user, settings.max_category_items) == (
        "127.0.0.1",
        8050,
        "local",
        1000,
    )
    assert (settings.data, settings.title, settings.annotations_dir) == ((), None, None)
    assert (settings.obs_names, settings.sample_column) == (None, None)


def test_every_setting_is_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {
        "DATA": os.pathsep.join(["a.h5ad", "folder/b.h5ad", ""]),
        "TITLE": "A title",
        "HOST": "0.0.0.0",
        "PORT": "9000",
        "ANNOTATIONS_DIR": "drafts",
        "OBS_NAMES": "barcode",
        "SAMPLE_COLUMN": "donor",
        "MAX_CATEGORY_ITEMS": "50",
        "USER": "ada",
    }
    for name, value in values.items():
        monkeypatch.setenv(f"ISCAN_{name}", value)
    assert Settings() == Settings(
        data=(Path("a.h5ad"), Path("folder/b.h5ad")),
        title="A title",
        host="0.0.0.0",
        port=9000,
        annotations_dir=Path("drafts"),
        obs_names="barcode",
        sample_column="donor",
        max_category_items=50,
        user="ada",
    )
    assert {name.upper() for name in Settings.model_fields} == set(values)


def test_the_command_line_comes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ISCAN_PORT", "9000")
    monkeypatch.setenv("ISCAN_TITLE", "from the environment")
    settings = Settings(port=9001, title="from the command line", data=(Path("a.h5ad"),))
    assert (settings.port, settings.title, settings.data) == (9001, "from the command line", (Path("a.h5ad"),))


def test_a_host_that_gives_a_port_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORT", "5000")
    assert Settings().port == 5000
    monkeypatch.setenv("ISCAN_PORT", "6000")
    assert Settings().port == 6000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("port", 65536),
        ("port", -1),
        ("port", "http"),
        ("max_category_items", 1),
        ("user", ""),
        ("user", "x" * 65),
    ],
)
def test_what_makes_no_sense_is_refused(name: str, value: object) -> None:
    with pytest.raises(ValidationError):
        Settings(**{name: value})


def test_the_demo_is_complete() -> None:
    settings = Settings().with_demo()
    assert settings.data == (DEMO_STUDY,)
    assert DEMO_STUDY.stat().st_size > 100_000
    assert settings.title == "PBMC 8k demo"
    assert settings.annotations_dir is not None
    # The package's own folder stays as it is.
    assert DEMO_STUDY.parent not in [settings.annotations_dir, *settings.annotations_dir.parents]
    kept = Settings(title="Mine", annotations_dir=Path("here")).with_demo()
    assert (kept.title, kept.annotations_dir) == ("Mine", Path("here"))
