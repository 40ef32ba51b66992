from datetime import date, timedelta
from uuid import UUID

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledger.matching import Allocation, Matching, OpenAttempt, StoredLine, match
from ledger.money import Money
from tests.ledger.books import pen

OPENED = date(2026, 3, 1)
KINDS = {
    "accepted": ("pain.002", "accepted", "debit"),
    "rejected": ("pain.002", "rejected", "debit"),
    "notification": ("camt.054", "booked", "debit"),
    "statement": ("camt.053", "booked", "debit"),
    "return_notice": ("pacs.004", "returned", "credit"),
    "return_notification": ("camt.054", "returned", "credit"),
    "return": ("camt.053", "returned", "credit"),
}


def attempt(n=1, **changes) -> OpenAttempt:
    made = OpenAttempt(
        payment_id=UUID(int=n),
        attempt_no=1,
        end_to_end_id=f"E{n}",
        money=pen(76_000),
        opened_on=OPENED,
    )
    return msgspec.structs.replace(made, **changes)


def line(n, kind, **changes) -> StoredLine:
    source, status, direction = KINDS[kind]
    made = StoredLine(
        line_id=UUID(int=n),
        source=source,
        status=status,
        direction=direction,
        end_to_end_id="E1",
        bank_reference=f"B{n}",
        money=None if source == "pain.002" else pen(76_000),
        booked_on=None if source == "pain.002" else OPENED,
        reason="",
    )
    return msgspec.structs.replace(made, **changes)


def matched(attempts, lines, claimed=(), days=1) -> Matching:
    as_of = OPENED + timedelta(days=days)
    return match(attempts, lines, claimed, as_of=as_of, pending_days=5)


def claims(found: Matching) -> list[tuple[str, int]]:
    return [(allocation.claim, allocation.line_id.int) for allocation in found.allocations]


def kinds(found: Matching) -> list[str]:
    return [found_break.kind for found_break in found.breaks]


def test_a_delivered_and_a_returned_payment_are_matched_with_every_piece_of_evidence():
    lines = [line(n, kind) for n, kind in enumerate(KINDS, start=1) if kind != "rejected"]
    found = matched([attempt()], lines, days=100)
    assert kinds(found) == []
    assert sorted(claims(found)) == [
        ("notification", 3),
        ("return", 7),
        ("return_notice", 5),
        ("return_notification", 6),
        ("statement", 4),
        ("status", 1),
    ]
    assert {allocation.payment_id for allocation in found.allocations} == {UUID(int=1)}


def test_a_rejected_payment_without_a_debit_is_no_break():
    found = matched([attempt()], [line(1, "rejected", reason="AC04")], days=100)
    assert claims(found) == [("rejection", 1)]
    assert (found.allocations[0].status, found.allocations[0].reason) == ("rejected", "AC04")
    assert kinds(found) == []


def test_a_rejection_after_an_acceptance_is_claimed_as_such():
    both = [line(1, "accepted"), line(2, "rejected")]
    at_once = matched([attempt()], both)
    assert claims(at_once) == [("rejection", 2), ("status", 1)]
    first = matched([attempt()], both[:1])
    later = matched([attempt()], both[1:], first.allocations, days=100)
    assert claims(later) == [("rejection", 2)]
    assert kinds(later) == []


def test_silence_is_pending_first_and_a_break_when_it_lasts():
    assert kinds(matched([attempt()], [], days=5)) == []
    assert kinds(matched([attempt()], [line(1, "accepted")], days=6)) == ["instructed_not_paid"]
    assert kinds(matched([attempt(outcome="void")], [], days=60)) == []
    announced = [line(1, "notification")]
    assert kinds(matched([attempt()], announced, days=5)) == []
    assert kinds(matched([attempt()], announced, days=6)) == ["fsp_and_bank_disagree"]


def test_a_return_waits_for_the_debit_that_it_returns():
    notice = line(1, "return_notice")
    early = matched([attempt()], [notice], days=5)
    assert (claims(early), kinds(early)) == ([], [])
    together = matched([attempt()], [notice, line(2, "statement")])
    assert claims(together) == [("return_notice", 1), ("statement", 2)]
    assert kinds(matched([attempt()], [notice], days=6)) == ["fsp_and_bank_disagree"]


def test_the_credit_of_a_return_waits_for_the_debit_on_a_statement():
    lines = [line(1, "notification"), line(2, "return_notice"), line(3, "return")]
    early = matched([attempt()], lines)
    assert claims(early) == [("notification", 1), ("return_notice", 2)]
    assert kinds(early) == []
    later = matched([attempt()], [lines[2], line(4, "statement")], early.allocations)
    assert claims(later) == [("return", 3), ("statement", 4)]
    assert kinds(matched([attempt()], lines, days=6)) == ["fsp_and_bank_disagree"]


def test_a_rejection_of_what_was_decided_as_delivered_is_a_break():
    found = matched([attempt(outcome="post")], [line(1, "rejected")])
    assert (claims(found), kinds(found)) == ([], ["fsp_and_bank_disagree"])


