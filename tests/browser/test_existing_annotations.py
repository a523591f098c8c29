"""Existing Annotations: the life of an annotation, every step of it reversible, in one tab and in two."""

import pytest
from selenium.webdriver.common.keys import Keys

from tests.browser.annotation_pages import ExistingAnnotations, NewAnnotation
from tests.browser.chromium import Browser
from tests.browser.pages import Shell
from tests.browser.plot_pages import PlotPanel
from tests.browser.server import Server
from tests.browser.studies import N_CELLS, combined, small_values
from tests.services.page_client import PageClient

pytestmark = pytest.mark.browser

LABELS = combined([small_values("leiden")], "Unassigned", "_", "default")


@pytest.fixture
def shell(browser: Browser, server: Server) -> Shell:
    """The page, in the light theme."""
    browser.prefer(prefers_color_scheme="light")
    return Shell(browser).open(server, "/annotate")


def listed(shell: Shell, name: str) -> ExistingAnnotations:
    """Make an annotation of the clusters and show it in the list."""
    NewAnnotation(shell.browser).make(name)
    shell.go_to("Existing Annotations")
    existing = ExistingAnnotations(shell.browser)
    shell.browser.wait(lambda: name in existing.names(), f"{name} in the list")
    return existing


def labels_of(server: Server, shell: Shell, name: str) -> list[str] | None:
    """Return the labels of an annotation as the saved draft has them, None when it has no such annotation."""
    shell.wait_until_saved()
    return server.draft().columns.get(name)


def test_an_annotation_is_made_renamed_copied_deleted_and_brought_back(shell: Shell, server: Server) -> None:
    browser = shell.browser
    existing = listed(shell, "fate")
    existing.rename("fate", "cell fate")
    browser.wait(lambda: "cell fate" in existing.names() and "fate" not in existing.names(), "the new name")
    assert existing.row("cell fate").version == 2
    assert labels_of(server, shell, "cell fate") == LABELS
    assert labels_of(server, shell, "fate") is None

    existing.duplicate("cell fate")
    browser.wait(lambda: "cell fate (copy)" in existing.names(), "the copy")
    shell.wait_for_toast('"cell fate (copy)" was created.')
    copy, original = existing.row("cell fate (copy)"), existing.row("cell fate")
    assert (copy.n_labels, copy.n_set, copy.origin, copy.version) == (original.n_labels, original.n_set, "copy", 1)
    assert existing.labels("cell fate (copy)") == existing.labels("cell fate")
    assert labels_of(server, shell, "cell fate (copy)") == LABELS

    existing.delete("cell fate")
    browser.wait(lambda: "cell fate" not in existing.names(), "the annotation to go")
    assert "cell fate" in existing.recently_deleted()
    assert labels_of(server, shell, "cell fate") is None
    shell.answer_toast('"cell fate" was deleted.', "Undo")
    browser.wait(lambda: "cell fate" in existing.names(), "the annotation to come back")
    shell.wait_for_toast('"cell fate" is back.')
    assert "cell fate" not in existing.recently_deleted()
    assert labels_of(server, shell, "cell fate") == LABELS


