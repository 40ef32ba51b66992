"""The reconciliation of a round as a pure function, and its CSV to the last byte."""

import csv
import io
from datetime import date
from uuid import UUID

import msgspec
import pytest

from cbi.disbursement import Step, end_to_end_id, message_id
from cbi.entitlement import Entitlement
from cbi.reconciliation import LedgerSide, Tally, reconcile_round, to_csv
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


GOLDEN = """\
row,name,payment_id,end_to_end_id,attempt,currency,amount,actual,difference,reason,booked_on,evidence
payment,delivered,00000000-0000-0000-0000-000000000001,E1-1,1,PEN,100.00,,,,2026-06-02,notification camt.054; statement camt.053
payment,pending,00000000-0000-0000-0000-000000000002,E2-2,2,PEN,200.00,,,,,
payment,returned,00000000-0000-0000-0000-000000000003,E3-1,1,PEN,300.00,,,MD07,2026-06-02,notification camt.054; return camt.053; return_notification camt.054; statement camt.053
payment,not_instructed,00000000-0000-0000-0000-000000000004,,0,PEN,400.00,,,,,
check,entitled = delivered + undelivered + pending,,,,PEN,600.00,600.00,0.00,,,
check,instructed = held by the round or given back,,,,PEN,600.00,600.00,0.00,,,
check,ledger delivered = delivered,,,,PEN,100.00,100.00,0.00,,,
check,ledger committed and payable = pending,,,,PEN,200.00,200.00,0.00,,,
check,bank debits less returns = delivered,,,,PEN,100.00,100.00,0.00,,,
check,provider's notices = bank statement,,,,PEN,100.00,100.00,0.00,,,
break,amount_differs,00000000-0000-0000-0000-000000000002,E2-2,2,PEN,200.00,199.99,,,,
break,paid_not_instructed,,X,,USD,,0.05,,,,
"""  # noqa: E501 -- a table is compared as it is


def test_the_table_is_the_same_to_the_last_byte():
    assert to_csv(example()) == GOLDEN.replace("\n", "\r\n")
    assert to_csv(example()) == to_csv(example())


def test_a_negative_difference_keeps_its_sign():
    assert ",99.99,100.00,-0.01," in to_csv(example(delivered_minor=9_999))


@pytest.mark.parametrize(
    ("currency", "minor", "written"),
    [
        ("ZZZ", -12_345, "ZZZ,,-12345,"),
        ("PEN", 10**25 + 7, "PEN,,100000000000000000000000.07,"),
        ("PEN", -(10**25), "PEN,,-100000000000000000000000.00,"),
        ("JPY", 5, "JPY,,5,"),
        ("KWD", -5, "KWD,,-0.005,"),
        ("=A1", 5, "'=A1,,5,"),
    ],
)
def test_a_break_of_any_size_in_any_currency_is_written(currency, minor, written):
    found = Break(kind="paid_not_instructed", actual_minor=minor, currency=currency)
    table = to_csv(msgspec.structs.replace(example(), unassigned=(found,)))
    assert f"break,paid_not_instructed,,,,{written}" in table


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_a_text_from_outside_is_no_formula(start):
    text = f'{start}HYPERLINK("http://x")'
    report = example()
    found = Break(kind="paid_not_instructed", end_to_end_id=text, actual_minor=-5, currency="PEN")
    row = msgspec.structs.replace(report.payments[0], end_to_end_id=text, reason=text)
    hostile = msgspec.structs.replace(report, payments=(row,), breaks=(found,))
    cells = list(csv.DictReader(io.StringIO(to_csv(hostile), newline="")))
    named = [each for each in cells if each["end_to_end_id"] not in ("", "X")]
    assert [each["end_to_end_id"] for each in named] == [f"'{text}"] * 2
    assert named[0]["reason"] == f"'{text}"
    assert named[1]["actual"] == "-0.05"


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
