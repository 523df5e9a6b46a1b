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
        await call.warned("recorder_down")
        assert await call.alarms() == ["the recorder process does not answer"]
        assert "stemroom_recorder_alarm 1.0" in await studio.operators("/metrics")
        await call.goes_on()
        os.kill(studio.recorder_pid(), signal.SIGCONT)
        await studio.event("recorder_heard_again")
        await call.warned("recorder_down", over=True)
        assert await call.alarms() == []
        await call.stop(recording)
        evidence = await call.whole(recording, tmp_path / "files")
        [notice] = evidence.manifest["notices"]
        assert (notice["code"], notice["take_id"]) == ("recorder_down", "")
        assert evidence.manifest["started_ns"] < notice["at_ns"] < notice["until_ns"] < evidence.manifest["stopped_ns"]
        assert len(studio.events("recorder_started")) == 1


async def test_hosts_are_told_of_a_recorder_that_was_killed_until_it_is_back(studio: Studio) -> None:
    async with recorded(studio) as call:
        recording = await call.start()
        await call.goes_on()
        os.kill(studio.recorder_pid(), signal.SIGKILL)
        await call.warned("recorder_down")
        await call.warned("recorder_down", over=True)
        assert all(message["type"] != "notice" for message in call.viewer.messages)
        await call.stop(recording)