def test_each_step_is_undone_and_redone(shell: Shell, server: Server) -> None:
    browser = shell.browser
    existing = listed(shell, "step")
    existing.rename("step", "step two")
    browser.wait(lambda: "step two" in existing.names(), "the new name")
    existing.duplicate("step two")
    browser.wait(lambda: "step two (copy)" in existing.names(), "the copy")
    existing.delete("step two")
    browser.wait(lambda: "step two" not in existing.names(), "the annotation to go")
    steps = [
        {"step two (copy)"},
        {"step two", "step two (copy)"},
        {"step two"},
        {"step"},
        set[str](),
    ]
    undo = ["Deleted", "Copied from", "Renamed from", "Created from"]

    def own() -> set[str]:
        return {name for name in existing.names() if name.startswith("step")}

    browser.until(own, steps[0])
    # By the buttons, all the way back and forth.
    for before, step in zip(undo, steps[1:], strict=True):
        browser.wait(lambda before=before: shell.undo_title().startswith(f"Undo: {before}"), f"to undo: {before}")
        assert shell.undo_title().endswith("(Ctrl+Z)")
        shell.undo()
        browser.until(own, step)
    for before, step in zip(reversed(undo), reversed(steps[:-1]), strict=True):
        browser.wait(lambda before=before: shell.redo_title().startswith(f"Redo: {before}"), f"to redo: {before}")
        shell.redo()
        browser.until(own, step)
    # By keys.
    browser.js("document.activeElement.blur()")
    for step in steps[1:]:
        browser.press(Keys.CONTROL + "z" + Keys.NULL)
        browser.until(own, step)
    for step in reversed(steps[:-1]):
        browser.press(Keys.CONTROL + Keys.SHIFT + "z" + Keys.NULL)
        browser.until(own, step)
    browser.until(shell.redo_title, "Nothing to redo")
    assert labels_of(server, shell, "step two (copy)") == LABELS
    # While typing the keys belong to the text.
    existing.expand("step two (copy)")
    version = existing.version("step two (copy)")
    browser.click("input[id*='existing-description']")
    browser.press(Keys.CONTROL + "z" + Keys.NULL)
    existing.describe("step two (copy)", "typed")
    browser.wait(lambda: existing.version("step two (copy)") == version + 1, "the description, and nothing undone")
    assert own() == steps[0]


def test_what_was_deleted_is_restored_from_the_list(shell: Shell, server: Server) -> None:
    browser = shell.browser
    existing = listed(shell, "gone")
    existing.delete("gone")
    browser.wait(lambda: "gone" not in existing.names(), "the annotation to go")
    shell.close_toasts()
    existing.restore("gone")
    browser.wait(lambda: "gone" in existing.names(), "the annotation to come back")
    browser.wait(lambda: "gone" not in existing.recently_deleted(), "the list without it")
    assert existing.row("gone").version == 3
    assert labels_of(server, shell, "gone") == LABELS


def test_a_name_taken_meanwhile_is_not_taken_twice(shell: Shell) -> None:
    browser = shell.browser
    existing = listed(shell, "twin")
    existing.delete("twin")
    browser.wait(lambda: "twin" not in existing.names(), "the annotation to go")
    shell.close_toasts()
    listed(shell, "twin")
    existing.restore("twin")
    browser.wait(lambda: {"twin", "twin (2)"} <= set(existing.names()), "both under names of their own")


def test_a_recoloured_label_has_its_colour_everywhere(shell: Shell) -> None:
    browser, plot = shell.browser, PlotPanel(shell.browser)
    existing = listed(shell, "colours")
    existing.colour_plot("colours")
    plot.wait_for_title("colours")
    before = plot.legend_colours()
    counts = {label: LABELS.count(label) for label in dict.fromkeys(["Unassigned", *sorted(set(LABELS))])}
    assert plot.legend() == {label: count for label, count in counts.items() if count}
    assert {label: colour for label, (colour, _) in existing.labels("colours").items()} == before
    assert before["Unassigned"] == "#b4b9c1"
    picture = plot.pixels()
    existing.recolour("colours", "3", "#ff0000")
    browser.until(plot.legend_colours, before | {"3": "#ff0000"})
    browser.wait(lambda: bool((plot.pixels() == [255, 0, 0]).all(axis=2).sum() > 50), "red cells")
    browser.until(lambda: existing.labels("colours")["3"], ("#ff0000", LABELS.count("3")))
    shell.undo()
    browser.until(plot.legend_colours, before)
    browser.wait(lambda: bool((plot.pixels() == picture).all()), "the picture as it was")


