"""Merges of several users: one at a time, and none that fills the disk."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest

from iscan_dash.core.annotations.combine import CombineRecipe
from iscan_dash.errors import StorageError
from iscan_dash.services import merge_run
from iscan_dash.services.merge import annotation_column
from iscan_dash.services.merge_run import MergeRun
from tests.web.conftest import MakeApp, services_of


def test_one_at_a_time_and_the_turn_is_given_back(make_app: MakeApp, small_file: Path, tmp_path: Path) -> None:
    workspace = services_of(make_app(small_file, single_user=True)).workspace
    columns = [annotation_column(workspace.create_from_existing("mine", [], CombineRecipe("none")))]
    run = MergeRun()
    with merge_run._TURN, pytest.raises(StorageError, match=r"^Another user's merge is running."):
        run.start(workspace.study, columns, [tmp_path / "a.h5ad"])
    for name in ("a.h5ad", "b.h5ad"):
        run.start(workspace.study, columns, [tmp_path / name])
        while run.state.is_running:
            pass
        assert (tmp_path / name).is_file()


def test_a_reserve_is_kept_free(
    make_app: MakeApp, small_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = services_of(make_app(small_file, single_user=True)).workspace
    columns = [annotation_column(workspace.create_from_existing("mine", [], CombineRecipe("none")))]
    full = SimpleNamespace(total=2**40, used=0, free=2**30 + 100)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: full)
    with pytest.raises(StorageError, match=r"^The disk is too full for a merged file"):
        MergeRun().start(workspace.study, columns, [tmp_path / "a.h5ad"])
    assert not merge_run._TURN.locked()
