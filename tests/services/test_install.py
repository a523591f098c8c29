"""Installing references: whole or not at all, resumed, and a sentence without a network."""

import threading
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import filelock
import numpy as np
import pytest

from iscan_dash.core.references import Manifest, Registry, State
from iscan_dash.core.references.load import load_reference
from iscan_dash.errors import PredictionRefused, StorageError
from iscan_dash.services import install as install_module
from iscan_dash.services.install import DownloadFailed, Outcome, built_ins, fetch_with_celldex, install
from tests.references import some_profiles

MAIN = [name for name in ("B cells", "Monocytes", "T cells") for _ in range(4)]
FINE = [f"{name}:{'naive' if place % 2 else 'memory'}" for place, name in enumerate(MAIN)]
TERMS = [None if "B cells" in name else "CL:0000001" if "naive" in name else "CL:0000002" for name in FINE]
VALUES = some_profiles(MAIN).astype(np.float64).T + 1e-9
"""Genes x profiles, as celldex has them; not numbers that 32 bits hold."""


class Table:
    def __init__(self, columns: dict[str, Any]) -> None:
        self.columns = columns

    def get_column_names(self) -> list[str]:
        return list(self.columns)

    def get_column(self, name: str) -> Any:
        return self.columns[name]


class Experiment:
    """What celldex gives, as far as it is used."""

    def __init__(self, assay: str = "logcounts", genes: Any = True, **columns: Any) -> None:
        self._assay = assay
        self._genes = [f"GENE{place}" for place in range(len(VALUES))] if genes is True else genes
        self._table = Table(columns or {"label.main": MAIN, "label.fine": FINE, "label.ont": TERMS})

    def get_assay_names(self) -> list[str]:
        return [self._assay]

    def assay(self, assay: str) -> Any:
        assert assay == self._assay
        return VALUES

    def get_row_names(self) -> Any:
        return self._genes

    def get_column_names(self) -> list[str]:
        return [f"p{place}" for place in range(VALUES.shape[1])]

    def get_column_data(self) -> Table:
        return self._table


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    return Registry(tmp_path / "installed")


def fetch(manifest: Manifest, again: bool) -> Experiment:
    return Experiment()


def no_fetch(manifest: Manifest, again: bool) -> Experiment:
    raise AssertionError("nothing is to be downloaded")


def left_over(registry: Registry) -> list[str]:
    return sorted(path.name for path in registry.installed.iterdir() if path.name != ".install.lock")


def test_what_is_written_is_what_celldex_has(registry: Registry) -> None:
    ((entry, outcome),) = install(registry, ["hpca"], fetch=fetch)
    assert (entry.id, entry.state, outcome) == ("hpca", State.READY, Outcome.INSTALLED)
    assert left_over(registry) == ["hpca"]
    assert {path.name for path in entry.path.iterdir()} == {"reference.json", "reference.h5ad"}
    manifest = entry.manifest
    assert manifest and manifest.checksum
    # Its own sizes, not those that were announced.
    assert (manifest.n_profiles, manifest.n_genes, entry.n_labels) == (12, 600, {"main": 3, "fine": 6})
    assert manifest.citation == registry_manifest("hpca").citation
    loaded = load_reference(registry, "hpca", "fine")
    assert loaded.profiles.values.dtype == np.float64
    np.testing.assert_array_equal(loaded.profiles.values, VALUES.T)
    assert loaded.profiles.labels == FINE
    assert loaded.terms["T cells:naive"] == "CL:0000001"
    assert not any(label.startswith("B cells") for label in loaded.terms)
    assert load_reference(registry, "hpca", "main").profiles.labels == MAIN


def registry_manifest(id_: str) -> Manifest:
    manifest = Registry(Path("none")).find(id_).manifest
    assert manifest
    return manifest


