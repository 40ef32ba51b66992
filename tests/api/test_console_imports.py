"""Files of registrations on the console's pages: sent, watched, looked at, decided on."""

import io
import re
from uuid import UUID, uuid4

import pytest

from api.console import imports
from tests.api.consoling import (
    CLERK,
    Page,
    as_csv,
    as_json,
    browsing,
    faulty,
    id_in,
    sent,
    staged,
    work_on,
)
from tests.api.house import House, registration
from tests.api.test_service import written  # noqa: F401 -- a fixture

EVIL = "<script>alert(1)</script>"


async def test_a_file_is_sent_watched_and_taken_in(house: House):
    async with browsing(house, CLERK) as browser:
        path = await sent(browser, as_json(registration(), registration()))
        assert isinstance(path, str)
        page = await browser.page(path)
        assert "data-live" in next(each for each in page.all("section") if "id" in each)
        assert page.all("progress")
        await work_on(house, path)
        page = await browser.page(path)
        assert "Por decidir" in page.text
        assert "Hogares 2 Válidos 2 Con errores 0" in page.text
        assert not page.all("progress")
        answer = await browser.post(f"{path}/acceptance", {"take": "all"})
        assert answer.headers["location"] == path
        await work_on(house, path)
        page = await browser.page(path)
        assert "Registrados 2" in page.text
        listed = await browser.page("/console/imports")
        assert path in {each.get("href") for each in listed.all("a")}


async def test_what_is_registered_already_is_told_before_anything_is_taken(house: House):
    one, other = registration(), registration()
    for raw in (one, other):
        await house.made("/v1/households", CLERK, raw)
    other["ubigeo"] = "240102"
    async with browsing(house, CLERK) as browser:
        path = await staged(house, browser, as_json(one, other, registration()))
        page = await browser.page(path)
        assert "Ya registrados igual 1 Ya registrados con otros datos 1" in page.text
        await browser.post(f"{path}/acceptance", {"take": "all"})
        await work_on(house, path)
        page = await browser.page(path)
        assert "Registrados 1 Ya registrados igual 1 Ya registrados con otros datos 1" in page.text


async def test_the_same_file_again_is_the_import_that_it_is(house: House):
    async with browsing(house, CLERK) as browser:
        content = as_json(registration())
        path = await sent(browser, content)
        assert await sent(browser, content, "otro.json") == path


async def test_what_is_valid_is_taken_and_the_rest_handed_out_for_mending(house: House):
    async with browsing(house, CLERK) as browser:
        content = as_csv(registration(), faulty(), registration())
        path = await staged(house, browser, content, "lista.csv")
        page = await browser.page(path)
        assert "Con errores 1" in page.text
        assert "ubigeo" in page.text
        assert "9****9" in page.text
        refused = await browser.post(f"{path}/acceptance", {"take": "all"})
        assert refused.status_code == 409
        assert "acepte las válidas, o corrija el archivo" in refused.text
        handed_out = await browser.get(f"{path}/corrections")
        header, row = handed_out.text.splitlines()
        assert header.endswith(";faltas")
        assert "999999" in row
        assert handed_out.headers["Content-Disposition"].startswith("attachment")
        await browser.post(f"{path}/acceptance", {"take": "valid"})
        await work_on(house, path)
        page = await browser.page(path)
        assert "Registrados 2" in page.text


async def test_chosen_rows_are_taken_and_no_others(house: House):
    async with browsing(house, CLERK) as browser:
        path = await staged(house, browser, as_json(*(registration() for _ in range(5))))
        page = await browser.page(path)
        ticks = [each for each in page.all("input") if each.get("name") == "row"]
        assert [(each["value"], each["form"]) for each in ticks] == [
            (str(number), "acceptance") for number in range(1, 6)
        ]
        fields = {"take": "rows", "row": ["5"], "rows": "1-2, 4"}
        assert (await browser.post(f"{path}/acceptance", fields)).status_code == 303
        await work_on(house, path)
        assert "Registrados 4" in (await browser.page(path)).text
        again = await browser.post(f"{path}/acceptance", {"take": "all"})
        assert again.status_code == 409
        assert "Ya se decidió qué hacer con este archivo" in again.text


