"""With an S3 server as object store, pages send their local copies straight to it and play files straight from it."""

from pathlib import Path

import msgspec

from storage.settings import S3Settings
from tests.support.chromium import Rooms
from tests.support.evidence import collect, witness
from tests.support.studio import start_studio

RECORDED_S = 4.0


async def test_a_local_copy_goes_to_the_store_and_a_file_plays_from_it(
    tmp_path: Path, s3: S3Settings, rooms: Rooms
) -> None:
    settings = msgspec.to_builtins(msgspec.structs.replace(s3, bucket="browser-tests"))
    async with start_studio(tmp_path / "studio", {"object_store": {"kind": "s3", "s3": settings}}) as studio:
        session = await studio.create_session("Straight to the bucket")
        ann = await rooms.join(session["host_url"], "Ann")
        puts: list[str] = []
        ann.page.on("request", lambda request: puts.append(request.url) if request.method == "PUT" else None)
        await ann.start_recording()
        await ann.sends_for(RECORDED_S)
        await ann.stop_recording()
        people = [await witness(ann)]
        (recording,) = await studio.api.recordings(session["session_id"], session["host_secret"])
        evidence = await collect(studio, session, recording["recording_id"], people, tmp_path, local_copies=1)

        assert puts
        assert all(url.startswith(f"{s3.endpoint}/browser-tests/") for url in puts), puts
        (local,) = evidence.of("Ann", "local")
        assert local.report.sound, local.report
        assert local.sha256 == local.segment["sha256"]
        for kind in ("camera", "microphone"):
            assert evidence.server("Ann", kind).report.sound

        files = session["host_url"].replace("#", "/files#")
        page = await ann.page.context.new_page()
        media: list[str] = []
        page.on("request", lambda request: media.append(request.url) if request.resource_type == "media" else None)
        await page.goto(files)
        await page.get_by_role("button", name="Play").first.click()
        await page.wait_for_function(
            "() => [...document.querySelectorAll('video, audio')].some((player) => player.currentTime > 0.5)"
        )
        assert media
        assert all(url.startswith(s3.endpoint) for url in media), media
        assert await ann.errors() == []
