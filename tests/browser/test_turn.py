"""Chromium that may use a relay alone gets sound and picture through a real coturn."""

from pathlib import Path

from tests.browser.test_pages import join, open_page
from tests.support.chromium import Rooms
from tests.support.coturn import start_coturn
from tests.support.studio import start_studio

RELAY_ONLY = """{
  const Native = window.RTCPeerConnection;
  window.RTCPeerConnection = class extends Native {
    constructor(configuration) { super({ ...configuration, iceTransportPolicy: 'relay' }); }
  };
}"""

WAYS = """async () => {
    const reports = await __probe.stats('transport', 'candidate-pair', 'local-candidate');
    const byId = new Map(reports.map((report) => [report.id, report]));
    return reports.filter((report) => report.type === 'transport').map(
        (report) => byId.get(byId.get(report.selectedCandidatePairId).localCandidateId).candidateType);
}"""
HEARD = """async () => (await __probe.stats('inbound-rtp'))
    .some((s) => s.kind === 'audio' && s.totalAudioEnergy > 0)"""


async def test_sound_and_picture_pass_both_ways_through_the_relay(rooms: Rooms, tmp_path: Path) -> None:
    async with start_coturn() as turn:
        overrides = {"turn": {"urls": list(turn.urls), "secret": turn.secret}}
        async with start_studio(tmp_path, overrides) as studio:
            session = await studio.create_session("Relayed")
            host, guest = await open_page(rooms.browser), await open_page(rooms.browser)
            await guest.page.add_init_script(RELAY_ONLY)
            await join(host, session["host_url"], "Ann")
            await join(guest, session["guest_url"], "Rel")
            for watched in (host, guest):
                await watched.until("() => stemroom.state.connection.subscribe === 'connected'")
                await watched.until("() => __probe.playing() >= 1")
                await watched.until(f"({HEARD})()")
            assert await guest.page.evaluate(WAYS) == ["relay", "relay"]
            assert "relay" not in await host.page.evaluate(WAYS)
            assert await guest.all_complaints() == []
