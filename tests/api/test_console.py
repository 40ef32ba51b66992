"""The console's other pages: what waits, a list checked, jobs; and that they are whole."""

import re
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from uuid import uuid4

import pytest
from jinja2 import Environment, FileSystemLoader, nodes

from api.console.pages import FOLDER, STATIC, WORDS, say
from cbi.job import JobView
from tests.api.consoling import Browser, Page, browsing, id_in
from tests.api.house import House, registration
from tests.api.jobbing import actor_of, worked
from tests.api.test_check_files import HEADER, line
from tests.cbi.working import job_made

CLERK = "A/registrar"
ROOT = Path(__file__).parent.parent.parent


def a_list(*raws: dict) -> bytes:
    lines = [line(f"R-{number}", raw) for number, raw in enumerate(raws)]
    return f"{HEADER}\n{''.join(lines)}".encode()


async def checked(
    browser: Browser, content: bytes, name: str = "lista.csv", **fields: str
) -> Page | str:
    """Send a list; the page's path, or the page that says what is wrong."""
    answer = await browser.post(
        "/console/checks/new",
        {"purpose": "before_registration", "list": "new", "months": "1"} | fields,
        files={"file": (name, content)},
    )
    if answer.status_code == 303:
        return answer.headers["location"]
    assert answer.status_code == 422, answer.text
    return Page(answer.text)


async def test_a_list_is_checked_watched_and_handed_out(house: House):
    known = registration()
    await house.made("/v1/households", "B/registrar", known)
    async with browsing(house, CLERK) as browser:
        path = await checked(browser, a_list(known, registration()))
        assert isinstance(path, str)
        page = await browser.page(path)
        assert page.all("progress")
        assert (await browser.get(f"{path}/file")).status_code == 404
        await worked(house, id_in(path))
        page = await browser.page(path)
        assert "Hogares 2 Libres 1 Por revisar 1" in page.text
        answer = await browser.get(f"{path}/file")
        assert answer.text.splitlines()[0] == f"{HEADER};resultado;hasta_o_motivo;contacto"
        assert answer.headers["Content-Disposition"].startswith("attachment")
        assert answer.headers["Cache-Control"] == "no-store"


async def test_a_list_is_checked_for_a_programme_and_for_months(house: House):
    opened = await house.made("/v1/lists", CLERK, {
        "name": f"Lista {uuid4()}", "purpose": "before_payment", "until": "2026-12-31",
    })  # fmt: skip
    async with browsing(house, CLERK) as browser:
        page = await browser.page("/console/checks/new")
        assert opened["list_id"] in {each.get("value") for each in page.all("option")}
        path = await checked(
            browser,
            a_list(registration()),
            purpose="before_payment",
            list=opened["list_id"],
            assistance="mpca",
            first_month="2026-07",
            months="3",
        )
        assert isinstance(path, str)
        done = await worked(house, id_in(path))
        assert done.state == "done"
        refused = await browser.post(
            "/console/checks/new",
            {"purpose": "before_enrolment", "list": opened["list_id"]},
            files={"file": ("lista.csv", a_list(registration()))},
        )
        assert refused.status_code == 409
        assert Page(refused.text).all("h1")


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"purpose": ""}, "purpose"),
        ({"purpose": "curiosity"}, "purpose"),
        ({"ubigeo_system": "x"}, "ubigeo_system"),
        ({"list": "x"}, "list"),
        ({"first_month": "2026-07"}, "assistance"),
        ({"assistance": "gold", "first_month": "2026-07"}, "assistance"),
        ({"assistance": "mpca", "first_month": "julio"}, "first_month"),
        ({"assistance": "mpca", "first_month": "2026-13"}, "first_month"),
        ({"assistance": "mpca", "first_month": "2026-07", "months": "0"}, "months"),
        ({"assistance": "mpca", "first_month": "2026-07", "months": "²"}, "months"),
        ({"name": "lista.pdf"}, "file"),
        ({"name": ""}, "file"),
        ({"content": ""}, "file"),
    ],
)
async def test_what_is_wrong_with_a_question_stands_beside_its_field(house: House, fields, field):
    fields = dict(fields)
    content = fields.pop("content", "x").encode()
    async with browsing(house, CLERK) as browser:
        page = await checked(browser, content, fields.pop("name", "lista.csv"), **fields)
        assert isinstance(page, Page)
        assert f"#{field}" in {each.get("href") for each in page.all("a")}
        assert field in {each.get("id") for _, each in page.tags}
        assert f"{field}-fault" in {each.get("id") for each in page.all("p")}


async def test_a_list_that_can_not_be_read_says_why(house: House):
    async with browsing(house, CLERK) as browser:
        path = await checked(browser, b"a;b\n1;2\n")
        assert isinstance(path, str)
        await worked(house, id_in(path))
        page = await browser.page(path)
        assert "Falló" in page.text
        assert "No hay una fila de títulos" in page.text


async def test_nobody_sees_anothers_check_and_no_other_job_is_one(house: House):
    async with browsing(house, CLERK) as browser, browsing(house, "B/registrar") as other:
        path = await checked(browser, a_list(registration()))
        assert isinstance(path, str)
        await worked(house, id_in(path))
        assert (await other.get(path)).status_code == 404
        assert (await other.get(f"{path}/file")).status_code == 404
        assert id_in(path) not in (await other.get("/console/jobs")).text
        me = await actor_of(house, CLERK)
        async with house.service.begin(me) as conn:
            made = await job_made(conn, me)
        assert (await browser.get(f"/console/checks/{made.job_id}")).status_code == 404


