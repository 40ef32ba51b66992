"""Each break is kept, booked, and ended by two people."""

from datetime import date
from uuid import UUID, uuid4

import msgspec
import pytest
from sqlalchemy import text

from api import db
from cbi import resolve, settle
from cbi.failed import frozen_of
from cbi.refusal import EndingUnfit, NotFound
from cbi.report import round_report
from cbi.suggest import suggest
from cbi.who import Who
from ledger import breaks
from ledger.attempt import Attempt
from ledger.attempts import open_attempts
from ledger.checks import CHECKS
from ledger.events import Said
from ledger.refusal import AttemptRefused, BreakRefused, SecondPersonNeeded
from tests.cbi.bank import line, settled, statement, taken_in
from tests.cbi.profiled import a_profile, profiled
from tests.cbi.test_settle import LATER, START, balances, booked, rejection, sent
from tests.cbi.world import ALFA, AT, TODAY, staff
from tests.conftest import PARTNER_A
from tests.ledger.books import pen

SECOND = staff(7)


class Chosen(msgspec.Struct):
    programme_id: UUID


def who(actor=ALFA):
    return Who(partner_id=PARTNER_A, actor_id=actor.actor_id, at=AT)


async def our_account(conn):
    """Let the account of the made-up statements be one that pays our programme."""
    await db.set_facts(conn, ALFA)
    return await conn.scalar(text("SELECT token FROM cbi.payer_account"))


async def found(conn, *files, as_of=LATER):
    """Take the files in and reconcile; return the open breaks by kind."""
    for file in files:
        await taken_in(conn, file, account=await our_account(conn))
    await settled(conn, as_of=as_of)
    kept = await breaks.load(conn, is_over=False)
    return {each.found.kind: each for each in kept}


async def proposed(conn, kept, ending, **more):
    await db.set_facts(conn, ALFA)
    said = Said(what="proposed", ending=ending, note="why", **more)
    await resolve.propose(conn, kept.break_id, said, who(), write_off_max_minor=5_000)


async def confirmed(conn, kept, actor=SECOND):
    await db.set_facts(conn, actor)
    done = await resolve.confirm(conn, kept.break_id, who(actor), write_off_max_minor=5_000)
    assert done.is_over
    assert await in_balance(conn)


async def in_balance(conn):
    """Whether both sides of every programme and currency are the same sum."""
    rows = await conn.execute(
        text("SELECT coalesce(sum(debit_minor - credit_minor), 0) FROM ledger.delta")
    )
    return rows.scalar_one() == 0


def debit(ordinal, end_to_end_id, minor):
    return line("camt.053", ordinal, end_to_end_id, minor)


async def test_a_strange_debit_waits_in_suspense_until_it_is_a_fee(conn):
    await sent(conn)
    kept = (await found(conn, statement(debit(1, "", 350), message_id="S1")))["paid_not_instructed"]
    assert (await balances(conn))["suspense"] == 350
    assert (kept.owner, kept.owner_id, kept.is_over) == ("bank", None, False)
    await proposed(conn, kept, "fee")
    with pytest.raises(SecondPersonNeeded):
        await confirmed(conn, kept, ALFA)
    await confirmed(conn, kept)
    now = await balances(conn)
    assert (now["suspense"], now["fees"], now["spent"]) == (0, 350, -350)
    assert "paid_not_instructed" not in await found(conn)
    with pytest.raises(BreakRefused):
        await proposed(conn, kept, "fee")


async def test_what_the_provider_paid_twice_it_owes_and_pays_back(conn):
    _, payments = await sent(conn)
    e2e, minor = payments[0]
    await found(conn, booked("camt.053", payments[0]))
    again = msgspec.structs.replace(debit(1, e2e, minor), bank_reference="another")
    kept = (await found(conn, statement(again, message_id="S2", opening=START - minor)))[
        "paid_twice"
    ]
    assert (await balances(conn))["receivable"] == minor
    back = line("camt.053", 1, "", minor, direction="credit")
    credit = (await found(conn, statement(back, message_id="S3", opening=START - 2 * minor)))[
        "credit_unexplained"
    ]
    assert (await balances(conn))["suspense"] == -minor
    await proposed(conn, credit, "recovered", of_break=kept.break_id)
    await confirmed(conn, credit)
    now = await balances(conn)
    assert (now["receivable"], now["suspense"], now["advance"]) == (0, 0, START - minor)


