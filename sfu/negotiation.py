"""What we answer and offer: choosing codecs and extensions; sfu.descriptions writes it down. No I/O.

A publisher's section is answered with one codec (and its RTX), and behind it the others that its sender may change to
by itself, which makes another track of it (sfu.inbound); with simulcast there are none. A subscription is offered with
exactly the codec that its track is published with.
"""

from collections.abc import Sequence

import msgspec
from msgspec.structs import replace

from sfu.codecs.dependency_descriptor import URI as DEPENDENCY_DESCRIPTOR
from sfu.forwarding import SEQUENCE_ID
from sfu.interfaces import NegotiationError
from sfu.sdp import Codec, Description, Section

MID = "urn:ietf:params:rtp-hdrext:sdes:mid"
RID = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id"
REPAIRED_RID = "urn:ietf:params:rtp-hdrext:sdes:repaired-rtp-stream-id"
TRANSPORT_SEQUENCE = "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01"
ORIENTATION = "urn:3gpp:video-orientation"
AUDIO_LEVEL = "urn:ietf:params:rtp-hdrext:ssrc-audio-level"

TRANSPORT_FEEDBACK, REMB = "transport-cc", "goog-remb"
"""How a receiver says what its network carries, as `a=rtcp-fb` has it: by arrivals, or by its own estimate."""

_H264_PROFILES = ("42e0", "4200", "4d00", "640c", "6400")
"""First half of profile-level-id, best known to decoders first (constrained baseline, baseline, main, high)."""

PUBLISH_EXTENSIONS = (MID, RID, REPAIRED_RID, TRANSPORT_SEQUENCE, ORIENTATION, AUDIO_LEVEL)
AV1_EXTENSIONS = (*PUBLISH_EXTENSIONS, DEPENDENCY_DESCRIPTOR)
"""Other codecs say in their payload which temporal layer a packet belongs to. Where the descriptor is negotiated
Chromium leaves that out of VP8's (tried with version 156)."""

OPUS_PARAMETERS = "minptime=10;useinbandfec=1;stereo=1;sprop-stereo=1;usedtx=0;maxaveragebitrate=96000"
"""Stereo survives only if both are named; silence is sent (no DTX), since a recording needs it."""


class Chosen(msgspec.Struct, frozen=True):
    """What a publisher's section is answered with."""

    codec: Codec
    rtx_payload_type: int
    """0: no RTX."""
    rids: tuple[str, ...] = ()
    """Simulcast encodings that are taken, in the order of the offer; empty: one encoding without a name."""
    red_payload_type: int = 0
    """Of RED (RFC 2198) around this codec; 0: no RED."""
    others: tuple["Chosen", ...] = ()
    """What the sender may change to, the best first."""

    def other(self, payload_type: int) -> "Chosen | None":
        """The choice with the codec of this payload type in front; None: it is none of the others."""
        for codec in self.others:
            if codec.codec.payload_type == payload_type:
                rest = tuple(other for other in (replace(self, others=()), *self.others) if other is not codec)
                return replace(codec, others=rest)
        return None


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


def check_offer(description: Description) -> Section:
    """As check_transport; the offer must say which DTLS roles it leaves us, and have one transport for all."""
    section = check_transport(description)
    together = {s.mid for s in description.sections if not s.rejected and s.kind in ("audio", "video")}
    if len(together) > 1 and not together <= description.bundled:
        raise NegotiationError("bundle_required", "all sections of sound and pictures must be in one BUNDLE group")
    if section.setup not in ("actpass", "active", "passive"):
        raise NegotiationError("bad_sdp", "the offer says no DTLS role (setup:actpass)")
    return section


def choose(section: Section, video_codecs: Sequence[str], red: bool = False) -> Chosen | None:
    """The codec to answer a section with; None: nothing that we take (the section is rejected). `red`: sound may come
    as RED."""
    if section.kind == "audio":
        codec = next((c for c in section.codecs.values() if c.name == "opus" and c.clock_rate_hz == 48000), None)
        return Chosen(codec, 0, red_payload_type=_red_of(section, codec) if red else 0) if codec else None
    if section.kind != "video":
        return None
    found: list[Chosen] = []
    for wanted in video_codecs:
        codec = min(
            (c for c in section.codecs.values() if c.name == wanted.lower() and c.clock_rate_hz == 90000),
            key=_oddity,
            default=None,
        )
        if codec is not None and _oddity(codec) < 9:
            named = {MID, RID} <= section.extensions.keys()
            found.append(Chosen(codec, _rtx_of(section, codec), tuple(section.rids) if named else ()))
    if not found:
        return None
    return found[0] if found[0].rids else replace(found[0], others=tuple(found[1:]))


