"""A recording without a node: the node's own writer journals real encoded media that repeats, as fast as is asked for.

Session time is given by the caller, so that an hour can be written in a minute.
"""

import time
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from recorder.events import ParticipantSeen, RecordingStarted, RecordingStopped, TakeOpened
from recorder.settings import RecorderSettings
from recorder.tap import TrackJournal
from recorder.writer import SpoolWriter
from storage.ids import derived_id
from tests.support.encoded import OPUS_SAMPLES, opus_packets, vp8_of, vp8_payloads
from tests.support.journals import RECORDING, SESSION, ZERO_NS, recording_header, track_header
from tests.support.media import FPS, background, frame

LOOP_S = 10
"""Of the media; then they begin anew, with a key frame."""
NOISE = 12
"""Steps of luma."""
QUEUE_SHARE = 0.5
"""Of what may wait for the writer thread; the rest is left to it."""
REPORT_S = 1.0
NTP_UNIX_S = 2_208_988_800


class _Packet(NamedTuple):
    due_s: float
    """From the beginning of the loop."""
    ticks: int
    marker: bool
    payload: bytes


@cache
def _sound() -> list[_Packet]:
    packets = opus_packets(LOOP_S * 50)
    return [_Packet(n / 50, n * OPUS_SAMPLES, False, packet) for n, packet in enumerate(packets)]


@cache
def _pictures() -> list[_Packet]:
    """640x360 at about 1.5 Mbit/s: with the noise of a camera, which takes what the encoder may use."""
    texture, chance = background(), np.random.default_rng(3)
    lumas = [
        frame(number, texture) + chance.integers(0, NOISE, texture.shape, np.uint8) for number in range(LOOP_S * FPS)
    ]
    packets = []
    for number, encoded in enumerate(vp8_of(lumas, keyframe_every=LOOP_S * FPS)):
        parts = list(vp8_payloads(encoded, number))
        for place, payload in enumerate(parts):
            due_s = number / FPS + place * 20e-6
            packets.append(_Packet(due_s, number * 90_000 // FPS, place == len(parts) - 1, payload))
    return packets


def bytes_per_s() -> float:
    """Of one participant's media."""
    return sum(len(packet.payload) for packet in (*_sound(), *_pictures())) / LOOP_S


def packets_per_s() -> float:
    return (len(_sound()) + len(_pictures())) / LOOP_S


class _Track:
    """One sender: the media from its beginning, again and again."""

    def __init__(self, journal: TrackJournal, media: list[_Packet], clock_rate_hz: int, phase_s: float) -> None:
        self.journal = journal
        self._clock_rate_hz = clock_rate_hz
        self._phase_s = phase_s
        self._media = self._forever(media)
        self._next = next(self._media)
        self._report_s = 0.0
        self._sequence = 0

    def _forever(self, media: list[_Packet]) -> Iterator[_Packet]:
        """Times since the sender began. Pictures keep their numbers of the loop: a key frame may have any."""
        loop = 0
        while True:
            begin_s, begin_ticks = loop * LOOP_S, loop * LOOP_S * self._clock_rate_hz
            for due_s, ticks, marker, payload in media:
                yield _Packet(begin_s + due_s, begin_ticks + ticks, marker, payload)
            loop += 1

    def send(self, until_s: float) -> None:
        """Session time."""
        zero_s = ZERO_NS / 1e9 + self._phase_s
        send = self.journal.packet
        while self._next.due_s + self._phase_s < until_s:
            due_s, ticks, marker, payload = self._next
            send(zero_s + due_s, self._sequence, ticks, marker, payload)
            self._sequence += 1
            self._next = next(self._media)
            if due_s >= self._report_s:
                self._report_s += REPORT_S
                self.journal.sender_report(zero_s + due_s, round((NTP_UNIX_S + due_s) * (1 << 32)), ticks)


class GeneratedRecording:
    """Of so many people with a microphone and a camera each. `write` until it is long enough, then `end`."""

    def __init__(self, spool: Path, people: int) -> None:
        self._settings = RecorderSettings()
        self._writer = SpoolWriter(spool, self._settings)
        self._writer.start()
        self._journal = self._writer.open_recording(recording_header())
        self._journal.event(RecordingStarted(recording_id=RECORDING, session_id=SESSION, title="Bench", started_ns=0))
        self._tracks: list[_Track] = []
        self._until_s = 0.0
        for number, participant_id in enumerate(participants(people)):
            self._journal.event(
                ParticipantSeen(participant_id=participant_id, display_name=f"P{number}", role="guest", at_ns=0)
            )
            phase_s = 1.0 + number * 0.037 % 0.1  # not all at once
            for kind, codec, media, rate in (
                ("microphone", "opus", _sound(), 48_000),
                ("camera", "vp8", _pictures(), 90_000),
            ):
                take_id = derived_id("tak", kind, str(number))
                self._journal.event(TakeOpened(take_id=take_id, participant_id=participant_id, kind=kind, slot=0))
                header = track_header(
                    codec,
                    take_id=take_id,
                    segment_id=derived_id("seg", take_id),
                    participant_id=participant_id,
                    kind=kind,
                )
                self._tracks.append(_Track(self._journal.open_track(header), media, rate, phase_s))

    @property
    def journals(self) -> int:
        """Of tracks, one each."""
        return len(self._tracks)

    def write(self, until_s: float) -> None:
        """All that arrives before this session time. Waits for the disk, as the node does not. Raises RuntimeError
        when the writer took less than everything."""
        for track in self._tracks:
            track.send(until_s)
        self._until_s = until_s
        counters = self._writer.counters()
        while counters["bytes_queued"] > QUEUE_SHARE * self._settings.queue_bytes:
            time.sleep(0.01)
            counters = self._writer.counters()
        if counters["packets_dropped"]:
            raise RuntimeError(f"the writer dropped packets: {counters}")

    def flush(self) -> None:
        """Return when all is on the disk."""
        while self._writer.counters()["bytes_queued"]:
            time.sleep(0.01)

    def end(self) -> None:
        """End records behind everything."""
        stopped_s = self._until_s
        self._journal.event(RecordingStopped(stopped_ns=round(stopped_s * 1e9)))
        for track in self._tracks:
            track.journal.end(ZERO_NS / 1e9 + stopped_s)
        self._writer.close()


def participants(people: int) -> list[str]:
    """Their ids."""
    return [derived_id("par", str(number)) for number in range(people)]
