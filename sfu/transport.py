"""One peer connection: ICE, DTLS and SRTP together, with a receiving and a sending half.

Life: `new` until the first valid check, `connecting` during the handshake, then `connected`, and at the end `failed`
(handshake refused, or no valid check for 30 s, in any state) or `closed`. The owner closes it; closing ends the
handshake task and forgets every address. An ICE restart changes nothing of this: DTLS, keys and SSRCs stay (RFC 8842
4).
"""

import asyncio
import secrets
from collections import Counter
from collections.abc import Callable, Sequence
from time import monotonic

import structlog
from aiortc.rtcdtlstransport import RTCCertificate

from sfu import rtcp
from sfu.congestion.feedback import TransportFeedback
from sfu.congestion.pacer import Pacer
from sfu.congestion.probing import ProbeCluster
from sfu.dtls import Channel, Dtls
from sfu.forwarding import WAITS, Job, Target, Vp8Job
from sfu.held import HeldRun, cut
from sfu.ice import Address, IceLite
from sfu.inbound import Inbound
from sfu.local_socket import LocalSocket
from sfu.network import Network
from sfu.outbound import Outbound
from sfu.policer import Policer
from sfu.rtp import HEADER
from sfu.srtp import Profile, ReceiveKeys, SendKeys

log = structlog.get_logger()

_NEXT = {
    "new": {"connecting", "failed", "closed"},
    "connecting": {"connected", "failed", "closed"},
    "connected": {"failed", "closed"},
    "failed": {"closed"},
    "closed": set[str](),
}

PROBE_STEP_S = 0.005
"""A probe leaves in bursts at this interval, as libwebrtc's pacer sends."""

MIN_SRTP_BYTES = 12 + 10
"""Header and the shortest authentication tag."""


