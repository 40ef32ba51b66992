"""What runs beside the routes: metrics, documentation, request ids, logs."""

import io
import logging
import re
from collections.abc import Iterator
from html.parser import HTMLParser
from uuid import UUID, uuid4

import msgspec
import pytest

from api import access
from api.imports import IMPORTS_AT_ONCE
from api.logs import JsonFormatter
from tests.api.house import House, registration

FILES = ("swagger-ui-bundle.js", "swagger-ui.css", "swagger-ui-standalone-preset.js")
AN_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


class Links(HTMLParser):
    """Collects what a page would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag, attrs):  # noqa: ARG002 -- HTMLParser's signature
        names = ("src", "href", "action", "srcset", "poster", "data")
        self.found += [value or "" for name, value in attrs if name in names]


async def test_the_service_lives_and_is_ready(house: House):
    assert (await house.call("GET", "/health/live")).json() == {"status": "live"}
    assert (await house.call("GET", "/health/ready")).json() == {"status": "ready"}


async def test_every_answer_has_a_request_id_of_its_own(house: House):
    seen = set()
    for path, who in (
        ("/v1/me", "A/registrar"),
        ("/v1/me", ""),
        ("/nope", ""),
        ("/health/live", ""),
        ("/docs", ""),
        ("/metrics", ""),
    ):
        answer = await house.call("GET", path, who, headers={"X-Request-Id": "mine"})
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        seen.add(UUID(answer.headers["x-request-id"]))
    assert len(seen) == 6


async def test_metrics_have_route_templates_and_no_ids(house: House, paid):
    await house.get(f"{paid.path}/payments", "A/finance")
    await house.get(f"/v1/households/{paid.household_ids[0]}/receipt", "A/registrar")
    await house.get(f"/v1/rounds/{uuid4()}", "A/finance")
    await house.get("/v1/partners?after=SECRET-VALUE", "A/finance")
    written = (await house.call("GET", "/metrics")).text
    assert 'path="/v1/rounds/{round_id}/payments"' in written
    assert 'path="/v1/households/{household_id}/receipt"' in written
    assert AN_ID.search(written) is None
    assert "SECRET" not in written
    paths = set(re.findall(r'path="([^"]*)"', written))
    templates = {path for _, path in access.MAY} | access.PUBLIC
    assert {path for path in paths if path.startswith("/v1/")} <= templates


async def test_the_document_describes_every_route(house: House):
    answer = await house.call("GET", "/docs/openapi.json")
    assert answer.headers["content-type"].startswith("application/json")
    document = answer.json()
    assert document["openapi"].startswith("3.1")
    described = {
        (method.upper(), path)
        for path, item in document["paths"].items()
        for method in item
        if method in ("get", "post", "put", "delete", "patch")
    }
    public = {("GET", "/health/live"), ("GET", "/health/ready"), ("GET", "/v1/figures/appeals")}
    assert described == set(access.MAY) | public
    for path, item in document["paths"].items():
        for method, operation in item.items():
            assert operation["summary"], path
            assert operation["description"], path
            assert operation["tags"], path
            assert any(status.startswith("2") for status in operation["responses"]), (method, path)
    ids = [one["operationId"] for item in document["paths"].values() for one in item.values()]
    assert len(set(ids)) == len(ids)
    assert document["components"]["securitySchemes"]["key"]["scheme"] == "bearer"


async def test_every_reference_of_the_document_leads_somewhere(house: House):
    answer = await house.call("GET", "/docs/openapi.json")
    document = answer.json()
    for reference in set(re.findall(r'"\$ref":"#/([^"]+)"', answer.text)):
        place = document
        for part in reference.split("/"):
            place = place[part.replace("~1", "/").replace("~0", "~")]


async def test_errors_are_described_as_problems(house: House):
    document = (await house.call("GET", "/docs/openapi.json")).json()
    for path, item in document["paths"].items():
        for operation in item.values():
            failures = {
                status: answer
                for status, answer in operation["responses"].items()
                if not status.startswith("2")
            }
            for answer in failures.values():
                assert set(answer["content"]) == {"application/problem+json"}, path
            assert "503" in failures or path == "/health/live"
            if path.startswith("/v1/"):
                assert {"401", "403"} <= set(failures), path


@pytest.mark.parametrize("path", ["/docs", "/docs/", "/docs/oauth2-redirect.html"])
async def test_the_pages_need_no_other_host(house: House, path: str):
    answer = await house.call("GET", path)
    assert answer.status_code == 200
    links = Links()
    links.feed(answer.text)
    assert not [link for link in links.found if "//" in link]
    without_document = re.sub(r'"spec":.*', "", answer.text)
    assert not re.search(r"(?:src|href|url)\s*[=:(]\s*['\"]?https?://", without_document)
    for link in links.found:
        if link.startswith("/"):
            assert (await house.call("GET", link)).status_code == 200, link
    if path != "/docs/oauth2-redirect.html":
        assert {f"/docs/static/{name}" for name in FILES} <= set(links.found)


@pytest.mark.parametrize("name", FILES)
async def test_the_files_of_the_pages_are_served(house: House, name: str):
    answer = await house.call("GET", f"/docs/static/{name}")
    assert answer.status_code == 200
    assert len(answer.content) > 50_000
    style = name.endswith(".css")
    assert answer.headers["content-type"].startswith("text/css" if style else "text/javascript")
    if style:
        assert "url(http" not in answer.text
        assert "@import" not in answer.text


async def test_no_file_beside_those_is_served(house: House):
    for path in ("../swagger_ui.py", "..%2f..%2fetc%2fpasswd", "%2e%2e/x", "nope.css", ".", ""):
        answer = await house.call("GET", f"/docs/static/{path}")
        assert answer.status_code in (404, 405), path
        assert answer.headers["content-type"] == "application/problem+json"


async def test_a_third_import_at_once_is_asked_to_come_back(house: House):
    """Waiting, it would hold the connection that another needs for its rows."""
    path = "/v1/imports?format=json&ubigeo_system=inei"
    async with IMPORTS_AT_ONCE, IMPORTS_AT_ONCE:
        answer = await house.post(path, "A/registrar", [registration()])
        assert answer.status_code == 429
        assert answer.json()["type"] == "urn:cbi:problem:too-many-requests"
        assert int(answer.headers["Retry-After"]) >= 1
    assert (await house.made(path, "A/registrar", [registration()]))["clear"] == 1


@pytest.fixture
def written() -> Iterator[io.StringIO]:
    """All that any logger writes, at its most talkative, in the service's own form."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield stream
    root.setLevel(level)
    root.removeHandler(handler)


