"""Which codec a publisher is answered with, and what we write, as our own reader and aiortc's understand it."""

from pathlib import Path

import pytest
from aiortc.sdp import SessionDescription
from hypothesis import given
from hypothesis import strategies as st

from sfu.descriptions import START_KBPS, Local, Outgoing, write_answer, write_offer
from sfu.forwarding import SEQUENCE_ID
from sfu.interfaces import NegotiationError
from sfu.negotiation import (
    AUDIO_LEVEL,
    AV1_EXTENSIONS,
    MID,
    ORIENTATION,
    PUBLISH_EXTENSIONS,
    TRANSPORT_SEQUENCE,
    canonical,
    check_transport,
    choose,
    feedback_of,
)
from sfu.sdp import Description, Section, parse
from sfu.settings import VIDEO_CODECS
from tests.support.sfu_media import H264, OPUS, VP8

VECTORS = Path(__file__).parents[1] / "vectors"
OFFERS = {path.stem: path.read_bytes().decode() for path in sorted(VECTORS.glob("*.sdp"))}
FINGERPRINT = ":".join(["AB"] * 32)
LOCAL = Local("ourufrag", "p" * 24, FINGERPRINT, [("192.0.2.1", 8189), ("2001:db8::1", 8189)])


def section_of(offer: str, kind: str) -> Section:
    return next(s for s in parse(offer).sections if s.kind == kind)


def video(*codecs: tuple[str, str]) -> Section:
    """A video section that offers (name, fmtp) in this order, with payload types from 96 on."""
    numbers = range(96, 96 + len(codecs))
    lines = [f"m=video 9 UDP/TLS/RTP/SAVPF {' '.join(map(str, numbers))}", "a=mid:0"]
    for number, (name, fmtp) in zip(numbers, codecs, strict=True):
        lines += [f"a=rtpmap:{number} {name}/90000", f"a=fmtp:{number} {fmtp}"]
    return parse("v=0\r\n" + "\r\n".join(lines)).sections[0]


def chosen(section: Section, *codecs: str) -> tuple[str, int, int]:
    pick = choose(section, codecs or VIDEO_CODECS)
    assert pick is not None
    return pick.codec.name, pick.codec.payload_type, pick.rtx_payload_type


# --- choose()


def test_our_order_of_preference_decides_and_not_the_order_of_the_offer() -> None:
    chromium = section_of(OFFERS["chromium_publish"], "video")
    assert chosen(chromium) == ("vp8", 96, 97)
    assert chosen(chromium, "VP9", "VP8")[0] == "vp9"
    assert chosen(chromium, "AV1") == ("av1", 45, 46)
    assert chosen(section_of(OFFERS["firefox_publish"], "video"), "AV1", "VP9") == ("vp9", 121, 125)


def test_of_h264_the_variant_that_every_browser_decodes_is_taken() -> None:
    chromium = section_of(OFFERS["chromium_publish"], "video")
    pick = choose(chromium, ["H264"])
    assert pick is not None
    assert pick.codec.parameter("packetization-mode") == "1"
    assert pick.codec.parameter("profile-level-id") == "42e01f"
    assert chosen(section_of(OFFERS["firefox_publish"], "video"), "H264") == ("h264", 126, 127)


@pytest.mark.parametrize(
    ("profiles", "expected"),
    [
        (["640c1f", "42001f", "42e01f"], 98),
        (["640c1f", "42001f"], 97),
        (["640c1f", "4d001f"], 97),
        (["7a001f", "42e01f"], 97),
        (["42E034", "42001f"], 96),
    ],
)
def test_h264_profiles_stand_in_an_order(profiles: list[str], expected: int) -> None:
    section = video(*(("H264", f"packetization-mode=1;profile-level-id={profile}") for profile in profiles))
    assert chosen(section, "H264")[1] == expected


@pytest.mark.parametrize(
    "profile",
    [
        "42c015",  # GStreamer
        "42000d",  # FFmpeg
        "422001f",  # FFmpeg 8.0, a digit too many
        "4d401f",
        "640028",
        "64080a",
        "",
    ],
)
def test_h264_profiles_as_encoders_write_them_are_offered_to_viewers_as_the_one_all_know(
    profile: str,
) -> None:
    named = f";profile-level-id={profile}" if profile else ""
    pick = choose(video(("H264", f"packetization-mode=1{named}")), ["H264"])
    assert pick is not None
    assert canonical(pick.codec).parameter("profile-level-id") == "42e01f"


