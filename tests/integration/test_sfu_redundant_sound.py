"""Sound that carries its own repair, over real connections: in-band FEC and RED pass."""

import re
from collections.abc import AsyncIterator
from functools import partial

import pytest

from sfu.engine import Sfu
from sfu.settings import MediaSettings
from tests.support import sdp
from tests.support.encoded import OPUS_SAMPLES, opus_packets
from tests.support.payloads import red
from tests.support.sfu_client import SfuClient, Sink


@pytest.fixture
async def sfu() -> AsyncIterator[Sfu]:
    sfu = Sfu(MediaSettings(port=0, advertise=("127.0.0.1",), red=True))
    await sfu.start()
    yield sfu
    await sfu.close()


def all_came(viewer: SfuClient, count: int) -> bool:
    return len(viewer.got) == count


def has_fec(packet: bytes) -> bool:
    """One SILK or hybrid frame with an LBRR frame: the bit behind the first for voice activity (RFC 6716 4.2.3)."""
    configuration, code = packet[0] >> 3, packet[0] & 3
    return configuration < 16 and code == 0 and bool(packet[1] & 0x40)


def without_red(answer: str) -> str:
    """As a client answers that knows no RED."""
    numbers = re.findall(r"a=rtpmap:(\d+) red/", answer)
    assert numbers, "it was offered"
    for number in numbers:
        answer = re.sub(rf"a=(rtpmap|fmtp):{number} [^\r]*\r\n", "", answer)
        answer = re.sub(rf"(m=audio [^\r]*) {number}\b", r"\1", answer)
    return answer


async def test_in_band_fec_reaches_viewers_and_recordings_unchanged(sfu: Sfu) -> None:
    room = sfu.open_room("r")
    packets = opus_packets(100, fec=True)
    assert sum(map(has_fec, packets)) > 30
    alice, bob = SfuClient(room, "alice"), SfuClient(room, "bob")
    (microphone,) = await alice.publish(sdp.Outgoing("0", "audio", "opus", 1111))
    await bob.subscribe()
    sink = Sink()
    room.start_recording(sink)
    for number, packet in enumerate(packets):
        microphone.send(packet, OPUS_SAMPLES * number)
    await bob.until(lambda: len(bob.got) == len(packets))
    assert [payload for _, _, _, payload in bob.got] == packets
    assert [payload for _, _, _, payload in sink.taps["opus"].packets] == packets
    assert "useinbandfec=1" in bob.offers[-1][1]
    await alice.close()
    await bob.close()


async def test_red_reaches_who_takes_it_and_plain_opus_the_others_and_the_recording(sfu: Sfu) -> None:
    room = sfu.open_room("r")
    packets = opus_packets(60)

    def blocks(opus: int) -> list[bytes]:
        return [red(packets[n], *packets[max(0, n - 1) : n], payload_type=opus) for n in range(len(packets))]

    alice, bob, carol = SfuClient(room, "alice"), SfuClient(room, "bob"), SfuClient(room, "carol")
    (microphone,) = await alice.publish(sdp.Outgoing("0", "audio", "red", 1111))
    await bob.subscribe()
    await carol.subscribe(without_red)
    sink = Sink()
    room.start_recording(sink)
    for number, payload in enumerate(blocks(sdp.OPUS)):
        microphone.send(payload, OPUS_SAMPLES * number)
    for viewer in (bob, carol):
        await viewer.until(partial(all_came, viewer, len(packets)))
        indices = [index for _, index, _, _ in viewer.got]
        assert indices == list(range(indices[0], indices[0] + len(packets)))
    (offered,) = re.findall(r"a=rtpmap:(\d+) opus/", bob.offers[-1][1])
    assert [payload for _, _, _, payload in bob.got] == blocks(int(offered))
    assert [payload for _, _, _, payload in carol.got] == packets
    assert [payload for _, _, _, payload in sink.taps["opus"].packets] == packets
    for client in (alice, bob, carol):
        await client.close()


async def test_without_the_setting_a_publisher_is_not_asked_for_red_and_nobody_is_offered_it() -> None:
    sfu = Sfu(MediaSettings(port=0, advertise=("127.0.0.1",)))
    await sfu.start()
    room = sfu.open_room("r")
    alice, bob = SfuClient(room, "alice"), SfuClient(room, "bob")
    await alice.publish(sdp.Outgoing("0", "audio", "red", 1111))
    await bob.subscribe()
    assert "red/" not in bob.offers[-1][1]
    await alice.close()
    await bob.close()
    await sfu.close()
