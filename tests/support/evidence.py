"""What is left of a recording, gathered for tests: every file downloaded and inspected, beside what the pages sent.

`collect` waits until the recording is finished and all expected local copies are stored, then fetches everything by
the same URLs that a producer's browser uses.
"""

import asyncio
import hashlib
import time
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import msgspec

from tests.support import comparison
from tests.support.api import Json
from tests.support.chromium import RoomPage, SentFrame
from tests.support.files import FileReport, inspect
from tests.support.studio import Studio

FINISH_S = 60.0
POLL_S = 0.2
NS = 1e-9
CLOCK_RATES_HZ = {"audio": 48_000, "video": 90_000}


@dataclass
class File:
    """One segment that was produced."""

    take: Json
    segment: Json
    """As the manifest has it."""
    path: Path
    report: FileReport
    sha256: str

    @property
    def name(self) -> str:
        return f"{self.segment['copy']} {self.take['kind']} {self.segment['file_name']}"

    @property
    def start_s(self) -> float:
        """On the session clock."""
        return float(self.segment["start_ns"]) * NS

    @property
    def end_s(self) -> float:
        return self.start_s + float(self.segment["duration_ns"]) * NS


@dataclass
class Person:
    """What one page did, as it was when the recording had stopped."""

    name: str
    participant_id: str
    sent: dict[str, list[SentFrame]]
    """By `audio` and `video`."""
    stats: list[Json]
    frames_sent: tuple[int, int]
    """What getStats said just before and just after `sent` was read."""
    errors: list[str]
    notes: dict[str, Any] = field(default_factory=dict)
    """What a test saw on the way."""


@dataclass
class Evidence:
    manifest: Json
    files: list[File]
    people: dict[str, Person]
    started_s: float
    stopped_s: float

    def of(self, name: str, copy: str) -> list[File]:
        """The files of a participant: copy `server` or `local`."""
        id = self.people[name].participant_id
        return [file for file in self.files if file.take["participant_id"] == id and file.segment["copy"] == copy]

    def server(self, name: str, kind: str) -> File:
        """The one server file of a participant's `camera` or `microphone`."""
        (file,) = [file for file in self.of(name, "server") if file.take["kind"] == kind]
        return file

    def match(self, name: str, media: str) -> comparison.Match:
        """Find the packets of a server file among what that page sent; `media`: `audio` or `video`."""
        sent = [frame.checksum for frame in self.people[name].sent[media]]
        return comparison.match(sent, self.track(name, media).report.stream(media).checksums)

    def unlisted(self, name: str, media: str) -> list[int]:
        """Sent frames that a server file lacks, but for those that the page itself gave up for a key frame.

        Chromium's pacer does that under load, after the probe saw them. It is proved by sequence numbers without a hole
        and listed as `unsent`; whoever wants to know that nothing was lost looks at `packets.lost` too.
        """
        file, found = self.track(name, media), self.match(name, media)
        pts_s = file.report.stream(media).pts_s
        given_up_s = [gap["at_ns"] * NS for gap in file.segment["gaps"] if gap["reason"] == "unsent"]
        missing: list[int] = []
        for (before, at), (after, _) in pairwise(found.pairs):
            listed = any(abs(file.start_s + pts_s[at] - begin_s) < 0.002 for begin_s in given_up_s)
            if not (listed and self.people[name].sent[media][after].is_key):
                missing += range(before + 1, after)
        return missing

    def track(self, name: str, media: str) -> File:
        """The server file of the microphone (`audio`) or camera (`video`)."""
        return self.server(name, "microphone" if media == "audio" else "camera")

    def first_sent_s(self, name: str, media: str) -> float:
        """When a page sent the first frame that a file could begin with (video: a key frame), on the session clock.

        By its RTP timestamp, and the quickest of all its frames for where RTP time is on the session clock: the first
        one comes out of an encoder that is still being set up, by more than 100 ms late where three pages share two
        busy cores.
        """
        sent = self.people[name].sent[media]
        rtp_s = comparison.seconds([frame.timestamp for frame in sent], CLOCK_RATES_HZ[media])
        first = next(number for number, frame in enumerate(sent) if frame.is_key or media == "audio")
        return rtp_s[first] + min(frame.session_s - at_s for frame, at_s in zip(sent, rtp_s, strict=True))

    def apart_s(self, name: str, media: str) -> list[float]:
        """Of each packet of a server file: by how much its time since the first differs from the sender's RTP time."""
        sent_s = comparison.seconds([frame.timestamp for frame in self.people[name].sent[media]], CLOCK_RATES_HZ[media])
        pts_s = self.track(name, media).report.stream(media).pts_s
        pairs = self.match(name, media).pairs
        return [(pts_s[at] - pts_s[0]) - (sent_s[index] - sent_s[pairs[0][0]]) for index, at in pairs]


