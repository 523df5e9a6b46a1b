"""Frames are whole, decodable from the first on, and every packet is in one or counted."""

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.frames import MAX_FRAME_PACKETS, FrameAssembler, MediaFrame
from recorder.journal import JournalPacket
from recorder.reorder import Missing, Ordered, OrderedPacket
from tests.support.journals import FRAME_TICKS, audio_packets, video_packets
from tests.support.payloads import PAYLOADS, encode
from tests.support.properties import any_input

CODECS = list(PAYLOADS)
FRAMES = {codec: encode(codec, 40, key_every=10) for codec in CODECS}
SENT = {codec: video_packets(FRAMES[codec], PAYLOADS[codec], first_timestamp=0) for codec in CODECS}


def ordered(packets: list[JournalPacket]) -> list[Ordered]:
    """With a `Missing` for every hole in the sequence numbers."""
    out: list[Ordered] = []
    expected = packets[0].sequence
    for packet in packets:
        if packet.sequence > expected:
            out.append(Missing(packet.sequence - expected))
        out.append(OrderedPacket(packet, True))
        expected = packet.sequence + 1
    return out


def assemble(codec: str, items: list[Ordered], fmtp: str = "") -> tuple[list[MediaFrame], FrameAssembler]:
    assembler = FrameAssembler(codec, fmtp)
    frames = [frame for item in items for frame in assembler.push(item)]
    return frames + assembler.flush(), assembler


