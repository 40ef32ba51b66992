"""What the bank proves is booked once, in whatever order and however often its files come."""

import asyncio
from datetime import date

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from api import db
from cbi.report import payment_rows, round_report
from ledger.money import Money
from tests.cbi.bank import line, settled, statement, taken_in
from tests.cbi.world import (
    ALFA,
    PARTNER_B,
    TODAY,
    approved,
    enrolled_families,
    opened,
    programme_of,
    released,
    rolled_back,
    staff,
)
from tests.conftest import PARTNER_A

LATER = date(2026, 7, 1)
START = 10_000_000


async def sent(conn, families=4):
    """A released round: its id and its attempts as (end-to-end id, minor units), by payment."""
    programme = await programme_of(conn)
    await enrolled_families(conn, programme, families)
    round_id = (await opened(conn, programme)).round_id
    await approved(conn, round_id)
    await released(conn, round_id)
    rows = await conn.execute(
        text("SELECT end_to_end_id, amount_minor FROM ledger.attempt ORDER BY payment_id")
    )
    return round_id, [tuple(row) for row in rows]


async def reported(conn, round_id, as_of=TODAY):
    await db.set_facts(conn, ALFA)
    return await round_report(conn, round_id=round_id)


def booked(source, *payments, direction="debit", message_id="", **more):
    lines = [
        line(source, place, *payment, direction=direction)
        for place, payment in enumerate(payments, start=1)
    ]
    return statement(*lines, message_id=message_id or f"{source}-{direction}", **more)


def rejection(*payments, message_id="R1"):
    lines = [
        line("pain.002", place, *payment, status="rejected")
        for place, payment in enumerate(payments, start=1)
    ]
    return statement(*lines, message_id=message_id)


def files_of(payments):
    """Two delivered, one of them returned; one rejected; one of which nobody says anything."""
    kept, back, lost, _ = payments
    debits = kept[1] + back[1]
    sent_back = line("pacs.004", 1, *back, status="returned", direction="credit")
    accepted = [line("pain.002", n, *one, status="accepted") for n, one in enumerate(payments, 1)]
    return [
        statement(*accepted, message_id="R0"),
        rejection(lost),
        booked("camt.054", kept, back),
        booked("camt.053", kept, back, sequence=1),
        booked("camt.054", back, direction="credit"),
        booked("camt.053", back, direction="credit", opening=START - debits, sequence=2),
        statement(sent_back, message_id="B1"),
    ]


async def balances(conn):
    rows = await conn.execute(
        text(
            "SELECT a.code, sum(d.debit_minor - d.credit_minor) FROM ledger.account a"
            " JOIN ledger.delta d USING (account_id) GROUP BY a.code ORDER BY a.code"
        )
    )
    return {code.split(":")[-1]: int(minor) for code, minor in rows}


async def transfers(conn):
    rows = await conn.execute(
        text(
            "SELECT CAST(t AS text) FROM (SELECT transfer_id, kind, amount_minor, effective_on"
            " FROM ledger.transfer ORDER BY transfer_id) t"
        )
    )
    return rows.scalars().all()


async def test_each_payment_ends_as_the_bank_says(conn):
    round_id, payments = await sent(conn)
    kept, back, lost, silent = (minor for _, minor in payments)
    for file in files_of(payments):
        await taken_in(conn, file)
    done = await settled(conn)
    assert (done.delivered, done.rejected, done.returned, done.breaks) == (2, 1, 1, ())
    assert await balances(conn) == {
        "fund": -(START - kept - back - lost - silent),
        "advance": START - kept,
        "expense": kept,
        "available": -(back + lost),
        "committed": 0,
        "payable": -silent,
        "delivered": -kept,
    }
    report = await reported(conn, round_id)
    assert (report.ties, report.breaks) == (True, ())
    assert {
        state: (sums.payments, sums.amount_minor) for state, sums in report.by_state.items()
    } == {
        "delivered": (1, kept),
        "pending": (1, silent),
        "rejected": (1, lost),
        "returned": (1, back),
    }
    assert {why: sums.amount_minor for why, sums in report.undelivered_by_reason.items()} == {
        "rejected:AC04": lost,
        "returned:AC04": back,
    }
    page = await payment_rows(conn, round_id=round_id, after=None, limit=3)
    assert tuple(page) == report.payments[:3]