async def test_a_line_of_the_log_has_ids_and_a_template_only(house: House, written: io.StringIO):
    answer = await house.get(f"/v1/rounds/{uuid4()}?x=SECRET", "A/finance")
    await house.call("GET", "/v1/SECRET-path")
    lines = [msgspec.json.decode(line) for line in written.getvalue().splitlines()]
    own = [line for line in lines if line["logger"] == "cbi"]
    assert [line["route"] for line in own] == ["/v1/rounds/{round_id}", ""]
    assert own[0]["request_id"] == answer.headers["x-request-id"]
    assert own[0]["status"] == 404
    assert {"at", "level", "event", "method", "ms", "actor_id"} <= set(own[0])
    # The client's own library logs addresses; the service must not.
    assert "SECRET" not in repr([line for line in lines if not line["logger"].startswith("http")])


CANARIES = {
    "given": "Zulmarixcanary",
    "surname": "Quetzalcanary",
    "document": "947135826",
    "phone": "+51987123654",
    "account": "00219100987612345601",
    "born": "1971-03-29",
    "reference": "CANARY-REF-77",
}


def with_canaries(**changes: object) -> dict:
    body = registration(reference=CANARIES["reference"], **changes)
    body["persons"][0] |= {
        "given_names": CANARIES["given"],
        "surnames": CANARIES["surname"],
        "birth_date": CANARIES["born"],
        "documents": [{"type": "passport", "number": CANARIES["document"], "country": "VEN"}],
        "phones": [CANARIES["phone"]],
    }
    body["instrument"]["account"] = CANARIES["account"]
    return body


async def test_no_log_problem_or_metric_repeats_a_datum_of_anybody(
    house: House, written: io.StringIO
):
    receipt = await house.made("/v1/households", "A/registrar", with_canaries())
    household = f"/v1/households/{receipt['household_id']}"
    opened = await house.get(f"{household}?purpose=complaint", "A/registrar")
    assert CANARIES["given"] in opened.text
    twin = await house.made("/v1/households", "B/registrar", with_canaries())
    assert twin["status"] == "review"
    case = await house.get(f"/v1/cases/{twin['flags'][0]['case_id']}", "B/registrar")
    swapped = with_canaries(
        ubigeo=CANARIES["document"],
        registered_on=CANARIES["given"],
        population_type=CANARIES["surname"],
    )
    swapped["persons"][0]["sex"] = CANARIES["phone"]
    swapped["persons"][0]["birth_date"] = f"{CANARIES['born']}x"
    swapped["persons"][0]["documents"][0]["type"] = CANARIES["document"]
    imports = "/v1/imports?format={}&ubigeo_system=inei"
    csv = f"{CANARIES['given']};{CANARIES['surname']}\n{CANARIES['document']};x\n".encode()
    answers = [
        case,
        await house.get(f"{household}/receipt", "A/registrar"),
        await house.post("/v1/households", "A/registrar", swapped),
        await house.post("/v1/households", "A/registrar", with_canaries(ubigeo="240102")),
        await house.post("/v1/households", "A/registrar", [with_canaries()]),
        await house.post(imports.format("json"), "A/registrar", [swapped, with_canaries()]),
        await house.post(imports.format("kobo"), "A/registrar", [swapped]),
        await house.post(imports.format("csv"), "A/registrar", content=csv),
        await house.post("/v1/statements", "A/finance", content=csv),
        await house.post("/v1/programmes", "A/programme", with_canaries()),
        await house.get(f"{household}?purpose={CANARIES['given']}", "A/registrar"),
        await house.get(f"/v1/partners?after={CANARIES['given']}", "A/registrar"),
        await house.call("GET", "/metrics"),
    ]
    shown = "\n".join(answer.text for answer in answers)
    logged = "\n".join(
        line for line in written.getvalue().splitlines() if not re.search('"logger":"http', line)
    )
    assert '"event":"request"' in logged
    for what, canary in CANARIES.items():
        for text in (canary, canary.lower(), canary.removeprefix("+51")):
            assert text not in shown, (what, "answer")
            assert text not in logged, (what, "log")
