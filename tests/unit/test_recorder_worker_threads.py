"""A call that hangs costs its own thread and no other; what waits goes on."""

import asyncio
import threading
from collections.abc import Iterator

import pytest

from recorder import worker_threads
from recorder.worker_threads import THREADS, CallHangs, WorkerThreads, in_time, within


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_threads, "CALL_S", 0.3)


@pytest.fixture
def release() -> Iterator[threading.Event]:
    """Lets every call that hangs return; also at the end of the test."""
    event = threading.Event()
    yield event
    event.set()


async def test_while_as_many_calls_hang_as_there_were_threads_others_are_made(release: threading.Event) -> None:
    threads = WorkerThreads()
    hanging = [asyncio.create_task(in_time(threads, release.wait)) for _ in range(THREADS)]
    assert await in_time(threads, sum, (1, 2)) == 3, "it waited for a thread, which is no fault of its own"
    for task in hanging:
        with pytest.raises(CallHangs):
            await task
    assert threads.hung == THREADS
    assert [await in_time(threads, sum, (n, 1)) for n in range(20)] == list(range(1, 21))


async def test_one_that_returns_after_all_is_counted_no_more(release: threading.Event) -> None:
    threads = WorkerThreads()
    with pytest.raises(CallHangs) as hangs:
        await in_time(threads, release.wait)
    assert threads.hung == 1
    release.set()
    await asyncio.wait_for(hangs.value.returned, 10)
    assert threads.hung == 0


async def test_what_a_call_raises_comes_through_also_when_nobody_waits_any_more(release: threading.Event) -> None:
    def late() -> None:
        release.wait()
        raise OSError("late")

    threads = WorkerThreads()
    with pytest.raises(ZeroDivisionError):
        await in_time(threads, divmod, 1, 0)
    with pytest.raises(CallHangs) as hangs:
        await in_time(threads, late)
    release.set()
    await asyncio.wait((hangs.value.returned,))
    assert threads.hung == 0


async def test_a_cancelled_caller_waits_for_its_call(release: threading.Event) -> None:
    threads = WorkerThreads()
    running = asyncio.create_task(in_time(threads, release.wait))
    await asyncio.sleep(0)
    running.cancel()
    release.set()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert threads.hung == 0


async def test_what_may_take_longer_is_waited_for_as_long(release: threading.Event) -> None:
    threads = WorkerThreads()
    longer = asyncio.create_task(within(60.0, threads, release.wait))
    with pytest.raises(CallHangs, match="no answer for 0 s"):
        await in_time(threads, release.wait)  # begun after it
    assert not longer.done()
    release.set()
    assert await longer
