"""Users of one server: each names drafts of their own, sees the others' annotations, and changes none of them."""

import re

import pytest
from selenium.webdriver.common.keys import Keys

from tests.browser.annotation_pages import ExistingAnnotations, NewAnnotation
from tests.browser.chromium import Browser
from tests.browser.pages import NamingDialog, Shell
from tests.browser.plot_pages import PlotPanel
from tests.browser.server import Draft, Server
from tests.browser.studies import combined, small_values

pytestmark = pytest.mark.browser

LABELS = combined([small_values("leiden")], "Unassigned", "_", "default")

RULE = "Use 1 to 64 letters, digits, _ and -; the name becomes part of a file name."


def files(server: Server) -> set[str]:
    """Return what is in the folder of drafts, but for the server's own folder."""
    return {path.name for path in server.folder.iterdir() if path.name != "server"}


def test_the_drafts_are_named_before_there_are_any(browser: Browser, open_server: Server) -> None:
    shell, form, naming = Shell(browser).open(open_server, "/annotate"), NewAnnotation(browser), NamingDialog(browser)
    before = files(open_server)
    # What is wrong with the annotation is said first.
    browser.click("#new-create")
    browser.until(form.name_error, "Enter a name.")
    assert not naming.is_shown()
    form.copy_from("cluster", "leiden").name("mine, named")
    browser.until(lambda: form.grid.header()[-1], "mine, named")
    browser.click("#new-create")
    naming.wait()
    found = re.fullmatch(rf"{re.escape(str(open_server.folder))}/small-([a-z2-7]{{8}})\.csv", naming.path())
    assert found
    # One goes on typing, and sees what comes of it.
    browser.press("my lab")
    browser.until(naming.path, f"{open_server.folder}/my lab-{found[1]}.csv")
    browser.click("#naming-ok")
    browser.until(naming.error, RULE)
    assert naming.is_shown()
    naming.cancel()
    assert form.grid.header()[-1] == "mine, named"
    assert shell.toasts() == []
    assert files(open_server) == before
    # Enter begins it too, and Enter ends it.
    browser.click("#new-name")
    browser.press(Keys.ENTER)
    naming.wait().name("lab-42")
    browser.until(naming.path, f"{open_server.folder}/lab-42-{found[1]}.csv")
    browser.press(Keys.ENTER)
    naming.wait_until_closed()
    shell.wait_for_toast(f'"mine, named" was created: 6 labels, {60 - LABELS.count("Unassigned")} cells set.')
    shell.wait_until_saved()
    name = f"lab-42-{found[1]}"
    assert files(open_server) - before == {f"{name}.csv", f"{name}.journal.db", f".{found[1]}.lock"}
    assert shell.draft_path() == open_server.folder / f"{name}.csv"
    assert Draft.read(shell.draft_path()).columns["mine, named"] == LABELS
    # It is asked once.
    shell.close_toasts()
    for number in (1, 2):
        form.name(f"mine {number}")
        browser.until(lambda: form.grid.header()[-1], f"mine {number}")
        browser.click("#new-create")
        shell.wait_for_toast(f'"mine {number}" was created: 1 label, 0 cells set.')
        shell.reload()
    assert not naming.is_shown()


def test_two_users_keep_to_their_own(browser: Browser, open_server: Server) -> None:
    shell, existing, form = Shell(browser), ExistingAnnotations(browser), NewAnnotation(browser)
    shell.open(open_server, "/annotate")
    form.make("of the first")
    first_name = shell.user()
    shell.wait_until_saved()
    first_draft = shell.draft_path()
    first_bytes = first_draft.read_bytes()
    journal = first_draft.with_suffix(".journal.db")
    first_journal = journal.read_bytes()
    first_tab = browser.another_tab()

    shell.open(open_server, "/annotate/existing", as_other=True)
    browser.wait(lambda: "of the first" in existing.names(), "the annotation of the first user")
    assert shell.user() != first_name
    assert existing.row("of the first").owner == first_name
    assert existing.lock("of the first") == f"Only {first_name} can edit this one; duplicate it to edit a copy"
    assert existing.buttons("of the first") == ["Colour plot", "Duplicate to edit"]
    assert existing.is_read_only("of the first")
    assert f"Only {first_name} can edit this annotation." in browser.text("#existing-details")
    assert (shell.undo_title(), shell.redo_title()) == ("Nothing to undo", "Nothing to redo")
    existing.colour_plot("of the first")
    PlotPanel(browser).wait_for_title("of the first")
    assert PlotPanel(browser).legend()["2"] == LABELS.count("2")

    # A copy is one's own, in a draft of one's own.
    with NamingDialog(browser).taken_as_offered():
        existing.duplicate("of the first")
    browser.wait(lambda: "of the first (copy)" in existing.names(), "the copy")
    assert existing.row("of the first (copy)").owner == shell.user()
    assert existing.lock("of the first (copy)") == ""
    existing.rename("of the first (copy)", "of the second")
    browser.wait(lambda: "of the second" in existing.names(), "the new name")
    existing.set_default("of the second", "left over")
    browser.wait(lambda: existing.row("of the second").version == 3, "the new default label")
    browser.until(shell.draft_path, first_draft.with_name(shell.draft_path().name))
    shell.wait_until_saved()
    second_draft = shell.draft_path()
    assert second_draft != first_draft
    renamed = ["left over" if label == "Unassigned" else label for label in LABELS]
    draft = Draft.read(second_draft)
    assert (list(draft.columns)[2:], draft.columns["of the second"]) == (["of the second"], renamed)
    assert first_draft.read_bytes() == first_bytes
    assert journal.read_bytes() == first_journal

    # The first sees it come, without a reload.
    second_name, second_tab = shell.user(), browser.look_at(first_tab)
    shell.go_to("Existing Annotations")
    browser.wait(lambda: "of the second" in existing.names(), "the annotation of the second user")
    assert existing.row("of the second").owner == second_name
    assert existing.lock("of the second")
    assert "Delete" in existing.buttons("of the first")
    assert shell.undo_title() == "Undo: Created from leiden (Ctrl+Z)"

    # What the second undoes is their own.
    browser.look_at(second_tab)
    shell.undo()
    browser.wait(lambda: existing.row("of the second").version == 4, "the default label undone")
    shell.wait_until_saved()
    assert Draft.read(second_draft).columns["of the second"] == LABELS
    assert first_draft.read_bytes() == first_bytes