def numbers(frames: list[MediaFrame]) -> list[int]:
    return [frame.timestamp // FRAME_TICKS for frame in frames]


def counted(assembler: FrameAssembler) -> int:
    return assembler.incomplete + assembler.cut_short + assembler.awaiting_key + assembler.malformed + assembler.empty


@pytest.mark.parametrize("codec", CODECS)
def test_every_frame_comes_out(codec: str) -> None:
    frames, assembler = assemble(codec, ordered(SENT[codec]))
    assert numbers(frames) == list(range(40))
    assert [frame.key for frame in frames] == [number % 10 == 0 for number in range(40)]
    assert {frame.size for frame in frames if frame.key} == {(320, 240)}
    assert sum(frame.packets for frame in frames) == len(SENT[codec])
    assert counted(assembler) == 0
    assert not any(frame.missing for frame in frames)


@pytest.mark.parametrize("codec", CODECS)
def test_a_lost_packet_costs_everything_to_the_next_key_frame(codec: str) -> None:
    of_frame = [packet for packet in SENT[codec] if packet.timestamp == 14 * FRAME_TICKS]
    for lost in (of_frame[0], of_frame[-1], of_frame[len(of_frame) // 2]):
        kept = [packet for packet in SENT[codec] if packet is not lost]
        frames, assembler = assemble(codec, ordered(kept))
        assert numbers(frames) == [*range(14), *range(20, 40)]
        assert [frame.timestamp // FRAME_TICKS for frame in frames if frame.missing] == [20]
        assert sum(frame.packets for frame in frames) + counted(assembler) == len(kept)


@pytest.mark.parametrize("codec", CODECS)
def test_a_lost_frame_costs_everything_to_the_next_key_frame(codec: str) -> None:
    kept = [packet for packet in SENT[codec] if packet.timestamp != 14 * FRAME_TICKS]
    frames, _ = assemble(codec, ordered(kept))
    assert numbers(frames) == [*range(14), *range(20, 40)]


@pytest.mark.parametrize("codec", CODECS)
def test_a_loss_just_before_a_key_frame_costs_only_what_was_lost(codec: str) -> None:
    kept = [packet for packet in SENT[codec] if packet.timestamp != 19 * FRAME_TICKS]
    frames, _ = assemble(codec, ordered(kept))
    assert numbers(frames) == [*range(19), *range(20, 40)]


@pytest.mark.parametrize("codec", ["vp8", "vp9"])
def test_lost_padding_costs_nothing_where_picture_ids_tell(codec: str) -> None:
    """Sequence numbers are missing between two frames, but no picture is."""
    items = ordered(SENT[codec])
    place = next(at for at, item in enumerate(items) if isinstance(item, OrderedPacket) and item.packet.marker) + 1
    frames, assembler = assemble(codec, [*items[:place], Missing(3), *items[place:]])
    assert numbers(frames) == list(range(40))
    assert not any(frame.missing for frame in frames)
    assert counted(assembler) == 0


@pytest.mark.parametrize("codec", CODECS)
def test_frames_without_a_marker_end_with_the_next_timestamp(codec: str) -> None:
    frames, _ = assemble(codec, ordered([packet._replace(marker=False) for packet in SENT[codec]]))
    assert numbers(frames) == list(range(39)), "whether the last one is whole nobody knows"


@pytest.mark.parametrize("codec", CODECS)
def test_what_a_sender_gave_up_for_a_key_frame_is_not_taken_for_a_frame(codec: str) -> None:
    """As Chromium sends under load: a frame's end and the next frame were thrown away unsent, unnumbered."""
    cut = [packet for packet in SENT[codec] if packet.timestamp == 18 * FRAME_TICKS]
    unsent = [*cut[1:], *(packet for packet in SENT[codec] if packet.timestamp == 19 * FRAME_TICKS)]
    kept = [packet for packet in SENT[codec] if packet not in unsent]
    frames, assembler = assemble(codec, ordered([p._replace(sequence=n) for n, p in enumerate(kept)]))
    assert numbers(frames) == [*range(18), *range(20, 40)]
    assert {frame.timestamp // FRAME_TICKS: frame.missing for frame in frames if frame.missing} == {20: "unsent"}
    assert (assembler.cut_short, counted(assembler)) == (1, 1)


@pytest.mark.parametrize("codec", ["vp8", "vp9"])
def test_whole_frames_that_a_sender_gave_up_are_told_by_picture_ids(codec: str) -> None:
    kept = [packet for packet in SENT[codec] if packet.timestamp != 19 * FRAME_TICKS]
    frames, assembler = assemble(codec, ordered([p._replace(sequence=n) for n, p in enumerate(kept)]))
    assert numbers(frames) == [*range(19), *range(20, 40)]
    assert [frame.timestamp // FRAME_TICKS for frame in frames if frame.missing == "unsent"] == [20]
    assert counted(assembler) == 0


@pytest.mark.parametrize("codec", CODECS)
def test_a_frame_that_was_cut_short_is_not_referred_to(codec: str) -> None:
    cut = [packet for packet in SENT[codec] if packet.timestamp == 14 * FRAME_TICKS][-1]
    kept = [packet for packet in SENT[codec] if packet is not cut]
    frames, assembler = assemble(codec, ordered([p._replace(sequence=n) for n, p in enumerate(kept)]))
    assert numbers(frames) == [*range(14), *range(20, 40)]
    assert assembler.cut_short > 0
    assert sum(frame.packets for frame in frames) + counted(assembler) == len(kept)


@pytest.mark.parametrize("codec", CODECS)
def test_what_comes_before_the_first_key_frame_is_left_out(codec: str) -> None:
    kept = [packet for packet in SENT[codec] if packet.timestamp >= 3 * FRAME_TICKS]
    frames, assembler = assemble(codec, ordered(kept[1:]))
    assert numbers(frames) == list(range(10, 40))
    assert assembler.incomplete + assembler.awaiting_key == sum(p.timestamp < 10 * FRAME_TICKS for p in kept[1:])


def test_a_frame_that_never_ends_is_bounded() -> None:
    endless = [JournalPacket(0, n, 0, False, SENT["vp8"][0].payload) for n in range(MAX_FRAME_PACKETS + 500)]
    frames, assembler = assemble("vp8", ordered(endless))
    assert frames == []
    assert counted(assembler) == len(endless)


def test_the_size_may_change_with_a_key_frame() -> None:
    small = encode("vp8", 5, width=160, height=120)
    frames, _ = assemble("vp8", ordered(video_packets([*FRAMES["vp8"][:5], *small], PAYLOADS["vp8"])))
    assert [frame.size for frame in frames if frame.key] == [(320, 240), (160, 120)]


@pytest.mark.parametrize("codec", ["vp8", "vp9"])
def test_a_picture_whose_beginning_is_lost_is_incomplete_and_not_malformed(codec: str) -> None:
    """By its picture id nothing is missing in front of it."""
    of_frame = [packet for packet in SENT[codec] if packet.timestamp == 14 * FRAME_TICKS]
    assert len(of_frame) > 1
    _, assembler = assemble(codec, ordered([packet for packet in SENT[codec] if packet is not of_frame[0]]))
    assert (assembler.incomplete, assembler.malformed) == (len(of_frame) - 1, 0)


def test_h264_without_parameter_sets_anywhere_makes_no_frame() -> None:
    """A file could not say how to decode it."""
    bare = [packet for packet in SENT["h264"] if packet.payload[0] & 31 != 24]
    packets = [packet._replace(sequence=number) for number, packet in enumerate(bare)]
    frames, assembler = assemble("h264", ordered(packets))
    assert frames == []
    assert assembler.awaiting_key > 0
    assert counted(assembler) == len(packets)


def test_audio_packets_are_frames_and_losses_are_marked() -> None:
    voice = audio_packets([bytes((0xFC, number)) for number in range(10)])
    frames, _ = assemble("opus", ordered(voice[:4] + voice[6:]))
    assert [frame.data[1] for frame in frames] == [0, 1, 2, 3, 6, 7, 8, 9]
    assert [frame.missing for frame in frames[1:]] == [""] * 3 + ["lost"] + [""] * 3
    assert {frame.duration_ticks for frame in frames} == {960}


def test_a_malformed_audio_packet_counts_as_lost() -> None:
    voice = audio_packets([b"\xfc", b"\xfb", b"\xfc"])
    frames, assembler = assemble("opus", ordered(voice))
    assert [frame.missing for frame in frames[1:]] == ["lost"]
    assert assembler.malformed == 1


@pytest.mark.parametrize("codec", CODECS)
@given(lost=st.sets(st.integers(0, 400), max_size=40))
def test_whatever_is_lost_every_other_packet_is_in_a_frame_or_counted(codec: str, lost: set[int]) -> None:
    kept = [packet for number, packet in enumerate(SENT[codec]) if number not in lost]
    frames, assembler = assemble(codec, ordered(kept))
    assert sum(frame.packets for frame in frames) + counted(assembler) == len(kept)
    for before, after in pairwise(numbers(frames)):
        assert after == before + 1 or after % 10 == 0, "a gap ends with a key frame"


@pytest.mark.parametrize("codec", [*CODECS, "opus"])
def test_any_packets_are_in_a_frame_or_counted(codec: str) -> None:
    chance = random.Random(3)
    items: list[Ordered] = []
    for number in range(3_000):
        if chance.random() < 0.05:
            items.append(Missing(2))
        payload = chance.randbytes(chance.choice((0, 1, 5, 60)))
        packet = JournalPacket(0, number, chance.randrange(4) * 3_000, chance.random() < 0.3, payload)
        items.append(OrderedPacket(packet, chance.random() < 0.9))
    frames, assembler = assemble(codec, items)
    assert sum(frame.packets for frame in frames) + counted(assembler) == 3_000


PARTS = st.one_of(
    st.binary(max_size=40), st.sampled_from([packet.payload for codec in CODECS for packet in SENT[codec][:9]])
)
"""Of strangers, and of all codecs' key frames."""


@any_input
@given(
    codec=st.sampled_from([*CODECS, "opus"]),
    packets=st.lists(st.tuples(PARTS, st.integers(0, 3), st.booleans(), st.integers(0, 1)), max_size=5),
)
def test_any_payloads_are_in_a_frame_or_counted(codec: str, packets: list[tuple[bytes, int, bool, int]]) -> None:
    items: list[Ordered] = []
    for number, (payload, frame, marker, missing) in enumerate(packets):
        items += [Missing(1)] * missing
        items.append(OrderedPacket(JournalPacket(0, number, frame * FRAME_TICKS, marker, payload), True))
    frames, assembler = assemble(codec, items)
    assert sum(frame.packets for frame in frames) + counted(assembler) == len(packets)