@pytest.mark.parametrize(
    ("case", "lines", "outcome", "expected"),
    [
        (
            "an unknown debit",
            [line(1, "statement", end_to_end_id="X")],
            None,
            "paid_not_instructed",
        ),
        ("a fee without id", [line(1, "statement", end_to_end_id="")], None, "paid_not_instructed"),
        ("an unknown credit", [line(1, "return", end_to_end_id="")], None, "credit_unexplained"),
        ("an unknown report", [line(1, "accepted", end_to_end_id="X")], None, "status_unexplained"),
        ("another amount", [line(1, "statement", money=pen(76_001))], None, "amount_differs"),
        (
            "another currency",
            [line(1, "statement", money=Money(amount_minor=76_000, currency="USD"))],
            None,
            "currency_differs",
        ),
        ("paid after void", [line(1, "statement")], "void", "paid_after_void"),
        ("returned after void", [line(1, "return")], "void", "late_return"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_line_that_does_not_fit_is_a_named_break(case, lines, outcome, expected):
    found = matched([attempt(outcome=outcome)], lines)
    assert (claims(found), kinds(found)) == ([], [expected])
    assert found.breaks[0].line_id == UUID(int=1)


def test_an_amount_that_differs_says_by_how_much():
    found = matched([attempt()], [line(1, "statement", money=pen(70_000))])
    only = found.breaks[0]
    assert (only.expected_minor, only.actual_minor, only.currency) == (76_000, 70_000, "PEN")


def test_two_debits_at_once_are_not_guessed_between():
    found = matched([attempt()], [line(1, "statement"), line(2, "statement")], days=100)
    assert claims(found) == []
    assert kinds(found) == ["paid_twice", "paid_twice"]


def test_a_second_debit_after_the_first_was_matched_is_paid_twice():
    first = matched([attempt()], [line(1, "statement")])
    second = matched([attempt(outcome="post")], [line(2, "statement")], first.allocations)
    assert (claims(second), kinds(second)) == ([], ["paid_twice"])


def test_the_same_movement_reported_twice_is_matched_once():
    again = line(2, "statement", bank_reference="B1")
    at_once = matched([attempt()], [again, line(1, "statement")])
    assert (claims(at_once), kinds(at_once)) == ([("statement", 1)], ["line_twice"])
    first = matched([attempt()], [line(1, "statement")])
    later = matched([attempt()], [again], first.allocations)
    assert (claims(later), kinds(later)) == ([], ["line_twice"])


def test_a_bank_that_rejects_and_debits_is_believed_in_neither():
    at_once = matched([attempt()], [line(1, "rejected"), line(2, "statement")], days=100)
    assert (claims(at_once), set(kinds(at_once))) == ([], {"fsp_and_bank_disagree"})
    rejected = matched([attempt()], [line(1, "rejected")])
    later = matched([attempt()], [line(2, "statement")], rejected.allocations)
    assert (claims(later), kinds(later)) == ([], ["fsp_and_bank_disagree"])
    paid = matched([attempt()], [line(2, "statement")])
    after = matched([attempt(outcome="post")], [line(1, "rejected")], paid.allocations)
    assert (claims(after), kinds(after)) == ([], ["fsp_and_bank_disagree"])


def test_further_status_reports_are_no_news():
    first = matched([attempt()], [line(1, "accepted")])
    later = matched([attempt()], [line(2, "accepted")], first.allocations)
    assert (claims(later), kinds(later)) == ([], [])


some_lines = st.lists(
    st.builds(
        lambda n, kind, reference, amount_minor, to: line(
            n,
            kind,
            bank_reference=reference,
            end_to_end_id=to,
            **({} if KINDS[kind][0] == "pain.002" else {"money": pen(amount_minor)}),
        ),
        st.integers(1, 10**6),
        st.sampled_from(sorted(KINDS)),
        st.sampled_from(["", "B1", "B2"]),
        st.sampled_from([76_000, 1]),
        st.sampled_from(["E1", "E2", "E3", ""]),
    ),
    max_size=12,
    unique_by=lambda made: made.line_id,
)


@given(some_lines, st.randoms(use_true_random=False), st.integers(0, 10))
def test_matching_does_not_depend_on_the_order_of_its_input(lines, shuffler, days):
    attempts = [attempt(1), attempt(2, outcome="post"), attempt(3, outcome="void")]
    expected = matched(attempts, lines, days=days)
    shuffler.shuffle(lines)
    shuffler.shuffle(attempts)
    assert matched(attempts, lines, days=days) == expected


@given(some_lines)
def test_a_line_is_claimed_once_and_a_step_is_proven_once(lines):
    found = matched([attempt(1), attempt(2)], lines)
    assert len({a.line_id for a in found.allocations}) == len(found.allocations)
    assert len({(a.payment_id, a.claim) for a in found.allocations}) == len(found.allocations)
    assert all(a.money is None or a.money == pen(76_000) for a in found.allocations)


@given(some_lines)
def test_matching_again_with_what_was_matched_finds_nothing_new(lines):
    attempts = [attempt(1), attempt(2)]
    first = matched(attempts, lines)
    claimed = {allocation.line_id for allocation in first.allocations}
    left = [one for one in lines if one.line_id not in claimed]
    again = matched(attempts, left, first.allocations)
    assert all(isinstance(one, Allocation) for one in first.allocations)
    assert again.allocations == []
