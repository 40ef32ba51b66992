"""Lines without our id: what they name, and what a person is only told."""

from datetime import date, timedelta
from decimal import Decimal
from uuid import UUID, uuid4

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import text

from ledger import loose
from ledger.matching import allocate
from ledger.money import Money
from ledger.naming import Candidate, Share, business_days_between, explode, name
from ledger.reconcile import allocate as write
from ledger.suggestion import Payable, suggest_debit, suggest_exchange, sums_to
from tests.conftest import PARTNER_A
from tests.ledger.books import ACTOR, AT, DAY, attempt, pen, tried
from tests.ledger.test_reconcile import line, reconciled, statement, taken_in

OTHER = "no id of ours"
UETR = "eb6305c9-1f7f-49de-aed0-16487c27b42d"


def other(ordinal, minor=100, **more):
    return msgspec.structs.replace(line(ordinal, OTHER, amount_minor=minor), **more)


async def rules(conn):
    rows = await conn.execute(
        text("SELECT end_to_end_id, rule FROM ledger.naming ORDER BY end_to_end_id")
    )
    return {row.end_to_end_id: row.rule for row in rows}


async def test_a_key_that_the_bank_gave_before_names_the_payment(conn):
    one, two = sorted(
        (attempt(uuid4(), 100), attempt(uuid4(), 200)), key=lambda each: each.end_to_end_id
    )
    await tried(conn, one, two)
    told = [
        msgspec.structs.replace(
            line(1, one.end_to_end_id, source="pain.002"),
            uetr=UETR,
        ),
        msgspec.structs.replace(line(2, two.end_to_end_id, source="pain.002"), provider_id="P-77"),
    ]
    await taken_in(conn, statement(*told, source="pain.002", message_id="R"))
    debits = [
        other(1, one.money.amount_minor, uetr=UETR),
        other(2, two.money.amount_minor, bank_reference="P-77"),
    ]
    await taken_in(conn, statement(*debits))
    found = await reconciled(conn)
    assert found.breaks == []
    assert await rules(conn) == {
        one.end_to_end_id: "uetr-exact/1",
        two.end_to_end_id: "provider-id-exact/1",
    }
    assert {each.rule for each in found.allocations if each.claim == "statement"} == {
        "uetr-exact/1",
        "provider-id-exact/1",
    }


async def test_a_key_with_another_amount_names_nothing(conn):
    one = attempt(uuid4(), 100)
    await tried(conn, one)
    told = msgspec.structs.replace(line(1, one.end_to_end_id, source="pain.002"), uetr="U1")
    await taken_in(conn, statement(told, source="pain.002", message_id="R"))
    await taken_in(conn, statement(other(1, 101, uetr="U1")))
    assert [each.kind for each in (await reconciled(conn)).breaks] == ["paid_not_instructed"]


async def test_a_mangled_reference_names_the_only_payment_that_begins_so(conn):
    ours = "0123456789abcdef" * 2
    one = msgspec.structs.replace(attempt(UUID(ours), 100), end_to_end_id=f"{ours}01")
    await tried(conn, one)
    opened_on = AT.date()
    near = other(1, 100, reference="0123456789abcdef0123", booked_on=opened_on)
    await taken_in(conn, statement(near))
    found = await reconciled(conn)
    assert [(each.rule, each.end_to_end_id) for each in found.allocations] == [
        ("reference/1", one.end_to_end_id)
    ]


async def test_a_batch_is_shared_out_when_its_reports_are_its_sum(conn):
    made = [attempt(uuid4(), 100 + n) for n in range(3)]
    await tried(conn, *made)
    told = [
        msgspec.structs.replace(
            line(n, one.end_to_end_id, source="camt.054", amount_minor=one.money.amount_minor),
            batch_id="RONDA-1",
        )
        for n, one in enumerate(made, start=1)
    ]
    await taken_in(conn, statement(*told, source="camt.054", message_id="N"))
    total = sum(one.money.amount_minor for one in made)
    await taken_in(conn, statement(other(1, total, batch_id="RONDA-1", batch_count=3)))
    shares = await loose.load_batches(conn, partner_id=PARTNER_A)
    assert {each.end_to_end_id: share.amount_minor for _, each, share in shares} == {
        one.end_to_end_id: one.money.amount_minor for one in made
    }
    allocations = [allocate(each, batch, "statement", part=share) for batch, each, share in shares]
    await write(conn, allocations, partner_id=PARTNER_A, at=AT, actor_id=ACTOR)
    assert (await reconciled(conn)).breaks == []


async def test_a_batch_that_is_another_sum_stays_whole(conn):
    one = attempt(uuid4(), 100)
    await tried(conn, one)
    told = msgspec.structs.replace(
        line(1, one.end_to_end_id, source="camt.054"), batch_id="RONDA-1"
    )
    await taken_in(conn, statement(told, source="camt.054", message_id="N"))
    await taken_in(conn, statement(other(1, 150, batch_id="RONDA-1", batch_count=2)))
    assert await loose.load_batches(conn, partner_id=PARTNER_A) == []
    assert [each.kind for each in (await reconciled(conn)).breaks] == ["batch_unexplained"]


