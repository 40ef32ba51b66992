"""A follow-up's list is matched anew before it is approved, as a round's is."""

from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from api import clock, db
from cbi import register
from cbi.check_followup import check_followup, load_check
from cbi.disburse import load_entitlements
from cbi.disbursement import Progress, Step
from cbi.refusal import CheckStale, FollowupSuperseded, NotFound, PayeesBlocked, StepDone
from cbi.register import Desk
from cbi.who import Who
from dedup import models
from tests.cbi.follow import a_sent_round, came, checked_again, followed, signed_on
from tests.cbi.test_recheck import _index_only
from tests.cbi.world import (
    ALFA,
    AT,
    BETA,
    DESK,
    again,
    approved,
    count,
    enrolled,
    family,
    judged,
    opened,
    programme_of,
    registered,
    released,
    staff,
)
from tests.dedup.test_models import variant

LATER = AT + timedelta(hours=25)


async def a_followup(conn, families=3) -> UUID:
    _, round_id, entitlements = await a_sent_round(conn, families)
    await came(conn, "rejected", entitlements)
    return (await followed(conn, round_id)).followup.followup_id


async def reviewed(conn, followup_id):
    await signed_on(conn, followup_id, Step.PREPARED, staff(1))
    await signed_on(conn, followup_id, Step.REVIEWED, staff(2))


async def approve(conn, followup_id, **more):
    await signed_on(conn, followup_id, Step.APPROVED, staff(3), **more)


async def test_a_check_counts_for_a_day_and_then_has_to_be_renewed(conn):
    followup_id = await a_followup(conn)
    await reviewed(conn, followup_id)
    for at, more in (
        (LATER, {}),
        (AT + timedelta(hours=169), {"check_hours_max": 9_999}),
    ):
        with pytest.raises(CheckStale):
            async with conn.begin_nested():
                await approve(conn, followup_id, at=at, **more)
    checked = await checked_again(conn, followup_id, at=LATER)
    assert (checked.check_no, checked.payments, checked.unread, checked.cases) == (2, 3, 0, 0)
    await approve(conn, followup_id, at=LATER)
    with pytest.raises(StepDone):
        await checked_again(conn, followup_id, at=LATER)


async def test_the_database_itself_refuses_an_approval_without_a_check(conn):
    followup_id = await a_followup(conn)
    by_hand = text(
        "INSERT INTO cbi.followup_step (followup_id, round_id, step, partner_id, actor_id, at,"
        " payments, amount_minor, list_digest) SELECT followup_id, round_id, :step, partner_id,"
        " :who, at, payments, amount_minor, list_digest FROM cbi.followup_step WHERE step = 1"
    )
    for step in (2, 3):
        await db.set_facts(conn, staff(step))
        await conn.execute(by_hand, {"step": step, "who": staff(step).actor_id})
    await db.set_facts(conn, staff(4))
    with pytest.raises(IntegrityError, match="followup_step_fresh"):
        async with conn.begin_nested():
            await conn.execute(by_hand, {"step": 4, "who": staff(4).actor_id})
    assert await load_check(conn, followup_id) is None


async def test_a_check_under_another_model_than_is_in_use_is_stale(conn):
    followup_id = await a_followup(conn)
    await reviewed(conn, followup_id)
    other = variant("learned")
    await db.set_facts(conn, db.SYSTEM)
    await models.activate(conn, other, reason="learned", actor_id=db.SYSTEM.actor_id, at=AT)
    with pytest.raises(CheckStale):
        async with conn.begin_nested():
            await approve(conn, followup_id)
    desk = Desk(vault=DESK.vault, matching_key=DESK.matching_key, model=other, new_id=clock.new_id)
    assert (await checked_again(conn, followup_id, desk=desk)).model_id == other.model_id
    await approve(conn, followup_id)


