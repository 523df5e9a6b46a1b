"""The public listener: pages, REST, WebSocket and, with the folder store, objects."""

from aiohttp import web

from signaling import media_http, problems, rest
from signaling.capture_api import CapturesApi
from signaling.live_api import LiveApi
from signaling.objects import ObjectsApi
from signaling.off_record_api import OffRecordApi
from signaling.pages import Pages
from signaling.programs import ProgramsApi
from signaling.recording_api import RecordingsApi
from signaling.sessions import SessionsApi
from signaling.studio import Studio
from signaling.websocket import WebSocketApi
from signaling.whep import WhepEndpoint
from signaling.whip import WhipEndpoint
from storage.folder import FolderStore


def build(studio: Studio) -> web.Application:
    """The application of a started studio; shutting it down says goodbye to everybody (`Studio.close_rooms`)."""
    application = web.Application(
        middlewares=[problems.middleware(studio.counters)], client_max_size=rest.MAX_BODY_BYTES
    )
    pages = Pages(studio)
    parts = [
        SessionsApi(studio).routes(),
        RecordingsApi(studio).routes(),
        OffRecordApi(studio).routes(),
        CapturesApi(studio).routes(),
        WebSocketApi(studio).routes(),
        ProgramsApi(studio).routes(),
        WhipEndpoint(studio).routes(),
        WhepEndpoint(studio).routes(),
        LiveApi(studio.live, studio.catalog).routes(),
        pages.routes(),
        [web.get("/healthz", _health)],
    ]
    if isinstance(studio.store, FolderStore):
        parts.append(ObjectsApi(studio.store).routes())
    for routes in parts:
        application.add_routes(routes)
    application.on_response_prepare.append(pages.protect)
    application.on_response_prepare.append(media_http.allow_pages)

    async def close_rooms(_: web.Application) -> None:
        studio.close_rooms()

    application.on_shutdown.append(close_rooms)
    return application


async def _health(request: web.Request) -> web.Response:
    """That this listener answers; what is wrong, if anything, only operators are told."""
    return web.Response(text='{"status":"ok"}', content_type="application/json")
