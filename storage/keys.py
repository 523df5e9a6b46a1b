"""What may be the name of an object: the same in every store, and never a way out of a folder."""

import re

from storage.objects import ObjectStoreError

MAX_KEY = 512
"""Characters; S3 allows 1024 bytes, and the catalog's columns hold this many."""

MAX_SEGMENT = 255
"""Longest file name of common file systems."""

_KEY = re.compile(r"[a-zA-Z0-9._-]+(?:/[a-zA-Z0-9._-]+)*")
_PREFIX = re.compile(r"(?:[a-zA-Z0-9._-]+/)*[a-zA-Z0-9._-]*")


def check_key(key: str) -> str:
    """Returns the key itself. Raises ObjectStoreError `refused` if it is none (see ObjectStore for the rule)."""
    if len(key) > MAX_KEY or _KEY.fullmatch(key) is None or not _segments_fit(key):
        raise ObjectStoreError("refused", "this is no object key")
    return key


def check_prefix(prefix: str) -> str:
    """Like `check_key` for the beginning of a key, which may end anywhere and be empty."""
    if len(prefix) > MAX_KEY or _PREFIX.fullmatch(prefix) is None or not _segments_fit(prefix):
        raise ObjectStoreError("refused", "no object key begins like this")
    return prefix


def _segments_fit(key: str) -> bool:
    return all(segment not in (".", "..") and len(segment) <= MAX_SEGMENT for segment in key.split("/"))
