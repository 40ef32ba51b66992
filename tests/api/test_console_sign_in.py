"""Who gets into the console, how a session ends, and what other sites can't do."""

import re
from uuid import uuid4

import msgspec
import pytest

from api import access, auth, clock, db
from api.console import session, signing_in
from api.console.errors import page_of
from api.console.tries import FAILED_MAX, WITHIN_SECONDS, Tries
from tests.api.consoling import SENT_FROM_HERE, Page, browsing
from tests.api.house import House, routes
from tests.api.test_access import concrete

CLERK = "A/registrar"
POSTS = sorted(path for method, path in access.CONSOLE if method == "POST")


@pytest.fixture(autouse=True)
def _nobody_failed(monkeypatch):
    monkeypatch.setattr(signing_in, "TRIES", Tries())


async def test_every_page_is_in_the_table_and_the_table_has_no_other(house: House):
    served = {route for route in routes(house.app) if access.is_console(route[1])}
    assert served == set(access.CONSOLE) | access.CONSOLE_PUBLIC


@pytest.mark.parametrize(("method", "path"), sorted(access.CONSOLE))
async def test_who_is_not_signed_in_is_brought_to_sign_in(house: House, method, path):
    async with browsing(house) as browser:
        answer = await browser.client.request(method, concrete(path), headers=SENT_FROM_HERE)
        assert answer.status_code == 303
        assert answer.headers["location"] == "/console/sign-in"


@pytest.mark.parametrize("role", access.ROLES)
async def test_a_page_lets_exactly_the_roles_of_the_table_in(house: House, role):
    async with browsing(house, f"A/{role}") as browser:
        for method, path in sorted(access.CONSOLE):
            if path.endswith("sign-out"):
                continue
            answer = (
                await browser.get(concrete(path))
                if method == "GET"
                else await browser.post(concrete(path))
            )
            may = role in access.CONSOLE[method, path]
            assert (answer.status_code == 403) is not may, (path, answer.text)
            assert answer.status_code < 500, path
            assert answer.headers["content-type"].startswith(
                ("text/html", "application/vnd.openxml")
            )


async def test_a_page_is_locked_down(house: House):
    async with browsing(house, CLERK) as browser:
        for answer in (
            await browser.get("/console"),
            await browser.get("/console/nothing/here"),
            await browser.get("/console/template"),
            await browser.post("/console/imports/new"),
        ):
            policy = answer.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy
            assert "frame-ancestors 'none'" in policy
            assert "unsafe" not in policy
            assert answer.headers["Cache-Control"] == "no-store"
            assert answer.headers["Referrer-Policy"] == "no-referrer"
            assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_the_cookie_is_sealed_and_for_this_site_only(house: House):
    async with browsing(house) as browser:
        await browser.get("/console/sign-in")
        answer = await browser.sign_in(house.keys[CLERK])
        (set_cookie,) = answer.headers.get_list("set-cookie")
    assert re.search(r"HttpOnly", set_cookie, re.IGNORECASE)
    assert re.search(r"SameSite=strict", set_cookie, re.IGNORECASE)
    assert "Secure" not in set_cookie
    prefix, secret = house.keys[CLERK].split("_", 2)[1:]
    assert prefix not in set_cookie
    assert secret not in set_cookie


async def test_elsewhere_than_on_this_machine_the_cookie_is_secure(house: House):
    async with browsing(house, url="https://cbi.example") as browser:
        answer = await browser.get("/console/sign-in")
        (visit,) = answer.headers.get_list("set-cookie")
        assert visit.startswith("__Host-cbi_visit=")
        assert "Secure" in visit
        signed_in = await browser.sign_in(house.keys[CLERK])
        (cookie,) = signed_in.headers.get_list("set-cookie")
        assert cookie.startswith("__Host-cbi_session=")
        assert "Secure" in cookie
        assert (await browser.get("/console")).status_code == 200


