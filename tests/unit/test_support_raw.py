"""The raw peer's SRTP agrees with libsrtp, and its SDP with aiortc's parser."""

import secrets

import pylibsrtp
import pytest
from aiortc import rtp
from aiortc.rtcrtpparameters import RTCRtpHeaderExtensionParameters, RTCRtpReceiveParameters
from aiortc.sdp import SessionDescription
from cryptography.exceptions import InvalidTag

from tests.support import sdp, srtp
from tests.support.raw_peer import RtpSender, receiver_report
from tests.support.raw_transport import Incoming, RawTransport, extension

EXPORTED = bytes(range(srtp.EXPORT_BYTES))
CLIENT = EXPORTED[:16] + EXPORTED[32:44]
SERVER = EXPORTED[16:32] + EXPORTED[44:]
LINE = sdp.Outgoing("0", "audio", "opus", 0x1234_5678)


def libsrtp(master: bytes, direction: int) -> pylibsrtp.Session:
    profile = pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM
    return pylibsrtp.Session(pylibsrtp.Policy(key=master, ssrc_type=direction, srtp_profile=profile))


@pytest.fixture
async def sender() -> RtpSender:
    transport = RawTransport()
    transport.socket.close()
    transport.outgoing, transport.incoming = srtp.client_directions(EXPORTED)
    return RtpSender(transport, LINE, mid_id=4, transport_cc_id=3)


async def test_libsrtp_opens_what_is_sealed_also_beyond_the_wrap_of_the_sequence_number(sender: RtpSender) -> None:
    inbound = libsrtp(CLIENT, pylibsrtp.Policy.SSRC_ANY_INBOUND)
    extensions = rtp.HeaderExtensionsMap()
    known = [RTCRtpHeaderExtensionParameters(id=4, uri=sdp.MID)]
    known.append(RTCRtpHeaderExtensionParameters(id=3, uri=sdp.TRANSPORT_CC))
    extensions.configure(RTCRtpReceiveParameters(headerExtensions=known))
    sender.index = 0xFFFE
    for number in range(4):
        packet = rtp.RtpPacket.parse(
            inbound.unprotect(sender.seal(b"payload %d" % number, 960 * number, marker=number == 2)), extensions
        )
        assert packet.payload == b"payload %d" % number
        assert packet.sequence_number == (0xFFFE + number) & 0xFFFF
        assert (packet.timestamp, packet.marker) == (960 * number, int(number == 2))
        assert (packet.ssrc, packet.payload_type) == (0x1234_5678, sdp.OPUS)
        assert packet.extensions.mid == "0"
        assert packet.extensions.transport_sequence_number == number


async def test_a_level_stands_in_front_of_the_other_extensions() -> None:
    transport = RawTransport()
    transport.socket.close()
    transport.outgoing, _ = srtp.client_directions(EXPORTED)
    microphone = RtpSender(transport, LINE, mid_id=4, transport_cc_id=3, level_id=1)
    microphone.level = 42
    inbound = libsrtp(CLIENT, pylibsrtp.Policy.SSRC_ANY_INBOUND)
    extensions = rtp.HeaderExtensionsMap()
    uris = {1: sdp.AUDIO_LEVEL, 3: sdp.TRANSPORT_CC, 4: sdp.MID}
    known = [RTCRtpHeaderExtensionParameters(id=id, uri=uri) for id, uri in uris.items()]
    extensions.configure(RTCRtpReceiveParameters(headerExtensions=known))
    packet = rtp.RtpPacket.parse(inbound.unprotect(microphone.seal(b"sound", 0)), extensions)
    assert packet.payload == b"sound"
    assert packet.extensions.audio_level == (True, 42)
    assert (packet.extensions.mid, packet.extensions.transport_sequence_number) == ("0", 0)


async def test_libsrtp_opens_rtcp_and_finds_a_sender_report(sender: RtpSender) -> None:
    inbound = libsrtp(CLIENT, pylibsrtp.Policy.SSRC_ANY_INBOUND)
    sender.seal(b"12345", 4800)
    assert sender.transport.outgoing is not None
    (report,) = rtp.RtcpPacket.parse(inbound.unprotect_rtcp(sender.transport.outgoing.protect_rtcp(sender.report())))
    assert isinstance(report, rtp.RtcpSrPacket)
    assert (report.ssrc, report.sender_info.packet_count, report.sender_info.octet_count) == (LINE.ssrc, 1, 5)
    assert 4800 <= report.sender_info.rtp_timestamp < 4800 + 48_000


