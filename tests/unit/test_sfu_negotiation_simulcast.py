"""Which simulcast encodings are taken, and how the answer says so (RFC 8853, RFC 8851)."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfu.descriptions import Local, write_answer
from sfu.inbound import Inbound
from sfu.negotiation import MID, RID, choose
from sfu.sdp import MAX_LAYERS, Description, Section, parse
from tests.support.sfu_media import (
    MID_ID,
    RID_ID,
    Publisher,
    deliver,
    one_byte_extensions,
)

LOCAL = Local("ourufrag", "p" * 24, ":".join(["AB"] * 32), [("192.0.2.1", 8189)])
LAYERS = ("a=rid:l send", "a=rid:m send", "a=rid:h send", "a=simulcast:send l;m;h")


def offer(*lines: str, codec: str = "VP8", extensions: tuple[str, ...] = (MID, RID)) -> Description:
    head = ["v=0", "m=video 9 UDP/TLS/RTP/SAVPF 96 97", "a=mid:0", "a=sendonly"]
    head += [f"a=rtpmap:96 {codec}/90000", "a=rtpmap:97 rtx/90000", "a=fmtp:97 apt=96"]
    head += [f"a=extmap:{number} {uri}" for number, uri in enumerate(extensions, 3)]
    return parse("\r\n".join([*head, *lines]))


def section(*lines: str) -> Section:
    return offer(*lines).sections[0]


def answered(description: Description) -> list[str]:
    pick = choose(description.sections[0], ["VP8", "VP9"])
    assert pick is not None
    return write_answer(description, {"0": pick}, LOCAL, "passive", 1, 2_000_000).split("\r\n")


@pytest.mark.parametrize("codec", ["VP8", "VP9"])
def test_every_encoding_of_the_offer_is_taken_in_its_order(codec: str) -> None:
    lines = answered(offer(*LAYERS, codec=codec))
    assert [line for line in lines if line.startswith("a=rid:")] == ["a=rid:l recv", "a=rid:m recv", "a=rid:h recv"]
    assert "a=simulcast:recv l;m;h" in lines


def test_without_simulcast_nothing_is_said_of_it() -> None:
    assert not [line for line in answered(offer()) if "rid" in line.split(":")[0] or "simulcast" in line]


@pytest.mark.parametrize(
    "description",
    [offer(*LAYERS, extensions=(MID,)), offer(*LAYERS, extensions=(RID,))],
    ids=["no rid in packets", "no mid in packets"],
)
def test_where_encodings_cannot_be_told_apart_the_first_one_comes_alone(description: Description) -> None:
    assert not [line for line in answered(description) if "simulcast" in line]


def test_the_first_alternative_counts_and_paused_encodings_are_taken_too() -> None:
    rids = section(*LAYERS[:3], "a=rid:x send", "a=simulcast:recv q send ~l;m,x;h").rids
    assert rids == ["l", "m", "h"]


def test_only_encodings_that_are_described_and_sent_are_taken() -> None:
    assert section("a=rid:l send", "a=rid:m recv", "a=simulcast:send l;m;h").rids == ["l"]


def test_no_more_layers_are_taken_than_browsers_send() -> None:
    many = [f"r{n}" for n in range(50)]
    rids = section(*(f"a=rid:{rid} send" for rid in many), f"a=simulcast:send {';'.join(many)}").rids
    assert rids == many[:MAX_LAYERS]


@given(st.text(alphabet="send recv;,~lmh01", max_size=60))
def test_any_simulcast_line_is_read_or_ignored(text: str) -> None:
    rids = section(*LAYERS[:3], f"a=simulcast:{text}").rids
    assert set(rids) <= {"l", "m", "h"}
    assert len(set(rids)) == len(rids)


def test_a_stream_of_an_encoding_that_was_not_negotiated_is_dropped() -> None:
    described = section(*LAYERS)
    pick = choose(described, ["VP8"])
    assert pick is not None
    inbound = Inbound([], lambda _source, _encoding: None)
    inbound.negotiated({MID: MID_ID, RID: RID_ID})
    inbound.add("t", described, pick)
    mid = (MID_ID, b"0")
    deliver(inbound, Publisher(1, 96).seal(0, b"x", extensions=one_byte_extensions(mid, (RID_ID, b"h"))), 1.0)
    deliver(inbound, Publisher(2, 96).seal(0, b"x", extensions=one_byte_extensions(mid, (RID_ID, b"z"))), 1.0)
    deliver(inbound, Publisher(3, 96).seal(0, b"x", extensions=one_byte_extensions(mid)), 1.0)
    assert list(inbound.streams) == [1]
    assert inbound.dropped_unknown == 2