async def test_an_unknown_key_is_refused_and_not_repeated(house: House):
    async with browsing(house) as browser:
        known = house.keys[CLERK]
        unknown = ("cbi_0123456789ab_secretofnobody", known[:-1], f"{known}x", "x" * 5000)
        for key in ("", "cbi_a\0b_c", "cbi_ñ_ñ", "cbi_\u202e_x", *unknown):
            answer = await browser.sign_in(key)
            assert answer.status_code == 403
            assert not key or "\0" in key or key not in answer.text
            page = Page(answer.text)
            (field,) = [each for each in page.all("input") if each.get("name") == "key"]
            assert field["aria-invalid"] == "true"
            assert "key-fault" in (field["aria-describedby"] or "")
            assert (await browser.get("/console")).status_code == 303


async def test_who_failed_too_often_waits(house: House):
    async with browsing(house) as browser:
        for _ in range(FAILED_MAX):
            assert (await browser.sign_in("cbi_0123456789ab_wrong")).status_code == 403
        answer = await browser.sign_in(house.keys[CLERK])
        assert answer.status_code == 429
        assert 0 < int(answer.headers["Retry-After"]) <= WITHIN_SECONDS + 1
        assert (await browser.get("/console")).status_code == 303


def test_tries_are_forgotten_with_time_and_kept_apart():
    tries = Tries()
    for second in range(FAILED_MAX):
        tries.note("one", at=float(second))
    assert tries.seconds_to_wait("one", at=10.0) == WITHIN_SECONDS - 10 + 1
    assert tries.seconds_to_wait("other", at=10.0) == 0
    assert tries.seconds_to_wait("one", at=WITHIN_SECONDS) == 0
    tries.note("one", at=WITHIN_SECONDS)
    assert tries.seconds_to_wait("one", at=WITHIN_SECONDS) > 0
    tries.forget("one")
    assert tries.seconds_to_wait("one", at=WITHIN_SECONDS) == 0


async def test_a_revoked_key_ends_the_session(house: House):
    key = await house.issue("A", "leaver", "registrar")
    async with browsing(house, "A/leaver") as browser:
        assert (await browser.get("/console")).status_code == 200
        async with db.transaction(house.service.engine, db.SYSTEM) as conn:
            assert await auth.revoke(conn, prefix=key.split("_")[1], at=clock.now())
        assert (await browser.get("/console")).headers["location"] == "/console/sign-in"


async def test_signing_out_ends_the_session_for_a_copy_of_its_cookie_too(house: House):
    async with browsing(house, CLERK) as browser, browsing(house, CLERK) as another:
        copy = dict(browser.client.cookies)
        answer = await browser.post("/console/sign-out")
        assert answer.status_code == 303
        assert (await browser.get("/console")).status_code == 303
        async with browsing(house) as thief:
            thief.client.cookies.update(copy)
            assert (await thief.get("/console")).status_code == 303
        assert (await another.get("/console")).status_code == 200


@pytest.mark.parametrize("past", [{"began": session.LASTS}, {"seen": session.IDLE}])
async def test_a_session_ends_by_itself_and_leads_back_after_signing_in(
    house: House, monkeypatch, past
):
    made = session.begin

    def earlier(key_prefix: str = "", *, to: str = "") -> session.Session:
        began = made(key_prefix, to=to)
        moved = {name: getattr(began, name) - by for name, by in past.items()}
        return msgspec.structs.replace(began, **moved) if key_prefix else began

    async with browsing(house) as browser:
        monkeypatch.setattr(session, "begin", earlier)
        await browser.sign_in(house.keys[CLERK])
        monkeypatch.setattr(session, "begin", made)
        answer = await browser.get("/console/imports")
        assert answer.headers["location"] == "/console/sign-in"
        token = Page((await browser.get("/console/sign-in")).text).token
        answer = await browser.client.post(
            "/console/sign-in",
            data={"token": token, "key": house.keys[CLERK]},
            headers=SENT_FROM_HERE,
        )
        assert answer.headers["location"] == "/console/imports"


async def test_a_page_that_looks_by_itself_does_not_lengthen_the_session(house: House):
    async with browsing(house, CLERK) as browser:
        looked = await browser.get("/console", headers={"X-Refresh": "1"})
        assert looked.headers.get_list("set-cookie") == []
        opened = await browser.get("/console")
        assert opened.headers.get_list("set-cookie")


async def test_the_cookie_opens_no_route_of_the_api(house: House):
    async with browsing(house, CLERK) as browser:
        for path in ("/v1/me", "/v1/households", "/v1/imports"):
            assert (await browser.get(path)).status_code == 401
        answer = await browser.client.post("/v1/lists", json={}, headers=SENT_FROM_HERE)
        assert answer.status_code == 401


