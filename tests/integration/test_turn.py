"""Our credentials at a real coturn, and what it relays to."""

import asyncio
import socket
import time
from collections.abc import AsyncIterator

import msgspec
import pytest
from aioice import stun
from aioice.turn import create_turn_endpoint

from signaling.messages import IceServer
from signaling.settings import TurnSettings
from signaling.turn import ice_servers
from tests.support.coturn import start_coturn
from tests.support.raw_peer import RawPeer
from tests.support.studio import start_studio

ANOTHER = "127.0.0.2"
"""Loopback too, so that nothing but the rule for peers refuses it."""
WAIT_S = 10.0


@pytest.fixture
async def turn() -> AsyncIterator[TurnSettings]:
    async with start_coturn() as settings:
        yield settings


class Relayed(asyncio.DatagramProtocol):
    """What came through the relay, and what it refused."""

    def __init__(self) -> None:
        self.got: asyncio.Queue[bytes | Exception] = asyncio.Queue()

    def datagram_received(self, data: bytes, addr: object) -> None:
        self.got.put_nowait(data)

    def error_received(self, exc: Exception) -> None:
        self.got.put_nowait(exc)


async def through_relay(server: IceServer, to: str) -> bytes | Exception:
    """What comes back when `ping` is sent to an echo at this address."""
    host, port = server.urls[0].split(":")[1:]
    transport, protocol = await create_turn_endpoint(
        Relayed, server_addr=(host, int(port)), username=server.username, password=server.credential
    )
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as echo:
        echo.bind((to, 0))
        echo.setblocking(False)
        loop = asyncio.get_running_loop()
        transport.sendto(b"ping", echo.getsockname())
        answered = asyncio.create_task(protocol.got.get())
        heard = asyncio.create_task(loop.sock_recvfrom(echo, 100))
        async with asyncio.timeout(WAIT_S):
            await asyncio.wait([answered, heard], return_when=asyncio.FIRST_COMPLETED)
            if heard.done():
                data, address = heard.result()
                await loop.sock_sendto(echo, b"echo of " + data, address)
            result = await answered
            heard.cancel()
            await asyncio.gather(heard, return_exceptions=True)
    transport.close()
    return result


def refusal(error: object) -> int | None:
    assert isinstance(error, stun.TransactionFailed)
    return error.response.error_code


async def test_credentials_of_the_program_open_a_relay_to_the_address_of_the_program(turn: TurnSettings) -> None:
    (server,) = ice_servers(turn, "par_a", time.time())
    assert await through_relay(server, "127.0.0.1") == b"echo of ping"


async def test_any_other_address_is_refused(turn: TurnSettings) -> None:
    (server,) = ice_servers(turn, "par_a", time.time())
    assert refusal(await through_relay(server, ANOTHER)) == 403


@pytest.mark.parametrize("what", ["expired", "another secret", "a longer life", "another name"])
async def test_credentials_that_are_expired_or_changed_are_refused(turn: TurnSettings, what: str) -> None:
    (server,) = ice_servers(turn, "par_a", time.time())
    if what == "expired":
        (server,) = ice_servers(turn, "par_a", time.time() - turn.ttl_s - 2)
    elif what == "another secret":
        (server,) = ice_servers(msgspec.structs.replace(turn, secret="x" * 20), "par_a", time.time())
    elif what == "a longer life":
        server.username = f"{int(time.time()) + 10 * turn.ttl_s}:par_a"
    else:
        server.username = server.username.replace("par_a", "par_b")
    with pytest.raises(stun.TransactionFailed) as caught:
        await through_relay(server, "127.0.0.1")
    assert refusal(caught.value) == 401


async def test_a_participant_is_told_of_the_server_with_credentials_of_its_own(
    turn: TurnSettings, tmp_path_factory: pytest.TempPathFactory
) -> None:
    overrides = {"turn": {"urls": list(turn.urls), "secret": turn.secret, "ttl_s": 600}}
    async with start_studio(tmp_path_factory.mktemp("turn"), overrides) as studio:
        session = await studio.create_session()
        async with await RawPeer.join(studio.url, session["session_id"]) as peer:
            (told,) = peer.welcome["ice_servers"]
            assert told["urls"] == list(turn.urls)
            until, participant = told["username"].split(":")
            assert participant == peer.welcome["participant_id"]
            assert 500 < int(until) - time.time() <= 600
            assert await through_relay(IceServer(**told), "127.0.0.1") == b"echo of ping"
        assert turn.secret not in studio.log_text(10_000)