@pytest.mark.parametrize(
    ("better", "worse"), [("42c015", "42000d"), ("4d801f", "42001f"), ("42000d", "4d401f"), ("640c1f", "640028")]
)
def test_h264_profiles_are_known_by_their_flags(better: str, worse: str) -> None:
    section = video(*(("H264", f"packetization-mode=1;profile-level-id={profile}") for profile in (worse, better)))
    assert chosen(section, "H264")[1] == 97


@pytest.mark.parametrize("profile", ["7a001f", "58a01f", "xyz", "4", "42", "f4001f"])
def test_h264_of_an_unknown_profile_is_refused(profile: str) -> None:
    assert choose(video(("H264", f"packetization-mode=1;profile-level-id={profile}")), ["H264"]) is None


@pytest.mark.parametrize("codec", ["VP8", "VP9", "H264", "AV1"])
def test_viewers_are_offered_the_same_whatever_else_a_publisher_says_of_its_codec(codec: str) -> None:
    known = {"H264": "packetization-mode=1;profile-level-id=42e034", "VP8": "", "VP9": "", "AV1": ""}[codec]
    offered = set()
    for number in range(20):
        pick = choose(video((codec, f"{known};x={number}")), [codec])
        assert pick is not None
        offered.add(canonical(pick.codec).fmtp)
    assert len(offered) == 1


def test_h264_with_single_packets_only_is_refused() -> None:
    assert choose(video(("H264", "profile-level-id=42e01f"), ("H264", "packetization-mode=0")), ["H264"]) is None


def test_vp9_beyond_profile_0_and_av1_beyond_main_are_refused() -> None:
    assert choose(video(("VP9", "profile-id=2"), ("AV1", "profile=1")), VIDEO_CODECS) is None
    assert chosen(video(("VP9", "profile-id=2"), ("VP9", "profile-id=0")), "VP9")[1] == 97
    assert chosen(video(("VP9", "x=1"), ("AV1", "x=1")), "AV1")[1] == 97


def test_a_codec_at_a_foreign_clock_rate_is_refused() -> None:
    offer = OFFERS["chromium_publish"].replace("VP8/90000", "VP8/48000").replace("opus/48000", "opus/16000")
    assert choose(section_of(offer, "video"), ["VP8"]) is None
    assert choose(section_of(offer, "audio"), VIDEO_CODECS) is None


def test_rtx_of_another_codec_is_not_taken() -> None:
    assert chosen(video(("VP8", "x=1"), ("rtx", "apt=99"), ("rtx", "apt=x")))[2] == 0


def test_audio_is_opus_without_rtx_and_anything_else_is_nothing() -> None:
    assert chosen(section_of(OFFERS["firefox_publish"], "audio")) == ("opus", 109, 0)
    application = section_of(OFFERS["chromium_video_first_data"], "application")
    assert choose(application, VIDEO_CODECS) is None


# --- check_transport()


def refused(text: str) -> str:
    with pytest.raises(NegotiationError) as caught:
        check_transport(parse(text))
    return caught.value.id


def test_the_first_section_that_is_not_rejected_describes_the_transport() -> None:
    offer = OFFERS["chromium_publish"].replace("m=audio 9", "m=audio 0")
    assert check_transport(parse(offer)).kind == "video"


@pytest.mark.parametrize("protocol", ["RTP/AVP", "RTP/SAVPF", "RTP/SAVP", "UDP/TLS/RTP/SAVP", "TCP/TLS/RTP/SAVPF"])
def test_plain_rtp_and_keys_in_the_description_are_refused(protocol: str) -> None:
    assert refused(OFFERS["chromium_publish"].replace("UDP/TLS/RTP/SAVPF", protocol)) == "dtls_required"


def test_weak_or_absent_fingerprints_are_refused() -> None:
    offer = OFFERS["chromium_publish"]
    for weak in ("md5", "sha-1", "sha-224", "x"):
        assert refused(offer.replace("fingerprint:sha-256", f"fingerprint:{weak}")) == "bad_fingerprint"
    assert refused(offer.replace("a=fingerprint:", "a=nothing:")) == "bad_fingerprint"
    assert check_transport(parse(offer.replace("fingerprint:sha-256", "fingerprint:SHA-512")))


