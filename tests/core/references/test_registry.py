"""The references that can be chosen: found at once, refused with reasons, never opened twice."""

import os
from pathlib import Path

import pytest

from iscan_dash.core.references import Registry, State
from iscan_dash.core.references import registry as registry_module
from iscan_dash.core.references.load import load_reference
from iscan_dash.core.references.registry import Entry
from iscan_dash.core.references.verify import verify
from iscan_dash.errors import PredictionRefused
from tests.references import LABELS, gene_names, some_profiles, write_folder, write_profiles


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    (tmp_path / "shared").mkdir()
    return Registry(tmp_path / "installed", tmp_path / "shared")


def by_id(registry: Registry) -> dict[str, Entry]:
    return {entry.id: entry for entry in registry.entries()}


def test_what_comes_with_the_package(tmp_path: Path) -> None:
    found = by_id(Registry(tmp_path / "none"))
    assert {id_: str(entry.state) for id_, entry in found.items()} == {
        "blueprint_encode": "not installed",
        "hao_pbmc": "ready",
        "hpca": "not installed",
        "immgen": "not installed",
        "monaco_immune": "not installed",
        "mouse_rnaseq": "not installed",
    }
    assert found["hpca"].reasons == ("It is not installed. To add it: iscan-dash references install hpca",)
    assert found["hpca"].n_labels == {"main": 36, "fine": 157}
    assert found["hao_pbmc"].n_labels == {"main": 7, "fine": 11}


def test_files_are_picked_up_and_forgotten(registry: Registry) -> None:
    shared = registry.shared
    assert shared
    before = set(by_id(registry))
    write_profiles(shared / "gut.h5ad")
    write_folder(shared / "skin")
    found = by_id(registry)
    assert set(found) - before == {"gut", "skin"}
    assert {found["gut"].state, found["skin"].state} == {State.READY}
    assert found["gut"].origin == "shared"
    (shared / "gut.h5ad").unlink()
    assert set(by_id(registry)) - before == {"skin"}


def test_a_changed_file_is_looked_at_again(registry: Registry, monkeypatch: pytest.MonkeyPatch) -> None:
    assert registry.shared
    path = write_profiles(registry.shared / "gut.h5ad")
    looked = []
    real = registry_module.verify
    monkeypatch.setattr(registry_module, "verify", lambda path, **options: looked.append(path) or real(path, **options))
    registry.entries()
    registry.entries()
    assert looked.count(path) == 1
    write_profiles(path, ["T"] * 11)
    assert by_id(registry)["gut"].state is State.REFUSED
    assert looked.count(path) == 2


def test_ids_that_are_taken(registry: Registry) -> None:
    assert registry.shared
    write_profiles(registry.shared / "hao_pbmc.h5ad")
    write_folder(registry.shared / "hpca")
    write_profiles(registry.shared / "gut.h5ad")
    write_folder(registry.shared / "gut")
    refused = [entry for entry in registry.entries() if entry.state is State.REFUSED]
    assert [(entry.id, entry.path.name) for entry in refused] == [
        ("gut", "gut.h5ad"),
        ("hao_pbmc", "hao_pbmc.h5ad"),
        ("hpca", "hpca"),
    ]
    assert refused[1].reasons == (
        f'The id "hao_pbmc" is that of another reference ({registry.bundled / "hao_pbmc"}). Rename this one.',
    )
    # The others are what they were.
    assert registry.find("hpca").state is State.NOT_INSTALLED
    assert registry.ready("hao_pbmc").origin == "bundled"
    assert registry.ready("gut").path == registry.shared / "gut"


def test_what_is_no_reference_is_shown_with_the_reason(registry: Registry) -> None:
    assert registry.shared
    (registry.shared / "notes.txt").write_text("x")
    (registry.shared / ".hidden").mkdir()
    (registry.shared / "empty").mkdir()
    (registry.shared / "half.h5ad").write_bytes(b"\x89HDF\r\n\x1a\n")
    found = {entry.id: entry for entry in registry.entries() if entry.origin == "shared"}
    assert set(found) == {"empty", "half"}
    assert all(entry.state is State.REFUSED and entry.reasons for entry in found.values())
    with pytest.raises(PredictionRefused, match=r"^half cannot be used\. .*half\.h5ad"):
        registry.ready("half")


