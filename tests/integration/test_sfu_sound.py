"""Real connections in a room where only the loudest are forwarded: who is, who is not, and that nothing jumps."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from itertools import pairwise
from typing import Self

import pytest

from sfu.engine import Sfu
from sfu.interfaces import StreamInfo, TrackInfo
from sfu.settings import MediaSettings
from tests.support import sdp
from tests.support.raw_peer import RtpSender
from tests.support.sfu_client import SfuClient, Tap
from tests.support.taps import QuietSink

PLACES = 2
PACKET_S = 0.02
TICKS = 960
NAMES = ("ann", "bob", "eve", "joe", "kim")


class Meeting:
    """Five who publish and one who only listens. All five send every 20 ms, at the level given, else at that of a quiet
    room; each payload says whose it is and which."""

    def __init__(self, sfu: Sfu) -> None:
        self.sfu = sfu
        self.room = sfu.open_room("r")
        self.clients: dict[str, SfuClient] = {}
        self.senders: dict[str, RtpSender] = {}
        self.listener = SfuClient(self.room, "lou")
        self.sent = 0
        self._read = 0

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            stack.push_async_callback(self.listener.close)
            for number, name in enumerate(NAMES):
                client = self.clients[name] = SfuClient(self.room, name)
                stack.push_async_callback(client.close)
                (self.senders[name],) = await client.publish(sdp.Outgoing("0", "audio", "opus", 1000 + number))
            await self.listener.subscribe()
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def run(self, packets: int, **levels: int | None) -> None:
        """20 ms each, by the clock: the room listens by the clock as well."""
        clock = asyncio.get_running_loop().time
        due = clock()
        for _ in range(packets):
            self.sent += 1
            for name, sender in self.senders.items():
                sender.level = levels.get(name, 70)
                sender.send(b"\x78" + name.encode() + self.sent.to_bytes(4, "big"), TICKS * self.sent)
            due += PACKET_S
            await asyncio.sleep(max(0.0, due - clock()))

    def heard(self) -> dict[str, list[int]]:
        """Which packets of whom came since the last call."""
        fresh = self.listener.got[self._read :]
        self._read = len(self.listener.got)
        found: dict[str, list[int]] = {}
        for _, _, _, payload in fresh:
            found.setdefault(payload[1:4].decode(), []).append(int.from_bytes(payload[4:], "big"))
        return found

    def reasons(self) -> Mapping[str, str]:
        figures = self.sfu.figures("r")
        assert figures is not None
        return {
            participant.participant_id: track.sound.reason
            for participant in figures.participants
            for track in participant.tracks
            if track.sound is not None
        }


class Sink(QuietSink):
    """A tap for each track."""

    def __init__(self) -> None:
        self.taps: list[Tap] = []
        self.owners: list[str] = []

    def open(self, track: TrackInfo, stream: StreamInfo, now_s: float) -> Tap:
        self.taps.append(Tap())
        self.owners.append(track.participant_id)
        return self.taps[-1]


@pytest.fixture
async def meeting() -> AsyncIterator[Meeting]:
    sfu = Sfu(MediaSettings(port=0, advertise=("127.0.0.1",), loudest=PLACES))
    await sfu.start()
    async with Meeting(sfu) as meeting:
        yield meeting
    await sfu.close()


async def test_only_the_loudest_are_forwarded_and_a_recording_has_all(meeting: Meeting) -> None:
    sink = Sink()
    await meeting.run(15, ann=20, bob=25)
    meeting.room.start_recording(sink)
    meeting.heard()
    await meeting.run(40, ann=20, bob=25)
    assert set(meeting.heard()) == {"ann", "bob"}
    assert meeting.reasons() == {
        **dict.fromkeys(NAMES, "not_among_loudest"),
        "ann": "among_loudest",
        "bob": "among_loudest",
    }
    meeting.room.stop_recording()
    assert sink.owners == list(NAMES)
    for tap in sink.taps:
        numbers = [int.from_bytes(payload[4:], "big") for _, _, _, payload in tap.packets]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert len(numbers) >= 30


async def test_a_loud_newcomer_is_heard_within_a_few_packets(meeting: Meeting) -> None:
    await meeting.run(15, ann=20, bob=25)
    await meeting.run(110, ann=20)
    assert meeting.reasons()["kim"] == "not_among_loudest"
    meeting.heard()
    before = meeting.sent
    await meeting.run(20, ann=20, kim=22)
    first = meeting.heard()["kim"][0]
    assert first - before <= 10, "at most three, were this machine not busy"
    assert meeting.reasons()["kim"] == "among_loudest"


async def test_numbers_run_on_and_time_passes_where_somebody_was_not_forwarded(meeting: Meeting) -> None:
    await meeting.run(10)
    for name in ("ann", "bob", "eve", "kim", "ann"):
        await meeting.run(60, **{name: 20})
    by_ssrc: dict[int, list[tuple[int, int, int]]] = {}
    for ssrc, index, timestamp, payload in meeting.listener.got:
        by_ssrc.setdefault(ssrc, []).append((index, timestamp, int.from_bytes(payload[4:], "big")))
    pauses = 0
    for packets in by_ssrc.values():
        for (index, timestamp, number), (next_index, next_timestamp, next_number) in pairwise(packets):
            assert next_index - index == 1
            assert (next_timestamp - timestamp) & 0xFFFFFFFF == TICKS * (next_number - number)
            pauses += next_number - number > 1
    assert pauses >= 1


async def test_a_client_without_levels_is_heard_beside_the_loudest(meeting: Meeting) -> None:
    await meeting.run(15, joe=None, ann=20, bob=20)
    meeting.heard()
    await meeting.run(15, joe=None, ann=20, bob=20)
    assert set(meeting.heard()) == {"joe", "ann", "bob"}
    assert meeting.reasons()["joe"] == "no_level"


async def test_everybody_is_told_who_speaks(meeting: Meeting) -> None:
    for name in ("eve", "ann"):
        levels = [{name: 25 if packet % 40 < 30 else 70} for packet in range(80)]
        for level in levels:
            await meeting.run(1, **level)
        everybody = [meeting.listener, *meeting.clients.values()]
        for client in everybody:
            await client.until(lambda client=client, name=name: (name, (name,)) in client.speakers)
        assert meeting.room.dominant == name
    assert meeting.listener.speakers[0] == (None, ())


async def test_who_joins_later_is_told_who_speaks_at_once(meeting: Meeting) -> None:
    for packet in range(60):
        await meeting.run(1, ann=25 if packet % 40 < 30 else 70)
    late = SfuClient(meeting.room, "max")
    await late.subscribe()
    assert late.speakers[0][0] == "ann"
    await late.close()
