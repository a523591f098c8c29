"""How much is tried: the same few examples each time, unless a longer run is asked for.

``python -m pytest tests/fuzz --hypothesis-profile=long`` tries others, and thousands of them.
"""

from hypothesis import HealthCheck, settings

_USUAL = settings.get_profile("default").max_examples

FUZZ = settings(
    settings.get_profile("fuzz") if settings.default.max_examples == _USUAL else settings.default,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
