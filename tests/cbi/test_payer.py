"""The paying account: sealed, known by its token, and the only one whose statements settle."""

import pytest
from sqlalchemy import text

from api import db
from cbi import enrol, payer, statements
from cbi.kept import without_names
from cbi.refusal import AccountNotOurs, BadValue, EnrolmentClosed, NotFound
from ledger.statement import Line
from tests.cbi.world import (
    ALFA,
    AT,
    BETA,
    DESK,
    clock,
    enrolled,
    enrolled_families,
    family,
    programme_of,
    registered,
)
from tests.conftest import PARTNER_A

OURS = "01136600010003254221"
NAMED = "JUANA QUISPE DNI 45678901"


def camt(account: str, *, end_to_end_id: str = NAMED) -> bytes:
    return f"""<?xml version="1.0"?>
<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt>
<GrpHdr><MsgId>M1</MsgId><CreDtTm>2026-07-02T09:00:00</CreDtTm></GrpHdr><Stmt><Id>S1</Id>
<Acct><Id><Othr><Id>{account}</Id></Othr></Id><Ccy>PEN</Ccy></Acct>
<Bal><Tp><CdOrPrtry><Cd>OPBD</Cd></CdOrPrtry></Tp><Amt Ccy="PEN">10.00</Amt>
<CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2026-07-02</Dt></Dt></Bal>
<Bal><Tp><CdOrPrtry><Cd>CLBD</Cd></CdOrPrtry></Tp><Amt Ccy="PEN">9.00</Amt>
<CdtDbtInd>CRDT</CdtDbtInd><Dt><Dt>2026-07-02</Dt></Dt></Bal>
<Ntry><Amt Ccy="PEN">1.00</Amt><CdtDbtInd>DBIT</CdtDbtInd><Sts><Cd>BOOK</Cd></Sts>
<BookgDt><Dt>2026-07-02</Dt></BookgDt><AcctSvcrRef>YAQUELIN V20481516</AcctSvcrRef>
<NtryDtls><TxDtls><Refs><EndToEndId>{end_to_end_id}</EndToEndId></Refs></TxDtls></NtryDtls></Ntry>
</Stmt></BkToCstmrStmt></Document>""".encode()


async def take_in(conn, content: bytes, who: db.Actor = ALFA):
    await db.set_facts(conn, who)
    return await statements.take_in(
        conn,
        content,
        vault=DESK.vault,
        matching_key=DESK.matching_key,
        partner_id=who.partner_id,
        actor_id=who.actor_id,
        at=AT,
    )


async def test_the_account_is_sealed_and_opens_for_its_owner_only(conn):
    programme = await programme_of(conn)
    assert await payer.load(conn, programme.programme_id, vault=DESK.vault) == OURS
    stored = await conn.scalar(text("SELECT payer_account::text FROM cbi.payer_account"))
    assert OURS not in stored
    assert OURS.encode().hex() not in stored
    await db.set_facts(conn, BETA)
    assert await conn.scalar(text("SELECT count(*) FROM cbi.payer_account")) == 0


@pytest.mark.parametrize("account", [OURS, "0113 6600 0100 0325 4221"])
async def test_a_statement_of_our_account_is_taken_in(conn, account):
    await programme_of(conn)
    (stored,) = await take_in(conn, camt(account))
    assert (stored.lines, stored.rejected) == (1, 0)


@pytest.mark.parametrize("account", ["DE00FORGED0000000001", "0113660001000325422"])
async def test_a_statement_of_another_account_settles_nothing(conn, account):
    await programme_of(conn)
    with pytest.raises(AccountNotOurs):
        await take_in(conn, camt(account))
    assert await conn.scalar(text("SELECT count(*) FROM ledger.statement")) == 0


async def test_the_account_of_another_organisation_is_not_ours(conn):
    await programme_of(conn)
    with pytest.raises(AccountNotOurs):
        await take_in(conn, camt(OURS), BETA)


async def test_what_a_bank_writes_where_an_id_belongs_is_not_kept_in_the_clear(conn):
    await programme_of(conn)
    await take_in(conn, camt(OURS))
    row = (await conn.execute(text("SELECT * FROM ledger.statement_line"))).one()
    kept = str(tuple(row))
    for word in ("JUANA", "45678901", "YAQUELIN", "20481516"):
        assert word not in kept
    assert row.end_to_end_id.startswith("h-")


def test_equal_ids_stay_equal_and_ours_stay_as_they_are():
    ours = "0" * 32 + "01"
    lines = tuple(
        Line(
            source="camt.053",
            ordinal=place,
            status="booked",
            direction="debit",
            end_to_end_id=end_to_end_id,
            bank_reference=reference,
            money=None,
            booked_on=None,
            reason="",
        )
        for place, (end_to_end_id, reference) in enumerate(
            [(ours, "R1"), (NAMED, "R1"), (NAMED, ""), ("", "R2")], start=1
        )
    )
    kept = without_names(matching_key=b"k" * 32)
    one, two, three, four = map(kept, lines)
    assert one.end_to_end_id == ours
    assert two.end_to_end_id == three.end_to_end_id != NAMED
    assert one.bank_reference == two.bank_reference != four.bank_reference
    assert (three.bank_reference, four.end_to_end_id) == ("", "")
    assert all(len(line.end_to_end_id) <= 35 for line in (one, two, three, four))


async def test_a_programme_whose_bank_nobody_knows_is_refused_when_it_is_opened(conn):
    programme = await programme_of(conn)
    fresh = enrol.Programme(
        programme_id=clock.new_id(),
        code="NEW-1",
        name="New",
        assistance_group="mpca",
        currency="PEN",
        payer_name="Alfa",
        payer_agent="Mi Banco SA",
    )
    assert fresh.programme_id != programme.programme_id
    with pytest.raises(BadValue):
        await enrol.open_programme(
            conn,
            fresh,
            payer_account="12345678901234",
            vault=DESK.vault,
            matching_key=DESK.matching_key,
            partner_id=PARTNER_A,
            at=AT,
        )


async def test_a_closed_enrolment_frees_the_family_and_stays_closed(conn):
    programme = await programme_of(conn)
    (household_id,) = await enrolled_families(conn, programme, 1)
    enrolment_id = await conn.scalar(text("SELECT enrolment_id FROM cbi.enrolment"))
    await db.set_facts(conn, BETA)
    with pytest.raises(NotFound):
        await enrol.close(conn, enrolment_id=enrolment_id, at=AT)
    await db.set_facts(conn, ALFA)
    await enrol.close(conn, enrolment_id=enrolment_id, at=AT)
    with pytest.raises(EnrolmentClosed):
        await enrol.close(conn, enrolment_id=enrolment_id, at=AT)
    again = await enrolled(conn, programme, household_id)
    assert again.enrolment_id != enrolment_id


async def test_a_household_at_a_bank_nobody_knows_is_refused_before_money_moves(conn):
    instrument = {"kind": "bank_account", "bank": "Caja Piura", "account": "1234567890123"}
    receipt = await registered(conn, family(1, instrument=instrument))
    programme = await programme_of(conn)
    with pytest.raises(enrol.NoInstrument):
        await enrolled(conn, programme, receipt.household_id)
