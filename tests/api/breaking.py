"""Breaks made over HTTP: a debit that nobody knows, a gap, a payment matched by mistake."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import uuid4

import msgspec
from sqlalchemy import text

from api import clock
from ledger.formats.layout import example
from tests.api.house import House, open_round, programme, registration, release
from tests.cbi.profiled import a_profile

Asked = tuple[str, str, object]

CAMT = """<?xml version="1.0" encoding="UTF-8"?>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt>
<GrpHdr><MsgId>{id}</MsgId><CreDtTm>2026-10-02T00:00:00Z</CreDtTm></GrpHdr>
<Stmt><Id>{id}</Id><CreDtTm>2026-10-02T00:00:00-05:00</CreDtTm>
<Acct><Id><Othr><Id>{account}</Id></Othr></Id><Ccy>PEN</Ccy></Acct></Stmt>
</BkToCstmrStmt></Document>"""
STRAY = """<?xml version="1.0" encoding="UTF-8"?>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt>
<GrpHdr><MsgId>{id}</MsgId><CreDtTm>2026-10-02T00:00:00Z</CreDtTm></GrpHdr>
<Stmt><Id>{id}</Id><CreDtTm>2026-10-02T00:00:00-05:00</CreDtTm>
<Acct><Id><Othr><Id>{account}</Id></Othr></Id><Ccy>PEN</Ccy></Acct>
<Bal><Tp><CdOrPrtry><Cd>OPBD</Cd></CdOrPrtry></Tp><Amt Ccy="PEN">{opening}</Amt>
<CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2026-10-02</Dt></Dt></Bal>
<Bal><Tp><CdOrPrtry><Cd>CLBD</Cd></CdOrPrtry></Tp><Amt Ccy="PEN">{closing}</Amt>
<CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2026-10-02</Dt></Dt></Bal>
<Ntry><Amt Ccy="PEN">1.00</Amt><CdtDbtInd>DBIT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts>
<BookgDt><Dt>2026-10-02</Dt></BookgDt><AcctSvcrRef>{id}</AcctSvcrRef></Ntry></Stmt>
</BkToCstmrStmt></Document>"""

ACCEPTED = """<?xml version="1.0" encoding="UTF-8"?>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:pain.002.001.10"><CstmrPmtStsRpt>
<GrpHdr><MsgId>{id}</MsgId><CreDtTm>2026-10-02T00:00:00Z</CreDtTm></GrpHdr>
<OrgnlGrpInfAndSts><OrgnlMsgId>m</OrgnlMsgId><OrgnlMsgNmId>pain.001.001.09</OrgnlMsgNmId>
</OrgnlGrpInfAndSts><OrgnlPmtInfAndSts><OrgnlPmtInfId>p</OrgnlPmtInfId><TxInfAndSts>
<OrgnlEndToEndId>{payment}</OrgnlEndToEndId><TxSts>ACSP</TxSts></TxInfAndSts>
</OrgnlPmtInfAndSts></CstmrPmtStsRpt></Document>"""


async def a_break(house: House, kind: str) -> str:
    """A break of a statement of its own: a debit that nobody knows, or a gap between balances."""
    account = f"PE{uuid4().int % 10**12:012d}"
    opened = await house.made(
        "/v1/programmes", "A/programme", programme() | {"payer_account": account}
    )
    money = {"deposit_id": str(uuid4()), "amount": "10.00", "on": "2026-01-01"}
    await house.made(f"/v1/programmes/{opened['programme_id']}/funds", "A/finance", money)
    for opening, closing in (("10.00", "9.00"), ("7.00", "6.00")):
        content = STRAY.format(
            id=uuid4().hex, account=account, opening=opening, closing=closing
        ).encode()
        taken = await house.post("/v1/statements", "A/finance", content=content)
        assert taken.status_code == 201, taken.text
    before = {row["break_id"] for row in await breaks_of(house, kind)}
    await house.made("/v1/reconciliations", "A/finance")
    return next(
        row["break_id"] for row in await breaks_of(house, kind) if row["break_id"] not in before
    )


async def breaks_of(house: House, kind: str) -> list[dict]:
    rows, after = [], {}
    while True:
        asked = {"kind": kind, "is_over": "false", "limit": "200", **after}
        found = (await house.get("/v1/breaks", "A/finance", params=asked)).json()
        rows += found["items"]
        if found["next"] is None:
            return rows
        after = {"after": found["next"]}


async def a_remark(house: House) -> Asked:
    path = f"/v1/breaks/{await a_break(house, 'paid_not_instructed')}/remarks"
    return (path, "A/finance", {"note": "asked the bank", "what": "take"})


async def an_explanation(house: House) -> Asked:
    path = f"/v1/breaks/{await a_break(house, 'statement_gap')}/explanation"
    return (path, "A/finance", {"note": "a holiday"})


async def a_proposal(house: House) -> Asked:
    path = f"/v1/breaks/{await a_break(house, 'paid_not_instructed')}/proposal"
    return (path, "A/finance", {"ending": "fee", "note": "the bank's"})


async def a_confirmation(house: House) -> Asked:
    asked = await a_proposal(house)
    path, who, body = asked
    await house.made(path, who, body)
    return (path.replace("proposal", "confirmation"), "A/second", None)


async def an_unmatching(house: House) -> Asked:
    opened = await open_round(house)
    await release(house, opened)
    (payment,) = (await house.get(f"{opened.path}/payments", "A/finance")).json()["items"]
    content = ACCEPTED.format(id=uuid4().hex, payment=payment["end_to_end_id"]).encode()
    taken = await house.post("/v1/statements", "A/finance", content=content)
    await house.made("/v1/reconciliations", "A/finance")
    async with house.owner.connect() as conn:
        line_id = await conn.scalar(
            text("SELECT line_id FROM ledger.statement_line WHERE statement_id = :statement_id"),
            {"statement_id": taken.json()[0]["statement_id"]},
        )
    return (f"/v1/lines/{line_id}/unmatching", "A/finance", {"note": "by mistake"})


async def an_expiry(house: House) -> Asked:
    """A payment that was sent some days ago, by a profile that gives one day."""
    opened = await open_round(house)
    raw = {**a_profile(claim_days=1), "code": f"p-{uuid4().hex[:12]}"}
    await house.made("/v1/fsp-profiles", "A/finance", raw)
    now = clock.now
    clock.now = lambda: now() - timedelta(days=3)
    try:
        choice = {"code": raw["code"], "version": 1}
        path = f"/v1/programmes/{opened.programme_id}/profile"
        await house.made(path, "A/finance", choice)
        await release(house, opened)
    finally:
        clock.now = now
    (payment,) = (await house.get(f"{opened.path}/payments", "A/finance")).json()["items"]
    path = f"/v1/payments/{payment['payment_id']}/expiry"
    return (path, "A/finance", {"because": "a letter of the agent"})


async def an_expiry_confirmed(house: House) -> Asked:
    path, who, body = await an_expiry(house)
    await house.made(path, who, body)
    return (f"{path}/confirmation", "A/second", None)


async def a_layout(house: House) -> Asked:
    del house
    body = {"code": f"l-{uuid4().hex[:12]}", "layout": msgspec.to_builtins(example("banco-csv"))}
    return ("/v1/statement-layouts", "A/finance", body)


async def a_period(house: House) -> Asked:
    del house
    return ("/v1/ledger/periods", "A/finance", {"until": "2025-12-31"})


async def a_check_list(house: House) -> Asked:
    del house
    body = {
        "name": f"l {uuid4().hex}",
        "purpose": "before_payment",
        "until": str(clock.today()),
    }
    return ("/v1/lists", "A/programme", body)


async def a_round_check(house: House) -> Asked:
    opened = await open_round(house)
    await house.made(f"{opened.path}/calculate", "A/first")
    return (f"{opened.path}/check", "A/second", None)


async def a_check_file(house: House) -> Asked:
    path, who, body = await a_check_list(house)
    listed = await house.made(path, who, body)
    query = f"format=json&purpose=before_payment&list={listed['list_id']}"
    return (f"/v1/check/files?{query}&ubigeo_system=inei", who, registration())


async def a_quota(house: House) -> Asked:
    body = {
        "partner_id": str(house.partners["A"]),
        "persons_per_day": 100_000,
        "until": str(clock.today()),
    }
    return ("/v1/check/quotas", "B/coordinator", body)


BREAKS: dict[str, Callable[[House], Awaitable[Asked]]] = {
    "/v1/breaks/{break_id}/remarks": a_remark,
    "/v1/breaks/{break_id}/explanation": an_explanation,
    "/v1/breaks/{break_id}/proposal": a_proposal,
    "/v1/breaks/{break_id}/confirmation": a_confirmation,
    "/v1/lines/{line_id}/unmatching": an_unmatching,
    "/v1/payments/{payment_id}/expiry": an_expiry,
    "/v1/payments/{payment_id}/expiry/confirmation": an_expiry_confirmed,
    "/v1/statement-layouts": a_layout,
    "/v1/lists": a_check_list,
    "/v1/check/files": a_check_file,
    "/v1/check/quotas": a_quota,
    "/v1/rounds/{round_id}/check": a_round_check,
}
