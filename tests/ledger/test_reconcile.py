import asyncio
from datetime import timedelta
from hashlib import sha256
from uuid import uuid4

import msgspec
import pytest
from sqlalchemy import text

from api import db
from ledger import breaks, loose, reconcile
from ledger.ingest import Ingested, ingest, line_id
from ledger.matching import Allocation, Break, match
from ledger.money import Money
from ledger.reconcile import evidence
from ledger.refusal import StatementRepeated
from ledger.statement import Line, RejectedLine, Statement
from tests.conftest import PARTNER_A, PARTNER_B, actor
from tests.ledger.books import ACTOR, AT, DAY, attempt, pen, tried


def line(ordinal, end_to_end_id, *, source="camt.053", direction="debit", amount_minor=100) -> Line:
    return Line(
        source=source,
        ordinal=ordinal,
        status="accepted" if source == "pain.002" else "booked",
        direction=direction,
        end_to_end_id=end_to_end_id,
        bank_reference=f"B{ordinal}",
        money=None if source == "pain.002" else pen(amount_minor),
        booked_on=None if source == "pain.002" else DAY,
        reason="",
    )


def statement(*lines: Line, message_id="M1", source="camt.053", rejected=()) -> Statement:
    balanced = sum(
        (one.money.amount_minor if one.direction == "credit" else -one.money.amount_minor)
        for one in lines
        if one.money is not None
    )
    is_statement = source == "camt.053"
    return Statement(
        source=source,
        message_id=message_id,
        original_message_id="",
        account="00212345678901234567",
        currency="PEN",
        sequence=1 if is_statement else None,
        booked_on=DAY,
        opening=pen(1_000) if is_statement else None,
        closing=pen(1_000 + balanced) if is_statement else None,
        lines=lines,
        rejected=rejected,
    )


async def taken_in(conn, made: Statement, file=b"", partner_id=PARTNER_A) -> Ingested:
    return await ingest(
        conn,
        made,
        file_digest=sha256(file or (made.source + made.message_id).encode()).digest(),
        account_token="token",
        sealed=b"sealed bytes",
        wrapped_key=b"wrapped",
        partner_id=partner_id,
        at=AT,
        actor_id=ACTOR,
    )


class Reconciliation(msgspec.Struct, frozen=True):
    """What a whole run matched, and the breaks that stand after it."""

    allocations: list[Allocation]
    breaks: list[Break]


async def reconciled(conn, days=1, page=10_000) -> Reconciliation:
    """Run all of a reconciliation, without booking anything."""
    who = {"partner_id": PARTNER_A, "actor_id": ACTOR, "at": AT}
    as_of = DAY + timedelta(days=days)
    run, is_new = await reconcile.begin(conn, run_id=uuid4(), as_of=as_of, **who)
    assert is_new
    await loose.name_lines(conn, run_id=run.run_id, partner_id=PARTNER_A, holidays=frozenset())
    made = []
    while not run.is_through:
        loaded = await reconcile.load_page(conn, partner_id=PARTNER_A, after=run.upto, page=page)
        found = match(
            loaded.attempts,
            loaded.lines,
            loaded.claimed,
            as_of=as_of,
            pending_days=reconcile.PENDING_DAYS,
            parted=loaded.parted,
        )
        await reconcile.allocate(conn, found.allocations, **who)
        await breaks.sight(conn, run, found.breaks, partner_id=PARTNER_A)
        done = reconcile.Done(matched=len(found.allocations))
        run = await reconcile.end_page(
            conn, run, loaded, found.allocations, done, partner_id=PARTNER_A
        )
        made += found.allocations
    strange = await breaks.of_no_payment(conn, partner_id=PARTNER_A)
    await breaks.sight(conn, run, strange, partner_id=PARTNER_A)
    done, _ = await breaks.end(conn, run, **who)
    assert done.matched == len(made)
    return Reconciliation(made, await breaks.standing(conn, partner_id=PARTNER_A))


async def count(conn, table: str) -> int:
    return (await conn.execute(text(f"SELECT count(*) FROM ledger.{table}"))).scalar_one()


async def test_the_same_file_again_stores_nothing(conn):
    bad = RejectedLine(ordinal=2, where="Ntry[2]", reason="no amount")
    made = statement(line(1, "E1"), rejected=(bad, bad))
    first = await taken_in(conn, made)
    again = await taken_in(conn, made)
    assert (first.lines, first.rejected, first.repeated) == (1, 2, False)
    assert (again.lines, again.rejected, again.repeated) == (1, 2, True)
    assert again.statement_id == first.statement_id
    assert await count(conn, "statement_line") == 1


async def test_another_file_under_the_same_message_id_is_refused(conn):
    first = await taken_in(conn, statement(line(1, "E1")))
    with pytest.raises(StatementRepeated) as refused:
        await taken_in(conn, statement(line(1, "E1", amount_minor=200)), file=b"other")
    assert refused.value.statement_id == first.statement_id


