"""The provisional manifest: what another machine needs to finish a recording whose machine is lost.

It stands beside the files while a recording is made, as `manifest.provisional.json`, and is deleted when the manifest
is written. Parts and tails that came since are found in the store itself.
"""

from typing import Literal

import msgspec

from recorder.manifest import Manifest, recording_prefix
from recorder.tail_plan import Tail
from recorder.upload_plan import SentPart

NAME = "manifest.provisional.json"


class UnfinishedFile(msgspec.Struct, kw_only=True):
    """A server file that grows, and what the store has of it."""

    segment_id: str
    take_id: str
    codec: str
    content_type: str
    key: str
    start_ns: int | None
    """First sample, on the session clock; None: it is not known yet."""
    upload_id: str
    """Empty: there is no part yet."""
    part_bytes: int
    parts: list[SentPart]
    tails: list[Tail]


class Provisional(msgspec.Struct, kw_only=True):
    state: Literal["recording"] = "recording"
    written_s: float
    """Unix time."""
    manifest: Manifest
    """As it would be if the recording ended now, without the files that are not finished, and without who spoke: that
    would be written again and again."""
    uploads: list[UnfinishedFile]


def encode(provisional: Provisional) -> bytes:
    return msgspec.json.encode(provisional)


decode = msgspec.json.Decoder(Provisional).decode


def provisional_key(session_id: str, recording_id: str) -> str:
    return f"{recording_prefix(session_id, recording_id)}/{NAME}"
