"""SRTP against published vectors: key derivation of RFC 3711 B.3, AES-GCM of RFC 7714 16 and 17."""

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

import sfu.srtp
from sfu.forwarding import copy
from sfu.srtp import Profile, ReceiveKeys, SendKeys, derive

KEY_128 = bytes(range(16))
KEY_256 = bytes(range(32))
SALT = bytes.fromhex("51756964 2070726f 2071756f")
RTP_HEADER = bytes.fromhex("8040f17b 8041f8d3 5501a0b2")
RTP_TEXT = b"Gallia est omnis divisa in partes tres"
RTP_128 = bytes.fromhex(
    "f24de3a3 fb34de6c acba861c 9d7e4bca be633bd5 0d294e6f 42a5f47a 51c7d19b 36de3adf 8833899d 7f27beb1 6a9152cf"
    "765ee439 0cce"
)
RTP_256 = bytes.fromhex(
    "32b1de78 a822fe12 ef9f78fa 332e33aa b1801238 9a58e2f3 b50b2a02 76ffae0f 1ba63799 b87b7aa3 db36dfff d6b0f9bb"
    "7878d7a7 6c13"
)
RTCP_PLAIN = bytes.fromhex(
    "81c8000d 4d617273 4e545031 4e545032 52545020 0000042a 0000e930 4c756e61 deadbeef deadbeef deadbeef deadbeef"
    "deadbeef"
)
RTCP_INDEX = 0x5D4
RTCP_128 = bytes.fromhex(
    "81c8000d 4d617273 63e94885 dcdab67c a727d766 2f6b7e99 7ff5c0f7 6c06f32d c676a5f1 730d6fda 4ce09b46 86303ded"
    "0bb9275b c84aa458 96cf4d2f c5abf872 45d9eade 800005d4"
)


def test_session_keys_are_those_of_rfc_3711_b_3() -> None:
    master = bytes.fromhex("E1F97A0D3E018BE0D64FA32C06DE4139 0EC675AD498AFEEBB6960B3AABE6")
    assert derive(master, 16, 0, 16) == bytes.fromhex("C61E7A93744F39EE10734AFE3FF7A087")
    assert derive(master, 16, 2, 14) == bytes.fromhex("30CBBC08863D8C85D49DB34A9AE1")
    assert derive(master, 16, 1, 20) == bytes.fromhex("CEBE321F6FF7716B6FD4AB49AF256A156D38BAA4")


@pytest.mark.parametrize(("key", "sealed"), [(KEY_128, RTP_128), (KEY_256, RTP_256)], ids=["128", "256"])
def test_the_packet_path_makes_the_packet_of_rfc_7714_16(key: bytes, sealed: bytes) -> None:
    ssrc, timestamp, sequence = 0x5501A0B2, 0x8041F8D3, 0xF17B
    nonce = int.from_bytes(SALT, "big") ^ ssrc << 48
    target = (None, AESGCM(key).encrypt, nonce, 0, 0, 0, 0, ssrc, 0x40, None, None, None)
    buffers = copy([(0x8000, timestamp, sequence, b"", RTP_TEXT)], target, -1)  # type: ignore[arg-type]
    assert b"".join(buffers) == RTP_HEADER + sealed


@pytest.fixture
def session_keys_given(monkeypatch: pytest.MonkeyPatch) -> None:
    """RFC 7714 gives session keys, not the master keys that they are derived from."""
    monkeypatch.setattr(sfu.srtp, "derive", lambda _master, _size, label, _length: SALT if label in (2, 5) else KEY_128)


@pytest.mark.usefixtures("session_keys_given")
def test_rtcp_is_sealed_as_in_rfc_7714_17() -> None:
    keys = SendKeys(Profile.AEAD_AES_128_GCM, bytes(28))
    for _ in range(RTCP_INDEX - 1):
        keys.protect_rtcp(RTCP_PLAIN)
    assert keys.protect_rtcp(RTCP_PLAIN) == RTCP_128


@pytest.mark.usefixtures("session_keys_given")
def test_rtcp_is_opened_as_in_rfc_7714_17() -> None:
    assert ReceiveKeys(Profile.AEAD_AES_128_GCM, bytes(28)).unprotect_rtcp(RTCP_128) == RTCP_PLAIN
