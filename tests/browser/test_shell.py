"""The frame of the page: what it shows, on any window and theme, by keyboard, and whom it talks to."""

from collections import Counter

import pytest
from selenium.webdriver.common.keys import Keys

from tests.browser.annotation_pages import ExistingAnnotations, NewAnnotation
from tests.browser.chromium import Browser
from tests.browser.edit_pages import EditAnnotation
from tests.browser.file_pages import DataPage
from tests.browser.pages import Shell
from tests.browser.plot_pages import PlotPanel
from tests.browser.server import Server

pytestmark = pytest.mark.browser


def test_the_demo_opens_with_its_cells_painted(browser: Browser, demo: Server) -> None:
    shell = Shell(browser).open(demo)
    assert shell.title() == "PBMC 8k demo"
    assert shell.cells() == "2,700 cells"
    assert browser.driver.title == "PBMC 8k demo - iscan-dash"
    assert shell.save_text() == "All saved"
    assert shell.banner() == ""
    assert (shell.undo_title(), shell.redo_title()) == ("Nothing to undo", "Nothing to redo")
    assert sum(PlotPanel(browser).legend().values()) == 2700
    pixels = PlotPanel(browser).pixels()
    assert 0.02 < (pixels != pixels[0, 0]).any(axis=2).mean() < 0.6


def test_all_pages_keep_to_themselves(browser: Browser, demo: Server) -> None:
    shell = Shell(browser).open(demo)

    def repeated() -> dict[str, int]:
        ids = browser.js("return [...document.querySelectorAll('[id]')].map((e) => e.id)")
        assert {"plot-1-frame", "plot-1-legend", "shell-tabs", "shell-save-text"} <= set(ids)
        return {name: times for name, times in Counter(ids).items() if times > 1}

    DataPage(browser).wait_until_filled()
    assert repeated() == {}
    shell.go_to("Cell Annotation")
    browser.wait(NewAnnotation(browser).grid.rows, "the preview")
    assert repeated() == {}
    shell.go_to("Existing Annotations")
    browser.wait(lambda: "No annotations yet." in browser.text("#existing-table"), "the empty list")
    assert repeated() == {}
    PlotPanel(browser).search_gene("CD3D")
    browser.click("#shell-help")
    browser.wait(lambda: browser.is_shown(".shortcuts"), "the shortcuts")
    assert repeated() == {}
    # Nothing is asked of anyone but the server.
    asked = browser.requests()
    assert any("/api/v1/positions" in url for url in asked)
    assert [url for url in asked if not url.startswith(f"{demo.url}/")] == []


def test_a_small_window_shows_plot_and_panel(browser: Browser, demo: Server) -> None:
    browser.resize(1000, 700)
    shell = Shell(browser).open(demo)
    for tab in ("Data", "New Annotation", "Existing Annotations"):
        shell.go_to(tab)
        # Nothing is pushed out sideways: below 1100 pixels the panel is under the plots.
        assert browser.js("return document.documentElement.scrollWidth") <= 1000
        plots, panel = (
            browser.js("return document.querySelector(arguments[0]).getBoundingClientRect().toJSON()", css)
            for css in (".plots", ".panel")
        )
        assert panel["y"] >= plots["y"] + plots["height"] - 1
        assert min(plots["width"], panel["width"]) > 900
        box = PlotPanel(browser).box()
        assert box["width"] > 500
        assert box["height"] > 200
        assert browser.is_shown("#shell-tabs")


def test_the_theme_button_goes_round(browser: Browser, demo: Server) -> None:
    browser.prefer(prefers_color_scheme="dark")
    shell = Shell(browser).open(demo)
    seen = []
    for _ in range(4):
        seen.append(shell.theme())
        shell.next_theme()
    assert seen == [
        ("Theme: system", "dark"),
        ("Theme: light", "light"),
        ("Theme: dark", "dark"),
        ("Theme: system", "dark"),
    ]
    # The choice is there again when the page is.
    shell.reload()
    assert shell.theme() == ("Theme: light", "light")


def test_dark_and_light_paint_the_same_cells_on_their_own_ground(browser: Browser, demo: Server) -> None:
    shell, plot = Shell(browser).open(demo), PlotPanel(browser)
    shell.next_theme()
    browser.until(shell.theme, ("Theme: light", "light"))
    light = plot.pixels()
    shell.next_theme()
    browser.until(shell.theme, ("Theme: dark", "dark"))
    browser.wait(lambda: bool(plot.pixels()[0, 0].sum() < 200), "a dark plot")
    dark = plot.pixels()
    assert light[0, 0].sum() > 700
    assert browser.js("return getComputedStyle(document.body).backgroundColor") != "rgb(255, 255, 255)"
    on_light, on_dark = (light != light[0, 0]).any(axis=2), (dark != dark[0, 0]).any(axis=2)
    assert (on_light == on_dark).mean() > 0.999


