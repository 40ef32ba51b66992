"""Reports over HTTP: whose they are, what they are called, and that they stay the same."""

from uuid import UUID

import pytest

from cbi.reports.asked import NAMES, NEEDS_PROGRAMME, OF_THE_BOOKS, TAKES
from tests.api.house import House

TYPES = {
    "json": ("application/json", b"{"),
    "csv": ("text/csv; charset=utf-8", b"\xef\xbb\xbf"),
    "xlsx": ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", b"PK"),
    "pdf": ("application/pdf", b"%PDF-"),
}
AS_OF = "2026-06-20"
NOBODY = UUID(int=0)


def about(name: str, paid) -> dict[str, str]:
    """What the report is told, of which its file is named."""
    if name == "trace":
        return {"household_id": paid.household_ids[0]}
    if name in NEEDS_PROGRAMME:
        return {"programme_id": paid.programme_id}
    return {"round_id": paid.round_id} if name in TAKES["round_id"] else {}


async def asked(house: House, name: str, paid, who: str = "A/finance", **more):
    facts = {"as_of": AS_OF, **about(name, paid), **more}
    return await house.get(f"/v1/reports/{name}", who, params=facts)


async def seals(house: House, paid) -> object:
    return (await asked(house, "control", paid)).json()["checkpoint"]


@pytest.mark.parametrize("form", TYPES)
@pytest.mark.parametrize("name", NAMES)
async def test_each_report_has_each_form_and_the_same_bytes_twice(house: House, paid, name, form):
    seal = await seals(house, paid)
    once = await asked(house, name, paid, format=form)
    assert once.status_code == 200, once.text
    media_type, begins = TYPES[form]
    assert once.headers["content-type"] == media_type
    of = [name, *(value[:8] for value in about(name, paid).values()), AS_OF]
    expected = f'attachment; filename="{"-".join(of)}.{form}"'
    assert once.headers["content-disposition"] == expected
    assert once.content.startswith(begins)
    # The sealer may have sealed something between the two.
    again = await asked(house, name, paid, format=form)
    if await seals(house, paid) == seal:
        assert again.content == once.content


async def test_titles_come_in_the_language_asked_for(house: House, paid):
    titles = [
        (await asked(house, "control", paid, language=language)).json()["title"]
        for language in ("es", "en")
    ]
    assert titles == ["Informe de control de la ronda", "Control report of the round"]


async def test_programme_staff_read_what_is_of_a_round_and_not_the_books(house: House, paid):
    for name in NAMES:
        answer = await asked(house, name, paid, "A/programme")
        assert answer.status_code == (403 if name in OF_THE_BOOKS else 200), name


async def test_only_those_who_see_money_read_reports(house: House, paid):
    for who in ("A/registrar", "A/adjudicator", "A/admin"):
        assert (await asked(house, "control", paid, who)).status_code == 403


async def test_the_books_of_another_are_an_auditors_to_read(house: House, paid):
    params = {"partner_id": str(house.partners["A"]), "as_of": AS_OF}
    path = "/v1/reports/trial-balance"
    assert (await house.get(path, "B/finance", params=params)).status_code == 404
    seen = await house.get(path, "B/auditor", params=params)
    assert paid.programme_id in seen.text
    own = await house.get(path, "B/auditor", params={"as_of": AS_OF})
    assert paid.programme_id not in own.text


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("nonsense", 400),
        ("fees?from=2026-02-30", 400),
        ("fees?as_of=x", 400),
        ("fees?language=fr", 400),
        (f"control?round_id={NOBODY}", 404),
        (f"fees?programme_id={NOBODY}", 404),
        (f"fees?partner_id={NOBODY}", 404),
        (f"trace?payment_id={NOBODY}", 404),
        ("control", 422),
        ("fees?from=2026-02-02&until=2026-02-01", 422),
        (f"fees?round_id={NOBODY}", 422),
    ],
)
async def test_what_a_report_can_not_be_asked_is_told(house: House, query, status):
    answer = await house.get(f"/v1/reports/{query}", "A/finance")
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
