"""Breaks: what a reconciliation found, kept; what became of it; and what people decided."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from hashlib import sha256
from typing import Literal
from uuid import UUID, uuid5

import msgspec
from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.continuity import Balances, continuity
from ledger.matching import Break, BreakKind, sorted_breaks, unexplained
from ledger.reconcile import FREE, LINE, NTH, STRANGE, Done, Run, line_of

NAMESPACE = UUID("5b0a1f0e-6d0c-5c55-9a7e-0c6b1f4f2a15")
PAGE = 10_000
STRAYS = 100_000
Owner = Literal["finance", "provider", "bank", "programme"]

# Who is to explain it, until somebody takes it.
OWNERS: dict[BreakKind, Owner] = {
    "paid_not_instructed": "bank",
    "instructed_not_paid": "provider",
    "amount_differs": "provider",
    "paid_twice": "provider",
    "line_twice": "bank",
    "currency_differs": "provider",
    "late_return": "finance",
    "wrong_beneficiary": "provider",
    "paid_after_void": "provider",
    "fsp_and_bank_disagree": "provider",
    "entitlement_and_instruction_disagree": "programme",
    "delivered_unproved": "finance",
    "batch_unexplained": "provider",
    "credit_unexplained": "finance",
    "status_unexplained": "provider",
    "line_unreadable": "bank",
    "statement_gap": "bank",
    "statement_unbalanced": "bank",
}
# Money may have reached a family for an attempt that counts as unpaid: it is not paid again before
# a person has settled that.
FREEZING: tuple[BreakKind, ...] = ("paid_after_void", "fsp_and_bank_disagree")


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A break as it stands: since when, whose it is, what waits for a second person."""

    break_id: UUID
    found: Break
    owner: Owner
    owner_id: UUID | None
    opened_on: date
    is_over: bool
    last_turn: str
    proposal_no: int | None

    def age_days(self, as_of: date) -> int:
        return max(0, (as_of - self.opened_on).days)


_BREAKS = text("""
    INSERT INTO ledger.break (break_id, partner_id, kind, payment_id, attempt_no, end_to_end_id,
        line_id, statement_id, expected_minor, actual_minor, currency, owner, opened_on, run_id)
    SELECT break_id, :partner_id, kind, payment_id, attempt_no, end_to_end_id, line_id,
        statement_id, expected_minor, actual_minor, currency, owner, :opened_on, :run_id
    FROM json_to_recordset(CAST(:rows AS json)) AS new
        (break_id uuid, kind text, payment_id uuid, attempt_no integer, end_to_end_id text,
         line_id uuid, statement_id uuid, expected_minor numeric, actual_minor numeric,
         currency text, owner text)
    ORDER BY break_id ON CONFLICT (break_id) DO NOTHING""")

_SIGHTINGS = text("""
    INSERT INTO ledger.sighting (run_id, break_id, partner_id)
    SELECT :run_id, b.break_id, :partner_id FROM unnest(CAST(:break_ids AS uuid[])) AS b(break_id)
    ORDER BY b.break_id ON CONFLICT DO NOTHING""")

_FREEZES = text("""
    INSERT INTO ledger.freeze (payment_id, break_id, partner_id, frozen_at)
    SELECT b.payment_id, b.break_id, b.partner_id, :at
    FROM ledger.break b JOIN ledger.sighting s USING (break_id)
    JOIN ledger.statement_line l ON l.line_id = b.line_id AND l.direction = 'debit'
        AND l.status = 'booked'
    WHERE s.run_id = :run_id AND b.kind = ANY(:kinds) AND b.payment_id IS NOT NULL
    ORDER BY b.payment_id, b.break_id ON CONFLICT DO NOTHING""")

# What was open and was not found again is gone; what was gone and is found again is open.
_TURNS = text("""
    INSERT INTO ledger.break_event (break_id, event_no, partner_id, what, note, at, actor_id)
    SELECT b.break_id, 1 + (SELECT coalesce(max(e.event_no), 0) FROM ledger.break_event e
            WHERE e.break_id = b.break_id), b.partner_id,
        CASE WHEN b.is_over THEN 'again' ELSE 'gone' END, '', :at, :actor_id
    FROM ledger.break_standing b
    WHERE b.partner_id = :partner_id AND b.last_turn <> 'settled' AND b.is_over = EXISTS (
        SELECT FROM ledger.sighting s WHERE s.break_id = b.break_id AND s.run_id = :run_id)
    ORDER BY b.break_id
    RETURNING break_id, what""")

