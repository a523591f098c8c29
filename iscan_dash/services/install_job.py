"""Installing a reference as a job: it downloads, and that may take minutes."""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from iscan_dash.core.references import Registry
from iscan_dash.core.references.manifest import SLUG
from iscan_dash.errors import PredictionRefused
from iscan_dash.services.install import install
from iscan_dash.services.job_kinds import Made, Task
from iscan_dash.services.job_table import Job
from iscan_dash.services.workspace import Workspace

STEPS = {"download": 60.0, "convert": 30.0, "verify": 10.0}

NO_CELLDEX = (
    "References are downloaded with the celldex package, which is not installed on this server. Whoever runs it can "
    "add it with: pip install 'iscan-dash[references]'"
)


def can_install() -> bool:
    """Tell whether what downloads references is there."""
    return find_spec("celldex") is not None and find_spec("gypsum_client") is not None


class InstallJob:
    """Installs a built-in reference into the folder that the server's option ``"references"`` names."""

    title = "Install a reference"

    def prepare(self, name: str, parameters: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
        """Refuse what cannot be installed."""
        if not can_install():
            raise PredictionRefused(NO_CELLDEX)
        id_ = str(parameters.get("reference", ""))
        if not SLUG.fullmatch(id_):
            raise PredictionRefused("There is no such reference. Choose one from the list.")
        return name or id_, {"reference": id_}

    def steps(self, parameters: Mapping[str, Any]) -> Mapping[str, float]:
        """Return the steps, as `install` tells them."""
        return STEPS if parameters else {}

    def work(self, task: Task) -> None:
        """Download and convert it; it is there only once it is whole."""
        registry = Registry(Path(task.options["references"]))

        def tell(_part: float, what: str) -> None:
            said = what.rpartition(": ")[2]
            for step in STEPS:
                if said.startswith(step):
                    task.control.tell(step, 0, 1)

        for _ in install(registry, [task.parameters["reference"]], progress=tell):
            task.control.tell("verify", 1, 1)

    def finish(self, _workspace: Workspace, job: Job, _folder: Path) -> Made:
        """Say that it is there."""
        return Made(job.parameters["reference"], f"{job.name} is installed and can be chosen.")
