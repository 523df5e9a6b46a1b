"""Identifiers and secrets."""

import base64
import hashlib
import re
import secrets

ID_PATTERN = re.compile(r"^[a-z]{1,3}_[a-z2-7]{16}$")


def new_id(prefix: str) -> str:
    """80 random bits as `prefix_` and 16 characters of a-z2-7: safe in URLs, paths and SDP; names, never authorises."""
    return f"{prefix}_{base64.b32encode(secrets.token_bytes(10)).decode().lower()}"


def derived_id(prefix: str, *parts: str) -> str:
    """As `new_id`, but always the same for the same parts, none of which holds a line break."""
    digest = hashlib.sha256("\n".join(parts).encode()).digest()
    return f"{prefix}_{base64.b32encode(digest[:10]).decode().lower()}"


def new_secret() -> str:
    """128 random bits, URL-safe, 22 characters. Stored only as `hash_secret` of it."""
    return secrets.token_urlsafe(16)


def hash_secret(secret: str) -> str:
    """SHA-256 in hex; enough for secrets of full entropy (no password is ever hashed with it).

    Takes any text a stranger may send, lone surrogates too.
    """
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
