"""A conversation that is recorded while the disk for journals gets full, and what is then to be seen."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.api import ApiError, Json
from tests.support.conversation import Material, Talk, talking
from tests.support.evidence import Evidence, collect
from tests.support.raw_peer import RawPeer
from tests.support.studio import Studio


class Recorded:
    """One speaks, one listens; `host` has every message of the studio."""

    def __init__(self, studio: Studio, session: Json, host: RawPeer, viewer: RawPeer, talk: Talk) -> None:
        self.studio, self.session, self.host, self.viewer, self.talk = studio, session, host, viewer, talk

    @property
    def heard(self) -> int:
        """Packets that the viewer got."""
        return sum(stream.packets for stream in self.viewer.received("microphone"))

    async def goes_on(self, packets: int = 50) -> None:
        """The viewer gets so many more."""
        before = self.heard
        await self.viewer.until(lambda: self.heard >= before + packets, "the call does not go on")

    async def start(self) -> str:
        """Start a recording; its id."""
        recording = await self.studio.api.start_recording(self.session["session_id"], self.session["host_secret"])
        id: str = recording["recording_id"]
        return id

    async def stop(self, recording_id: str) -> None:
        await self.studio.api.stop_recording(self.session["session_id"], recording_id, self.session["host_secret"])

    async def refusal(self) -> tuple[int, str]:
        """Status and id of the problem with which a start is refused."""
        try:
            await self.start()
        except ApiError as error:
            return error.status, error.problem["id"]
        raise AssertionError("the recording began")

    async def told(self, state: str, count: int = 1) -> None:
        """The studio said so for the `count`-th time since the host came."""

        def said() -> int:
            return sum((m["type"], m.get("state")) == ("recording_space", state) for m in self.host.messages)

        await self.host.until(lambda: said() >= count, f"not told {state}", timeout_s=30)

    async def warned(self, code: str, *, over: bool = False) -> None:
        """The host was told so, or that it is over."""

        def told() -> bool:
            return ("notice", code, over) in [(m["type"], m.get("code"), m.get("over")) for m in self.host.messages]

        await self.host.until(told, f"not warned of {code}", timeout_s=30)

    async def ended_by_disk(self, recording_id: str) -> None:
        def ended() -> bool:
            return any(
                m["type"] == "recording_status"
                and m["recording"]["recording_id"] == recording_id
                and m["reason"] == "disk"
                for m in self.host.messages
            )

        await self.host.until(ended, "the recording was not ended", timeout_s=60)

    async def alarms(self) -> list[str]:
        async with self.studio.api.http.get(self.studio.operators_url + "/healthz") as reply:
            alarms: list[str] = (await reply.json())["alarms"]
            assert reply.status == (503 if alarms else 200)
            return alarms

    async def whole(self, recording_id: str, folder: Path) -> Evidence:
        """Wait for the files; both play, and the sound is all that was sent meanwhile, without a hole."""
        folder.mkdir()
        evidence = await collect(self.studio, self.session, recording_id, [], folder, local_copies=0)
        assert sorted(file.take["kind"] for file in evidence.files) == ["camera", "microphone"]
        for file in evidence.files:
            assert file.report.sound, file.report
            assert file.sha256 == file.segment["sha256"]
            assert file.segment["gaps"] == []
        [sound] = [file for file in evidence.files if file.take["kind"] == "microphone"]
        found = sound.report.stream("audio").checksums
        begin = self.talk.sent.index(found[0])
        assert len(found) > 50
        assert found == self.talk.sent[begin : begin + len(found)]
        return evidence


@asynccontextmanager
async def recorded(studio: Studio) -> AsyncIterator[Recorded]:
    material = Material()
    session = await studio.create_session("A full disk")
    id, secret = session["session_id"], session["host_secret"]
    async with (
        await RawPeer.join(studio.url, id, host_secret=secret) as host,
        talking(host, material) as talk,
        await RawPeer.join(studio.url, id) as viewer,
    ):
        await viewer.takes(2)
        made = Recorded(studio, session, host, viewer, talk)
        await made.goes_on()
        yield made
