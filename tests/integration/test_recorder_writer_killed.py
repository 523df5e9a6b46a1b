"""`kill -9` of the process that writes journals costs at most what it had not yet written."""

import asyncio
import signal
import sys
from pathlib import Path

import pytest

from recorder.journal import JournalEnd, JournalPacket
from recorder.reader import JournalReader, JournalState
from tests.support.journals import RECORDING

NODE = """
import sys
from pathlib import Path
from recorder.events import TrackMuteChanged
from recorder.settings import RecorderSettings
from recorder.writer import SpoolWriter
from tests.support.journals import recording_header, track_header

writer = SpoolWriter(Path(sys.argv[1]), RecorderSettings(write_interval_s=0.02))
writer.start()
recording = writer.open_recording(recording_header())
track = recording.open_track(track_header("vp8"))
number = 0
while True:
    for _ in range(500):
        track.packet(number / 1000, number, 0, False, bytes(1000))
        number += 1
    for _ in range(2):  # the second is durable only after a pass over all that was queued before the first
        recording.event(TrackMuteChanged(take_id="t", muted=False, at_ns=number)).result()
    print(number, flush=True)
"""


@pytest.mark.parametrize("rounds", [1, 4, 9])
async def test_everything_but_the_last_moment_is_in_the_torn_journals(rounds: int, tmp_path: Path) -> None:
    node = await asyncio.create_subprocess_exec(
        sys.executable, "-c", NODE, str(tmp_path), stdout=asyncio.subprocess.PIPE
    )
    assert node.stdout is not None
    safe = 0
    for _ in range(rounds):
        safe = int(await node.stdout.readline())
    node.send_signal(signal.SIGKILL)
    await node.wait()
    for path in (tmp_path / RECORDING).glob("*.journal"):
        reader = JournalReader(path)
        records = []
        while reader.state is JournalState.GROWING:
            records += reader.read()
        assert reader.state is JournalState.TORN
        assert not any(isinstance(record, JournalEnd) for record in records)
        if path.name.startswith("seg_"):
            sequences = [record.sequence for record in records if isinstance(record, JournalPacket)]
            assert sequences == list(range(len(sequences)))
            assert len(sequences) >= safe
