"""Statements that say what others said: told from those that only look alike."""

import asyncio
from datetime import timedelta
from hashlib import sha256

import msgspec
import pytest
from sqlalchemy import text

from ledger import ingest as verbs
from ledger.ingest import Staged, begin, ingest, stage
from ledger.refusal import StatementRepeated
from ledger.statement import Line, RejectedLine, Statement, part_of
from tests.conftest import PARTNER_A
from tests.ledger.books import ACTOR, AT, DAY, pen
from tests.ledger.test_reconcile import line, statement, taken_in


async def rows(conn, what: str) -> list:
    return [tuple(row) for row in await conn.execute(text(what))]


async def identities(conn) -> list:
    found = await rows(conn, "SELECT identity FROM ledger.statement_line ORDER BY line_id")
    return [identity for (identity,) in found]


def told(number, **changes) -> Line:
    """A line that the bank gave no reference."""
    return msgspec.structs.replace(line(number, ""), bank_reference="", **changes)


async def in_account(conn, made: Statement, *, account="token", file=b"x"):
    return await ingest(
        conn,
        made,
        file_digest=sha256(file).digest(),
        account_token=account,
        sealed=b"sealed bytes",
        wrapped_key=b"wrapped",
        partner_id=PARTNER_A,
        at=AT,
        actor_id=ACTOR,
    )


async def test_the_same_statement_in_another_file_and_order_is_kept_and_marked(conn):
    lines = [line(1, "E1"), line(2, "E2"), told(3), told(4)]
    first = await taken_in(conn, statement(*lines))
    turned = [
        msgspec.structs.replace(one, ordinal=n) for n, one in enumerate(reversed(lines), start=1)
    ]
    again = await taken_in(conn, statement(*turned, message_id="M2"), file=b"other")
    third = await taken_in(conn, statement(*lines), file=b"a third")
    assert (first.repeats, again.repeats, third.repeats) == (
        None,
        first.statement_id,
        first.statement_id,
    )
    assert (again.lines, again.repeated) == (4, False)
    assert len(await identities(conn)) == 12


@pytest.mark.parametrize(
    "changes",
    [
        {"sequence": 2},
        {"opening": pen(999), "closing": pen(899)},
        {"booked_on": DAY + timedelta(days=1)},
        {"currency": "USD"},
        {"lines": (line(1, "E2"),)},
        {"lines": (line(1, "E1"), line(2, "E1"))},
        {"lines": (msgspec.structs.replace(line(1, "E1"), status="returned"),)},
    ],
    ids=str,
)
async def test_a_statement_that_differs_in_anything_is_another(conn, changes):
    made = statement(line(1, "E1"))
    await taken_in(conn, made)
    other = msgspec.structs.replace(made, message_id="M2", **changes)
    assert (await taken_in(conn, other, file=b"other")).repeats is None


async def test_the_same_statement_of_another_account_is_another(conn):
    made = statement(line(1, "E1"))
    await in_account(conn, made, file=b"1")
    assert (await in_account(conn, made, account="other", file=b"2")).repeats is None
    assert (await in_account(conn, made, account="", file=b"3")).repeats is None


@pytest.mark.parametrize(
    ("lines", "repeats"), [((line(1, "E1"),), True), ((told(1),), False), ((), False)]
)
async def test_without_balances_only_the_banks_references_tell(conn, lines, repeats):
    made = msgspec.structs.replace(statement(*lines), opening=None, closing=None, message_id="")
    first = await taken_in(conn, made, file=b"1")
    second = await taken_in(conn, made, file=b"2")
    assert second.repeats == (first.statement_id if repeats else None)


async def test_a_message_id_for_another_content_is_refused_and_leaves_nothing_staged(conn):
    await taken_in(conn, statement(line(1, "E1")))
    with pytest.raises(StatementRepeated):
        async with conn.begin_nested():
            await taken_in(conn, statement(line(1, "E9")), file=b"other")
    third = await taken_in(conn, statement(line(1, "E3"), message_id="M3"), file=b"third")
    assert third.lines == 1