async def witness(room: RoomPage) -> Person:
    """What a page knows now."""
    participant_id = await room.participant_id()
    stats = await room.stats("outbound-rtp", "inbound-rtp", "remote-inbound-rtp", "codec", "transport")
    (video,) = [s for s in stats if s["type"] == "outbound-rtp" and s["kind"] == "video"]
    await room.noted(video["framesSent"])
    sent = {kind: await room.sent(kind) for kind in ("audio", "video")}
    (later,) = [s for s in await room.stats("outbound-rtp") if s["kind"] == "video"]
    return Person(
        room.name, participant_id, sent, stats, (video["framesSent"], later["framesSent"]), await room.errors()
    )


async def finished(studio: Studio, session: Json, recording_id: str, *, local_copies: int) -> Json:
    """Wait until a recording is finished and so many local copies are stored; its manifest."""
    deadline_s = time.monotonic() + FINISH_S
    while True:
        view = await studio.api.recording(session["session_id"], recording_id, session["host_secret"])
        segments = [segment for take in view["takes"] for segment in take["segments"]]
        bad = [segment for segment in segments if segment["state"] == "failed" or segment["problem"]]
        assert not bad, f"segments failed: {bad}"
        local = [segment for segment in segments if segment["copy"] == "local" and segment["state"] == "stored"]
        if view["state"] == "finished" and len(local) >= local_copies:
            manifest = await studio.api.manifest(session["session_id"], recording_id, session["host_secret"])
            # The manifest follows the rows: it is written again when a local copy is stored.
            listed = {s["segment_id"] for take in manifest["takes"] for s in take["segments"] if s["state"] == "stored"}
            if listed >= {segment["segment_id"] for segment in segments}:
                return manifest
        assert time.monotonic() < deadline_s, f"not finished after {FINISH_S} s: {view}\n{studio.log_text()}"
        await asyncio.sleep(POLL_S)


async def collect(
    studio: Studio, session: Json, recording_id: str, people: list[Person], folder: Path, *, local_copies: int
) -> Evidence:
    manifest = await finished(studio, session, recording_id, local_copies=local_copies)
    view = await studio.api.recording(session["session_id"], recording_id, session["host_secret"])
    urls = {s["segment_id"]: s["play_url"] for take in view["takes"] for s in take["segments"]}
    # Kept beside the files: what a failed test needs for a post-mortem.
    (folder / "people.json").write_bytes(msgspec.json.encode(people))
    files = []
    for take in manifest["takes"]:
        for segment in take["segments"]:
            suffix = Path(segment["file_name"]).suffix
            path = await studio.api.download(urls[segment["segment_id"]], folder / (segment["segment_id"] + suffix))
            report = await asyncio.to_thread(inspect, path)
            files.append(File(take, segment, path, report, hashlib.sha256(path.read_bytes()).hexdigest()))
    return Evidence(
        manifest,
        files,
        {person.name: person for person in people},
        manifest["started_ns"] * NS,
        manifest["stopped_ns"] * NS,
    )
