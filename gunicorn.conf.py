"""What Gunicorn itself says has the form of the server's log; it reads this file when it is started beside it."""

from gunicorn.config import Config
from gunicorn.glogging import Logger

from iscan_dash.logs import formatter
from iscan_dash.starting import plain_refusal, read_settings

# Before Gunicorn listens: what makes no sense is one sentence.
with plain_refusal():
    settings = read_settings()


class logger_class(Logger):  # noqa: N801 - Gunicorn's name for it
    """Gunicorn's log in the form that ``ISCAN_LOG_FORMAT`` says."""

    def setup(self, cfg: Config) -> None:
        """Set the handlers up, then give them the form."""
        super().setup(cfg)
        for handler in (*self.error_log.handlers, *self.access_log.handlers):
            handler.setFormatter(formatter(settings.log_format))
