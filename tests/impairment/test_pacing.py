"""A key frame much larger than a viewer's path takes at once: it leaves over some time, and nothing is lost for it.

The path takes 500 kbit/s and holds 32 kB, the key frame has 60 kB. Virtual time.
"""

from dataclasses import dataclass, field, replace
from itertools import pairwise

import pytest

from sfu.congestion.estimator import BandwidthEstimator
from sfu.congestion.pacer import WAIT_S, Pacer
from sfu.congestion.sent import SentLog
from sfu.forwarding import SEQUENCE_ID
from sfu.rtp import read_extensions
from sfu.twcc import ArrivalLog
from tests.support.impaired_call import ImpairedCall
from tests.support.modelled_peers import AUDIO_S, PACKETS_A_KEY_FRAME, Publisher, Viewer
from tests.support.network_model import Conditions, Network

CAPACITY_BPS = 500e3
NARROW = Conditions(capacity_bps=CAPACITY_BPS, queue_bytes=32 * 1024, delay_s=0.02)
KEY_FRAME_PACKETS = 68
"""Of 880 bytes and their headers."""
OVERUSED_S = 4.0
"""Frames of 700 kbit/s at first show what the path takes; then they take half of that."""
KEY_FRAME_AT_S = 14.0
REPORT_S = 0.1


class ReportingViewer(Viewer):
    """As Chromium, tells what arrives under which transport-wide number."""

    def __init__(self, network: Network, seed: int = 2) -> None:
        super().__init__(network, seed)
        self.numbers: list[int] = []
        """In the order in which they came."""
        self._arrivals = ArrivalLog()

    def start(self) -> None:
        super().start()
        self.network.every(REPORT_S, self._feedback)

    def _rtp(self, packet: bytes) -> None:
        words = int.from_bytes(packet[14:16], "big")
        elements = read_extensions(packet[16 : 16 + 4 * words], 0xBEDE)
        number = int.from_bytes(elements[SEQUENCE_ID], "big")
        self.numbers.append(number)
        self._arrivals.arrivals.append((number, self.network.now))
        super()._rtp(packet)

    def _feedback(self) -> None:
        packet = self._arrivals.take_feedback(1, self.video_ssrc)
        if packet is not None:
            self.send_rtcp(packet)


@dataclass
class Run:
    """What happened."""

    viewer: ReportingViewer
    estimator: BandwidthEstimator
    pacer: Pacer[object]
    target_bps: float
    """Before the key frame."""
    overflowed: int
    """Packets that the path's buffer did not hold, from the key frame on."""
    key_frame_s: float | None
    """How long after it was made it was shown; None: never."""
    sound_late_s: float
    """The longest that a packet of sound took, from the key frame on."""
    told: list[tuple[float, float]] = field(default_factory=list)
    """When the estimator was told of a run, and the time that it was told."""
    repaired_while_held: int = 0


def run(monkeypatch: pytest.MonkeyPatch, *, paced: bool = True, down: Conditions = NARROW) -> Run:
    told: list[tuple[float, float]] = []
    note = SentLog.note

    with ImpairedCall() as call:

        def noting(log: SentLog, count: int, octets: int, now: float, cluster: int = 0) -> int:
            told.append((call.network.now, now))
            return note(log, count, octets, now, cluster)

        monkeypatch.setattr(SentLog, "note", noting)
        if not paced:
            monkeypatch.setattr(Pacer, "pace", lambda *_: None)
        publisher = Publisher(call.network)
        publisher.packets_a_frame = 3
        call.publish(publisher, Conditions())
        viewer = call.watch(ReportingViewer(call.network), down)
        assert isinstance(viewer, ReportingViewer)
        call.run(OVERUSED_S)
        publisher.packets_a_frame = 1
        call.run(KEY_FRAME_AT_S)
        transport = call.room.peers["viewer"].subscriber.transport
        assert transport is not None
        estimator, pacer = transport.outbound.estimator, transport.outbound.pacer
        assert estimator is not None
        target_bps, overflowed = estimator.target_bps, call.lines["viewer"].down.counters.overflowed
        begun_s, resent = call.network.now, viewer.video.repaired
        viewer.numbers.clear()
        publisher.packets_a_key_frame, publisher._wants_key_frame = KEY_FRAME_PACKETS, True
        number = publisher.frames
        repaired_while_held = 0
        while call.network.elapsed_s < KEY_FRAME_AT_S + WAIT_S:
            call.run(call.network.elapsed_s + 0.02)
            if publisher.frames > number:
                publisher.packets_a_key_frame = PACKETS_A_KEY_FRAME
            if pacer.due is not None:
                repaired_while_held = viewer.video.repaired - resent
        call.run(KEY_FRAME_AT_S + 6)
        shown = [frame.at for frame in viewer.decoded if frame.number == number and frame.key]
        late = [
            arrival - publisher._begun - AUDIO_S * int.from_bytes(payload[1:5], "big")
            for arrival, _, payload in viewer.audio.got.values()
            if arrival > begun_s
        ]
        return Run(
            viewer,
            estimator,
            pacer,  # type: ignore[arg-type]
            target_bps,
            call.lines["viewer"].down.counters.overflowed - overflowed,
            shown[0] - begun_s if shown else None,
            max(late),
            told,
            repaired_while_held,
        )


def test_a_key_frame_larger_than_the_paths_buffer_loses_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    paced = run(monkeypatch)
    assert paced.pacer.held > 10
    assert paced.overflowed == 0
    assert paced.key_frame_s is not None
    assert paced.key_frame_s < 1.5 * KEY_FRAME_PACKETS * 924 * 8 / CAPACITY_BPS, (
        "about as long as the path takes for it"
    )
    assert paced.pacer.due is None


def test_without_a_pacer_the_same_key_frame_overflows_the_buffer(monkeypatch: pytest.MonkeyPatch) -> None:
    burst = run(monkeypatch, paced=False)
    assert burst.pacer.held == 0
    assert burst.overflowed > 20


def test_where_the_path_has_shown_no_limit_nothing_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    fast = run(monkeypatch, down=Conditions(capacity_bps=20e6, delay_s=0.02))
    assert fast.pacer.held == 0
    assert fast.key_frame_s is not None
    assert fast.key_frame_s < 0.1


def test_sound_never_waits_behind_a_picture_here_and_for_a_shorter_time_in_the_path(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    paced = run(monkeypatch)
    with monkeypatch.context() as other:
        burst = run(other, paced=False)
    assert burst.sound_late_s > 0.5, "all of the buffer"
    assert paced.sound_late_s < 0.7 * burst.sound_late_s


def test_the_estimator_hears_when_a_packet_really_left_and_numbers_follow_that_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    paced = run(monkeypatch)
    assert all(at == now for at, now in paced.told)
    numbers = paced.viewer.numbers
    assert {(after - before) & 0xFFFF for before, after in pairwise(numbers)} == {1}
    assert paced.estimator.target_bps > 0.8 * paced.target_bps, "waiting here is no delay of the path"


def test_what_is_sent_again_does_not_wait_behind_fresh_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    lossy = run(monkeypatch, down=replace(NARROW, loss=0.05))
    assert lossy.repaired_while_held > 0
    assert lossy.key_frame_s is not None
