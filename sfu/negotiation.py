"""What we answer and offer: choosing codecs and extensions, and writing session descriptions. No I/O.

A publisher's section is answered with one codec (and its RTX), so that the payload type of a stream never changes. A
subscription is offered with exactly the codec that its track is published with.
"""

from collections.abc import Sequence

import msgspec

from sfu.encoding import VIEWER_ORIENTATION_ID
from sfu.interfaces import NegotiationError
from sfu.sdp import Codec, Description, Section

MID = "urn:ietf:params:rtp-hdrext:sdes:mid"
RID = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
REPAIRED_RID = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
TRANSPORT_SEQUENCE = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
ORIENTATION = "urn:3gpp:video-orientation"

_H264_PROFILES = ("42e0", "4200", "4d00", "640c", "6400")
"""First half of profile-level-id, best known to decoders first (constrained baseline, baseline, main, high)."""

PUBLISH_EXTENSIONS = (MID, RID, REPAIRED_RID, TRANSPORT_SEQUENCE, ORIENTATION)

SIMULCAST_CODECS = ("vp8",)
"""Published in several encodings where the offer has them. Other codecs: the browser sends its first encoding alone."""

START_KBPS = 1000
"""First bitrate of a video sender: without it Chromium needs 4-8 s to leave 320x180."""

OPUS_PARAMETERS = "minptime=10;useinbandfec=1;stereo=1;sprop-stereo=1;usedtx=0;maxaveragebitrate=96000"
"""Stereo survives only if both are named; silence is sent (no DTX), since a recording needs it."""


class Local(msgspec.Struct, frozen=True):
    """Our side of a transport, as written into every section."""

    ufrag: str
    password: str
    fingerprint: str
    """SHA-256, upper case with colons."""
    candidates: Sequence[tuple[str, int]]
    """Addresses and ports, best first."""


class Chosen(msgspec.Struct, frozen=True):
    """What a publisher's section is answered with."""

    codec: Codec
    rtx_payload_type: int
    """0: no RTX."""
    rids: tuple[str, ...] = ()
    """Simulcast encodings that are taken, in the order of the offer; empty: one encoding without a name."""


def check_transport(description: Description) -> Section:
    """The first usable section of a peer's description, from which ICE and DTLS parameters are taken."""
    section = next((s for s in description.sections if not s.rejected), None)
    if section is None:
        raise NegotiationError("bad_sdp", "no media section")
    if "SAVPF" not in section.protocol or not section.protocol.startswith("UDP/TLS/"):
        raise NegotiationError("dtls_required", "only DTLS-SRTP is taken (UDP/TLS/RTP/SAVPF)")
    if not any(name in ("sha-256", "sha-384", "sha-512") for name, _ in section.fingerprints):
        raise NegotiationError("bad_fingerprint", "a fingerprint with SHA-256, SHA-384 or SHA-512 is needed")
    if not section.ice_ufrag:
        raise NegotiationError("bad_sdp", "no ice-ufrag")
    return section


def choose(section: Section, video_codecs: Sequence[str]) -> Chosen | None:
    """The codec to answer a section with; None: nothing that we take (the section is rejected)."""
    if section.kind == "audio":
        codec = next((c for c in section.codecs.values() if c.name == "opus" and c.clock_rate_hz == 48000), None)
        return Chosen(codec, 0) if codec else None
    if section.kind != "video":
        return None
    for wanted in video_codecs:
        codec = min(
            (c for c in section.codecs.values() if c.name == wanted.lower() and c.clock_rate_hz == 90000),
            key=_oddity,
            default=None,
        )
        if codec is not None and _oddity(codec) < 9:
            rtx = next(
                (
                    c.payload_type
                    for c in section.codecs.values()
                    if c.name == "rtx" and c.parameter("apt") == str(codec.payload_type)
                ),
                0,
            )
            named = codec.name in SIMULCAST_CODECS and {MID, RID} <= section.extensions.keys()
            return Chosen(codec, rtx, tuple(section.rids) if named else ())
    return None


def _oddity(codec: Codec) -> int:
    """0 for the variant that every browser decodes, more for others, 9 for what we do not forward."""
    if codec.name == "h264":
        if codec.parameter("packetization-mode") != "1":
            return 9
        profile = codec.parameter("profile-level-id").lower()[:4]
        return _H264_PROFILES.index(profile) if profile in _H264_PROFILES else 9
    if codec.name == "vp9":
        return 0 if codec.parameter("profile-id") in ("", "0") else 9
    if codec.name == "av1":
        return 0 if codec.parameter("profile") in ("", "0") else 9
    return 0


def canonical(codec: Codec) -> Codec:
    """The codec as viewers are offered it: of the publisher's parameters only those that decide how to decode.

    Few can be told apart, so nobody can use up the payload types of a viewer's connection.
    """
    fmtp = codec.fmtp
    if codec.name == "h264":
        profile = codec.parameter("profile-level-id").lower()[:4]
        fmtp = f"level-asymmetry-allowed=1;packetization-mode=1;profile-level-id={profile}1f"
    elif codec.name == "vp9":
        fmtp = "profile-id=0"
    elif codec.name == "av1":
        fmtp = "level-idx=5;profile=0;tier=0"
    elif codec.name == "vp8":
        fmtp = ""
    return msgspec.structs.replace(codec, fmtp=fmtp)


def _head(mids: Sequence[str], version: int) -> list[str]:
    return [
        "v=0",
        f"o=- 1 {version} IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=ice-lite",
        *([f"a=group:BUNDLE {' '.join(mids)}"] if mids else []),
        "a=msid-semantic: WMS *",
        "a=extmap-allow-mixed",
    ]