async def test_a_debit_of_less_is_a_payment_in_part_when_two_people_say_so(conn):
    round_id, payments = await sent(conn)
    e2e, minor = payments[0]
    kept = (await found(conn, booked("camt.053", (e2e, minor - 100))))["amount_differs"]
    await proposed(
        conn, kept, "payment", payment_id=kept.found.payment_id, attempt_no=kept.found.attempt_no
    )
    await confirmed(conn, kept)
    now = await balances(conn)
    assert (now["suspense"], now["expense"], now["delivered"]) == (0, minor - 100, 100 - minor)
    await settled(conn, as_of=LATER)
    report = await round_report(conn, round_id=round_id)
    assert report.by_state["partly_delivered"].payments == 1
    assert report.ties


async def test_a_debit_of_more_leaves_a_claim_on_the_rest(conn):
    _, payments = await sent(conn)
    e2e, minor = payments[0]
    kept = (await found(conn, booked("camt.053", (e2e, minor + 250))))["amount_differs"]
    suggestions = await suggest(conn, kept)
    assert [each.kind for each in suggestions][:1] == ["payment_and_fee"]
    assert suggestions[0].difference_minor == 250
    await proposed(
        conn, kept, "payment", payment_id=kept.found.payment_id, attempt_no=kept.found.attempt_no
    )
    await confirmed(conn, kept)
    now = await balances(conn)
    assert (now["suspense"], now["expense"], now["receivable"]) == (0, minor, 250)


async def test_paid_after_void_freezes_later_attempts_until_it_is_settled(conn):
    _, payments = await sent(conn)
    minor = payments[0][1]
    await found(conn, rejection(payments[0]))
    kept = (await found(conn, booked("camt.053", payments[0])))["paid_after_void"]
    assert (await balances(conn))["receivable"] == minor
    payment_id = kept.found.payment_id
    again = Attempt(
        payment_id=payment_id,
        attempt_no=2,
        end_to_end_id=f"{payment_id.hex}02",
        money=pen(minor),
    )
    with pytest.raises(AttemptRefused) as refused:
        await open_attempts(conn, [again], partner_id=PARTNER_A, at=AT)
    assert refused.value.constraint == "attempt_not_frozen"
    assert await frozen_of(conn, [payment_id]) == {payment_id}
    await proposed(conn, kept, "claim")
    await confirmed(conn, kept)
    assert (await balances(conn))["receivable"] == minor
    await db.set_facts(conn, ALFA)
    assert await frozen_of(conn, [payment_id]) == set()
    assert await open_attempts(conn, [again], partner_id=PARTNER_A, at=AT) == 1


async def test_a_write_off_is_small_and_by_two_people(conn):
    await sent(conn)
    lines = statement(debit(1, "", 5_001), debit(2, "X", 4_000), message_id="S1")
    await taken_in(conn, lines, account=await our_account(conn))
    await settled(conn, as_of=LATER)
    large, small = sorted(
        await breaks.load(conn, kind="paid_not_instructed"), key=lambda k: -k.found.actual_minor
    )
    with pytest.raises(EndingUnfit) as refused:
        await proposed(conn, large, "write_off")
    assert refused.value.reason == "above-the-limit"
    await proposed(conn, small, "write_off")
    await confirmed(conn, small)
    assert (await balances(conn))["suspense"] == 5_001


async def test_a_gap_is_explained_by_one_person_and_money_is_not(conn):
    _, payments = await sent(conn)
    await found(conn, booked("camt.053", payments[0], sequence=1))
    opening = START - payments[0][1]
    kept = await found(
        conn,
        statement(debit(1, "", 10), message_id="S3", opening=opening, sequence=3),
    )
    await db.set_facts(conn, ALFA)
    await resolve.explain(conn, kept["statement_gap"].break_id, "no movements that day", who())
    with pytest.raises(EndingUnfit):
        await resolve.explain(conn, kept["paid_not_instructed"].break_id, "nothing", who())
    assert "statement_gap" not in await found(conn)


