"""Parts of the page: each has a ``layout`` and a ``register``."""
