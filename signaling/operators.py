"""The operators' listener: rooms, their statistics, Prometheus metrics, health.

It asks for no authentication, so it listens on loopback unless told otherwise. It shows ids, figures, states and the
addresses that media come from; never names or secrets.
"""

from typing import Any

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from signaling import problems
from signaling.metrics import StudioCollector
from signaling.page_reports import PageReports
from signaling.problems import Problem
from signaling.studio import Studio


def build(studio: Studio) -> web.Application:
    application = web.Application(middlewares=[problems.middleware(studio.counters)])
    application.add_routes(OperatorsApi(studio).routes())
    return application


class OperatorsApi:
    def __init__(self, studio: Studio) -> None:
        self._studio = studio
        self._registry = CollectorRegistry()
        self._registry.register(StudioCollector(studio))

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/healthz", self.health),
            web.get("/metrics", self.metrics),
            web.get("/api/v1/rooms", self.rooms),
            web.get("/api/v1/rooms/{room_id}/stats", self.stats),
        ]

    async def health(self, request: web.Request) -> web.Response:
        """503 while recordings are at risk, files are late, or facts pile up before the database."""
        studio = self._studio
        alarms = [*studio.recording_alarms, *filter(None, [studio.recorder_alarm() or studio.recorder.alarm])]
        if waiting := len(self._studio.queue):
            alarms.append(f"{waiting} facts wait for the database")
        return _json({"status": "degraded" if alarms else "ok", "alarms": alarms}, 503 if alarms else 200)

    async def metrics(self, request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def rooms(self, request: web.Request) -> web.Response:
        return _json({"rooms": [self._room(id) for id in self._studio.rooms.live]})

    async def stats(self, request: web.Request) -> web.Response:
        id = request.match_info["room_id"]
        room = self._studio.rooms.get(id)
        if room is None:
            raise Problem("unknown_session")
        pages = {
            participant.id: _page(participant.page, room.clock.now_ms()) for participant in room.participants.values()
        }
        return _json(self._room(id) | {"media": self._studio.sfu.figures(id), "pages": pages})

    def _room(self, id: str) -> dict[str, Any]:
        room = self._studio.rooms.live[id]
        return {
            "room_id": id,
            "participants": len(room.participants),
            "connected": room.connected,
            "max_participants": room.session.max_participants,
            "tracks": len(room.media.tracks()),
            "recording_id": room.recording.id if room.recording else None,
            "session_ms": room.clock.now_ms(),
        }


def _page(page: PageReports, now_ms: float) -> dict[str, Any]:
    """What a participant's page said last, and how long ago; null before it said anything."""
    return {
        "age_s": round(now_ms / 1000 - page.at, 1) if page.newest else None,
        "figures": page.newest,
        "errors": page.errors,
    }


def _json(document: Any, status: int = 200) -> web.Response:
    return web.Response(
        body=msgspec.json.encode(document),
        status=status,
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
