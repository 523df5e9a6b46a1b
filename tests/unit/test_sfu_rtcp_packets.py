"""RTCP: what is written is read again, and nothing that comes from outside raises or grows without a limit."""

import random
import struct

import pytest
from aiortc import rtp as aiortc_rtp
from hypothesis import given
from hypothesis import strategies as st

from sfu.rtcp import (
    MAX_NACKED,
    MAX_REMB_BPS,
    MAX_SINCE_REFERENCE,
    KeyFrameRequest,
    Nack,
    Packet,
    ReceiverReports,
    Remb,
    Report,
    SenderReport,
    SinceReference,
    nack,
    ntp_from_unix,
    parse,
    pli,
    receiver_report,
    reference_time,
    sender_report,
    since_reference,
)
from tests.support.properties import any_input

word = st.integers(0, 0xFFFFFFFF)
answers = st.builds(SinceReference, word, word, word)
reports = st.builds(Report, word, st.integers(0, 255), st.integers(-0x800000, 0x7FFFFF), word, word, word, word)


def read(data: bytes) -> list[Packet]:
    return list(parse(data))


@given(word, st.integers(0, 2**64 - 1), word, word, word)
def test_a_sender_report_is_read_as_it_was_written(ssrc: int, ntp: int, rtp: int, packets: int, octets: int) -> None:
    assert read(sender_report(ssrc, ntp, rtp, packets, octets)) == [SenderReport(ssrc, ntp, rtp, packets, octets)]


def test_counters_and_timestamps_of_a_sender_report_wrap() -> None:
    assert read(sender_report(1, 2, 2**32 + 3, 2**32 + 4, 2**32 + 5)) == [SenderReport(1, 2, 3, 4, 5)]
    assert read(sender_report(1, 2, -1, 0, 0)) == [SenderReport(1, 2, 0xFFFFFFFF, 0, 0)]


@given(word, st.lists(reports, min_size=1, max_size=31))
def test_a_receiver_report_is_read_as_it_was_written(ssrc: int, blocks: list[Report]) -> None:
    assert read(receiver_report(ssrc, blocks)) == [ReceiverReports(tuple(blocks))]


def test_losses_beyond_24_bits_are_clamped() -> None:
    def written(lost: int) -> int:
        (packet,) = read(receiver_report(1, [Report(2, 0, lost, 0, 0, 0, 0)]))
        assert isinstance(packet, ReceiverReports)
        return packet.blocks[0].lost

    assert written(10_000_000) == 0x7FFFFF
    assert written(-10_000_000) == -0x800000


def test_aiortc_reads_our_reports() -> None:
    data = sender_report(7, 8 << 32, 9, 10, 11) + receiver_report(1, [Report(2, 3, 4, 5, 6, 7, 8)])
    sent, received = aiortc_rtp.RtcpPacket.parse(data)
    assert isinstance(sent, aiortc_rtp.RtcpSrPacket)
    assert isinstance(received, aiortc_rtp.RtcpRrPacket)
    assert (sent.ssrc, sent.sender_info.ntp_timestamp, sent.sender_info.packet_count) == (7, 8 << 32, 10)
    (block,) = received.reports
    assert (block.ssrc, block.fraction_lost, block.packets_lost, block.highest_sequence) == (2, 3, 4, 5)
    assert (block.jitter, block.lsr, block.dlsr) == (6, 7, 8)


@given(word, st.lists(answers, max_size=MAX_SINCE_REFERENCE))
def test_answers_to_reference_times_are_read_as_they_were_written(ssrc: int, given_: list[SinceReference]) -> None:
    assert read(since_reference(ssrc, given_)) == given_


def test_a_reference_time_has_the_layout_of_rfc_3611() -> None:
    words = struct.unpack("!BBHIBBHII", reference_time(7, 0x1122334455667788))
    assert words == (0x80, 207, 4, 7, 4, 0, 2, 0x11223344, 0x55667788)
    assert read(reference_time(7, 1) + pli(1, 9)) == [KeyFrameRequest(9)], "nobody here answers them"


