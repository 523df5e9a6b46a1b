"""IPv4 and IPv6 side by side, and addresses that are advertised and not this machine's."""

import socket
from collections.abc import AsyncIterator, Callable
from functools import partial

import pytest
from aioice import stun

from sfu.engine import Sfu
from sfu.interfaces import TrackKind, TrackRequest
from sfu.settings import MediaSettings
from tests.support import sdp
from tests.support.raw_tcp import RawTcpTransport, passive_candidates
from tests.support.raw_transport import RawTransport
from tests.support.sfu_client import SfuClient
from tests.support.sfu_media import vp8_picture

AUDIO = sdp.Outgoing("0", "audio", "opus", 1111)
VIDEO = sdp.Outgoing("1", "video", "VP8", 2222, 3333)
MICROPHONE = [TrackRequest("0", TrackKind.MICROPHONE)]

Made = Callable[[], RawTransport]
over_v4: Made = RawTransport
over_v6: Made = partial(RawTransport, family=socket.AF_INET6)
tcp_over_v6: Made = partial(RawTcpTransport, family=socket.AF_INET6)


@pytest.fixture
async def sfu_() -> AsyncIterator[Sfu]:
    running = Sfu(MediaSettings(port=0, advertise=("127.0.0.1", "::1")))
    await running.start()
    yield running
    await running.close()


async def test_both_families_are_in_one_description_on_one_port(sfu_: Sfu) -> None:
    client = SfuClient(sfu_.open_room("r"), "alice")
    answer = sdp.Description.parse(client.peer.publish(sdp.offer(client.publishing.credentials, [AUDIO]), MICROPHONE))
    assert answer.candidates() == [("127.0.0.1", sfu_.port), ("::1", sfu_.port)]
    assert passive_candidates(answer) == answer.candidates()
    priorities = [int(line.split()[3]) for line in answer.media[0].values("candidate")]
    assert priorities == sorted(set(priorities), reverse=True)
    await client.close()


@pytest.mark.parametrize(
    ("alice", "bob"),
    [(over_v6, over_v6), (over_v6, over_v4), (over_v4, over_v6), (tcp_over_v6, tcp_over_v6)],
    ids=["v6", "v6 to v4", "v4 to v6", "tcp over v6"],
)
async def test_sound_and_pictures_pass_whatever_family_each_end_has(sfu_: Sfu, alice: Made, bob: Made) -> None:
    room = sfu_.open_room("r")
    publisher, viewer = SfuClient(room, "alice", alice), SfuClient(room, "bob", bob)
    audio, video = await publisher.publish(AUDIO, VIDEO)
    await viewer.subscribe()
    for n in range(10):
        audio.send(b"\x78%d" % n, 960 * n)
        video.send_frame(vp8_picture(n, 6, key=n == 0), 3000 * n)
    await viewer.until(lambda: len(viewer.got) == 70)
    assert all(stream.lost == 0 and not stream.undecryptable for stream in viewer.subscribing.streams.values())
    await publisher.close()
    await viewer.close()


async def test_frames_leave_as_segmented_sends_over_v6_too(sfu_: Sfu) -> None:
    room = sfu_.open_room("r")
    publisher, viewer = SfuClient(room, "alice", over_v4), SfuClient(room, "bob", over_v6)
    (video,) = await publisher.publish(VIDEO)
    await viewer.subscribe()
    (v6,) = [bound for bound in sfu_._network._sockets if bound.host == "::1"]
    sent, sends = v6.sent, v6.sends
    for n in range(20):
        video.send_frame(vp8_picture(n, 6, key=n == 0), 3000 * n)
    await viewer.until(lambda: len(viewer.got) == 120)
    assert v6.offload, "the kernel takes UDP_SEGMENT for IPv6"
    assert v6.sends - sends < (v6.sent - sent) / 2
    await publisher.close()
    await viewer.close()


@pytest.mark.parametrize("made", [over_v4, over_v6, tcp_over_v6], ids=["v4", "v6", "tcp over v6"])
async def test_a_check_is_answered_with_the_address_that_it_came_from(sfu_: Sfu, made: Made) -> None:
    client = SfuClient(sfu_.open_room("r"), "alice", made)
    await client.publish(AUDIO)
    raw = client.publishing
    answers: list[stun.Message] = []
    take = raw._take_stun

    def keep(datagram: bytes) -> None:
        answers.append(stun.parse_message(datagram))
        take(datagram)

    raw._take_stun = keep  # type: ignore[method-assign]
    raw._send_check()
    await client.until(lambda: answers)
    assert answers[0].attributes["XOR-MAPPED-ADDRESS"] == raw.socket.getsockname()[:2]
    await client.close()


async def test_a_public_address_is_advertised_beside_a_local_one_that_works() -> None:
    running = Sfu(MediaSettings(port=0, advertise=("203.0.113.7:9000", "127.0.0.1", "[2001:db8::7]:9000", "::1")))
    await running.start()
    client = SfuClient(running.open_room("r"), "alice")
    answer = sdp.Description.parse(client.peer.publish(sdp.offer(client.publishing.credentials, [AUDIO]), MICROPHONE))
    local = [("127.0.0.1", running.port), ("::1", running.port)]
    assert answer.candidates() == [("203.0.113.7", 9000), local[0], ("2001:db8::7", 9000), local[1]]
    for part in answer.media:
        part.lines = [line for line in part.lines if " 9000 " not in line]
    await client.publishing.connect(answer)
    await client.until(lambda: len(client.states) == 2)
    await client.close()
    await running.close()


async def test_only_the_advertised_addresses_are_bound_where_all_are_this_machines() -> None:
    running = Sfu(MediaSettings(port=0, advertise=("127.0.0.1",)))
    await running.start()
    assert [bound.host for bound in running._network._opened()] == ["127.0.0.1"] * 2
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("::1", running.port))
    await running.close()
