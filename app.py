"""The WSGI entry point of a checkout, ``gunicorn app:server``; an installed package has ``iscan_dash.wsgi:server``."""

from iscan_dash.wsgi import server

__all__ = ["server"]
