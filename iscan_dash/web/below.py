"""The server below a path of its host: what comes in loses the path, and what goes out to the browser has it.

Routes, and whatever looks at ``flask.request.path``, know nothing of it. Whoever gives an address to the browser makes
it with Dash's ``get_relative_path`` (scripts: ``iscan.address``).
"""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from werkzeug.utils import redirect
from werkzeug.wrappers import Request, Response

from iscan_dash.logs import tell
from iscan_dash.web.security import ALIVE, READY, add_headers, content_security_policy

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class Below:
    """A WSGI application below a path.

    Process managers may ask how the server is without the path, too; all else is not here.

    Parameters
    ----------
    inner
        The application, which takes itself to be at the top of its host.
    prefix
        The path, with a slash at both ends.
    """

    def __init__(self, inner: "WSGIApplication", prefix: str) -> None:
        self._inner = inner
        self._prefix = prefix

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Answer a request."""
        path = environ.get("PATH_INFO", "")
        mount = self._prefix[:-1]
        if path.startswith(self._prefix):
            below = {**environ, "SCRIPT_NAME": mount, "PATH_INFO": path[len(mount) :]}
            return self._inner(below, start_response)
        if path in {ALIVE, READY}:
            return self._inner(environ, start_response)
        request = Request(environ)
        response = self._elsewhere(request)
        add_headers(response, request, content_security_policy([]))
        return response(environ, start_response)

    def _elsewhere(self, request: Request) -> Response:
        if request.path == self._prefix[:-1]:
            query = request.query_string.decode("latin-1")
            return redirect(self._prefix + (f"?{query}" if query else ""), 308)
        sentence = f"There is nothing here. iscan-dash is at {self._prefix}"
        tell("refused", status=404, reason=sentence)
        return Response(f"{sentence}\n", 404, mimetype="text/plain")
