"""CPU time and placement of a process, from /proc."""

import os
import platform
import time
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
        except FileNotFoundError:  # it ended while we looked
            continue
        found[int(task.name)] = Times(int(fields[0]), int(fields[1]))
    return found


def pin(pid: int, core: int) -> None:
    """Keep all threads of a process on one core; threads it starts later inherit that."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), {core})


def two_cores() -> tuple[int, int] | None:
    """A core for the server and one for everything else; None on a machine with one."""
    cores = sorted(os.sched_getaffinity(0))
    return (cores[0], cores[1]) if len(cores) > 1 else None


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
