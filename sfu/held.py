"""Runs that wait until a viewer's path takes them: cut to pieces, and copied, numbered and sent when they leave."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple, cast

from sfu.forwarding import OVERHEAD_BYTES, Job, Target, Vp8Job, copy, copy_vp8
from sfu.ice import Address


class HeldRun(NamedTuple):
    """Packets as the packet path prepared them; their indices in the viewer's stream are used when they are sent."""

    jobs: Sequence[Job] | Sequence[Vp8Job]
    """Shared with the copies to others."""
    target: Target
    """As it was when the run came."""
    rewrite: bool
    octets: int
    """Payload."""

    def send(self, sequence: int, address: Address, send_run: Callable[[list[bytes], int, Address], None]) -> None:
        """`sequence`: transport-wide number of the first; `address`: where the viewer is now."""
        target = self.target
        if self.rewrite:
            buffers = copy_vp8(cast(Sequence[Vp8Job], self.jobs), target, sequence)
        else:
            buffers = copy(cast(Sequence[Job], self.jobs), target, sequence)
        send_run(buffers, len(self.jobs), address)
        subscription = target[0]
        subscription.packets += len(self.jobs)
        subscription.octets += self.octets


def cut(
    jobs: Sequence[Job] | Sequence[Vp8Job], target: Target, rewrite: bool, piece_bytes: int
) -> Iterator[tuple[HeldRun, int]]:
    """Pieces of a run of at most so much on the wire, or of one packet, with what they have on the wire. Each is a run
    too: of equal packets only the last may be shorter."""
    sizes = [len(job[4]) + (job[5] if rewrite else 0) for job in jobs]  # type: ignore[misc]
    begin = wire = 0
    for end, size in enumerate(sizes):
        if end > begin and wire + size + OVERHEAD_BYTES > piece_bytes:
            yield HeldRun(jobs[begin:end], target, rewrite, sum(sizes[begin:end])), wire
            begin, wire = end, 0
        wire += size + OVERHEAD_BYTES
    yield HeldRun(jobs[begin:], target, rewrite, sum(sizes[begin:])), wire
