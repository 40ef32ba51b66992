"""Forms of the console: whatever a browser, or somebody else, sends as one."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from litestar.exceptions import ClientException

from api.console import form as forms
from api.console.imports import chosen
from api.uploads import NUMBER_MAX
from cbi.imported import ROWS_TOLD_MAX
from tests.api.consoling import CLERK, SENT_FROM_HERE, browsing
from tests.api.house import House

PARTS = (b"--x\r\n", b"--x--", b"\r\n\r\n", b'Content-Disposition: form-data; name="a"', b"a")
bodies = st.lists(st.binary(max_size=40) | st.sampled_from(PARTS), max_size=12)


async def test_a_form_that_is_too_large_is_refused_before_it_is_read(house: House):
    async with browsing(house, CLERK) as browser:
        for path, length in (
            ("/console/imports/new", 80_000_000),
            ("/console/language", 2_000_000),
        ):
            headers = {**SENT_FROM_HERE, "Content-Length": str(length)}
            headers["Content-Type"] = "multipart/form-data; boundary=x"
            answer = await browser.client.post(path, content=b"", headers=headers)
            assert answer.status_code == 413, path
            assert "La solicitud es demasiado grande" in answer.text


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"--x",
        b"--x\r\n\r\n--x--",
        b"--x\r\nContent-Disposition: form-data\r\n\r\na\r\n--x--\r\n",
        b'--x\r\nContent-Disposition: form-data; name="token"\r\n\r\n\xff\r\n--x--\r\n',
        b"--x\r\n" + b"a" * 5000,
    ],
)
async def test_a_broken_form_is_refused(house: House, content):
    async with browsing(house, CLERK) as browser:
        for kind in ("multipart/form-data; boundary=x", "multipart/form-data", "text/plain"):
            headers = {**SENT_FROM_HERE, "Content-Type": kind}
            answer = await browser.client.post(
                "/console/imports/new", content=content, headers=headers
            )
            assert answer.status_code in (400, 403)
            assert answer.headers["content-type"].startswith("text/html")


async def test_a_file_too_many_at_once_is_asked_to_come_back(house: House, monkeypatch):
    monkeypatch.setattr(forms, "FILES_AT_ONCE", asyncio.Semaphore(0))
    async with browsing(house, CLERK) as browser:
        answer = await browser.post("/console/imports/new", files={"file": ("a.csv", b"x")})
        assert answer.status_code == 429
        assert int(answer.headers["Retry-After"]) >= 1


@given(bodies, st.sampled_from(["x", "", "\n", "é", "y" * 200]))
def test_any_bytes_are_a_form_or_are_refused(chunks, boundary):
    async def parsed() -> forms.Form | None:
        async def body():
            for chunk in chunks:
                yield chunk

        try:
            return await forms.parse_multipart(body(), boundary)
        except ClientException:
            return None

    form = asyncio.run(parsed())
    assert form is None or all(
        isinstance(each, str) for values in form.fields.values() for each in values
    )


async def test_a_form_is_read_however_it_is_cut():
    content = (
        b'--x\r\nContent-Disposition: form-data; name="token"\r\n\r\nsecret\r\n'
        b'--x\r\nContent-Disposition: form-data; name="file"; filename="C:\\Maria.CSV"\r\n'
        b"Content-Type: text/csv\r\n\r\na\r\n--y\r\nb\r\n--x--\r\n"
    )
    for size in (1, 2, 7, 1000):

        async def body(size: int = size):
            for start in range(0, len(content), size):
                yield content[start : start + size]

        form = await forms.parse_multipart(body(), "x")
        assert form.one("token") == "secret"
        assert form.upload == forms.Upload(ending="csv", content=b"a\r\n--y\r\nb")


def test_rows_are_read_as_people_write_them():
    assert chosen([], "1-3, 7;9  11 – 12") == [1, 2, 3, 7, 9, 11, 12]
    assert chosen(["4", "2"], "") == [2, 4]
    assert chosen(["x"], "") is None
    assert chosen([], "3-1") is None
    assert chosen([], f"1-{ROWS_TOLD_MAX + 1}") is None
    assert chosen([], f"{NUMBER_MAX + 1}") is None


@given(st.lists(st.text(max_size=8), max_size=5), st.text(max_size=60))
def test_whatever_is_written_gives_rows_or_a_fault(ticked, text):
    rows = chosen(ticked, text)
    assert rows is None or all(1 <= row <= NUMBER_MAX for row in rows)