def _transport(local: Local, setup: str) -> list[str]:
    lines = []
    for place, (address, port) in enumerate(local.candidates):
        priority = 126 << 24 | (65535 - place) << 8 | 255  # host, RFC 8445 5.1.2.1
        lines.append(f"a=candidate:{place + 1} 1 udp {priority} {address} {port} typ host")
    return [
        *lines,
        "a=end-of-candidates",
        f"a=ice-ufrag:{local.ufrag}",
        f"a=ice-pwd:{local.password}",
        f"a=fingerprint:sha-256 {local.fingerprint}",
        f"a=setup:{setup}",
        "a=rtcp-mux",
    ]


def _codec_lines(codec: Codec, fmtp: str, feedback: Sequence[str]) -> list[str]:
    number = codec.payload_type
    channels = f"/{codec.channels}" if codec.name == "opus" else ""
    name = codec.name if codec.name in ("opus", "rtx") else codec.name.upper()
    lines = [f"a=rtpmap:{number} {name}/{codec.clock_rate_hz}{channels}"]
    lines += [f"a=rtcp-fb:{number} {item}" for item in feedback]
    if fmtp:
        lines.append(f"a=fmtp:{number} {fmtp}")
    return lines


def _rtx(codec: Codec, payload_type: int) -> Codec:
    return Codec("rtx", payload_type, codec.clock_rate_hz, 1, f"apt={codec.payload_type}", ())


def write_answer(offer: Description, chosen: dict[str, Chosen], local: Local, version: int, max_video_bps: int) -> str:
    """Answer to a publisher: sections in `chosen` (by mid) are received, the others rejected or inactive."""
    lines = _head([s.mid for s in offer.sections if s.mid in chosen], version)
    for section in offer.sections:
        pick = chosen.get(section.mid)
        if pick is None:
            formats = " ".join(map(str, section.codecs)) or "0"
            lines += [f"m={section.kind} 0 {section.protocol} {formats}", "c=IN IP4 0.0.0.0", f"a=mid:{section.mid}"]
            lines.append("a=inactive")
            continue
        codec = pick.codec
        numbers = [codec.payload_type, *([pick.rtx_payload_type] if pick.rtx_payload_type else [])]
        lines += [
            f"m={section.kind} 9 UDP/TLS/RTP/SAVPF {' '.join(map(str, numbers))}",
            "c=IN IP4 0.0.0.0",
            f"a=mid:{section.mid}",
            "a=recvonly" if section.direction in ("sendrecv", "sendonly") else "a=inactive",
            *_transport(local, "passive"),
            "a=rtcp-rsize",
        ]
        lines += [f"a=extmap:{section.extensions[u]} {u}" for u in PUBLISH_EXTENSIONS if u in section.extensions]
        if section.kind == "audio":
            wanted: list[str] = [f for f in ("transport-cc", "nack") if f in codec.feedback]
            lines += _codec_lines(codec, OPUS_PARAMETERS, wanted)
        else:
            wanted = [f for f in ("transport-cc", "ccm fir", "nack", "nack pli") if f in codec.feedback]
            bitrates = f"x-google-start-bitrate={START_KBPS};x-google-max-bitrate={max_video_bps // 1000}"
            lines += _codec_lines(codec, f"{codec.fmtp};{bitrates}" if codec.fmtp else bitrates, wanted)
            if pick.rtx_payload_type:
                rtx = _rtx(codec, pick.rtx_payload_type)
                lines += _codec_lines(rtx, rtx.fmtp, ())
            if pick.rids:
                lines += [f"a=rid:{rid} recv" for rid in pick.rids]
                lines.append(f"a=simulcast:recv {';'.join(pick.rids)}")
    return "\r\n".join(lines) + "\r\n"


class Outgoing(msgspec.Struct, frozen=True):
    """One section of a subscribe offer. `ssrc` 0: nothing is sent in it at present."""

    mid: str
    kind: str
    codec: Codec
    rtx_payload_type: int
    ssrc: int
    rtx_ssrc: int
    participant_id: str
    track_id: str


def write_offer(sections: Sequence[Outgoing], local: Local, version: int) -> str:
    """Offer to a subscriber. We are always the DTLS server: an answer other than `setup:active` is refused."""
    lines = _head([s.mid for s in sections], version)
    for s in sections:
        numbers = [s.codec.payload_type, *([s.rtx_payload_type] if s.rtx_payload_type else [])]
        lines += [
            f"m={s.kind} 9 UDP/TLS/RTP/SAVPF {' '.join(map(str, numbers))}",
            "c=IN IP4 0.0.0.0",
            f"a=mid:{s.mid}",
            "a=sendonly" if s.ssrc else "a=inactive",
            *_transport(local, "actpass"),
            "a=rtcp-rsize",
        ]
        if s.kind == "audio":
            lines += _codec_lines(s.codec, OPUS_PARAMETERS, ())
        else:
            lines.append(f"a=extmap:{VIEWER_ORIENTATION_ID} {ORIENTATION}")
            lines += _codec_lines(s.codec, s.codec.fmtp, ("ccm fir", "nack", "nack pli"))
            if s.rtx_payload_type:
                rtx = _rtx(s.codec, s.rtx_payload_type)
                lines += _codec_lines(rtx, rtx.fmtp, ())
        if s.ssrc:
            lines.append(f"a=msid:{s.participant_id} {s.track_id}")
            if s.rtx_payload_type:
                lines.append(f"a=ssrc-group:FID {s.ssrc} {s.rtx_ssrc}")
            lines.append(f"a=ssrc:{s.ssrc} cname:{s.participant_id}")  # first: Chromium takes the first as the primary
            if s.rtx_payload_type:
                lines.append(f"a=ssrc:{s.rtx_ssrc} cname:{s.participant_id}")
    return "\r\n".join(lines) + "\r\n"
