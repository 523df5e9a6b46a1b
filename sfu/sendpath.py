"""What a subscription needs of the transport that carries it."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from sfu.ice import Address
from sfu.srtp import SendKeys

if TYPE_CHECKING:
    from sfu.forwarding import Job, Target, Vp8Job


class SendPath(Protocol):
    """A connected transport in its role as a sender."""

    @property
    def keys(self) -> SendKeys: ...

    @property
    def address(self) -> Address:
        """Where the peer is at present."""

    def new_ssrc(self) -> int:
        """An SSRC that this transport has not used and will not use again."""

    def number(self, count: int, octets: int, cluster: int = 0) -> int:
        """Transport-wide sequence number (16 bits) of the first of `count` packets, `octets` on the wire together, that
        are sent now; `cluster`: of a probe for bandwidth."""

    def admit(self, count: int, octets: int) -> int:
        """As `number`, for pictures: WAITS if the path does not take so much at once, and then they are to be held."""

    def hold(self, jobs: "Sequence[Job] | Sequence[Vp8Job]", target: "Target", rewrite: bool) -> None:
        """Send a run, prepared as for `copy` or `copy_vp8`, as the path takes it."""

    def send(self, data: bytes) -> bool: ...

    @property
    def send_run(self) -> Callable[[list[bytes], int, Address], None]:
        """Of the socket that carries the path now: `LocalSocket.send_run`. A path that moves has targets made anew."""
