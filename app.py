"""The WSGI entry point, ``gunicorn app:server``.

``ISCAN_DATA`` names the files to serve; without it the demo study is served.
"""

import atexit

from iscan_dash import logs
from iscan_dash.settings import Settings
from iscan_dash.web.app import create_app

settings = Settings()
logs.configure(settings.log_format, settings.log_level)
server = create_app(settings if settings.data else settings.with_demo()).server
# Gunicorn tells nobody that it stops a worker; its process ends as any other does.
atexit.register(server.extensions["iscan"].close)
