"""Each profile against libsrtp, an implementation of its own; and the replay window of RTCP."""

import random
import struct

import pylibsrtp
import pytest
from cryptography.exceptions import InvalidTag

from sfu.rtcp import pli
from sfu.srtp import MAX_RTCP_SENDERS, RTCP_WINDOW, Profile, ReceiveKeys, SendKeys, keys_from_exporter

SSRC = 0x01020304
_LIBSRTP = {
    Profile.AEAD_AES_128_GCM: pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_128_GCM,
    Profile.AEAD_AES_256_GCM: pylibsrtp.Policy.SRTP_PROFILE_AEAD_AES_256_GCM,
    Profile.AES128_CM_SHA1_80: pylibsrtp.Policy.SRTP_PROFILE_AES128_CM_SHA1_80,
}
every_profile = pytest.mark.parametrize("profile", list(Profile), ids=lambda profile: profile.name)
gcm = pytest.mark.parametrize(
    "profile", [Profile.AEAD_AES_128_GCM, Profile.AEAD_AES_256_GCM], ids=lambda profile: profile.name
)


def master(profile: Profile) -> bytes:
    return bytes(range(7, 7 + profile.key_bytes + profile.salt_bytes))


def libsrtp(profile: Profile, direction: int) -> pylibsrtp.Session:
    policy = pylibsrtp.Policy(key=master(profile), ssrc_type=direction, srtp_profile=_LIBSRTP[profile])
    return pylibsrtp.Session(policy)


def rtp(index: int, payload: bytes, *, extension: bytes = b"") -> tuple[bytes, bytes]:
    first = 0x90 if extension else 0x80
    return struct.pack("!BBHII", first, 96, index & 0xFFFF, 3000 * index & 0xFFFFFFFF, SSRC) + extension, payload


def nonce(salt: int, index: int) -> bytes:
    return (salt ^ SSRC << 48 ^ index).to_bytes(12, "big")


@every_profile
def test_libsrtp_opens_what_we_seal_also_over_the_wrap(profile: Profile) -> None:
    keys, session = SendKeys(profile, master(profile)), libsrtp(profile, pylibsrtp.Policy.SSRC_ANY_INBOUND)
    for index in range(0xFFF0, 0x10010):
        header, payload = rtp(index, b"payload %d" % index, extension=b"\xbe\xde\x00\x01\x10\x01\x00\x00")
        packet = header + keys.encrypt(nonce(keys.salt, index), payload, header)
        assert len(packet) == len(header) + len(payload) + (10 if profile is Profile.AES128_CM_SHA1_80 else 16)
        assert session.unprotect(packet) == header + payload


