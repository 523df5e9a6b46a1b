"""The real program starts, says where it is, keeps its recorder running and ends in order."""

import asyncio
import os
import signal
import socket
import ssl
import sys
import time
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import aiohttp
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.support.studio import ROOT, Studio, start_studio


async def command(*arguments: str, folder: Path) -> tuple[int, str, str]:
    """Run `stemroom ...` in `folder` to its end: exit code, output, errors."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "stemroom", *arguments),
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, errors = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, output.decode(), errors.decode()


def self_signed(folder: Path) -> tuple[Path, Path]:
    """A certificate for 127.0.0.1 and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "studio")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
    plain = (PrivateFormat.PKCS8, NoEncryption())
    (folder / "cert.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (folder / "key.pem").write_bytes(key.private_bytes(Encoding.PEM, *plain))
    return folder / "cert.pem", folder / "key.pem"


async def test_it_serves_both_listeners_and_the_media_port(studio: Studio) -> None:
    async with aiohttp.ClientSession() as client:
        for url in (studio.url, studio.operators_url):
            async with client.get(url + "/healthz") as reply:
                assert reply.status == 200
        async with client.get(studio.url + "/metrics") as reply:
            assert reply.status == 404, "metrics are for operators only"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe, pytest.raises(OSError, match="in use"):
        probe.bind(("127.0.0.1", studio.media_port))


async def test_a_session_can_be_created_and_joined(studio: Studio) -> None:
    session = await studio.create_session("Morning show")
    joined = await studio.api.join(session["session_id"], "Ada", session["host_secret"])
    assert joined["role"] == "host"
    assert (await studio.api.session(session["session_id"]))["title"] == "Morning show"


async def test_neither_secrets_nor_tokens_are_logged(studio: Studio) -> None:
    session = await studio.create_session()
    joined = await studio.api.join(session["session_id"], "Ada", session["host_secret"])
    assert await studio.stop() == 0
    text = (studio.folder / "studio.log").read_text()
    assert session["session_id"] in text
    assert session["host_secret"] not in text
    assert joined["token"] not in text


async def test_with_a_certificate_it_serves_https(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    async with start_studio(tmp_path, {"http": {"tls_cert": str(certificate), "tls_key": str(key)}}) as studio:
        assert studio.url.startswith("https://127.0.0.1:")
        assert studio.operators_url.startswith("http://127.0.0.1:")
        trusting = ssl.create_default_context(cafile=certificate)
        async with aiohttp.ClientSession() as client, client.get(studio.url + "/healthz", ssl=trusting) as reply:
            assert reply.status == 200


async def test_sigterm_ends_it_and_its_recorder_with_exit_code_0(studio: Studio) -> None:
    recorder = studio.recorder_pid()
    assert await studio.stop(signal.SIGTERM) == 0
    assert studio.events("recorder_ended")[-1]["exit_code"] == 0
    with pytest.raises(ProcessLookupError):
        os.kill(recorder, 0)


async def test_an_interrupt_ends_it_with_exit_code_0(studio: Studio) -> None:
    assert await studio.stop(signal.SIGINT) == 0


async def test_a_killed_recorder_is_back_within_two_seconds(studio: Studio) -> None:
    await studio.event("spool_followed")
    first = studio.recorder_pid()
    killed = time.monotonic()
    os.kill(first, signal.SIGKILL)
    await studio.event("recorder_started", count=2, timeout_s=2.0)
    assert time.monotonic() - killed < 2.0
    assert studio.recorder_pid() != first
    assert studio.events("recorder_ended")[0]["exit_code"] == -signal.SIGKILL
    await studio.event("spool_followed", count=2)


async def test_the_recorder_does_not_outlive_a_killed_node(tmp_path: Path) -> None:
    async with start_studio(tmp_path) as studio:
        recorder = os.pidfd_open(studio.recorder_pid())
        try:
            gone: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().add_reader(recorder, lambda: gone.done() or gone.set_result(None))
            os.kill(studio.pid, signal.SIGKILL)
            await asyncio.wait_for(gone, 10)
        finally:
            asyncio.get_running_loop().remove_reader(recorder)
            os.close(recorder)


async def test_sessions_are_there_after_a_restart(tmp_path: Path) -> None:
    async with start_studio(tmp_path) as studio:
        session = await studio.create_session("Evening show")
    async with start_studio(tmp_path) as studio:
        assert (await studio.api.session(session["session_id"]))["title"] == "Evening show"


async def test_a_second_node_on_the_same_data_folder_is_refused(studio: Studio) -> None:
    code, _, errors = await command("serve", "--config", "config.toml", folder=studio.folder)
    assert code == 1
    assert "is used by another running stemroom" in errors


async def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        file = tmp_path / "config.toml"
        file.write_text(f"[http]\nhost='127.0.0.1'\nport={port}\n[operators]\nport=0\n[media]\nport=0\n")
        code, _, errors = await command("serve", folder=tmp_path)
    assert code == 1
    assert f"stemroom cannot start: address 127.0.0.1, port {port}" in errors


async def test_what_a_person_needs_to_know_is_printed(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[http]\nport=0\n[operators]\nport=0\n[media]\nport=0\n")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "stemroom", "serve"),
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert process.stdout is not None
    async with asyncio.timeout(30):
        lines = [(await process.stdout.readline()).decode().rstrip() for _ in range(5)]
        process.terminate()
        assert await process.wait() == 0
    assert lines[1].startswith("  open       http://localhost:")
    assert lines[3].startswith("  media      UDP and TCP port ")
    assert lines[4] == f"  files      {tmp_path / 'data' / 'objects'}"


async def test_migrate_makes_the_database_and_says_so(tmp_path: Path) -> None:
    code, output, _ = await command("migrate", folder=tmp_path)
    assert code == 0
    assert "empty -> " in output
    code, output, _ = await command("migrate", folder=tmp_path)
    assert code == 0
    assert "empty" not in output


async def test_check_config_says_that_it_is_good(tmp_path: Path) -> None:
    code, output, _ = await command("check-config", folder=tmp_path)
    assert code == 0
    assert str(tmp_path / "data") in output
    assert not (tmp_path / "data").exists(), "checking starts nothing"


@pytest.mark.parametrize("name", ["check-config", "serve", "migrate"])
async def test_a_configuration_with_mistakes_is_refused_with_exit_code_2(tmp_path: Path, name: str) -> None:
    (tmp_path / "config.toml").write_text("[media]\nprot = 1\n")
    code, output, errors = await command(name, folder=tmp_path)
    assert (code, output) == (2, "")
    assert errors == "config.toml: line 2: media.prot: unknown key; did you mean media.port?\n"


async def test_a_certificate_that_cannot_be_used_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text("[http]\ntls_cert='a.pem'\ntls_key='b.pem'\n")
    code, _, errors = await command("check-config", folder=tmp_path)
    assert code == 2
    assert "http.tls_cert and http.tls_key: " in errors
