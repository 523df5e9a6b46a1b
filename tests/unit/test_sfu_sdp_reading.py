"""Real offers are understood; mutated ones are refused with NegotiationError and nothing else; limits hold."""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfu.interfaces import NegotiationError
from sfu.negotiation import MID, ORIENTATION, REPAIRED_RID, RID, TRANSPORT_SEQUENCE
from sfu.sdp import MAX_BYTES, MAX_LINES, MAX_PER_SECTION, MAX_SECTIONS, Codec, Section, parse
from tests.support.properties import any_input

VECTORS = Path(__file__).parents[1] / "vectors"


def vector(name: str) -> str:
    return (VECTORS / f"{name}.sdp").read_bytes().decode()


OFFERS = {path.stem: path.read_bytes().decode() for path in sorted(VECTORS.glob("*.sdp"))}
PUBLISH = vector("chromium_publish")


def refused(text: str) -> NegotiationError:
    with pytest.raises(NegotiationError) as caught:
        parse(text)
    assert caught.value.id == "bad_sdp"
    return caught.value


def with_lines(*lines: str, of: str = PUBLISH) -> str:
    """The offer with attribute lines added to its last section."""
    return of + "".join(f"{line}\r\n" for line in lines)


def last(text: str) -> Section:
    return parse(text).sections[-1]


# --- real offers


def test_an_offer_of_chromium_is_understood() -> None:
    description = parse(PUBLISH)
    audio, video = description.sections
    assert [(s.kind, s.mid, s.direction, s.rejected) for s in (audio, video)] == [
        ("audio", "0", "sendonly", False),
        ("video", "1", "sendonly", False),
    ]
    assert all(s.protocol == "UDP/TLS/RTP/SAVPF" and s.setup == "actpass" for s in (audio, video))
    assert audio.codecs[111] == Codec("opus", 111, 48_000, 2, "minptime=10;useinbandfec=1", ("transport-cc",))
    vp8 = video.codecs[96]
    assert (vp8.name, vp8.clock_rate_hz, vp8.fmtp) == ("vp8", 90_000, "")
    assert vp8.feedback == ("goog-remb", "transport-cc", "ccm fir", "nack", "nack pli")
    assert video.codecs[97].parameter("apt") == "96"
    assert {codec.name for codec in video.codecs.values()} == {"vp8", "vp9", "h264", "av1", "rtx", "red", "ulpfec"}
    assert video.extensions[MID] == audio.extensions[MID] == 4
    assert video.extensions[ORIENTATION] == 13
    assert (video.extensions[RID], video.extensions[REPAIRED_RID]) == (10, 11)
    assert len(audio.ssrcs) == 1
    media, repair = video.ssrcs
    assert video.repair_of == {repair: media}
    ((algorithm, digest),) = video.fingerprints
    assert algorithm == "sha-256"
    assert re.fullmatch(r"([0-9A-F]{2}:){31}[0-9A-F]{2}", digest)
    assert video.ice_ufrag in PUBLISH


def test_a_section_with_layers_names_no_ssrc() -> None:
    assert last(vector("chromium_simulcast")).ssrcs == []


def test_a_data_channel_is_a_section_without_codecs() -> None:
    video, audio, data = parse(vector("chromium_video_first_data")).sections
    assert (video.kind, audio.kind, data.kind) == ("video", "audio", "application")
    assert (data.codecs, data.protocol) == ({}, "UDP/DTLS/SCTP")


def test_what_firefox_says_for_the_session_holds_for_each_section() -> None:
    audio, video = parse(vector("firefox_publish")).sections
    assert audio.fingerprints == video.fingerprints
    assert audio.fingerprints[0][0] == "sha-256"
    assert (audio.ice_ufrag, video.setup) == ("1a2b3c4d", "actpass")
    assert video.codecs[126].parameter("packetization-mode") == "1"
    assert video.codecs[97].parameter("packetization-mode") == ""
    assert video.extensions[TRANSPORT_SEQUENCE] == 7
    assert audio.extensions["urn:ietf:params:rtp-hdrext:csrc-audio-level"] == 2


