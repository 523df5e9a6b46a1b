"""How many examples the property tests take: 50, but those of parsers of a stranger's bytes 2,000 (profile `ci`), or
100,000 with `make fuzz` (STEMROOM_PROPERTIES=fuzz).

No deadline, since the machine may be busy; a failure prints its example.
"""

import os
from collections.abc import Callable
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile(
    "stemroom",
    max_examples=50,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.register_profile("ci", settings.get_profile("stemroom"), max_examples=2_000)
settings.register_profile("fuzz", settings.get_profile("stemroom"), max_examples=100_000)

Test = TypeVar("Test", bound=Callable[..., None])


def any_input(test: Test) -> Test:
    """Decorates a property of a parser, outside of `given`; `make fuzz` runs these tests alone."""
    profile = settings.get_profile(os.environ.get("STEMROOM_PROPERTIES", "ci"))
    marked: Test = pytest.mark.any_input(profile(test))
    return marked