def test_answers_are_found_behind_other_blocks_and_up_to_the_first_that_lies() -> None:
    answer = SinceReference(1, 2, 3)
    block = since_reference(7, [answer])[8:]
    other = bytes((9, 0, 0, 1)) + bytes(4)
    cut = bytes((5, 0, 0, 200)) + bytes(12)

    def extended(*blocks: bytes) -> list[Packet]:
        body = b"".join(blocks)
        return read(struct.pack("!BBHI", 0x80, 207, 1 + len(body) // 4, 7) + body + pli(1, 9))

    assert extended(other, block, block) == [answer, answer, KeyFrameRequest(9)]
    assert extended(block, cut, block) == [answer, KeyFrameRequest(9)]
    assert extended(bytes((5, 0, 0, 2)) + bytes(8), block) == [answer, KeyFrameRequest(9)], "half an answer"
    assert extended() == [KeyFrameRequest(9)]
    assert extended(*[block] * 100) == [answer] * MAX_SINCE_REFERENCE + [KeyFrameRequest(9)]


@given(word, st.sets(st.integers(0, 0xFFFF), min_size=1, max_size=60), st.integers(0, 0xFFFF))
def test_a_nack_asks_for_exactly_the_numbers_that_were_given(ssrc: int, numbers: set[int], start: int) -> None:
    ascending = sorted(numbers, key=lambda number: (number - start) & 0xFFFF)
    (packet,) = read(nack(1, ssrc, ascending))
    assert isinstance(packet, Nack)
    assert packet.ssrc == ssrc
    assert list(packet.sequence_numbers) == ascending


@given(st.lists(st.integers(-30, 30), min_size=1, max_size=20))
def test_numbers_in_any_order_are_all_asked_for(steps: list[int]) -> None:
    numbers = [65530 + step & 0xFFFF for step in steps]
    (packet,) = read(nack(1, 2, numbers))
    assert isinstance(packet, Nack)
    assert set(packet.sequence_numbers) == set(numbers)


def test_seventeen_neighbours_need_one_entry_over_the_wrap() -> None:
    packet = nack(1, 2, [n & 0xFFFF for n in range(65530, 65547)])
    assert len(packet) == 16
    assert packet[12:] == struct.pack("!HH", 65530, 0xFFFF)


def test_aiortc_reads_our_nack_and_pli() -> None:
    asked, wanted = aiortc_rtp.RtcpPacket.parse(nack(1, 2, [5, 6, 30]) + pli(1, 9))
    assert isinstance(asked, aiortc_rtp.RtcpRtpfbPacket)
    assert (asked.fmt, asked.ssrc, asked.media_ssrc, asked.lost) == (1, 1, 2, [5, 6, 30])
    assert isinstance(wanted, aiortc_rtp.RtcpPsfbPacket)
    assert (wanted.fmt, wanted.media_ssrc) == (1, 9)


def test_a_pli_names_one_source_and_a_fir_each_of_its_entries() -> None:
    assert read(pli(1, 9)) == [KeyFrameRequest(9)]
    fir = struct.pack("!BBHIIIIII", 0x84, 206, 6, 1, 0, 7, 1 << 24, 8, 2 << 24)
    assert read(fir) == [KeyFrameRequest(7, 1), KeyFrameRequest(8, 2)]


def test_a_compound_packet_is_read_to_its_end_and_what_is_unknown_is_skipped() -> None:
    description = bytes([0x81, 202, 0, 2]) + b"\x00\x00\x00\x01\x01\x00\x00\x00"
    application = bytes([0x8F, 206, 0, 5]) + b"\x00\x00\x00\x01" + bytes(4) + b"what" + b"\x01\xff\xff\xff" + bytes(4)
    bye = bytes([0x81, 203, 0, 1]) + b"\x00\x00\x00\x07"
    extended = bytes([0x80, 207, 0, 1]) + bytes(4)
    data = sender_report(1, 2, 3, 4, 5) + description + application + bye + extended + pli(1, 9)
    assert read(data) == [SenderReport(1, 2, 3, 4, 5), KeyFrameRequest(9)]


def remb(count: int, exponent: int, mantissa: int, ssrcs: list[int]) -> bytes:
    word = count << 24 | exponent << 18 | mantissa
    return struct.pack(f"!BBHII4sI{len(ssrcs)}I", 0x8F, 206, 4 + len(ssrcs), 1, 0, b"REMB", word, *ssrcs)


@given(st.integers(0, 63), st.integers(0, 0x3FFFF), st.lists(word, max_size=20))
def test_a_remb_is_read_and_its_rate_is_clamped(exponent: int, mantissa: int, ssrcs: list[int]) -> None:
    rate = min(mantissa << exponent, MAX_REMB_BPS)
    assert read(remb(len(ssrcs), exponent, mantissa, ssrcs)) == [Remb(rate, tuple(ssrcs))]


def test_aiortc_writes_the_remb_that_we_read() -> None:
    body = aiortc_rtp.pack_remb_fci(1_234_567, [7, 8])
    written = aiortc_rtp.RtcpPsfbPacket(fmt=15, ssrc=1, media_ssrc=0, fci=body)
    (packet,) = read(bytes(written))
    assert isinstance(packet, Remb)
    assert 0 <= 1_234_567 - packet.bps < 8
    assert packet.ssrcs == (7, 8)


def test_a_remb_that_promises_more_sources_than_it_has_gives_those_it_has() -> None:
    assert read(remb(200, 3, 1000, [7, 8])) == [Remb(8000, (7, 8))]
    assert read(remb(1, 3, 1000, [7, 8])) == [Remb(8000, (7,))]


def test_a_nack_is_cut_at_its_limit() -> None:
    data = struct.pack("!BBHII", 0x81, 205, 2 + 300, 1, 2) + b"".join(
        struct.pack("!HH", n * 17 & 0xFFFF, 0xFFFF) for n in range(300)
    )
    (packet,) = read(data)
    assert isinstance(packet, Nack)
    assert packet.sequence_numbers == tuple(n & 0xFFFF for n in range(MAX_NACKED))


def test_a_report_that_promises_more_blocks_than_it_has_gives_those_it_has() -> None:
    data = bytearray(receiver_report(1, [Report(2, 3, 4, 5, 6, 7, 8)] * 2))
    data[0] = 0x80 | 31
    assert read(bytes(data)) == [ReceiverReports((Report(2, 3, 4, 5, 6, 7, 8),) * 2)]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80",
        b"\x80\xc9",
        b"\x80\xc9\x00",
        b"\x80\xc9\x00\x00",
        b"\x9f\xc9\x00\x00",
        b"\x80\xc8\x00\x00" * 300,
        b"\x81\xcd\x00\x00",
        b"\x81\xce\x00\x01\x00\x00\x00\x01",
        b"\x80\xca\xff\xff" + b"\x00" * 1400,
        b"\x40\xc9\x00\x01\x00\x00\x00\x01",
    ],
)
def test_what_is_too_short_or_lies_about_its_length_gives_nothing(data: bytes) -> None:
    assert read(data) == [] or read(data) == [ReceiverReports(())]


