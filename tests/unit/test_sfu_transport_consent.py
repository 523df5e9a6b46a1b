"""When a transport is given up: 30 s without a valid check, in every state. Virtual time; no socket."""

from aiortc.rtcdtlstransport import RTCCertificate

from sfu.ice import LOST_AFTER_S
from sfu.inbound import Inbound
from sfu.srtp import Profile, SendKeys
from sfu.transport import Transport
from tests.support.sfu_media import HERE, VIEWER_MASTER
from tests.unit.test_sfu_ice_checks import THERE, check

CERTIFICATE = RTCCertificate.generateCertificate()


class FakeNetwork:
    """Who is found by which ufrag."""

    def __init__(self) -> None:
        self.by_ufrag: dict[str, object] = {}

    def register(self, ufrag: str, transport: object) -> None:
        self.by_ufrag[ufrag] = transport

    def unregister(self, ufrag: str) -> None:
        del self.by_ufrag[ufrag]

    def ntp(self, now: float) -> int:
        return int(now * 65536)


class FakeSocket:
    """Keeps what is sent."""

    def __init__(self) -> None:
        self.media: dict[object, object] = {}
        self.dtls: dict[object, object] = {}
        self.sent: list[tuple[bytes, object]] = []

    def claim(self, address: object, owner: object, now: float) -> bool:
        return True

    def send(self, data: bytes, address: object) -> bool:
        self.sent.append((data, address))
        return True

    def forget(self, address: object) -> None:
        self.media.pop(address, None)
        self.dtls.pop(address, None)


class Held:
    def __init__(self) -> None:
        self.network = FakeNetwork()
        self.socket = FakeSocket()
        self.states: list[str] = []
        self.transport = Transport(
            self.network,  # type: ignore[arg-type]
            CERTIFICATE,
            Inbound([], lambda _source, _encoding: None),
            lambda transport: self.states.append(transport.state),
            incoming_bps=10_000_000,
            now=0.0,
        )

    def checked(self, now: float, address: tuple[str, int] = HERE) -> None:  # type: ignore[assignment]
        assert self.transport.check(self.socket, check(self.transport.ice), address, now)  # type: ignore[arg-type]

    def connect(self) -> None:
        """As after a handshake."""
        self.transport._send_keys = SendKeys(Profile.AEAD_AES_128_GCM, VIEWER_MASTER)
        self.transport._set_state("connecting")
        self.transport._set_state("connected")

    def tick(self, now: float) -> str:
        self.transport.tick(now, report=True)
        return self.transport.state


async def test_a_connection_that_never_gets_a_check_is_given_up_so_that_none_pile_up() -> None:
    held = Held()
    assert held.tick(LOST_AFTER_S) == "new"
    assert held.tick(LOST_AFTER_S + 0.1) == "failed"
    assert held.states == ["failed"]
    assert held.network.by_ufrag == {}


async def test_a_connected_peer_is_gone_thirty_seconds_after_its_last_check_and_not_before() -> None:
    held = Held()
    held.checked(1.0)
    held.connect()
    for second in range(2, 100, 2):
        held.checked(float(second))
        assert held.tick(second + 1.9) == "connected"
    assert held.tick(98 + LOST_AFTER_S) == "connected"
    assert held.tick(98.1 + LOST_AFTER_S) == "failed"
    assert (held.socket.media, held.socket.dtls, held.network.by_ufrag) == ({}, {}, {})


async def test_nothing_is_sent_once_a_peer_is_gone() -> None:
    held = Held()
    held.checked(0.0)
    held.connect()
    held.tick(LOST_AFTER_S + 1)
    sent = len(held.socket.sent)
    held.transport.send_rtcp(bytes(8))
    held.tick(LOST_AFTER_S + 2)
    assert len(held.socket.sent) == sent


async def test_a_refused_check_keeps_nobody_alive() -> None:
    held = Held()
    held.checked(1.0)
    held.connect()
    wrong = check(held.transport.ice, password="x" * 24)
    assert not held.transport.check(held.socket, wrong, HERE, 20.0)  # type: ignore[arg-type]
    assert held.tick(1.1 + LOST_AFTER_S) == "failed"


async def test_a_restart_is_found_by_both_ufrags_until_the_first_check_and_forgets_the_old_one_then() -> None:
    held = Held()
    held.checked(1.0)
    held.connect()
    old = held.transport.ice.ufrag
    held.transport.restart_ice()
    new = held.transport.ice.ufrag
    assert held.network.by_ufrag == {old: held.transport, new: held.transport}
    held.checked(2.0, THERE)  # type: ignore[arg-type]
    assert held.network.by_ufrag == {new: held.transport}
    assert held.transport.address == THERE
    assert set(held.socket.dtls) == {HERE, THERE}
    assert held.states == ["connecting", "connected"], "nothing of DTLS begins anew"


async def test_a_restart_does_not_bring_back_a_peer_that_is_gone() -> None:
    held = Held()
    held.tick(LOST_AFTER_S + 1)
    held.transport.restart_ice()
    assert held.network.by_ufrag == {}


async def test_a_restart_alone_gives_no_more_time() -> None:
    held = Held()
    held.checked(1.0)
    held.connect()
    held.transport.restart_ice()
    assert held.tick(1.1 + LOST_AFTER_S) == "failed"
    assert held.network.by_ufrag == {}