def test_without_credentials_or_sections_there_is_no_transport() -> None:
    assert refused(OFFERS["chromium_publish"].replace("a=ice-ufrag", "a=nothing")) == "bad_sdp"
    assert refused("v=0\r\n") == "bad_sdp"
    assert (
        refused(OFFERS["chromium_publish"].replace("m=audio 9", "m=audio 0").replace("m=video 9", "m=video 0"))
        == "bad_sdp"
    )


# --- answers


def answered(offer: str, *codecs: str) -> tuple[Description, str]:
    description = parse(offer)
    picks = {s.mid: pick for s in description.sections if (pick := choose(s, codecs or VIDEO_CODECS)) is not None}
    return description, write_answer(description, picks, LOCAL, "passive", 7, 2_500_000)


@pytest.mark.parametrize(
    ("name", "codec"), [(n, c) for n in OFFERS for c in VIDEO_CODECS if (n, c) != ("firefox_publish", "AV1")]
)
def test_an_answer_is_read_alike_by_us_and_by_aiortc(name: str, codec: str) -> None:
    description, text = answered(OFFERS[name], codec)
    ours, theirs = parse(text), SessionDescription.parse(text)
    assert [s.mid for s in ours.sections] == [s.mid for s in description.sections]
    assert [s.kind for s in ours.sections] == [m.kind for m in theirs.media] == [s.kind for s in description.sections]
    for offered, section, media in zip(description.sections, ours.sections, theirs.media, strict=True):
        if section.kind == "application":
            assert section.rejected
            continue
        names = [c.name for c in section.codecs.values()]
        assert names == (["opus"] if section.kind == "audio" else [codec.lower(), "rtx"])
        assert [c.payloadType for c in media.rtp.codecs] == list(section.codecs)
        assert all(number in offered.codecs for number in section.codecs), "numbers are those of the offer"
        assert media.direction == section.direction == "recvonly"
        assert section.setup == "passive"
        assert media.ice is not None
        assert media.dtls is not None
        assert (media.ice.usernameFragment, media.ice.password) == (LOCAL.ufrag, LOCAL.password)
        assert (media.dtls.fingerprints[0].algorithm, media.dtls.fingerprints[0].value) == ("sha-256", FINGERPRINT)
        assert [(c.ip, c.port) for c in media.ice_candidates] == list(LOCAL.candidates)
        assert {h.uri: h.id for h in media.rtp.headerExtensions} == section.extensions
        assert section.extensions.items() <= offered.extensions.items()
        taken = AV1_EXTENSIONS if codec == "AV1" and section.kind == "video" else PUBLISH_EXTENSIONS
        assert set(section.extensions) <= set(taken)
    assert theirs.group[0].items == [s.mid for s in ours.sections if not s.rejected]


def test_a_video_answer_raises_the_first_bitrate_and_keeps_the_parameters() -> None:
    _, text = answered(OFFERS["chromium_publish"], "H264")
    (codec,) = (c for c in section_of(text, "video").codecs.values() if c.name == "h264")
    assert codec.parameter("x-google-start-bitrate") == str(START_KBPS)
    assert codec.parameter("x-google-max-bitrate") == "2500"
    assert codec.parameter("profile-level-id") == "42e01f"
    assert codec.feedback == ("transport-cc", "ccm fir", "nack", "nack pli")


def test_an_audio_answer_asks_for_stereo_without_pauses() -> None:
    _, text = answered(OFFERS["chromium_publish"])
    codec = section_of(text, "audio").codecs[111]
    assert [codec.parameter(name) for name in ("stereo", "sprop-stereo", "usedtx")] == ["1", "1", "0"]
    assert codec.feedback == ("transport-cc",), "only what was offered"


def test_a_section_that_sends_nothing_is_answered_inactive() -> None:
    offer = OFFERS["chromium_publish"].replace("a=sendonly", "a=recvonly")
    assert [s.direction for s in parse(answered(offer)[1]).sections] == ["inactive", "inactive"]


def test_a_section_without_a_common_codec_is_rejected_outside_the_bundle() -> None:
    _, text = answered(OFFERS["firefox_publish"], "AV1")
    audio, video_section = parse(text).sections
    assert (audio.rejected, video_section.rejected) == (False, True)
    assert "a=group:BUNDLE 0\r\n" in text