async def test_a_job_is_listed_and_cancelled_by_who_may(house: House):
    me = await actor_of(house, CLERK)
    async with house.service.begin(me) as conn:
        made: JobView = await job_made(conn, me)
    cancel = f"/console/jobs/{made.job_id}/cancellation"
    async with browsing(house, CLERK) as browser, browsing(house, "B/registrar") as other:
        assert cancel in (await browser.get("/console/jobs")).text
        assert (await other.post(cancel)).status_code == 404
        assert (await browser.post(cancel)).status_code == 303
        assert cancel not in (await browser.get("/console/jobs")).text
        state = (await house.get(f"/v1/jobs/{made.job_id}", CLERK)).json()["state"]
        assert state == "cancelled"
    async with browsing(house, "A/auditor") as auditor:
        page = await auditor.page("/console/jobs")
        assert not [each for each in page.all("form") if "jobs" in (each["action"] or "")]


async def test_home_says_what_may_be_checked_yet_today(house: House):
    async with browsing(house, CLERK) as browser:
        page = await browser.page("/console")
        assert re.search(r"puede consultar [\d\s.,]+ de 5\s?000 personas", page.text)
    async with browsing(house, "A/finance") as finance:
        page = await finance.page("/console")
        assert "consultar" not in page.text
        assert "/console/imports" not in {each.get("href") for each in page.all("a")}


class Labels(HTMLParser):
    """Fields that no label names."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.named: set[str] = set()
        self.fields: list[str] = []
        self.inside = 0
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        facts = dict(attrs)
        if tag == "label":
            self.inside += 1
            self.named.add(facts.get("for") or "")
        is_field = tag in ("input", "select", "textarea") and facts.get("type") != "hidden"
        if is_field and not self.inside:
            self.fields.append(facts.get("id") or "")

    def handle_endtag(self, tag):
        self.inside -= tag == "label"


@pytest.mark.parametrize("language", ["es", "en"])
async def test_every_page_is_made_for_everybody(house: House, language):
    """Language, title, one heading, skip link, labels, headers of tables, and no id twice."""
    async with browsing(house, CLERK) as browser:
        await browser.post("/console/language", {"language": language, "to": "/console"})
        path = await checked(browser, a_list(registration()))
        assert isinstance(path, str)
        for page_path in ("/console", "/console/imports", "/console/imports/new",
                          "/console/checks/new", "/console/jobs", path):  # fmt: skip
            text = (await browser.get(page_path)).text
            page, labels = Page(text), Labels(text)
            assert page.all("html") == [{"lang": language}], page_path
            assert len(page.all("h1")) == 1, page_path
            assert len(page.all("title")) == 1
            assert page.all("a")[0]["href"] == "#main"
            assert [each["id"] for each in page.all("main")] == ["main"]
            assert set(labels.fields) <= labels.named, page_path
            assert all("scope" in each for each in page.all("th")), page_path
            ids = [each["id"] for _, each in page.tags if "id" in each]
            assert len(set(ids)) == len(ids), page_path
            for field in page.all("form"):
                assert field["method"] == "post"
            described = [each["aria-describedby"] for _, each in page.tags
                         if "aria-describedby" in each]  # fmt: skip
            assert {one for each in described for one in (each or "").split()} <= set(ids)


async def test_nothing_is_loaded_from_elsewhere_and_what_is_loaded_is_there(house: House):
    async with browsing(house) as browser:
        page = await browser.page("/console/sign-in")
        loaded = [each["src"] for each in page.all("script")]
        loaded += [each["href"] for each in page.all("link")]
        assert len(loaded) == 3
        for path in loaded:
            answer = await browser.get(path or "")
            assert answer.status_code == 200
            assert answer.content == (STATIC / Path(path or "").name).read_bytes()
            assert "http:" not in answer.text.replace("http://www.w3.org/2000/svg", "")
        for path in ("../pages.py", "..%2fpages.py", "%2e%2e/words.json"):
            assert (await browser.get(f"/console/static/{path}")).status_code in (303, 404)


def test_the_stylesheet_is_short():
    assert (STATIC / "console.css").read_text().count("\n") <= 300


def test_every_word_is_said_in_both_languages_with_the_same_facts():
    for key, (es, en) in WORDS.items():
        assert es, key
        assert en, key
        assert sorted(re.findall(r"{(\w+)}", es)) == sorted(re.findall(r"{(\w+)}", en)), key
    assert say("en", "progress.of", done=1, total=2) == "1 of 2"


def test_the_words_that_templates_say_are_there_and_no_others():
    environment = Environment(loader=FileSystemLoader(FOLDER / "templates"), autoescape=True)
    said, begun = set(), set()
    for name in environment.list_templates():
        source = (FOLDER / "templates" / name).read_text()
        said |= {
            each.value
            for each in environment.parse(source).find_all(nodes.Const)
            if isinstance(each.value, str)
        }
    for path in FOLDER.glob("*.py"):
        said |= set(re.findall(r'"([a-z_]+(?:\.[a-z_]+)?)"', path.read_text()))
    begun = tuple(each for each in said if each.endswith((".", "_")) and len(each) > 3)
    unused = {key for key in WORDS if key not in said and not key.startswith((*begun, "failure."))}
    assert unused == set()


def test_the_files_of_the_pages_are_packed():
    """What setuptools is told to pack matches every file that the pages need."""
    told = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    assert "api.console" in told["packages"]
    packed = {
        path for pattern in told["package-data"]["api.console"] for path in FOLDER.glob(pattern)
    }
    there = {path for path in FOLDER.rglob("*") if path.is_file() and path.suffix not in
             {".py", ".pyc"}}  # fmt: skip
    assert there == packed
    assert len(there) > 10
