"""What people may call themselves and their sessions.

Guarantees: NFC, one line, no control characters, no bidirectional overrides or marks (they would reorder the text
around the name), single spaces, 1 to `limit` characters. It does not escape: pages set text, never markup.
"""

import unicodedata

MAX_DISPLAY_NAME = 60
MAX_TITLE = 120
MAX_RAW = 480
"""Longest text looked at before cleaning: four characters sent for each one kept."""

_DROPPED_CATEGORIES = frozenset({"Cc", "Cs", "Co", "Cn", "Zl", "Zp"})
_BIDI = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


class TextError(ValueError):
    """Nothing readable is left, or too much."""


def clean(text: str, limit: int) -> str:
    """Return `text` as it is kept; raises TextError if that is empty or longer than `limit` characters."""
    spaced = (" " if character.isspace() else character for character in unicodedata.normalize("NFC", text))
    kept = "".join(c for c in spaced if c not in _BIDI and unicodedata.category(c) not in _DROPPED_CATEGORIES)
    cleaned = " ".join(kept.split())
    # Joiners belong inside emoji and words; alone they are an invisible name.
    if not any(unicodedata.category(character) not in ("Cf", "Mn", "Me", "Zs") for character in cleaned):
        raise TextError("must contain readable characters")
    if len(cleaned) > limit:
        raise TextError(f"must have at most {limit} characters")
    return cleaned
