"""The supervisor keeps one child running, hands it its settings, and ends it."""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stemroom.supervisor import FIRST_DELAY_S, LINE_BYTES, LONGEST_DELAY_S, SHORT_LIFE_S, Backoff, Supervisor

PATIENCE_S = 10.0


def test_the_first_start_after_a_death_comes_quickly() -> None:
    assert Backoff().delay_s(lived_s=60.0) == FIRST_DELAY_S


def test_short_lives_in_a_row_double_the_wait_up_to_the_longest() -> None:
    backoff = Backoff()
    waits = [backoff.delay_s(0.0) for _ in range(20)]
    assert waits[:4] == [FIRST_DELAY_S, 2 * FIRST_DELAY_S, 4 * FIRST_DELAY_S, 8 * FIRST_DELAY_S]
    assert waits[-1] == LONGEST_DELAY_S


def test_a_life_that_was_long_enough_makes_the_next_start_quick_again() -> None:
    backoff = Backoff()
    for _ in range(10):
        backoff.delay_s(0.0)
    assert backoff.delay_s(SHORT_LIFE_S) == FIRST_DELAY_S


class Child:
    """A program that writes what happens to it into a named pipe, so that a test waits on the thing itself."""

    def __init__(self, folder: Path, script: str) -> None:
        fifo = folder / "said"
        os.mkfifo(fifo)
        self._said = os.open(fifo, os.O_RDWR | os.O_NONBLOCK)
        head = f"import os, sys, signal\nout = os.open({str(fifo)!r}, os.O_WRONLY)\n"
        head += "def say(what): os.write(out, f'{what}\\n'.encode())\n"
        self.lines: list[bytes] = []
        """Of its standard output."""
        self.supervisor = Supervisor("child", [sys.executable, "-c", head + script], b'{"a": 1}', self.lines.append)
        self._lines: asyncio.Queue[str] = asyncio.Queue()
        asyncio.get_running_loop().add_reader(self._said, self._read)

    def _read(self) -> None:
        for line in os.read(self._said, 65_536).decode().splitlines():
            self._lines.put_nowait(line)

    async def said(self) -> str:
        return await asyncio.wait_for(self._lines.get(), PATIENCE_S)

    async def close(self) -> None:
        await self.supervisor.close()
        asyncio.get_running_loop().remove_reader(self._said)
        os.close(self._said)


WAITS_FOR_THE_END = """
say(sys.stdin.readline().strip())
say(os.getpid())
sys.stdin.read()
say('end')
"""


async def test_the_child_gets_its_settings_and_ends_when_its_input_is_closed(tmp_path: Path) -> None:
    child = Child(tmp_path, WAITS_FOR_THE_END)
    child.supervisor.start()
    assert await child.said() == '{"a": 1}'
    assert await child.said() == str(child.supervisor.pid)
    closing = asyncio.create_task(child.close())
    assert await child.said() == "end"
    await closing
    assert child.supervisor.pid is None
    assert child.supervisor.starts == 1


async def test_a_killed_child_is_started_again_with_the_same_settings(tmp_path: Path) -> None:
    child = Child(tmp_path, WAITS_FOR_THE_END)
    child.supervisor.start()
    pids = []
    for _ in range(3):
        assert await child.said() == '{"a": 1}'
        pids.append(int(await child.said()))
        os.kill(pids[-1], signal.SIGKILL)
    assert await child.said() == '{"a": 1}'
    await child.said()
    assert len(set(pids)) == 3
    assert child.supervisor.starts == 4
    await child.close()


async def test_closing_does_not_wait_for_the_next_start(tmp_path: Path) -> None:
    child = Child(tmp_path, "say('born')\nraise SystemExit(3)")
    child.supervisor.start()
    for _ in range(3):
        assert await child.said() == "born"
    await asyncio.wait_for(child.close(), PATIENCE_S)