def accept(section: Section, published: Codec, red: bool = False) -> Chosen | None:
    """Under which payload types of its own a viewer's section takes a track; None: it does not.

    `published`: the track's codec, canonical. `red`: the track is published as RED around it.
    """
    takers = (codec for codec in section.codecs.values() if takes(codec, published))
    codec = min(takers, key=_oddity, default=None)
    if codec is None:
        return None
    return Chosen(codec, _rtx_of(section, codec), red_payload_type=_red_of(section, codec) if red else 0)


def takes(offered: Codec, published: Codec) -> bool:
    """Whether a viewer that offers this codec is sent a track in that one."""
    same = (offered.name, offered.clock_rate_hz) == (published.name, published.clock_rate_hz)
    return same and _oddity(offered) < 9


def _rtx_of(section: Section, codec: Codec) -> int:
    """Payload type of the retransmissions of a codec; 0: none is offered."""
    number = str(codec.payload_type)
    found = (c.payload_type for c in section.codecs.values() if c.name == "rtx" and c.parameter("apt") == number)
    return next(found, 0)


def _red_of(section: Section, opus: Codec) -> int:
    """Payload type of RED that carries nothing but this codec; 0: none is offered."""
    for codec in section.codecs.values():
        if codec.name == "red" and codec.clock_rate_hz == opus.clock_rate_hz and codec.channels == opus.channels:
            if set(codec.fmtp.split("/")) == {str(opus.payload_type)}:
                return codec.payload_type
    return 0


def _oddity(codec: Codec) -> int:
    """0 for the variant that every browser decodes, more for others, 9 for what we do not forward."""
    if codec.name == "h264":
        profile = _h264_profile(codec)
        return _H264_PROFILES.index(profile) if profile and codec.parameter("packetization-mode") == "1" else 9
    if codec.name == "vp9":
        return 0 if codec.parameter("profile-id") in ("", "0") else 9
    if codec.name == "av1":
        return 0 if codec.parameter("profile") in ("", "0") else 9
    return 0


def _h264_profile(codec: Codec) -> str:
    """The one of _H264_PROFILES that `profile-level-id` means (RFC 6184 table 5): encoders write the same profile with
    various flags. Empty: none of them."""
    named = codec.parameter("profile-level-id") or "42000a"  # what no name means (RFC 6184 8.1)
    try:
        profile, flags = int(named[:2], 16), int(named[2:4], 16)
    except ValueError:
        return ""
    if profile == 0x42:
        return "42e0" if flags & 0x40 else "4200"
    if profile == 0x4D:
        return "42e0" if flags & 0x80 else "4d00"
    if profile == 0x64:
        return "640c" if flags & 0x0C == 0x0C else "6400"
    return ""


def canonical(codec: Codec) -> Codec:
    """The codec as viewers are offered it: of the publisher's parameters only those that decide how to decode.

    Few can be told apart, so nobody can use up the payload types of a viewer's connection.
    """
    fmtp = codec.fmtp
    if codec.name == "h264":
        # The profile that every browser offers, whatever it is: they decode more than they offer. Chromium names the
        # high profiles by 4:4:4 alone, and would refuse a camera in plain high.
        fmtp = f"level-asymmetry-allowed=1;packetization-mode=1;profile-level-id={_H264_PROFILES[0]}1f"
    elif codec.name == "vp9":
        fmtp = "profile-id=0"
    elif codec.name == "av1":
        fmtp = "level-idx=5;profile=0;tier=0"
    elif codec.name == "vp8":
        fmtp = ""
    return replace(codec, fmtp=fmtp)


def feedback_of(section: Section, payload_type: int) -> str:
    """What a viewer's answer to one of our sections takes of both: TRANSPORT_FEEDBACK, REMB, or empty."""
    codec = section.codecs.get(payload_type)
    if codec is None:
        return ""
    if TRANSPORT_FEEDBACK in codec.feedback and section.extensions.get(TRANSPORT_SEQUENCE) == SEQUENCE_ID:
        return TRANSPORT_FEEDBACK
    return REMB if REMB in codec.feedback else ""