_STANDING = text("""
    SELECT b.break_id, b.kind, b.payment_id, b.attempt_no, b.end_to_end_id, b.line_id,
        b.statement_id, b.expected_minor, b.actual_minor, b.currency, b.owner, b.owner_id,
        b.opened_on, b.is_over, b.last_turn, b.proposal_no
    FROM ledger.break_standing b
    WHERE (CAST(:partner_id AS uuid) IS NULL OR b.partner_id = :partner_id)
        AND b.break_id > :after
        AND (CAST(:wanted AS uuid[]) IS NULL OR b.break_id = ANY(:wanted))
        AND (CAST(:kind AS text) IS NULL OR b.kind = :kind)
        AND (CAST(:is_over AS boolean) IS NULL OR b.is_over = :is_over)
    ORDER BY b.break_id LIMIT :limit""")

_STRAY = text(f"""
    WITH {STRANGE}
    SELECT {LINE}, {NTH}, CAST(NULL AS text) AS rule,
        l.batch_id <> '' OR l.batch_count IS NOT NULL AS is_batch,
        EXISTS (SELECT FROM ledger.statement_line k JOIN ledger.statement t USING (statement_id)
            JOIN ledger.statement s ON s.statement_id = l.statement_id
            WHERE k.partner_id = l.partner_id AND k.identity = l.identity AND k.source = l.source
                AND t.repeats IS NULL AND (t.received_at, k.line_id) < (s.received_at, l.line_id)
            ) AS is_again
    FROM strange l
    WHERE l.line_id > :after
        AND NOT EXISTS (SELECT FROM ledger.naming n WHERE n.line_id = l.line_id OFFSET 0)
        AND {FREE}
    ORDER BY l.line_id LIMIT :page""")  # noqa: S608 - our own columns

_REJECTED = text("""
    SELECT statement_id, CAST(count(*) AS bigint) AS many FROM ledger.rejected_line
    WHERE partner_id = :partner_id GROUP BY statement_id ORDER BY statement_id""")

_BALANCES = text("""
    SELECT s.statement_id, s.account_token, s.currency, s.sequence, s.booked_on, s.opening_minor,
        s.closing_minor, coalesce(sum(
            CASE l.direction WHEN 'credit' THEN l.amount_minor ELSE -l.amount_minor END), 0)
            AS lines_minor
    FROM ledger.statement s LEFT JOIN ledger.statement_line l USING (statement_id)
    WHERE s.partner_id = :partner_id AND s.repeats IS NULL
        AND s.source IN ('camt.053', 'mt940', 'statement-table')
    GROUP BY s.statement_id ORDER BY s.statement_id""")

_TOTALS = text("""
    SELECT CAST(coalesce(sum(matched), 0) AS int) AS matched,
        CAST(coalesce(sum(delivered), 0) AS int) AS delivered,
        CAST(coalesce(sum(rejected), 0) AS int) AS rejected,
        CAST(coalesce(sum(returned), 0) AS int) AS returned,
        coalesce(string_agg(result, ''::bytea ORDER BY page_no), ''::bytea) AS results
    FROM ledger.reconciliation_page WHERE run_id = :run_id""")

_SIGHTED = text("""
    SELECT break_id FROM ledger.sighting WHERE run_id = :run_id ORDER BY break_id""")

_DIGEST = text("""
    INSERT INTO ledger.digest (digest_id, partner_id, subject, sha256, made_at, actor_id)
    VALUES (:run_id, :partner_id, 'reconciliation', :sha256, :at, :actor_id)""")

_END = text("""
    INSERT INTO ledger.reconciliation_end (run_id, partner_id, breaks, digest_id, ended_at)
    VALUES (:run_id, :partner_id, :breaks, :run_id, :at)""")


def break_id(partner_id: UUID, found: Break) -> UUID:
    """Name a break after what it is, so that the next reconciliation finds the same one."""
    return uuid5(NAMESPACE, f"{partner_id}:{msgspec.json.encode(found).decode()}")


async def sight(
    conn: AsyncConnection, run: Run, found: Iterable[Break], *, partner_id: UUID
) -> None:
    """Keep breaks that are new, and say of all that this run found them."""
    rows = [
        {
            **msgspec.structs.asdict(each),
            "break_id": break_id(partner_id, each),
            "owner": OWNERS[each.kind],
        }
        for each in found
    ]
    facts = {"partner_id": partner_id, "run_id": run.run_id, "opened_on": run.as_of}
    for start in range(0, len(rows), PAGE):
        part = rows[start : start + PAGE]
        await conn.execute(_BREAKS, {**facts, "rows": msgspec.json.encode(part).decode()})
        await conn.execute(
            _SIGHTINGS,
            {
                "run_id": run.run_id,
                "partner_id": partner_id,
                "break_ids": [row["break_id"] for row in part],
            },
        )