def test_an_answer_that_takes_nothing_is_still_a_description() -> None:
    description = parse(OFFERS["chromium_publish"])
    text = write_answer(description, {}, LOCAL, "passive", 1, 1_000_000)
    assert all(s.rejected for s in parse(text).sections)
    assert "BUNDLE" not in text


# --- offers


AUDIO_LINE = Outgoing("0", "audio", OPUS, 0, 1001, 1002, "p_a", "t_a")
VIDEO_LINE = Outgoing("1", "video", VP8, 97, 2001, 2002, "p_a", "t_b")


def test_an_offer_is_read_alike_by_us_and_by_aiortc() -> None:
    text = write_offer([AUDIO_LINE, VIDEO_LINE], LOCAL, 3)
    ours, theirs = parse(text), SessionDescription.parse(text)
    audio, video_section = ours.sections
    assert [m.direction for m in theirs.media] == [s.direction for s in ours.sections] == ["sendonly", "sendonly"]
    assert [s.setup for s in ours.sections] == ["actpass", "actpass"]
    assert (audio.ssrcs, audio.repair_of) == ([1001], {})
    assert (video_section.ssrcs, video_section.repair_of) == ([2001, 2002], {2002: 2001})
    assert [[entry.ssrc for entry in m.ssrc] for m in theirs.media] == [[1001], [2001, 2002]]
    assert theirs.media[1].msid == "p_a t_b"
    assert list(video_section.extensions) == [TRANSPORT_SEQUENCE, ORIENTATION]
    assert list(audio.extensions) == [TRANSPORT_SEQUENCE, AUDIO_LEVEL]
    assert MID not in audio.extensions, "streams are known by their SSRCs"
    assert video_section.codecs[97].parameter("apt") == "96"
    assert video_section.codecs[96].feedback == ("transport-cc", "goog-remb", "ccm fir", "nack", "nack pli")
    assert audio.codecs[111].feedback == ("transport-cc",)
    assert check_transport(ours) is audio


def test_an_answer_says_how_the_viewer_tells_what_arrives() -> None:
    text = write_offer([AUDIO_LINE, VIDEO_LINE], LOCAL, 3)
    without_extension = "".join(line for line in text.splitlines(True) if TRANSPORT_SEQUENCE not in line)
    moved = text.replace(f":{SEQUENCE_ID} {TRANSPORT_SEQUENCE}", f":9 {TRANSPORT_SEQUENCE}")
    neither = without_extension.replace("goog-remb", "ccm tmmbr")
    for answer, expected in (
        (text, ["transport-cc", "transport-cc"]),
        (without_extension, ["", "goog-remb"]),
        (moved, ["", "goog-remb"]),
        (neither, ["", ""]),
    ):
        audio, video_section = parse(answer).sections
        assert [feedback_of(audio, 111), feedback_of(video_section, 96)] == expected
        assert feedback_of(video_section, 127) == ""


def test_a_section_that_carries_nothing_is_inactive_and_names_no_stream() -> None:
    empty = Outgoing("1", "video", H264, 103, 0, 0, "", "")
    section = parse(write_offer([AUDIO_LINE, empty], LOCAL, 3)).sections[1]
    assert (section.direction, section.ssrcs, section.rejected) == ("inactive", [], False)


@given(st.integers(1, 2**31))
def test_the_version_is_that_of_the_description(version: int) -> None:
    assert f"o=- 1 {version} IN" in write_offer([AUDIO_LINE], LOCAL, version)


def test_every_line_ends_as_it_must_and_none_is_empty() -> None:
    for text in (write_offer([AUDIO_LINE, VIDEO_LINE], LOCAL, 3), answered(OFFERS["chromium_publish"])[1]):
        assert text.endswith("\r\n")
        assert all(line[1] == "=" for line in text[:-2].split("\r\n"))


def test_a_fmtp_of_a_publisher_cannot_add_lines_to_what_others_are_offered() -> None:
    hostile = OFFERS["chromium_publish"].replace(
        "profile-id=0", "profile-id=0\ra=candidate:1 1 udp 1 10.0.0.1 1 typ host"
    )
    with pytest.raises(NegotiationError):
        parse(hostile)