async def test_who_was_registered_elsewhere_since_is_found_and_kept_back(conn, monkeypatch):
    programme = await programme_of(conn)
    mine = await registered(conn, family(1))
    await enrolled(conn, programme, mine.household_id)
    round_id = (await opened(conn, programme)).round_id
    await approved(conn, round_id)
    await released(conn, round_id)
    await db.set_facts(conn, ALFA)
    await came(conn, "rejected", await load_entitlements(conn, round_id))
    with monkeypatch.context() as patch:
        patch.setattr(register, "check_records", _index_only)
        await registered(conn, again(family(1)), BETA)
    followup_id = (await followed(conn, round_id)).followup.followup_id
    await signed_on(conn, followup_id, Step.PREPARED, staff(1))
    assert (await load_check(conn, followup_id)).cases == 1
    await signed_on(conn, followup_id, Step.REVIEWED, staff(2))
    with pytest.raises(PayeesBlocked) as refused:
        await approve(conn, followup_id)
    assert list(refused.value.blocked.values()) == [("open_case",)]
    (case_id,) = await conn.scalars(text("SELECT case_id FROM dedup.match_case"))
    await judged(conn, case_id, "different")
    await approve(conn, followup_id)


async def test_a_list_is_checked_page_by_page_and_goes_on_where_it_was_left(conn):
    followup_id = await a_followup(conn, 5)
    by = Who(partner_id=ALFA.partner_id, actor_id=ALFA.actor_id, at=AT)
    await db.set_facts(conn, ALFA)
    told = [
        await check_followup(conn, followup_id=followup_id, desk=DESK, who=by, page_max=2)
        for _ in range(3)
    ]
    assert told[:2] == [
        Progress(step="checked", chunks_done=done, chunks=3, done=2 * done, of=5) for done in (1, 2)
    ]
    assert (told[2].check_no, told[2].payments) == (1, 5)
    for statement in (
        "UPDATE cbi.followup_check_page SET begun_at = now()",
        "DELETE FROM cbi.followup_check_page",
    ):
        with pytest.raises(DBAPIError, match="permission denied"):
            async with conn.begin_nested():
                await conn.execute(text(statement))


PAGE = text(
    "INSERT INTO cbi.followup_check_page (followup_id, round_id, check_no, page_no, partner_id,"
    " actor_id, model_id, begun_at, at, upto_payment, payments, unread, cases, is_last,"
    " list_digest) SELECT f.followup_id, f.round_id, 1, :page, f.partner_id, cbi.actor_id(), 'm',"
    " f.opened_at, f.opened_at, p.payment_id, CAST(:payments AS integer), 0, 0, :is_last,"
    " CASE WHEN :is_last THEN sha256('x') END FROM cbi.followup AS f JOIN cbi.followup_payment AS p"
    " USING (followup_id) WHERE followup_id = :id ORDER BY p.payment_id DESC LIMIT 1"
)


@pytest.mark.parametrize(
    ("page", "payments", "is_last", "rule"),
    [
        (1, 2, True, "followup_check_page_of_list"),
        (1, 3, True, "followup_check_page_of_list"),
        (2, 0, False, "followup_check_page"),
    ],
)
async def test_pages_that_pass_somebody_over_are_refused(conn, page, payments, is_last, rule):
    followup_id = await a_followup(conn)
    facts = {"id": followup_id, "page": page, "payments": payments, "is_last": is_last}
    with pytest.raises(IntegrityError, match=rule):
        async with conn.begin_nested():
            await conn.execute(PAGE, facts)


async def test_only_the_newest_of_ones_own_is_checked(conn):
    followup_id = await a_followup(conn)
    await db.set_facts(conn, ALFA)
    round_id = await conn.scalar(text("SELECT round_id FROM cbi.followup"))
    await followed(conn, round_id)
    with pytest.raises(FollowupSuperseded):
        await checked_again(conn, followup_id)
    with pytest.raises(NotFound):
        await checked_again(conn, followup_id, BETA)
    assert await count(conn, "cbi.followup_check_page") == 0