def test_all_and_again(registry: Registry) -> None:
    ids = tuple(built_ins(registry))
    assert len(ids) == 5
    # Killed after two of them.
    steps = install(registry, ids, fetch=fetch)
    next(steps), next(steps)
    steps.close()
    told: list[tuple[float, str]] = []
    progress = lambda part, what: told.append((part, what))  # noqa: E731
    outcomes = [outcome for _, outcome in install(registry, ids, fetch=fetch, progress=progress)]
    assert outcomes == ["already installed"] * 2 + ["installed"] * 3
    parts = [part for part, _ in told]
    assert parts == sorted(parts) and parts[-1] == 1
    assert [outcome for _, outcome in install(registry, ids, fetch=no_fetch)] == ["already installed"] * 5
    assert all(entry.state is State.READY for entry in registry.entries())


def test_a_damaged_one_is_replaced(registry: Registry) -> None:
    list(install(registry, ["hpca"], fetch=fetch))
    matrix = registry.installed / "hpca" / "reference.h5ad"
    content = matrix.read_bytes()
    # Of the same size: only the checksum tells.
    matrix.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    (waste := registry.installed / ".part-old").mkdir()
    ((entry, outcome),) = install(registry, ["hpca"], fetch=fetch)
    assert (entry.state, outcome, waste.exists()) == (State.READY, Outcome.INSTALLED, False)
    registry.checksum(entry)
    matrix.unlink()
    assert registry.find("hpca").state is State.REFUSED
    ((entry, outcome),) = install(registry, ["hpca"], fetch=fetch)
    assert (entry.state, outcome, left_over(registry)) == (State.READY, Outcome.INSTALLED, ["hpca"])


@pytest.mark.parametrize(
    ("experiment", "said"),
    [
        (Experiment("counts"), "Human Primary Cell Atlas has no matrix logcounts."),
        (Experiment(genes=None), "Human Primary Cell Atlas has no gene names."),
        (
            Experiment(**{"label.main": MAIN}),
            'Human Primary Cell Atlas has no column "label.fine" of labels. It has: label.main.',
        ),
        (
            Experiment(**{"label.main": ["T"] * 12, "label.fine": ["T"] * 12}),
            "Human Primary Cell Atlas was downloaded but cannot be used. It has only one label: there is nothing to tell "
            "apart.",
        ),
    ],
)
def test_what_is_no_reference_leaves_nothing(registry: Registry, experiment: Experiment, said: str) -> None:
    with pytest.raises((PredictionRefused, DownloadFailed)) as caught:
        list(install(registry, ["hpca"], fetch=lambda *_: experiment))
    assert str(caught.value) == said
    assert left_over(registry) == []
    assert registry.find("hpca").state is State.NOT_INSTALLED


def test_a_damaged_download_is_tried_once_more(registry: Registry) -> None:
    asked = []

    def damaged_first(manifest: Manifest, again: bool) -> Experiment:
        asked.append(again)
        if not again:
            raise OSError("truncated file")
        return Experiment()

    assert [outcome for _, outcome in install(registry, ["hpca"], fetch=damaged_first)] == ["installed"]
    assert asked == [False, True]


def test_refusals(registry: Registry, tmp_path: Path) -> None:
    with pytest.raises(PredictionRefused) as caught:
        list(install(registry, ["hpca", "hao_pbmc"], fetch=no_fetch))
    assert str(caught.value) == (
        '"hao_pbmc" is no reference that can be installed. There are: blueprint_encode, hpca, immgen, monaco_immune, '
        "mouse_rnaseq."
    )
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageError, match=r"file/installed cannot be written: .*\. Set ISCAN_DATA_DIR to another"):
        list(install(Registry(tmp_path / "file" / "installed"), ["hpca"], fetch=no_fetch))


