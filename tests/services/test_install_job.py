"""Installing a reference as a job: its steps, what it refuses, and what is there afterwards."""

from pathlib import Path
from typing import Any

import pytest

from iscan_dash.core.engine.control import Control
from iscan_dash.core.references import Registry
from iscan_dash.core.references.registry import State
from iscan_dash.errors import PredictionRefused
from iscan_dash.services import install, install_job
from iscan_dash.services.install_job import NO_CELLDEX, InstallJob
from iscan_dash.services.job_kinds import KINDS, Task, load_kind
from tests.services.test_install import fetch


def test_it_is_a_kind_of_job() -> None:
    assert isinstance(load_kind(KINDS["install"]), InstallJob)


def test_without_celldex_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install_job, "can_install", lambda: False)
    with pytest.raises(PredictionRefused) as refused:
        InstallJob().prepare("HPCA", {"reference": "hpca"})
    assert str(refused.value) == NO_CELLDEX


@pytest.mark.parametrize("id_", ["../x", "", "HPCA"])
def test_ids_that_cannot_be(id_: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install_job, "can_install", lambda: True)
    with pytest.raises(PredictionRefused):
        InstallJob().prepare("x", {"reference": id_})


def test_it_installs_and_tells_its_steps(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(install_job, "can_install", lambda: True)
    monkeypatch.setattr(install, "fetch_with_celldex", fetch)
    kind, told = InstallJob(), []
    name, parameters = kind.prepare("Human Primary Cell Atlas", {"reference": "hpca", "other": 1})
    assert (name, parameters) == ("Human Primary Cell Atlas", {"reference": "hpca"})
    control = Control(lambda step, done, total: told.append((step, done, total)))
    task: Any = Task(None, parameters, tmp_path / "job", control, 1, {"references": str(tmp_path / "installed")})
    kind.work(task)
    assert told == [("download", 0, 1), ("convert", 0, 1), ("verify", 0, 1), ("verify", 1, 1)]
    assert list(kind.steps(parameters)) == ["download", "convert", "verify"]
    assert Registry(tmp_path / "installed").find("hpca").state is State.READY
