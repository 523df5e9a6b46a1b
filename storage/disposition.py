"""The Content-Disposition of a download: RFC 6266, with the name in ASCII for old readers and in UTF-8 (RFC 8187)."""

from urllib.parse import quote

MAX_NAME = 200
"""Characters; what is longer is cut, keeping the suffix."""


def attachment(filename: str) -> str:
    """`attachment; filename="..."; filename*=UTF-8''...`, safe as a header whatever the name holds."""
    name = "".join("_" if not sign.isprintable() or sign in '/\\"' else sign for sign in filename)
    if len(name) > MAX_NAME:
        stem, dot, suffix = name.rpartition(".")
        tail = dot + suffix if stem and len(suffix) <= 10 else ""
        name = name[: MAX_NAME - len(tail)] + tail
    plain = name.encode("ascii", "replace").decode().replace("?", "_").replace("%", "_")
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