class Transport:
    def __init__(
        self,
        network: Network,
        certificate: RTCCertificate,
        inbound: Inbound,
        on_state: Callable[["Transport"], None],
        incoming_bps: int,
        now: float,
    ) -> None:
        """`incoming_bps`: SRTP and SRTCP beyond it are dropped (sfu.policer)."""
        self.ice = IceLite(now)
        self.inbound = inbound
        self.outbound = Outbound()
        self.state = "new"
        self.fingerprints: list[tuple[str, str]] = []
        self.remote_ice = ("", "")
        """ufrag and password of the peer's last description; other ones in its next mean an ICE restart."""
        self.profile: Profile | None = None
        self.dropped_short = self.dropped_policed = 0
        self.rtcp_refused = 0
        self.octets = 0
        """SRTP and SRTCP taken from the peer."""
        self._policer = Policer(incoming_bps, now)
        self._octets_allowed = self._policer.allowed
        self._network = network
        self._on_state = on_state
        self._socket: LocalSocket | None = None
        self._seen_on: set[LocalSocket] = set()
        self._channel = Channel(self._send_handshake)
        self._dtls = Dtls(self._channel, certificate)
        self._dtls.add_listener("statechange", self._dtls_changed)
        self._task: asyncio.Task[None] | None = None
        self._send_keys: SendKeys | None = None
        self._receive_keys: ReceiveKeys | None = None
        self._ssrcs: set[int] = set()
        self._registered: frozenset[str] = frozenset()
        self._register(self.ice.ufrags)
        self._probing: asyncio.TimerHandle | None = None
        self._pacer: Pacer[HeldRun] = self.outbound.pacer
        self._pacing: asyncio.TimerHandle | None = None
        self._left_octets = 0
        """Of all that ever left, when something that is held left last."""

    # --- sending (SendPath)

    @property
    def keys(self) -> SendKeys:
        assert self._send_keys is not None
        return self._send_keys

    @property
    def address(self) -> Address:
        assert self.ice.selected is not None
        return self.ice.selected

    def new_ssrc(self) -> int:
        while True:
            ssrc = 2 + secrets.randbelow(0xFFFFFFF0)
            if ssrc not in self._ssrcs:
                self._ssrcs.add(ssrc)
                return ssrc

    def number(self, count: int, octets: int, cluster: int = 0) -> int:
        """Hot: once for each run of packets that leaves whatever the path takes: sound, repairs, probes."""
        estimator = self.outbound.estimator
        assert estimator is not None
        return estimator.sent.note(count, octets, monotonic(), cluster)

    def admit(self, count: int, octets: int) -> int:
        """Hot: once for each run of packets of a picture."""
        estimator = self.outbound.estimator
        assert estimator is not None
        now = monotonic()
        pacer = self._pacer
        if pacer.paces and not pacer.admit(octets, now):
            return WAITS
        return estimator.sent.note(count, octets, now)

    def hold(self, jobs: Sequence[Job] | Sequence[Vp8Job], target: Target, rewrite: bool) -> None:
        estimator = self.outbound.estimator
        assert estimator is not None
        now = monotonic()
        if self._pacer.due is None:
            self._left_octets = estimator.sent.octets
        for run, octets in cut(jobs, target, rewrite, self._pacer.piece_bytes):
            self._pacer.hold(run, octets, now)
        self._release(now)

    def _release(self, now: float) -> None:
        """Send what the path takes now of what is held, and come again for the rest."""
        estimator = self.outbound.estimator
        assert estimator is not None
        log = estimator.sent
        self._pacer.passed(log.octets - self._left_octets, now)
        for run, octets in self._pacer.take(now):
            run.send(log.note(len(run.jobs), octets, now), self.address, self.send_run)
        self._left_octets = log.octets
        if (due := self._pacer.due) is not None and self._pacing is None:
            self._pacing = asyncio.get_running_loop().call_later(max(0.0, due - now), self._pace)

    def _pace(self) -> None:
        self._pacing = None
        if self.state == "connected":
            self._release(monotonic())

    def send(self, data: bytes) -> bool:
        return self._socket is not None and self._socket.send(data, self.address)

    @property
    def send_run(self) -> Callable[[list[bytes], int, Address], None]:
        assert self._socket is not None
        return self._socket.send_run

    def send_rtcp(self, packet: bytes) -> None:
        if self.state == "connected":
            self.send(self.keys.protect_rtcp(packet))

    def _send_handshake(self, data: bytes) -> bool:
        self.send(data)  # a lost flight is repeated by DTLS
        return self.state in ("connecting", "connected")

    # --- ICE and DTLS

    def restart_ice(self) -> None:
        """New credentials for our next description; checks with the present ones are answered until theirs come."""
        if self.state not in ("failed", "closed"):
            self.ice.restart()
            self._register(self.ice.ufrags)

    def _register(self, answered: frozenset[str]) -> None:
        """Be found by these ufrags and by no other."""
        for ufrag in self._registered - answered:
            self._network.unregister(ufrag)
        for ufrag in answered - self._registered:
            self._network.register(ufrag, self)
        self._registered = answered

    @property
    def setup(self) -> str:
        """Our side of `a=setup` in an answer (RFC 8842 5.2)."""
        return "active" if self._dtls.is_client else "passive"

    def be_dtls_client(self) -> None:
        """The peer waits for our ClientHello. To be called before its first check can come."""
        self._dtls.be_client()

    def check(self, socket: LocalSocket, data: bytes, address: Address, now: float) -> bool:
        before = self.ice.selected
        answer = self.ice.answer(data, address, now, lambda: socket.claim(address, self, now))
        if answer is None:
            return False
        socket.send(answer.data, address)
        if len(self._registered) > 1:
            self._register(self.ice.ufrags)
        if answer.valid and self.state not in ("failed", "closed"):
            self._validated(socket, address)
            moved = answer.selects and (self.ice.selected != before or self._socket is not socket)
            if moved:
                self._socket = socket
                for subscription in self.outbound.all():
                    if subscription.encoding is not None:
                        subscription.encoding.retarget()
            if (moved or answer.resumes) and self.state == "connected":
                self._resume_pictures()
            if self._task is None and self.fingerprints:
                self._set_state("connecting")
                self._task = asyncio.get_running_loop().create_task(self._connect())
        return True

    def _resume_pictures(self) -> None:
        """What was lost while the peer was cut off or had moved is beyond repair: pictures begin anew, both ways."""
        self.inbound.want_key_frames()
        for subscription in self.outbound.all():
            if subscription.encoding is not None:
                subscription.encoding.want_key_frame()

    def _validated(self, socket: LocalSocket, address: Address) -> None:
        socket.dtls[address] = self._channel.feed
        if self.state == "connected":
            socket.media[address] = self.receive
        self._seen_on.add(socket)
        if len(socket.dtls) > 1:
            for known in [a for a, feed in socket.dtls.items() if feed == self._channel.feed]:
                if known not in self.ice.addresses:
                    socket.forget(known)

    async def _connect(self) -> None:
        try:
            keys = await self._dtls.handshake(self.fingerprints)
        except Exception:  # edge of the task: one peer's handshake must not end more than this peer
            log.exception("handshake_error")
            keys = None
        if self.state != "connecting":
            return
        if keys is None:
            self.fail()
            return
        self.profile = keys.profile
        self._send_keys = SendKeys(keys.profile, keys.send)
        self._receive_keys = ReceiveKeys(keys.profile, keys.receive)
        for socket in self._seen_on:
            for address in self.ice.addresses:
                if address in socket.dtls:
                    socket.media[address] = self.receive
        self._set_state("connected")

    def _dtls_changed(self) -> None:
        if (
            self._dtls.state == "closed" and self.state != "failed"
        ):  # close_notify: the browser closed its peer connection
            self.close()

    def _set_state(self, state: str) -> None:
        if state != self.state and state in _NEXT[self.state]:
            self.state = state
            self._on_state(self)

    def close(self) -> None:
        """Tell the peer (DTLS close_notify) and forget it. Idempotent."""
        if self.state == "closed":
            return
        if self.state == "connected":
            for record in self._dtls.close_notify():
                self.send(record)
        self._forget()
        self._set_state("closed")

    def fail(self) -> None:
        self._forget()
        self._set_state("failed")

    def _forget(self) -> None:
        self._register(frozenset())
        for timer in (self._probing, self._pacing):
            if timer is not None:
                timer.cancel()
        self._pacer.clear()
        for socket in self._seen_on:
            for address in [a for a, feed in socket.dtls.items() if feed == self._channel.feed]:
                socket.forget(address)
        self._channel.close()

    def counters(self) -> Counter[str]:
        """What happened to datagrams and packets both ways, since the beginning."""
        totals = self.inbound.counters()
        totals.update(self.outbound.counters())
        totals.update(self.dropped())
        return totals

    def dropped(self) -> dict[str, int]:
        """Received datagrams that were not taken, by reason."""
        return {
            "rtcp_refused": self.rtcp_refused,
            "dropped_short": self.dropped_short,
            "dropped_policed": self.dropped_policed,
            "dropped_unknown": self.inbound.dropped_unknown,
            "dropped_limit": self.inbound.dropped_limit,
        }

    async def finish(self) -> None:
        """Wait until the DTLS tasks of a closed transport have ended."""
        await self._dtls.stop()
        if self._task is not None:
            await asyncio.wait([self._task])

    # --- receiving

    def receive(self, data: bytes, now: float) -> None:
        """An SRTP or SRTCP datagram from a validated address; hot."""
        size = len(data)
        if size < MIN_SRTP_BYTES:
            self.dropped_short += 1
            return
        octets = self.octets + size
        if octets > self._octets_allowed:
            self.dropped_policed += 1
            return
        self.octets = octets
        first, second, sequence, timestamp, ssrc = HEADER.unpack_from(data)
        if 192 <= second <= 223:
            self._receive_rtcp(data, now)
            return
        stream = self.inbound.streams.get(ssrc)
        if stream is not None:
            stream.receive(data, first, second, sequence, timestamp, now)
        elif self._receive_keys is not None:
            self.inbound.first_sight(data, first, second, sequence, timestamp, ssrc, now, self._receive_keys)

    def _receive_rtcp(self, data: bytes, now: float) -> None:
        plain = self._receive_keys.unprotect_rtcp(data) if self._receive_keys else None
        if plain is None:
            self.rtcp_refused += 1
            return
        for packet in rtcp.parse(plain):
            if isinstance(packet, rtcp.SenderReport):
                self.inbound.sender_report(packet, now)
            elif isinstance(packet, rtcp.ReceiverReports):
                self.outbound.reports(packet, now, self._network.ntp(now))
            elif isinstance(packet, TransportFeedback):
                self.outbound.feedback(packet, now)
            elif isinstance(packet, rtcp.SinceReference):
                self.inbound.since_reference(packet, now)
            elif isinstance(packet, rtcp.Remb):
                self.outbound.remb(packet, now)
            elif isinstance(packet, rtcp.Nack):
                self.outbound.nack(packet, now)
            elif isinstance(packet, rtcp.KeyFrameRequest):
                self.outbound.key_frame_request(packet)

    # --- regular duties

    def repair(self, now: float) -> bool:
        """Every 10 ms while packets are missing; False: of this transport's none is."""
        if self.state != "connected":
            return False
        for packet in self.inbound.repair(now):
            self.send_rtcp(packet)
        return self.inbound.misses()

    def tick(self, now: float, *, report: bool) -> None:
        """Every 50 ms; `report`: once a second, receiver and sender reports."""
        if self.state != "connected":
            if self.state in ("new", "connecting") and self.ice.is_lost(now):
                self.fail()
            return
        if self.ice.is_lost(now):
            self.fail()
            return
        self._octets_allowed = self._policer.fill(self.octets, now)
        for packet in self.inbound.feedback(now):
            self.send_rtcp(packet)
        self.outbound.new_tick()
        estimator = self.outbound.estimator
        self.outbound.pace()
        if estimator is not None:
            cluster = estimator.tick(now)
            if cluster is not None and self._probing is None:
                self._probe(cluster, now, 0)
        if report:
            block = self.inbound.receiver_report(now, self._network.ntp(now))
            if block is not None:
                self.send_rtcp(block)
            for packet in self.outbound.sender_reports(now, self._network.ntp(now)):
                self.send_rtcp(packet)

    def _probe(self, cluster: ProbeCluster, begun: float, sent: int) -> None:
        """Send what is due of a probe, and come again until all of it is sent."""
        self._probing = None
        if self.state != "connected":
            return
        due = min(cluster.octets, int((monotonic() - begun + PROBE_STEP_S) * cluster.rate_bps / 8)) - sent
        self.outbound.probe(due, cluster.id)
        sent += max(due, 0)
        if sent < cluster.octets:
            self._probing = asyncio.get_running_loop().call_later(PROBE_STEP_S, self._probe, cluster, begun, sent)
