"""The examples of docs/protocol.md: every fenced block whose info string says more than `json`."""

import re
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

PATH = Path(__file__).parents[2] / "docs" / "protocol.md"

_BLOCK = re.compile(r"^```json (?P<what>[^\n]+)\n(?P<body>.*?)^```$", re.MULTILINE | re.DOTALL)


class Example(NamedTuple):
    what: tuple[str, ...]
    """Such as `("request", "Join")` or `("from-server",)`."""
    body: str

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)


def text() -> str:
    return PATH.read_text()


def examples(kind: str) -> list[Example]:
    found = (Example(tuple(block["what"].split()), block["body"]) for block in _BLOCK.finditer(text()))
    return [example for example in found if example.what[0] == kind]
