"""What a viewer misses comes again as RTX (RFC 4588): equal to the first sending, bounded, with an index of its own."""

import pytest

from sfu.encoding import Encoding
from sfu.forwarding import OVERHEAD_BYTES, SEQUENCE_ID
from sfu.outbound import MAX_SENDER_REPORTS, Outbound
from sfu.rtcp import KeyFrameRequest, Nack, ReceiverReports, Report, ntp_from_unix, parse
from sfu.rtp import JUMP, read_extensions
from sfu.subscription import MAX_EARLIER, MAX_PADDING, MAX_RESENT, MAX_RETRANSMISSIONS, RESEND_SHARE, Subscription
from tests.support.sfu_media import VP8, Sent, Viewer, encoding, vp8


class Watched:
    """A started subscription on one source."""

    def __init__(self, codec: object = VP8, rtx_payload_type: int = 99, first_index: int = 0) -> None:
        self.touched: list[Encoding] = []
        self.viewer = Viewer()
        self.source = encoding(codec, 1, first_index, self.touched)  # type: ignore[arg-type]
        self.subscription = Subscription("t", self.viewer, 98, rtx_payload_type, 90_000)
        self.source.subscribe(self.subscription)
        self.next = first_index
        self.sent: list[Sent] = []

    def send(self, count: int = 1, *, padded: int = 0, orientation: int = -1, size: int = 20) -> None:
        for _ in range(count):
            payload = vp8(self.next, key=self.next == self.source.first_index, body=b"%d" % self.next * size)
            payload += bytes(padded - 1) + bytes((padded,)) if padded else b""
            self.source.accept(self.next, 0x80, 3000 * self.next, payload, 0x2000 * bool(padded), orientation, 1.0)
            self.source.flush()
            self.next += 1
        self.sent += self.viewer.packets()

    def again(self, *sequences: int, now: float = 2.0) -> list[Sent]:
        for sequence in sequences:
            self.subscription.retransmit(sequence & 0xFFFF, now)
        return self.viewer.packets()


def test_a_retransmission_is_the_packet_behind_its_number() -> None:
    watched = Watched()
    watched.send(5, orientation=1)
    missed = watched.sent[3]
    (again,) = watched.again(missed.sequence)
    assert again.payload == missed.sequence.to_bytes(2, "big") + missed.payload
    assert (again.ssrc, again.payload_type) == (watched.subscription.rtx_ssrc, 99)
    assert (again.timestamp, again.marker, again.extension) == (missed.timestamp, missed.marker, missed.extension)


def test_each_retransmission_has_a_number_of_its_own() -> None:
    watched = Watched()
    watched.send(3)
    numbers = [packet.sequence for packet in watched.again(*[watched.sent[1].sequence] * 5)]
    assert numbers == list(range(numbers[0], numbers[0] + 5))
    assert watched.subscription.retransmitted == 5


def test_what_was_not_sent_yet_is_not_sent_again() -> None:
    """It came in this wakeup and leaves at its end; a viewer that asks for it now guesses."""
    watched = Watched()
    watched.send(2)
    watched.source.accept(2, 0x80, 6000, vp8(2), 0, -1, 1.0)
    assert watched.again(watched.sent[1].sequence + 1) == []
    watched.source.flush()
    assert len(watched.viewer.packets()) == 1


def test_padding_is_not_sent_again() -> None:
    watched = Watched()
    watched.send(1)
    watched.send(1, padded=9)
    (again,) = watched.again(watched.sent[1].sequence)
    assert not again.padded
    assert again.payload == watched.sent[1].sequence.to_bytes(2, "big") + watched.sent[1].media


def test_numbers_are_found_over_the_wrap() -> None:
    watched = Watched()
    watched.subscription.next_index = 65_530
    watched.send(12)
    assert [packet.sequence for packet in watched.sent][-1] == 5
    (again,) = watched.again(65_533)
    assert again.payload[2:] == watched.sent[3].payload


def test_a_probe_is_the_latest_packets_once_more_under_a_cluster_and_new_numbers() -> None:
    watched = Watched()
    watched.subscription.numbered = True
    watched.source.retarget()
    watched.send(4, orientation=1)
    sizes = [watched.subscription.probe(number, 7) for number in range(4)]
    again = watched.viewer.packets()
    assert [packet.payload[2:] for packet in again] == [packet.payload for packet in reversed(watched.sent)]
    assert len({packet.sequence for packet in again}) == 4
    assert [n[1:] for n in watched.viewer.numbers[-4:]] == [(1, size, 7) for size in sizes]
    assert all(SEQUENCE_ID in read_extensions(packet.extension[4:], 0xBEDE) for packet in again)
    assert watched.subscription.probe(4, 7) == 0, "nothing older was sent"