async def test_messages_without_an_id_stand_beside_each_other(conn):
    await taken_in(conn, statement(message_id=""), file=b"one")
    await taken_in(conn, statement(message_id=""), file=b"two")
    assert await count(conn, "statement") == 2


async def test_an_organisation_may_hold_the_file_that_another_holds(conn):
    await taken_in(conn, statement(line(1, "E1")))
    await db.set_facts(conn, actor(PARTNER_B))
    other = await taken_in(conn, statement(line(1, "E1")), partner_id=PARTNER_B)
    assert not other.repeated
    assert await count(conn, "statement_line") == 1


async def test_the_account_number_is_not_stored(conn):
    await taken_in(conn, statement(line(1, "E1")))
    row = (await conn.execute(text("SELECT CAST(s AS text) FROM ledger.statement s"))).scalar_one()
    assert "00212345678901234567" not in row


async def test_a_payment_is_matched_with_its_evidence_once(conn):
    payment = uuid4()
    made = attempt(payment, 100)
    await tried(conn, made)
    taken = await taken_in(conn, statement(line(1, made.end_to_end_id)))
    first = await reconciled(conn)
    assert first.breaks == []
    only = first.allocations[0]
    assert (only.payment_id, only.attempt_no, only.claim) == (payment, 1, "statement")
    assert (only.line_id, only.money) == (line_id(taken.statement_id, 1), pen(100))
    assert await reconciled(conn) == Reconciliation([], [])
    unknown = uuid4()
    assert await evidence(conn, [payment, unknown]) == {payment: [only], unknown: []}


async def test_evidence_comes_in_as_it_comes(conn):
    made = [attempt(uuid4(), 100) for _ in range(3)]
    await tried(conn, *made)
    ids = [one.end_to_end_id for one in made]
    status = [line(n, one, source="pain.002") for n, one in enumerate(ids, start=1)]
    await taken_in(conn, statement(*status, source="pain.002"))
    assert [one.claim for one in (await reconciled(conn)).allocations] == ["status"] * 3
    debits = [line(n, one) for n, one in enumerate(ids[:2], start=1)]
    await taken_in(conn, statement(*debits))
    assert len((await reconciled(conn)).allocations) == 2
    late = await reconciled(conn, days=6)
    assert [(one.kind, one.end_to_end_id) for one in late.breaks] == [
        ("instructed_not_paid", ids[2])
    ]


async def test_breaks_are_kept_until_their_cause_is_gone(conn):
    made = attempt(uuid4(), 100)
    await tried(conn, made)
    lines = (
        line(1, made.end_to_end_id, amount_minor=99),
        line(2, "NOT-OURS"),
        line(3, "", direction="credit"),
    )
    await taken_in(conn, statement(*lines))
    first = await reconciled(conn)
    assert [one.kind for one in first.breaks] == [
        "amount_differs",
        "credit_unexplained",
        "paid_not_instructed",
    ]
    assert (await reconciled(conn)).breaks == first.breaks
    assert await count(conn, "allocation") == 0
    assert await count(conn, '"break"') == 3
    later = msgspec.structs.replace(attempt(uuid4(), 100), end_to_end_id="NOT-OURS")
    await tried(conn, later)
    again = await reconciled(conn)
    assert [one.end_to_end_id for one in again.allocations] == ["NOT-OURS"]
    assert [one.kind for one in again.breaks] == ["amount_differs", "credit_unexplained"]
    kept = await breaks.load(conn, partner_id=PARTNER_A, is_over=True)
    assert [(one.found.kind, one.last_turn) for one in kept] == [("paid_not_instructed", "gone")]


async def test_a_statement_that_does_not_add_up_is_named(conn):
    bad = RejectedLine(ordinal=2, where="Ntry[2]", reason="no amount")
    made = statement(line(1, "X"), rejected=(bad,))
    broken = Statement(**{f: getattr(made, f) for f in made.__struct_fields__ if f != "closing"},
                       closing=Money(amount_minor=1, currency="PEN"))  # fmt: skip
    await taken_in(conn, broken)
    assert [one.kind for one in (await reconciled(conn)).breaks] == [
        "line_unreadable",
        "paid_not_instructed",
        "statement_unbalanced",
    ]


@pytest.mark.parametrize("direction", ["debit", "credit"])
async def test_lines_that_add_up_to_more_than_a_bigint_are_named_and_not_a_failure(conn, direction):
    most = 10**18 - 1
    lines = [line(n, f"X{n}", direction=direction, amount_minor=most) for n in range(1, 11)]
    made = msgspec.structs.replace(statement(), lines=tuple(lines))
    await taken_in(conn, made)
    found = [one for one in (await reconciled(conn)).breaks if one.kind == "statement_unbalanced"]
    moved = 10 * most if direction == "credit" else -10 * most
    assert [(one.expected_minor, one.actual_minor) for one in found] == [(1_000 + moved, 1_000)]
    assert str(moved + 1_000).encode() in msgspec.json.encode(found)


