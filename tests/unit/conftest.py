"""Settings of the property tests: no deadline, since the machine may be busy, and a failure prints its example."""

from hypothesis import HealthCheck, settings

settings.register_profile(
    "stemroom",
    max_examples=50,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
settings.load_profile("stemroom")
