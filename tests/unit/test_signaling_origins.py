"""Under which address we are used, and who is believed about it."""

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from signaling.origins import Origins
from signaling.problems import Problem
from signaling.settings import HttpSettings

FORWARDED = {
    "Host": "10.0.0.5:8080",
    "X-Forwarded-Host": "studio.example",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-For": "203.0.113.9, 10.1.1.1",
}


class Peer:
    """A transport whose peer has this address."""

    def __init__(self, address: str) -> None:
        self.address = address

    def get_extra_info(self, name: str, default: object = None) -> object:
        return (self.address, 1234) if name == "peername" else default


def request(headers: dict[str, str], remote: str = "198.51.100.7") -> web.Request:
    return make_mocked_request("GET", "/", headers=headers, transport=Peer(remote))


def test_forwarded_headers_of_strangers_are_ignored() -> None:
    origins = Origins(HttpSettings())
    assert origins.base_url(request(FORWARDED)) == "http://10.0.0.5:8080"
    assert origins.client(request(FORWARDED)) == "198.51.100.7"


def test_forwarded_headers_of_trusted_proxies_count() -> None:
    origins = Origins(HttpSettings(trusted_proxies=("10.0.0.0/8",)))
    proxied = request(FORWARDED, "10.1.1.2")
    assert origins.base_url(proxied) == "https://studio.example"
    assert origins.websocket_url(proxied) == "wss://studio.example"
    assert origins.client(proxied) == "203.0.113.9"


def test_the_public_url_wins() -> None:
    origins = Origins(HttpSettings(public_url="https://studio.example/"))
    assert origins.base_url(request({"Host": "localhost:8080"})) == "https://studio.example"


@pytest.mark.parametrize("host", ["a b", "evil;script-src *", "a/b", "[::1", "x:123456"])
def test_a_host_that_is_no_host_is_refused(host: str) -> None:
    with pytest.raises(Problem):
        Origins(HttpSettings()).host(request({"Host": host}))


@pytest.mark.parametrize("host", ["localhost:8080", "[::1]:8080", "192.0.2.1", "a-b.example"])
def test_hosts_are_taken_as_they_are(host: str) -> None:
    assert Origins(HttpSettings()).host(request({"Host": host})) == host


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost:8080.evil.example", "file://", "http://["]
)
def test_pages_of_other_sites_are_refused(origin: str) -> None:
    with pytest.raises(Problem) as refusal:
        Origins(HttpSettings()).require_own(request({"Host": "localhost:8080", "Origin": origin}))
    assert refusal.value.id == "foreign_origin"


def test_our_own_pages_and_programs_are_let_through() -> None:
    origins = Origins(HttpSettings(public_url="https://studio.example"))
    origins.require_own(request({"Host": "localhost:8080", "Origin": "http://localhost:8080"}))
    origins.require_own(request({"Host": "localhost:8080", "Origin": "https://STUDIO.example"}))
    origins.require_own(request({"Host": "localhost:8080"}))
