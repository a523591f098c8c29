"""The WSGI entry point, ``gunicorn iscan_dash.wsgi:server``.

``ISCAN_DATA`` names the files to serve; without it the demo study is served.
"""

import atexit

from iscan_dash.starting import deployed_settings, plain_refusal, without_collecting

with plain_refusal(), without_collecting():
    from iscan_dash.web.app import create_app

    server = create_app(deployed_settings()).server
# Gunicorn tells nobody that it stops a worker; its process ends as any other does.
atexit.register(server.extensions["iscan"].close)
