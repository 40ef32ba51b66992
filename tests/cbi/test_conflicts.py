"""Promises to one family that turned out to overlap: noticed, listed, decided by a person."""

from datetime import date, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from api import db
from cbi import conflicts, enrol
from cbi.basis import load_basis
from cbi.overlap_refusal import ConflictOver, ConflictUnendable, Overlap
from cbi.refusal import BadValue, NotFound
from tests.cbi.deciding import join, taken_back
from tests.cbi.overlapping import AUGUST, JULY, agreed, one, promised, who
from tests.cbi.test_parted import paid
from tests.cbi.test_reserve import DAY, reserved
from tests.cbi.world import (
    ALFA,
    AT,
    BETA,
    GAMA,
    PARTNER_B,
    PARTNERS,
    calculated,
    count,
    family,
    opened,
    programme_of,
    staff,
)
from tests.conftest import PARTNER_A

COORDINATOR = staff(7, PARTNER_B, {"coordinator"})
SEPTEMBER = date(2026, 9, 1)


async def two_promised(conn, *, kinds=("mpca", "mpca"), first=JULY, later=JULY):
    """Two families of two partners, both promised months; not yet known to be one."""
    mine, theirs = await one(conn, family(1)), await one(conn, family(2), BETA)
    programmes = [
        await programme_of(conn, who_, group=kind)
        for who_, kind in zip((ALFA, BETA), kinds, strict=True)
    ]
    await promised(conn, programmes[0], mine, first=first, months=6)
    enrolment = await promised(
        conn, programmes[1], theirs, BETA, first=later, months=6, at=AT + timedelta(hours=1)
    )
    return mine, theirs, programmes[1], enrolment


async def listed(conn, at=AT, actor=COORDINATOR):
    await db.set_facts(conn, actor)
    return await conflicts.list_conflicts(conn, after=None, limit=50, at=at)


async def proposed(conn, conflict, choice, month=None, *, at=AT, actor=COORDINATOR):
    await db.set_facts(conn, actor)
    return await conflicts.decide(
        conn, conflict.conflict_id, choice, month=month, reason="other", by=who(actor, at)
    )


async def decided(conn, conflict, choice, month=None, *, at=AT, actor=COORDINATOR):
    """Let one decide, and somebody of another organisation confirm."""
    made = await proposed(conn, conflict, choice, month, at=at, actor=actor)
    second = staff(7, PARTNERS["GAMA"], {"coordinator"})
    await db.set_facts(conn, second)
    decision_no = made.decisions[-1].decision_no
    return await conflicts.confirm(conn, made.conflict_id, decision_no, by=who(second, at))


async def test_the_later_promise_is_on_the_coordinators_list_with_its_age(conn):
    mine, theirs, _, _ = await two_promised(conn, later=date(2026, 8, 1))
    assert await listed(conn) == []
    await join(conn, mine, theirs)
    (found,) = await listed(conn, AT + 4 * DAY)
    assert (found.earlier.partner, found.later.partner) == ("ALFA", "BETA")
    assert (found.earlier.first_month, found.earlier.end_month) == (JULY, date(2027, 1, 1))
    assert (found.later.assistance, found.state, found.age_days) == ("mpca", "open", 4)
    # Monday, and three working days.
    assert (found.due_on, found.is_overdue) == (date(2026, 6, 4), True)
    assert not (await listed(conn, AT + 3 * DAY))[0].is_overdue
    shown = str(found)
    assert not any(str(secret) in shown for secret in (mine, theirs))
    for actor in (ALFA, BETA):
        stripped = staff(0, actor.partner_id, {"programme", "registrar", "adjudicator"})
        assert await listed(conn, actor=stripped) == []
        assert await count(conn, "cbi.conflict") == 0


async def test_what_the_rules_allow_together_is_no_conflict(conn):
    mine, theirs, _, _ = await two_promised(conn, kinds=("mpca", "rent"))
    await join(conn, mine, theirs)
    assert await listed(conn) == []


async def test_a_cool_down_that_is_broken_is_a_conflict_too(conn):
    await agreed(conn)
    mine, theirs, _, _ = await two_promised(conn, later=date(2027, 3, 1))
    await join(conn, mine, theirs)
    assert len(await listed(conn)) == 1


async def test_a_reservation_counts_and_an_expired_one_is_over(conn):
    mine, theirs = await one(conn, family(1)), await one(conn, family(2), BETA)
    await promised(conn, await programme_of(conn), mine, first=JULY)
    await reserved(conn, theirs, BETA, at=AT + timedelta(hours=1))
    await join(conn, mine, theirs)
    (found,) = await listed(conn)
    assert (found.state, found.later.partner) == ("open", "BETA")
    (found,) = await listed(conn, AT + 15 * DAY)
    assert (found.state, found.is_overdue) == ("over", False)
    with pytest.raises(ConflictOver):
        await decided(conn, found, "no_overlap", at=AT + 15 * DAY)


async def test_until_somebody_decides_both_go_on(conn):
    mine, theirs, programme, _ = await two_promised(conn)
    await join(conn, mine, theirs)
    # No month is paid twice: that is the entitlement's own rule.
    await paid(conn, programme, BETA, {"first": JULY, "end": AUGUST})
    assert len(await listed(conn)) == 1
    with pytest.raises(Overlap):
        await promised(conn, await programme_of(conn, GAMA), await third(conn, mine), GAMA)


async def third(conn, mine):
    household_id = await one(conn, family(3), GAMA)
    await join(conn, mine, household_id, partners=(PARTNER_A, PARTNERS["GAMA"]))
    return household_id


