"""Settings of the media plane: the `[media]` table of config.toml."""

import msgspec

VIDEO_CODECS = ("VP8", "VP9", "H264", "AV1")


class MediaSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an operator can set for media; every field has a default that works on one machine."""

    port: int = 8189
    """UDP port for all media of all participants, 1..65535 (0: any free port, for tests)."""
    advertise: tuple[str, ...] = ()
    """Addresses offered to browsers as `address` or `address:port` (`[v6]:port`); empty: every address of the machine.
    Addresses of the machine are bound; for others (port-mapped NAT) every address of the machine is bound."""
    video_codecs: tuple[str, ...] = VIDEO_CODECS
    """Order of preference, a subset of VIDEO_CODECS, at least one."""
    max_video_bps: int = 2_500_000
    """Highest bitrate asked from a publisher for one video track."""
    simulcast: bool = False
    """Pages send their cameras in up to three sizes (VP8), and every viewer gets the one that fits."""
