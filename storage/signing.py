"""Signed, expiring URLs: whoever holds one may do one thing to one object until it expires.

The signature is HMAC-SHA256 over method, key, expiry, size and file name, with a secret that never leaves the data
folder.
What this does not do: limit how often a URL is used (S3's do not either).
"""

import hashlib
import hmac
import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, urlencode

from storage.objects import ObjectStoreError

SECRET_BYTES = 32
"""As long as SHA-256's output (RFC 2104, section 3)."""


class UrlRefused(ObjectStoreError):
    """This URL does not allow this request: forged, expired, or meant for another method or object."""

    def __init__(self, detail: str) -> None:
        super().__init__("refused", detail)


class UrlSigner:
    def __init__(self, secret: bytes, base_url: str = "", path: str = "/objects") -> None:
        """`base_url`: what comes before `path`; empty: the URLs are relative to the page's origin.

        Who serves other things under another path needs another secret: see `derived_secret`.
        """
        if len(secret) < SECRET_BYTES:
            raise ValueError(f"the secret for signed URLs must have {SECRET_BYTES} bytes at least")
        self._secret = secret
        self._begin = base_url.rstrip("/") + path

    def sign(self, method: str, key: str, *, expires: int, size_bytes: int | None = None, filename: str = "") -> str:
        """`expires` is Unix time in seconds, `size_bytes` what a PUT must have, or a GET gets."""
        query = {"expires": str(expires), "method": method}
        if size_bytes is not None:
            query["size"] = str(size_bytes)
        if filename:
            query["filename"] = filename
        query["signature"] = self._signature(method, key, str(expires), query.get("size", ""), filename)
        return f"{self._begin}/{quote(key)}?{urlencode(query, quote_via=quote)}"

    def verify(self, method: str, key: str, query: Mapping[str, str], now: float) -> None:
        """`query` as decoded from the URL, `now` in Unix seconds. Raises UrlRefused."""
        expires, filename = query.get("expires", ""), query.get("filename", "")
        expected = self._signature(method, key, expires, query.get("size", ""), filename)
        if not hmac.compare_digest(expected.encode(), query.get("signature", "").encode()):
            raise UrlRefused("the signature of this URL is wrong")
        if now >= int(expires):  # signed by us, so it is a number
            raise UrlRefused("this URL has expired")

    def _signature(self, method: str, key: str, expires: str, size: str, filename: str) -> str:
        # Neither method, nor key, nor a number can hold a line break; the file name comes last and may.
        message = "\n".join((method, key, expires, size, filename))
        return hmac.new(self._secret, message.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()


def derived_secret(secret: bytes, purpose: str) -> bytes:
    """For another kind of URLs than objects': neither is good where the other is."""
    return hmac.digest(secret, purpose.encode(), "sha256")


def load_secret(path: Path) -> bytes:
    """The secret in this file; made if there is none, once also when several processes ask at the same time.

    Raises:
        ValueError: others than the owner may read it, or it is too short.
        OSError: it can neither be read nor made.
    """
    if not path.exists():
        _make_secret(path)
    mode = path.stat().st_mode
    if mode & 0o077:
        raise ValueError(f"{path} can be read by others (mode {mode & 0o777:03o}): run chmod 600 on it")
    secret = path.read_bytes()
    if len(secret) < SECRET_BYTES:
        raise ValueError(f"{path} is damaged: remove it, and URLs that were handed out become invalid")
    return secret


def _make_secret(path: Path) -> None:
    draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(SECRET_BYTES))
            file.flush()
            os.fsync(file.fileno())
        os.link(draft, path)  # never replaces: the first process wins, and everybody reads what it wrote
    except FileExistsError:
        pass
    finally:
        draft.unlink(missing_ok=True)
