"""Who never passed a check is heard by nobody; who has no keys is not believed."""

from sfu.engine import Sfu
from tests.support.hostile import (
    ALERT,
    AUDIO,
    CLOSE_NOTIFY,
    VIDEO,
    Attacker,
    Call,
    client_hello,
    sealed_with_foreign_keys,
)
from tests.support.sfu_client import SfuClient


async def test_a_third_party_is_ignored_before_during_and_after_a_handshake(sfu_: Sfu, mallory: Attacker) -> None:
    hostile = [client_hello(), ALERT, CLOSE_NOTIFY, b"\x16\xfe\xfd" + bytes(60), sealed_with_foreign_keys(AUDIO.ssrc)]
    room = sfu_.open_room("r")
    alice, bob = SfuClient(room, "alice"), SfuClient(room, "bob")
    send = alice.publishing.send_datagram
    during = 0

    def send_and_be_attacked(datagram: bytes) -> bool:
        nonlocal during
        for attack in hostile:
            mallory.socket.send(attack)
            during += 1
        return send(datagram)

    alice.publishing.send_datagram = send_and_be_attacked  # type: ignore[method-assign]
    await mallory.send(*hostile)
    before = sfu_.counters()["dropped_source"]
    assert before == len(hostile)
    senders = await alice.publish(AUDIO, VIDEO)
    alice.publishing.send_datagram = send  # type: ignore[method-assign]
    assert during >= 2 * len(hostile)
    await bob.subscribe()
    running = Call(sfu_, room, alice, bob, senders)
    await running.still_works()
    await mallory.send(*hostile)
    await running.still_works()
    assert sfu_.counters()["dropped_source"] == before + during + len(hostile)
    assert mallory.answers() == []
    await alice.close()
    await bob.close()


async def test_a_second_client_hello_and_alerts_in_clear_from_the_checked_address_change_nothing(call: Call) -> None:
    await call.from_alice(*[client_hello(), ALERT, CLOSE_NOTIFY] * 20)
    await call.still_works()


async def test_srtp_with_the_right_ssrc_and_wrong_keys_is_refused(call: Call) -> None:
    await call.from_alice(*(sealed_with_foreign_keys(AUDIO.ssrc, n) for n in range(200)))
    await call.from_alice(*(sealed_with_foreign_keys(4444, n) for n in range(200)))
    figures = call.sfu.figures("r")
    assert figures is not None
    published = {p.participant_id: p.tracks for p in figures.participants}["alice"]
    (microphone,) = {t.kind: t.encodings for t in published}["microphone"]
    assert microphone.refused + microphone.replayed == 200
    assert call.counted("dropped_unknown") == 200
