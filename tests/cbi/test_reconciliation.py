"""The reconciliation of a round as a pure function."""

from datetime import date
from uuid import UUID

import msgspec
import pytest

from cbi.disbursement import Step, end_to_end_id, message_id
from cbi.entitlement import Entitlement
from cbi.reconciliation import LedgerSide, Tally, reconcile_round
from ledger.attempt import Attempt, AttemptState
from ledger.matching import Allocation, Break
from ledger.money import Money

ROUND = UUID(int=9)
DAY = date(2026, 6, 2)


def pen(minor: int) -> Money:
    return Money(amount_minor=minor, currency="PEN")


def entitlement(place: int, minor: int) -> Entitlement:
    return Entitlement(
        entitlement_id=UUID(int=place),
        enrolment_id=UUID(int=100 + place),
        household_id=UUID(int=200 + place),
        beneficiary_id=UUID(int=300 + place),
        household_size=1,
        value_version=1,
        money=pen(minor),
    )


def tried(place: int, minor: int, outcome=None, *, attempt_no=1, returned=False) -> AttemptState:
    return AttemptState(
        attempt=Attempt(
            payment_id=UUID(int=place),
            attempt_no=attempt_no,
            end_to_end_id=f"E{place}-{attempt_no}",
            money=pen(minor),
        ),
        outcome=outcome,
        reason="AC04" if outcome == "void" else "",
        returned=returned,
        return_reason="MD07" if returned else "",
    )


def proof(place: int, minor: int | None, claim, source, *, attempt_no=1) -> Allocation:
    return Allocation(
        line_id=UUID(int=1_000 + place),
        payment_id=UUID(int=place),
        attempt_no=attempt_no,
        claim=claim,
        source=source,
        status="booked",
        direction="credit" if claim.startswith("return") else "debit",
        end_to_end_id=f"E{place}-{attempt_no}",
        bank_reference="",
        money=None if minor is None else pen(minor),
        booked_on=DAY,
        reason="",
        rule="r",
    )


def example(*, delivered_minor=10_000):
    """Delivered; rejected and then pending again; returned; never sent."""
    return reconcile_round(ROUND, currency="PEN", **facts(delivered_minor))


def facts(delivered_minor=10_000):
    return {
        "entitlements": [entitlement(place, place * 10_000) for place in (4, 3, 2, 1)],
        "attempts": {
            UUID(int=1): [tried(1, 10_000, "post")],
            UUID(int=2): [tried(2, 20_000, "void"), tried(2, 20_000, attempt_no=2)],
            UUID(int=3): [tried(3, 30_000, "post", returned=True)],
        },
        "proofs": {
            UUID(int=1): [
                proof(1, 10_000, "statement", "camt.053"),
                proof(1, 10_000, "notification", "camt.054"),
            ],
            UUID(int=2): [proof(2, None, "status", "pain.002")],
            UUID(int=3): [
                proof(3, 30_000, "statement", "camt.053"),
                proof(3, 30_000, "notification", "camt.054"),
                proof(3, 30_000, "return", "camt.053"),
                proof(3, 30_000, "return_notification", "camt.054"),
            ],
        },
        "ledger": LedgerSide(
            available_minor=30_000, pending_minor=20_000, delivered_minor=delivered_minor
        ),
        "breaks": [
            Break(kind="paid_not_instructed", end_to_end_id="X", actual_minor=5, currency="USD"),
            Break(
                kind="amount_differs",
                payment_id=UUID(int=2),
                attempt_no=2,
                end_to_end_id="E2-2",
                expected_minor=20_000,
                actual_minor=19_999,
                currency="PEN",
            ),
        ],
    }


def tallied(rows_max, page):
    """The same, a page of so many payments at a time."""
    given = facts()
    tally = Tally(given["breaks"], rows_max=rows_max)
    by_id = sorted(given["entitlements"], key=lambda each: each.entitlement_id)
    for start in range(0, len(by_id), page):
        tally.add(by_id[start : start + page], given["attempts"], given["proofs"])
    return tally.report(ROUND, currency="PEN", ledger=given["ledger"])


@pytest.mark.parametrize("page", [1, 2, 3, 4])
def test_a_report_added_up_by_pages_is_the_report(page):
    assert tallied(4, page) == example()


def test_of_a_large_round_rows_are_left_out_and_sums_are_not():
    report, whole = tallied(3, 2), example()
    assert (report.payments, report.payments_left_out) == ((), True)
    assert (
        msgspec.structs.replace(report, payments=whole.payments, payments_left_out=msgspec.UNSET)
        == whole
    )


def test_every_payment_stands_where_its_last_attempt_stands():
    report = example()
    assert [(row.state, row.attempt_no, row.reason) for row in report.payments] == [
        ("delivered", 1, ""),
        ("pending", 2, ""),
        ("returned", 1, "MD07"),
        ("not_instructed", 0, ""),
    ]
    assert report.entitled.amount_minor == 100_000
    assert report.instructed.amount_minor == 60_000
    assert report.ties


def test_a_difference_is_shown_in_the_equation_it_breaks():
    report = example(delivered_minor=9_999)
    assert not report.ties
    assert {check.name: check.difference_minor for check in report.checks} == {
        "entitled = delivered + undelivered + pending": 0,
        "instructed = held by the round or given back": 1,
        "ledger delivered = delivered": -1,
        "ledger committed and payable = pending": 0,
        "bank debits less returns = delivered": 0,
        "provider's notices = bank statement": 0,
    }


@pytest.mark.parametrize("attempt_no", [1, 99])
def test_a_payment_has_one_name_per_attempt_that_every_bank_can_carry(attempt_no):
    name = end_to_end_id(ROUND, attempt_no)
    assert len(name) <= 35
    assert name.isalnum()
    assert name == end_to_end_id(ROUND, attempt_no) != end_to_end_id(ROUND, attempt_no % 99 + 1)


@pytest.mark.parametrize("attempt_no", [0, 100])
def test_an_attempt_has_two_digits(attempt_no):
    with pytest.raises(ValueError, match="two digits"):
        end_to_end_id(ROUND, attempt_no)


def test_a_round_has_one_name_at_the_bank():
    assert len(message_id(ROUND)) == 35
    assert [step.word for step in Step] == [
        "calculated",
        "prepared",
        "reviewed",
        "approved",
        "released",
    ]
