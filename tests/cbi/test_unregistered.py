"""Who was turned away before being registered appeals like others, and nobody knows who it is."""

from typing import get_args

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from api import db
from cbi import appeals, slips
from cbi.appeal_refusal import SlipsSpent, StatementErased
from cbi.refusal import BadValue, CbiRefusal, NotFound, OpenCase
from cbi.slip import NewSlip, Reason, said
from cbi.term_refusal import NotEligible
from tests.cbi.appealing import (
    REVIEWER,
    SAID,
    case_of,
    decided,
    forget,
    fresh,
    lodged,
    slip_of,
    taken,
    who,
)
from tests.cbi.events import erased, withdrawn
from tests.cbi.test_caps import capped
from tests.cbi.test_eligible import LARGE, home, ruled
from tests.cbi.world import (
    ALFA,
    BETA,
    DESK,
    a_round,
    calculated,
    enrolled,
    family,
    judged,
    programme_of,
    registered,
)

UNREGISTERED = ("not_registered", "row_refused", "check_review", "check_blocked")


async def reversed_for(conn, reason):
    """The appeal of somebody who is not registered, reversed by another organisation."""
    printed = await slip_of(conn, None, NewSlip(reason=reason))
    appeal_id = (await lodged(conn, printed.token)).appeal_id
    await forget(conn)
    await taken(conn, appeal_id)
    return await decided(conn, appeal_id)


@pytest.mark.parametrize("reason", UNREGISTERED)
async def test_a_reversal_gives_who_was_turned_away_a_right_that_who_refused_sees(conn, reason):
    appeal = await reversed_for(conn, reason)
    right = "another_look" if reason.startswith("check") else "registration"
    assert (appeal.state, appeal.effect.entitles_to) == ("to_act", right)
    await db.set_facts(conn, ALFA)
    seen = await appeals.load_appeal(conn, appeal.appeal_id)
    assert (seen.refused.reason, seen.effect.entitles_to) == (reason, right)
    household_id = (await registered(conn, family(1))).household_id
    facts = {"what": "registered", "who": who(ALFA)}
    with pytest.raises(BadValue):
        await appeals.act(conn, appeal.appeal_id, **facts)
    theirs = (await registered(conn, family(2), BETA)).household_id
    await db.set_facts(conn, ALFA)
    with pytest.raises(NotFound):
        await appeals.act(conn, appeal.appeal_id, household_id=theirs, **facts)
    done = await appeals.act(conn, appeal.appeal_id, household_id=household_id, **facts)
    assert (done.state, done.acted.household_id) == ("done", household_id)


async def test_once_registered_the_erasure_reaches_what_was_said_before(conn):
    appeal = await reversed_for(conn, "not_registered")
    household_id = (await registered(conn, family(1))).household_id
    await appeals.act(
        conn, appeal.appeal_id, what="registered", household_id=household_id, who=who(ALFA)
    )
    await withdrawn(conn, household_id, "registration")
    await erased(conn, household_id)
    await db.set_facts(conn, REVIEWER)
    with pytest.raises(StatementErased):
        await appeals.read_statement(conn, appeal.appeal_id, vault=DESK.vault, who=who(REVIEWER))


async def test_the_slips_of_two_who_are_not_registered_are_two_and_say_of_nobody_who(conn):
    asked = NewSlip(reason="check_blocked", document_group="venezuelan")
    one, other = await slip_of(conn, None, asked), await slip_of(conn, None, asked)
    assert one.slip.slip_id != other.slip.slip_id
    appeal_id = (await lodged(conn, one.token)).appeal_id
    await db.set_facts(conn, ALFA)
    stored = await conn.scalar(
        text(
            "SELECT s::text || a::text FROM cbi.slip AS s JOIN cbi.appeal AS a USING (slip_id)"
            " WHERE a.appeal_id = :id"
        ),
        {"id": appeal_id},
    )
    assert SAID not in stored
    assert (one.slip.household_id, one.slip.case_id) == (None, None)
    facts = {"household_id": None, "slip_id": one.slip.slip_id}
    again = await slips.reprint(
        conn, token=fresh().token, matching_key=DESK.matching_key, who=who(ALFA), **facts
    )
    assert again.print_no == 2
    await db.set_facts(conn, BETA)
    with pytest.raises(NotFound):
        await slips.load_slip(conn, **facts)


async def test_a_reason_goes_with_a_registration_or_without_one(conn):
    household_id, case_id = await case_of(conn)
    for reason in get_args(Reason):
        assert said(reason) in {"must_wait", "not_accepted"}
        wrong = household_id if reason in UNREGISTERED else None
        with pytest.raises(BadValue):
            await slip_of(conn, wrong, NewSlip(reason=reason, case_id=case_id))