def test_what_libsrtp_seals_is_opened_and_what_was_touched_is_not() -> None:
    outbound = libsrtp(SERVER, pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
    _, incoming = srtp.client_directions(EXPORTED)
    packet = rtp.RtpPacket(payload_type=96, sequence_number=7, timestamp=9, payload=b"frame")
    packet.ssrc = 42
    sealed = outbound.protect(packet.serialize())
    assert incoming.unprotect(sealed, 42, 7)[1] == b"frame"
    with pytest.raises(InvalidTag):
        incoming.unprotect(sealed[:-1] + bytes([sealed[-1] ^ 1]), 42, 7)


def test_rtcp_of_libsrtp_is_opened_and_what_was_touched_is_not() -> None:
    outbound = libsrtp(SERVER, pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
    _, incoming = srtp.client_directions(EXPORTED)
    plain = receiver_report([Incoming(5, 100, None)])
    sealed = outbound.protect_rtcp(plain)
    assert incoming.unprotect_rtcp(sealed) == plain
    assert incoming.unprotect_rtcp(sealed[:9] + bytes([sealed[9] ^ 1]) + sealed[10:]) is None
    assert incoming.unprotect_rtcp(sealed[:20]) is None


async def test_extensions_are_read_from_the_plain_header(sender: RtpSender) -> None:
    packet = sender.seal(b"x", 0)
    assert extension(packet, 4) == b"0"
    assert extension(packet, 3) == b"\x00\x00"
    assert extension(packet, 9) == b""


def test_losses_are_counted_from_sequence_numbers() -> None:
    stream = Incoming(1, 100, None)
    stream.packets, stream.highest = 7, 109
    assert stream.lost == 3


def test_an_offer_is_understood_by_aiortc() -> None:
    credentials = sdp.Credentials("uf", secrets.token_hex(12), "AA:BB")
    lines = [LINE, sdp.Outgoing("1", "video", "VP8", 77, 78)]
    parsed = SessionDescription.parse(sdp.offer(credentials, lines))
    audio, video = parsed.media
    assert [media.direction for media in parsed.media] == ["sendonly", "sendonly"]
    assert [codec.name for codec in audio.rtp.codecs] == ["opus"]
    assert [codec.name for codec in video.rtp.codecs] == ["VP8", "rtx"]
    assert [entry.ssrc for entry in video.ssrc] == [77, 78]
    assert audio.ice is not None
    assert audio.dtls is not None
    assert (audio.ice.usernameFragment, audio.dtls.role) == ("uf", "auto")


def test_an_answer_takes_what_is_offered_and_refuses_what_is_rejected() -> None:
    offered = sdp.Description.parse(
        "v=0\r\no=- 1 1 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=ice-lite\r\n"
        "m=audio 9 UDP/TLS/RTP/SAVPF 111\r\na=mid:a0\r\na=sendonly\r\na=rtpmap:111 opus/48000/2\r\n"
        f"a=extmap:7 {sdp.MID}\r\na=ssrc:9 cname:x\r\na=candidate:1 1 udp 1 127.0.0.1 5000 typ host\r\n"
        "m=video 0 UDP/TLS/RTP/SAVPF 96\r\na=mid:v0\r\na=inactive\r\na=rtpmap:96 VP8/90000\r\n"
    )
    assert offered.candidates() == [("127.0.0.1", 5000)]
    assert offered.media[0].extension(sdp.MID) == 7
    assert offered.media[0].ssrcs() == [9]
    answered = sdp.Description.parse(sdp.answer(sdp.Credentials("u", "p", "AA"), offered))
    taken, refused = answered.media
    assert (taken.mid, taken.direction, taken.rejected) == ("a0", "recvonly", False)
    assert taken.codecs() == {111: "OPUS"}
    assert taken.values("setup") == ["active"]
    assert (refused.mid, refused.direction, refused.rejected) == ("v0", "inactive", True)
    assert "a=group:BUNDLE a0" in answered.session
