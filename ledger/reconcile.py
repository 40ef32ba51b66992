"""Reconcile: match what came in to what went out, page by page, and write what is certain.

A reconciliation begins, says what other lines name an attempt (`ledger/loose.py`), goes
through the attempts page by page, and ends (`ledger/breaks.py`). Each may be a transaction of its
own: a run that was left goes on where it stopped.
"""

from collections.abc import Iterable, Sequence
from datetime import date, datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.matching import RULES, Allocation, OpenAttempt, StoredLine
from ledger.money import Money

PAGE = 10_000
PENDING_DAYS = 5


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A reconciliation that has begun: how far it is, and whether its pages are all in."""

    run_id: UUID
    as_of: date
    pages: int
    upto: str
    is_through: bool


class Pageful(msgspec.Struct, frozen=True, kw_only=True):
    """Attempts with all that names them, ready to be matched."""

    attempts: list[OpenAttempt]
    lines: list[StoredLine]
    claimed: list[Allocation]
    parted: frozenset[tuple[UUID, UUID, int]]
    is_last: bool


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What a page, or all pages of a run, came to."""

    matched: int = 0
    delivered: int = 0
    rejected: int = 0
    returned: int = 0


_LOCK = text("SELECT ledger.lock_matching(:partner_id)")

# A session keeps plans, those of foreign keys too, that were made when the tables were small: each
# of a million lines would be looked for by reading all of them.
_PLAN_ANEW = text("DISCARD PLANS")

_OPEN_RUN = text("""
    SELECT r.run_id, r.as_of, count(p.page_no) AS pages, coalesce(max(p.upto), '') AS upto,
        coalesce(bool_or(p.is_last), false) AS is_through
    FROM ledger.reconciliation r LEFT JOIN ledger.reconciliation_page p USING (run_id)
    WHERE r.partner_id = :partner_id
        AND NOT EXISTS (SELECT FROM ledger.reconciliation_end e WHERE e.run_id = r.run_id)
    GROUP BY r.run_id, r.as_of, r.begun_at ORDER BY r.begun_at, r.run_id LIMIT 1""")

# What it was made of: every file by its digest, and how many attempts there are.
_BEGIN = text("""
    INSERT INTO ledger.reconciliation
        (run_id, partner_id, as_of, rules, inputs, attempts, begun_at, actor_id)
    SELECT :run_id, :partner_id, :as_of, :rules,
        sha256(coalesce((SELECT string_agg(s.file_digest, ''::bytea ORDER BY s.file_digest)
            FROM ledger.statement s WHERE s.partner_id = :partner_id), ''::bytea)),
        (SELECT count(*) FROM ledger.attempt a WHERE a.partner_id = :partner_id), :at, :actor_id""")

_PAGE_DONE = text("""
    INSERT INTO ledger.reconciliation_page (run_id, page_no, partner_id, upto, looked_at, matched,
        delivered, rejected, returned, result, is_last)
    VALUES (:run_id, :page_no, :partner_id, :upto, :looked_at, :matched, :delivered, :rejected,
        :returned, :result, :is_last)""")

LINE = """l.line_id, l.source, l.status, l.direction, l.end_to_end_id, l.bank_reference,
    l.amount_minor, l.currency, l.booked_on, l.reason, l.account_token, l.identity"""
NTH = """1 + (SELECT count(*) FROM ledger.unmatching u WHERE u.line_id = l.line_id) AS nth"""
# Neither matched, nor said again by a statement that repeats another.
FREE = """NOT EXISTS (SELECT FROM ledger.allocation_in_force c
        WHERE c.line_id = l.line_id OFFSET 0)
    AND NOT EXISTS (SELECT FROM ledger.statement s
        WHERE s.statement_id = l.statement_id AND s.repeats IS NOT NULL OFFSET 0)"""
# Lines that carry no id of an attempt: few, and looked for once, before anything is asked of each.
STRANGE = """strange AS MATERIALIZED (
        SELECT l.* FROM ledger.statement_line l WHERE l.partner_id = :partner_id
            AND NOT EXISTS (SELECT FROM ledger.attempt a
                WHERE a.partner_id = l.partner_id AND a.end_to_end_id = l.end_to_end_id))"""

