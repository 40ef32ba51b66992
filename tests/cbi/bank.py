"""Statements of a bank, made by hand, and what becomes of them."""

from datetime import date
from hashlib import sha256

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from api import clock, db
from cbi import settle
from cbi.settle import Settled
from ledger.ingest import Ingested, ingest
from ledger.money import Money
from ledger.statement import Line, Statement
from tests.cbi.world import ALFA, AT, PAYS_ON, TODAY


def line(source, ordinal, end_to_end_id, amount_minor, *, status="booked", direction="debit"):
    is_report = source == "pain.002"
    return Line(
        source=source,
        ordinal=ordinal,
        status=status,
        direction=direction,
        end_to_end_id=end_to_end_id,
        bank_reference="" if is_report else f"{source}-{direction}-{end_to_end_id[-6:]}",
        money=None if is_report else Money(amount_minor=amount_minor, currency="PEN"),
        booked_on=None if is_report else PAYS_ON,
        reason="AC04" if status in {"rejected", "returned"} or direction == "credit" else "",
    )


def statement(
    *lines: Line, message_id: str, opening: int = 10_000_000, sequence: int | None = None
) -> Statement:
    source = lines[0].source
    change = sum(
        each.money.amount_minor if each.direction == "credit" else -each.money.amount_minor
        for each in lines
        if each.money is not None
    )
    of_account = source == "camt.053"
    return Statement(
        source=source,
        message_id=message_id,
        original_message_id="",
        account="01136600010003254221" if of_account else "",
        currency="PEN",
        sequence=sequence,
        booked_on=PAYS_ON,
        opening=Money(amount_minor=opening, currency="PEN") if of_account else None,
        closing=Money(amount_minor=opening + change, currency="PEN") if of_account else None,
        lines=lines,
        rejected=(),
    )


async def taken_in(
    conn: AsyncConnection, made: Statement, who: db.Actor = ALFA, account: str = "token"
) -> Ingested:
    await db.set_facts(conn, who)
    return await ingest(
        conn,
        made,
        file_digest=sha256(msgspec.json.encode(made)).digest(),
        account_token=account,
        sealed=b"sealed",
        wrapped_key=b"wrapped",
        partner_id=who.partner_id,
        at=AT,
        actor_id=who.actor_id,
    )


async def settled(conn: AsyncConnection, who: db.Actor = ALFA, as_of: date = TODAY) -> Settled:
    await db.set_facts(conn, who)
    return await settle.settle(
        conn,
        run_id=clock.new_id(),
        partner_id=who.partner_id,
        actor_id=who.actor_id,
        at=AT,
        as_of=as_of,
    )
