"""Values out of range, of a wrong form, or that do not go together are refused by their full key."""

from collections.abc import Iterator

import msgspec
import pytest

from stemroom.checks import RANGES, value_of
from stemroom.config import Config, ConfigError, parse


def refused(text: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        parse(text)
    return [problem.key for problem in caught.value.problems]


def numbers(kind: type[msgspec.Struct], prefix: str = "") -> Iterator[str]:
    for field in msgspec.structs.fields(kind):
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            yield from numbers(field.type, f"{prefix}{field.name}.")
        elif field.type in (int, float):
            yield prefix + field.name


def test_every_number_of_the_configuration_has_a_range() -> None:
    assert set(numbers(Config)) == set(RANGES)


def test_the_defaults_are_within_their_ranges() -> None:
    for key, (low, high) in RANGES.items():
        assert low <= value_of(Config(), key) <= high, key


@pytest.mark.parametrize("key", RANGES)
def test_a_number_outside_its_range_is_refused(key: str) -> None:
    low, high = RANGES[key]
    table, _, name = key.rpartition(".")
    for value in (low - 1, high + 1):
        assert key in refused(f"[{table}]\n{name} = {value}\n")


def test_nan_and_infinity_are_refused() -> None:
    for value in ("nan", "inf", "-inf"):
        assert refused(f"[session]\ngrace_s = {value}\n") == ["session.grace_s"]


def test_the_message_says_the_range_and_the_line() -> None:
    with pytest.raises(ConfigError, match=r"x\.toml: line 2: media\.port: must be from 0 to 65_535"):
        parse("[media]\nport = 70_000\n", "x.toml")


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[http]\ntls_cert = 'a.pem'", "http.tls_key"),
        ("[http]\ntls_key = 'a.pem'", "http.tls_cert"),
        ("[http]\nhost = ''", "http.host"),
        ("[data]\nfolder = ' '", "data.folder"),
        ("[log]\nlevel = 'loud'", "log.level"),
        ("[http]\npublic_url = 'studio.example'", "http.public_url"),
        ("[http]\npublic_url = 'https://studio.example/path'", "http.public_url"),
        ("[http]\npublic_url = 'https://a:b@studio.example'", "http.public_url"),
        ("[http]\npublic_url = 'https://studio.example:99999'", "http.public_url"),
        ("[http]\ntrusted_proxies = ['10.0.0.0/8', 'proxy']", "http.trusted_proxies[1]"),
        ("[operators]\nport = 8080", "operators.port"),
        ("[media]\nvideo_codecs = []", "media.video_codecs"),
        ("[media]\nvideo_codecs = ['VP8', 'VP8']", "media.video_codecs"),
        ("[media]\nvideo_codecs = ['vp8']", "media.video_codecs"),
        ("[media]\nadvertise = ['studio.example']", "media.advertise[0]"),
        ("[media]\nadvertise = ['127.0.0.1', '127.0.0.1:0']", "media.advertise[1]"),
        ("[media]\nadvertise = ['0.0.0.0']", "media.advertise[0]"),
        ("[media]\nadvertise = ['224.0.0.1']", "media.advertise[0]"),
        ("[media]\nadvertise = ['[::1]:70000']", "media.advertise[0]"),
        ("[session]\nheartbeat_s = 5.1", "session.heartbeat_s"),
        ("[session]\nheartbeat_s = 4.0\ndead_after_s = 4.0", "session.heartbeat_s"),
        ("[database]\nurl = 'mysql://localhost/a'", "database.url"),
        ("[database]\nurl = 'postgresql://localhost/a'", "database.url"),
        ("[object_store]\nkind = 'ftp'", "object_store.kind"),
        ("[object_store.s3]\nsecret_key = 'minioadmin'", "object_store.s3.secret_key"),
        ("[turn]\nurls = ['turn:turn.example']", "turn.secret"),
        ("[turn]\nurls = ['turn:turn.example']\nsecret = 'short'", "turn.secret"),
        ("[turn]\nurls = ['turn.example:3478']\nsecret = 'abcdefghabcdefgh'", "turn.urls[0]"),
        ("[turn]\nurls = ['stun:turn.example']\nsecret = 'abcdefghabcdefgh'", "turn.urls[0]"),
        ("[turn]\nurls = ['turn:a b']\nsecret = 'abcdefghabcdefgh'", "turn.urls[0]"),
        (f"[turn]\nurls = {['turn:turn.example'] * 6}\nsecret = 'abcdefghabcdefgh'", "turn.urls"),
        ("[turn]\nttl_s = 59", "turn.ttl_s"),
        ("[media]\nport = 8080", "media.port"),
        ("[media]\nport = 8081", "media.port"),
        ("[object_store.s3]\naccess_key = 'minioadmin'", "object_store.s3.access_key"),
    ],
)
def test_a_value_that_cannot_work_is_refused(text: str, key: str) -> None:
    assert refused(text) == [key]


@pytest.mark.parametrize(
    "text",
    [
        "[http]\ntls_cert = 'a.pem'\ntls_key = 'b.pem'",
        "[http]\npublic_url = 'https://studio.example:8443'",
        "[http]\npublic_url = 'http://[::1]:80/'",
        "[http]\ntrusted_proxies = ['127.0.0.1', '10.0.0.0/8', 'fd00::/8']",
        "[http]\nport = 0\n[operators]\nport = 0",
        "[http]\nhost = '127.0.0.2'\n[operators]\nport = 8080",
        "[media]\nadvertise = ['127.0.0.1', '203.0.113.5:4000', '::1', '[2001:db8::1]:8189']",
        "[database]\nurl = 'sqlite+aiosqlite:////srv/stemroom.db'",
    ],
)
def test_a_value_that_can_work_is_taken(text: str) -> None:
    parse(text)


S3 = """
[object_store]
kind = "s3"
[object_store.s3]
endpoint = "http://127.0.0.1:9000"
access_key = "studio"
secret_key = "correct horse"
"""


def test_s3_with_its_keys_is_taken() -> None:
    assert parse(S3).object_store.kind == "s3"


@pytest.mark.parametrize("name", ["endpoint", "access_key", "secret_key"])
def test_s3_without_what_it_needs_is_refused(name: str) -> None:
    text = "\n".join(line for line in S3.splitlines() if not line.startswith(name))
    assert refused(text) == [f"object_store.s3.{name}"]


@pytest.mark.parametrize(
    ("line", "key"),
    [
        ("public_endpoint = 'files.example'", "object_store.s3.public_endpoint"),
        ("public_endpoint = 'ftp://files.example'", "object_store.s3.public_endpoint"),
        ("bucket = 'No Bucket'", "object_store.s3.bucket"),
        ("bucket = ''", "object_store.s3.bucket"),
        ("region = ''", "object_store.s3.region"),
        ("prefix = '/a'", "object_store.s3.prefix"),
        ("prefix = '../a'", "object_store.s3.prefix"),
    ],
)
def test_s3_settings_of_a_wrong_form_are_refused(line: str, key: str) -> None:
    assert refused(S3 + line) == [key]
