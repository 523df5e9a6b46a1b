"""Servers that integration tests share."""

from collections.abc import Iterator

import pytest

from storage.settings import S3Settings
from tests.support.s3 import start_s3


@pytest.fixture(scope="session")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Settings]:
    """A running S3 server. Tests keep apart by `prefix` or `bucket`."""
    with start_s3(tmp_path_factory.mktemp("s3")) as settings:
        yield settings
