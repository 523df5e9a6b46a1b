"""A recorder process that hangs is seen and costs time: the call and the recording go on, and the files are whole."""

import os
import signal
from pathlib import Path

from tests.support.full_disk import recorded
from tests.support.studio import Studio


async def test_a_recorder_that_hangs_is_an_alarm_and_loses_nothing(studio: Studio, tmp_path: Path) -> None:
    async with recorded(studio) as call:
        recording = await call.start()
        await call.goes_on()
        os.kill(studio.recorder_pid(), signal.SIGSTOP)
        await studio.event("recorder_silent")
        assert await call.alarms() == ["the recorder process does not answer"]
        assert "stemroom_recorder_alarm 1.0" in await studio.operators("/metrics")
        await call.goes_on()
        os.kill(studio.recorder_pid(), signal.SIGCONT)
        await studio.event("recorder_heard_again")
        assert await call.alarms() == []
        await call.stop(recording)
        await call.whole(recording, tmp_path / "files")
        assert len(studio.events("recorder_started")) == 1