def test_users_choose_the_name_that_others_see(browser: Browser, open_server: Server) -> None:
    shell, existing, form = Shell(browser), ExistingAnnotations(browser), NewAnnotation(browser)
    shell.open(open_server, "/annotate")
    assert re.fullmatch("user-[0-9a-f]{4}", shell.user())
    shell.rename_user("   ")
    browser.until(shell.user_error, "Enter a name.")
    shell.rename_user("Zoë <b>K.</b>")
    browser.until(shell.user, "Zoë <b>K.</b>")
    shell.wait_for_toast("New annotations carry the name Zoë <b>K.</b>.")
    assert shell.user_error() == ""
    form.make("signed")
    shell.reload()
    assert shell.user() == "Zoë <b>K.</b>"
    browser.another_tab()
    shell.open(open_server, "/annotate/existing", as_other=True)
    browser.wait(lambda: "signed" in existing.names(), "the annotation")
    assert existing.row("signed").owner == "Zoë <b>K.</b>"
    assert existing.lock("signed").startswith("Only Zoë <b>K.</b> can edit")
    # In the list of what can be copied it is told apart from one's own.
    shell.go_to("New Annotation")
    assert "signed of Zoë <b>K.</b> (6 levels)" in form.sources("annotation")


def test_a_second_tab_is_the_same_user(browser: Browser, open_server: Server) -> None:
    shell, existing = Shell(browser), ExistingAnnotations(browser)
    shell.open(open_server, "/annotate")
    NewAnnotation(browser).make("in both")
    name = shell.user()
    first = browser.another_tab()
    shell.open(open_server, "/annotate/existing")
    assert shell.user() == name
    browser.wait(lambda: "in both" in existing.names(), "the annotation in the second tab")
    assert existing.lock("in both") == ""
    existing.rename("in both", "in both tabs")
    browser.wait(lambda: "in both tabs" in existing.names(), "the new name")
    browser.look_at(first)
    shell.go_to("Existing Annotations")
    browser.wait(lambda: "in both tabs" in existing.names(), "the new name in the first tab")


def test_names_that_are_html_stay_text(browser: Browser, open_server: Server) -> None:
    """Whatever a label or a name holds, it is shown and not run: no element is made of it, on any page."""
    shell, form, existing, plot = (
        Shell(browser),
        NewAnnotation(browser),
        ExistingAnnotations(browser),
        PlotPanel(browser),
    )
    bad = "<img src=x onerror=window.hit=1>"
    shell.open(open_server, "/annotate")
    shell.rename_user(f"U{bad}")
    browser.until(shell.user, f"U{bad}")
    form.copy_from("cluster", "leiden").name(f"N{bad}").default(f"L{bad}")
    browser.wait(lambda: f"L{bad}" in dict(form.counts()), "the preview")
    form.create()
    shell.wait_until_said(f'"N{bad}" was created')
    plot.colour_by(f"N{bad}")
    assert plot.legend()[f"L{bad}"] == LABELS.count("Unassigned")
    assert f"N{bad}" in plot.table()
    shell.go_to("Export")
    browser.wait(lambda: f"N{bad}" in browser.text("#export-choice"), "the annotation to export")
    shell.go_to("Existing Annotations")
    browser.wait(lambda: f"N{bad}" in existing.names(), "the list")
    assert f"L{bad}" in existing.labels(f"N{bad}")
    existing.describe(f"N{bad}", f"D{bad}")
    browser.wait(lambda: existing.row(f"N{bad}").version == 2, "the description")
    existing.rename(f"N{bad}", f"M{bad}")
    browser.wait(lambda: f"M{bad}" in existing.names(), "the new name")
    assert existing.history(f"M{bad}")[0] == (f'Renamed from "N{bad}" to "M{bad}"', "now")
    existing.close_history()
    existing.delete(f"M{bad}")
    browser.wait(lambda: f"M{bad}" in existing.recently_deleted(), "the annotation to go")
    existing.restore(f"M{bad}")
    browser.wait(lambda: f"M{bad}" in existing.names(), "the annotation to come back")
    harmed = "return [window.hit ?? null, document.querySelectorAll('img[src=x]').length]"
    assert browser.js(harmed) == [None, 0]
    shell.open(open_server, "/annotate/existing", as_other=True)
    browser.wait(lambda: f"M{bad}" in existing.names(), "the list of another user")
    assert existing.row(f"M{bad}").owner == f"U{bad}"
    shell.go_to("New Annotation")
    assert any(text.startswith(f"M{bad} of U{bad}") for text in form.sources("annotation"))
    assert browser.js(harmed) == [None, 0]
