"""Threads for blocking calls, of which one that hangs costs itself alone: another takes its place.

A call into FFmpeg or the disk that does not return cannot be ended. `in_time` gives up waiting for it; the thread stays
until the call returns, and while MAX_HUNG of them do, the process is of no use any more (`recorder.process` ends it).
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor
from typing import Any, ParamSpec, TypeVar

THREADS = 4
"""For muxing: more than the cores of a small machine, so that one that waits for the disk does not stop the rest."""
MAX_HUNG = 8
CALL_S = 30.0
"""What takes longer hangs: a call is some milliseconds of work, a second while a long journal is caught up with."""
FINISH_S = 600.0
"""The same of the end of a file: its last sync, and a second pass over it where the index outgrew its space. That
took 8 s for an hour of sound, and more than CALL_S for four at once on two cores."""
LOOK_S = 1.0
"""How often a call that takes long is looked at."""

P = ParamSpec("P")
Result = TypeVar("Result")


class CallHangs(Exception):
    """A call did not return in its time."""

    def __init__(self, returned: "asyncio.Future[Any]", limit_s: float) -> None:
        super().__init__(f"no answer for {limit_s:.0f} s")
        self.returned = returned
        """Done when it has returned after all."""


class WorkerThreads(ThreadPoolExecutor):
    def __init__(self) -> None:
        super().__init__(THREADS, thread_name_prefix="recorder")
        self.hung = 0
        """Threads in calls that hang at present."""

    def lost_one(self) -> None:
        """One hangs: make room for another, which takes up at once what waits."""
        self.hung += 1
        self._max_workers += 1  # nothing public makes a pool larger; a test holds it
        self.submit(int)

    def found_one(self) -> None:
        """It came back, and goes on as one of the pool."""
        self.hung -= 1


async def in_time(threads: Executor, call: Callable[P, Result], *args: P.args, **kwargs: P.kwargs) -> Result:
    """As `within`, with CALL_S."""
    return await within(CALL_S, threads, call, *args, **kwargs)


async def within(
    limit_s: float, threads: Executor, call: Callable[P, Result], *args: P.args, **kwargs: P.kwargs
) -> Result:
    """Run a blocking call. Raises CallHangs when it takes longer than `limit_s` from where a thread took it up.

    A cancelled caller still waits for it, as long as that: nothing goes on behind its back.
    """
    began_s: list[float] = []

    def work() -> Result:
        began_s.append(time.monotonic())
        return call(*args, **kwargs)

    future = asyncio.get_running_loop().run_in_executor(threads, work)
    try:
        await _wait(future, began_s, limit_s)
    except asyncio.CancelledError:
        await _wait(future, began_s, limit_s)
        raise
    if future.done():
        return future.result()
    if isinstance(threads, WorkerThreads):
        threads.lost_one()
        future.add_done_callback(lambda _: threads.found_one())
    future.add_done_callback(_take_exception)
    raise CallHangs(future, limit_s)


async def _wait(future: "asyncio.Future[Result]", began_s: list[float], limit_s: float) -> None:
    """Until it is done, or hangs."""
    while not future.done() and not (began_s and time.monotonic() - began_s[0] >= limit_s):
        await asyncio.wait((future,), timeout=min(LOOK_S, limit_s))


def _take_exception(future: "asyncio.Future[Result]") -> None:
    """Nobody waits for it any more."""
    if not future.cancelled():
        future.exception()
