"""What a proxy in front of the server says while the server is away."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit


class BadGateway(BaseHTTPRequestHandler):
    """Answers everything with nginx's page."""

    def answer(self) -> None:
        """Say that nobody is there."""
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        body = b"<html><head><title>502 Bad Gateway</title></head></html>"
        self.send_response(502)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = answer  # noqa: N815 - as the library calls them

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def bad_gateway(url: str) -> Iterator[None]:
    """Answer as a proxy whose server is away, at the address of a server that was stopped."""
    address = urlsplit(url)
    assert address.hostname and address.port
    with ThreadingHTTPServer((address.hostname, address.port), BadGateway) as gateway:
        thread = threading.Thread(target=gateway.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield
        gateway.shutdown()
        thread.join()
