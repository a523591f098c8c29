"""Study Logs: what was done, what is being done, and what can be done about it."""

from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.browser.annotation_pages import NewAnnotation
from tests.browser.chromium import Browser
from tests.browser.conftest import Serve
from tests.browser.pages import Shell
from tests.browser.prediction_pages import PredictionForm, StudyLogs
from tests.browser.server import Server

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def own_demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of the demo whose jobs the tests of this module make."""
    running = Server("demo", "--single-user", folder=tmp_path_factory.mktemp("jobs")).start()
    yield running
    running.close()


def submit(browser: Browser, name: str) -> str:
    """Submit a prediction of the demo, and return its job."""
    form = PredictionForm(browser).open().choose("hao_pbmc").name(name)
    browser.until(form.resolved, f'The result is called "{name}".')
    return form.submit()


def test_nothing_was_done_yet(browser: Browser, serve: Serve, small_file: Path) -> None:
    server = serve("serve", small_file, "--single-user")
    Shell(browser).open(server)
    StudyLogs(browser).open()
    browser.until(
        lambda: browser.text(".logs-page .empty-state"),
        "Nothing was done yet. Predict cell types under Cell Annotation, or create an annotation: it is listed here.",
    )


def test_edits_and_jobs_are_listed_and_filtered(browser: Browser, own_demo: Server) -> None:
    Shell(browser).open(own_demo, "/annotate")
    NewAnnotation(browser).kind("Empty").name("by hand")
    NewAnnotation(browser).create()
    job = submit(browser, "listed")
    logs = StudyLogs(browser).open()
    logs.wait_for_state(job, "Finished")
    browser.wait(
        lambda: [row.name for row in logs.rows() if row.type == "Edit"][:2] == ["listed", "by hand"], "the edits"
    )
    log = logs.log(job)
    assert "Human PBMC (Hao et al. 2021)" in log and log.endswith("labels.")
    logs.list_only("edits")
    browser.until(lambda: {row.type for row in logs.rows()}, {"Edit"})
    logs.list_only("jobs")
    browser.until(lambda: {row.type for row in logs.rows()}, {"Cell type prediction"})
    logs.state("Failed")
    browser.until(lambda: browser.text(".logs-page .empty-state"), "Nothing matches these filters.")
    logs.state("")
    logs.list_only("all")
    logs.search("by hand")
    browser.until(lambda: [row.name for row in logs.rows()], ["by hand"])
    assert logs.count() == "1 entry"


def test_a_job_is_cancelled_and_run_again(browser: Browser, own_demo: Server) -> None:
    shell = Shell(browser).open(own_demo, "/annotate")
    form = PredictionForm(browser).open()
    form.number("nmads", "4.5")
    job = submit(browser, "given up")
    browser.wait(
        lambda: browser.js("return !!document.querySelector(arguments[0])", f'[data-job="{job}"] button'), "Cancel"
    )
    said = browser.js(
        """
        const row = () => document.querySelector(arguments[0]);
        row().querySelector("button").click();
        return [row().innerText, row().querySelector("button").disabled]""",
        f'[data-job="{job}"]',
    )
    # At once, before the server answers.
    assert "Cancelling..." in said[0] and said[1]
    assert form.wait_until_done(job) == "Cancelled"
    logs = StudyLogs(browser).open()
    row = logs.wait_for_state(job, "Cancelled")
    assert row.actions == ["rerun", "log"]
    left = own_demo.folder / "server" / "jobs"
    browser.wait(lambda: not (left / job).exists(), "the folder of the job to go")
    logs.act(job, "rerun")
    form.wait()
    browser.until(lambda: (form.values()["name"], form.values()["reference"]), ("given up", "hao_pbmc"))
    assert form.values()["nmads"] == "4.5"
    again = form.submit()
    assert again != job
    form.wait_until_done(again)
    shell.wait_for_toast(f"given up: {form.jobs()[again]}")


def test_a_queue_is_worked_off_in_order(browser: Browser, own_demo: Server) -> None:
    Shell(browser).open(own_demo, "/annotate")
    first, second = submit(browser, "first"), submit(browser, "second")
    logs = StudyLogs(browser).open()
    assert [row.name for row in logs.rows() if row.type != "Edit"][:2] == ["second", "first"]
    logs.wait_for_state(first, "Finished")
    logs.wait_for_state(second, "Finished")


def test_a_job_is_lost_with_its_server_and_runs_again(browser: Browser, serve: Serve) -> None:
    server = serve("demo", "--single-user")
    browser.expect_the_server_to_go()
    shell = Shell(browser).open(server, "/annotate")
    job = submit(browser, "lost and found")
    logs = StudyLogs(browser).open()
    logs.wait_for_state(job, "Running")
    server.kill()
    server.start()
    # The page that was open hears of it.
    row = logs.wait_for_state(job, "Lost")
    assert row.message == "The server restarted. Run again?"
    shell.reload()
    logs.act(job, "rerun")
    form = PredictionForm(browser).wait()
    again = form.submit()
    assert again != job
    assert " cells labelled with " in form.wait_until_done(again)


def test_a_worker_that_is_killed_is_a_clear_failure(browser: Browser, own_demo: Server) -> None:
    Shell(browser).open(own_demo, "/annotate")
    job = submit(browser, "out of memory")

    def workers() -> list[psutil.Process]:
        return [found for found in psutil.process_iter(["cmdline"]) if job in (found.info["cmdline"] or [])]

    browser.wait(workers, "the worker")
    for worker in workers():
        worker.kill()
    row = StudyLogs(browser).open().wait_for_state(job, "Failed")
    assert row.message.startswith("The worker was stopped by the system")


def test_others_see_a_job_and_cannot_cancel_it(browser: Browser, serve: Serve) -> None:
    server = serve("demo")
    shell = Shell(browser).open(server, "/annotate")
    job = submit(browser, "of the first user")
    first = browser.another_tab()
    shell.open(server, "/logs", as_other=True)
    logs = StudyLogs(browser)
    assert "cancel" not in logs.job(job).actions
    logs.wait_for_state(job, "Finished")
    mine = submit(browser, "of the second user")
    logs.open().wait_for_state(mine, "Finished")
    # Its server is stopped before the tab is closed.
    browser.leave()
    browser.look_at(first)
    logs.open()
    assert logs.wait_for_state(mine, "Finished").name == "of the second user"
    assert logs.job(mine).user != logs.job(job).user