# Attempts about which something can change: a line waits for them, or nothing has shown their
# debit. The rest of the past is not read again.
_ATTEMPTS = text("""
    SELECT a.payment_id, a.attempt_no, a.end_to_end_id, a.amount_minor, a.currency,
        CAST(a.opened_at AT TIME ZONE 'UTC' AS date) AS opened_on, o.outcome,
        coalesce((SELECT p.account_token FROM ledger.payee p WHERE p.payment_id = a.payment_id
            AND p.attempt_no = a.attempt_no), '') AS account_token
    FROM ledger.attempt a LEFT JOIN ledger.outcome o USING (payment_id, attempt_no)
    WHERE a.partner_id = :partner_id AND a.end_to_end_id > :after
        AND (o.outcome IS DISTINCT FROM 'void' AND NOT EXISTS (
                SELECT FROM ledger.allocation_in_force c
                WHERE c.payment_id = a.payment_id AND c.attempt_no = a.attempt_no
                AND c.claim = 'statement')
            OR EXISTS (SELECT FROM ledger.statement_line l
                WHERE l.partner_id = a.partner_id AND l.end_to_end_id = a.end_to_end_id
                AND NOT EXISTS (SELECT FROM ledger.allocation_in_force c
                    WHERE c.line_id = l.line_id))
            OR EXISTS (SELECT FROM ledger.naming n WHERE n.end_to_end_id = a.end_to_end_id
                AND n.partner_id = a.partner_id AND NOT EXISTS (
                    SELECT FROM ledger.allocation_in_force c WHERE c.line_id = n.line_id)))
    ORDER BY a.end_to_end_id LIMIT :page""")

_LINES = text(f"""
    SELECT {LINE}, {NTH}, CAST(NULL AS text) AS rule FROM ledger.statement_line l
    WHERE l.partner_id = :partner_id AND l.end_to_end_id = ANY(:end_to_end_ids) AND {FREE}
    ORDER BY l.line_id""")  # noqa: S608 - our own columns

_NAMED = text(f"""
    SELECT {LINE.replace("l.end_to_end_id", "n.end_to_end_id")}, {NTH}, n.rule
    FROM ledger.naming n JOIN ledger.statement_line l USING (line_id)
    WHERE n.partner_id = :partner_id AND n.end_to_end_id = ANY(:end_to_end_ids) AND {FREE}
    ORDER BY l.line_id""")  # noqa: S608 - our own columns

_EVIDENCE = text("""
    SELECT c.payment_id, c.attempt_no, c.claim, c.rule, c.nth, c.amount_minor, c.currency,
        l.line_id, l.source, l.status, l.direction, a.end_to_end_id, l.bank_reference, l.booked_on,
        l.reason, l.identity
    FROM ledger.allocation_in_force c JOIN ledger.statement_line l USING (line_id)
    JOIN ledger.attempt a USING (payment_id, attempt_no)
    WHERE c.payment_id = ANY(:payment_ids)
    ORDER BY c.payment_id, c.attempt_no, c.claim, c.line_id""")

_PARTED = text("""
    SELECT DISTINCT c.line_id, c.payment_id, c.attempt_no
    FROM ledger.allocation c JOIN ledger.unmatching u USING (line_id, nth)
    WHERE c.payment_id = ANY(:payment_ids)""")

_ALLOCATE = text("""
    INSERT INTO ledger.allocation (line_id, payment_id, attempt_no, nth, partner_id, claim,
        amount_minor, currency, rule, evidence, allocated_at, actor_id)
    SELECT line_id, payment_id, attempt_no, nth, :partner_id, claim, amount_minor, currency, rule,
        CAST(evidence AS jsonb), :at, :actor_id
    FROM unnest(CAST(:line_id AS uuid[]), CAST(:payment_id AS uuid[]), CAST(:attempt_no AS int[]),
        CAST(:nth AS smallint[]), CAST(:claim AS text[]), CAST(:amount_minor AS bigint[]),
        CAST(:currency AS text[]), CAST(:rule AS text[]), CAST(:evidence AS text[]))
        AS new(line_id, payment_id, attempt_no, nth, claim, amount_minor, currency, rule, evidence)
    ORDER BY line_id, payment_id""")


async def begin(
    conn: AsyncConnection,
    *,
    run_id: UUID,
    partner_id: UUID,
    actor_id: UUID,
    at: datetime,
    as_of: date,
) -> tuple[Run, bool]:
    """Return the run that is under way, or begin one; and whether it is new.

    From here on nobody else matches for this organisation until the transaction ends.
    """
    await conn.execute(_LOCK, {"partner_id": partner_id})
    await conn.execute(_PLAN_ANEW)
    row = (await conn.execute(_OPEN_RUN, {"partner_id": partner_id})).mappings().one_or_none()
    if row is not None:
        return msgspec.convert(dict(row), Run), False
    facts = {"run_id": run_id, "partner_id": partner_id, "as_of": as_of, "rules": RULES}
    await conn.execute(_BEGIN, {**facts, "at": at, "actor_id": actor_id})
    return Run(run_id=run_id, as_of=as_of, pages=0, upto="", is_through=False), True


async def load_page(
    conn: AsyncConnection, *, partner_id: UUID, after: str, page: int = PAGE
) -> Pageful:
    """Load the next attempts by end-to-end id; all lines that name one attempt are in its page."""
    facts = {"partner_id": partner_id, "after": after, "page": page}
    rows = (await conn.execute(_ATTEMPTS, facts)).all()
    attempts = [_attempt(row) for row in rows]
    named = {
        "partner_id": partner_id,
        "end_to_end_ids": [attempt.end_to_end_id for attempt in attempts],
    }
    lines = [
        line_of(row)
        for query in (_LINES, _NAMED)
        for row in (await conn.execute(query, named)).mappings()
    ]
    ids = [attempt.payment_id for attempt in attempts]
    held = await evidence(conn, ids)
    parted = await conn.execute(_PARTED, {"payment_ids": ids})
    return Pageful(
        attempts=attempts,
        lines=lines,
        claimed=[allocation for proofs in held.values() for allocation in proofs],
        parted=frozenset((row[0], row[1], row[2]) for row in parted),
        is_last=len(rows) < page,
    )


