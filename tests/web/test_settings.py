"""Settings: the environment, then the command line."""

import os
from pathlib import Path

import pytest
from platformdirs import user_data_path
from pydantic import ValidationError

from iscan_dash.errors import SettingsConflict
from iscan_dash.settings import DEMO_STUDY, LOOPBACK_HOSTS, Settings


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
    assert (settings.single_user, settings.users, settings.user_header, settings.fixed_user) == (
        False,
        None,
        None,
        None,
    )
    assert (settings.annotations_file, settings.disable_annotations) == (None, False)
    assert (settings.allowed_hosts, settings.proxies) == ((), 0)
    assert settings.data_dir == user_data_path("iscan-dash")


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
        "SINGLE_USER": "1",
        "DATA_DIR": "state",
        "ALLOWED_HOSTS": "lab.example, [fd00::1],",
        "PROXIES": "2",
        "REFERENCES": "ours",
        "RUNNING_JOBS": "3",
        "GENE_INDEX_GB": "2.5",
        "IDLE_MINUTES": "30",
        "USER_MEMORY_MB": "100",
        "STUDY_MEMORY_MB": "1000",
        "LOG_FORMAT": "JSON",
        "LOG_LEVEL": "info",
        "DASK_SCHEDULER": "tcp://10.0.0.5:8786",
        "URL_PREFIX": "cells",
    }
    # What cannot be had together with the others.
    apart = {"ANNOTATIONS_FILE": "a.csv", "DISABLE_ANNOTATIONS": "true", "USER_HEADER": "X-User", "USERS": "users.txt"}
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
        single_user=True,
        data_dir=Path("state"),
        allowed_hosts=("lab.example", "[fd00::1]"),
        proxies=2,
        references=Path("ours"),
        running_jobs=3,
        gene_index_gb=2.5,
        idle_minutes=30,
        user_memory_mb=100,
        study_memory_mb=1000,
        log_format="json",
        log_level="info",
        dask_scheduler="tcp://10.0.0.5:8786",
        url_prefix="/cells/",
    )
    assert {name.upper() for name in Settings.model_fields} == set(values) | set(apart)
    for name in values:
        monkeypatch.delenv(f"ISCAN_{name}")
    for name, value in apart.items():
        monkeypatch.setenv(f"ISCAN_{name}", value)
        if name == "ANNOTATIONS_FILE":
            monkeypatch.setenv("ISCAN_SINGLE_USER", "yes")
        field = getattr(Settings(), name.lower())
        assert field is True if value == "true" else str(field) == value
        monkeypatch.delenv(f"ISCAN_{name}")
        monkeypatch.delenv("ISCAN_SINGLE_USER", raising=False)


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
        ("user_header", ""),
        ("user_header", "X User"),
        ("user_header", "X_User"),
        ("proxies", -1),
        ("single_user", "perhaps"),
    ],
)
def test_what_makes_no_sense_is_refused(name: str, value: object) -> None:
    with pytest.raises(ValidationError):
        Settings(**{name: value})


@pytest.mark.parametrize(
    ("given", "prefix"),
    [("", "/"), ("/", "/"), ("cells", "/cells/"), ("/cells", "/cells/"), ("/cells/", "/cells/"), ("a//b-1", "/a/b-1/")],
)
def test_a_path_has_a_slash_at_both_ends(given: str, prefix: str) -> None:
    assert Settings(url_prefix=given).url_prefix == prefix


@pytest.mark.parametrize(
    "given", ["/../x/", "/./", "http://lab.example/", "/a b/", "/a%2fb/", "/é/", "/a?b/", "/a\\b/", "\n"]
)
def test_what_is_no_path_is_refused(given: str) -> None:
    with pytest.raises(ValidationError, match=r"is no path to serve at\. Give one of letters"):
        Settings(url_prefix=given)


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


FILE, FOLDER = Path("a.csv"), Path("drafts")
ONE_WAY = "Choose one way to tell users apart: --single-user (or --user), --users, or ISCAN_USER_HEADER."


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"annotations_file": FILE, "annotations_dir": FOLDER, "single_user": True},
            "Use either --annotations-file or --annotations-dir, not both.",
        ),
        (
            {"annotations_file": FILE},
            "--annotations-file needs --single-user: one file cannot hold the work of several users.",
        ),
        (
            {"annotations_file": FILE, "users": Path("users.txt")},
            "--annotations-file needs --single-user: one file cannot hold the work of several users.",
        ),
        (
            {"disable_annotations": True, "annotations_dir": FOLDER},
            "Use either --disable-annotations or --annotations-dir, not both.",
        ),
        (
            {"disable_annotations": True, "annotations_file": FILE, "single_user": True},
            "Use either --disable-annotations or --annotations-file, not both.",
        ),
        ({"single_user": True, "users": Path("users.txt")}, ONE_WAY),
        ({"user": "ada", "users": Path("users.txt")}, ONE_WAY),
        ({"user": "ada", "user_header": "X-User"}, ONE_WAY),
        ({"users": Path("users.txt"), "user_header": "X-User"}, ONE_WAY),
    ],
)
def test_what_cannot_be_had_together(given: dict[str, object], said: str) -> None:
    with pytest.raises(SettingsConflict) as refused:
        Settings(**given)
    assert str(refused.value) == said


def test_a_server_has_one_user_only_when_asked_to(monkeypatch: pytest.MonkeyPatch) -> None:
    assert Settings().fixed_user is None
    assert Settings(single_user=True).fixed_user == "local"
    assert Settings(user="ada").fixed_user == "ada"
    # Also when it is the usual name.
    assert Settings(user="local", annotations_file=FILE).fixed_user == "local"
    monkeypatch.setenv("ISCAN_USER", "grace")
    assert Settings().fixed_user == "grace"
    assert Settings().with_demo().fixed_user == "grace"


def test_the_demo_needs_no_folder_for_drafts_elsewhere(tmp_path: Path) -> None:
    assert Settings(data_dir=tmp_path).with_demo().annotations_dir == tmp_path / "demo"
    assert Settings(annotations_file=FILE, single_user=True).with_demo().annotations_dir is None
    assert Settings(disable_annotations=True).with_demo().annotations_dir is None


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.0.0.9"])
def test_a_loopback_address_is_asked_for_by_its_names_only(host: str) -> None:
    hosts = Settings(host=host).with_loopback_hosts().allowed_hosts
    assert set(hosts) == {*LOOPBACK_HOSTS, f"[{host}]" if ":" in host else host}
    more = Settings(host=host, allowed_hosts="lab.example").with_loopback_hosts().allowed_hosts
    assert set(more) == {*hosts, "lab.example"}


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.7", "lab.example"])
def test_another_address_has_the_names_that_are_given(host: str) -> None:
    assert Settings(host=host).with_loopback_hosts().allowed_hosts == ()
    assert Settings(host=host, allowed_hosts="lab.example").with_loopback_hosts().allowed_hosts == ("lab.example",)