def test_line_feeds_alone_are_taken_as_well() -> None:
    assert parse(PUBLISH.replace("\r\n", "\n")) == parse(PUBLISH)


# --- sections that are not to be used


def test_port_zero_rejects_a_section_unless_it_is_bundled_only() -> None:
    rejected = PUBLISH.replace("m=video 9", "m=video 0")
    assert last(rejected).rejected
    assert not last(with_lines("a=bundle-only", of=rejected)).rejected


@pytest.mark.parametrize("direction", ["sendrecv", "sendonly", "recvonly", "inactive"])
def test_each_direction_is_read_and_sendrecv_is_what_nobody_says(direction: str) -> None:
    assert last(PUBLISH.replace("a=sendonly", f"a={direction}")).direction == direction
    assert last(PUBLISH.replace("a=sendonly\r\n", "")).direction == "sendrecv"


# --- limits and lies


@pytest.mark.parametrize(
    "text", ["", "\r\n", "v=1\r\n", "hello", "m=audio 9 UDP/TLS/RTP/SAVPF 111", "\x00", "v=0\r\n\r\na=b"]
)
def test_what_is_no_session_description_is_refused(text: str) -> None:
    refused(text)


def test_a_description_without_sections_is_empty() -> None:
    assert parse("v=0\r\n").sections == []


def test_a_megabyte_is_refused() -> None:
    refused(PUBLISH + "a=x:" + "y" * MAX_BYTES)
    refused(PUBLISH + "a=x\r\n" * (MAX_LINES + 1))


def test_five_thousand_sections_are_refused() -> None:
    section = "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:{}\r\n"
    parse("v=0\r\n" + "".join(section.format(n) for n in range(MAX_SECTIONS)))
    refused("v=0\r\n" + "".join(section.format(n) for n in range(MAX_SECTIONS + 1)))


def test_ten_thousand_candidates_are_refused_and_a_few_are_ignored() -> None:
    candidate = "a=candidate:1 1 udp 2113937151 10.0.0.1 5000 typ host"
    assert parse(with_lines(*[candidate] * 20)) == parse(PUBLISH)
    refused(with_lines(*[candidate] * (MAX_PER_SECTION + 1)))


@pytest.mark.parametrize(
    "line",
    [
        "a=cname:x\rm=audio",
        "a=msid:a\x00b",
        "a=x:\u2028",
        "a=x:\ttab",
        "ax=1",
        "a",
        "=",
        "a=rtpmap:128 VP8/90000",
        "a=rtpmap:x VP8/90000",
        "a=rtpmap:-1 VP8/90000",
        "a=rtpmap:٣ VP8/90000",
        "a=fmtp:200 x=1",
        "a=rtcp-fb:1000 nack",
        "a=extmap:0 urn:x",
        "a=extmap:256 urn:x",
        "a=extmap:13 urn:twice",
        "a=extmap:x urn:x",
        "a=ssrc:4294967296 cname:x",
        "a=ssrc:-5 cname:x",
        "a=ssrc-group:FID 1 x",
        "a=ssrc-group:FID 99999999999999999999 1",
        "m=audio 9 UDP/TLS/RTP/SAVPF",
        "m=audio 9",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111",
    ],
)
def test_a_line_that_lies_refuses_the_whole(line: str) -> None:
    refused(with_lines(line))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("a=mid:1", "a=mid:0"),
        ("a=mid:1", "a=mid:"),
        ("a=mid:1", "a=mid:a b"),
        ("a=mid:1", "a=mid:" + "x" * 17),
        ("a=mid:1", "a=nothing"),
        ("m=video 9", "m=video 65536"),
        ("m=video 9", "m=video nine"),
        ("m=video 9", "m=video 9999999999999"),
        ("a=rtpmap:96 VP8/90000", "a=rtpmap:96 VP8"),
        ("a=rtpmap:96 VP8/90000", "a=rtpmap:96 VP8/x"),
        ("a=rtpmap:96 VP8/90000", "a=rtpmap:96 VP8/0"),
        ("a=rtpmap:111 opus/48000/2", "a=rtpmap:111 opus/48000/999"),
        ("a=ice-ufrag:", "a=ice-ufrag:no!"),
    ],
)
def test_a_changed_line_refuses_the_whole(old: str, new: str) -> None:
    assert old in PUBLISH
    refused(PUBLISH.replace(old, new))