async def allocate(
    conn: AsyncConnection,
    allocations: Sequence[Allocation],
    *,
    partner_id: UUID,
    at: datetime,
    actor_id: UUID,
) -> None:
    """Write the allocations; a constraint refuses what proves more than there is."""
    if not allocations:
        return
    columns = {
        "line_id": [each.line_id for each in allocations],
        "payment_id": [each.payment_id for each in allocations],
        "attempt_no": [each.attempt_no for each in allocations],
        "nth": [each.nth for each in allocations],
        "claim": [each.claim for each in allocations],
        "amount_minor": [None if e.money is None else e.money.amount_minor for e in allocations],
        "currency": [None if e.money is None else e.money.currency for e in allocations],
        "rule": [each.rule for each in allocations],
        "evidence": [_evidence(each) for each in allocations],
    }
    facts = {"partner_id": partner_id, "at": at, "actor_id": actor_id}
    await conn.execute(_ALLOCATE, {**columns, **facts})


async def end_page(
    conn: AsyncConnection,
    run: Run,
    page: Pageful,
    found: Sequence[Allocation],
    done: Done,
    *,
    partner_id: UUID,
) -> Run:
    """Write down that a page is done, and what came out of it."""
    upto = page.attempts[-1].end_to_end_id if page.attempts else run.upto
    facts = {
        "run_id": run.run_id,
        "page_no": run.pages + 1,
        "partner_id": partner_id,
        "upto": upto,
        "looked_at": len(page.attempts),
        "result": result_of(found),
        "is_last": page.is_last,
    }
    await conn.execute(_PAGE_DONE, {**facts, **msgspec.structs.asdict(done)})
    return msgspec.structs.replace(run, pages=run.pages + 1, upto=upto, is_through=page.is_last)


async def evidence(
    conn: AsyncConnection, payment_ids: Sequence[UUID]
) -> dict[UUID, list[Allocation]]:
    """Return what proves each payment, by attempt and claim; without proof an empty list."""
    proofs: dict[UUID, list[Allocation]] = {payment_id: [] for payment_id in payment_ids}
    found = await conn.execute(_EVIDENCE, {"payment_ids": list(proofs)})
    for row in found.mappings():
        proofs[row["payment_id"]].append(msgspec.convert(with_money(row), Allocation))
    return proofs


def result_of(allocations: Iterable[Allocation]) -> bytes:
    """Return the SHA-256 of what was matched, in the order of matching, without who and when."""
    digest = sha256()
    for each in allocations:
        digest.update(
            f"{each.line_id} {each.end_to_end_id} {each.claim} {each.rule} {each.money}\n".encode()
        )
    return digest.digest()


def with_money(row: RowMapping) -> dict[str, object]:
    """Return a row with its amount and currency as money."""
    facts = dict(row)
    amount_minor, currency = facts.pop("amount_minor"), facts.pop("currency")
    facts["money"] = (
        None if amount_minor is None else Money(amount_minor=amount_minor, currency=currency)
    )
    return facts


def _attempt(row: Sequence[Any]) -> OpenAttempt:
    # A million of them: positions are read faster than names.
    payment_id, attempt_no, end_to_end_id, minor, currency, opened_on, outcome, token = row
    return OpenAttempt(
        payment_id=payment_id,
        attempt_no=attempt_no,
        end_to_end_id=end_to_end_id,
        money=Money(amount_minor=minor, currency=currency),
        opened_on=opened_on,
        outcome=outcome,
        account_token=token,
    )


def line_of(row: RowMapping) -> StoredLine:
    """Return a row of LINE, NTH and a rule as a line."""
    minor = row["amount_minor"]
    money = None if minor is None else Money(amount_minor=minor, currency=row["currency"])
    rule = row["rule"]
    return StoredLine(
        line_id=row["line_id"],
        source=row["source"],
        status=row["status"],
        direction=row["direction"],
        end_to_end_id=row["end_to_end_id"],
        bank_reference=row["bank_reference"],
        money=money,
        booked_on=row["booked_on"],
        reason=row["reason"],
        account_token=row["account_token"],
        identity=row["identity"],
        nth=row["nth"],
        **({} if rule is None else {"rule": rule}),
    )


def _evidence(each: Allocation) -> str:
    facts = {
        "source": each.source,
        "status": each.status,
        "end_to_end_id": each.end_to_end_id,
        "bank_reference": each.bank_reference,
        "amount": each.money is not None,
    }
    return msgspec.json.encode(facts).decode()
