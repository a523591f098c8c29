"""Signing in and out in a browser: with the page's theme, without scripts, and with nothing to see before it."""

from pathlib import Path

import pytest
from selenium.webdriver.common.keys import Keys

from iscan_dash.services.accounts import Accounts
from tests.browser.chromium import Browser
from tests.browser.conftest import Serve
from tests.browser.pages import Shell

pytestmark = pytest.mark.browser

PASSWORD = "correct horse"


def sign_in(browser: Browser, name: str, password: str) -> None:
    browser.type("#name", name)
    browser.type("#password", password)
    browser.press(Keys.ENTER)


def test_signing_in_and_out(browser: Browser, serve: Serve, small_file: Path, tmp_path: Path) -> None:
    Accounts(tmp_path / "users.txt").add("ada", PASSWORD)
    server = serve("serve", small_file, "--users", tmp_path / "users.txt")
    # The answer to a wrong password counts as an error of the page.
    browser.expect_errors("401 (UNAUTHORIZED)")
    # Also where scripts are not run.
    browser.cdp("Emulation.setScriptExecutionDisabled", value=True)
    try:
        browser.open(f"{server.url}/annotate")
        browser.wait(lambda: browser.find("#name"), "the page to sign in")
        for name, password in (("ada", "wrong"), ("ada", PASSWORD)):
            browser.find("#name").clear()
            browser.find("#name").send_keys(name)
            browser.find("#password").send_keys(password, Keys.ENTER)
            if password == "wrong":
                said = browser.wait(lambda: browser.find("#problem").text, "what is wrong")
                assert said == "The name or the password is wrong. Try again."
        browser.wait(lambda: browser.driver.current_url.endswith("/annotate"), "the page that was wanted")
    finally:
        browser.cdp("Emulation.setScriptExecutionDisabled", value=False)
    Shell(browser).reload()
    browser.js(
        """
        const form = document.body.appendChild(document.createElement('form'));
        Object.assign(form, {method: 'post', action: '/sign-out'}).submit();"""
    )
    browser.wait(lambda: browser.is_shown("#password"), "the page to sign in")
    browser.open(f"{server.url}/")
    sign_in(browser, "ada", PASSWORD)
    Shell(browser).wait_until_ready()


def test_a_user_who_was_signed_out_is_told(browser: Browser, serve: Serve, small_file: Path, tmp_path: Path) -> None:
    Accounts(tmp_path / "users.txt").add("ada", PASSWORD)
    server = serve("serve", small_file, "--users", tmp_path / "users.txt")
    browser.expect_errors("401 (UNAUTHORIZED)", "dash_renderer")
    browser.open(f"{server.url}/")
    sign_in(browser, "ada", PASSWORD)
    shell = Shell(browser).wait_until_ready()
    cookies = browser.driver.get_cookies()
    browser.driver.delete_all_cookies()
    browser.until(lambda: browser.texts(".banner.lasting > span"), ["You were signed out. Sign in again to go on."])
    assert browser.attribute(".banner.lasting a", "href") == "/sign-in"
    assert shell.save_text() == "All saved"
    # As after signing in in another tab.
    for cookie in cookies:
        browser.driver.add_cookie(cookie)
    browser.until(lambda: browser.texts(".banner.lasting"), [])