def test_keys_open_the_gene_search_and_the_help(browser: Browser, demo: Server) -> None:
    Shell(browser).open(demo)
    browser.press("/")
    browser.wait(lambda: browser.is_shown(".dash-dropdown-search"), "the gene search")
    browser.until(lambda: browser.js("return document.activeElement.className"), "dash-dropdown-search")
    browser.press("CD3D")
    browser.wait(lambda: "CD3D" in browser.texts(".dash-dropdown-option"), "CD3D to be found")
    # Keys belong to the search as long as one types.
    browser.press("?")
    browser.wait(lambda: browser.js("return document.activeElement.value") == "CD3D?", "the question mark")
    assert not browser.is_shown(".shortcuts")
    browser.press(Keys.ESCAPE)
    browser.wait(lambda: not browser.is_shown(".dash-dropdown-search"), "the gene search to close")
    browser.js("document.activeElement.blur()")
    browser.press("?")
    browser.wait(lambda: browser.is_shown(".shortcuts"), "the shortcuts")
    assert "Ctrl+Shift+Z" in browser.text(".shortcuts")
    browser.press(Keys.ESCAPE)
    browser.wait(lambda: not browser.is_shown(".shortcuts"), "the shortcuts to close")


def test_keys_reach_the_plot_from_a_check_box(browser: Browser, demo: Server) -> None:
    Shell(browser).open(demo)
    browser.js(
        """
        const box = Object.assign(document.createElement('input'), {type: 'checkbox', id: 'a-box'});
        document.querySelector('.panel').append(box);
        box.focus()"""
    )
    for key, tool in (("l", "plot-lasso"), ("h", "plot-pan")):
        browser.press(key)
        browser.until(lambda tool=tool: browser.attribute(f"#{tool}", "aria-pressed"), "true")  # type: ignore[misc]
    # The space bar is the box's own.
    browser.press(Keys.SPACE)
    browser.until(lambda: browser.js("return document.querySelector('#a-box').checked"), True)


def test_c_colours_by_the_column_that_has_the_focus(browser: Browser, open_server: Server) -> None:
    Shell(browser).open(open_server, "/annotate", as_other=True)
    NewAnnotation(browser).make("mine")
    edit, plot = EditAnnotation(browser).open(), PlotPanel(browser)
    edit.show("metadata", "tissue")
    for column in ("tissue", "mine"):
        browser.js(
            "document.querySelector(arguments[0]).focus()",
            f'#edit-grid .ag-row [col-id="{edit.column(column)}"]',
        )
        browser.press("c")
        plot.wait_for_title(column)
    # A column that cells cannot be coloured by leaves it as it is.
    browser.js("document.querySelector('#edit-grid .ag-row [col-id=id]').focus()")
    browser.press("c")
    assert plot.title() == "mine"


def test_keys_reach_the_plot_from_a_closed_dropdown(browser: Browser, demo: Server) -> None:
    plot = PlotPanel(browser)
    Shell(browser).open(demo)
    is_open = ".dash-dropdown-content"

    def focused() -> str:
        name: str = browser.js("return document.activeElement.id || document.activeElement.className")
        return name

    def tools() -> list[str]:
        found: list[str] = browser.js("return [...document.querySelectorAll('.plot-tools > .active')].map((e) => e.id)")
        return found

    # A choice leaves the focus on the dropdown.
    plot.colour_by("phase")
    browser.until(focused, "plot-colour")
    for key, tool in (("z", "plot-zoom"), ("h", "plot-pan")):
        browser.press(key)
        browser.until(tools, [tool])
    browser.press("0")
    assert not browser.is_shown(is_open)
    assert focused() == "plot-colour"
    browser.press("/")
    browser.until(focused, "dash-dropdown-search")
    browser.press("cd3d")
    browser.wait(lambda: "CD3D" in browser.texts(".dash-dropdown-option"), "CD3D to be found")
    browser.driver.find_element("css selector", ".dash-dropdown-option").click()
    plot.wait_for_title("CD3D")
    browser.until(focused, "plot-gene")
    # Again from the search itself, in which a gene is chosen now.
    browser.press("/")
    browser.until(focused, "dash-dropdown-search")
    browser.press("lyz/")
    browser.until(lambda: browser.js("return document.activeElement.value"), "lyz/")
    browser.press(Keys.ESCAPE)
    browser.wait(lambda: not browser.is_shown(is_open), "the search to close")
    browser.until(focused, "plot-gene")
    browser.press("?")
    browser.wait(lambda: browser.is_shown(".shortcuts"), "the shortcuts")
    assert not browser.is_shown(is_open)


