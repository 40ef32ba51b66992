"""Make a report: load what it stands on, and say what it was asked for and where the ledger was."""

from datetime import date, datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import report, tables
from cbi.disburse import load_round
from cbi.enrol import load_programme
from cbi.refusal import BadValue, NotFound
from cbi.reports import (
    advance,
    bank_match,
    control,
    currencies,
    fees,
    grant_use,
    grants,
    load_books,
    load_grants,
    load_proof,
    round_summary,
    trace,
    trial_balance,
)
from cbi.reports import load_round as of_round
from cbi.reports.asked import NEEDS_PROGRAMME, NEEDS_ROUND, TAKES, Asked
from cbi.reports.exceptions import Exceptions
from cbi.reports.payments import Payments
from cbi.reports.sheet import Checkpoint, Given, Kind, Parameter, Section, Sheet, cell_of
from cbi.reports.unclaimed import Unclaimed
from ledger.prove import newest_checkpoint
from ledger.trial import trial_balance as load_trial


async def make(conn: AsyncConnection, asked: Asked) -> Sheet:
    """Return the report as things stand in this transaction, which should see one moment only.

    Raises NotFound, and BadValue where something is missing that this report needs.
    """
    _must_be_complete(asked)
    head, payer = await _head(conn, asked)
    newest = await newest_checkpoint(conn)
    taken = None if newest is None else Checkpoint(size=newest.size, root=newest.root.hex())
    return Sheet(
        name=asked.name,
        parameters=tuple(head),
        checkpoint=taken,
        sections=tuple(await _sections(conn, asked, payer)),
    )


def _must_be_complete(asked: Asked) -> None:
    for field, takers in TAKES.items():
        if getattr(asked, field) is not None and asked.name not in takers:
            raise BadValue(field=field, reason="this report does not take it")
    if asked.name in NEEDS_ROUND and asked.round_id is None:
        raise BadValue(field="round_id", reason="this report is of a round")
    if asked.name in NEEDS_PROGRAMME and asked.programme_id is None:
        raise BadValue(field="programme_id", reason="this report is of a programme")
    if asked.name == "trace" and (asked.payment_id is None) == (asked.household_id is None):
        raise BadValue(field="payment_id", reason="either a payment or a household")
    if asked.known_at is not None and asked.known_at.tzinfo is None:
        raise BadValue(field="known_at", reason="a time without a zone")
    if asked.since is not None and asked.until is not None and asked.since > asked.until:
        raise BadValue(field="until", reason="before the first day")


async def _head(conn: AsyncConnection, asked: Asked) -> tuple[list[Parameter], UUID]:
    """Say what the report is of, and whose books that is: the programme's, or one's own."""
    payer, programme_id = asked.partner_id, asked.programme_id
    facts: list[tuple[str, Kind, Given]] = []
    if asked.round_id is not None:
        opened = await load_round(conn, asked.round_id)
        if programme_id not in (None, opened.programme_id):
            raise NotFound(what="round", wanted=asked.round_id)
        programme_id = opened.programme_id
        facts += [
            ("round", "text", opened.name),
            ("round_id", "id", opened.round_id),
            ("first_month", "date", opened.first_month),
            ("end_month", "date", opened.end_month),
            ("pays_on", "date", opened.pays_on),
        ]
    if programme_id is not None:
        programme = await load_programme(conn, programme_id)
        row = tables.programme.c
        payer = (
            await conn.execute(select(row.partner_id).where(row.programme_id == programme_id))
        ).scalar_one()
        facts.insert(0, ("programme", "text", f"{programme.code} · {programme.name}"))
    if asked.name == "trace":
        payer = await load_proof.payer_of(
            conn, payment_id=asked.payment_id, household_id=asked.household_id
        )
    partner = tables.partner.c
    organisation = await conn.scalar(select(partner.name).where(partner.partner_id == payer))
    facts.insert(0, ("organisation", "text", organisation))
    given: tuple[tuple[str, Kind, date | datetime | None], ...] = (
        ("from", "date", asked.since),
        ("until", "date", asked.until),
        ("booked_until", "date", asked.booked_until),
        ("known_at", "moment", asked.known_at),
    )
    facts += [(key, kind, value) for key, kind, value in given if value is not None]
    facts.append(("as_of", "date", asked.as_of))
    return [
        Parameter(key=key, kind=kind, value=cell_of(value)) for key, kind, value in facts
    ], payer


async def _sections(conn: AsyncConnection, asked: Asked, payer: UUID) -> list[Section]:
    match asked.name:
        case "round-summary" | "payments" | "control":
            assert asked.round_id is not None
            return await _of_round(conn, asked, asked.round_id)
        case "line-exceptions":
            return await _exceptions(conn, asked, payer)
        case "unclaimed":
            return await _unclaimed(conn, asked, payer)
        case "trial-balance":
            rows = await load_trial(
                conn,
                as_of=asked.as_of,
                booked_until=asked.booked_until,
                known_at=asked.known_at,
                partner_id=payer,
            )
            return trial_balance.sections(rows)
        case "bank-match":
            statements = await load_proof.statements(
                conn, partner_id=payer, since=asked.since, until=asked.until or asked.as_of
            )
            return bank_match.sections(statements)
        case "grant-use":
            used = await load_grants.grants_used(conn, partner_id=payer, as_of=asked.as_of)
            return grant_use.sections(used)
        case "trace":
            traced = await load_proof.trace(
                conn, payment_id=asked.payment_id, household_id=asked.household_id
            )
            return trace.sections(traced)
    return await _of_programmes(conn, asked, payer)


async def _of_round(conn: AsyncConnection, asked: Asked, round_id: UUID) -> list[Section]:
    if asked.name == "control":
        return control.sections(await of_round.control(conn, round_id))
    if asked.name == "payments":
        filled = Payments()
        async for page in of_round.payments(conn, round_id):
            filled.add(page)
        return filled.sections()
    found = await report.round_report(conn, round_id=round_id)
    return round_summary.sections(found)


async def _exceptions(conn: AsyncConnection, asked: Asked, payer: UUID) -> list[Section]:
    filled = Exceptions(asked.as_of)
    async for page in of_round.exceptions(conn, partner_id=payer, round_id=asked.round_id):
        filled.add(page)
    return filled.sections()


async def _unclaimed(conn: AsyncConnection, asked: Asked, payer: UUID) -> list[Section]:
    filled = Unclaimed(asked.as_of)
    async for page in of_round.waiting(
        conn,
        partner_id=payer,
        round_id=asked.round_id,
        programme_id=asked.programme_id,
        as_of=asked.as_of,
    ):
        filled.add(page)
    return filled.sections()


async def _of_programmes(conn: AsyncConnection, asked: Asked, payer: UUID) -> list[Section]:
    found = await load_books.programmes(conn, partner_id=payer, programme_id=asked.programme_id)
    ids = [each.programme_id for each in found]
    since, until = asked.since, asked.until or asked.as_of
    match asked.name:
        case "advance-liquidation":
            balances, moved = await load_books.advance(conn, ids[0], since=since, until=until)
            return advance.sections(balances, moved)
        case "fees":
            return fees.sections(await load_books.fees(conn, ids, since=since, until=until))
        case "exchanges":
            booked = await load_books.exchanges(conn, ids, since=since, until=until)
            return currencies.sections(booked)
    assert asked.name == "grants"
    pools = await load_books.pools(conn, found, partner_id=payer, as_of=asked.as_of)
    return grants.sections(pools)
