"""Pages, static files, folder objects, and the headers that every answer carries."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from signaling import objects
from storage.objects import ObjectStoreError
from storage.signing import UrlSigner
from tests.support.control import SECRET, Control, start_control

KEY = "sessions/a/recordings/b/server/c.webm"
FILM = bytes(range(256)) * 40


@pytest.fixture
async def control(tmp_path: Path) -> AsyncIterator[Control]:
    web = tmp_path / "web"
    (web / "js" / "pages").mkdir(parents=True)
    (web / "node_modules").mkdir()
    for name in ("createsession.html", "session.html", "files.html"):
        (web / name).write_text(f"<!doctype html><title>{name}</title>")
    (web / "js" / "pages" / "session.js").write_text("export {};")
    (web / "style.css").write_text("body {}")
    (web / "package.json").write_text("{}")
    (web / ".hidden.js").write_text("secret")
    (web / "node_modules" / "x.js").write_text("x")
    (tmp_path / "outside.js").write_text("secret")
    (web / "link.js").symlink_to(web / "gone.js")
    async with start_control(tmp_path, web_folder=web) as running:
        yield running


# --- pages


@pytest.mark.parametrize(
    ("path", "page"),
    [
        ("/createsession", "createsession.html"),
        ("/session/ses_aaaaaaaaaaaaaaaa", "session.html"),
        ("/session/ses_aaaaaaaaaaaaaaaa/files", "files.html"),
    ],
)
async def test_pages_come_with_a_strict_policy(control: Control, path: str, page: str) -> None:
    answer = await control.call("GET", path)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert page.encode() in answer.body
    host = control.url.removeprefix("http://")
    policy = dict(part.split(" ", 1) for part in answer.headers["Content-Security-Policy"].split("; "))
    assert policy == {
        "default-src": "'none'",
        "script-src": "'self'",
        "style-src": "'self'",
        "img-src": "'self' data: blob:",
        "media-src": "'self' blob:",
        "connect-src": f"'self' ws://{host} wss://{host}",
        "worker-src": "'self'",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    assert answer.headers["Cache-Control"] == "no-cache"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "camera=(self)" in answer.headers["Permissions-Policy"]


async def test_the_object_stores_origin_is_allowed_where_it_is_another(
    control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(type(control.studio.store), "browser_origin", "https://s3.example")
    policy = (await control.call("GET", "/createsession")).headers["Content-Security-Policy"]
    assert "media-src 'self' blob: https://s3.example;" in policy
    assert "https://s3.example; worker-src" in policy


async def test_a_host_that_would_change_the_policy_is_not_put_into_it(control: Control) -> None:
    answer = await control.call("GET", "/createsession", headers={"Host": "x; script-src *"})
    assert answer.status >= 400
    assert "script-src *" not in answer.headers.get("Content-Security-Policy", "")


async def test_the_start_page_leads_to_creating_a_session(control: Control) -> None:
    answer = await control.call("GET", "/")
    assert (answer.status, answer.headers["Location"]) == (302, "/createsession")


async def test_scripts_are_served_with_the_pages_policy_for_workers(control: Control) -> None:
    answer = await control.call("GET", "/static/js/pages/session.js")
    assert (answer.status, answer.body) == (200, b"export {};")
    assert answer.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
    unchanged = await control.call(
        "GET", "/static/js/pages/session.js", headers={"If-None-Match": answer.headers["ETag"]}
    )
    assert unchanged.status == 304


@pytest.mark.parametrize(
    "path",
    [
        "package.json",
        ".hidden.js",
        "js/.hidden.js",
        "node_modules/x.js",
        "../outside.js",
        "%2e%2e/outside.js",
        "js/..%2f..%2foutside.js",
        "//etc/passwd",
        "js",
        "js/pages/",
        "nothing.js",
        "link.js",
        "a%00.js",
    ],
)
async def test_nothing_else_is_served(control: Control, path: str) -> None:
    answer = await control.call("GET", "/static/" + path)
    assert answer.status == 404
    assert answer.problem() == "not_found"


async def test_answers_of_the_interface_load_nothing_and_are_not_kept(control: Control) -> None:
    session = await control.create()
    answer = await control.call("GET", f"/api/v1/sessions/{session['session_id']}")
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_the_public_listener_says_that_it_lives_and_nothing_more(control: Control) -> None:
    assert (await control.call("GET", "/healthz")).json == {"status": "ok"}
    for path in ("/metrics", "/api/v1/rooms"):
        assert (await control.call("GET", path)).status == 404


# --- objects


async def test_an_object_is_served_whole_and_in_ranges(control: Control) -> None:
    await control.studio.store.put(KEY, FILM, content_type="video/webm")
    url = control.studio.store.presign_get(KEY, expires_s=60)
    whole = await control.call("GET", url)
    assert (whole.status, whole.body, whole.headers["Content-Type"]) == (200, FILM, "video/webm")
    assert whole.headers["Accept-Ranges"] == "bytes"
    assert "sandbox" in whole.headers["Content-Security-Policy"]
    assert whole.headers["X-Content-Type-Options"] == "nosniff"
    for asked, start, end in (("0-9", 0, 10), ("100-", 100, len(FILM)), ("-5", len(FILM) - 5, len(FILM))):
        part = await control.call("GET", url, headers={"Range": f"bytes={asked}"})
        assert (part.status, part.body) == (206, FILM[start:end])
        assert part.headers["Content-Range"] == f"bytes {start}-{end - 1}/{len(FILM)}"
    beyond = await control.call("GET", url, headers={"Range": f"bytes={len(FILM)}-"})
    assert beyond.status == 416
    etag = whole.headers["ETag"]
    same = await control.call("GET", url, headers={"Range": "bytes=0-9", "If-Range": etag})
    other = await control.call("GET", url, headers={"Range": "bytes=0-9", "If-Range": '"of-before"'})
    several = await control.call("GET", url, headers={"Range": "bytes=0-1,4-5"})
    assert (same.status, other.status, several.status) == (206, 200, 200)
    assert other.body == several.body == FILM


async def test_a_download_is_an_attachment_of_the_signed_name(control: Control) -> None:
    await control.studio.store.put(KEY, FILM, content_type="video/webm")
    url = control.studio.store.presign_get(KEY, expires_s=60, filename="zoe-camera.webm")
    answer = await control.call("GET", url)
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="zoe-camera.webm"')
    assert (await control.call("GET", url.replace("zoe-camera", "eve"))).problem() == "url_refused"


async def test_an_expired_or_forged_url_is_refused(control: Control) -> None:
    await control.studio.store.put(KEY, FILM, content_type="video/webm")
    expired = UrlSigner(SECRET).sign("GET", KEY, expires=int(time.time()) - 1)
    foreign = UrlSigner(b"x" * 32).sign("GET", KEY, expires=int(time.time()) + 60)
    good = control.studio.store.presign_get(KEY, expires_s=60)
    other_key = good.replace("c.webm", "d.webm")
    longer = good.replace("expires=1", "expires=2")
    for url in (expired, foreign, other_key, longer, f"/objects/{KEY}", f"/objects/{KEY}?expires=x&signature=\u00e9"):
        answer = await control.call("GET", url)
        assert (answer.status, answer.problem()) == (403, "url_refused"), url
    assert (await control.call("PUT", good, data=b"x")).problem() == "url_refused"
    assert (
        await control.call("GET", control.studio.store.presign_put(KEY, expires_s=60, size_bytes=1))
    ).problem() == "url_refused"


@pytest.mark.parametrize("key", ["..%2f..%2fsecret", "a/../../secret", "a//b", "%00", "+incoming/x", "a" * 600])
async def test_a_key_that_cannot_be_is_refused_like_a_wrong_signature(control: Control, key: str) -> None:
    answer = await control.call("GET", f"/objects/{key}?expires=9999999999&signature=x")
    assert answer.status in (403, 404)
    assert answer.problem() in ("url_refused", "not_found")


async def test_an_object_that_is_not_there_is_404(control: Control) -> None:
    answer = await control.call("GET", control.studio.store.presign_get(KEY, expires_s=60))
    assert (answer.status, answer.problem()) == (404, "unknown_object")


async def test_a_put_stores_and_a_second_one_replaces(control: Control) -> None:
    for data in (FILM, b"", b"second"):
        url = control.studio.store.presign_put(KEY, expires_s=60, size_bytes=len(data))
        assert (await control.call("PUT", url, data=data)).status == 200
        assert b"".join([piece async for piece in control.studio.store.get(KEY)]) == data


@pytest.mark.parametrize("size", [0, 500, 999, 1001, 1500])
async def test_a_put_of_another_size_than_was_signed_leaves_nothing(control: Control, size: int) -> None:
    url = control.studio.store.presign_put(KEY, expires_s=60, size_bytes=1000)

    async def unannounced() -> AsyncIterator[bytes]:
        yield b"x" * (size // 2)
        yield b"x" * (size - size // 2)

    for body in (b"x" * size, unannounced()):
        answer = await control.call("PUT", url, data=body)
        assert (answer.status, answer.problem()) == (422, "wrong_size")
    assert [info async for info in control.studio.store.list("")] == []
    assert (await control.call("PUT", url.replace("size=1000", f"size={size}"), data=b"")).problem() == "url_refused"
    assert (await control.call("PUT", url, data=b"x" * 1000)).status == 200


async def test_a_store_that_fails_under_way_breaks_the_connection(
    control: Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    await control.studio.store.put(KEY, FILM, content_type="video/webm")

    async def failing(key: str, *, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        yield FILM[:2]
        raise ObjectStoreError("unavailable", "the disk is gone")

    monkeypatch.setattr(control.studio.store, "get", failing)
    url = control.url + control.studio.store.presign_get(KEY, expires_s=60)
    async with control.http.get(url) as answer:
        assert answer.status == 200
        with pytest.raises(aiohttp.ClientError):
            await answer.read()
    assert not [name for name in control.studio.counters if name.startswith("problem_")]


async def test_who_leaves_during_a_download_or_upload_is_no_problem(
    control: Control, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    await control.studio.store.put(KEY, FILM, content_type="video/webm")
    ended = asyncio.Event()

    async def endless(key: str, *, offset: int = 0, length: int | None = None) -> AsyncIterator[bytes]:
        try:
            yield FILM[:1]
            while True:
                yield b""
                await asyncio.sleep(0)
                if control.studio.counters["gone"]:
                    raise ConnectionResetError("Cannot write to closing transport")
        finally:
            ended.set()

    monkeypatch.setattr(control.studio.store, "get", endless)
    async with control.http.get(control.url + control.studio.store.presign_get(KEY, expires_s=60)) as answer:
        await answer.content.readany()
        answer.close()
    control.studio.counters["gone"] += 1
    async with asyncio.timeout(5):
        await ended.wait()
    assert not [name for name in control.studio.counters if name.startswith("problem_")]
    assert "request_failed" not in capsys.readouterr().out


async def test_a_put_that_stalls_or_breaks_off_leaves_nothing(
    control: Control, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(objects, "STALLED_S", 0.1)
    path = control.studio.store.presign_put(KEY, expires_s=60, size_bytes=100)
    host, port = control.url.removeprefix("http://").split(":")
    head = f"PUT {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: 100\r\n\r\nabc".encode()
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(head)
    assert b" 408 " in await reader.readline()
    writer.close()
    await writer.wait_closed()
    _, writer = await asyncio.open_connection(host, int(port))
    writer.write(head)
    writer.close()
    await writer.wait_closed()
    incoming = tmp_path / "objects" / "+incoming"
    while list(incoming.iterdir()):
        await asyncio.sleep(0.01)
    assert control.studio.counters["problem_internal"] == 0
    assert [info async for info in control.studio.store.list("")] == []
