"""Which SSRC belongs to which section: bound by authentic packets only, capped, found again. Virtual time."""

import pytest

from sfu.congestion.feedback import TransportFeedback
from sfu.encoding import LIVE_AUDIO_S, LIVE_VIDEO_S, RECORDED_S, Encoding
from sfu.inbound import DEFAULT_LIMITS, LOCAL_SSRC, MAX_ENDED, Inbound, Source
from sfu.negotiation import MID, ORIENTATION, RID, TRANSPORT_SEQUENCE, Chosen
from sfu.rtcp import KeyFrameRequest, Nack, Packet, ReceiverReports, SenderReport, SinceReference, parse
from sfu.srtp import Profile, ReceiveKeys, SendKeys
from sfu.streams import RepairStream
from tests.support.sfu_media import (
    MID_ID,
    OPUS,
    PUBLISHER_MASTER,
    REPAIRED_RID_ID,
    RID_ID,
    RTX_PAYLOAD_TYPE,
    TRANSPORT_SEQUENCE_ID,
    VP8,
    Publisher,
    camera,
    deliver,
    one_byte_extensions,
    section,
    vp8,
)
from tests.support.taps import QuietTap

MID_1 = one_byte_extensions((MID_ID, b"1"))
NTP = 0x1122334455667788


def test_an_ssrc_is_bound_by_the_mid_of_its_first_packet() -> None:
    heard: list[tuple[Source, Encoding]] = []
    inbound, touched = camera(lambda source, encoding: heard.append((source, encoding)))
    deliver(inbound, Publisher(77, 96).seal(5, b"media", extensions=MID_1), 1.0)
    ((source, encoding),) = heard
    assert (source.mid, source.encodings) == ("1", [encoding])
    assert (encoding.ssrc, encoding.info.codec, encoding.first_index) == (77, "vp8", 5)
    assert encoding.packets == 1, "the first packet counts, and counts once"
    assert touched == [encoding]


def test_an_ssrc_is_bound_by_the_offer_where_no_mid_is_sent() -> None:
    inbound, _ = camera(ssrcs=(77, 78), repair_of={78: 77})
    deliver(inbound, Publisher(77, 96).seal(5, b"media"), 1.0)
    deliver(inbound, Publisher(78, RTX_PAYLOAD_TYPE).seal(9, b"\x00\x04late"), 1.0)
    encoding, repair = inbound.streams[77], inbound.streams[78]
    assert isinstance(repair, RepairStream)
    assert repair.encoding is encoding
    assert encoding.packets == 2


@pytest.mark.parametrize("first", [0, 1, 40_000, 65_535])
def test_a_stream_may_start_anywhere(first: int) -> None:
    inbound, _ = camera()
    publisher = Publisher(77, 96)
    for index in (first, first + 1):
        deliver(inbound, publisher.seal(index, b"media", extensions=MID_1), 1.0)
    assert inbound.streams[77].highest == first + 1


def test_a_stream_whose_first_packets_were_lost_across_the_wrap_is_found() -> None:
    inbound, _ = camera()
    publisher = Publisher(77, 96)
    deliver(inbound, publisher.seal(65_536 + 2, b"media", extensions=MID_1), 1.0)
    assert inbound.streams[77].highest == 65_538
    deliver(inbound, publisher.seal(65_535, b"late", extensions=MID_1), 1.0)
    assert inbound.streams[77].packets == 2


def test_arrival_of_the_first_packet_is_noted_once() -> None:
    inbound, _ = camera()
    extensions = one_byte_extensions((MID_ID, b"1"), (TRANSPORT_SEQUENCE_ID, b"\x00\x09"))
    deliver(inbound, Publisher(77, 96).seal(5, b"media", extensions=extensions), 1.5)
    assert inbound.arrivals.arrivals == [(9, 1.5)]


@pytest.mark.parametrize("profile", list(Profile), ids=lambda profile: profile.name)
def test_the_first_packet_is_not_lost_with_any_profile(profile: Profile) -> None:
    master = bytes(range(profile.key_bytes + profile.salt_bytes))
    sender, receiver = SendKeys(profile, master), ReceiveKeys(profile, master)
    inbound, _ = camera()
    for index in (5, 6):
        header = Publisher(77, 96).seal(index, b"", extensions=MID_1)[: 12 + len(MID_1)]
        nonce = (sender.salt ^ 77 << 48 ^ index).to_bytes(12, "big")
        deliver(inbound, header + sender.encrypt(nonce, b"media", header), 1.0, receiver)
    stream = inbound.streams[77]
    assert isinstance(stream, Encoding)
    assert (stream.packets, stream.failed, len(stream.missing)) == (2, 0, 0)


