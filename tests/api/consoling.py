"""A browser for tests: keeps cookies, follows what pages offer, and sends their forms."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html.parser import HTMLParser

import httpx
import msgspec

from tests.api.house import House

HERE = "http://127.0.0.1"
SENT_FROM_HERE = {"Origin": "null", "Sec-Fetch-Site": "same-origin"}


class Page(HTMLParser):
    """What a page says and offers."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.said: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.said.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.said).split())

    @property
    def token(self) -> str:
        (first, *_) = [each["value"] for _, each in self.tags if each.get("name") == "token"]
        return first or ""

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


class Browser(msgspec.Struct, frozen=True):
    """Somebody at the console; on this machine, unless another host is named."""

    client: httpx.AsyncClient

    async def get(self, path: str, **how: object) -> httpx.Response:
        return await self.client.get(path, **how)

    async def page(self, path: str) -> Page:
        answer = await self.get(path)
        assert answer.status_code == 200, answer.text
        return Page(answer.text)

    async def token(self) -> str:
        """The token of this session, as its first page has it."""
        answer = await self.client.get("/console", follow_redirects=True)
        return Page(answer.text).token

    async def post(
        self, path: str, fields: dict | None = None, *, headers: dict | None = None, **how: object
    ) -> httpx.Response:
        """Send a form with the session's token, unless the fields have another."""
        data = {"token": await self.token()} | (fields or {})
        return await self.client.post(
            path, data=data, headers=SENT_FROM_HERE if headers is None else headers, **how
        )

    async def sign_in(self, key: str) -> httpx.Response:
        return await self.post("/console/sign-in", {"key": key})


@asynccontextmanager
async def browsing(house: House, who: str = "", *, url: str = HERE) -> AsyncIterator[Browser]:
    """Open a browser, signed in as `who`."""
    transport = httpx.ASGITransport(house.app)
    async with httpx.AsyncClient(transport=transport, base_url=url) as client:
        browser = Browser(client)
        if who:
            answer = await browser.sign_in(house.keys[who])
            assert answer.status_code == 303, answer.text
            assert answer.headers["location"] == "/console"
        yield browser


def id_in(location: str) -> str:
    """The id at the end of an address."""
    found = re.search(r"/([0-9a-f-]{36})$", location)
    assert found is not None, location
    return found[1]
