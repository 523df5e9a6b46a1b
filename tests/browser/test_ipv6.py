"""Chromium and a program that has an IPv6 address alone."""

from pathlib import Path

from tests.support.chromium import Rooms
from tests.support.studio import start_studio

WAYS = """async () => {
    const reports = await __probe.stats('transport', 'candidate-pair', 'remote-candidate');
    const byId = new Map(reports.map((report) => [report.id, report]));
    return reports.filter((report) => report.type === 'transport').map(
        (report) => byId.get(byId.get(report.selectedCandidatePairId).remoteCandidateId).address);
}"""


async def test_sound_and_picture_pass_over_ipv6(rooms: Rooms, tmp_path: Path) -> None:
    async with start_studio(tmp_path, {"media": {"advertise": ["::1"]}}) as studio:
        session = await studio.create_session("Six")
        ann = await rooms.join(session["host_url"], "Ann")
        bob = await rooms.join(session["guest_url"], "Bob")
        for person in (ann, bob):
            await person.plays(1)
            await person.hears(1)
            assert await person.page.evaluate(WAYS) == ["::1", "::1"]
            assert await person.errors() == []
