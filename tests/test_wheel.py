"""The wheel: all that the program needs is in it, and the program runs from it, wherever it is started."""

import http.cookiejar
import json
import os
import re
import signal
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.request import HTTPCookieProcessor, build_opener

import pytest

from tests.browser.server import READY

ROOT = Path(__file__).parents[1]

DATA = ("assets", "references")
"""Folders beside the package that are within it in the wheel."""


def build(kind: str, source: Path, folder: Path) -> Path:
    """Build a distribution with the build backend, without a network."""
    command = [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", str(folder)]
    subprocess.run(command, cwd=source, check=True, capture_output=True)
    (made,) = folder.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return made


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


def shipped() -> dict[str, bytes]:
    """Return what has to be in the wheel, by its name there."""
    found = {}
    for folder, inside in ((ROOT / "iscan_dash", ""), *((ROOT / name, f"iscan_dash/{name}") for name in DATA)):
        for path in folder.rglob("*"):
            if path.is_file() and "__pycache__" not in path.parts:
                name = (
                    f"{inside}/{path.relative_to(folder).as_posix()}" if inside else path.relative_to(ROOT).as_posix()
                )
                found[name] = path.read_bytes()
    return found


def contents(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {name: archive.read(name) for name in archive.namelist() if not name.endswith("/")}


def test_everything_is_in_it_and_nothing_else(wheel: Path) -> None:
    found = contents(wheel)
    own = {name: content for name, content in found.items() if name.startswith("iscan_dash/")}
    assert own == shipped()
    meta = {name.partition("/")[2] for name in found.keys() - own.keys()}
    assert meta == {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}


def test_the_same_wheel_comes_of_the_source_archive(wheel: Path, tmp_path: Path) -> None:
    archive = build("sdist", ROOT, tmp_path)
    with tarfile.open(archive) as tar:
        # Our own: and Python 3.11.2 knows no filters yet.
        tar.extractall(tmp_path / "unpacked")
    (source,) = (tmp_path / "unpacked").iterdir()
    again = build("wheel", source, tmp_path / "again")
    mine, theirs = contents(wheel), contents(again)
    assert mine.keys() == theirs.keys()
    assert [name for name in mine if mine[name] != theirs[name] and not name.endswith("RECORD")] == []


@pytest.fixture(scope="module")
def program(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, installed from the wheel into an environment that has its dependencies from this one."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder)
    purelib = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    (purelib / "dependencies.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    scripts = Path(sysconfig.get_path("scripts", vars={"base": str(folder)}))
    command = [sys.executable, "-m", "pip", "--python", str(scripts / "python"), "install", "--quiet"]
    options = ["--no-deps", "--no-index", "--disable-pip-version-check"]
    subprocess.run([*command, *options, str(wheel)], check=True, capture_output=True)
    return scripts / "iscan-dash"


@pytest.fixture
def address(program: Path, tmp_path: Path) -> Iterator[str]:
    """The demo, started somewhere else by somebody who has nothing yet."""
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    process = subprocess.Popen(
        [program, "demo", "--port", "0"],
        cwd=elsewhere,
        env={"HOME": str(home), "PATH": os.defpath, "LANG": "C.UTF-8"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    said = READY.search(process.stdout.readline())
    try:
        assert said, process.communicate(timeout=10)
        yield said[1]
    finally:
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=30)
    assert "Traceback" not in errors
    assert list(elsewhere.iterdir()) == []
    assert {path.name for path in home.iterdir()} <= {".local", ".cache"}


def test_the_demo_runs_from_it(address: str) -> None:
    browser = build_opener(HTTPCookieProcessor(http.cookiejar.CookieJar()))

    def get(path: str) -> bytes:
        with browser.open(address + path, timeout=30) as answer:
            body: bytes = answer.read()
        return body

    page = get("/").decode()
    assert "PBMC 8k demo" in page
    files = re.findall(r'(?:src|href)="(/(?:assets|bundle|bootstrap|_dash-component-suites)/[^"]+)"', page)
    assert len(files) > 5
    for path in files:
        assert get(path)
    for path in sorted((ROOT / "assets").iterdir()):
        assert get(f"/assets/{path.name}") == path.read_bytes()
    layout = get("/_dash-layout").decode()
    assert '"shell-location"' in layout
    assert len(get("/api/v1/positions?embedding=X_umap")) == 2 * 4 * 2700
    listed = json.loads(get("/api/v1/references"))["references"]
    states = {own["id"]: own["state"] for own in listed}
    assert states["hao_pbmc"] == "ready" and len(states) >= 6
    sets = json.loads(get("/api/v1/gene-sets"))["collections"]
    assert any(own["origin"] == "shipped" and not own["problem"] for own in sets)