async def test_a_child_that_ignores_everything_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stemroom.supervisor.END_S", 0.1)
    monkeypatch.setattr("stemroom.supervisor.TERMINATE_S", 0.1)
    child = Child(tmp_path, "signal.signal(signal.SIGTERM, signal.SIG_IGN)\nsay('up')\nwhile True: signal.pause()")
    child.supervisor.start()
    assert await child.said() == "up"
    await asyncio.wait_for(child.close(), PATIENCE_S)
    assert child.supervisor.pid is None


async def test_a_program_that_does_not_exist_is_tried_again_and_can_be_closed() -> None:
    supervisor = Supervisor("child", ["/does/not/exist"], b"{}", lambda line: None)
    supervisor.start()
    await asyncio.wait_for(supervisor.close(), PATIENCE_S)
    assert supervisor.starts == 0


SILENT_UNTIL_ASKED = """
import time
say('up')
signal.sigwait([signal.SIGUSR1])
while True:
    os.write(1, b'x')
    time.sleep(0.01)
"""


async def until(holds: Callable[[], bool]) -> None:
    """Looks again and again: nothing tells of an alarm but the alarm."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds():
            await asyncio.sleep(0.005)


async def test_a_silent_child_is_an_alarm_until_it_is_heard_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stemroom.supervisor.SILENT_S", 0.5)
    monkeypatch.setattr("stemroom.supervisor.START_S", 0.5)
    script = f"signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])\n{SILENT_UNTIL_ASKED}"
    child = Child(tmp_path, script)
    monkeypatch.setattr("stemroom.supervisor.END_S", 0.1)
    child.supervisor.start()
    assert await child.said() == "up"
    pid = child.supervisor.pid
    assert pid is not None
    assert child.supervisor.alarm == ""
    await until(lambda: child.supervisor.alarm == "the child process does not answer")
    os.kill(pid, signal.SIGUSR1)
    await until(lambda: child.supervisor.alarm == "")
    assert (child.supervisor.pid, child.supervisor.starts) == (pid, 1)
    await child.close()
    assert child.supervisor.alarm == ""


async def test_a_child_that_is_gone_is_an_alarm_until_it_runs_again(tmp_path: Path) -> None:
    child = Child(tmp_path, "say('born')\nraise SystemExit(3)")
    assert child.supervisor.alarm == "the child process does not run"
    child.supervisor.start()
    assert await child.said() == "born"
    await until(lambda: child.supervisor.alarm == "the child process does not run")
    assert await child.said() == "born"
    await child.close()


async def test_each_whole_line_is_handed_on_and_of_one_that_is_too_long_the_end(tmp_path: Path) -> None:
    script = """
os.write(1, b'{"a": 1}' + bytes((10,)) + b'{"b"')
os.write(1, b': 2}' + bytes((10,)) + b'x' * 10000 + bytes((10,)))
say('written')
sys.stdin.readlines()
"""
    child = Child(tmp_path, script)
    child.supervisor.start()
    assert await child.said() == "written"
    await until(lambda: len(child.lines) == 3)
    assert child.lines[:2] == [b'{"a": 1}', b'{"b": 2}']
    assert set(child.lines[2]) == set(b"x")
    assert len(child.lines[2]) <= 2 * LINE_BYTES
    await child.close()


async def test_a_child_that_was_started_again_is_an_alarm_until_it_is_heard(tmp_path: Path) -> None:
    script = """
say('up')
if not os.path.exists('once'):
    open('once', 'w').close()
    raise SystemExit(3)
sys.stdin.readline()
signal.sigwait([signal.SIGUSR1])
os.write(1, bytes((10,)))
sys.stdin.read()
"""
    head = (
        f"import os, signal\nos.chdir({str(tmp_path)!r})\nsignal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])\n"
    )
    child = Child(tmp_path, head + script)
    child.supervisor.start()
    assert [await child.said(), await child.said()] == ["up", "up"]
    assert child.supervisor.alarm == "the child process was started again and does not answer yet"
    assert child.supervisor.pid is not None
    os.kill(child.supervisor.pid, signal.SIGUSR1)
    await until(lambda: child.supervisor.alarm == "")
    await child.close()
