"""Under which address the program is being used, and whether a page belongs to it.

Guarantees: X-Forwarded-* counts only from `http.trusted_proxies`; `http.public_url` wins over everything; a host that
is not a plain host[:port] is refused, so it can be put into headers and URLs.
"""

import ipaddress
import re
from urllib.parse import urlsplit

from aiohttp import web

from signaling.problems import Problem
from signaling.settings import HttpSettings

_HOST = re.compile(r"^(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?$")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Origins:
    def __init__(self, settings: HttpSettings) -> None:
        self._public = urlsplit(settings.public_url.rstrip("/")) if settings.public_url else None
        self._trusted: tuple[Network, ...] = tuple(
            ipaddress.ip_network(proxy, strict=False) for proxy in settings.trusted_proxies
        )

    def base_url(self, request: web.Request) -> str:
        """`scheme://host[:port]`, without a slash at the end."""
        if self._public is not None:
            return self._public.geturl()
        return f"{self._scheme(request)}://{self.host(request)}"

    def websocket_url(self, request: web.Request) -> str:
        """`base_url` with ws or wss."""
        return "ws" + self.base_url(request).removeprefix("http")

    def host(self, request: web.Request) -> str:
        """The host as the browser named it."""
        host = self._forwarded(request, "X-Forwarded-Host") or request.host
        if not _HOST.match(host):
            raise Problem("bad_request", "the Host header is not a host")
        return host

    def client(self, request: web.Request) -> str:
        """Address of the client: the last one of X-Forwarded-For that is no trusted proxy, or the peer's."""
        address = request.remote or ""
        if not self._trusts(address):
            return address
        for hop in reversed(request.headers.get("X-Forwarded-For", "").split(",")):
            if hop.strip():
                address = hop.strip()
            if not self._trusts(address):
                break
        return address

    def require_own(self, request: web.Request) -> None:
        """Refuse a page of another site. Programs send no Origin and are let through: the token decides."""
        origin = request.headers.get("Origin")
        if origin is None:
            return
        own = {self.host(request).lower()}
        if self._public is not None:
            own.add(self._public.netloc.lower())
        try:
            parts = urlsplit(origin)
        except ValueError:
            raise Problem("foreign_origin") from None
        if parts.scheme not in ("http", "https") or parts.netloc.lower() not in own:
            raise Problem("foreign_origin")

    def _scheme(self, request: web.Request) -> str:
        scheme = self._forwarded(request, "X-Forwarded-Proto")
        return scheme if scheme in ("http", "https") else request.scheme

    def _forwarded(self, request: web.Request, name: str) -> str:
        if not self._trusts(request.remote or ""):
            return ""
        return request.headers.get(name, "").split(",")[-1].strip()

    def _trusts(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._trusted)