@every_profile
def test_we_open_what_libsrtp_seals_also_over_the_wrap(profile: Profile) -> None:
    keys, session = ReceiveKeys(profile, master(profile)), libsrtp(profile, pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
    for index in range(0xFFF0, 0x10010):
        header, payload = rtp(index, b"payload %d" % index)
        packet = session.protect(header + payload)
        assert keys.decrypt(nonce(keys.salt, index), packet[12:], packet[:12]) == payload


@every_profile
def test_the_longest_datagram_is_sealed_and_opened(profile: Profile) -> None:
    """pylibsrtp alone refuses more than 1,356 bytes: one publisher's large packets would raise in everybody's path."""
    sender, receiver = SendKeys(profile, master(profile)), ReceiveKeys(profile, master(profile))
    for index, size in enumerate((0, 1, 1340, 1345, 1500, 1600)):
        header, payload = rtp(index, bytes(size))
        sealed = sender.encrypt(nonce(sender.salt, index), payload, header)
        assert receiver.decrypt(nonce(receiver.salt, index), sealed, header) == payload


@every_profile
def test_a_late_packet_is_sealed_and_opened_under_its_own_index(profile: Profile) -> None:
    sender, receiver = SendKeys(profile, master(profile)), ReceiveKeys(profile, master(profile))
    for index in (1, 30_000, 60_000, 65_540, 65_535, 65_536, 62_000):
        header, payload = rtp(index, b"payload")
        sealed = sender.encrypt(nonce(sender.salt, index), payload, header)
        assert receiver.decrypt(nonce(receiver.salt, index), sealed, header) == payload


@every_profile
def test_what_was_touched_is_an_invalid_tag_and_so_is_what_is_too_short(profile: Profile) -> None:
    keys, session = ReceiveKeys(profile, master(profile)), libsrtp(profile, pylibsrtp.Policy.SSRC_ANY_OUTBOUND)
    packet = session.protect(b"".join(rtp(1, b"payload")))
    for place in range(12, len(packet)):
        touched = bytearray(packet)
        touched[place] ^= 1
        with pytest.raises(InvalidTag):
            keys.decrypt(nonce(keys.salt, 1), bytes(touched[12:]), packet[:12])
    for size in range(12, 21):
        with pytest.raises(InvalidTag):
            keys.decrypt(nonce(keys.salt, 1), packet[12:size], packet[:12])
    with pytest.raises(InvalidTag):
        keys.decrypt(nonce(keys.salt, 1), packet[12:], packet[:8] + b"\xff" + packet[9:12])


@every_profile
def test_libsrtp_opens_our_rtcp_and_we_open_its_own(profile: Profile) -> None:
    ours = SendKeys(profile, master(profile))
    opening = libsrtp(profile, pylibsrtp.Policy.SSRC_ANY_INBOUND)
    sealing, theirs = libsrtp(profile, pylibsrtp.Policy.SSRC_ANY_OUTBOUND), ReceiveKeys(profile, master(profile))
    for number in range(300):
        plain = pli(SSRC, number)
        assert opening.unprotect_rtcp(ours.protect_rtcp(plain)) == plain
        assert theirs.unprotect_rtcp(sealing.protect_rtcp(plain)) == plain


@every_profile
def test_rtcp_is_taken_once(profile: Profile) -> None:
    sender, receiver = SendKeys(profile, master(profile)), ReceiveKeys(profile, master(profile))
    packet = sender.protect_rtcp(pli(SSRC, 2))
    assert receiver.unprotect_rtcp(packet) == pli(SSRC, 2)
    assert receiver.unprotect_rtcp(packet) is None


@gcm
def test_rtcp_may_come_in_any_order_within_the_window(profile: Profile) -> None:
    sender, receiver = SendKeys(profile, master(profile)), ReceiveKeys(profile, master(profile))
    packets = [sender.protect_rtcp(pli(SSRC, number)) for number in range(RTCP_WINDOW)]
    random.Random(3).shuffle(packets)
    assert None not in [receiver.unprotect_rtcp(packet) for packet in packets]
    assert {receiver.unprotect_rtcp(packet) for packet in packets} == {None}


@gcm
def test_rtcp_older_than_the_window_is_refused_even_if_it_was_never_seen(profile: Profile) -> None:
    sender, receiver = SendKeys(profile, master(profile)), ReceiveKeys(profile, master(profile))
    packets = [sender.protect_rtcp(pli(SSRC, number)) for number in range(RTCP_WINDOW + 1)]
    assert receiver.unprotect_rtcp(packets[-1]) is not None
    assert receiver.unprotect_rtcp(packets[0]) is None
    assert receiver.unprotect_rtcp(packets[1]) is not None


@every_profile
def test_each_sender_of_rtcp_counts_its_packets_itself(profile: Profile) -> None:
    """Chromium reports on sound, on pictures and on arrivals under three SSRCs, each with indices from 1 on."""
    senders = [(ssrc, SendKeys(profile, master(profile))) for ssrc in (1, 0xFA17FA17, 0xFFFFFFFF)]
    receiver = ReceiveKeys(profile, master(profile))
    ahead, *others = senders
    for number in range(3 * RTCP_WINDOW):
        assert receiver.unprotect_rtcp(ahead[1].protect_rtcp(pli(ahead[0], number))) == pli(ahead[0], number)
    for ssrc, sender in others:
        for number in range(RTCP_WINDOW):
            packet = sender.protect_rtcp(pli(ssrc, number))
            assert receiver.unprotect_rtcp(packet) == pli(ssrc, number)
            assert receiver.unprotect_rtcp(packet) is None


@gcm
def test_there_is_an_end_to_the_senders_of_rtcp_and_forgers_take_no_place(profile: Profile) -> None:
    receiver = ReceiveKeys(profile, master(profile))

    def packet(ssrc: int) -> bytes:
        return SendKeys(profile, master(profile)).protect_rtcp(pli(ssrc, 2))

    for ssrc in range(2 * MAX_RTCP_SENDERS):
        sealed = packet(ssrc)
        assert receiver.unprotect_rtcp(sealed[:-6] + bytes((sealed[-6] ^ 1,)) + sealed[-5:]) is None
    assert None not in [receiver.unprotect_rtcp(packet(ssrc)) for ssrc in range(MAX_RTCP_SENDERS)]
    assert receiver.unprotect_rtcp(packet(MAX_RTCP_SENDERS)) is None
    assert receiver.unprotect_rtcp(packet(0)) is None, "seen before"


@gcm
def test_a_forged_rtcp_packet_does_not_move_the_window(profile: Profile) -> None:
    sender, receiver = SendKeys(profile, master(profile)), ReceiveKeys(profile, master(profile))
    packet = sender.protect_rtcp(pli(SSRC, 2))
    forged = packet[:-4] + (0x80000000 | 0x7FFFFFFF).to_bytes(4, "big")
    assert receiver.unprotect_rtcp(forged) is None
    assert receiver.unprotect_rtcp(packet[:-4] + b"\0" + packet[-3:]) is None, "not marked as encrypted"
    assert receiver.unprotect_rtcp(packet) is not None


@every_profile
def test_no_length_of_rtcp_raises(profile: Profile) -> None:
    receiver, noise = ReceiveKeys(profile, master(profile)), random.Random(1)
    for size in range(1601):
        packet = b"\x80\xc9" + noise.randbytes(size)
        assert receiver.unprotect_rtcp(packet[:size]) is None


@pytest.mark.parametrize("is_server", [True, False])
@every_profile
def test_both_ends_split_the_exported_material_to_opposite_keys(profile: Profile, is_server: bool) -> None:
    k, s = profile.key_bytes, profile.salt_bytes
    material = b"C" * k + b"S" * k + b"c" * s + b"s" * s
    keys = keys_from_exporter(profile, material, is_server=is_server)
    client, server = b"C" * k + b"c" * s, b"S" * k + b"s" * s
    assert (keys.send, keys.receive) == ((server, client) if is_server else (client, server))
