"""What a value in config.toml may be: ranges, forms, and what must go together.

Guarantees: pure; looks at no file and no network. Whether a certificate can be loaded or a port is free is found out
when the program starts.
"""

import ipaddress
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from sfu.settings import VIDEO_CODECS

if TYPE_CHECKING:
    from stemroom.config import Config

Found = Iterator[tuple[str, str]]
"""Full key and message."""

RANGES: dict[str, tuple[float, float]] = {
    "http.port": (0, 65_535),
    "operators.port": (0, 65_535),
    "media.port": (0, 65_535),
    "media.max_video_bps": (100_000, 50_000_000),
    "media.limits.tracks": (1, 16),
    "media.limits.streams": (2, 64),
    "media.limits.subscriptions": (1, 64),
    "media.limits.incoming_bps": (1_000_000, 1_000_000_000),
    "media.limits.history_s": (0.2, 5),
    "media.limits.history_packets": (64, 65_536),
    "media.loudest": (0, 100),
    "turn.ttl_s": (60, 604_800),
    "media.max_viewer_lines": (0, 8640),
    "session.max_participants": (2, 100),
    "session.heartbeat_s": (0.1, 5),
    "session.dead_after_s": (0.2, 300),
    "session.grace_s": (0, 3_600),
    "session.hello_s": (0.1, 60),
    "session.capture_video_bps": (100_000, 100_000_000),
    "session.capture_audio_bps": (16_000, 510_000),
    "session.max_rooms": (1, 100_000),
    "session.queue_bytes": (1 << 16, 1 << 26),
    "recorder.keep_journal_days": (0, 3_650),
    "recorder.gap_wait_s": (0, 30),
    "recorder.write_interval_s": (0.01, 1),
    "recorder.queue_bytes": (1 << 20, 1 << 34),
    "recorder.index_bytes": (1 << 10, 1 << 24),
    "recorder.reserve_bytes": (0, 1 << 50),
    "recorder.reserve_share": (0, 0.9),
    "recorder.spool_bytes": (0, 1 << 50),
    "object_store.url_life_s": (30, 3_600),
    "object_store.s3.timeout_s": (1, 600),
}
"""Inclusive. A number that is not listed here has no limit of its own (a test holds the list to the structs)."""

CHOICES: dict[str, tuple[str, ...]] = {
    "object_store.kind": ("folder", "s3"),
}

NOT_EMPTY = ("data.folder", "http.host", "operators.host")

DEFAULT_PASSWORDS = ("minioadmin",)
"""Known to everybody, so as good as none."""

MAX_TURN_URLS = 5
MIN_TURN_SECRET = 16
"""Characters. Whoever guesses it from one pair of credentials has a relay for good."""

DATABASES = ("sqlite+aiosqlite", "postgresql+asyncpg")


def value_problems(config: "Config") -> Found:
    """Every value that cannot be used, in the order of the checks below."""
    yield from _listed(config)
    yield from _http(config)
    yield from _media(config)
    yield from _turn(config)
    yield from _storage(config)


def _listed(config: "Config") -> Found:
    for key, (low, high) in RANGES.items():
        if not low <= value_of(config, key) <= high:  # also true of nan
            yield key, f"must be from {low:,} to {high:,}".replace(",", "_")
    for key, choices in CHOICES.items():
        if value_of(config, key) not in choices:
            yield key, f"must be one of {', '.join(choices)}"
    for key in NOT_EMPTY:
        if not value_of(config, key).strip():
            yield key, "must not be empty"
    if config.session.heartbeat_s >= config.session.dead_after_s:
        yield "session.heartbeat_s", "must be less than session.dead_after_s"


def _http(config: "Config") -> Found:
    http, operators = config.http, config.operators
    if bool(http.tls_cert) != bool(http.tls_key):
        yield ("http.tls_key" if http.tls_cert else "http.tls_cert"), "http.tls_cert and http.tls_key go together"
    if http.public_url and not _is_origin(http.public_url):
        yield "http.public_url", "must be http:// or https://, a host, a port if it is not the usual one, and no path"
    for position, network in enumerate(http.trusted_proxies):
        try:
            ipaddress.ip_network(network, strict=False)
        except ValueError:
            yield f"http.trusted_proxies[{position}]", f"{network!r} is neither an address nor a network"
    if http.port and http.port == operators.port and _hosts_overlap(http.host, operators.host):
        yield "operators.port", "must differ from http.port: both listen on the same address"