@pytest.mark.parametrize(
    "fields", [{}, {"take": "some"}, {"take": "rows"}, {"take": "rows", "rows": "uno"}]
)
async def test_an_unclear_choice_is_told_beside_its_field_and_takes_nothing(
    house: House, fields: dict
):
    async with browsing(house, CLERK) as browser:
        path = await staged(house, browser, as_json(registration()))
        answer = await browser.post(f"{path}/acceptance", fields)
        assert answer.status_code == 422
        page = Page(answer.text)
        (choice,) = [each for each in page.all("fieldset") if each.get("id") == "take"]
        assert choice["aria-describedby"] == "take-fault"
        assert "#take" in {each.get("href") for each in page.all("a")}
        assert "Por decidir" in page.text


async def test_a_file_is_refused_and_erased_only_by_who_is_sure(house: House):
    async with browsing(house, CLERK) as browser:
        path = await staged(house, browser, as_json(registration()))
        assert (await browser.post(f"{path}/refusal")).status_code == 422
        assert "Por decidir" in (await browser.page(path)).text
        assert (await browser.post(f"{path}/refusal", {"sure": "yes"})).status_code == 303
        assert "Rechazado y borrado" in (await browser.page(path)).text
        state = (await house.get(f"/v1/imports/{id_in(path)}", CLERK)).json()["state"]
        assert state == "refused"


async def test_rows_are_shown_by_page_and_by_standing(house: House, monkeypatch):
    monkeypatch.setattr(imports, "ROWS_ON_A_PAGE", 2)
    async with browsing(house, CLERK) as browser:
        path = await staged(house, browser, as_json(*(registration() for _ in range(3)), faulty()))
        assert "N.º 4" in (await browser.page(path)).text
        page = await browser.page(f"{path}?status=all")
        assert "N.º 2" in page.text
        assert "N.º 3" not in page.text
        (following,) = [a["href"] for a in page.all("a") if "after=" in (a.get("href") or "")]
        page = await browser.page(f"{path}{following}")
        assert "N.º 3" in page.text
        assert (await browser.get(f"{path}?status=none")).status_code == 400
        assert (await browser.get(f"{path}?after=-1")).status_code == 400


@pytest.mark.parametrize(
    ("name", "content", "fields", "field"),
    [
        ("", b"", {}, "file"),
        ("lista.pdf", b"%PDF", {}, "file"),
        ("lista", b"x", {}, "file"),
        ("lista.csv", b"", {}, "file"),
        ("lista.csv", b"x", {"ubigeo_system": ""}, "ubigeo_system"),
        ("lista.csv", b"x", {"ubigeo_system": "other"}, "ubigeo_system"),
    ],
)
async def test_what_is_wrong_with_a_file_stands_beside_its_field(
    house: House, name, content, fields, field
):
    async with browsing(house, CLERK) as browser:
        page = await sent(browser, content, name, **fields)
        assert isinstance(page, Page)
        assert f"#{field}" in {each.get("href") for each in page.all("a")}
        assert f"{field}-fault" in {each.get("id") for each in page.all("p")}


async def test_a_file_that_can_not_be_read_is_told_by_its_page(house: House):
    async with browsing(house, CLERK) as browser:
        path = await staged(house, browser, uuid4().bytes + b"\0\0", "lista.xlsx")
        page = await browser.page(path)
        assert "No se terminó" in page.text
        assert "No es un libro de Excel (.xlsx)." in page.text


async def test_a_kobo_export_is_declared_as_one(house: House):
    async with browsing(house, CLERK) as browser:
        path = await sent(browser, uuid4().hex.encode(), "export.json", source="kobo")
        assert isinstance(path, str)
        found = (await house.get(f"/v1/imports/{id_in(path)}", CLERK)).json()
        assert found["format"] == "kobo"


async def test_markup_in_a_file_stays_text(house: House):
    async with browsing(house, CLERK) as browser:
        content = as_csv(faulty(reference=EVIL), extra="<img src=x onerror=alert(2)>", sexo=EVIL)
        path = await staged(house, browser, content, f"{EVIL}.csv")
        answer = await browser.get(path)
        assert "&lt;img src=x" in answer.text
        page = Page(answer.text)
        assert not page.all("img")
        assert [each.get("src") for each in page.all("script")] == ["/console/static/console.js"]
        assert EVIL not in answer.text
        inline = re.compile(r"<[^>]+\s(?:style|on\w+)\s*=|<style|javascript:", re.IGNORECASE)
        assert not inline.search(answer.text)


