"""The bank's files over HTTP: large ones, tables by their layouts, and what can't be read."""

import msgspec
import pytest

from ledger.formats.layout import example
from tests.api.breaking import STRAY
from tests.api.house import House, programme
from tests.api.test_problems import told

ACCOUNT = "PE001122334455"
CSV = """Banco de los Andes;;
Cuenta:;{account}
Extracto;{number}
Saldo inicial;1.000,00;Saldo final;{closing}
Hasta;02/10/2026
Fecha;Fecha valor;Descripción;N° de operación;Referencia;Cargo;Abono
02/10/2026;02/10/2026;PAGO ROSA DIAZ;OP-{number};{payment};50,00;
Totales;;;;;50,00;
"""


def table(number=1, closing="950,00", payment="x") -> bytes:
    text = CSV.format(account=ACCOUNT, number=number, closing=closing, payment=payment)
    return text.encode("windows-1252")


@pytest.fixture(scope="module")
async def known(house: House) -> None:
    """The account of the tables pays a programme of A, and A knows how they are laid out."""
    body = programme() | {"payer_account": ACCOUNT}
    await house.made("/v1/programmes", "A/programme", body)
    await house.made("/v1/statement-layouts", "A/finance", layout("banco"))


def layout(code: str, **changes: object) -> dict:
    made = msgspec.structs.replace(example("banco-csv"), **changes)
    return {"code": code, "layout": msgspec.to_builtins(made)}


async def test_a_file_of_the_bank_may_be_larger_than_a_request_and_has_a_limit(house: House):
    for size, status, slug in (
        (10_500_000, 422, "statement-unreadable"),
        (12_500_000, 413, "too-large"),
    ):
        answer = await house.post("/v1/statements", "A/finance", content=b"x" * size)
        told(answer, status, slug)


async def test_a_table_is_read_by_the_newest_layout_unless_told_another(house: House, known):
    taken = await house.post("/v1/statements?layout=banco", "A/finance", content=table())
    assert taken.status_code == 201, taken.text
    assert [(one["lines"], one["rejected"]) for one in taken.json()] == [(1, 0)]
    wrong = await house.made(
        "/v1/statement-layouts", "A/finance", layout("banco", decimal="point", rows_before=6)
    )
    assert wrong["version"] == 2
    newest = await house.post("/v1/statements?layout=banco", "A/finance", content=table(2))
    told(newest, 422, "statement-unreadable")
    first = await house.post(
        "/v1/statements?layout=banco&layout_version=1", "A/finance", content=table(2)
    )
    assert first.status_code == 201, first.text


async def test_the_same_layout_again_is_no_new_version(house: House):
    body = layout("same")
    one = await house.made("/v1/statement-layouts", "A/finance", body)
    assert await house.made("/v1/statement-layouts", "A/finance", body) == one


async def test_a_layout_that_can_not_be_used_is_told_with_all_its_faults(house: House):
    body = layout("bad", currency="ZZZ", columns={"amount": "Monto"}, frame={})
    answer = await house.post("/v1/statement-layouts", "A/finance", body)
    faults = [path for path, _ in told(answer, 422, "layout-malformed")["faults"]]
    assert faults == [
        "columns.booked_on",
        "columns.credit",
        "columns.debit",
        "currency",
        "frame.account",
    ]


async def test_the_layout_of_another_organisation_is_none(house: House, known):
    answer = await house.post("/v1/statements?layout=banco", "B/finance", content=table())
    told(answer, 404, "layout-unknown")
    assert (await house.get("/v1/statement-layouts", "B/finance")).json()["items"] == []


async def test_what_can_not_be_read_is_refused_with_its_place_and_kept_once(house: House):
    broken = STRAY.encode().replace(b"</Acct>", b"</Akkt>")
    for key in (None, "once-more"):
        answer = await house.post("/v1/statements", "A/finance", content=broken, key=key)
        body = told(answer, 422, "statement-unreadable")
        line = broken[: broken.index(b"</Akkt>")].count(b"\n") + 1
        assert body["where"].startswith(f"line {line}, byte ")
    kept = (await house.get("/v1/statements/unread", "A/finance")).json()["items"]
    assert [one["where"] for one in kept].count(body["where"]) == 1
    theirs = (await house.get("/v1/statements/unread", "B/finance")).json()["items"]
    assert body["where"] not in [one["where"] for one in theirs]


async def test_the_same_statement_in_another_file_says_which_one_it_repeats(house: House, known):
    one = STRAY.format(id="same", account=ACCOUNT, opening="7.00", closing="6.00")
    other = one.replace("<Id>same</Id><CreDtTm>", "<Id>other</Id>\n<CreDtTm>")
    assert other != one
    first, second = [
        (await house.post("/v1/statements", "A/finance", content=content.encode())).json()[0]
        for content in (one, other)
    ]
    assert (first["repeats"], second["repeats"]) == (None, first["statement_id"])
    listed = (await house.get("/v1/statements?limit=200", "A/finance")).json()["items"]
    repeats = {row["statement_id"]: row["repeats"] for row in listed}
    assert repeats[second["statement_id"]] == first["statement_id"]