# --- who is refused


def test_a_forged_packet_binds_nothing() -> None:
    inbound, _ = camera()
    packet = bytearray(Publisher(77, 96).seal(5, b"media", extensions=MID_1))
    packet[-1] ^= 1
    deliver(inbound, bytes(packet), 1.0)
    assert (inbound.streams, inbound.sources["1"].encodings, inbound.dropped_unknown) == ({}, [], 1)


@pytest.mark.parametrize(
    "extensions",
    [
        b"",
        one_byte_extensions((MID_ID, b"2")),
        one_byte_extensions((MID_ID, b"\xff")),
        b"\xbe\xde\xff\xff\x40\x31\x00\x00",
        b"\xbe\xde\x00\x01\x4f\x31\x00\x00",
        b"\xbe\xde\x00\x01\xf0\x40\x31\x00",
    ],
)
def test_a_packet_that_names_no_section_of_ours_is_dropped(extensions: bytes) -> None:
    inbound, _ = camera()
    deliver(inbound, Publisher(77, 96).seal(5, b"media", extensions=extensions), 1.0)
    assert (inbound.streams, inbound.dropped_unknown) == ({}, 1)


def test_a_payload_type_that_was_not_answered_is_dropped() -> None:
    inbound, _ = camera()
    deliver(inbound, Publisher(77, 102).seal(5, b"media", extensions=MID_1), 1.0)
    deliver(inbound, Publisher(77, 0).seal(5, b"media", extensions=MID_1), 1.0)
    assert (inbound.streams, inbound.dropped_unknown) == ({}, 2)


def test_rtx_before_any_media_is_dropped() -> None:
    inbound, _ = camera()
    deliver(inbound, Publisher(78, RTX_PAYLOAD_TYPE).seal(5, b"\x00\x05media", extensions=MID_1), 1.0)
    assert (inbound.streams, inbound.dropped_unknown) == ({}, 1)


def test_a_flood_of_ssrcs_stops_at_the_cap_and_known_ones_go_on() -> None:
    inbound, _ = camera()
    for ssrc in range(100, 100 + 10 * DEFAULT_LIMITS.streams):
        deliver(inbound, Publisher(ssrc, 96).seal(5, b"media", extensions=MID_1), 1.0)
    assert len(inbound.streams) == DEFAULT_LIMITS.streams
    assert inbound.dropped_limit == 9 * DEFAULT_LIMITS.streams
    deliver(inbound, Publisher(100, 96).seal(6, b"media", extensions=MID_1), 1.0)
    assert inbound.streams[100].highest == 6


# --- layers


def test_layers_are_told_apart_by_rid_and_rtx_follows_by_repaired_rid() -> None:
    inbound, _ = camera()
    for ssrc, rid in ((1, b"q"), (2, b"h")):
        extensions = one_byte_extensions((MID_ID, b"1"), (RID_ID, rid))
        deliver(inbound, Publisher(ssrc, 96).seal(5, b"media", extensions=extensions), 1.0)
    extensions = one_byte_extensions((MID_ID, b"1"), (REPAIRED_RID_ID, b"q"))
    deliver(inbound, Publisher(3, RTX_PAYLOAD_TYPE).seal(5, b"\x00\x04late", extensions=extensions), 1.0)
    first, second, repair = inbound.streams[1], inbound.streams[2], inbound.streams[3]
    assert isinstance(first, Encoding)
    assert isinstance(second, Encoding)
    assert isinstance(repair, RepairStream)
    assert (first.info.rid, second.info.rid) == ("q", "h")
    assert repair.encoding is first


# --- sections


