"""References as pages show them."""

from collections.abc import Iterator
from typing import Any

from iscan_dash.core.references import Entry
from iscan_dash.core.references.profiles import label_names
from iscan_dash.core.references.registry import State, printable
from iscan_dash.core.references.self_test import read_self_test
from iscan_dash.errors import IscanError, PredictionRefused
from iscan_dash.services.install import built_ins
from iscan_dash.services.install_job import NO_CELLDEX, can_install
from iscan_dash.services.job_table import Job
from iscan_dash.web.services import Services


def card(entry: Entry) -> dict[str, Any]:
    """Return what is shown of a reference where one is chosen."""
    manifest = entry.manifest
    return {
        "id": entry.id,
        "name": entry.name,
        "state": str(entry.state),
        "ready": entry.state is State.READY,
        "origin": entry.origin,
        "organism": manifest.organism if manifest else "unknown",
        "n_labels": entry.n_labels,
        "granularities": list(manifest.granularities) if manifest else [],
        "version": manifest.version if manifest else "",
        "source": manifest.source if manifest else "",
        "licence": manifest.licence if manifest else "",
        "reasons": list(entry.reasons),
    }


def listed(services: Services) -> dict[str, Any]:
    """Return all references, those that cannot be used with the reasons, and where one's own are looked for."""
    registry = services.registry
    return {
        "references": [
            {**card(entry), "key": key, "installable": _is_installable(entry)} for key, entry in _by_key(services)
        ],
        "folder": printable(str(registry.shared)) if registry.shared else "",
        "folder_problem": printable(registry.folder_problem()),
        "no_install": "" if can_install() else NO_CELLDEX,
    }


def _by_key(services: Services) -> Iterator[tuple[str, Entry]]:
    """Give each reference what tells it apart: its id, with a number when another one has that."""
    times: dict[str, int] = {}
    for entry in services.registry.entries():
        times[entry.id] = times.get(entry.id, 0) + 1
        yield entry.id if times[entry.id] == 1 else f"{entry.id}~{times[entry.id]}", entry


def _is_installable(entry: Entry) -> bool:
    return entry.state is not State.READY and bool(entry.manifest and entry.manifest.celldex)


def details(services: Services, key: str) -> dict[str, Any]:
    """Return all that is known of a reference, after a look whether its matrix is what the manifest was written for.

    Returns
    -------
    dict
        ``facts`` (pairs of what and text), ``labels`` (name and ontology term by granularity), ``problem``, and
        ``test`` (how well it labels cells of its own study that were left out, by granularity; None where nobody
        tested).

    Raises
    ------
    PredictionRefused
        There is none.
    """
    entry = dict(_by_key(services)).get(key)
    if entry is None:
        raise PredictionRefused("There is no such reference any more. Load the page again.")
    found: dict[str, Any] = {"facts": _facts(entry), "labels": {}, "problem": "", "test": _test(entry)}
    manifest = entry.manifest
    if manifest is None or entry.matrix is None or entry.state is not State.READY:
        return found
    try:
        found["facts"].append(["Checksum", f"{services.registry.checksum(entry)} (matches the matrix)"])
        for granularity in manifest.granularities:
            terms = getattr(manifest.ontology, granularity)
            names = label_names(entry.matrix, manifest.column(granularity))
            found["labels"][granularity] = [[name, terms.get(name, "")] for name in names]
    except IscanError as error:
        found["problem"] = str(error)
    return found


def _facts(entry: Entry) -> list[list[str]]:
    manifest, contents = entry.manifest, entry.contents
    known: dict[str, str] = {"Where": f"{printable(str(entry.path))} ({entry.origin})"}
    if manifest is not None:
        sizes = (
            (contents.n_profiles if contents else manifest.n_profiles, "profiles"),
            (contents.n_genes if contents else manifest.n_genes, "genes"),
        )
        known |= {
            "Size": ", ".join(f"{number:,} {what}" for number, what in sizes if number),
            "Values": manifest.values,
            "Description": manifest.description,
            "Source": manifest.source,
            "Licence": manifest.licence,
            "To cite": manifest.citation,
            "Version": manifest.version,
        }
    return [[what, text] for what, text in known.items() if text]


def _test(entry: Entry) -> dict[str, Any] | None:
    tested = read_self_test(entry.path) if entry.state is State.READY and entry.path.is_dir() else None
    if tested is None:
        return None
    return {
        kind: {
            "text": test.text,
            "accuracy": test.accuracy,
            "mean": test.mean_of_labels,
            "labels": [own.model_dump() for own in test.labels],
        }
        for kind, test in tested.granularities.items()
    }


def start_install(services: Services, id_: str) -> Job:
    """Put the installation of a reference into the queue.

    Raises
    ------
    PredictionRefused
        It is none that can be installed, or there is nothing to download it with.
    """
    entry = built_ins(services.registry).get(id_)
    if entry is None or not _is_installable(entry):
        raise PredictionRefused("This reference is installed already, or is none that can be. Load the page again.")
    return services.jobs.submit("install", entry.name, {"reference": id_}, services.workspace)
