"""One person of the example calling the service over HTTP."""

from hashlib import sha256
from typing import Any

import httpx
import msgspec


class Unexpected(Exception):
    """The service answered something else than the journey expects; carries no body."""


class Caller:
    """Calls with one key.

    The Idempotency-Key of a POST follows from what is asked, so that a journey that broke off can
    be played again from its beginning: what was done is answered as before, and goes on from there.
    """

    def __init__(self, client: httpx.AsyncClient, key: str) -> None:
        self._client = client
        self._headers = {"Authorization": f"Bearer {key}"}

    async def get(self, path: str, **query: str) -> Any:  # noqa: ANN401 (JSON)
        return (await self.raw("GET", path, query=query)).json()

    async def download(self, path: str, **query: str) -> bytes:
        return (await self.raw("GET", path, query=query)).content

    async def all(self, path: str, **query: str) -> list[Any]:
        """Walk a list to its end."""
        items: list[Any] = []
        after: dict[str, str] = {}
        while True:
            page = await self.get(path, **query, **after, limit="200")
            items += page["items"]
            if page["next"] is None:
                return items
            after = {"after": page["next"]}

    async def post(
        self,
        path: str,
        body: object = None,
        *,
        content: bytes = b"",
        once: bool = True,
        **query: str,
    ) -> Any:  # noqa: ANN401 (JSON)
        answer = await self.raw("POST", path, body, content=content, query=query, once=once)
        return answer.json()

    async def refused(self, path: str, body: object = None) -> str:
        """Post what must be refused; return the slug of the problem."""
        answer = await self.raw("POST", path, body, accepted=range(400, 500), once=False)
        return str(answer.json()["type"]).rpartition(":")[2]

    async def raw(
        self,
        method: str,
        path: str,
        body: object = None,
        *,
        content: bytes = b"",
        query: dict[str, str] | None = None,
        accepted: range = range(200, 300),
        once: bool = True,
    ) -> httpx.Response:
        """Send a request; raises Unexpected unless its status is one of `accepted`."""
        headers = dict(self._headers)
        if method == "POST" and once:
            asked = path.encode() + b"?" + msgspec.json.encode([query, body]) + content
            headers["Idempotency-Key"] = sha256(asked).hexdigest()
        answer = await self._client.request(
            method,
            path,
            json=body if not content else None,
            content=content or None,
            params=query,
            headers=headers,
            timeout=300,
        )
        if answer.status_code not in accepted:
            kind = answer.headers.get("content-type", "")
            slug = answer.json().get("type", "") if "json" in kind else ""
            raise Unexpected(f"{method} {path}: {answer.status_code} {slug}")
        return answer
