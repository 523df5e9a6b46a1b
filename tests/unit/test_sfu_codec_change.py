"""A sender that goes on with another codec of the answer, on the same SSRC: another track, at most once a second."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.encoding import Encoding
from sfu.inbound import CHANGE_S, Inbound, Source
from sfu.negotiation import Chosen, choose
from sfu.sdp import parse
from sfu.streams import RepairStream
from tests.support.sfu_media import H264, MID_ID, RTX_PAYLOAD_TYPE, VP8, deliver, one_byte_extensions, section
from tests.support.sfu_media import Publisher as Sender

MID_1 = one_byte_extensions((MID_ID, b"1"))
H264_RTX = 103
SSRC, RTX_SSRC = 77, 78
CHROMIUM = (Path(__file__).parents[1] / "vectors" / "chromium_publish.sdp").read_bytes().decode()


class Receiver:
    """The receiving half of a transport, with a section answered with VP8 and, as another codec, H264."""

    def __init__(self, wanted: bool = True) -> None:
        self.heard: list[Encoding] = []
        self.changes: list[str] = []
        self._wanted = wanted
        self.inbound = Inbound([], lambda _source, encoding: self.heard.append(encoding), on_change=self._change)
        described = section("1", "video", ssrcs=(SSRC, RTX_SSRC), repair_of={RTX_SSRC: SSRC})
        self.inbound.negotiated(described.extensions)
        self.inbound.add("t_1", described, Chosen(VP8, RTX_PAYLOAD_TYPE, others=(Chosen(H264, H264_RTX),)))
        self.sender = Sender(SSRC, VP8.payload_type)
        self.repairs = Sender(RTX_SSRC, RTX_PAYLOAD_TYPE)

    def _change(self, source: Source, chosen: Chosen) -> None:
        self.changes.append(chosen.codec.name)
        if self._wanted:
            self.inbound.succeed(source, f"t_{1 + len(self.changes)}", chosen)

    def came(self, index: int, payload_type: int, now: float) -> None:
        deliver(self.inbound, self.sender.seal(index, b"media", payload_type=payload_type), now)

    @property
    def source(self) -> Source:
        return self.inbound.sources["1"]


def test_the_stream_ends_and_begins_anew_with_the_next_packet() -> None:
    receiver = Receiver()
    for index, payload_type in ((5, 96), (6, 96), (7, 102), (8, 102)):
        receiver.came(index, payload_type, 1.0)
    assert receiver.changes == ["h264"]
    first, second = receiver.heard
    assert (first.info.codec, first.packets, first.highest) == ("vp8", 2, 6)
    assert (second.info.codec, second.packets, second.first_index) == ("h264", 2, 7)
    assert (first.wrong_type, second.wrong_type) == (0, 0)
    assert receiver.inbound.streams == {SSRC: second}
    assert (receiver.source.track_id, receiver.source.encodings) == ("t_2", [second])
    assert receiver.inbound.counters()["packets_received"] == 4


def test_rollovers_go_on() -> None:
    receiver = Receiver()
    for index, payload_type in ((65_535, 96), (65_536, 102), (65_537, 102)):
        receiver.came(index, payload_type, 1.0)
    assert receiver.heard[1].first_index == 65_536
    assert receiver.inbound.streams[SSRC].highest == 65_537


def test_it_can_change_back_and_each_change_waits_a_second() -> None:
    receiver = Receiver()
    receiver.came(0, 96, 1.0)
    receiver.came(1, 102, 1.1)
    receiver.came(2, 96, 1.1 + 0.9 * CHANGE_S)
    assert receiver.changes == ["h264"]
    assert receiver.heard[1].wrong_type == 1
    receiver.came(3, 96, 1.1 + CHANGE_S)
    assert receiver.changes == ["h264", "vp8"]
    assert receiver.source.chosen.codec == VP8
    assert [other.codec for other in receiver.source.chosen.others] == [H264]


@given(st.lists(st.tuples(st.sampled_from((96, 97, 102, 103, 111)), st.integers(-3, 3)), max_size=60))
def test_whatever_comes_no_second_has_two_changes(packets: list[tuple[int, int]]) -> None:
    receiver = Receiver()
    index = 10
    for number, (payload_type, step) in enumerate(packets):
        index = max(0, index + step)
        receiver.came(index, payload_type, number / 20)
    assert len(receiver.changes) <= 1 + len(packets) / 20 / CHANGE_S
    assert sum(encoding.packets for encoding in receiver.heard) <= len(packets)


def test_what_was_sent_before_and_comes_late_changes_nothing_back() -> None:
    receiver = Receiver()
    for index, payload_type in ((5, 96), (8, 102)):
        receiver.came(index, payload_type, 1.0)
    for index in (6, 7):
        receiver.came(index, 96, 1.0 + 2 * CHANGE_S)
    assert receiver.changes == ["h264"]
    assert receiver.heard[1].packets == 1
    assert receiver.heard[1].wrong_type == 2


def test_what_was_taken_before_the_change_is_not_taken_again() -> None:
    receiver = Receiver()
    receiver.came(4, 102, 1.0)
    replayed = receiver.sender.seal(4, b"media", payload_type=102)
    receiver.came(5, 96, 1.0 + CHANGE_S)
    receiver.came(6, 102, 1.0 + 2 * CHANGE_S)
    deliver(receiver.inbound, replayed, 1.0 + 2 * CHANGE_S)
    present = receiver.heard[-1]
    assert (present.packets, present.replayed) == (1, 1)


def test_a_forged_packet_changes_nothing() -> None:
    receiver = Receiver()
    receiver.came(5, 96, 1.0)
    forged = bytearray(receiver.sender.seal(6, b"media", payload_type=102))
    forged[-1] ^= 1
    deliver(receiver.inbound, bytes(forged), 2.0)
    assert receiver.changes == []


def test_a_payload_type_that_was_not_answered_is_not_taken() -> None:
    receiver = Receiver()
    for index, payload_type in ((5, 96), (6, 98), (7, RTX_PAYLOAD_TYPE), (8, H264_RTX)):
        receiver.came(index, payload_type, 1.0)
    assert receiver.changes == []
    assert receiver.heard[0].wrong_type == 3


def test_where_nobody_wants_the_change_it_is_dropped() -> None:
    receiver = Receiver(wanted=False)
    receiver.came(5, 96, 1.0)
    receiver.came(6, 102, 1.0)
    assert receiver.heard[0].wrong_type == 1
    assert receiver.source.track_id == "t_1"


def test_a_stream_may_begin_with_the_other_codec() -> None:
    receiver = Receiver()
    receiver.came(5, 102, 1.0)
    assert receiver.changes == ["h264"]
    assert [(encoding.info.codec, encoding.packets) for encoding in receiver.heard] == [("h264", 1)]


def test_repairs_of_the_codec_before_end_and_those_of_the_new_one_are_taken() -> None:
    receiver = Receiver()
    receiver.came(5, 96, 1.0)
    deliver(receiver.inbound, receiver.repairs.seal(1, b"\0\4late"), 1.0)
    assert receiver.heard[0].packets == 2
    receiver.came(6, 102, 1.0)
    receiver.came(8, 102, 1.0)
    deliver(receiver.inbound, receiver.repairs.seal(2, b"\0\7late", payload_type=H264_RTX), 1.1)
    repair = receiver.inbound.streams[RTX_SSRC]
    assert isinstance(repair, RepairStream)
    assert repair.encoding is receiver.heard[1]
    assert receiver.heard[1].packets == 3


def test_chromium_is_answered_with_all_that_it_may_change_to() -> None:
    video = next(described for described in parse(CHROMIUM).sections if described.kind == "video")
    chosen = choose(video, ("VP8", "VP9", "H264", "AV1"))
    assert chosen is not None
    assert [c.codec.name for c in (chosen, *chosen.others)] == ["vp8", "vp9", "h264", "av1"]
    assert all(c.rtx_payload_type and not c.others for c in chosen.others)
    changed = chosen.other(chosen.others[1].codec.payload_type)
    assert changed is not None
    assert [c.codec.name for c in (changed, *changed.others)] == ["h264", "vp8", "vp9", "av1"]
    assert changed.other(changed.codec.payload_type) is None


@pytest.mark.parametrize("codecs", [("VP9",), ("H265", "VP9")])
def test_where_one_codec_is_taken_there_is_no_other(codecs: tuple[str, ...]) -> None:
    video = next(described for described in parse(CHROMIUM).sections if described.kind == "video")
    chosen = choose(video, codecs)
    assert chosen is not None
    assert (chosen.codec.name, chosen.others) == ("vp9", ())
