"""What the recorder process tells the node beside the files: lines of JSON on its standard output. No I/O.

Lossy by design: a line that the node does not take at once is dropped, and no file depends on one. What is wrong is
said anew with every beat, so a lost line costs a beat, and what is not said any more is over.
"""

from enum import StrEnum
from typing import Annotated

import msgspec
from msgspec import Meta

LINE_BYTES = 4096
"""Longest line, its end included: a pipe takes so much whole or not at all (PIPE_BUF)."""
MAX_FINDINGS = 100
"""Of one beat; what is beyond is left out."""

Id = Annotated[str, Meta(max_length=32, pattern="^[a-z]{1,3}_[a-z2-7]{16}$")]
IdOrNone = Annotated[str, Meta(max_length=32, pattern="^([a-z]{1,3}_[a-z2-7]{16})?$")]
Count = Annotated[int, Meta(ge=0, le=1 << 60)]


class FindingCode(StrEnum):
    """What is wrong with a recording, or one take of it."""

    BEHIND = "recorder_behind"
    """Its files are made later than its packets come."""
    STUCK = "track_stuck"
    """A call on this track alone did not return: its file is made later."""
    SILENCE = "digital_silence"
    """A microphone that is not muted gives zeros."""
    CLIPPING = "clipping"
    BLACK = "black_picture"
    FROZEN = "frozen_picture"


class Health(msgspec.Struct, frozen=True, tag_field="type", tag="health", kw_only=True):
    """How the recorder process is; the first line of every beat."""

    lag_s: Annotated[float, Meta(ge=0, le=1e9)] = 0.0
    """Age of the oldest packet that is in a journal and in no file yet, over all recordings that run."""
    tracks: Count = 0
    """Journals that are being followed."""
    tracks_stuck: Count = 0
    """Journals on which a call hung, and which wait to be tried again."""
    upload_backlog_bytes: Count = 0
    """Of finished files that the object store has not confirmed yet."""
    upload_errors: Count = 0
    """Attempts at these that failed, since the start of the process."""


class Finding(msgspec.Struct, frozen=True, tag_field="type", tag="finding", kw_only=True):
    """Something is wrong at present."""

    code: FindingCode
    recording_id: Id
    take_id: IdOrNone = ""
    """Empty: it is not of one take."""
    participant_id: IdOrNone = ""
    kind: Annotated[str, Meta(pattern="^(microphone|camera|screen|screen_audio)?$")] = ""
    since_ns: Annotated[int, Meta(ge=-(1 << 62), le=1 << 62)]
    """On the session clock."""


Line = Health | Finding

encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Line).decode


def decode(line: bytes) -> Line:
    """Raises ValueError: it is none."""
    if len(line) > LINE_BYTES:
        raise ValueError("longer than a line may be")
    decoded: Line = _decode(line)
    return decoded


def beat(health: Health, findings: list[Finding]) -> list[bytes]:
    """Lines to be written, each whole or not at all."""
    return [encode(line) + b"\n" for line in (health, *findings[:MAX_FINDINGS])]