def test_only_the_semantics_fid_pairs_streams() -> None:
    video = last(with_lines("a=ssrc-group:SIM 1 2 3", "a=ssrc-group:FID 1 2 3", "a=ssrc-group:FID 5"))
    assert len(video.repair_of) == 1


def test_a_payload_type_without_a_codec_is_left_out() -> None:
    assert 95 not in last(PUBLISH.replace("m=video 9 UDP/TLS/RTP/SAVPF 96", "m=video 9 UDP/TLS/RTP/SAVPF 95 96")).codecs


def test_parameters_are_found_whatever_their_spacing_and_case() -> None:
    codec = Codec("h264", 1, 90_000, 1, " Profile-Level-ID=42e01f ; packetization-mode=1;flag", ())
    assert codec.parameter("profile-level-id") == "42e01f"
    assert codec.parameter("packetization-mode") == "1"
    assert codec.parameter("flag") == codec.parameter("absent") == ""


# --- mutations


@st.composite
def mutated(draw: st.DrawFn) -> str:
    lines = draw(st.sampled_from(list(OFFERS.values()))).split("\r\n")
    for _ in range(draw(st.integers(1, 6))):
        place = draw(st.integers(0, len(lines) - 1))
        line = lines[place]
        kind = draw(st.sampled_from(["drop", "double", "swap", "cut", "number", "text", "insert", "letters"]))
        if kind == "drop" and len(lines) > 1:
            del lines[place]
        elif kind == "double":
            lines.insert(place, line)
        elif kind == "swap":
            other = draw(st.integers(0, len(lines) - 1))
            lines[place], lines[other] = lines[other], line
        elif kind == "cut":
            lines[place] = line[: draw(st.integers(0, len(line)))]
        elif kind == "number":
            value = draw(
                st.sampled_from(["", "-1", "0", "1", "127", "128", "65536", "4294967296", "1e9", "9" * 30, "²"])
            )
            lines[place] = re.sub(r"\d+", value, line, count=draw(st.integers(0, 2)))
        elif kind == "text":
            lines[place] = line[:2] + draw(st.text(max_size=20))
        elif kind == "insert":
            at = draw(st.integers(0, len(line)))
            lines[place] = (
                line[:at] + draw(st.sampled_from([" ", ":", "/", ";", "=", "\t", "\r", "\n", "a="])) + line[at:]
            )
        else:
            lines[place] = line.swapcase()
    return draw(st.sampled_from(["\r\n", "\n"])).join(lines)


@settings(max_examples=200)
@given(mutated())
def test_a_mutated_offer_is_read_or_refused(text: str) -> None:
    try:
        description = parse(text)
    except NegotiationError:
        return
    assert len(description.sections) <= MAX_SECTIONS
    for section in description.sections:
        assert all(0 <= number <= 127 for number in section.codecs)
        assert all(1 <= number <= 255 for number in section.extensions.values())
        assert "\n" not in section.mid


@any_input
@given(st.text(max_size=300))
def test_no_text_raises_anything_else(text: str) -> None:
    for candidate in (text, "v=0\r\nm=video 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:0\r\n" + text):
        try:
            parse(candidate)
        except NegotiationError:
            pass