def test_ids_of_extensions_are_kept_from_every_section_whatever_their_order() -> None:
    """An audio section has no orientation and no rid; it may well come last."""
    inbound = Inbound([], lambda _source, _encoding: None)
    inbound.negotiated({MID: 4, RID: 10, ORIENTATION: 13, TRANSPORT_SEQUENCE: 3})
    inbound.negotiated({MID: 4, TRANSPORT_SEQUENCE: 3})
    inbound.add("t_1", section("1", "video"), Chosen(VP8, RTX_PAYLOAD_TYPE))
    extensions = one_byte_extensions((MID_ID, b"1"), (RID_ID, b"q"), (13, b"\x01"))
    deliver(inbound, Publisher(77, 96).seal(5, b"media", extensions=extensions), 1.0)
    stream = inbound.streams[77]
    assert isinstance(stream, Encoding)
    assert stream.info.rid == "q"
    packet = stream.history.get(5)
    assert packet is not None
    assert packet.extension


def test_a_removed_section_forgets_its_streams_and_those_of_its_repair() -> None:
    inbound, _ = camera()
    inbound.add("t_2", section("2", "audio"), Chosen(OPUS, 0))
    deliver(
        inbound, Publisher(1, 96).seal(5, b"media", extensions=one_byte_extensions((MID_ID, b"1"), (RID_ID, b"q"))), 1.0
    )
    repair = one_byte_extensions((MID_ID, b"1"), (REPAIRED_RID_ID, b"q"))
    deliver(inbound, Publisher(2, RTX_PAYLOAD_TYPE).seal(5, b"\x00\x04late", extensions=repair), 1.0)
    deliver(inbound, Publisher(3, 111).seal(5, b"sound", extensions=one_byte_extensions((MID_ID, b"2"))), 1.0)
    inbound.remove("1")
    assert list(inbound.streams) == [3]
    deliver(inbound, Publisher(1, 96).seal(6, b"media", extensions=MID_1), 1.0)
    assert list(inbound.streams) == [3]


@pytest.mark.parametrize("rollovers", [0, 1, 2, 50])
def test_an_ssrc_that_comes_back_after_its_section_was_removed_is_found_at_any_rollover(rollovers: int) -> None:
    """A browser that publishes again on the same transceiver goes on with SSRC, sequence number and rollover."""
    inbound, _ = camera()
    publisher = Publisher(77, 96)
    index = 60_000
    deliver(inbound, publisher.seal(index, b"media", extensions=MID_1), 1.0)
    while index < 60_000 + 65_536 * rollovers:
        index += 16_384
        deliver(inbound, publisher.seal(index, b"media", extensions=MID_1), 1.0)
    replayed = publisher.seal(index + 1, b"media", extensions=MID_1)
    deliver(inbound, replayed, 1.0)
    inbound.remove("1")
    inbound.add("t_2", section("1", "video"), Chosen(VP8, RTX_PAYLOAD_TYPE))
    deliver(inbound, replayed, 1.0)
    assert inbound.streams == {}, "what was taken before is not taken again"
    deliver(inbound, publisher.seal(index + 9_000, b"media", extensions=MID_1), 2.0)
    stream = inbound.streams[77]
    assert isinstance(stream, Encoding)
    assert (stream.highest, stream.packets) == (index + 9_000, 1)


def test_what_is_remembered_of_removed_streams_is_capped() -> None:
    inbound, _ = camera()
    for round_ in range(20):
        for ssrc in range(DEFAULT_LIMITS.streams):
            deliver(inbound, Publisher(1000 * round_ + ssrc, 96).seal(5, b"media", extensions=MID_1), 1.0)
        inbound.remove("1")
        inbound.add("t_2", section("1", "video"), Chosen(VP8, RTX_PAYLOAD_TYPE))
    assert len(inbound._ended) <= MAX_ENDED


# --- RTCP


def read(packets: list[bytes]) -> list[Packet]:
    return [item for packet in packets for item in parse(packet)]


def test_feedback_names_arrivals_missing_packets_and_wanted_key_frames() -> None:
    inbound, _ = camera()
    publisher = Publisher(77, 96)
    for index in (5, 8):
        extensions = one_byte_extensions((MID_ID, b"1"), (TRANSPORT_SEQUENCE_ID, index.to_bytes(2, "big")))
        deliver(inbound, publisher.seal(index, vp8(index), extensions=extensions), 1.0)
    inbound.encodings()[0].want_key_frame()
    feedback = inbound.feedback(1.05)
    assert [packet[0] & 31 for packet in feedback] == [15, 1, 1]
    arrivals, *asked = read(feedback)
    assert isinstance(arrivals, TransportFeedback)
    assert (arrivals.base, arrivals.count, [offset for offset, _ in arrivals.spans]) == (5, 4, [0, 3])
    assert asked == [Nack(77, (6, 7)), KeyFrameRequest(77)]
    assert inbound.feedback(1.06) == []