async def test_a_key_in_a_header_opens_no_page(house: House):
    assert (await house.get("/console", CLERK)).status_code == 303


@pytest.mark.parametrize("path", POSTS)
async def test_a_form_without_the_sessions_token_is_refused(house: House, path):
    async with browsing(house, "A/registrar") as browser, browsing(house, "B/registrar") as other:
        for token in ("", "0" * 64, "ñ", await other.token()):
            answer = await browser.post(concrete(path), {"token": token})
            assert answer.status_code == 403, path
            assert Page(answer.text).all("h1")


@pytest.mark.parametrize("path", POSTS)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "null"},
        {"Origin": "https://evil.example"},
        {"Origin": "null", "Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://127.0.0.1", "Sec-Fetch-Site": "same-site"},
        {"Origin": "https://evil.example", "Sec-Fetch-Site": "same-origin"},
    ],
)
async def test_a_form_from_elsewhere_is_refused(house: House, path, headers):
    async with browsing(house, CLERK) as browser:
        answer = await browser.post(concrete(path), headers=headers)
        assert answer.status_code == 403


async def test_a_browser_that_tells_only_the_origin_is_served(house: House):
    async with browsing(house, CLERK) as browser:
        headers = {"Origin": "http://127.0.0.1"}
        assert (await browser.post("/console/imports/new", headers=headers)).status_code == 422


@pytest.mark.parametrize("cookie", ["", "x", "A" * 40, "ñ", "A" * 5000, "=" * 9])
async def test_a_cookie_that_is_none_of_ours_is_nobodys(house: House, cookie):
    async with browsing(house) as browser:
        for name in ("cbi_session", "cbi_visit", "cbi_language"):
            headers = {"Cookie": f"{name}={cookie}".encode()}
            answer = await browser.get("/console", headers=headers)
            assert answer.headers["location"] == "/console/sign-in"


async def test_a_visitors_cookie_is_no_session(house: House):
    async with browsing(house) as browser:
        await browser.get("/console/sign-in")
        browser.client.cookies.set("cbi_session", browser.client.cookies["cbi_visit"])
        assert (await browser.get("/console")).status_code == 303


async def test_the_language_is_spanish_until_another_is_chosen_and_remembered(house: House):
    async with browsing(house) as browser:
        page = await browser.page("/console/sign-in")
        assert page.all("html") == [{"lang": "es"}]
        assert "Su clave" in page.text
        fields = {"language": "en", "to": "/console/sign-in"}
        answer = await browser.post("/console/language", fields)
        assert answer.headers["location"] == "/console/sign-in"
        page = await browser.page("/console/sign-in")
        assert page.all("html") == [{"lang": "en"}]
        assert "Your key" in page.text
        await browser.sign_in(house.keys[CLERK])
        assert (await browser.page("/console")).all("html") == [{"lang": "en"}]


@pytest.mark.parametrize(
    "to", ["https://evil.example", "//evil.example", "/console/../v1", "/console\\evil", "/docs"]
)
async def test_nobody_is_brought_elsewhere(house: House, to):
    async with browsing(house) as browser:
        answer = await browser.post("/console/language", {"language": "es", "to": to})
        assert answer.headers["location"] == "/console"


def test_who_must_sign_in_first_is_brought_to_a_page_that_is_there():
    some = uuid4()
    for path, page in {
        f"/console/jobs/{some}/cancellation": "/console/jobs",
        f"/console/imports/{some}/acceptance": f"/console/imports/{some}",
        f"/console/checks/{some}/file": f"/console/checks/{some}",
        "/console/sign-out": "/console",
        "/console/imports/new": "/console/imports/new",
    }.items():
        assert page_of(path) == page


async def test_an_unknown_page_is_told_by_a_page(house: House):
    async with browsing(house, CLERK) as browser:
        for path in ("/console/nothing", f"/console/imports/{uuid4()}", "/console/imports/x/y"):
            answer = await browser.get(path)
            assert answer.status_code == 404
            assert Page(answer.text).all("html") == [{"lang": "es"}]
            assert "No existe o no es visible para usted" in answer.text