def test_an_installed_one(registry: Registry) -> None:
    celldex = {"name": "hpca", "version": "2024-02-26"}
    folder = write_folder(registry.installed / "hpca", celldex=celldex)
    entry = registry.ready("hpca")
    assert (entry.origin, entry.path, entry.n_labels) == ("installed", folder, {"main": 4})
    (folder / "reference.h5ad").unlink()
    with pytest.raises(PredictionRefused) as caught:
        registry.ready("hpca")
    assert str(caught.value).endswith("Install it again: iscan-dash references install hpca")


def test_the_shared_folder(tmp_path: Path) -> None:
    assert Registry(tmp_path).folder_problem() == ""
    missing = Registry(tmp_path, tmp_path / "none")
    assert missing.folder_problem() == (
        f"The folder of references {tmp_path / 'none'} does not exist. Check --references or ISCAN_REFERENCES."
    )
    assert missing.find("hao_pbmc").state is State.READY


def test_unknown_ids(registry: Registry) -> None:
    with pytest.raises(PredictionRefused) as caught:
        registry.find("x")
    assert str(caught.value) == (
        'There is no reference "x". There are: blueprint_encode, hao_pbmc, hpca, immgen, monaco_immune, mouse_rnaseq.'
    )


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes here")
def test_pipes_are_not_opened(registry: Registry) -> None:
    assert registry.shared
    os.mkfifo(registry.shared / "pipe.h5ad")
    (registry.shared / "gut").mkdir()
    os.mkfifo(registry.shared / "gut" / "reference.json")
    skin = write_folder(registry.shared / "skin") / "reference.h5ad"
    skin.unlink()
    os.mkfifo(skin)
    found = {entry.id: entry.reasons for entry in registry.entries() if entry.origin == "shared"}
    assert found == {
        "gut": (f"{registry.shared / 'gut' / 'reference.json'} is no file.",),
        "skin": (f"{skin} is missing: a reference needs its matrix beside the manifest.",),
    }
    assert (
        verify(registry.shared / "pipe.h5ad")
        .problems[0]
        .endswith("is no reference: name an .h5ad file, or a folder with a reference.json.")
    )


def test_names_of_files_are_no_commands(registry: Registry) -> None:
    assert registry.shared
    write_profiles(registry.shared / "a\x1b[2J\n.h5ad")
    (entry,) = (entry for entry in registry.entries() if entry.origin == "shared")
    assert entry.id == "a?[2J?"
    assert entry.state is State.REFUSED
    assert all(reason.isprintable() for reason in entry.reasons)


class TestLoad:
    def test_values_and_labels(self, registry: Registry) -> None:
        assert registry.shared
        labels = [*LABELS[:-1], None]
        write_profiles(registry.shared / "gut.h5ad", labels, some_profiles(LABELS))
        loaded = load_reference(registry, "gut", "main")
        assert loaded.profiles.labels == labels
        assert list(loaded.profiles.genes) == gene_names(600)
        assert loaded.profiles.values.dtype == "float32"
        assert (loaded.profiles.values == some_profiles(LABELS)).all()
        assert loaded.checksum.startswith("sha256:")

    def test_terms(self, registry: Registry) -> None:
        assert registry.shared
        write_folder(registry.shared / "gut", ontology={"main": {"T cell": "CL:0000084"}})
        assert load_reference(registry, "gut", "main").terms == {"T cell": "CL:0000084"}

    def test_labels_it_does_not_have(self, registry: Registry) -> None:
        assert registry.shared
        write_profiles(registry.shared / "gut.h5ad")
        with pytest.raises(PredictionRefused, match=r"^gut has no fine labels\."):
            load_reference(registry, "gut", "fine")

    def test_a_matrix_that_is_another(self, registry: Registry) -> None:
        assert registry.shared
        folder = write_folder(registry.shared / "gut")
        load_reference(registry, "gut", "main")
        write_profiles(folder / "reference.h5ad", x=some_profiles(LABELS, seed=1))
        with pytest.raises(PredictionRefused, match=r"is not the file its manifest was written for"):
            load_reference(registry, "gut", "main")

    def test_not_installed(self, registry: Registry) -> None:
        with pytest.raises(PredictionRefused) as caught:
            load_reference(registry, "immgen", "main")
        assert str(caught.value) == (
            "ImmGen cannot be used. It is not installed. To add it: iscan-dash references install immgen"
        )