async def test_the_lines_of_one_organisation_never_prove_the_payments_of_another(conn):
    made = attempt(uuid4(), 100)
    await tried(conn, made)
    await db.set_facts(conn, actor(PARTNER_B))
    await taken_in(conn, statement(line(1, made.end_to_end_id)), partner_id=PARTNER_B)
    await db.set_facts(conn, actor(PARTNER_A, "auditor"))
    assert (await reconciled(conn)).allocations == []


ALLOCATE = """
    INSERT INTO ledger.allocation SELECT line_id, :payment, 1, :nth, partner_id, :claim, :minor,
        currency, rule, evidence, allocated_at, actor_id
    FROM ledger.allocation LIMIT 1"""
SHARED_OUT = [
    ("allocation_within_line", {"minor": 1}),
    ("allocation_within_line", {"minor": 1, "claim": "return"}),
    ("allocation_in_order", {"minor": 1, "nth": 2}),
    ("allocation_amount_of_money", {"minor": None}),
    ("allocation_amount_of_money", {"minor": 1, "claim": "status"}),
]


@pytest.mark.parametrize(("constraint", "changed"), SHARED_OUT)
async def test_a_line_proves_no_more_than_it_moved(conn, constraint, changed):
    made = [attempt(uuid4(), 100), attempt(uuid4(), 100)]
    await tried(conn, *made)
    await taken_in(conn, statement(line(1, made[0].end_to_end_id)))
    await reconciled(conn)
    facts = {"payment": made[1].payment_id, "nth": 1, "claim": "statement"} | changed
    with pytest.raises(Exception, match=constraint):
        async with conn.begin_nested():
            await conn.execute(text(ALLOCATE), facts)


async def test_a_payment_is_proved_once(conn):
    made = attempt(uuid4(), 100)
    await tried(conn, made)
    lines = [line(1, made.end_to_end_id), line(2, "X", amount_minor=1)]
    await taken_in(conn, statement(*lines))
    found = (await reconciled(conn)).allocations
    more = msgspec.structs.replace(
        found[0], line_id=line_id((await taken_in(conn, statement(*lines))).statement_id, 2),
        money=pen(1),
    )  # fmt: skip
    with pytest.raises(Exception, match="allocation_claim_once"):
        async with conn.begin_nested():
            await reconcile.allocate(conn, [more], partner_id=PARTNER_A, at=AT, actor_id=ACTOR)


async def test_two_reconciliations_at_once_make_each_allocation_once(own):
    made = [attempt(uuid4(), 100) for _ in range(50)]
    async with own.begin() as conn:
        await tried(conn, *made)
        lines = [line(n, one.end_to_end_id) for n, one in enumerate(made, start=1)]
        await taken_in(conn, statement(*lines))

    async def run() -> int:
        async with own.begin() as conn:
            found = await reconciled(conn)
            await asyncio.sleep(0.05)
            return len(found.allocations)

    assert sum(await asyncio.gather(run(), run(), run())) == 50


async def test_many_are_matched_page_by_page(conn, monkeypatch):
    monkeypatch.setattr("ledger.breaks.PAGE", 7)
    monkeypatch.setattr("ledger.breaks.STRAYS", 7)
    made = [attempt(uuid4(), 100) for _ in range(30)]
    await tried(conn, *made)
    lines = [line(n, one.end_to_end_id) for n, one in enumerate(made, start=1)]
    strays = [line(n, f"X{n}") for n in range(31, 46)]
    await taken_in(conn, statement(*lines, *strays))
    found = await reconciled(conn, page=7)
    assert len(found.allocations) == 30
    assert [one.kind for one in found.breaks] == ["paid_not_instructed"] * 15


async def test_a_movement_in_two_statements_that_overlap_is_one(conn):
    """The bank gave no reference; the lines are the same but for the statement they stand in."""
    made = attempt(uuid4(), 100)
    await tried(conn, made)
    identity = "0" * 31 + "1"
    paid = msgspec.structs.replace(
        line(1, made.end_to_end_id), bank_reference="", identity=identity
    )
    fee = msgspec.structs.replace(line(2, "", amount_minor=7), bank_reference="", identity="f" * 32)
    await taken_in(conn, statement(paid, fee))
    later = statement(paid, fee, line(3, "X"), message_id="M2")
    await taken_in(conn, msgspec.structs.replace(later, opening=pen(893), closing=pen(686)))
    found = await reconciled(conn)
    assert [one.claim for one in found.allocations] == ["statement"]
    kinds = [one.kind for one in found.breaks if not one.kind.startswith("statement")]
    assert kinds == ["line_twice", "line_twice", "paid_not_instructed", "paid_not_instructed"]
