"""Writing session descriptions (RFC 8866, RFC 8829): answers to publishers, offers and answers to viewers. No I/O."""

from collections.abc import Mapping, Sequence

import msgspec

from sfu.encoding import VIEWER_LEVEL_ID, VIEWER_ORIENTATION_ID
from sfu.forwarding import SEQUENCE_ID
from sfu.negotiation import (
    AUDIO_LEVEL,
    AV1_EXTENSIONS,
    OPUS_PARAMETERS,
    ORIENTATION,
    PUBLISH_EXTENSIONS,
    REMB,
    TRANSPORT_FEEDBACK,
    TRANSPORT_SEQUENCE,
    Chosen,
)
from sfu.sdp import Codec, Description, Section

START_KBPS = 1000
"""First bitrate of a video sender: without it Chromium needs 4-8 s to leave 320x180."""

TCP_PREFERENCE = 90
"""Type preference of TCP host candidates, below every UDP one (RFC 6544 4.2; libwebrtc's number)."""

PASSIVE = 2
"""Direction preference of a passive candidate (RFC 6544 4.2)."""

VIEWER_EXTENSIONS: Mapping[str, Mapping[str, int]] = {
    "audio": {TRANSPORT_SEQUENCE: SEQUENCE_ID, AUDIO_LEVEL: VIEWER_LEVEL_ID},
    "video": {TRANSPORT_SEQUENCE: SEQUENCE_ID, ORIENTATION: VIEWER_ORIENTATION_ID},
}
"""By medium: the header extensions of the packets that viewers get, with the ids that these packets carry."""

VIEWER_FEEDBACK: Mapping[str, Sequence[str]] = {
    "audio": (TRANSPORT_FEEDBACK,),
    "video": (TRANSPORT_FEEDBACK, REMB, "ccm fir", "nack", "nack pli"),
}
"""By medium: what a viewer may say of what it gets."""


class Local(msgspec.Struct, frozen=True):
    """Our side of a transport, as written into every section."""

    ufrag: str
    password: str
    fingerprint: str
    """SHA-256, upper case with colons."""
    candidates: Sequence[tuple[str, int]]
    """Addresses and ports, best first."""
    tcp: bool = False
    """The same are reached by TCP as well (passive, RFC 6544)."""


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
    for place, (address, port) in enumerate(local.candidates if local.tcp else ()):
        priority = TCP_PREFERENCE << 24 | (PASSIVE << 13 | 8191 - place) << 8 | 255
        number = len(local.candidates) + place + 1
        lines.append(f"a=candidate:{number} 1 tcp {priority} {address} {port} typ host tcptype passive")
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
    channels = f"/{codec.channels}" if codec.name in ("opus", "red") else ""
    name = codec.name if codec.name in ("opus", "red", "rtx") else codec.name.upper()
    lines = [f"a=rtpmap:{number} {name}/{codec.clock_rate_hz}{channels}"]
    lines += [f"a=rtcp-fb:{number} {item}" for item in feedback]
    if fmtp:
        lines.append(f"a=fmtp:{number} {fmtp}")
    return lines


def _rtx(codec: Codec, payload_type: int) -> Codec:
    return Codec("rtx", payload_type, codec.clock_rate_hz, 1, f"apt={codec.payload_type}", ())


def _red(opus: Codec, payload_type: int) -> list[str]:
    """Lines of RED around a codec; none without."""
    if not payload_type:
        return []
    fmtp = f"{opus.payload_type}/{opus.payload_type}"
    return _codec_lines(Codec("red", payload_type, opus.clock_rate_hz, opus.channels, fmtp, ()), fmtp, ())


def write_answer(
    offer: Description, chosen: dict[str, Chosen], local: Local, setup: str, version: int, max_video_bps: int
) -> str:
    """Answer to a publisher: sections in `chosen` (by mid) are received, the others rejected or inactive. `setup`: our
    DTLS role, `active` or `passive`."""
    lines = _head([s.mid for s in offer.sections if s.mid in chosen], version)
    for section in offer.sections:
        pick = chosen.get(section.mid)
        if pick is None:
            lines += _rejected(section)
            continue
        codec = pick.codec
        # RED first: browsers send the first codec of the answer.
        numbers = [n for n in (pick.red_payload_type, codec.payload_type, pick.rtx_payload_type) if n]
        for other in pick.others:
            numbers += [n for n in (other.codec.payload_type, other.rtx_payload_type) if n]
        lines += [
            f"m={section.kind} 9 UDP/TLS/RTP/SAVPF {' '.join(map(str, numbers))}",
            "c=IN IP4 0.0.0.0",
            f"a=mid:{section.mid}",
            "a=recvonly" if section.direction in ("sendrecv", "sendonly") else "a=inactive",
            *_transport(local, setup),
            "a=rtcp-rsize",
        ]
        wanted_extensions = AV1_EXTENSIONS if codec.name == "av1" else PUBLISH_EXTENSIONS
        lines += [f"a=extmap:{section.extensions[u]} {u}" for u in wanted_extensions if u in section.extensions]
        if section.kind == "audio":
            wanted: list[str] = [f for f in ("transport-cc", "nack") if f in codec.feedback]
            lines += _codec_lines(codec, OPUS_PARAMETERS, wanted) + _red(codec, pick.red_payload_type)
        else:
            for each in (pick, *pick.others):
                lines += _picture_lines(each, max_video_bps)
            if pick.rids:
                lines += [f"a=rid:{rid} recv" for rid in pick.rids]
                lines.append(f"a=simulcast:recv {';'.join(pick.rids)}")
    return "\r\n".join(lines) + "\r\n"


