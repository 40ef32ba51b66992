"""A round that was played through: delivered, returned, rejected, silent, and a strange debit."""

from datetime import date
from decimal import Decimal
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from api import db
from cbi import fund
from cbi.payer import token_of
from cbi.reports.asked import Asked
from cbi.reports.make import make
from cbi.reports.sheet import Section, Sheet
from ledger.exchange import Exchange
from ledger.money import Money
from tests.cbi.bank import line, settled, statement, taken_in
from tests.cbi.granted import granted
from tests.cbi.world import (
    ALFA,
    AT,
    DESK,
    PAYS_ON,
    TODAY,
    approved,
    enrolled_families,
    opened,
    programme_of,
    released,
)
from tests.conftest import PARTNER_A

AS_OF = date(2026, 6, 20)
START = 10_000_000


class Played(msgspec.Struct, frozen=True, kw_only=True):
    programme_id: UUID
    round_id: UUID
    household_ids: list[UUID]
    payments: list[tuple[UUID, str, int]]  # id, end-to-end id, minor units; by id


async def played(conn: AsyncConnection) -> Played:
    """Four payments; the bank says something of three of them, and shows a debit of nobody."""
    programme = await programme_of(conn, grant=START)
    programme_id = programme.programme_id
    household_ids = await enrolled_families(conn, programme, 4)
    round_id = (await opened(conn, programme)).round_id
    await approved(conn, round_id)
    await released(conn, round_id)
    await money_beside(conn, programme_id)
    rows = await conn.execute(
        text("SELECT payment_id, end_to_end_id, amount_minor FROM ledger.attempt ORDER BY 1")
    )
    payments = [tuple(row) for row in rows]
    kept, back, lost, _ = [(name, minor) for _, name, minor in payments]
    debits = [line("camt.053", n, *one) for n, one in enumerate((kept, back, ("X", 777)), 1)]
    credit = line("camt.053", 1, *back, direction="credit")
    account = token_of("01136600010003254221", matching_key=DESK.matching_key)
    taken = START - kept[1] - back[1] - 777
    for file in (
        statement(line("pain.002", 1, *lost, status="rejected"), message_id="R1"),
        statement(*debits, message_id="S1", sequence=1),
        statement(credit, message_id="S3", sequence=3, opening=taken),
    ):
        await taken_in(conn, file, account=account)
    await settled(conn, as_of=PAYS_ON)
    return Played(
        programme_id=programme_id,
        round_id=round_id,
        household_ids=household_ids,
        payments=payments,
    )


async def money_beside(conn: AsyncConnection, programme_id: UUID) -> None:
    """A grant in dollars, half of it exchanged with a small loss; and a fee.

    And one that was agreed, of which nothing has come yet.
    """
    await granted(conn, 500_000, code="GIZ-7")
    await db.set_facts(conn, ALFA)
    who = {"partner_id": PARTNER_A, "actor_id": ALFA.actor_id, "at": AT, "on": TODAY}
    dollars = {"programme_id": programme_id, "of_grant": "ECHO-1", **who}
    given = Money(amount_minor=100_000, currency="USD")
    await fund.deposit(conn, money=given, deposit_id=UUID(int=1), **dollars)
    allotted = Money(amount_minor=60_000, currency="USD")
    await fund.allot(conn, money=allotted, allotment_id=UUID(int=2), **dollars)
    sale = Exchange(
        partner_id=PARTNER_A,
        name="TC-1",
        sold=Money(amount_minor=50_000, currency="USD"),
        bought=Money(amount_minor=187_250, currency="PEN"),
        rate=Decimal("3.745"),
        rate_source="SBS",
        rate_on=TODAY,
    )
    received = Money(amount_minor=187_000, currency="PEN")
    await fund.exchange(conn, programme_id=programme_id, sale=sale, received=received, **who)
    fee = Money(amount_minor=1_250, currency="PEN")
    await fund.charge(conn, programme_id=programme_id, money=fee, fee_id=UUID(int=3), **who)


async def asked(conn: AsyncConnection, name: str, who: db.Actor = ALFA, **more) -> Sheet:
    await db.set_facts(conn, who)
    facts = {"partner_id": who.partner_id, "as_of": AS_OF} | more
    return await make(conn, Asked(name=name, **facts))


def section(sheet: Sheet, key: str, about: str | None = None) -> Section:
    (found,) = [each for each in sheet.sections if each.key == key and about in (None, each.about)]
    return found


def rows(sheet: Sheet, key: str, about: str | None = None) -> list[tuple]:
    return list(section(sheet, key, about).rows)