def _compounds() -> list[bytes]:
    report = Report(2, 3, 4, 5, 6, 7, 8)
    sender = bytearray(sender_report(1, 2, 3, 4, 5) + receiver_report(1, [report] * 31)[8:])
    sender[0], sender[2:4] = 0x80 | 31, struct.pack("!H", len(sender) // 4 - 1)
    parts = [bytes(sender), nack(1, 2, list(range(0, 4000, 20))), pli(1, 9), receiver_report(1, [report] * 31)]
    parts.append(since_reference(1, [SinceReference(2, 3, 4)] * 31))
    return [b"".join(parts[n:] + parts[:n])[:1600] for n in range(len(parts))]


def test_no_length_of_a_truncated_compound_raises() -> None:
    for compound in _compounds():
        assert len(compound) > 1490
        for size in range(len(compound) + 1):
            read(compound[:size])


def test_no_length_of_noise_raises() -> None:
    noise = random.Random(1)
    for size in range(1601):
        data = bytearray(noise.randbytes(size))
        read(bytes(data))
        if size >= 4:
            data[0], data[1] = 0x80 | noise.randrange(32), noise.randrange(200, 208)
            data[2:4] = struct.pack("!H", noise.choice((0, 1, size // 4 - 1, size // 4, 0xFFFF)))
            read(bytes(data))


@any_input
@given(st.binary(max_size=200), st.sampled_from([200, 201, 205, 206]), st.integers(0, 31))
def test_no_body_of_a_known_kind_raises(body: bytes, kind: int, count: int) -> None:
    body += bytes(-len(body) % 4)
    packets = read(struct.pack("!BBH", 0x80 | count, kind, len(body) // 4) + body)
    assert len(packets) <= len(body) // 8 + 1


def test_ntp_time_has_32_bits_of_fraction() -> None:
    assert ntp_from_unix(0.5) == 2_208_988_800 << 32 | 1 << 31
