"""Load what the reports of the books stand on: accounts, what moved them, fees, exchanges."""

from collections.abc import Sequence
from datetime import date, timedelta
from uuid import UUID

import msgspec
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import tables
from cbi.enrol import Programme, load_programme
from cbi.reports.asked import LINES_MAX, all_of
from cbi.reports.currencies import Exchanged
from cbi.reports.fees import Fee
from cbi.reports.grants import Pool
from cbi.reports.movement import Balance, Movement, what_is
from ledger.account import TrialRow
from ledger.exchange import Exchange
from ledger.money import Money
from ledger.transfer import transfer_id
from ledger.trial import trial_balance

FIRST, LAST = date(1900, 1, 1), date(9998, 12, 31)

# Accounts by the beginning of their code; what moved them, against which sort of account.
_MOVEMENTS = text("""
    WITH looked_at AS MATERIALIZED (
        SELECT account_id, code, currency FROM ledger.account WHERE code = ANY(:codes))
    SELECT m.code, m.currency, t.kind, o.code AS other, m.side,
        count(*) AS transfers, CAST(sum(t.amount_minor) AS bigint) AS amount_minor
    FROM (SELECT a.code, a.currency, a.account_id, 'debit' AS side FROM looked_at AS a
          UNION ALL
          SELECT a.code, a.currency, a.account_id, 'credit' FROM looked_at AS a) AS m
    JOIN ledger.transfer AS t
        ON m.account_id = CASE m.side WHEN 'debit' THEN t.debit_account ELSE t.credit_account END
    JOIN ledger.account AS o ON o.account_id
        = CASE m.side WHEN 'debit' THEN t.credit_account ELSE t.debit_account END
    WHERE t.effective_on BETWEEN :since AND :until
    GROUP BY m.code, m.currency, t.kind, o.code, m.side
    ORDER BY m.currency, m.code, t.kind, o.code, m.side""")

_FEES = text("""
    SELECT t.transfer_id, t.kind, t.effective_on, p.code AS programme, t.currency,
        CASE WHEN t.debit_account = a.account_id THEN t.amount_minor
            ELSE -t.amount_minor END AS amount_minor
    FROM cbi.programme AS p
    JOIN ledger.account AS a ON a.code = 'programme:' || p.programme_id || '\\:fees'
    JOIN ledger.transfer AS t ON a.account_id IN (t.debit_account, t.credit_account)
    WHERE p.programme_id = ANY(:programme_ids) AND t.effective_on BETWEEN :since AND :until
    ORDER BY t.effective_on, t.transfer_id LIMIT :limit""")

_EXCHANGES = text("""
    SELECT x.*, t.effective_on, p.programme_id, p.code AS programme
    FROM cbi.programme AS p
    JOIN ledger.account AS a ON a.code = 'programme:' || p.programme_id || '\\:fund'
    JOIN ledger.transfer AS t ON t.debit_account = a.account_id AND t.kind = 'exchange'
    JOIN ledger.exchange AS x ON x.entry_id = t.entry_id
    WHERE p.programme_id = ANY(:programme_ids) AND t.effective_on BETWEEN :since AND :until
    ORDER BY t.effective_on, x.entry_id LIMIT :limit""")

_RESULTS = text("""
    SELECT t.entry_id, CAST(sum(CASE WHEN a.account_id = t.debit_account THEN -t.amount_minor
        ELSE t.amount_minor END) AS bigint) AS result_minor
    FROM ledger.transfer AS t JOIN ledger.account AS a
        ON a.account_id IN (t.debit_account, t.credit_account) AND a.code LIKE '%\\:exchange'
    WHERE t.entry_id = ANY(:entries) GROUP BY t.entry_id""")


async def programmes(
    conn: AsyncConnection, *, partner_id: UUID, programme_id: UUID | None
) -> list[Programme]:
    """Return one programme, or all of an organisation by their codes. Raises NotFound."""
    if programme_id is not None:
        return [await load_programme(conn, programme_id)]
    row = tables.programme.c
    found = await conn.execute(
        select(row.programme_id).where(row.partner_id == partner_id).order_by(row.code)
    )
    return [await load_programme(conn, each) for each in found.scalars().all()]


async def movements(
    conn: AsyncConnection, codes: Sequence[str], *, since: date | None, until: date | None
) -> list[Movement]:
    """Add up what moved these accounts in these days, in every currency."""
    facts = {"codes": list(codes), "since": since or FIRST, "until": until or LAST}
    rows = (await conn.execute(_MOVEMENTS, facts)).mappings()
    return [msgspec.convert({**row, "other": what_is(row["other"])}, Movement) for row in rows]


