"""The figures on recording come from the real writer and the real recorder process, here in their shortest form."""

import asyncio
import os
import signal
from pathlib import Path

from bench import generated, record
from bench.generated import GeneratedRecording
from recorder.journal import JournalDecoder, JournalEnd, JournalPacket, JournalReport


def test_a_generated_journal_holds_the_media_that_it_says_it_does(tmp_path: Path) -> None:
    recording = GeneratedRecording(tmp_path, people=2)
    recording.write(6.0)
    recording.write(13.0)
    recording.end()
    journals = sorted(tmp_path.glob("*/seg_*.journal"))
    assert len(journals) == recording.journals == 4
    packets = 0
    for path in journals:
        decoder = JournalDecoder()
        _, *records, end = decoder.feed(path.read_bytes())
        sent = [one for one in records if isinstance(one, JournalPacket)]
        assert [packet.sequence for packet in sent] == list(range(len(sent)))
        assert [packet.arrival_ns for packet in sent] == sorted(packet.arrival_ns for packet in sent)
        assert sum(isinstance(one, JournalReport) for one in records) == 12
        assert isinstance(end, JournalEnd)
        assert end.packets == len(sent)
        packets += len(sent)
    assert packets > 0.95 * 2 * 11.9 * generated.packets_per_s()


async def test_the_recorder_is_measured_from_the_end_of_a_recording_to_its_files() -> None:
    told = await record.hour(people=2, minutes=0.1)
    assert told.journal_bytes > 0.8 * 2 * 5 * generated.bytes_per_s()
    assert 0 < told.stored_s < told.finished_s
    assert told.cpu_per_minute_s > 0


async def test_what_a_recorder_has_not_read_is_seen() -> None:
    async with record.followed_recorder(people=2) as (data, followed), asyncio.timeout(60):
        recording = GeneratedRecording(data.folder / "spool", people=2)
        recording.write(3.0)
        recording.flush()
        while followed.unread_bytes(data.spool):
            await asyncio.sleep(0.02)
        os.kill(followed.pid, signal.SIGSTOP)
        recording.write(6.0)
        recording.flush()
        assert followed.unread_bytes(data.spool) > 0.8 * 2 * 3 * generated.bytes_per_s()
        os.kill(followed.pid, signal.SIGCONT)
        while followed.unread_bytes(data.spool):
            await asyncio.sleep(0.02)
        recording.end()
        await followed.event("recording_finished")
        assert len(followed.times("segment_stored")) == 4


async def test_people_who_talk_cost_the_recorder_a_share_of_its_core() -> None:
    told = await record.live(people=2, seconds=1.0)
    assert 0 < told.share < 1
    assert told.a_core_takes > 2


def test_what_a_recorder_did_not_get_to_is_not_counted_as_recorded() -> None:
    told = record.Live(50, 20.0, share=0.2, held_up=0.7, lag_s=9.0, worst_lag_s=10.0, read_share=0.5)
    assert told.a_core_takes == 125
    assert not told.keeps_up
