"""Collections of gene sets: made, edited, deleted and brought back, and those that are dropped into folders."""

import json
import os
import stat
from pathlib import Path

import pytest

from iscan_dash.core.gene_sets import GeneSet, read_gene_sets
from iscan_dash.core.references import Registry
from iscan_dash.core.references.registry import BUNDLED
from iscan_dash.errors import DataError, EditConflict, EnrichmentRefused, NameRefused, StorageError, UnknownColumn
from iscan_dash.services.gene_sets import GeneSetCollections

T, B = GeneSet("T cell", ("CD3D", "CD3E"), description="all"), GeneSet("B cell", ("MS4A1",), ("CD3D",))


@pytest.fixture
def collections(tmp_path: Path) -> GeneSetCollections:
    (tmp_path / "shared" / "gene_sets").mkdir(parents=True)
    return GeneSetCollections(tmp_path / "server", tmp_path / "shared", tmp_path / "none")


def names(collections: GeneSetCollections, user: str = "ada") -> list[str]:
    return [own.name for own in collections.list(user)]


def test_the_life_of_a_collection(collections: GeneSetCollections, tmp_path: Path) -> None:
    assert collections.list("ada") == []
    made = collections.create("ada", " Immune ", [T], "mine\nand yours")
    assert (made.name, made.version, made.origin, made.description, made.organism) == (
        "Immune",
        1,
        "own",
        "mine and yours",
        "human",
    )
    made = collections.put_set("ada", made.id, B, 1)
    assert made.sets == (T, B) and made.version == 2
    made = collections.put_set("ada", made.id, GeneSet("B", ("CD79A", " CD79A ", "MS4A1")), 2, former="B cell")
    assert made.sets[1] == GeneSet("B", ("CD79A", "MS4A1"))
    made = collections.rename("ada", made.id, "Blood", 3)
    assert (made.name, made.description) == ("Blood", "mine and yours")
    made = collections.delete_sets("ada", made.id, ["T cell"], 4)
    assert [own.name for own in made.sets] == ["B"]
    # Another server, or this one after a restart, reads the same.
    again = GeneSetCollections(tmp_path / "server", tmp_path / "shared", tmp_path / "none")
    assert again.get("ada", made.id) == made
    assert collections.delete("ada", made.id) == made and names(collections) == []
    collections.create("ada", "blood")
    back = collections.restore("ada", made.id)
    assert back.name == "Blood (2)" and back.sets == made.sets
    with pytest.raises(UnknownColumn):
        collections.restore("ada", made.id)
    assert names(collections) == ["Blood (2)", "blood"]


def test_users_have_their_own(collections: GeneSetCollections, tmp_path: Path) -> None:
    made = collections.create("ada", "Immune", [T])
    assert names(collections, "ben") == []
    with pytest.raises(UnknownColumn):
        collections.get("ben", made.id)
    (path,) = (tmp_path / "server" / "gene_sets").glob("*/*.json")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_what_is_refused(collections: GeneSetCollections) -> None:
    made = collections.create("ada", "Immune", [T])
    with pytest.raises(NameRefused, match="another collection of yours"):
        collections.create("ada", "immune")
    with pytest.raises(NameRefused, match="Enter a name"):
        collections.create("ada", " ")
    with pytest.raises(EnrichmentRefused, match="used by several sets") as caught:
        collections.create("ada", "Twice", [T, T])
    assert caught.value.code == "E53"
    with pytest.raises(EnrichmentRefused, match="no genes"):
        collections.put_set("ada", made.id, GeneSet("x", ("",)), 1)
    with pytest.raises(EnrichmentRefused, match="is no gene"):
        collections.put_set("ada", made.id, GeneSet("x", ("a" * 65,)), 1)
    with pytest.raises(EditConflict, match="changed meanwhile"):
        collections.rename("ada", made.id, "Other", 7)
    with pytest.raises(UnknownColumn, match="no gene set"):
        collections.put_set("ada", made.id, B, 1, former="gone")
    for id_ in ("", "../x", "0" * 32, "own:x"):
        with pytest.raises(UnknownColumn):
            collections.delete("ada", id_)
        with pytest.raises(UnknownColumn):
            collections.restore("ada", id_)