def test_a_stream_that_sends_nothing_probes_with_padding_alone() -> None:
    watched = Watched()
    watched.subscription.numbered = True
    assert watched.subscription.probe(0, 7) == 0
    assert watched.subscription.pad(7) == MAX_PADDING + OVERHEAD_BYTES
    (padding,) = watched.viewer.packets()
    assert (padding.ssrc, padding.padded, padding.media) == (watched.subscription.rtx_ssrc, True, b"")


def test_a_probe_of_a_connection_is_as_large_as_asked_for_and_ends_without_pictures() -> None:
    outbound, watched = Outbound(), Watched()
    outbound.probe(5000, 3)
    watched.subscription.numbered = True
    outbound.add(watched.subscription)
    watched.source.retarget()
    watched.send(30)
    before = len(watched.viewer.numbers)
    outbound.probe(20_000, 3)
    sizes = [octets for _, _, octets, cluster in watched.viewer.numbers[before:] if cluster == 3]
    assert 20_000 <= sum(sizes) < 20_000 + 1500
    deaf = Watched(rtx_payload_type=0)
    outbound.remove(watched.subscription)
    outbound.add(deaf.subscription)
    outbound.probe(5000, 3)
    assert deaf.viewer.datagrams == []


def test_what_was_never_sent_or_is_gone_is_not_sent() -> None:
    watched = Watched()
    watched.send(3)
    first = watched.sent[0].sequence
    assert watched.again(first - 1, first + 3, first + 30_000, first - 30_000) == []
    assert watched.subscription.skipped == 4


def test_what_came_from_the_source_of_before_is_sent_again_as_it_was() -> None:
    watched = Watched()
    watched.send(3)
    watched.source.unsubscribe(watched.subscription)
    (again,) = watched.again(watched.sent[1].sequence)
    assert again.payload[2:] == watched.sent[1].payload
    successor = encoding(VP8, 2, 0, watched.touched)
    successor.accept(0, 0, 0, vp8(0), 0, -1, 2.0)
    successor.subscribe(watched.subscription)
    successor.accept(1, 0, 0, vp8(1, key=True), 0, -1, 2.0)
    successor.flush()
    (first,) = watched.viewer.packets()
    for missed in (watched.sent[2], first):
        (again,) = watched.again(missed.sequence)
        assert again.payload == missed.sequence.to_bytes(2, "big") + missed.payload
        assert again.timestamp == missed.timestamp
    assert watched.again(first.sequence + 1, watched.sent[0].sequence - 1) == []


def test_after_many_changes_of_the_source_the_first_is_forgotten() -> None:
    watched = Watched()
    watched.send(3)
    watched.source.unsubscribe(watched.subscription)
    for ssrc in range(2, 2 + MAX_EARLIER):
        successor = encoding(VP8, ssrc, 0, watched.touched)
        successor.subscribe(watched.subscription)
        successor.accept(0, 0, 0, vp8(1, key=True), 0, -1, 2.0)
        successor.flush()
        successor.unsubscribe(watched.subscription)
    watched.viewer.packets()
    assert watched.again(watched.sent[1].sequence) == []


def test_without_rtx_nothing_is_sent_again() -> None:
    watched = Watched(rtx_payload_type=0)
    watched.send(3)
    assert watched.again(watched.sent[1].sequence) == []


def test_retransmissions_between_two_ticks_are_bounded() -> None:
    watched = Watched()
    watched.send(3)
    assert len(watched.again(*[watched.sent[1].sequence] * 500)) == MAX_RETRANSMISSIONS
    assert watched.subscription.skipped == 500 - MAX_RETRANSMISSIONS
    watched.subscription.new_tick()
    assert len(watched.again(watched.sent[1].sequence)) == 1


def test_what_was_sent_again_less_than_a_round_trip_ago_is_on_its_way() -> None:
    watched = Watched()
    watched.send(3)
    watched.subscription.round_trip_s = 0.1
    missed = watched.sent[1].sequence
    assert len(watched.again(missed, missed, now=2.0)) == 1
    assert watched.again(missed, now=2.0 + 0.9 * RESEND_SHARE * 0.1) == []
    assert len(watched.again(missed, watched.sent[2].sequence, now=2.0 + 0.1)) == 2
    assert watched.again(missed, now=2.0 + 0.1 + 0.05) == []
    assert (watched.subscription.retransmitted, watched.subscription.repeated) == (3, 3)


def test_the_times_of_retransmissions_are_remembered_up_to_a_cap() -> None:
    watched = Watched()
    watched.send(MAX_RESENT + 2)
    watched.subscription.round_trip_s = 10.0
    for packet in watched.sent:
        watched.subscription.new_tick()
        watched.again(packet.sequence)
    assert watched.subscription.retransmitted == MAX_RESENT + 2
    watched.subscription.new_tick()
    assert len(watched.again(watched.sent[0].sequence)) == 1, "the oldest was forgotten"
    assert watched.again(watched.sent[-1].sequence) == []


