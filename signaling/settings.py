"""Settings of the control plane: `[http]`, `[operators]`, `[session]` and `[turn]` of config.toml."""

import msgspec


class HttpSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    host: str = "0.0.0.0"
    port: int = 8080
    """0: any free port, for tests."""
    tls_cert: str = ""
    tls_key: str = ""
    public_url: str = ""
    """What participants type, e.g. `https://studio.example`; empty: taken from the request."""
    trusted_proxies: tuple[str, ...] = ()
    """Addresses or networks whose X-Forwarded-For/-Proto/-Host are believed."""


class OperatorsSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    host: str = "127.0.0.1"
    port: int = 8081


class SessionSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    max_participants: int = 12
    """Default and upper limit of a session, 2..100."""
    heartbeat_s: float = 5.0
    dead_after_s: float = 15.0
    grace_s: float = 60.0
    """How long a participant whose WebSocket is gone may come back as the same one."""
    hello_s: float = 5.0
    capture_video_bps: int = 8_000_000
    """Bitrate of the local copy's video."""
    capture_audio_bps: int = 256_000
    max_rooms: int = 1_000
    """Live on one node at once, far beyond what one core forwards; a stranger who joins sessions in a loop gets
    `too_many_rooms`."""
    queue_bytes: int = 1 << 20
    """What waits to be sent to one page. One that is further behind will not catch up: it is closed with 1013,
    reconnects and gets the state anew."""


class TurnSettings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A relay for participants who reach the media port neither by UDP nor by TCP."""

    urls: tuple[str, ...] = ()
    """`turn:host[:port][?transport=udp|tcp]` or `turns:`, as browsers reach it; empty: there is none."""
    secret: str = ""
    """Shared with the server (coturn: `static-auth-secret`)."""
    ttl_s: int = 43_200
    """How long credentials can be used after a page connected. A relay that was opened in time goes on."""
