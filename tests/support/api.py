"""The program's REST API as tests call it; one method per request, JSON in and out.

Raises ApiError for every answer that is not 2xx.
"""

from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

Json = dict[str, Any]


class ApiError(Exception):
    """Problem details (RFC 9457) of a refused request."""

    def __init__(self, status: int, problem: Json) -> None:
        super().__init__(f"{status} {problem}")
        self.status, self.problem = status, problem


class Api:
    """`async with Api(studio.url) as api:`"""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.http = aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.http.close()

    async def create_session(self, title: str = "A test", **fields: Any) -> Json:
        return await self._request("POST", "/sessions/create", {"title": title, **fields})

    async def session(self, session_id: str) -> Json:
        return await self._request("GET", f"/sessions/{session_id}")

    async def join(self, session_id: str, display_name: str, host_secret: str | None = None) -> Json:
        body = {"display_name": display_name} | ({"host_secret": host_secret} if host_secret else {})
        return await self._request("POST", f"/sessions/{session_id}/join", body)

    async def create_ingest(self, session_id: str, display_name: str, secret: str) -> Json:
        return await self._request("POST", f"/sessions/{session_id}/ingests", {"display_name": display_name}, secret)

    async def create_egress(self, session_id: str, display_name: str, secret: str, **fields: Any) -> Json:
        body = {"display_name": display_name} | fields
        return await self._request("POST", f"/sessions/{session_id}/egresses", body, secret)

    async def start_recording(self, session_id: str, secret: str) -> Json:
        return await self._request("POST", f"/sessions/{session_id}/recordings", {}, secret)

    async def stop_recording(self, session_id: str, recording_id: str, secret: str) -> Json:
        return await self._request("POST", f"/sessions/{session_id}/recordings/{recording_id}/stop", {}, secret)

    async def recordings(self, session_id: str, secret: str) -> list[Json]:
        found: list[Json] = (await self._request("GET", f"/sessions/{session_id}/recordings", None, secret))[
            "recordings"
        ]
        return found

    async def recording(self, session_id: str, recording_id: str, secret: str) -> Json:
        return await self._request("GET", f"/sessions/{session_id}/recordings/{recording_id}", None, secret)

    async def manifest(self, session_id: str, recording_id: str, secret: str) -> Json:
        return await self._request("GET", f"/sessions/{session_id}/recordings/{recording_id}/manifest", None, secret)

    async def download(self, url: str, path: Path) -> Path:
        """Fetch a presigned URL, absolute or of the program's own origin, into `path`."""
        async with self.http.get(url if "://" in url else self.url + url) as answer:
            if answer.status != 200:
                raise ApiError(answer.status, {"detail": await answer.text()})
            path.write_bytes(await answer.read())
        return path

    async def _request(self, method: str, path: str, body: Json | None = None, secret: str = "") -> Json:
        headers = {"Authorization": f"Bearer {secret}"} if secret else {}
        async with self.http.request(method, self.url + "/api/v1" + path, json=body, headers=headers) as answer:
            content: Json = await answer.json(content_type=None)
            if answer.status // 100 != 2:
                raise ApiError(answer.status, content)
            return content