def _picture_lines(pick: Chosen, max_video_bps: int) -> list[str]:
    codec = pick.codec
    wanted = [f for f in ("transport-cc", "ccm fir", "nack", "nack pli") if f in codec.feedback]
    bitrates = f"x-google-start-bitrate={START_KBPS};x-google-max-bitrate={max_video_bps // 1000}"
    lines = _codec_lines(codec, f"{codec.fmtp};{bitrates}" if codec.fmtp else bitrates, wanted)
    if pick.rtx_payload_type:
        rtx = _rtx(codec, pick.rtx_payload_type)
        lines += _codec_lines(rtx, rtx.fmtp, ())
    return lines


def _rejected(section: Section) -> list[str]:
    formats = " ".join(map(str, section.codecs)) or "0"
    head = f"m={section.kind} 0 {section.protocol} {formats}"
    return [head, "c=IN IP4 0.0.0.0", f"a=mid:{section.mid}", "a=inactive"]


class Outgoing(msgspec.Struct, frozen=True):
    """One section to a viewer. `ssrc` 0: nothing is sent in it at present."""

    mid: str
    kind: str
    codec: Codec
    rtx_payload_type: int
    ssrc: int
    rtx_ssrc: int
    participant_id: str
    track_id: str
    red_payload_type: int = 0


def write_offer(sections: Sequence[Outgoing], local: Local, version: int) -> str:
    """Offer to a subscriber. We are always the DTLS server: an answer other than `setup:active` is refused."""
    lines = _head([s.mid for s in sections], version)
    for s in sections:
        lines += _sending(s, local, "actpass", VIEWER_EXTENSIONS[s.kind], VIEWER_FEEDBACK[s.kind])
    return "\r\n".join(lines) + "\r\n"


def write_viewer_answer(
    offer: Description, sections: Mapping[str, Outgoing], local: Local, setup: str, version: int
) -> str:
    """Answer to a viewer: `sections` (by mid) are sent, the others rejected.

    Ids of header extensions are the offer's to give (RFC 8285 6) and ours are fixed: taken is what agrees.
    """
    lines = _head([s.mid for s in offer.sections if s.mid in sections], version)
    for section in offer.sections:
        s = sections.get(section.mid)
        if s is None:
            lines += _rejected(section)
            continue
        extensions = {u: id for u, id in VIEWER_EXTENSIONS[s.kind].items() if section.extensions.get(u) == id}
        numbered = TRANSPORT_SEQUENCE in extensions  # feedback on arrivals needs our numbers in the packets
        feedback = [
            item
            for item in VIEWER_FEEDBACK[s.kind]
            if item in s.codec.feedback and (numbered or item != TRANSPORT_FEEDBACK)
        ]
        lines += _sending(s, local, setup, extensions, feedback)
    return "\r\n".join(lines) + "\r\n"


def _sending(
    s: Outgoing, local: Local, setup: str, extensions: Mapping[str, int], feedback: Sequence[str]
) -> list[str]:
    numbers = [n for n in (s.codec.payload_type, s.rtx_payload_type, s.red_payload_type) if n]
    lines = [
        f"m={s.kind} 9 UDP/TLS/RTP/SAVPF {' '.join(map(str, numbers))}",
        "c=IN IP4 0.0.0.0",
        f"a=mid:{s.mid}",
        "a=sendonly" if s.ssrc else "a=inactive",
        *_transport(local, setup),
        "a=rtcp-rsize",
        *(f"a=extmap:{id} {uri}" for uri, id in extensions.items()),
        *_codec_lines(s.codec, OPUS_PARAMETERS if s.kind == "audio" else s.codec.fmtp, feedback),
        *_red(s.codec, s.red_payload_type),
    ]
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
    return lines