async def advance(
    conn: AsyncConnection, programme_id: UUID, *, since: date | None, until: date | None
) -> tuple[list[Balance], list[Movement]]:
    """Return the advance of a programme in each currency, before and after, and what moved it."""
    code = f"programme:{programme_id}:advance"
    before: dict[str, int] = {}
    if since is not None and since > FIRST:
        rows = await _trial(conn, code, as_of=since - timedelta(days=1))
        before = {row.currency: row.debit_minor - row.credit_minor for row in rows}
    balances = [
        Balance(
            code=code,
            currency=row.currency,
            opening_minor=before.get(row.currency, 0),
            closing_minor=row.debit_minor - row.credit_minor,
        )
        for row in await _trial(conn, code, as_of=until)
    ]
    return balances, await movements(conn, [code], since=since, until=until)


async def _trial(conn: AsyncConnection, code: str, *, as_of: date | None) -> list[TrialRow]:
    return [row for row in await trial_balance(conn, as_of=as_of) if row.code == code]


async def pools(
    conn: AsyncConnection, found: Sequence[Programme], *, partner_id: UUID, as_of: date
) -> list[Pool]:
    """Return the accounts of programmes and their rounds as of a day, and what moved them."""
    rows = await trial_balance(conn, as_of=as_of, partner_id=partner_id)
    of_rounds = await _rounds_of(conn, [each.programme_id for each in found])
    made = []
    for programme in found:
        owners = {f"programme:{programme.programme_id}"}
        owners |= {f"round:{one}" for one in of_rounds.get(programme.programme_id, ())}
        own = tuple(row for row in rows if ":".join(row.code.split(":")[:2]) in owners)
        codes = sorted({row.code for row in own if what_is(row.code) in ("grant", "fund")})
        made.append(
            Pool(
                programme=programme.code,
                as_of=as_of,
                accounts=own,
                movements=tuple(await movements(conn, codes, since=None, until=as_of)),
            )
        )
    return made


async def _rounds_of(
    conn: AsyncConnection, programme_ids: Sequence[UUID]
) -> dict[UUID, list[UUID]]:
    row = tables.round_.c
    rows = await conn.execute(
        select(row.programme_id, row.round_id).where(row.programme_id.in_(programme_ids))
    )
    found: dict[UUID, list[UUID]] = {}
    for programme_id, round_id in rows:
        found.setdefault(programme_id, []).append(round_id)
    return found


async def fees(
    conn: AsyncConnection,
    programme_ids: Sequence[UUID],
    *,
    since: date | None,
    until: date | None,
) -> list[Fee]:
    """Return what moved the fees accounts, by day."""
    rows = all_of((await conn.execute(_FEES, _between(programme_ids, since, until))).all())
    return [
        Fee(
            transfer_id=row.transfer_id,
            kind=row.kind,
            on=row.effective_on,
            programme=row.programme,
            money=Money(amount_minor=row.amount_minor, currency=row.currency),
        )
        for row in rows
    ]


async def exchanges(
    conn: AsyncConnection,
    programme_ids: Sequence[UUID],
    *,
    since: date | None,
    until: date | None,
) -> list[Exchanged]:
    """Return the exchanges of programmes with what the bank gave more or less, by day."""
    rows = all_of((await conn.execute(_EXCHANGES, _between(programme_ids, since, until))).all())
    # The result of an exchange is an entry of its own, named after it (cbi.bookings).
    entries = {
        row.entry_id: transfer_id("exchange result", row.programme_id, row.entry_id) for row in rows
    }
    found = await conn.execute(_RESULTS, {"entries": sorted(entries.values())})
    results = {row.entry_id: row.result_minor for row in found}
    return [
        Exchanged(
            programme=row.programme,
            on=row.effective_on,
            exchange=Exchange(
                partner_id=row.partner_id,
                name=row.name,
                sold=Money(amount_minor=row.sold_minor, currency=row.sold_currency),
                bought=Money(amount_minor=row.bought_minor, currency=row.bought_currency),
                rate=row.rate,
                rate_source=row.rate_source,
                rate_on=row.rate_on,
            ),
            result_minor=results.get(entries[row.entry_id], 0),
        )
        for row in rows
    ]


def _between(
    programme_ids: Sequence[UUID], since: date | None, until: date | None
) -> dict[str, object]:
    return {
        "programme_ids": list(programme_ids),
        "since": since or FIRST,
        "until": until or LAST,
        "limit": LINES_MAX + 1,
    }
