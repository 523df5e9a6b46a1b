"""Just enough SDP for raw peers: offers as a browser writes them, answers to a server's offers, and reading both.

Descriptions stay lists of lines; nothing is normalised, so that a test sees what was on the wire.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field

AUDIO_LEVEL = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"
TRANSPORT_CC = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
MID = "urn:ietf:params:rtp-hdrext:sdes:mid"

OPUS = 111
RED = 63
VIDEO = {"VP8": 96, "VP9": 98, "H264": 103, "AV1": 45}
"""Payload types as Chromium gives them; RTX has the next number."""
FMTP = {"VP8": "", "VP9": "profile-id=0", "AV1": "level-idx=5;profile=0;tier=0"}
FMTP["H264"] = "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"


@dataclass(frozen=True)
class Credentials:
    """What one end says of its transport."""

    ufrag: str
    password: str
    fingerprint: str
    """Value of a SHA-256 fingerprint."""

    def lines(self, setup: str) -> list[str]:
        return [
            f"a=ice-ufrag:{self.ufrag}",
            f"a=ice-pwd:{self.password}",
            f"a=fingerprint:sha-256 {self.fingerprint}",
            f"a=setup:{setup}",
        ]


@dataclass
class Media:
    """One m-line and what belongs to it."""

    lines: list[str]

    @property
    def kind(self) -> str:
        return self.lines[0][2:].split()[0]

    @property
    def rejected(self) -> bool:
        return self.lines[0].split()[1] == "0"

    @property
    def mid(self) -> str:
        return self.values("mid")[0]

    @property
    def direction(self) -> str:
        return next((d for d in ("sendonly", "recvonly", "inactive") if f"a={d}" in self.lines), "sendrecv")

    def values(self, name: str) -> list[str]:
        """Values of all `a=name:value` lines."""
        return [line[len(name) + 3 :] for line in self.lines if line.startswith(f"a={name}:")]

    def extension(self, uri: str) -> int:
        """Id of a header extension, 0 if it is not there."""
        ids = [int(value.split()[0].split("/")[0]) for value in self.values("extmap") if value.split()[1] == uri]
        return ids[0] if ids else 0

    def codecs(self) -> dict[int, str]:
        """Payload type -> encoding name in capitals, in order of preference; empty for data channels."""
        names = dict(value.split(" ", 1) for value in self.values("rtpmap"))
        return {int(pt): names.get(pt, "").split("/")[0].upper() for pt in self.lines[0].split()[3:] if pt.isdigit()}

    def ssrcs(self) -> list[int]:
        return list(dict.fromkeys(int(value.split()[0]) for value in self.values("ssrc")))


@dataclass
class Description:
    session: list[str]
    media: list[Media] = field(default_factory=list)

    @classmethod
    def parse(cls, sdp: str) -> "Description":
        parsed = cls([])
        for line in sdp.splitlines():
            if line.startswith("m="):
                parsed.media.append(Media([line]))
            else:
                (parsed.media[-1].lines if parsed.media else parsed.session).append(line)
        return parsed

    def first(self, name: str) -> str:
        """First value of an attribute, in the head or in any m-line."""
        head = Media(["m=head", *self.session])
        return next(value for part in (head, *self.media) for value in part.values(name))

    def candidates(self) -> list[tuple[str, int]]:
        """UDP host candidates, in order, without repetition."""
        found = [value.split() for part in self.media for value in part.values("candidate")]
        return list(dict.fromkeys((parts[4], int(parts[5])) for parts in found if parts[2].lower() == "udp"))


@dataclass(frozen=True)
class Outgoing:
    """An m-line that a raw peer offers to send."""

    mid: str
    kind: str
    """`audio` or `video`."""
    codec: str
    ssrc: int
    rtx_ssrc: int = 0
    more: tuple[str, ...] = ()
    """Video codecs that are offered behind it."""

    @property
    def payload_type(self) -> int:
        return {"opus": OPUS, "red": RED, **VIDEO}[self.codec]


def offer(credentials: Credentials, outgoing: Sequence[Outgoing]) -> str:
    """An offer to send, bundled, as browsers make it."""
    lines = _head([line.mid for line in outgoing])
    for line in outgoing:
        lines += _audio(line) if line.kind == "audio" else _video(line)
        lines += credentials.lines("actpass")
        lines += ["a=ice-options:trickle", f"a=mid:{line.mid}", "a=sendonly", "a=rtcp-mux", "a=rtcp-rsize"]
        lines += [f"a=msid:raw raw-{line.mid}", f"a=extmap:3 {TRANSPORT_CC}", f"a=extmap:4 {MID}"]
        lines += [f"a=ssrc:{ssrc} cname:raw" for ssrc in (line.ssrc, line.rtx_ssrc) if ssrc]
    return "\r\n".join(lines) + "\r\n"


def answer(credentials: Credentials, offered: Description) -> str:
    """Take everything that is offered, in the offered order of codecs."""
    lines = _head([media.mid for media in offered.media if not media.rejected])
    copied = ("a=rtpmap:", "a=fmtp:", "a=rtcp-fb:", "a=extmap:", "a=mid:", "a=rtcp-mux", "a=rtcp-rsize", "a=sctp-port:")
    for media in offered.media:
        port = "0" if media.rejected else "9"
        lines += [" ".join(["m=" + media.kind, port, *media.lines[0].split()[2:]]), "c=IN IP4 0.0.0.0"]
        lines += [line for line in media.lines if line.startswith(copied)]
        lines += credentials.lines("active")
        lines.append("a=recvonly" if media.direction == "sendonly" and not media.rejected else "a=inactive")
    return "\r\n".join(lines) + "\r\n"


def _head(mids: Sequence[str]) -> list[str]:
    return [
        "v=0",
        f"o=- {secrets.randbits(62)} 2 IN IP4 127.0.0.1",
        "s=-",
        "t=0 0",
        "a=group:BUNDLE " + " ".join(mids),
        "a=extmap-allow-mixed",
        "a=msid-semantic: WMS raw",
    ]


def _audio(line: Outgoing) -> list[str]:
    return [
        f"m=audio 9 UDP/TLS/RTP/SAVPF {OPUS}" + (f" {RED}" if line.codec == "red" else ""),
        "c=IN IP4 0.0.0.0",
        "a=rtcp:9 IN IP4 0.0.0.0",
        f"a=rtpmap:{OPUS} opus/48000/2",
        f"a=rtcp-fb:{OPUS} transport-cc",
        f"a=rtcp-fb:{OPUS} nack",
        f"a=fmtp:{OPUS} minptime=10;stereo=1;useinbandfec=1",
        f"a=extmap:1 {AUDIO_LEVEL}",
        *([f"a=rtpmap:{RED} red/48000/2", f"a=fmtp:{RED} {OPUS}/{OPUS}"] if line.codec == "red" else []),
    ]


def _video(line: Outgoing) -> list[str]:
    codecs = (line.codec, *line.more)
    numbers = " ".join(f"{VIDEO[codec]} {VIDEO[codec] + 1}" for codec in codecs)
    lines = [f"m=video 9 UDP/TLS/RTP/SAVPF {numbers}", "c=IN IP4 0.0.0.0", "a=rtcp:9 IN IP4 0.0.0.0"]
    for codec in codecs:
        pt = VIDEO[codec]
        lines += [
            f"a=rtpmap:{pt} {codec}/90000",
            *(f"a=rtcp-fb:{pt} {name}" for name in ("goog-remb", "transport-cc", "ccm fir", "nack", "nack pli")),
            *([f"a=fmtp:{pt} {FMTP[codec]}"] if FMTP[codec] else []),
            f"a=rtpmap:{pt + 1} rtx/90000",
            f"a=fmtp:{pt + 1} apt={pt}",
        ]
    if line.rtx_ssrc:
        lines.append(f"a=ssrc-group:FID {line.ssrc} {line.rtx_ssrc}")
    return lines