async def of_no_payment(conn: AsyncConnection, *, partner_id: UUID) -> list[Break]:
    """Return the breaks that belong to no payment: strange lines, what could not be read, gaps."""
    found: list[Break] = []
    after = UUID(int=0)
    while True:
        facts = {"partner_id": partner_id, "after": after, "page": STRAYS}
        page = (await conn.execute(_STRAY, facts)).mappings().all()
        for row in page:
            stray = unexplained(line_of(row))
            if row["is_again"]:
                # In two statements that overlap: the movement is one.
                stray = msgspec.structs.replace(stray, kind="line_twice")
            elif row["is_batch"] and stray.kind == "paid_not_instructed":
                stray = msgspec.structs.replace(stray, kind="batch_unexplained")
            found.append(stray)
        if len(page) < STRAYS:
            break
        after = page[-1]["line_id"]
    found += [
        Break(kind="line_unreadable", statement_id=row.statement_id, actual_minor=row.many)
        for row in await conn.execute(_REJECTED, {"partner_id": partner_id})
    ]
    return sorted_breaks([*found, *await of_statements(conn, partner_id=partner_id)])


async def of_statements(conn: AsyncConnection, *, partner_id: UUID) -> list[Break]:
    """Return where an organisation's statements don't add up or don't follow, as of now."""
    rows = (await conn.execute(_BALANCES, {"partner_id": partner_id})).mappings()
    return continuity([_balances(row) for row in rows])


async def end(
    conn: AsyncConnection, run: Run, *, partner_id: UUID, actor_id: UUID, at: datetime
) -> tuple[Done, list[UUID]]:
    """End a run: what is gone, what is frozen, and the digest of its result, to be sealed.

    Returns its sums, and the breaks that are gone.
    """
    facts = {"run_id": run.run_id, "partner_id": partner_id, "at": at, "actor_id": actor_id}
    turns = (await conn.execute(_TURNS, facts)).all()
    await conn.execute(_FREEZES, {"run_id": run.run_id, "at": at, "kinds": list(FREEZING)})
    totals = (await conn.execute(_TOTALS, {"run_id": run.run_id})).one()
    sighted = list((await conn.execute(_SIGHTED, {"run_id": run.run_id})).scalars())
    digest = sha256(totals.results)
    for one in sighted:
        digest.update(one.bytes)
    await conn.execute(_DIGEST, {**facts, "sha256": digest.digest()})
    await conn.execute(
        _END, {"run_id": run.run_id, "partner_id": partner_id, "breaks": len(sighted), "at": at}
    )
    done = Done(
        matched=totals.matched,
        delivered=totals.delivered,
        rejected=totals.rejected,
        returned=totals.returned,
    )
    return done, [row.break_id for row in turns if row.what == "gone"]


async def load(
    conn: AsyncConnection,
    *,
    partner_id: UUID | None = None,
    after: UUID | None = None,
    wanted: Sequence[UUID] | None = None,
    kind: str | None = None,
    is_over: bool | None = None,
    limit: int = PAGE,
) -> list[Kept]:
    """Return kept breaks by id."""
    rows = await conn.execute(
        _STANDING,
        {
            "partner_id": partner_id,
            "after": after or UUID(int=0),
            "wanted": None if wanted is None else list(wanted),
            "kind": kind,
            "is_over": is_over,
            "limit": limit,
        },
    )
    return [_kept(row) for row in rows.mappings()]


async def standing(conn: AsyncConnection, *, partner_id: UUID) -> list[Break]:
    """Return every open break of an organisation, as its last reconciliation left them."""
    found: list[Break] = []
    after = UUID(int=0)
    while page := await load(conn, partner_id=partner_id, after=after, is_over=False):
        found += [kept.found for kept in page]
        after = page[-1].break_id
    return sorted_breaks(found)


def _kept(row: RowMapping) -> Kept:
    facts = dict(row)
    names = {field.name for field in msgspec.structs.fields(Break)}
    # A bank's sums may be larger than a bigint: numeric comes back as a decimal.
    found = {
        name: int(value) if name.endswith("_minor") and value is not None else value
        for name, value in facts.items()
        if name in names
    }
    rest = {name: value for name, value in facts.items() if name not in names}
    return Kept(found=msgspec.convert(found, Break), **rest)


def _balances(row: RowMapping) -> Balances:
    # A bank's lines may add up to more than a bigint holds, so the sum comes as a numeric.
    return msgspec.convert({**row, "lines_minor": int(row["lines_minor"])}, Balances)