def test_repeated_names_are_refused_merged_or_replaced(collections: GeneSetCollections) -> None:
    made = collections.create("ada", "Immune", [T, B])
    new = [GeneSet("T cell", ("CD2", "CD3D")), GeneSet("NK", ("NKG7",))]
    with pytest.raises(EnrichmentRefused, match="T cell") as caught:
        collections.add("ada", made.id, new, 1)
    assert caught.value.code == "E53"
    merged = collections.add("ada", made.id, new, 1, "merge")
    assert [own.genes for own in merged.sets] == [("CD3D", "CD3E", "CD2"), ("MS4A1",), ("NKG7",)]
    replaced = collections.add("ada", made.id, new, 2, "replace")
    assert [own.genes for own in replaced.sets] == [("CD2", "CD3D"), ("MS4A1",), ("NKG7",)]


def test_dropped_files_appear_and_go(collections: GeneSetCollections, tmp_path: Path) -> None:
    folder = tmp_path / "shared"
    (folder / "gene_sets" / "lab.gmt").write_text("T\tx y\tCd3d\tCd3e\tCd2\n")
    (folder / "beside.gmt").write_text("T\tx y\tCD3D\tCD3E\n")
    (folder / "notes.txt").write_text("not a collection")
    (folder / "gene_sets" / "broken.csv").write_bytes(b"\xff\x00")
    (folder / "gene_sets" / ".hidden.gmt").write_text("T\t\tCD3D\n")
    os.mkfifo(folder / "gene_sets" / "pipe.gmt")
    found = {own.name: own for own in collections.list("ada")}
    assert set(found) == {"lab", "beside", "broken"}
    assert found["lab"].organism == "mouse" and found["lab"].origin == "shared"
    assert "not" in found["broken"].problem
    with pytest.raises(DataError):
        collections.get("ada", found["broken"].id)
    with pytest.raises(EnrichmentRefused, match="Duplicate it"):
        collections.delete("ada", found["lab"].id)
    copy = collections.duplicate("ada", found["lab"].id, "Mine")
    assert copy.sets == found["lab"].sets and copy.to_json()["editable"]
    (folder / "gene_sets" / "lab.gmt").write_text("T\tx y\tCD3D\tCD3E\tCD2\tCD5\n")
    assert collections.get("ada", found["lab"].id).sets[0].n_genes == 4
    (folder / "gene_sets" / "lab.gmt").unlink()
    assert "lab" not in names(collections)
    # It is no reference, and nobody says that it should be.
    assert not [entry for entry in Registry(tmp_path / "installed", folder).entries() if entry.id == "gene_sets"]


def test_a_file_with_a_name_of_another_encoding(collections: GeneSetCollections, tmp_path: Path) -> None:
    name = os.fsdecode(b"f\xfcr.gmt")
    (tmp_path / "shared" / "gene_sets" / name).write_text("T\tx y\tCD3D\tCD3E\n")
    (own,) = (own for own in collections.list("ada") if own.origin == "shared")
    assert own.name == "f?r" and collections.get("ada", own.id).sets[0].n_genes == 2
    # As answers of the server are.
    json.dumps(own.to_json(with_sets=True), ensure_ascii=False).encode()


def test_the_shipped_collections_are_sound(tmp_path: Path) -> None:
    shipped = [own for own in GeneSetCollections(tmp_path, None, BUNDLED).list("ada") if own.origin == "shipped"]
    assert {own.organism for own in shipped} == {"human", "mouse"}
    for own in shipped:
        assert not own.problem and len(own.sets) >= 40
        assert all(4 <= each.n_genes <= 20 and each.description for each in own.sets)
        read = read_gene_sets((BUNDLED / "gene_sets" / own.id.partition(":")[2]).read_bytes(), "x.json")
        assert not read.notes and not read.repeated


def test_export(collections: GeneSetCollections) -> None:
    made = collections.create("ada", "Immune: ours/theirs", [T, B])
    for kind in ("gmt", "csv", "json"):
        name, text = collections.export(made, kind)
        assert name == f"Immune__ours_theirs.{kind}"
        assert read_gene_sets(text.encode(), name).sets == made.sets


def test_a_damaged_file_is_said(collections: GeneSetCollections, tmp_path: Path) -> None:
    made = collections.create("ada", "Immune", [T])
    (path,) = (tmp_path / "server" / "gene_sets").glob("*/*.json")
    path.write_text('{"format": 1, "id": 3')
    assert "damaged" in collections.list("ada")[0].problem
    with pytest.raises(DataError, match="damaged"):
        collections.get("ada", made.id)
    path.write_text(path.read_text().replace('1, "id": 3', "99}"))
    assert "newer iscan-dash" in collections.list("ada")[0].problem


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "server").mkdir(mode=0o500)
    with pytest.raises(StorageError, match="cannot be kept"):
        GeneSetCollections(tmp_path / "server").create("ada", "Immune")