def test_the_default_label_and_the_description_are_changed(shell: Shell, server: Server) -> None:
    browser = shell.browser
    existing = listed(shell, "texts")
    existing.set_default("texts", "to do, later")
    browser.wait(lambda: "to do, later" in existing.labels("texts"), "the new default label")
    browser.wait(lambda: existing.row("texts").version == 2, "the next version")
    renamed = ["to do, later" if label == "Unassigned" else label for label in LABELS]
    assert labels_of(server, shell, "texts") == renamed
    assert existing.row("texts").n_set == N_CELLS - LABELS.count("Unassigned")
    existing.describe("texts", "Clusters by hand, 2nd round")
    browser.wait(lambda: existing.row("texts").version == 3, "the next version")
    existing.set_default("texts", "3")
    shell.wait_for_toast('This annotation already has a label "3". Choose another text.')
    shell.reload()
    browser.wait(lambda: "texts" in existing.names(), "the list")
    existing.expand("texts")
    assert existing.description("texts") == "Clusters by hand, 2nd round"


def test_a_refused_name_is_explained(shell: Shell) -> None:
    browser = shell.browser
    existing = listed(shell, "proper")
    existing.rename("proper", "leiden")
    shell.wait_for_toast('"leiden" is already used by a cluster column. Choose another name.')
    existing.rename("proper", "a/b")
    shell.wait_for_toast(r"Names cannot contain / or \ because HDF5 uses them as separators.")
    assert "proper" in existing.names()
    assert existing.row("proper").version == 1
    # An error stays until it is closed.
    assert len(shell.toasts()) == 2
    shell.close_toasts()
    existing.rename("proper", "Proper")
    browser.wait(lambda: "Proper" in existing.names(), "a name that differs in case from its own")


def test_the_history_tells_what_happened_and_leads_back(shell: Shell, server: Server) -> None:
    browser = shell.browser
    existing = listed(shell, "past")
    existing.set_default("past", "none")
    browser.wait(lambda: existing.row("past").version == 2, "the next version")
    existing.rename("past", "the past")
    browser.wait(lambda: existing.version("the past") == 3, "the next version")
    renamed = ["none" if label == "Unassigned" else label for label in LABELS]
    entries = [
        ('Renamed from "past" to "the past"', "now"),
        ('Default label "Unassigned" renamed to "none"', "Revert"),
        ("Created from leiden", "Revert"),
    ]
    assert existing.history("the past") == entries
    assert browser.texts(".history-popover th") == ["Timestamp", "Description", "Action"]
    time = browser.js(
        "const e = document.querySelector('.history-popover time'); return [e.dateTime, e.title, e.textContent]"
    )
    assert time[0].startswith("20")
    assert time[1] == time[0][:19].replace("T", " ") + " UTC"
    question = existing.ask_to_revert("the past", 2)
    assert question.splitlines() == [
        'No cell of "the past" will change. The revert itself can be undone.',
        "",
        'It was called "past".',
        'Label "none" was called "Unassigned".',
    ]
    existing.confirm_revert()
    browser.wait(lambda: "past" in existing.names() and "the past" not in existing.names(), "the first version")
    shell.wait_for_toast('"past" is at version 1 again.')
    assert labels_of(server, shell, "past") == LABELS
    assert existing.row("past").version == 4
    existing.close_history()
    assert existing.history("past")[:2] == [
        ("Reverted to version 1 (Created from leiden)", "now"),
        ('Renamed from "past" to "the past"', "Revert"),
    ]
    existing.close_history()
    # The revert is an edit like any other.
    shell.undo()
    browser.wait(lambda: "the past" in existing.names(), "the revert undone")
    assert labels_of(server, shell, "the past") == renamed
    shell.redo()
    browser.wait(lambda: "past" in existing.names(), "the revert redone")
    # It is there after a refresh, and a revert of the revert too.
    shell.reload()
    browser.wait(lambda: "past" in existing.names(), "the list")
    assert len(existing.history("past")) == 6
    existing.ask_to_revert("past", 3)
    existing.confirm_revert()
    browser.wait(lambda: "the past" in existing.names(), "version 3 again")
    assert labels_of(server, shell, "the past") == renamed


