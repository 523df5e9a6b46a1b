"""Settings of the media plane: the `[media]` table of config.toml."""

import msgspec

VIDEO_CODECS = ("VP8", "VP9", "H264", "AV1")


class MediaLimits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`[media.limits]`: what one participant may use. What exceeds a limit is refused or dropped, counted, and the page
    is told (`sfu.interfaces.Limit`)."""

    tracks: int = 8
    """Published at once by one participant, 1..16."""
    streams: int = 16
    """SSRCs of one connection, repair streams included: 2 video tracks of 3 layers with RTX, and 4 audio tracks."""
    subscriptions: int = 64
    """Tracks sent to one participant at once, 1..64 (that many m-lines our own parser takes)."""
    incoming_bps: int = 20_000_000
    """Received on one connection, sustained, headers of UDP and IP left out; a second's worth may come at once. Three
    times what a page sends with camera and screen at 2.5 Mbit/s each, a third more for simulcast, and repairs."""
    history_s: float = 1.5
    """How long a packet is kept for retransmission: a viewer asks again for at most about 1 s (libwebrtc), plus a slow
    round trip."""
    history_packets: int = 8_192
    """Kept at most per received stream: 5,400 packets/s for 1.5 s, 60 Mbit/s of video. Rounded down to a power of two.
    Overflow: the oldest goes early."""


class MediaSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an operator can set for media; every field has a default that works on one machine."""

    port: int = 8189
    """UDP port for all media of all participants, 1..65535 (0: any free port, for tests)."""
    tcp: bool = True
    """Media over TCP on the same port number, for networks that block UDP."""
    advertise: tuple[str, ...] = ()
    """Addresses offered to browsers as `address` or `address:port` (`[v6]:port`); empty: every address of the machine.
    Addresses of the machine are bound; for others (port-mapped NAT) every address of the machine is bound."""
    video_codecs: tuple[str, ...] = VIDEO_CODECS
    """Order of preference, a subset of VIDEO_CODECS, at least one."""
    max_video_bps: int = 2_500_000
    """Highest bitrate asked from a publisher for one video track."""
    loudest: int = 0
    """Microphones of a room that are forwarded at a time, the loudest; 0: all with up to 12 participants, else 6."""
    max_viewer_lines: int = 0
    """Largest picture, in lines, that viewers are sent of a track in several layers (0: no limit). Recordings get the
    best."""
    red: bool = False
    """Browsers send their sound as RED, each packet with the one before, and viewers who can are sent it like that."""
    simulcast: bool = False
    """Pages send their cameras in up to three sizes, and every viewer gets the one that fits."""
    temporal_layers: bool = False
    """Pages send VP9 and AV1 in three temporal layers, as they always send VP8."""
    limits: MediaLimits = MediaLimits()