async def end_state(conn, round_id):
    """The report without the provider's reports, whose claim depends on which came first."""
    report = await reported(conn, round_id)
    rows = [
        msgspec.structs.replace(
            row, evidence=tuple(each for each in row.evidence if not each.endswith("pain.002"))
        )
        for row in report.payments
    ]
    return msgspec.structs.replace(report, payments=tuple(rows))


@settings(
    max_examples=30,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(st.permutations(range(7)), st.sets(st.integers(0, 6)))
async def test_the_order_of_the_files_and_of_the_runs_changes_nothing(conn, order, pauses):
    async with rolled_back(conn):
        round_id, payments = await sent(conn)
        files = files_of(payments)
        async with rolled_back(conn):
            for file in files:
                await taken_in(conn, file)
            await settled(conn)
            wanted = (await end_state(conn, round_id), await transfers(conn))
        for step, place in enumerate(order):
            await taken_in(conn, files[place])
            if step in pauses:
                await settled(conn)
        await settled(conn)
        assert (await end_state(conn, round_id), await transfers(conn)) == wanted


async def test_settling_again_books_nothing_and_a_file_again_is_no_news(conn):
    round_id, payments = await sent(conn)
    for file in files_of(payments):
        await taken_in(conn, file)
    await settled(conn)
    before = (await reported(conn, round_id), await transfers(conn))
    for file in files_of(payments):
        assert (await taken_in(conn, file)).repeated
    again = await settled(conn)
    assert (again.matched, again.delivered, again.rejected, again.returned) == (0, 0, 0, 0)
    assert (await reported(conn, round_id), await transfers(conn)) == before


async def test_a_notice_alone_delivers_nothing(conn):
    round_id, payments = await sent(conn)
    await taken_in(conn, booked("camt.054", *payments))
    done = await settled(conn)
    assert (done.matched, done.delivered) == (4, 0)
    assert set((await reported(conn, round_id)).by_state) == {"pending"}


def other_amount(payment):
    return payment[0], payment[1] + 1


async def stranger(conn, payments):
    await taken_in(conn, booked("camt.053", ("nobody", 500), message_id="stranger"))


async def strange_credit(conn, payments):
    await taken_in(conn, booked("camt.053", ("nobody", 500), direction="credit"))


async def strange_status(conn, payments):
    await taken_in(conn, rejection(("nobody", 0)))


async def amount_differs(conn, payments):
    await taken_in(conn, booked("camt.053", other_amount(payments[0])))


async def currency_differs(conn, payments):
    one = line("camt.053", 1, *payments[0])
    foreign = msgspec.structs.replace(one, money=Money(amount_minor=payments[0][1], currency="USD"))
    await taken_in(conn, statement(foreign, message_id="USD"))


async def paid_twice(conn, payments):
    await taken_in(conn, booked("camt.053", payments[0], payments[0]))


async def paid_and_rejected(conn, payments):
    await taken_in(conn, rejection(payments[0]))
    await taken_in(conn, booked("camt.053", payments[0]))


async def paid_after_rejection(conn, payments):
    await taken_in(conn, rejection(payments[0]))
    await settled(conn)
    await taken_in(conn, booked("camt.053", payments[0]))


async def returned_after_rejection(conn, payments):
    await taken_in(conn, rejection(payments[0]))
    await settled(conn)
    await taken_in(conn, booked("camt.053", payments[0], direction="credit"))


async def rejected_after_payment(conn, payments):
    await taken_in(conn, booked("camt.053", payments[0]))
    await settled(conn)
    await taken_in(conn, rejection(payments[0]))


async def returned_unpaid(conn, payments):
    await taken_in(conn, booked("camt.053", payments[0], direction="credit"))


async def nothing(conn, payments):
    pass


BREAKS = [
    (stranger, TODAY, "paid_not_instructed", "pending"),
    (strange_credit, TODAY, "credit_unexplained", "pending"),
    (strange_status, TODAY, "status_unexplained", "pending"),
    (amount_differs, TODAY, "amount_differs", "pending"),
    (currency_differs, TODAY, "currency_differs", "pending"),
    (paid_twice, TODAY, "line_twice", "pending"),
    (paid_and_rejected, TODAY, "fsp_and_bank_disagree", "pending"),
    (paid_after_rejection, TODAY, "paid_after_void", "rejected"),
    (returned_after_rejection, TODAY, "late_return", "rejected"),
    (rejected_after_payment, TODAY, "fsp_and_bank_disagree", "delivered"),
    (returned_unpaid, LATER, "fsp_and_bank_disagree", "pending"),
    (nothing, LATER, "instructed_not_paid", "pending"),
]


@pytest.mark.parametrize(("happens", "as_of", "kind", "state"), BREAKS)
async def test_what_nobody_can_explain_is_named_and_books_nothing(
    conn, happens, as_of, kind, state
):
    round_id, payments = await sent(conn)
    await happens(conn, payments)
    done = await settled(conn, as_of=as_of)
    assert kind in {found.kind for found in done.breaks}
    report = await reported(conn, round_id, as_of)
    assert {*report.breaks, *report.unassigned} == set(done.breaks)
    assert all(found.payment_id is None for found in report.unassigned)
    rows = {row.end_to_end_id: row.state for row in report.payments}
    if kind == "line_twice":
        state = rows[payments[0][0]]
    assert rows[payments[0][0]] == state
    assert {rows[name] for name, _ in payments[1:]} == {"pending"}
    before = await transfers(conn)
    assert (await settled(conn, as_of=as_of)).breaks == done.breaks
    assert await transfers(conn) == before
    assert await reported(conn, round_id, as_of) == report


async def test_two_different_debits_of_one_payment_are_neither_of_them_matched(conn):
    round_id, payments = await sent(conn)
    one = line("camt.053", 1, *payments[0])
    two = msgspec.structs.replace(one, ordinal=2, bank_reference="another")
    await taken_in(conn, statement(one, two, message_id="S1"))
    done = await settled(conn)
    assert [found.kind for found in done.breaks] == ["paid_twice", "paid_twice"]
    assert done.delivered == 0
    assert set((await reported(conn, round_id)).by_state) == {"pending"}


async def test_the_same_report_has_the_same_bytes(conn):
    round_id, payments = await sent(conn)
    for file in files_of(payments):
        await taken_in(conn, file)
    await stranger(conn, payments)
    await settled(conn)
    one, two = [msgspec.json.encode(await reported(conn, round_id)) for _ in range(2)]
    assert one == two
    assert b"paid_not_instructed" in one


async def test_an_auditor_of_another_partner_sees_the_breaks_of_the_round(conn):
    round_id, payments = await sent(conn)
    await stranger(conn, payments)
    await settled(conn)
    mine = await reported(conn, round_id)
    await db.set_facts(conn, staff(0, PARTNER_B, {"auditor"}))
    assert await round_report(conn, round_id=round_id) == mine
    assert [found.kind for found in mine.unassigned] == ["paid_not_instructed"]


async def test_one_partner_never_settles_what_another_paid(conn):
    round_id, payments = await sent(conn)
    beta = staff(0, PARTNER_B)
    await taken_in(conn, booked("camt.053", *payments), beta)
    done = await settled(conn, beta)
    assert (done.matched, {found.kind for found in done.breaks}) == (0, {"paid_not_instructed"})
    assert set((await reported(conn, round_id)).by_state) == {"pending"}


async def test_two_settlements_at_once_book_everything_once(own):
    async with own.begin() as conn:
        round_id, payments = await sent(conn)
        for file in files_of(payments):
            await taken_in(conn, file)
    begun = asyncio.Barrier(3)

    async def run(place):
        async with own.begin(staff(place)) as conn:
            await begun.wait()
            return await settled(conn, staff(place, PARTNER_A))

    done = await asyncio.gather(*map(run, range(3)))
    assert sum(each.delivered for each in done) == 2
    assert sum(each.rejected for each in done) == 1
    assert sum(each.returned for each in done) == 1
    async with own.begin() as conn:
        assert (await reported(conn, round_id)).ties