def candidate(n, to, rule="reference/1", **more):
    facts = {
        "line_id": UUID(int=n),
        "end_to_end_id": to,
        "rule": rule,
        "step": "camt.053 debit",
        "line_money": pen(100),
        "attempt_money": pen(100),
        "booked_on": DAY,
        "opened_on": DAY,
    }
    return Candidate(**{**facts, **more})


def named(*candidates, **more):
    return [(each.line_id.int, each.end_to_end_id, each.rule) for each in name(candidates, **more)]


def test_what_is_in_doubt_names_nothing():
    assert named(candidate(1, "a"), candidate(1, "b")) == []
    assert named(candidate(1, "a"), candidate(2, "a")) == []
    assert named(candidate(1, "a"), candidate(2, "b")) == [
        (1, "a", "reference/1"),
        (2, "b", "reference/1"),
    ]


def test_a_key_goes_before_what_looks_alike():
    exact = candidate(1, "a", "uetr-exact/1")
    assert named(exact, candidate(1, "b"), candidate(2, "a")) == [(1, "a", "uetr-exact/1")]


@pytest.mark.parametrize(
    "changed",
    [
        {"line_money": pen(101)},
        {"line_money": Money(amount_minor=100, currency="USD")},
        {"line_money": None},
        {"booked_on": None},
        {"booked_on": DAY + timedelta(days=9)},
    ],
)
def test_what_does_not_fit_names_nothing(changed):
    assert named(candidate(1, "a", **changed)) == []


def test_days_on_which_banks_work():
    friday, monday = date(2026, 7, 24), date(2026, 7, 27)
    assert business_days_between(friday, monday, frozenset()) == 1
    assert business_days_between(monday, friday, frozenset()) == 1
    # 28 and 29 July are holidays in Peru.
    holidays = frozenset({date(2026, 7, 28), date(2026, 7, 29)})
    assert business_days_between(monday, date(2026, 7, 30), holidays) == 1


some = st.lists(
    st.builds(
        candidate,
        st.integers(1, 4),
        st.sampled_from("abcd"),
        st.sampled_from(["uetr-exact/1", "reference/1", "account-and-amount/1"]),
    ),
    max_size=10,
)


@given(some, st.randoms(use_true_random=False))
def test_the_order_of_candidates_changes_nothing_and_each_is_named_once(candidates, shuffler):
    found = name(candidates)
    assert len({each.line_id for each in found}) == len(found)
    assert len({each.end_to_end_id for each in found}) == len(found)
    shuffler.shuffle(candidates)
    assert name(candidates) == found


def share(batch, to, minor, currency="PEN"):
    return Share(
        batch_line_id=UUID(int=batch),
        end_to_end_id=to,
        money=Money(amount_minor=minor, currency=currency),
    )


def test_a_batch_is_its_payments_to_the_last_unit():
    whole = [share(1, "a", 60), share(1, "b", 40)]
    batch = {UUID(int=1): pen(100), UUID(int=2): pen(60)}
    assert explode(batch, whole[::-1]) == whole
    assert explode(batch, whole[:1]) == []
    assert explode(batch, [*whole, share(2, "a", 60)]) == []
    assert explode(batch, [share(1, "a", 60), share(1, "b", 40, "USD")]) == []


def payable(n, minor):
    return Payable(payment_id=UUID(int=n), attempt_no=1, money=pen(minor))


def test_sums_are_suggested_fewest_first_and_bounded():
    open_payments = [payable(n, minor) for n, minor in enumerate((300, 420, 530, 610), start=1)]
    assert [each.kind for each in sums_to(pen(420), open_payments)] == ["payment"]
    both = sums_to(pen(950), open_payments)
    assert [each.payments for each in both] == [(open_payments[1], open_payments[2])]
    assert sums_to(pen(1), open_payments) == []
    many = [payable(n, 10) for n in range(1, 200)]
    assert len(sums_to(pen(30), many)) == 5


def test_a_fee_on_top_and_a_fee_alone_are_suggested():
    expected = payable(1, 10_000)
    over = suggest_debit(pen(10_350), [expected], expected=expected)
    assert [(each.kind, each.difference_minor) for each in over] == [("payment_and_fee", 350)]
    assert [each.kind for each in suggest_debit(pen(350), [expected])] == ["fee"]
    assert suggest_debit(pen(9_000), [expected], expected=expected) == []


def test_an_exchange_is_suggested_at_about_the_rate():
    expected = payable(1, 37_450)
    usd = Money(amount_minor=10_000, currency="USD")
    (found,) = suggest_exchange(usd, expected, Decimal("3.74"))
    assert (found.kind, found.difference_minor) == ("exchange", -50)
    assert suggest_exchange(usd, expected, Decimal("3.2")) == []
