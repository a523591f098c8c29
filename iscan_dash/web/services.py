"""What the page's callbacks work with."""

from dataclasses import dataclass

from iscan_dash.services.hashes import FileHashes
from iscan_dash.services.workspace import Workspace
from iscan_dash.web.plots import Plots
from iscan_dash.web.preview import Previews


@dataclass(frozen=True)
class Services:
    """The services of one application.

    Parameters
    ----------
    workspace
        The open study and its annotations.
    plots
        Arrays and specifications of plots.
    previews
        Previews of annotations being made.
    hashes
        SHA-256 of the files.
    """

    workspace: Workspace
    plots: Plots
    previews: Previews
    hashes: FileHashes

    def close(self) -> None:
        """Stop the background work, write what is unsaved and close the files."""
        self.hashes.close()
        self.workspace.close()