async def test_so_many_slips_without_registration_are_given_in_a_day(conn):
    await slip_of(conn, None, NewSlip(reason="check_review"))
    await conn.execute(
        text("""
            INSERT INTO cbi.slip (slip_id, partner_id, reference, reason, issued_by, issued_at,
                issued_on, appeal_until)
            SELECT uuidv7(), s.partner_id, translate(to_char(n, 'FM0000-0000'), '01', 'AB'),
                s.reason, s.issued_by, s.issued_at, s.issued_on, s.appeal_until
            FROM cbi.slip AS s, generate_series(1, 499) AS n""")
    )
    with pytest.raises(SlipsSpent):
        await slip_of(conn, None, NewSlip(reason="check_review"))
    await slip_of(conn, None, NewSlip(reason="check_review"), BETA)


# Refusals of those who are registered, as they happen: who was refused, and what the slip names.


async def not_eligible(conn):
    programme = await ruled(conn, LARGE)
    household_id = await home(conn, 1, size=2)
    with pytest.raises(NotEligible):
        await enrolled(conn, programme, household_id)
    return household_id, NewSlip(reason="not_eligible", assistance_group="mpca")


async def overlapping(conn):
    programme = await programme_of(conn)
    household_id, case_id = await case_of(conn)
    await judged(conn, case_id, "same_household")
    theirs = await programme_of(conn, BETA)
    (other,) = await conn.scalars(
        text("SELECT household_b FROM dedup.match_case WHERE case_id = :id"), {"id": case_id}
    )
    await enrolled(conn, theirs, other, BETA)
    await db.set_facts(conn, ALFA)
    with pytest.raises(CbiRefusal):
        async with conn.begin_nested():
            await enrolled(conn, programme, household_id)
    return household_id, NewSlip(reason="overlap", assistance_group="mpca")


async def waiting_for_a_decision(conn):
    programme = await programme_of(conn)
    household_id, case_id = await case_of(conn)
    await db.set_facts(conn, ALFA)
    with pytest.raises(OpenCase):
        await enrolled(conn, programme, household_id)
    return household_id, NewSlip(reason="open_case", case_id=case_id)


async def decided_to_be_the_same(conn):
    household_id, case_id = await case_of(conn)
    await judged(conn, case_id, "same_household")
    return household_id, NewSlip(reason="duplicate_decision", case_id=case_id)


async def left_out_above_a_cap(conn):
    _, household_ids, round_id = await a_round(conn, 3)
    await capped(conn, per_transaction=15_000)
    await db.set_facts(conn, ALFA)
    found = await calculated(conn, round_id)
    assert found.left_out == {str(household_ids[2]): ("above_instrument_cap",)}
    enrolment_id = await conn.scalar(
        text("SELECT enrolment_id FROM cbi.left_out WHERE round_id = :id"), {"id": round_id}
    )
    return household_ids[2], NewSlip(
        reason="left_out", round_id=round_id, enrolment_id=enrolment_id, assistance_group="mpca"
    )


@pytest.mark.parametrize(
    "refuse",
    [
        not_eligible,
        overlapping,
        waiting_for_a_decision,
        decided_to_be_the_same,
        left_out_above_a_cap,
    ],
)
async def test_every_refusal_of_a_family_can_be_appealed_and_reversed(conn, refuse):
    household_id, asked = await refuse(conn)
    printed = await slip_of(conn, household_id, asked)
    appeal_id = (await lodged(conn, printed.token)).appeal_id
    await forget(conn)
    await taken(conn, appeal_id)
    appeal = await decided(conn, appeal_id)
    reopened = asked.reason == "duplicate_decision"
    assert appeal.effect.kind == ("case_reopened" if reopened else "must_act")
    assert appeal.effect.entitles_to is None


async def test_the_database_keeps_what_a_slip_without_registration_may_name(conn):
    printed = await slip_of(conn, None, NewSlip(reason="row_refused"))
    assert printed.slip.household_id is None
    _, case_id = await case_of(conn)
    await db.set_facts(conn, ALFA)
    with pytest.raises(IntegrityError, match="slip_of_unregistered"):
        async with conn.begin_nested():
            await conn.execute(
                text("""
                    INSERT INTO cbi.slip (slip_id, partner_id, reference, reason, case_id,
                        issued_by, issued_at, issued_on, appeal_until)
                    SELECT uuidv7(), partner_id, 'AAAA-AAAA', reason, :case_id, issued_by,
                        issued_at, issued_on, appeal_until FROM cbi.slip LIMIT 1"""),
                {"case_id": case_id},
            )