def test_no_revert_without_a_yes(shell: Shell) -> None:
    browser = shell.browser
    existing = listed(shell, "doubt")
    existing.rename("doubt", "doubts")
    browser.wait(lambda: existing.version("doubts") == 2, "the next version")
    existing.ask_to_revert("doubts", 1)
    browser.click("#existing-revert-cancel")
    browser.wait(lambda: not browser.is_shown("#existing-revert-text"), "the question to close")
    assert existing.version("doubts") == 2


def test_the_plot_goes_on_when_its_annotation_is_deleted(shell: Shell) -> None:
    browser, plot = shell.browser, PlotPanel(shell.browser)
    existing = listed(shell, "shown")
    existing.colour_plot("shown")
    plot.wait_for_title("shown")
    existing.delete("shown")
    browser.wait(lambda: plot.title() != "shown", "the colours of something else")
    assert sum(plot.legend().values()) == N_CELLS
    assert plot.colour_options()[0] != "shown \u00b7 Annotation"


def test_a_link_opens_the_plot_of_an_annotation(shell: Shell, server: Server) -> None:
    browser, plot = shell.browser, PlotPanel(shell.browser)
    existing = listed(shell, "linked")
    key = existing.key("linked")
    shell.open(server, "/", annotation=key, view="X_umap")
    plot.wait_for_title("linked")
    assert plot.shown_colour() == "linked"
    assert plot.link()["annotation"] == key
    shell.open(server, "/annotate/existing", open=key)
    browser.wait(lambda: browser.is_shown("input[id*='existing-name']"), "the opened row")


def test_two_tabs_stay_in_step(shell: Shell, server: Server) -> None:
    browser = shell.browser
    existing = listed(shell, "shared")
    first = browser.another_tab()
    shell.open(server, "/annotate/existing")
    browser.wait(lambda: "shared" in existing.names(), "the list of the second tab")
    existing.rename("shared", "shared by two")
    browser.wait(lambda: "shared by two" in existing.names(), "the new name in the second tab")
    second = browser.look_at(first)
    browser.wait(lambda: "shared by two" in existing.names(), "the new name in the first tab", 8)
    shell.go_to("New Annotation")
    assert any(text.startswith("shared by two (") for text in NewAnnotation(browser).sources("annotation"))
    browser.look_at(second)
    assert shell.undo_title().startswith("Undo: Renamed from")


def test_a_tab_that_is_behind_overwrites_nothing(shell: Shell, server: Server) -> None:
    browser = shell.browser
    existing = listed(shell, "contested")
    key = existing.key("contested")
    existing.expand("contested")
    # The first tab hears nothing for a while.
    browser.js(
        """
        const heard = window.fetch;
        window.fetch = (url, options) => String(url).includes('/api/v1/status')
          ? new Promise((resolve) => {
              window.__hear = () => {
                window.fetch = heard;
                resolve(heard(url, options));
              };
            })
          : heard(url, options)"""
    )
    browser.wait(lambda: browser.js("return Boolean(window.__hear)"), "the silence")
    first = browser.another_tab()
    shell.open(server, "/annotate/existing")
    browser.wait(lambda: "contested" in existing.names(), "the list of the second tab")
    existing.rename("contested", "theirs")
    browser.wait(lambda: "theirs" in existing.names(), "the new name in the second tab")
    browser.look_at(first)
    assert "contested" in existing.names()
    existing.rename("contested", "mine")
    sentence = "local saved a newer version ("
    browser.wait(lambda: any(text.startswith(sentence) for text in shell.toasts()), "the refusal")
    (said,) = [text for text in shell.toasts() if text.startswith(sentence)]
    assert said.endswith("). Reload or review the differences.")
    # It catches up as soon as it hears again.
    browser.js("window.__hear()")
    browser.wait(lambda: "theirs" in existing.names(), "the first tab to catch up")
    assert existing.key("theirs") == key
    assert labels_of(server, shell, "theirs") == LABELS
    assert "mine" not in server.draft().columns