def test_a_codec_without_nack_in_its_answer_is_not_asked_to_repeat() -> None:
    inbound = Inbound([], lambda _source, _encoding: None)
    described = section("0", "audio")
    inbound.negotiated(described.extensions)
    silent = OPUS.__class__("opus", 111, 48_000, 2, "", ())
    inbound.add("t", described, Chosen(silent, 0))
    for index in (5, 8):
        extensions = one_byte_extensions((MID_ID, b"0"))
        deliver(inbound, Publisher(7, 111).seal(index, b"x", extensions=extensions), 1.0)
    assert inbound.feedback(1.05) == []


def test_a_receiver_report_counts_losses_of_its_interval() -> None:
    inbound, _ = camera()
    publisher = Publisher(77, 96)
    assert inbound.receiver_report(1.0, NTP) is None
    for index in (0, 1, 2, 3):
        deliver(inbound, publisher.seal(index, b"media", extensions=MID_1), 1.0)
    for index in (5, 7):
        deliver(inbound, publisher.seal(index, b"media", extensions=MID_1), 2.0)
    inbound.sender_report(SenderReport(77, NTP, 9, 10, 11), 2.5)
    report = inbound.receiver_report(3.0, NTP)
    assert report is not None
    (reports,) = parse(report)
    assert isinstance(reports, ReceiverReports)
    (block,) = reports.blocks
    assert (block.ssrc, block.lost, block.fraction_lost, block.highest) == (77, 2, 64, 7)
    assert (block.last_sr, block.delay_since_last_sr) == (0x33445566, 32768)
    again = inbound.receiver_report(4.0, NTP)
    assert again is not None
    (reports,) = parse(again)
    assert isinstance(reports, ReceiverReports)
    assert (reports.blocks[0].lost, reports.blocks[0].fraction_lost) == (2, 0)


