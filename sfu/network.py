"""The media port of the node: its sockets, and which transport a connectivity check is for."""

import asyncio
import ipaddress
from collections.abc import Callable
from time import monotonic, time
from typing import Protocol

import ifaddr
import structlog

from sfu.ice import Address, username
from sfu.local_socket import LocalSocket
from sfu.rtcp import ntp_from_unix
from sfu.tcp import TcpSocket
from sfu.udp import UdpSocket

log = structlog.get_logger()


ANY_PORT_ATTEMPTS = 20
"""A free UDP port may be taken on TCP or on another address: then another one is tried, where any will do."""


class Checked(Protocol):
    """A transport, as the network sees it."""

    def check(self, socket: LocalSocket, data: bytes, address: Address, now: float) -> bool:
        """Answer a connectivity check; False: not authentic."""


class Network:
    def __init__(
        self, port: int, advertise: tuple[str, ...], flush: Callable[[float], None], *, tcp: bool = False
    ) -> None:
        self._requested_port = port
        self._advertise = advertise
        self._flush = flush
        self.tcp = tcp
        """The port takes TCP connections as well (sfu.tcp)."""
        self._sockets: list[UdpSocket] = []
        self._listeners: list[TcpSocket] = []
        self._by_ufrag: dict[str, Checked] = {}
        self._epoch = time() - monotonic()
        self.candidates: list[tuple[str, int]] = []
        self.port = 0
        self.refused_checks = 0

    def start(self) -> None:
        """Bind. Raises OSError when no address could be bound."""
        loop = asyncio.get_running_loop()
        local = machine_addresses()
        wanted = [split_host_port(item) for item in self._advertise]
        hosts = [host for host, _ in wanted if host in local]
        if len(hosts) < len(wanted) or not wanted:
            hosts = local
        for attempt in range(ANY_PORT_ATTEMPTS):
            try:
                self._bind(list(dict.fromkeys(hosts)))
                break
            except OSError:
                self._close_all()
                if self._requested_port or attempt == ANY_PORT_ATTEMPTS - 1:
                    raise
        port = self.port
        self.candidates = [(host, given or port) for host, given in wanted] or [
            (s.host, port) for s in sorted(self._sockets, key=lambda s: ipaddress.ip_address(s.host).is_loopback)
        ]
        for opened in self._opened():
            opened.start(loop)

    def _bind(self, hosts: list[str]) -> None:
        """One socket per address and protocol, all on one number. Raises OSError when none could be bound, or the
        number is taken on TCP."""
        failure: OSError | None = None
        port = self._requested_port
        for host in hosts:
            try:
                bound = UdpSocket(host, port, self._on_stun, self._flush)
            except OSError as error:  # such as an IPv6 address that went away since it was listed
                failure = error
                log.warning("media_address_not_bound", address=host, port=port, error=str(error))
                continue
            self._sockets.append(bound)
            port = bound.port
            if self.tcp:
                self._listeners.append(TcpSocket(host, port, self._on_stun, self._flush))
        if not self._sockets:
            raise failure or OSError("no address to bind")
        self.port = port

    def _opened(self) -> list[LocalSocket]:
        return [*self._sockets, *self._listeners]

    def _close_all(self) -> None:
        loop = asyncio.get_running_loop()
        for opened in self._opened():
            opened.close(loop)
        self._sockets.clear()
        self._listeners.clear()

    def close(self) -> None:
        self._close_all()

    def read_feedback(self, most: int) -> int:
        """Take up to `most` of the reports that wait at the sockets; how many it were."""
        came = 0
        for bound in self._sockets:
            came += bound.read_feedback(most - came)
        return came

    def ntp(self, now: float) -> int:
        """NTP timestamp of a monotonic time; wall clock steps after the start do not show."""
        return ntp_from_unix(now + self._epoch)

    def register(self, ufrag: str, transport: Checked) -> None:
        self._by_ufrag[ufrag] = transport

    def unregister(self, ufrag: str) -> None:
        self._by_ufrag.pop(ufrag, None)

    def _on_stun(self, bound: LocalSocket, data: bytes, address: Address, now: float) -> None:
        transport = self._by_ufrag.get(username(data) or "")
        if transport is None or not transport.check(bound, data, address, now):
            self.refused_checks += 1

    def counters(self) -> dict[str, int]:
        names = ("received", "wakeups", "sent", "sends")
        drops = ("refused_claims", "dropped_size", "dropped_source", "dropped_kind", "dropped_send")
        totals = {name: sum(getattr(s, name) for s in self._opened()) for name in names + drops}
        for name in ("accepted", "refused", "closed_unchecked", "closed_framing", "closed_stalled"):
            totals[f"tcp_{name}"] = sum(getattr(listener, name) for listener in self._listeners)
        return totals | {"refused_checks": self.refused_checks}


def machine_addresses() -> list[str]:
    """Unicast addresses of the machine, loopback included, IPv4 first; link-local IPv6 ones need a scope and are left
    out."""
    found: list[str] = []
    for adapter in ifaddr.get_adapters():
        for item in adapter.ips:
            text = item.ip if isinstance(item.ip, str) else item.ip[0]
            if not ipaddress.ip_address(text).is_link_local:
                found.append(text)
    return sorted(dict.fromkeys(found), key=lambda text: ":" in text)


def split_host_port(text: str) -> tuple[str, int]:
    """`address`, `address:port` or `[v6]:port`; port 0 where none is given. Raises ValueError."""
    host, colon, port = text, "", ""
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        colon, port = rest[:1], rest[1:]
        if not bracket or colon not in ("", ":"):
            raise ValueError(f"{text}: not of the form [address]:port")
    elif text.count(":") == 1:
        host, colon, port = text.partition(":")
    number = int(port) if port.isascii() and port.isdigit() and len(port) <= 5 else -1 if colon else 0
    if not 0 <= number <= 65535:
        raise ValueError(f"{text}: the port is not from 1 to 65535")
    return str(ipaddress.ip_address(host)), number