async def test_a_line_that_was_unmatched_is_not_matched_by_itself_again(conn):
    _, payments = await sent(conn)
    await found(conn, booked("camt.053", payments[0]))
    line_id = await conn.scalar(text("SELECT line_id FROM ledger.allocation"))
    await db.set_facts(conn, ALFA)
    assert await resolve.unmatch(conn, line_id, "not ours after all", who()) == 1
    with pytest.raises(NotFound):
        await resolve.unmatch(conn, line_id, "again", who())
    kinds = await found(conn)
    assert {"delivered_unproved", "paid_not_instructed"} <= set(kinds) | {"delivered_unproved"}
    assert await conn.scalar(text("SELECT count(*) FROM ledger.allocation_in_force")) == 0


async def test_another_organisation_sees_no_break_and_can_say_nothing(conn):
    await sent(conn)
    kept = (await found(conn, statement(debit(1, "", 350), message_id="S1")))["paid_not_instructed"]
    other = staff(0, uuid4())
    await db.set_facts(conn, other)
    assert await breaks.load(conn) == []
    with pytest.raises(NotFound):
        await resolve.load_one(conn, kept.break_id)


async def test_a_reconciliation_seals_its_result(conn):
    _, payments = await sent(conn)
    await taken_in(conn, booked("camt.053", payments[0]))
    done = await settled(conn, as_of=date(2026, 6, 3))
    row = (
        await conn.execute(
            text(
                "SELECT d.subject, d.sha256, r.rules, r.attempts FROM ledger.reconciliation_end e"
                " JOIN ledger.digest d USING (digest_id) JOIN ledger.reconciliation r"
                " ON r.run_id = e.run_id WHERE e.run_id = :run_id"
            ),
            {"run_id": done.run_id},
        )
    ).one()
    assert (row.subject, len(row.sha256), row.rules, row.attempts) == (
        "reconciliation",
        32,
        "2026-11",
        len(payments),
    )


async def test_verification_sums_a_reconciliation_up_again(conn):
    _, payments = await sent(conn)
    await found(conn, booked("camt.053", *payments[:2]), statement(debit(1, "", 9), message_id="X"))
    await db.set_facts(conn, staff(0, PARTNER_A, {"auditor", "finance"}))
    for check in ("reconciliation_differs", "allocated_too_much", "period_unsealed"):
        assert (await conn.execute(text(CHECKS[check]))).all() == []
    await db.set_facts(conn, ALFA)
    await conn.execute(
        text(
            "INSERT INTO ledger.digest (digest_id, partner_id, subject, sha256, made_at, actor_id)"
            " SELECT gen_random_uuid(), partner_id, subject, sha256, made_at, actor_id"
            " FROM ledger.digest"
        )
    )
    made_up = (await conn.execute(text(CHECKS["reconciliation_differs"]))).all()
    assert len(made_up) == 1


async def test_what_nobody_fetched_is_free_again(conn):
    round_id, payments = await sent(conn)
    told = msgspec.structs.replace(
        line("pain.002", 1, *payments[0], status="rejected"),
        source="report-table",
        status="unclaimed",
        reason="",
    )
    await found(conn, statement(told, message_id="U1"), as_of=TODAY)
    report = await round_report(conn, round_id=round_id)
    assert set(report.undelivered_by_reason) == {"rejected:UNCLAIMED"}
    assert (await balances(conn))["available"] == -payments[0][1]
    assert report.ties


async def test_page_by_page_a_reconciliation_comes_to_the_same(conn):
    _, payments = await sent(conn, families=5)
    for file in (
        rejection(payments[0]),
        booked("camt.053", *payments[1:4]),
        statement(debit(1, "", 9), message_id="X", opening=1, sequence=5),
    ):
        await taken_in(conn, file)
    await db.set_facts(conn, ALFA)
    pieces = 0
    done = None
    while not isinstance(done, settle.Settled):
        done = await settle.settle(
            conn, run_id=uuid4(), **msgspec.structs.asdict(who()), as_of=LATER, page=2
        )
        pieces += 1
    assert pieces == 3
    assert (done.matched, done.delivered, done.rejected) == (4, 3, 1)
    again = await settled(conn, as_of=LATER)
    assert (again.matched, again.breaks) == (0, done.breaks)
    assert await conn.scalar(text("SELECT count(*) FROM ledger.reconciliation")) == 2
    assert await in_balance(conn)


