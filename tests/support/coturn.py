"""A real coturn on 127.0.0.1, set up as docs/operator.md says: it relays to one address alone."""

import asyncio
import shutil
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from signaling.settings import TurnSettings

SECRET = "a secret of the tests alone"
RELAYS_TO = "127.0.0.1"
LEFT_OUT = "No turnserver: the tests with a TURN server are left out (install coturn)."
START_S = 20.0
LOOK_S = 0.02


def executable() -> str | None:
    return shutil.which("turnserver")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port


@asynccontextmanager
async def start_coturn() -> AsyncIterator[TurnSettings]:
    """Started, until the end of the block; settings that fit."""
    path = executable()
    assert path is not None, LEFT_OUT
    port = _free_port()
    process = await asyncio.create_subprocess_exec(
        *(path, "-n", "--no-cli", "--no-tls", "--no-dtls", "--log-file=stdout", "--simple-log", "--pidfile="),
        *("--use-auth-secret", f"--static-auth-secret={SECRET}", "--realm=stemroom.test", "--fingerprint"),
        *("--listening-ip=127.0.0.1", f"--listening-port={port}", "--relay-ip=127.0.0.1"),
        *("--denied-peer-ip=0.0.0.0-255.255.255.255", "--denied-peer-ip=::-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"),
        *(f"--allowed-peer-ip={RELAYS_TO}", "--allow-loopback-peers", "--no-multicast-peers"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(START_S):
            while True:
                assert process.returncode is None, f"coturn ended with {process.returncode}"
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except ConnectionRefusedError:
                    await asyncio.sleep(LOOK_S)
                else:
                    writer.close()
                    await writer.wait_closed()
                    break
        yield TurnSettings(urls=(f"turn:127.0.0.1:{port}",), secret=SECRET)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
