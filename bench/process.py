"""CPU time and placement of a process, from /proc."""

import gc
import os
import platform
import socket
import time
from collections.abc import Iterator, Set
from contextlib import contextmanager, suppress
from pathlib import Path
from timeit import repeat
from typing import NamedTuple

from cryptography.hazmat.primitives.ciphers.aead import AESGCM


class Times(NamedTuple):
    """Of one thread, nanoseconds."""

    on_cpu: int
    waiting: int
    """Ready to run, but others had the core."""


def times(pid: int) -> dict[int, Times]:
    """Of each thread: the first two fields of its schedstat. The first thread has the process's id."""
    found: dict[int, Times] = {}
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            fields = (task / "schedstat").read_text().split()
        except (FileNotFoundError, ProcessLookupError):  # it ended while we looked
            continue
        found[int(task.name)] = Times(int(fields[0]), int(fields[1]))
    return found


def spent(before: dict[int, Times], after: dict[int, Times]) -> dict[int, Times]:
    """Of each thread that is still there."""
    zero = Times(0, 0)
    return {
        thread: Times(time.on_cpu - start.on_cpu, time.waiting - start.waiting)
        for thread, time in after.items()
        for start in (before.get(thread, zero),)
    }


def cpu_s(pid: int) -> float:
    """Of all threads that are there, since they began."""
    return sum(thread.on_cpu for thread in times(pid).values()) / 1e9


def resident_bytes(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def pin(pid: int, cores: Set[int]) -> None:
    """Keep all threads of a process on these cores; threads it starts later inherit that."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(ProcessLookupError):  # it ended while we looked
            os.sched_setaffinity(int(task.name), cores)


@contextmanager
def kept_on(core: int | None) -> Iterator[None]:
    """Keep this process, and those that it starts meanwhile, on one core; None: leave it where it is."""
    before = os.sched_getaffinity(0)
    if core is not None:
        pin(os.getpid(), {core})
    try:
        yield
    finally:
        pin(os.getpid(), before)


@contextmanager
def on_time() -> Iterator[None]:
    """Let nothing hold this process up that can be kept from it: neither a collection of garbage nor, where that is
    allowed, another process. A load that is held up sends all that is due in one go afterwards."""
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    gc.collect()
    gc.disable()
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except PermissionError:
        pass
    try:
        yield
    finally:
        os.sched_setscheduler(0, *before)
        gc.enable()


def stolen_s() -> float:
    """Of all cores together, since the machine's start: time in which they would have worked and the host gave them to
    other machines (proc(5), `steal`)."""
    return int(Path("/proc/stat").read_text().split()[8]) / os.sysconf("SC_CLK_TCK")


def two_cores() -> tuple[int, int] | tuple[None, None]:
    """A core for the server and one for everything else; none on a machine with one."""
    cores = sorted(os.sched_getaffinity(0))
    return (cores[0], cores[1]) if len(cores) > 1 else (None, None)


def free_port() -> int:
    """Of TCP on 127.0.0.1, for servers that do not choose one themselves."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def encrypt_us() -> float:
    """AES-GCM of a packet, as the program does it, in a hot loop: tells how fast this machine is at present. Figures of
    machines compare better as multiples of this."""
    encrypt = AESGCM(bytes(range(16))).encrypt
    nonce, payload, header = bytes(12), bytes(1100), bytes(12)
    return 1e6 / 1000 * min(repeat(lambda: encrypt(nonce, payload, header), number=1000, repeat=30))


def wake_us(per_s: int = 400) -> float:
    """CPU time of waking up to do nothing, so often a second: what a load that comes in bursts pays on top, a few
    microseconds on a machine of its own, ten times that on some virtual ones."""

    def on_cpu() -> int:
        return int(Path("/proc/thread-self/schedstat").read_text().split()[0])

    before = on_cpu()
    for _ in range(per_s):
        time.sleep(1 / per_s)
    return (on_cpu() - before) / per_s / 1000


def conditions() -> dict[str, str | int | float]:
    """What figures depend on beside the program."""
    model = "unknown"
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    return {
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "load_average": round(os.getloadavg()[0], 2),
        "encrypt_us": round(encrypt_us(), 2),
        "wake_us": round(wake_us()),
    }