def test_a_sender_that_answers_a_reference_time_shows_its_round_trip() -> None:
    inbound, _ = camera()
    publisher = Publisher(77, 96)
    deliver(inbound, publisher.seal(0, b"media", extensions=MID_1), 1.0)
    assert inbound.receiver_report(1.0, NTP) is not None
    inbound.since_reference(SinceReference(LOCAL_SSRC, 0x33445566, 65536 // 2), 1.6)
    (encoding,) = inbound.encodings()
    assert encoding.round_trip_s == pytest.approx(0.1)
    inbound.since_reference(SinceReference(LOCAL_SSRC + 1, 0x33445566, 65536 // 2), 1.5)
    assert encoding.round_trip_s == pytest.approx(0.1), "that was for somebody else"
    deliver(inbound, Publisher(78, 96).seal(0, b"media", extensions=MID_1), 2.0)
    assert [stream.round_trip_s for stream in inbound.encodings()] == [encoding.round_trip_s] * 2


def test_a_sender_report_of_a_foreign_ssrc_is_nobodys() -> None:
    inbound, _ = camera()
    deliver(inbound, Publisher(77, 96).seal(5, b"media", extensions=MID_1), 1.0)
    inbound.sender_report(SenderReport(78, 1, 2, 3, 4), 2.0)
    assert inbound.encodings()[0].last_report is None


def test_the_keys_of_another_publisher_open_nothing() -> None:
    inbound, _ = camera()
    foreign = ReceiveKeys(Profile.AEAD_AES_128_GCM, bytes(reversed(PUBLISHER_MASTER)))
    deliver(inbound, Publisher(77, 96).seal(5, b"media", extensions=MID_1), 1.0, foreign)
    assert inbound.streams == {}


def requests(inbound: Inbound, now: float) -> list[Packet]:
    return [packet for compound in inbound.feedback(now) for packet in parse(compound)]


def test_a_packet_that_is_given_up_costs_a_key_frame_also_when_nobody_watches() -> None:
    inbound, _ = camera()
    publisher = Publisher(77, 96)
    deliver(inbound, publisher.seal(5, vp8(0, key=True), extensions=MID_1), 1.0)
    deliver(inbound, publisher.seal(7, vp8(2), extensions=MID_1), 1.03)
    asked = [packet for now in (1.05, 1.2, 1.5) for packet in requests(inbound, now)]
    assert asked == [Nack(77, (6,))] * 3
    assert requests(inbound, 1.04 + LIVE_VIDEO_S) == [KeyFrameRequest(77)]
    assert requests(inbound, 3.0) == [KeyFrameRequest(77)], "until it comes"


class Tap(QuietTap):
    def packet(self, arrival_s: float, index: int, timestamp: int, marker: bool, payload: bytes) -> None: ...

    def sender_report(self, arrival_s: float, ntp_timestamp: int, rtp_timestamp: int) -> None: ...

    def end(self, now_s: float) -> None: ...


def test_a_recorded_packet_is_asked_for_while_its_sender_may_have_it_though_viewers_got_a_key_frame() -> None:
    inbound, _ = camera()
    publisher = Publisher(77, 96)
    deliver(inbound, publisher.seal(5, vp8(0, key=True), extensions=MID_1), 1.0)
    (encoding,) = inbound.encodings()
    encoding.record(Tap(), 1.0)
    encoding.requests.arrived()
    deliver(inbound, publisher.seal(7, vp8(2), extensions=MID_1), 1.03)
    found: list[Packet] = []
    for step in range(300):
        now = 1.03 + step / 100
        found += (asked := requests(inbound, now))
        if asked and isinstance(asked[-1], KeyFrameRequest):
            assert now - 1.03 >= LIVE_VIDEO_S
            encoding.requests.arrived()
        if Nack(77, (6,)) in asked:
            last_nack = now
    assert found.count(KeyFrameRequest(77)) == 2, "one when viewers have waited long enough, one when it is given up"
    assert RECORDED_S - 0.3 < last_nack - 1.03 <= RECORDED_S
    assert encoding.missing.lost == 1


def test_sound_is_asked_for_as_long_as_somebody_can_play_it_and_longer_for_a_recording() -> None:
    for recorded, patience_s in ((False, LIVE_AUDIO_S), (True, RECORDED_S)):
        inbound = Inbound([], lambda _source, _encoding: None)
        described = section("0", "audio")
        inbound.negotiated(described.extensions)
        inbound.add("t", described, Chosen(OPUS, 0))
        for index in (5, 7):
            extensions = one_byte_extensions((MID_ID, b"0"))
            deliver(inbound, Publisher(7, 111).seal(index, b"x", extensions=extensions), 1.0)
            if recorded and index == 5:
                inbound.encodings()[0].record(Tap(), 1.0)
        asked = [step / 100 for step in range(400) if Nack(7, (6,)) in requests(inbound, 1.0 + step / 100)]
        assert patience_s - 0.3 < asked[-1] <= patience_s


def test_between_ticks_only_what_is_missing_is_asked_for() -> None:
    inbound, _ = camera()
    publisher = Publisher(77, 96)
    deliver(inbound, publisher.seal(5, vp8(0, key=True), extensions=MID_1), 1.0)
    assert not inbound.misses()
    assert inbound.repair(1.01) == []
    deliver(inbound, publisher.seal(8, vp8(3), extensions=MID_1), 1.02)
    assert inbound.misses()
    assert read(inbound.repair(1.03)) == [Nack(77, (6, 7))]
    for index in (6, 7):
        deliver(inbound, publisher.seal(index, vp8(index - 5), extensions=MID_1), 1.04)
    assert not inbound.misses()


def test_a_report_that_was_held_up_does_not_move_its_stream_against_the_other() -> None:
    inbound, _ = camera()
    publisher = Publisher(77, 96)
    deliver(inbound, publisher.seal(5, b"media", extensions=MID_1), 1.0)
    encoding = inbound.streams[77]
    assert isinstance(encoding, Encoding)
    inbound.sender_report(SenderReport(77, 100 << 32, 0, 1, 1), 10.0)
    inbound.sender_report(SenderReport(77, 105 << 32, 450_000, 1, 1), 15.4)
    assert encoding.last_report_sent == pytest.approx(15.0)