# --- a source that jumps


@pytest.mark.parametrize("jump", [JUMP, 20_000, 40_000, 100_000])
def test_a_source_that_jumps_leaves_one_number_out_and_nothing_from_before_is_sent_under_the_new_ones(
    jump: int,
) -> None:
    watched = Watched()
    watched.send(3)
    watched.next += jump
    watched.send(3)
    first = watched.sent[0].sequence
    assert [packet.sequence - first for packet in watched.sent] == [0, 1, 2, 4, 5, 6]
    assert watched.again(first + 1, first + 2, first + 3) == []
    (again,) = watched.again(first + 5)
    assert again.payload[2:] == watched.sent[4].payload
    watched.source.accept(2 + jump, 0x80, 0, vp8(2), 0, -1, 1.0)
    assert watched.viewer.packets() == [], "it was overtaken by the first one that was sent"


def test_what_came_before_a_jump_in_the_same_wakeup_is_sent_before_it() -> None:
    watched = Watched()
    watched.send(1)
    for index in (1, 2, 2 + JUMP):
        watched.source.accept(index, 0x80, 3000 * index, vp8(index), 0, -1, 1.0)
    for source in watched.touched:
        source.flush()
    first = watched.sent[0].sequence
    assert [packet.sequence - first for packet in watched.viewer.packets()] == [1, 2, 4]


# --- key frames


def test_a_fir_that_is_repeated_is_one_request_and_a_pli_is_one_each_time() -> None:
    watched = Watched()
    watched.send(1)

    def wanted(fir_number: int | None, now: float) -> bool:
        watched.subscription.key_frame_request(fir_number)
        asked = watched.source.requests.due(now)
        watched.source.requests.arrived()
        return asked

    assert [wanted(number, 10.0 * n) for n, number in enumerate((7, 7, 8, 7, None, None, 7), 1)] == [
        *(True, False, True, True),
        *(True, True, False),
    ]


# --- the sending half of a transport


def test_requests_reach_the_subscription_that_they_name_and_no_other() -> None:
    outbound, watched = Outbound(), Watched()
    outbound.add(watched.subscription)
    watched.send(3)
    ssrc, sequence = watched.subscription.ssrc, watched.sent[1].sequence
    outbound.nack(Nack(ssrc + 5, (sequence,)), 2.0)
    outbound.nack(Nack(watched.subscription.rtx_ssrc, (sequence,)), 2.0)
    assert watched.viewer.packets() == []
    outbound.nack(Nack(ssrc, (sequence,)), 2.0)
    assert len(watched.viewer.packets()) == 1
    outbound.key_frame_request(KeyFrameRequest(ssrc + 5))
    assert not watched.source.requests.due(9.0)
    outbound.key_frame_request(KeyFrameRequest(ssrc))
    assert watched.source.requests.due(9.0)
    outbound.remove(watched.subscription)
    outbound.nack(Nack(ssrc, (sequence,)), 2.0)
    assert watched.viewer.packets() == []


def test_the_round_trip_comes_from_the_last_sender_report() -> None:
    outbound, watched = Outbound(), Watched()
    outbound.add(watched.subscription)
    sent, now = ntp_from_unix(1000.0), ntp_from_unix(1000.25)
    block = Report(watched.subscription.ssrc, 0, 0, 0, 0, sent >> 16 & 0xFFFFFFFF, 13107)
    outbound.reports(ReceiverReports((block,)), 5.0, now)
    assert abs(watched.subscription.round_trip_s - 0.05) < 0.001
    for last_sr, delay in ((0, 0), (0x12345678, 0), (sent >> 16 & 0xFFFFFFFF, 65_536)):
        block = Report(watched.subscription.ssrc, 0, 0, 0, 0, last_sr, delay)
        outbound.reports(ReceiverReports((block, Report(1, 0, 0, 0, 0, 0, 0))), 5.0, now)
    assert abs(watched.subscription.round_trip_s - 0.05) < 0.001, "lies are ignored"


def test_sender_reports_are_split_into_packets_that_a_datagram_holds() -> None:
    outbound = Outbound()
    for _ in range(MAX_SENDER_REPORTS + 5):
        watched = Watched()
        watched.send(1)
        watched.subscription.ssrc += len(outbound.all()) * 10
        outbound.add(watched.subscription)
    silent = Watched().subscription
    silent.ssrc = 5
    outbound.add(silent)
    packets = outbound.sender_reports(2.0, 5)
    assert [len(list(parse(packet))) for packet in packets] == [MAX_SENDER_REPORTS, 5]
    assert all(len(packet) < 1200 for packet in packets)