async def test_nobody_sees_or_decides_anothers_file(house: House):
    async with browsing(house, CLERK) as browser, browsing(house, "B/registrar") as other:
        path = await staged(house, browser, as_json(registration()))
        assert (await other.get(path)).status_code == 404
        assert (await other.get(f"{path}/corrections")).status_code == 404
        for step, fields in (("acceptance", {"take": "all"}), ("refusal", {"sure": "yes"})):
            assert (await other.post(f"{path}/{step}", fields)).status_code == 404
        assert path not in (await other.get("/console/imports")).text
        assert path not in (await other.get("/console")).text
        assert "Por decidir" in (await browser.page(path)).text
        assert path in (await browser.get("/console")).text


async def test_the_template_is_handed_out_in_the_language_of_the_pages(house: House):
    async with browsing(house, CLERK) as browser:
        answer = await browser.get("/console/template")
        assert answer.content[:2] == b"PK"
        assert "hogares.xlsx" in answer.headers["Content-Disposition"]
        await browser.post("/console/language", {"language": "en", "to": "/console"})
        other = await browser.get("/console/template")
        assert "households.xlsx" in other.headers["Content-Disposition"]
        assert other.content != answer.content


async def test_imports_and_corrections_come_over_http_too(house: House):
    async with browsing(house, CLERK) as browser:
        path = await staged(house, browser, as_csv(faulty()), "lista.csv")
    listed = (await house.get("/v1/imports?limit=1", CLERK)).json()
    assert [each["import_id"] for each in listed["items"]] == [id_in(path)]
    assert listed["items"][0]["state"] == "review"
    older = (await house.get(f"/v1/imports?limit=1&after={listed['next']}", CLERK)).json()
    assert UUID(older["items"][0]["import_id"]) < UUID(id_in(path))
    corrections = await house.get(f"/v1/imports/{id_in(path)}/corrections", CLERK)
    assert corrections.headers["content-type"].startswith("text/csv")
    assert ";faltas" in corrections.text
    assert (
        await house.get(f"/v1/imports/{id_in(path)}/corrections", "B/registrar")
    ).status_code == 404
    assert id_in(path) not in (await house.get("/v1/imports", "B/registrar")).text


async def test_no_line_of_the_log_repeats_what_a_form_said(
    house: House,
    written: io.StringIO,  # noqa: F811 -- the fixture
):
    canary = f"Zzcanario{uuid4().hex[:8]}"
    async with browsing(house, CLERK) as browser:
        content = as_csv(faulty(reference=canary), nombres=canary, sexo=canary)
        path = await staged(house, browser, content, f"{canary}.csv")
        answers = [
            await browser.get(path),
            await browser.post("/console/sign-in", {"key": f"cbi_{canary}_{canary}"}),
            await browser.post("/console/language", {"language": canary, "to": f"/{canary}"}),
            await browser.post(f"{path}/acceptance", {"take": "rows", "rows": "x", "row": canary}),
            await browser.post("/console/imports/new", files={"file": (f"{canary}.pdf", b"x")}),
            await browser.get(f"/console/{canary}"),
        ]
    assert all(answer.status_code < 500 for answer in answers)
    logged = [line for line in written.getvalue().splitlines() if '"logger":"http' not in line]
    assert any('"event":"signed_in"' in line for line in logged)
    assert any('"event":"sign_in_failed"' in line for line in logged)
    assert not [line for line in logged if canary in line]
    assert not [answer for answer in answers if canary in answer.text.replace(f"/{canary}", "")]


async def test_there_are_corrections_only_of_files_with_faults(house: House):
    async with browsing(house, CLERK) as browser:
        path = await staged(house, browser, as_csv(registration()), "a.csv")
        assert f"{path}/corrections" not in (await browser.get(path)).text
        path = await staged(house, browser, as_json(faulty()), "a.json")
        assert f"{path}/corrections" in (await browser.get(path)).text
        mended = await browser.get(f"{path}/corrections")
        assert mended.headers["content-type"].startswith("application/json")
        assert mended.json()[0]["faults"]
        path = await staged(house, browser, as_csv(faulty()), "a.csv")
        await browser.post(f"{path}/refusal", {"sure": "yes"})
        erased = await browser.get(f"{path}/corrections")
        assert erased.status_code == 409
        assert "El contenido del archivo ya fue borrado" in erased.text
