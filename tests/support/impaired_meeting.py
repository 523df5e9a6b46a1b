"""Two people behind an impairment proxy, recorded."""

from pathlib import Path

from tests.support.chromium import chromium
from tests.support.evidence import Evidence, collect, witness
from tests.support.proxy import ImpairmentProxy
from tests.support.studio import start_studio


async def recorded_meeting(folder: Path, proxy: ImpairmentProxy, seconds: float) -> Evidence:
    """Ann and Bob in real browsers, everything of theirs through `proxy`; server files and both local copies."""
    overrides = {"media": {"advertise": [f"127.0.0.1:{proxy.port}"]}}
    async with start_studio(folder / "studio", overrides) as studio, chromium() as rooms:
        proxy.upstream = ("127.0.0.1", studio.media_port)
        session = await studio.create_session("A bad line")
        ann = await rooms.join(session["host_url"], "Ann")
        bob = await rooms.join(session["guest_url"], "Bob")
        for room in (ann, bob):
            await room.plays(1)
        await ann.start_recording()
        await ann.sends_for(seconds)
        await ann.stop_recording()
        people = [await witness(room) for room in (ann, bob)]
        (recording,) = await studio.api.recordings(session["session_id"], session["host_secret"])
        return await collect(studio, session, recording["recording_id"], people, folder, local_copies=len(people))