def test_a_full_disk(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> Manifest:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(install_module, "from_experiment", full)
    with pytest.raises(StorageError, match=r"installed cannot be written: No space left on device\. Free the disk"):
        list(install(registry, ["hpca"], fetch=fetch))
    assert left_over(registry) == []


def test_one_install_at_a_time(registry: Registry) -> None:
    registry.installed.mkdir(parents=True)
    taken, done = threading.Event(), threading.Event()

    def hold() -> None:
        with filelock.FileLock(registry.installed / ".install.lock"):
            taken.set()
            done.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    taken.wait(30)
    try:
        with pytest.raises(
            StorageError, match=r"^Another program is installing references into .*\. Wait for it to end\.$"
        ):
            list(install(registry, ["hpca"], fetch=no_fetch))
    finally:
        done.set()
        thread.join()


def test_without_celldex(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(name: str) -> None:
        raise ModuleNotFoundError(name)

    monkeypatch.setattr(install_module, "import_module", absent)
    with pytest.raises(DownloadFailed) as caught:
        list(install(registry, ["hpca"]))
    assert str(caught.value) == (
        "References are downloaded with the celldex package, which is not installed. Run: pip install "
        "'iscan-dash[references]'"
    )


class TestCelldex:
    """With the real package, and files as it downloads them, but no network."""

    @pytest.fixture(autouse=True)
    def cache(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
        pytest.importorskip("celldex")
        gypsum = import_module("gypsum_client")
        # Nothing leaves this machine.
        monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
        before = gypsum.cache_directory(str(tmp_path / "gypsum"))
        yield tmp_path / "gypsum"
        gypsum.cache_directory(before)

    @pytest.fixture
    def downloaded(self, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """Make what celldex leaves after a download, with its own function for writing references."""
        celldex = import_module("celldex")
        frame, experiment = import_module("biocframe").BiocFrame, import_module("summarizedexperiment")
        module = import_module("celldex.save_reference")
        # The schema of the metadata would come from the network.
        for name in ("fetch_metadata_schema", "validate_metadata"):
            monkeypatch.setitem(vars(module), name, lambda *_args, **_options: None)
        terms = [term or "CL:0000000" for term in TERMS]
        names = [f"p{place}" for place in range(12)]
        reference = experiment.SummarizedExperiment(
            assays={"logcounts": VALUES},
            row_data=frame({}, number_of_rows=len(VALUES), row_names=[f"GENE{place}" for place in range(len(VALUES))]),
            column_data=frame({"label.main": MAIN, "label.fine": FINE, "label.ont": terms}, row_names=names),
            row_names=[f"GENE{place}" for place in range(len(VALUES))],
            column_names=names,
        )
        folder = cache / "bucket" / "celldex" / "hpca" / "2024-02-26"
        folder.parent.mkdir(parents=True)
        celldex.save_reference(reference, str(folder), {"title": "x"})
        complete = cache / "status" / "celldex" / "hpca" / "2024-02-26" / "COMPLETE"
        complete.parent.mkdir(parents=True)
        complete.touch()
        return folder

    def test_there_and_back(self, registry: Registry, downloaded: Path) -> None:
        assert list(downloaded.rglob("*.h5"))
        ((entry, outcome),) = install(registry, ["hpca"])
        assert (entry.state, outcome) == (State.READY, Outcome.INSTALLED)
        loaded = load_reference(registry, "hpca", "fine")
        np.testing.assert_array_equal(loaded.profiles.values, VALUES.T)
        assert list(loaded.profiles.labels) == FINE
        assert list(loaded.profiles.genes) == [f"GENE{place}" for place in range(len(VALUES))]
        assert loaded.terms["T cells:naive"] == "CL:0000001"

    def test_no_network(self, registry: Registry) -> None:
        with pytest.raises(DownloadFailed) as caught:
            list(install(registry, ["immgen"]))
        assert str(caught.value) == (
            "ImmGen cannot be downloaded: celldex's server cannot be reached. Connect to the internet and run the command "
            "again; what was downloaded is kept."
        )
        assert left_over(registry) == []

    def test_a_damaged_download(self, registry: Registry, downloaded: Path) -> None:
        for file in downloaded.rglob("*.h5"):
            file.write_bytes(b"x")
        with pytest.raises(DownloadFailed, match="celldex's server cannot be reached"):
            list(install(registry, ["hpca"]))
        assert left_over(registry) == []

    @pytest.mark.usefixtures("downloaded")
    def test_a_version_that_is_not_there(self) -> None:
        manifest = registry_manifest("hpca")
        assert manifest.celldex
        other = manifest.model_copy(update={"celldex": manifest.celldex.model_copy(update={"version": "2000-01-01"})})
        with pytest.raises(DownloadFailed):
            fetch_with_celldex(other, False)