def test_whoever_types_on_loses_nothing(shell: Shell, server: Server) -> None:
    """The list is drawn anew after each field, while one is already in the next."""
    browser = shell.browser
    existing = listed(shell, "typed")
    existing.focus("typed", "name")
    browser.type_slowly(
        *"typed name", Keys.TAB, *"none so far", Keys.TAB, *"By hand, in one go", Keys.SHIFT + Keys.TAB + Keys.NULL
    )
    browser.wait(lambda: existing.version("typed name") == 4, "the three edits")
    assert existing.fields("typed name") == ("typed name", "none so far", "By hand, in one go")
    assert labels_of(server, shell, "typed name") == [
        "none so far" if label == "Unassigned" else label for label in LABELS
    ]
    assert existing.history("typed name") == [
        ("Description changed", "now"),
        ('Default label "Unassigned" renamed to "none so far"', "Revert"),
        ('Renamed from "typed" to "typed name"', "Revert"),
        ("Created from leiden", "Revert"),
    ]


def test_what_is_being_typed_stays_when_others_edit(shell: Shell, server: Server) -> None:
    browser = shell.browser
    existing = listed(shell, "both hands")
    key = existing.key("both hands")
    existing.focus("both hands", "description")
    browser.type_slowly(*"the first half")
    other = PageClient(int(server.url.rpartition(":")[2]))
    try:
        states = {"existing-versions": {key: 1}}
        revision, said = other.edit("existing-default.value", "elsewhere", states, annotation=key)
        assert (revision is not None, said) == (True, {})
    finally:
        other.close()
    # The page follows around what is typed.
    browser.wait(lambda: "elsewhere" in existing.labels("both hands"), "the label of the other session")
    browser.until(lambda: existing.fields("both hands"), ("both hands", "elsewhere", "the first half"))
    browser.type_slowly(*" and the second", Keys.ENTER)
    browser.wait(lambda: existing.version("both hands") == 3, "the description")
    assert existing.fields("both hands") == ("both hands", "elsewhere", "the first half and the second")
    shell.reload()
    existing.expand("both hands")
    assert existing.description("both hands") == "the first half and the second"
    assert shell.toasts() == []


@pytest.mark.parametrize(
    ("field", "text", "sentence"),
    [
        ("name", "  ", "Enter a name."),
        ("name", "Tissue", '"Tissue" is already used by a metadata column. Choose another name.'),
        ("default", "", "Enter a default value."),
        ("default", "4", 'This annotation already has a label "4". Choose another text.'),
    ],
)
def test_a_refused_field_shows_again_what_holds(shell: Shell, field: str, text: str, sentence: str) -> None:
    browser = shell.browser
    name = f"keeps {field} from {text.strip() or 'nothing'}"
    existing = listed(shell, name)
    existing.focus(name, field)
    browser.press(text or Keys.BACKSPACE, Keys.ENTER)
    shell.wait_for_toast(sentence)
    browser.until(lambda: existing.fields(name), (name, "Unassigned", ""))
    assert shell.toasts() == [sentence]
    assert existing.version(name) == 1
    # It can be edited as before.
    existing.describe(name, "still here")
    browser.wait(lambda: existing.version(name) == 2, "the description")


def test_all_columns_fit_beside_the_plots(shell: Shell) -> None:
    shell.browser.resize(1400, 900)
    listed(shell, "SingleR_mouse_rna_main_by_cluster")
    widths, heights, head = shell.browser.js(
        """
        const box = document.querySelector(".table-box");
        const heights = [...box.querySelectorAll("tbody > tr")].map((row) => row.offsetHeight);
        const last = [...box.querySelectorAll("th")].at(-2);
        return [[box.scrollWidth, box.clientWidth], heights, [last.innerText, last.title]]"""
    )
    assert widths[0] <= widths[1] and max(heights) < 50
    assert head == ["Ver.", "Version"]
