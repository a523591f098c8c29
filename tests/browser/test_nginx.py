"""As a lab has it: Gunicorn below a path behind nginx, which speaks TLS, with the configuration that we recommend."""

import http.client
import shlex
import shutil
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from selenium.webdriver.common.keys import Keys

from iscan_dash.services.accounts import Accounts
from tests.browser.annotation_pages import NewAnnotation
from tests.browser.chromium import Browser
from tests.browser.edit_pages import EditAnnotation
from tests.browser.file_pages import ExportPage
from tests.browser.pages import Shell
from tests.browser.plot_pages import PlotPanel
from tests.browser.server import Draft, plain_environment

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not NGINX, reason="nginx is needed: apt-get install nginx openssl"),
]

ROOT = Path(__file__).parents[2]
PASSWORD = "correct horse"
PATIENCE = 60.0

AROUND = """
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {site}
}}
"""
"""What makes a configuration of one site a whole one, of a user's own."""


@dataclass
class Lab:
    """What users of the lab reach.

    Parameters
    ----------
    http, https
        The ports of nginx.
    folder
        Where everything is kept.
    """

    http: int
    https: int
    folder: Path

    @property
    def origin(self) -> str:
        return f"https://localhost:{self.https}"

    def ask(self, path: str, port: int) -> tuple[int, str]:
        """Ask for an address; return the status, and where the answer leads."""
        trusted = ssl.create_default_context(cafile=str(self.folder / "lab.pem"))
        line = (
            http.client.HTTPSConnection("localhost", port, context=trusted, timeout=PATIENCE)
            if port == self.https
            else http.client.HTTPConnection("localhost", port, timeout=PATIENCE)
        )
        line.request("GET", path)
        answer = line.getresponse()
        return answer.status, answer.getheader("Location", "")


def free_ports(count: int) -> list[int]:
    open_ = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in open_]
    for one in open_:
        one.close()
    return ports


@pytest.fixture(scope="module")
def lab(small_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("lab")
    behind, plain, secure = free_ports(3)
    Accounts(folder / "users.txt").add("ada", PASSWORD)
    certificate = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    files = [
        "-addext",
        "subjectAltName=DNS:localhost",
        "-keyout",
        str(folder / "lab.key"),
        "-out",
        str(folder / "lab.pem"),
    ]
    subprocess.run(["openssl", "req", *certificate, *files], check=True, capture_output=True)
    site = (ROOT / "deploy" / "nginx.conf").read_text()
    for written, here in {
        "listen 80;": f"listen 127.0.0.1:{plain};",
        "listen 443 ssl;": f"listen 127.0.0.1:{secure} ssl;",
        "https://$host": f"https://$host:{secure}",
        "lab.example;": "localhost;",
        "/etc/ssl/certs/lab.example.pem": str(folder / "lab.pem"),
        "/etc/ssl/private/lab.example.key": str(folder / "lab.key"),
        "127.0.0.1:8050": f"127.0.0.1:{behind}",
    }.items():
        assert written in site
        site = site.replace(written, here)
    (folder / "nginx.conf").write_text(AROUND.format(folder=folder, site=site))
    command = (ROOT / "Procfile").read_text().removeprefix("web: ").replace("0.0.0.0:$PORT", f"127.0.0.1:{behind}")
    settings = {
        "ISCAN_DATA": str(small_file),
        "ISCAN_ANNOTATIONS_DIR": str(folder / "drafts"),
        "ISCAN_DATA_DIR": str(folder / "server"),
        "ISCAN_USERS": str(folder / "users.txt"),
        "ISCAN_URL_PREFIX": "/cells/",
        "ISCAN_PROXIES": "1",
        "ISCAN_ALLOWED_HOSTS": "localhost",
    }
    made = Lab(plain, secure, folder)
    running = [
        subprocess.Popen([str(NGINX), "-p", str(folder), "-c", str(folder / "nginx.conf")]),
        subprocess.Popen([sys.executable, "-m", *shlex.split(command)], cwd=ROOT, env=plain_environment() | settings),
    ]
    try:
        end = time.monotonic() + PATIENCE
        while not is_ready(made):
            assert time.monotonic() < end and all(process.poll() is None for process in running)
            time.sleep(0.1)
        yield made
    finally:
        for process in running:
            process.terminate()
            process.wait(PATIENCE)


def is_ready(lab: Lab) -> bool:
    try:
        return lab.ask("/cells/readyz", lab.https)[0] == 200
    except ConnectionRefusedError:
        return False


def test_everything_leads_to_the_page_by_tls(lab: Lab) -> None:
    assert lab.ask("/cells/annotate?open=x", lab.http) == (301, f"{lab.origin}/cells/annotate?open=x")
    assert lab.ask("/cells", lab.https) == (301, f"{lab.origin}/cells/")
    # A path alone: the browser keeps the scheme and the host that it has.
    assert lab.ask("/cells/logs", lab.https) == (303, "/cells/sign-in")


def test_work_behind_the_proxy(lab: Lab, browser: Browser) -> None:
    browser.cdp("Security.setIgnoreCertificateErrors", ignore=True)
    browser.open(f"{lab.origin}/cells/annotate")
    browser.wait(lambda: browser.is_shown("#password"), "the page to sign in")
    browser.type("#name", "ada")
    browser.type("#password", PASSWORD)
    browser.press(Keys.ENTER)
    shell, plot, edit = Shell(browser), PlotPanel(browser), EditAnnotation(browser)
    shell.wait_until_ready()
    assert browser.js("return location.origin + location.pathname") == f"{lab.origin}/cells/annotate"
    (cookie,) = browser.cdp("Network.getAllCookies")["cookies"]
    kept = {name: cookie[name] for name in ("path", "secure", "httpOnly", "sameSite")}
    assert kept == {"path": "/cells/", "secure": True, "httpOnly": True, "sameSite": "Lax"}

    NewAnnotation(browser).make("kinds")
    box = plot.box()
    left, right, low, high = 4.0, box["width"] / 3, 4.0, box["height"] - 4
    n_drawn = plot.draw([(left, low), (right, low), (right, high), (left, high)])
    # Less than what is asked about.
    assert 0 < n_drawn < 30
    edit.open().choose("kinds")
    edit.assign("drawn", f"Assign to {n_drawn} cells")
    browser.until(lambda: edit.labels().get("drawn"), n_drawn)

    page = ExportPage(browser).open()
    (lab.folder / "table.csv").write_text(page.download())
    assert Draft.read(lab.folder / "table.csv").columns["kinds"].count("drawn") == n_drawn
    # More than nginx takes when it is not told to.
    sent = browser.js(
        """
        const table = 'index,made\\n' + 'AAAC-1,x\\n'.repeat(400000);
        return fetch('/cells/api/v1/import?name=made.csv', {method: 'POST', body: table}).then((answer) => answer.status)"""
    )
    assert sent == 200

    browser.click("#shell-user")
    browser.click(".popover form button")
    browser.wait(lambda: browser.is_shown("#password"), "the page to sign in")
    assert browser.js("return location.href") == f"{lab.origin}/cells/sign-in"
    assert [url for url in browser.requests() if not url.startswith(f"{lab.origin}/cells/")] == []