async def test_a_line_that_becomes_another_break_stays_in_suspense_once(conn):
    _, payments = await sent(conn)
    e2e, minor = payments[0]
    assert "amount_differs" in await found(conn, booked("camt.053", (e2e, minor - 1)))
    assert (await balances(conn))["suspense"] == minor - 1
    kinds = await found(conn, rejection(payments[0]))
    assert "amount_differs" not in kinds
    assert "fsp_and_bank_disagree" in kinds
    assert (await balances(conn))["suspense"] == minor - 1
    assert await in_balance(conn)


async def test_a_line_in_suspense_a_second_time_is_booked_a_second_time(conn):
    _, payments = await sent(conn)
    await found(conn, booked("camt.053", payments[0]))
    line_id = await conn.scalar(text("SELECT line_id FROM ledger.allocation"))
    minor = payments[0][1]
    await db.set_facts(conn, ALFA)
    await resolve.unmatch(conn, line_id, "not ours", who())
    for _ in range(2):
        assert "paid_not_instructed" in await found(conn)
        assert (await balances(conn))["suspense"] == minor
    assert await in_balance(conn)


async def test_where_the_provider_pays_from_an_advance_its_report_delivers(conn):
    round_id, payments = await sent(conn)
    programme = await conn.scalar(text("SELECT programme_id FROM cbi.programme"))
    await profiled(
        conn,
        msgspec.convert({"programme_id": programme}, Chosen),
        a_profile(settled_by="report"),
    )
    notices = msgspec.structs.replace(
        booked("camt.054", *payments[:2]), message_id="report of the wallet"
    )
    await found(conn, notices, as_of=TODAY)
    report = await round_report(conn, round_id=round_id)
    assert report.by_state["delivered"].payments == 2
    assert (await balances(conn))["expense"] == payments[0][1] + payments[1][1]
    assert set(await found(conn)) == {"instructed_not_paid"}
    assert report.ties
    assert await in_balance(conn)


async def test_money_that_went_to_another_account_is_not_delivered(conn):
    round_id, payments = await sent(conn)
    rows = await conn.execute(
        text(
            "SELECT a.end_to_end_id, p.account_token FROM ledger.payee p"
            " JOIN ledger.attempt a USING (payment_id, attempt_no)"
        )
    )
    tokens = dict(rows.all())
    assert set(tokens) == {e2e for e2e, _ in payments}
    right, wrong = (line("camt.053", n, *payments[n]) for n in (1, 2))
    told = statement(
        msgspec.structs.replace(right, account_token=tokens[payments[1][0]]),
        msgspec.structs.replace(wrong, account_token=tokens[payments[3][0]]),
        message_id="S1",
    )
    kinds = await found(conn, told, as_of=TODAY)
    assert set(kinds) == {"wrong_beneficiary"}
    assert kinds["wrong_beneficiary"].found.end_to_end_id == payments[2][0]
    assert (await balances(conn))["suspense"] == payments[2][1]
    report = await round_report(conn, round_id=round_id)
    assert report.by_state["delivered"].payments == 1


async def test_a_round_is_settled_by_the_word_of_whom_it_was_sent_to(conn):
    """Another profile, chosen after it was prepared, changes nothing of it."""
    round_id, payments = await sent(conn)
    programme = await conn.scalar(text("SELECT programme_id FROM cbi.programme"))
    chosen = msgspec.convert({"programme_id": programme}, Chosen)
    await profiled(conn, chosen, a_profile(settled_by="report"), days_later=1)
    notices = msgspec.structs.replace(booked("camt.054", *payments[:2]), message_id="N")
    await found(conn, notices, as_of=TODAY)
    report = await round_report(conn, round_id=round_id)
    assert report.by_state["pending"].payments == len(payments)
    assert report.ties
