"""A browser for tests: keeps cookies, follows what pages offer, and sends their forms."""

import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html.parser import HTMLParser

import httpx
import msgspec

from tests.api.house import House, registration
from tests.api.jobbing import worked

HERE = "http://127.0.0.1"
CLERK = "A/registrar"
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


async def sent(
    browser: Browser, content: bytes, name: str = "lista.json", **fields: str
) -> Page | str:
    """Send a file; the page's path, or the page that says what is wrong."""
    answer = await browser.post(
        "/console/imports/new",
        {"ubigeo_system": "inei"} | fields,
        files={"file": (name, content)},
    )
    if answer.status_code == 303:
        return answer.headers["location"]
    assert answer.status_code == 422, answer.text
    return Page(answer.text)


async def staged(house: House, browser: Browser, content: bytes, name: str = "lista.json") -> str:
    """Send a file and have it staged and checked."""
    path = await sent(browser, content, name)
    assert isinstance(path, str)
    await work_on(house, path)
    return path


async def work_on(house: House, path: str, who: str = CLERK) -> None:
    standing = (await house.get(f"/v1/imports/{id_in(path)}", who)).json()
    await worked(house, standing["job_id"], who)


def as_json(*raws: dict) -> bytes:
    return json.dumps(raws).encode()


def faulty(**changes: object) -> dict:
    return registration(**{"ubigeo": "999999", **changes})


def as_csv(*raws: dict, extra: str = "", **cells: str) -> bytes:
    """A CSV file of households of one person; `cells` are the same on every line."""
    lines = []
    for raw in raws:
        (person,) = raw["persons"]
        lines.append(
            {
                "codigo_hogar": raw["reference"],
                "fecha_registro": "15/01/2026",
                "ubigeo": raw["ubigeo"],
                "tipo_poblacion": "en destino",
                "consentimiento_registro": "sí",
                "consentimiento_duplicados": "sí",
                "consentimiento_version": "1",
                "consentimiento_idioma": "es",
                "consentimiento_canal": "presencial",
                "consentimiento_fecha": "15/01/2026",
                "nombres": person["given_names"],
                "apellidos": person["surnames"],
                "fecha_nacimiento": person["birth_date"],
                "sexo": "mujer",
                "parentesco": "jefe",
                "tipo_documento": "pasaporte",
                "numero_documento": person["documents"][0]["number"],
                "pais_documento": "VEN",
                **({extra: "x"} if extra else {}),
                **cells,
            }
        )
    rows = [";".join(lines[0]), *(";".join(line.values()) for line in lines)]
    return "\n".join(rows).encode()