def _media(config: "Config") -> Found:
    codecs = config.media.video_codecs
    if not codecs or len(set(codecs)) < len(codecs) or not set(codecs) <= set(VIDEO_CODECS):
        yield "media.video_codecs", f"must list one or more of {', '.join(VIDEO_CODECS)}, each once"
    for position, written in enumerate(config.media.advertise):
        if not _is_media_address(written):
            yield f"media.advertise[{position}]", f"{written!r} is not an address, address:port or [v6 address]:port"

    media, listeners = config.media, (("http", config.http.port), ("operators", config.operators.port))
    for name, port in listeners:
        if media.tcp and media.port and media.port == port:
            yield "media.port", f"must differ from {name}.port with media.tcp: both listen for TCP"


def _turn(config: "Config") -> Found:
    turn = config.turn
    for position, url in enumerate(turn.urls):
        if not re.fullmatch(r"turns?:([A-Za-z0-9.-]+|\[[0-9A-Fa-f:]+\])(:\d{1,5})?(\?transport=(udp|tcp))?", url):
            yield (
                f"turn.urls[{position}]",
                f"{url!r} is not turn:host, turn:host:port or such with ?transport=udp or tcp",
            )
    if len(turn.urls) > MAX_TURN_URLS:
        yield "turn.urls", f"at most {MAX_TURN_URLS}: browsers try them all and become slow"
    if turn.urls and len(turn.secret) < MIN_TURN_SECRET:
        yield "turn.secret", f"is needed with turn.urls, at least {MIN_TURN_SECRET} characters"


def _storage(config: "Config") -> Found:
    url = config.database.url
    if url and url.partition("://")[0] not in DATABASES:
        yield "database.url", f"must begin with {' or '.join(f'{name}://' for name in DATABASES)}"
    s3 = config.object_store.s3
    for name in ("access_key", "secret_key"):
        if getattr(s3, name) in DEFAULT_PASSWORDS:
            yield f"object_store.s3.{name}", f"{getattr(s3, name)} is the default that everybody knows; set your own"
    if config.object_store.kind != "s3":
        return
    for name in ("endpoint", "access_key", "secret_key", "region", "bucket"):
        if not getattr(s3, name):
            yield f"object_store.s3.{name}", 'is needed with object_store.kind = "s3"'
    for name in ("endpoint", "public_endpoint"):
        if getattr(s3, name) and not _is_origin(getattr(s3, name)):
            yield f"object_store.s3.{name}", "must be http:// or https://, a host, a port if it is not the usual one"
    if s3.bucket and not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", s3.bucket):
        yield "object_store.s3.bucket", "must be 3 to 63 of a-z, 0-9, dot and hyphen (an S3 bucket name)"
    if s3.prefix and not re.fullmatch(r"[a-zA-Z0-9_-][a-zA-Z0-9._/-]{0,199}", s3.prefix):
        yield "object_store.s3.prefix", "must be at most 200 of a-z, A-Z, 0-9, and . _ - /, not beginning with . or /"


def value_of(config: "Config", key: str) -> Any:
    """The value of a full key such as `media.port`."""
    value: Any = config
    for name in key.split("."):
        value = getattr(value, name)
    return value


def _is_origin(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    return (
        parts.scheme in ("http", "https")
        and bool(parts.hostname)
        and port != 0
        and parts.username is None
        and parts.path in ("", "/")
        and not parts.query
        and not parts.fragment
        and not re.search(r"\s", url)
    )


def _is_media_address(written: str) -> bool:
    with_port = re.fullmatch(r"(?:\[([^\]]+)\]|([^:\[\]]+)):(\d{1,5})", written)
    address = (with_port[1] or with_port[2]) if with_port else written
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    if parsed.is_unspecified or parsed.is_multicast:
        return False
    return with_port is None or 1 <= int(with_port[3]) <= 65_535


def _hosts_overlap(one: str, other: str) -> bool:
    everywhere = {"0.0.0.0", "::", ""}
    same = {"localhost": "127.0.0.1"}
    return bool({one, other} & everywhere) or same.get(one, one) == same.get(other, other)