def test_letters_search_the_options_where_one_is_chosen(browser: Browser, demo: Server) -> None:
    Shell(browser).open(demo)
    plot = PlotPanel(browser)
    colour = plot.shown_colour()
    browser.click("#plot-colour")
    # The focus is on the option that is chosen.
    focused = "return document.activeElement.matches('.dash-dropdown-content input:not(.dash-dropdown-search)')"
    browser.wait(lambda: browser.js(focused), "the focus on an option")
    browser.press("l", "a", "b", "e", "l")
    browser.until(lambda: browser.js("return document.querySelector('.dash-dropdown-search').value"), "label")
    assert browser.js("return [...document.querySelectorAll('.plot-tools > .active')].map((e) => e.id)") == ["plot-pan"]
    assert browser.js("return iscan.pageBelow('/')") == ""
    browser.press(Keys.ESCAPE)
    assert plot.shown_colour() == colour


def test_the_keyboard_reaches_everything_and_shows_where_it_is(browser: Browser, demo: Server) -> None:
    Shell(browser).open(demo, "/annotate")
    browser.js("document.body.tabIndex = -1; document.body.focus()")
    looks = """
        const e = document.activeElement, look = getComputedStyle(e);
        const outlined = look.outlineStyle !== 'none' && parseFloat(look.outlineWidth) >= 1;
        return [e.id || e.nextElementSibling?.id || e.className || e.tagName, outlined, e === document.body]"""
    reached, hidden = [], []
    for _ in range(60):
        browser.press(Keys.TAB)
        name, is_seen, is_body = browser.js(looks)
        if is_body or (reached and name == reached[0]):
            break
        reached.append(name)
        if not is_seen:
            hidden.append(name)
    wanted = ["shell-help", "shell-theme", "plot-colour", "plot-gene", "plot-pan", "plot-export", "shell-tab-data"]
    wanted += ["annotate-tab-existing", "new-name", "new-default", "new-copy", "new-create"]
    assert [name for name in wanted if name not in reached] == []
    assert hidden == []


def test_the_divider_moves_and_is_remembered(browser: Browser, demo: Server) -> None:
    shell, plot = Shell(browser).open(demo), PlotPanel(browser)
    before = plot.box()["width"]
    browser.js("document.querySelector('.divider').focus()")
    for _ in range(5):
        browser.press(Keys.ARROW_LEFT)
    browser.wait(lambda: plot.box()["width"] < before - 80, "a narrower plot")
    narrow = plot.box()["width"]
    shell.reload()
    browser.until(lambda: round(plot.box()["width"]), round(narrow))
    browser.js("document.querySelector('.divider').focus()")
    browser.press(Keys.HOME)
    browser.wait(lambda: not browser.is_shown(".plots"), "the panel alone")
    browser.press(Keys.ENTER)
    browser.until(lambda: round(plot.box()["width"]), round(before))


def test_an_unknown_address_says_so(browser: Browser, demo: Server) -> None:
    Shell(browser).open(demo, "/nowhere")
    assert "404" in browser.text("#_pages_content")
    Shell(browser).go_to("Data")
    DataPage(browser).wait_until_filled()
    assert ExistingAnnotations(browser).names() == []


def test_messages_stand_over_the_plots_where_the_panel_is_under_them(browser: Browser, demo: Server) -> None:
    browser.resize(1000, 700)
    Shell(browser).open(demo, "/annotate")
    spans = """
        const of = (css) => document.querySelector(css).getBoundingClientRect();
        return [of(".plots").top, of(".toasts").top, of(".toasts").bottom, of(".selection-strip").top]"""
    browser.js("iscan.toast.show({ id: 'one', kind: 'warning', text: 'One', actions: [], seconds: 60 })")
    top, first, last, strip = browser.js(spans)
    assert top < first < last <= strip
    # They go with the plots, and are at the edge when those are out of sight.
    browser.js("document.querySelector('.page').style.minHeight = '2000px'; window.scrollTo(0, 100)")
    browser.wait(lambda: browser.js(spans)[2] <= browser.js(spans)[3], "the message over the plots")
    browser.js("window.scrollTo(0, 700)")
    browser.until(lambda: browser.js(spans)[1], 4)


def test_a_gene_sets_the_column_aside(browser: Browser, demo: Server) -> None:
    Shell(browser).open(demo)
    plot = PlotPanel(browser)
    aside = """
        const field = document.querySelector(".field:has(#plot-colour)");
        const line = getComputedStyle(field.querySelector(".dash-dropdown-value")).textDecorationLine;
        return [line, getComputedStyle(field.querySelector("label"), "::after").content]"""
    assert browser.js(aside) == ["none", "none"]
    plot.search_gene("CD3D")
    browser.until(lambda: browser.js(aside), ["line-through", '" (gene shown)"'])
    plot.clear_gene()
    browser.until(lambda: browser.js(aside), ["none", "none"])
