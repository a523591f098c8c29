"""The product as its user starts it: a process of its own, found by the address it prints."""

import csv
import io
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO
from urllib.parse import urlsplit
from urllib.request import urlopen

READY = re.compile(r"ready: (http://\S+?)/? ")

STUDY_FILES = Path(__file__).parents[2].parent / "shared" / "data"


def real_data(*names: str) -> list[Path]:
    """Return real studies, by the name of their folder, or an empty list when one is absent.

    They are beside the checkout, or where the environment variable ``ISCAN_TEST_DATA`` says.
    """
    folder = Path(os.environ.get("ISCAN_TEST_DATA", STUDY_FILES))
    paths = [folder / name / f"{name}.h5ad" for name in names]
    return paths if all(path.is_file() for path in paths) else []


class Server:
    """``python -m iscan_dash``, started, stopped, killed and started again.

    Parameters
    ----------
    command
        ``demo``, or ``serve`` with its files and options.
    folder
        Where its drafts go, unless `command` says otherwise, and what it keeps itself.
    port
        Where it listens; a free port when 0.
    module
        What is run.
    settings
        More variables of its environment.
    """

    def __init__(
        self, *command: str | Path, folder: Path, port: int = 0, module: str = "iscan_dash", **settings: str
    ) -> None:
        self._settings = settings
        self.command = [str(part) for part in command]
        self.folder = folder
        self.url = ""
        self._port = port
        self._module = module
        self._process: subprocess.Popen[str] | None = None
        self._errors: IO[str] = tempfile.TemporaryFile("w+")  # noqa: SIM115 - open as long as the server is

    def start(self) -> "Server":
        """Start it, again on the port it had, and wait until it says that it is ready."""
        options = ["--port", str(self._port)]
        if not {"--annotations-file", "--disable-annotations"} & set(self.command):
            options += ["--annotations-dir", str(self.folder)]
        self._process = subprocess.Popen(
            [sys.executable, "-m", self._module, *self.command, *options],
            stdout=subprocess.PIPE,
            stderr=self._errors,
            stdin=subprocess.DEVNULL,
            env=plain_environment() | {"ISCAN_DATA_DIR": str(self.folder / "server")} | self._settings,
            text=True,
        )
        assert self._process.stdout
        said = READY.search(self._process.stdout.readline())
        assert said, f"the server did not start: {self.errors()}"
        self.url = said[1]
        self._port = urlsplit(self.url).port or 0
        return self

    def stop(self) -> None:
        """Stop it as a service manager does."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """Take it away at once, as a power cut does."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        if self._process:
            self._process.send_signal(how)
            self._process.communicate(timeout=30)
            self._process = None

    def close(self) -> None:
        """Stop it for good; whatever it logged is a failure."""
        self.stop()
        said = self.errors()
        self._errors.close()
        assert not said, f"the server logged:\n{said}"

    def errors(self) -> str:
        """Return what it wrote to its standard error so far."""
        self._errors.seek(0)
        return self._errors.read()

    def forget_errors(self) -> str:
        """Return what it wrote to its standard error, and expect no more."""
        said = self.errors()
        self._errors.seek(0)
        self._errors.truncate()
        return said

    @property
    def url_for_others(self) -> str:
        """Its address under another name, for which the browser has other cookies: whoever uses it is another user."""
        return self.url.replace("127.0.0.1", "localhost")

    def get(self, path: str) -> bytes:
        """Fetch an address of it."""
        with urlopen(f"{self.url}{path}", timeout=30) as answer:
            body: bytes = answer.read()
        return body

    def draft_path(self) -> Path:
        """Return the one draft that there is."""
        (path,) = self.folder.glob("*.csv")
        return path

    def draft(self) -> "Draft":
        """Read the one draft that there is."""
        return Draft.read(self.draft_path())


class Draft:
    """A draft as any tool reads it.

    Parameters
    ----------
    comments
        The lines before the table.
    columns
        The texts of each column by its title.
    """

    def __init__(self, comments: list[str], columns: dict[str, list[str]]) -> None:
        self.comments = comments
        self.columns = columns

    @classmethod
    def read(cls, path: Path) -> "Draft":
        """Read a file."""
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        n_comments = next(place for place, line in enumerate(lines) if not line.startswith("# "))
        head, *rows = csv.reader(io.StringIO("".join(lines[n_comments:])), strict=True)
        assert all(len(row) == len(head) for row in rows)
        return cls(lines[:n_comments], {title: [row[place] for row in rows] for place, title in enumerate(head)})


def plain_environment() -> dict[str, str]:
    """Return the environment without what would change how the server starts."""
    return {name: value for name, value in os.environ.items() if name != "PORT" and not name.startswith("ISCAN_")}
