"""The published schema of manifests."""

import json
from pathlib import Path
from typing import Any

import jsonschema  # type: ignore[import-untyped]

PUBLISHED = Path(__file__).parents[2] / "docs" / "manifest.schema.json"
_VALIDATOR = jsonschema.Draft202012Validator(json.loads(PUBLISHED.read_text()))


def check_manifest(manifest: dict[str, Any]) -> None:
    """Raises jsonschema.ValidationError. As strict as a reader of this version may be: nothing is in it that the schema
    does not know."""
    _VALIDATOR.validate(manifest)
