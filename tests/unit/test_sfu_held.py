"""A run that the path does not take at once is cut to pieces, and leaves as it would have left, each packet once."""

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.codecs.vp8_descriptor import describe
from sfu.encoding import Encoding
from sfu.forwarding import OVERHEAD_BYTES, WAITS, Job, Target, Vp8Job, forward
from sfu.held import HeldRun, cut
from sfu.history import Packet
from sfu.interfaces import TrackKind
from sfu.sdp import Codec
from sfu.subscription import Subscription
from sfu.track import Track
from tests.support.sfu_media import H264, OPUS, VP8, Sent, Viewer, encoding, vp8_picture


class Narrow(Viewer):
    """A path that takes no picture at once."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.held: list[tuple[Sequence[Job] | Sequence[Vp8Job], Target, bool]] = []

    def admit(self, count: int, octets: int) -> int:
        return WAITS

    def hold(self, jobs: Sequence[Job] | Sequence[Vp8Job], target: Target, rewrite: bool) -> None:
        self.held.append((jobs, target, rewrite))

    def release(self, piece_bytes: int = 3000) -> list[HeldRun]:
        """Send all that is held."""
        pieces = [piece for jobs, target, rewrite in self.held for piece in cut(jobs, target, rewrite, piece_bytes)]
        self.held.clear()
        for run, octets in pieces:
            run.send(self.number(len(run.jobs), octets), self.address, self.send_run)
        return [run for run, _ in pieces]


class Watched:
    """A track with one viewer whose path is narrow and one whose path is not, both with numbered packets."""

    def __init__(self, codec: Codec) -> None:
        self.touched: list[Encoding] = []
        self.source = encoding(codec, 1, 0, self.touched)
        self.track = Track("t", "p", TrackKind.MICROPHONE if codec is OPUS else TrackKind.CAMERA, codec)
        self.narrow, self.wide = Narrow(), Viewer()
        self.subscriptions = []
        for viewer in (self.narrow, self.wide):
            subscription = Subscription("t", viewer, 98, 99, codec.clock_rate_hz)
            subscription.numbered = True
            self.subscriptions.append(subscription)
            self.track.subscribe(subscription)
        self.track.heard(self.source)

    def send(self, payloads: Sequence[bytes], timestamp: int = 0) -> None:
        for payload in payloads:
            self.source.accept(self.source.highest + 1, 0, timestamp, payload, 0, -1, 1.0)
        for source in self.touched:
            source.flush()
        self.touched.clear()


def alike(packets: Sequence[Sent]) -> list[tuple[int, bytes, bool]]:
    """What must not depend on when they left."""
    first = packets[0].sequence
    return [((packet.sequence - first) & 0xFFFF, packet.payload[4:], packet.padded) for packet in packets]


def test_what_is_held_is_not_sent_numbered_encrypted_or_counted_before_it_leaves() -> None:
    watched = Watched(VP8)
    watched.send(vp8_picture(1, 20, key=True))
    narrow = watched.narrow
    assert (narrow.datagrams, narrow.nonces, narrow.numbers) == ([], [], [])
    assert [(s.packets, s.octets > 0) for s in watched.subscriptions] == [(0, False), (20, True)]
    narrow.release()
    assert watched.subscriptions[0].octets == watched.subscriptions[1].octets
    assert watched.subscriptions[0].packets == 20


def test_it_leaves_as_it_would_have_left_in_its_order_and_each_packet_once() -> None:
    watched = Watched(VP8)
    watched.send(vp8_picture(1, 50, key=True))
    watched.send(vp8_picture(2, 3), timestamp=3000)
    assert len(watched.narrow.release()) > 10
    narrow, wide = watched.narrow.packets(), watched.wide.packets()
    assert alike(narrow) == alike(wide)
    assert len(set(watched.narrow.pairs())) == 53
    octets = sum(octets for _, _, octets, _ in watched.narrow.numbers)
    assert octets == sum(octets for _, _, octets, _ in watched.wide.numbers)


def test_of_other_codecs_too() -> None:
    watched = Watched(H264)
    key_frame = [b"\x65" + bytes(900)] * 10
    watched.send([b"\x67\x42\xe0\x1f\xda", b"\x68\xce\x38\x80", *key_frame])
    assert len(watched.narrow.release()) > 3
    assert [p.payload for p in watched.narrow.packets()] == [p.payload for p in watched.wide.packets()]


def test_sound_does_not_ask_and_is_never_held() -> None:
    watched = Watched(OPUS)
    watched.send([b"sound"])
    assert watched.narrow.held == []
    assert [packet.payload for packet in watched.narrow.packets()] == [b"sound"]


def test_who_is_sent_no_numbers_is_not_paced() -> None:
    watched = Watched(VP8)
    watched.subscriptions[0].numbered = False
    watched.source.retarget()
    watched.send(vp8_picture(1, 20, key=True))
    assert watched.narrow.held == []
    assert len(watched.narrow.packets()) == 20


@pytest.mark.parametrize("piece_bytes", [100, 3000, 10_000, 10**6])
@given(sizes=st.lists(st.integers(1, 1200), min_size=1, max_size=60))
def test_pieces_are_as_long_as_they_may_be_and_each_is_a_run(piece_bytes: int, sizes: list[int]) -> None:
    narrow = Narrow()
    subscription = Subscription("t", narrow, 98, 0, 90_000)
    subscription.numbered = True
    subscription.encoding = encoding(VP8)
    payloads = [vp8_picture(1, 1, body=bytes(size))[0] for size in sizes]
    packets = [Packet(n, 0, 0, payload, b"", describe(payload), 1.0) for n, payload in enumerate(payloads)]
    forward(packets, [subscription.target()], True)
    wires: list[int] = []
    for jobs, target, rewrite in narrow.held:
        pieces = list(cut(jobs, target, rewrite, piece_bytes))
        wires += [wire for _, wire in pieces]
        assert [job for run, _ in pieces for job in run.jobs] == list(jobs)
        for (run, wire), (after, _) in pairwise(pieces):
            assert wire == run.octets + OVERHEAD_BYTES * len(run.jobs)
            assert wire <= piece_bytes or len(run.jobs) == 1
            first = after.jobs[0]
            assert wire + len(first[4]) + first[5] + OVERHEAD_BYTES > piece_bytes  # type: ignore[misc]
    narrow.release(piece_bytes)
    assert sum(len(run) for run in narrow.runs) == len(packets)
    for sent in narrow.runs:
        lengths = [len(datagram) for datagram in sent]
        assert len(set(lengths[:-1])) <= 1
        assert lengths[-1] <= lengths[0]
    assert len(set(narrow.pairs())) == len(packets)