async def test_the_later_one_ends_from_a_month_on_and_is_paid_no_more(conn):
    mine, theirs, programme, _ = await two_promised(conn)
    await join(conn, mine, theirs)
    await paid(conn, programme, BETA, {"first": JULY, "end": AUGUST})
    (found,) = await listed(conn)
    done = await decided(conn, found, "end_later", AUGUST)
    neighbour = await one(conn, family(9), BETA)
    await promised(conn, programme, neighbour, BETA, first=JULY, months=6)
    assert (done.state, done.later.end_month) == ("decided", AUGUST)
    assert [(each.decision, each.ends) for each in done.decisions] == [("end_later", AUGUST)]
    round_ = await opened(conn, programme, BETA, first=AUGUST, end=SEPTEMBER)
    made = await calculated(conn, round_.round_id, BETA)
    assert made.left_out == {str(theirs): ("not_promised",)}


async def test_the_database_itself_pays_nothing_for_months_that_were_ended(conn):
    mine, theirs, programme, enrolment = await two_promised(conn)
    await join(conn, mine, theirs)
    (found,) = await listed(conn)
    await decided(conn, found, "end_later", AUGUST)
    round_ = await opened(conn, programme, BETA, first=AUGUST, end=SEPTEMBER)
    await load_basis(conn, round_, programme, who=who(BETA, AT))
    with pytest.raises(DBAPIError, match="is not for these months"):
        async with conn.begin_nested():
            await conn.execute(
                text(
                    "INSERT INTO cbi.entitlement (entitlement_id, round_id, partner_id,"
                    " enrolment_id, household_id, beneficiary_id, kind, assistance_group, months,"
                    " household_size, value_version, amount_minor, currency, computed_at)"
                    " SELECT uuidv7(), :round, :partner, :enrolment, :household, beneficiary_id,"
                    " 'instalment', 'mpca', '[2026-08-01,2026-09-01)', 1, 1, 1, 'PEN', now()"
                    " FROM cbi.beneficiaries_of(ARRAY[CAST(:household AS uuid)])"
                ),
                {
                    "round": round_.round_id,
                    "partner": PARTNER_B,
                    "enrolment": enrolment.enrolment_id,
                    "household": theirs,
                },
            )


async def test_both_are_kept_to_the_end_of_a_month(conn):
    mine, theirs, _, _ = await two_promised(conn)
    await join(conn, mine, theirs)
    (found,) = await listed(conn)
    done = await decided(conn, found, "keep_both", AUGUST)
    assert done.later.end_month == SEPTEMBER


async def test_a_later_decision_counts_and_the_first_stays_as_history(conn):
    mine, theirs, _, _ = await two_promised(conn)
    await join(conn, mine, theirs)
    (found,) = await listed(conn)
    await decided(conn, found, "end_later", JULY)
    assert (await listed(conn))[0].state == "decided"
    done = await decided(conn, found, "no_overlap", at=AT + DAY)
    assert [each.decision for each in done.decisions] == ["end_later", "no_overlap"]
    assert done.later.end_month == date(2027, 1, 1)


async def test_months_that_were_given_to_others_meanwhile_are_not_taken_back(conn):
    mine, theirs, _, _ = await two_promised(conn)
    await join(conn, mine, theirs)
    (found,) = await listed(conn)
    await decided(conn, found, "end_later", JULY)
    await db.set_facts(conn, ALFA)
    enrolment = await conn.scalar(text("SELECT enrolment_id FROM cbi.enrolment"))
    await enrol.close(conn, enrolment_id=enrolment, at=AT + DAY)
    other = await programme_of(conn, BETA)
    await promised(conn, other, theirs, BETA, first=JULY, at=AT + DAY)
    with pytest.raises(ConflictUnendable):
        await decided(conn, found, "no_overlap", at=AT + 2 * DAY)


async def test_nor_what_was_given_to_a_third_household_of_the_family(conn):
    mine, theirs, _, _ = await two_promised(conn)
    await join(conn, mine, theirs)
    (found,) = await listed(conn)
    await decided(conn, found, "end_later", JULY)
    await db.set_facts(conn, ALFA)
    enrolment = await conn.scalar(text("SELECT enrolment_id FROM cbi.enrolment"))
    await enrol.close(conn, enrolment_id=enrolment, at=AT + DAY)
    other = await third(conn, mine)
    await promised(conn, await programme_of(conn, GAMA), other, GAMA, first=JULY, at=AT + DAY)
    with pytest.raises(ConflictUnendable):
        await decided(conn, found, "no_overlap", at=AT + 2 * DAY)
    await decided(conn, found, "end_later", JULY, at=AT + 2 * DAY)


async def test_families_that_were_parted_again_have_no_conflict(conn):
    mine, theirs, _, _ = await two_promised(conn)
    await join(conn, mine, theirs)
    await db.set_facts(conn, COORDINATOR)
    case_id = await conn.scalar(text("SELECT case_id FROM dedup.match_case"))
    await taken_back(conn, case_id, "different")
    (found,) = await listed(conn)
    assert found.state == "over"


async def test_only_a_coordinator_decides_and_wholly(conn):
    mine, theirs, _, _ = await two_promised(conn)
    await join(conn, mine, theirs)
    (found,) = await listed(conn)
    for choice, month in (
        ("end_later", None),
        ("keep_both", date(2026, 7, 2)),
        ("no_overlap", JULY),
    ):
        with pytest.raises(BadValue):
            await decided(conn, found, choice, month)
    with pytest.raises(NotFound):
        await decided(conn, found, "no_overlap", actor=staff(7, PARTNER_A, {"adjudicator"}))
    with pytest.raises(DBAPIError, match="row-level security"):
        async with conn.begin_nested():
            await decided(conn, found, "no_overlap", actor=staff(7, PARTNER_A, {"auditor"}))
