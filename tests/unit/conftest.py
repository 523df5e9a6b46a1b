"""Settings of the property tests: tests/support/properties.py."""

from hypothesis import settings

from tests.support import properties as properties

settings.load_profile("stemroom")