async def test_one_movement_in_two_statements_that_overlap_has_one_identity(conn):
    shared, equal = line(2, "E2"), told(3)
    first = statement(line(1, "E1"), shared, equal, told(4))
    second = statement(
        msgspec.structs.replace(shared, ordinal=1),
        msgspec.structs.replace(equal, ordinal=2),
        line(3, "E9"),
        message_id="M2",
    )
    await taken_in(conn, first, file=b"1")
    await taken_in(conn, second, file=b"2")
    found = await rows(
        conn,
        "SELECT s.message_id, array_agg(l.ordinal ORDER BY l.ordinal) FROM ledger.statement_line l"
        " JOIN ledger.statement s USING (statement_id) WHERE identity IN (SELECT identity"
        " FROM ledger.statement_line GROUP BY identity HAVING count(*) > 1)"
        " GROUP BY s.message_id ORDER BY 1",
    )
    assert found == [("M1", [2, 3]), ("M2", [1, 2])]


async def test_two_lines_that_are_equal_are_two_movements_unless_the_bank_gave_one_reference(conn):
    await taken_in(conn, statement(told(1), told(2), told(3, booked_on=None)))
    assert len(set(await identities(conn))) == 3
    twice = [msgspec.structs.replace(line(n, "E1"), bank_reference="B") for n in (1, 2)]
    await taken_in(conn, statement(*twice, message_id="M2"), file=b"2")
    assert len(set(await identities(conn))) == 4


async def test_what_moved_nothing_has_no_identity(conn):
    await taken_in(conn, statement(line(1, "E1", source="pain.002"), source="pain.002"))
    assert await identities(conn) == [None]


async def test_a_movement_of_another_account_or_part_is_another(conn):
    made = statement(line(1, "E1"))
    await in_account(conn, made, file=b"1")
    await in_account(conn, made, account="other", file=b"2")
    notified = line(1, "E1", source="camt.054")
    await taken_in(conn, statement(notified, source="camt.054", message_id="N"), file=b"3")
    assert len(set(await identities(conn))) == 3


async def test_lines_that_come_in_batches_are_the_lines_of_one_statement(conn, monkeypatch):
    monkeypatch.setattr(verbs, "SLICE", 3)
    made = statement(*(line(n, f"E{n}") for n in range(1, 12)))
    bad = RejectedLine(ordinal=12, where="Ntry[12]", reason="no amount")
    received = verbs.Received(
        file_digest=b"d" * 32, wrapped_key=b"w", partner_id=PARTNER_A, at=AT, actor_id=ACTOR
    )
    statement_id = verbs.statement_id_of(PARTNER_A, b"d" * 32)
    await begin(conn)
    staged = Staged()
    for start in range(0, 11, 4):
        await stage(conn, made.lines[start : start + 4], staged, statement_id=statement_id)
    await stage(conn, [bad], staged, statement_id=statement_id)
    stored = await verbs.store(conn, made, staged, received=received, account_token="token")
    assert (stored.lines, stored.rejected) == (11, 1)
    found = await rows(
        conn, "SELECT ordinal, end_to_end_id FROM ledger.statement_line ORDER BY ordinal"
    )
    assert found == [(n, f"E{n}") for n in range(1, 12)]


async def test_of_two_files_that_say_the_same_at_the_same_moment_one_repeats_the_other(own):
    made = statement(line(1, "E1"))

    async def one(file: bytes):
        async with own.begin() as conn:
            return await taken_in(conn, made, file=file)

    both = await asyncio.gather(one(b"1"), one(b"2"))
    first, second = sorted(both, key=lambda each: each.repeats is not None)
    assert (first.repeats, second.repeats) == (None, first.statement_id)


def test_the_report_of_a_provider_plays_two_parts():
    assert part_of("report-table", "booked") == part_of("camt.054") == "notification"
    assert part_of("report-table", "unclaimed") == part_of("pain.002", "rejected") == "status"
    assert {part_of(one) for one in ("camt.053", "mt940", "statement-table")} == {"statement"}
