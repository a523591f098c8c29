"""The command line: exit codes, plain sentences, never a traceback."""

import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path

import anndata as ad
import h5py
import numpy as np
import pytest
from click.testing import CliRunner, Result

from iscan_dash import __version__
from iscan_dash.cli import main
from iscan_dash.settings import DEMO_STUDY
from tests.browser.server import READY, plain_environment, real_data
from tests.browser.studies import small_study, troubled_study
from tests.studies import write_study

Run = Callable[..., Result]


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the server's secret in the test's folder."""
    monkeypatch.setenv("ISCAN_DATA_DIR", str(tmp_path / "data"))


@pytest.fixture
def run() -> Run:
    """Run the command line; what it does not expect is a failure of the test."""

    def run_(*arguments: str | Path) -> Result:
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert "Traceback" not in result.output
        return result

    return run_


def sentence(result: Result) -> str:
    """Return the one sentence that a refusal says."""
    assert result.exit_code == 2
    (line,) = result.output.splitlines()
    prefix = "iscan-dash: "
    assert line.startswith(prefix)
    return line.removeprefix(prefix)


def test_a_good_file(run: Run, tmp_path: Path) -> None:
    result = run("check", small_study(tmp_path / "small.h5ad"))
    assert result.exit_code == 0
    lines = result.output.splitlines()
    assert lines[0] == "small: 60 cells in 1 sample"
    assert lines[1] == "small.h5ad: 60 cells"
    assert lines[2].startswith("  X: 6 genes, ")
    assert "embeddings: X_umap" in lines
    assert (
        "columns: tissue (metadata), phase (metadata), leiden (cluster), leiden_fine (cluster), score (metadata)"
        in lines
    )
    assert lines[-1] == "Nothing to worry about."


def test_the_demo_has_nothing_to_worry_about(run: Run) -> None:
    result = run("check", DEMO_STUDY)
    assert (result.exit_code, result.output.splitlines()[-1]) == (0, "Nothing to worry about.")


def test_a_file_with_warnings(run: Run, tmp_path: Path) -> None:
    result = run("check", troubled_study(tmp_path / "troubled.h5ad"), "--max-category-items", "5")
    assert result.exit_code == 1
    codes = [line.split()[0] for line in result.output.splitlines() if line[:1] == "D"]
    assert codes == ["D01", "D02", "D04", "D05", "D06", "D09"]


def test_infos_alone_are_no_warning(run: Run, tmp_path: Path) -> None:
    result = run("check", write_study(tmp_path / "plain.h5ad", {"batch": ["a", "b"]}))
    assert result.exit_code == 0
    assert "D03 info: No embedding found." in result.output


def test_options_of_the_study(run: Run, tmp_path: Path) -> None:
    path = write_study(tmp_path / "study.h5ad", {"barcode": ["x", "y", "z"], "lab": ["a", "b", "b"]})
    result = run("check", path, "--sample-column", "lab", "--obs-names", "barcode")
    assert (result.exit_code, result.output.splitlines()[0]) == (0, "study: 3 cells in 2 samples")
    assert sentence(run("check", path, "--sample-column", "none")) == (
        'No file has an obs column "none" to tell samples apart.'
    )
    assert sentence(run("check", path, "--obs-names", "none")) == (
        'study.h5ad has no obs column "none" to take the cell ids from.'
    )


def absent(path: Path) -> None:
    """Write nothing."""


def empty(path: Path) -> None:
    path.write_bytes(b"")


def text(path: Path) -> None:
    path.write_text("cell,label\na,b\n")


def folder(path: Path) -> None:
    path.mkdir()


def cut(path: Path) -> None:
    small_study(path)
    path.write_bytes(path.read_bytes()[:5000])


def other_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["x"] = np.arange(3)


def no_obs(path: Path) -> None:
    small_study(path)
    with h5py.File(path, "r+") as file:
        del file["obs"]


def no_cells(path: Path) -> None:
    write_study(path, cells=0)


def broken_column(path: Path) -> None:
    small_study(path)
    with h5py.File(path, "r+") as file:
        del file["obs/tissue/codes"]


def short_column(path: Path) -> None:
    small_study(path)
    with h5py.File(path, "r+") as file:
        del file["obs/score"]
        file["obs/score"] = np.arange(3.0)
        file["obs/score"].attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})


def short_matrix(path: Path) -> None:
    small_study(path)
    with h5py.File(path, "r+") as file:
        del file["X"]
        file["X"] = np.zeros((3, 6), np.float32)
        file["X"].attrs.update({"encoding-type": "array", "encoding-version": "0.2.0"})


@pytest.mark.parametrize(
    "write", [absent, empty, text, folder, cut, other_hdf5, no_obs, no_cells], ids=lambda write: write.__name__
)
def test_a_file_that_cannot_be_opened(run: Run, tmp_path: Path, write: Callable[[Path], None]) -> None:
    path = tmp_path / "bad.h5ad"
    write(path)
    said = sentence(run("check", path))
    assert "bad.h5ad" in said
    assert said.endswith(".")
    assert "Errno" not in said
    # `serve` says the same.
    assert sentence(run("serve", path, "--annotations-dir", tmp_path / "drafts", "--port", "0")) == said


@pytest.mark.parametrize("write", [broken_column, short_column, short_matrix], ids=lambda write: write.__name__)
def test_a_file_with_a_broken_part(run: Run, tmp_path: Path, write: Callable[[Path], None]) -> None:
    path = tmp_path / "bad.h5ad"
    write(path)
    said = sentence(run("check", path))
    assert "bad.h5ad" in said


def test_one_file_twice(run: Run, tmp_path: Path) -> None:
    path = small_study(tmp_path / "small.h5ad")
    assert sentence(run("check", path, tmp_path / "." / "small.h5ad")) == f"{path} is named twice."


def test_one_bad_file_of_two(run: Run, tmp_path: Path) -> None:
    good = small_study(tmp_path / "good.h5ad")
    assert "bad.h5ad" in sentence(run("check", good, tmp_path / "bad.h5ad"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["check"], "Missing argument 'DATA...'"),
        (["serve"], "Missing argument 'DATA...'"),
        (["none"], "No such command 'none'"),
        (["demo", "--port", "99999"], "less than or equal to 65535"),
        (["demo", "--port", "http"], "'http' is not a valid integer"),
        (["check", "x.h5ad", "--max-category-items", "1"], "greater than or equal to 2"),
        (["demo", "--user", ""], "at least 1 character"),
        (["users"], "Commands:"),
        (["users", "add", "--file", "users.txt"], "Missing argument 'NAME'"),
        (["users", "list"], "Missing option '--file'"),
    ],
)
def test_a_command_that_makes_no_sense(run: Run, arguments: list[str], said: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert said in result.output
    assert "Usage: " in result.output


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            ["--annotations-file", "a.csv", "--annotations-dir", "drafts", "--single-user"],
            "Use either --annotations-file or --annotations-dir, not both.",
        ),
        (
            ["--annotations-file", "a.csv"],
            "--annotations-file needs --single-user: one file cannot hold the work of several users.",
        ),
        (
            ["--disable-annotations", "--annotations-dir", "drafts"],
            "Use either --disable-annotations or --annotations-dir, not both.",
        ),
        (
            ["--users", "users.txt", "--single-user"],
            "Choose one way to tell users apart: --single-user (or --user), --users, or ISCAN_USER_HEADER.",
        ),
    ],
)
def test_options_that_cannot_be_had_together(run: Run, options: list[str], said: str) -> None:
    assert sentence(run("demo", *options)) == said
    assert sentence(run("serve", "x.h5ad", *options)) == said


def test_users_are_kept_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "users.txt"

    def users(*arguments: str, typed: str = "") -> Result:
        return CliRunner().invoke(main, ["users", *arguments, "--file", str(path)], input=typed)

    assert sentence(users("list")).startswith(f"The users file {path} cannot be read: ")
    added = users("add", "ada", typed="correct horse\ncorrect horse\n")
    assert (added.exit_code, added.output.splitlines()[-1]) == (0, "ada can sign in now.")
    assert "correct horse" not in added.output + path.read_text()
    users("add", "grace", typed="battery staple\nbattery staple\n")
    changed = users("add", "ada", typed="another one\nanother one\n")
    assert changed.output.splitlines()[-1] == "ada has another password now."
    assert users("list").output == "ada\ngrace\n"
    short = users("add", "x", typed="short\nshort\n")
    assert (short.exit_code, "8 to 1,024 characters" in short.output) == (2, True)
    assert users("remove", "ada").output == "ada cannot sign in any more.\n"
    assert sentence(users("remove", "ada")) == f'{path} has no user "ada".'
    assert users("list").output == "grace\n"


def test_sign_in_needs_its_file(run: Run, tmp_path: Path) -> None:
    small = small_study(tmp_path / "small.h5ad")
    options = ["--port", "0", "--annotations-dir", tmp_path / "drafts", "--users", tmp_path / "none.txt"]
    said = sentence(run("serve", small, "--port", "0", *options))
    assert said.startswith(f"The users file {tmp_path / 'none.txt'} cannot be read: No such file or directory. ")


def test_help_and_version(run: Run) -> None:
    assert run("--version").output.strip() == f"iscan-dash, version {__version__}"
    for command in (["--help"], ["-h"], ["serve", "-h"], ["demo", "-h"], ["check", "-h"]):
        result = run(*command)
        assert (result.exit_code, "Usage: " in result.output) == (0, True)


def test_a_port_in_use(tmp_path: Path) -> None:
    small = small_study(tmp_path / "small.h5ad")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = ["serve", str(small), "--port", str(port), "--annotations-dir", str(tmp_path / "drafts")]
        # A process, as it must end too.
        ended = subprocess.run(
            [sys.executable, "-m", "iscan_dash", *command],
            env=plain_environment() | {"ISCAN_DATA_DIR": str(tmp_path / "data")},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"iscan-dash: Cannot listen on 127.0.0.1:{port}: Address already in use")
    assert ended.stderr.endswith(". Choose another --port.\n")


def test_a_folder_that_cannot_be_made(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    small = small_study(tmp_path / "small.h5ad")
    result = run("serve", small, "--port", "0", "--annotations-dir", tmp_path / "file" / "drafts")
    assert sentence(result).startswith(f"The folder {tmp_path / 'file' / 'drafts'} cannot be made: ")


def test_a_server_starts_answers_and_ends_on_ctrl_c(tmp_path: Path) -> None:
    small = small_study(tmp_path / "small.h5ad")
    environment = plain_environment() | {
        "PORT": "0",
        "ISCAN_ANNOTATIONS_DIR": str(tmp_path / "drafts"),
        "ISCAN_DATA_DIR": str(tmp_path / "data"),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "iscan_dash", "serve", str(small)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
        text=True,
        # Even when the tests themselves were started with Ctrl+C ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout
    said = READY.search(process.stdout.readline())
    assert said
    with urllib.request.urlopen(said[1], timeout=30) as page:
        assert b"small - iscan-dash" in page.read()
    process.send_signal(signal.SIGINT)
    out, errors = process.communicate(timeout=30)
    assert (process.returncode, out, errors) == (0, "", "")


@pytest.mark.skipif(not real_data("pbmc3k", "hao_pbmc_1336"), reason="pbmc3k and hao_pbmc_1336 are not here")
def test_two_real_files(run: Run) -> None:
    files = real_data("pbmc3k", "hao_pbmc_1336")
    result = run("check", *files)
    lines = result.output.splitlines()
    assert lines[0] == "pbmc3k + 1 more: 3,974 cells in 2 samples"
    truth = [ad.read_h5ad(file, backed="r").n_vars for file in files]
    assert [f"{n_genes:,} genes" in result.output for n_genes in truth] == [True, True]
    assert result.exit_code in {0, 1}
