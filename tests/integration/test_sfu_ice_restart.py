"""ICE restarts and changes of address over real sockets: the media goes on with the same streams, keys and taps."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from sfu.engine import Sfu
from sfu.ice import SILENCE_S
from sfu.interfaces import TrackKind, TrackRequest, TransportName
from sfu.settings import MediaSettings
from tests.support import sdp
from tests.support.raw_peer import RtpSender
from tests.support.sfu_client import SfuClient, Sink
from tests.support.sfu_media import vp8

VIDEO = sdp.Outgoing("0", "video", "VP8", 2222, 3333)
AUDIO = sdp.Outgoing("0", "audio", "opus", 1111)
MICROPHONE = [TrackRequest("0", TrackKind.MICROPHONE)]


class Call:
    """Alice speaks and is recorded, Bob listens."""

    def __init__(self, sfu: Sfu) -> None:
        self.sfu = sfu
        self.room = sfu.open_room("r")
        self.alice, self.bob = SfuClient(self.room, "alice"), SfuClient(self.room, "bob")
        self.sink = Sink()
        self.sent = 0
        self.microphone: RtpSender

    async def begin(self) -> None:
        (self.microphone,) = await self.alice.publish(AUDIO)
        self.room.start_recording(self.sink)
        await self.bob.subscribe()
        await self.passes()

    async def passes(self) -> None:
        """Five more packets come through, and nothing was lost or doubled since the beginning."""
        for _ in range(5):
            self.microphone.send(b"\x78%d" % self.sent, 960 * self.sent)
            self.sent += 1
        expected = [b"\x78%d" % n for n in range(self.sent)]
        await self.bob.until(lambda: len(self.bob.got) >= self.sent)
        assert [payload for _, _, _, payload in self.bob.got] == expected
        assert len({ssrc for ssrc, _, _, _ in self.bob.got}) == 1
        indices = [index for _, index, _, _ in self.bob.got]
        assert indices == list(range(indices[0], indices[0] + self.sent))
        assert [payload for _, _, _, payload in self.sink.taps["opus"].packets] == expected
        assert (self.alice.ended, self.sink.taps["opus"].ended) == ([], False)

    async def end(self) -> None:
        assert [state for _, state in self.alice.states] == ["connecting", "connected"], "one handshake, no end"
        assert [state for _, state in self.bob.states] == ["connecting", "connected"]
        await self.alice.close()
        await self.bob.close()


@pytest.fixture
async def call() -> AsyncIterator[Call]:
    sfu = Sfu(MediaSettings(port=0, advertise=("127.0.0.1",)))
    await sfu.start()
    running = Call(sfu)
    await running.begin()
    yield running
    await running.passes()
    await running.end()
    await sfu.close()


async def restart_publishing(call: Call) -> None:
    raw = call.alice.publishing
    raw.new_credentials()
    answer = sdp.Description.parse(call.alice.peer.publish(sdp.offer(raw.credentials, [AUDIO]), MICROPHONE))
    await raw.restart_ice(answer)


async def restart_subscribing(call: Call) -> None:
    raw = call.bob.subscribing
    assert call.bob.peer.restart_ice()
    raw.new_credentials()
    offer_id, text, _ = call.bob.offers[-1]
    offered = sdp.Description.parse(text)
    call.bob.peer.subscribe_answer(offer_id, sdp.answer(raw.credentials, offered))
    await raw.restart_ice(offered)


async def test_a_publisher_restarts_ice_and_its_tracks_streams_and_recording_go_on(call: Call) -> None:
    for _ in range(3):
        await restart_publishing(call)
        await call.passes()


async def test_a_viewer_restarts_ice_and_gets_the_same_stream_on(call: Call) -> None:
    for _ in range(3):
        await restart_subscribing(call)
        await call.passes()


async def test_media_goes_on_while_a_restart_is_described_and_not_yet_checked(call: Call) -> None:
    call.alice.publishing.new_credentials()
    call.alice.peer.publish(sdp.offer(call.alice.publishing.credentials, [AUDIO]), MICROPHONE)
    assert call.bob.peer.restart_ice()
    await call.passes()
    for peer in (call.alice.publishing, call.bob.subscribing):
        peer._answered.clear()
        peer._send_check()
        async with asyncio.timeout(5):
            await peer._answered.wait()
    await call.passes()


async def test_a_restart_from_another_address_moves_both_connections_there(call: Call) -> None:
    call.alice.publishing.rebind()
    call.bob.subscribing.rebind()
    await restart_publishing(call)
    await restart_subscribing(call)
    await call.passes()
    for peer, raw in (
        (call.alice.peer.publisher, call.alice.publishing),
        (call.bob.peer.subscriber, call.bob.subscribing),
    ):
        assert peer.transport is not None
        assert peer.transport.address == raw.socket.getsockname()


async def test_an_address_that_changes_without_a_restart_is_learnt_by_the_next_check(call: Call) -> None:
    """Chromium checks every 2.5 s: that is how soon."""
    for raw in (call.alice.publishing, call.bob.subscribing):
        raw.rebind()
        raw._answered.clear()
        raw._send_check()
        async with asyncio.timeout(5):
            await raw._answered.wait()
    await call.passes()


async def test_an_old_address_is_nobodys_until_it_is_checked_again(call: Call) -> None:
    """Media from a port that no check came from is dropped, also with the right keys."""
    before = call.sfu.counters()["dropped_source"]
    call.alice.publishing.rebind()
    sealed = call.microphone.seal(b"\x78%d" % call.sent, 960 * call.sent)
    call.alice.publishing.send_datagram(sealed)
    async with asyncio.timeout(5):
        while call.sfu.counters()["dropped_source"] == before:
            await asyncio.sleep(0)
    await restart_publishing(call)
    call.alice.publishing.send_datagram(sealed)
    call.sent += 1


async def test_old_credentials_are_refused_once_the_new_ones_were_checked(call: Call) -> None:
    remote = call.alice.publishing._remote
    await restart_publishing(call)
    refused = call.sfu.counters()["refused_checks"]
    new = call.alice.publishing._remote
    call.alice.publishing._remote = remote
    call.alice.publishing._send_check()
    call.alice.publishing._remote = new
    async with asyncio.timeout(5):
        while call.sfu.counters()["refused_checks"] == refused:
            await asyncio.sleep(0)


async def test_a_loop_of_restarts_keeps_two_sets_of_credentials_at_most(call: Call) -> None:
    network = call.sfu._network
    before = len(network._by_ufrag)
    for _ in range(200):
        call.alice.publishing.new_credentials()
        answer = call.alice.peer.publish(sdp.offer(call.alice.publishing.credentials, [AUDIO]), MICROPHONE)
        call.bob.peer.restart_ice()
    assert len(network._by_ufrag) <= before + 2
    await call.alice.publishing.restart_ice(sdp.Description.parse(answer))
    assert (TransportName.PUBLISH, "failed") not in call.alice.states


async def test_a_peer_is_gone_through_the_engine_also_one_that_never_was_checked(call: Call) -> None:
    """Time is not waited for: the last check is put into the past."""
    carol = SfuClient(call.room, "carol")
    carol.peer.publish(sdp.offer(carol.publishing.credentials, [AUDIO]), MICROPHONE)
    carol.peer.start_subscriptions()
    transports = [carol.peer.publisher.transport, carol.peer.subscriber.transport]
    for transport in transports:
        assert transport is not None
        assert transport.state == "new"
        transport.ice.last_check -= 31.0
    await carol.until(lambda: len(carol.states) == 2)
    assert sorted(carol.states) == [(TransportName.PUBLISH, "failed"), (TransportName.SUBSCRIBE, "failed")]
    assert not set(transports) & set(call.sfu._transports)
    assert [track.kind for track in carol.ended] == [TrackKind.MICROPHONE]
    assert not carol.peer.restart_ice()
    call.room.remove_peer("carol")
    await carol.close()


@pytest.mark.parametrize("how", ["publisher cut off", "publisher moved", "viewer cut off", "viewer moved"])
async def test_after_an_interruption_pictures_begin_anew_at_once(how: str) -> None:
    """Nobody waits for a decoder to find out that it misses something."""
    sfu = Sfu(MediaSettings(port=0, advertise=("127.0.0.1",)))
    await sfu.start()
    room = sfu.open_room("r")
    alice, bob = SfuClient(room, "alice"), SfuClient(room, "bob")
    (camera,) = await alice.publish(VIDEO)
    await bob.subscribe()
    camera.send(vp8(0, key=True, body=bytes(100)), 0, marker=True)
    await bob.until(lambda: bob.got)
    asked = sum(packet[1] == 206 for packet in alice.feedback)
    is_publisher = how.startswith("publisher")
    raw = alice.publishing if is_publisher else bob.subscribing
    transport = alice.peer.publisher.transport if is_publisher else bob.peer.subscriber.transport
    assert transport is not None
    if how.endswith("cut off"):
        transport.ice.last_check -= SILENCE_S + 1  # time is not waited for
    else:
        raw.rebind()
    raw._send_check()
    await alice.until(lambda: sum(packet[1] == 206 for packet in alice.feedback) > asked)
    await alice.close()
    await bob.close()
    await sfu.close()


async def test_a_peer_whose_connection_we_close_is_told_by_dtls(call: Call) -> None:
    carol = SfuClient(call.room, "carol")
    await carol.subscribe()
    told = asyncio.Event()
    assert carol.subscribing._dtls is not None
    carol.subscribing._dtls.add_listener("statechange", told.set)
    call.room.remove_peer("carol")
    async with asyncio.timeout(5):
        await told.wait()
    assert carol.subscribing._dtls.state == "closed"
    await carol.close()
