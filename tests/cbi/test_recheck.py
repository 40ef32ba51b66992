"""A payment list is checked before it is approved, and what is found keeps a first payment back."""

from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from api import clock, db
from cbi import disburse, recheck, register
from cbi.disbursement import Progress, Step
from cbi.recheck import load_check
from cbi.refusal import CheckStale, NotFound, PayeesBlocked, StepDone, StepOutOfOrder
from cbi.register import Desk
from cbi.vault import Vault
from cbi.who import Who
from dedup import index, models
from dedup.blocking import key_hasher
from tests.cbi import rechecking
from tests.cbi.world import (
    ALFA,
    AT,
    BETA,
    DESK,
    a_round,
    again,
    approved,
    calculated,
    cancelled,
    count,
    enrolled,
    erase,
    family,
    judged,
    opened,
    programme_of,
    registered,
    signed,
    staff,
    withdraw,
)
from tests.dedup.test_models import variant

LATER = AT + timedelta(hours=25)


async def list_checked(conn, round_id, who=ALFA, *, at=AT, desk=DESK):
    return await rechecking.list_checked(conn, round_id, who, desk=desk, at=at)


async def prepared(conn, families=3):
    programme, household_ids, round_id = await a_round(conn, families)
    await calculated(conn, round_id)
    await signed(conn, round_id, Step.PREPARED, staff(1))
    await signed(conn, round_id, Step.REVIEWED, staff(2))
    return programme, household_ids, round_id


async def approve(conn, round_id, *, at=AT, who=None, **more):
    who = who or staff(3)
    await db.set_facts(conn, who)
    return await disburse.sign(
        conn,
        round_id=round_id,
        step=Step.APPROVED,
        partner_id=who.partner_id,
        actor_id=who.actor_id,
        at=at,
        **more,
    )


async def test_a_list_is_approved_within_a_day_of_its_check(conn):
    _, _, round_id = await prepared(conn)
    with pytest.raises(CheckStale):
        async with conn.begin_nested():
            await approve(conn, round_id, at=LATER)
    renewed = await list_checked(conn, round_id, staff(3), at=LATER)
    assert (renewed.check_no, renewed.payments, renewed.begun_at) == (2, 3, LATER)
    await approve(conn, round_id, at=LATER + timedelta(hours=24))


async def test_the_operator_says_how_many_hours_and_never_more_than_a_week(conn):
    _, _, round_id = await prepared(conn)
    hour = AT + timedelta(minutes=61)
    with pytest.raises(CheckStale):
        async with conn.begin_nested():
            await approve(conn, round_id, at=hour, check_hours_max=1)
    with pytest.raises(CheckStale):
        async with conn.begin_nested():
            await approve(conn, round_id, at=AT + timedelta(hours=169), check_hours_max=9_999)
    await approve(conn, round_id, at=LATER, check_hours_max=26)


async def test_the_database_itself_refuses_an_approval_without_a_check(conn):
    """A handler that forgets to check and to say how many hours approves nothing."""
    _, _, round_id = await a_round(conn)
    made = await calculated(conn, round_id)
    facts = {
        "round_id": round_id,
        "partner_id": ALFA.partner_id,
        "at": AT,
        "digest": bytes.fromhex(made.signed.list_digest),
        "minor": made.signed.total.amount_minor,
    }
    by_hand = text(
        "INSERT INTO cbi.round_step (round_id, step, partner_id, actor_id, at, payments,"
        " amount_minor, list_digest)"
        " VALUES (:round_id, :step, :partner_id, :actor_id, :at, 3, :minor, :digest)"
    )
    for step in (2, 3):
        await db.set_facts(conn, staff(step))
        await conn.execute(by_hand, facts | {"step": step, "actor_id": staff(step).actor_id})
    await db.set_facts(conn, staff(4))
    with pytest.raises(IntegrityError, match="round_step_fresh"):
        async with conn.begin_nested():
            await conn.execute(by_hand, facts | {"step": 4, "actor_id": staff(4).actor_id})


async def test_a_check_under_another_model_than_is_in_use_is_stale(conn):
    _, _, round_id = await prepared(conn)
    other = variant("learned")
    await db.set_facts(conn, db.SYSTEM)
    await models.activate(conn, other, reason="learned", actor_id=db.SYSTEM.actor_id, at=AT)
    with pytest.raises(CheckStale):
        async with conn.begin_nested():
            await approve(conn, round_id)
    desk = Desk(vault=DESK.vault, matching_key=DESK.matching_key, model=other, new_id=clock.new_id)
    checked = await list_checked(conn, round_id, desk=desk)
    assert checked.model_id == other.model_id
    await approve(conn, round_id)


async def test_a_check_is_kept_with_its_list_and_its_model_and_never_changed(conn):
    _, _, round_id = await prepared(conn)
    checked = await load_check(conn, round_id)
    steps = await disburse.load_steps(conn, round_id, "PEN")
    assert checked.list_digest == steps[0].list_digest
    assert (checked.model_id, checked.begun_at) == (DESK.model.model_id, AT)
    assert (checked.payments, checked.unread, checked.cases) == (3, 0, 0)
    for statement in (
        "UPDATE cbi.round_check_page SET begun_at = now()",
        "DELETE FROM cbi.round_check_page",
    ):
        with pytest.raises(DBAPIError, match="permission denied"):
            async with conn.begin_nested():
                await conn.execute(text(statement))


async def test_a_list_that_grew_shorter_needs_no_new_check(conn):
    _, _, round_id = await prepared(conn)
    one, *_ = await disburse.load_entitlements(conn, round_id)
    await cancelled(conn, round_id, one.entitlement_id)
    await approve(conn, round_id)


async def unmatched_pair(conn, monkeypatch) -> UUID:
    """A calculated round of a family that another partner registered, when nobody compared them."""
    programme = await programme_of(conn)
    mine = await registered(conn, family(1))
    with monkeypatch.context() as patch:
        patch.setattr(register, "check_records", _index_only)
        await registered(conn, again(family(1)), BETA)
    await enrolled(conn, programme, mine.household_id)
    round_id = (await opened(conn, programme)).round_id
    await calculated(conn, round_id)
    return round_id


async def _index_only(conn, records, *, desk, **_):
    await index.add(conn, records, index.keyed(records, key_hasher(desk.matching_key)))
    return False


async def test_a_match_that_was_missed_opens_a_case_and_keeps_the_first_payment_back(
    conn, monkeypatch
):
    round_id = await unmatched_pair(conn, monkeypatch)
    assert await count(conn, "dedup.match_case") == 0
    await signed(conn, round_id, Step.PREPARED, staff(1))
    assert (await load_check(conn, round_id)).cases == 1
    assert await count(conn, "dedup.match_case") == 1
    await signed(conn, round_id, Step.REVIEWED, staff(2))
    with pytest.raises(PayeesBlocked) as refused:
        await approve(conn, round_id)
    assert list(refused.value.blocked.values()) == [("open_case",)]
    # The same check again finds nothing new; once people have judged, the family is paid.
    assert (await list_checked(conn, round_id)).cases == 0
    (case_id,) = await conn.scalars(text("SELECT case_id FROM dedup.match_case"))
    await judged(conn, case_id, "different")
    assert (await list_checked(conn, round_id)).cases == 0
    await approve(conn, round_id)


async def test_a_list_is_checked_page_by_page_and_goes_on_where_it_was_left(conn):
    _, _, round_id = await a_round(conn, 5)
    await calculated(conn, round_id)
    by = Who(partner_id=ALFA.partner_id, actor_id=ALFA.actor_id, at=AT)
    await db.set_facts(conn, ALFA)
    told = [
        await recheck.check_round(conn, round_id=round_id, desk=DESK, who=by, page_max=2)
        for _ in range(3)
    ]
    assert told[:2] == [
        Progress(step="checked", chunks_done=done, chunks=3, done=2 * done, of=5) for done in (1, 2)
    ]
    assert (told[2].check_no, told[2].payments) == (1, 5)


async def test_a_check_that_was_left_for_half_a_day_begins_anew(conn):
    _, _, round_id = await a_round(conn, 3)
    await calculated(conn, round_id)
    await db.set_facts(conn, ALFA)
    facts = {"partner_id": ALFA.partner_id, "actor_id": ALFA.actor_id}
    for at in (AT, AT + timedelta(hours=13)):
        who = Who(**facts, at=at)
        await recheck.check_round(conn, round_id=round_id, desk=DESK, who=who, page_max=1)
    rows = await conn.execute(text("SELECT check_no, page_no FROM cbi.round_check_page"))
    assert [tuple(row) for row in rows] == [(1, 1), (2, 1)]


async def test_pages_that_pass_somebody_over_are_refused(conn):
    _, _, round_id = await a_round(conn, 3)
    await calculated(conn, round_id)
    one, two, three = await disburse.load_entitlements(conn, round_id)
    listed = await disburse.load_list(conn, round_id, "PEN")
    facts = {
        "round": round_id,
        "partner": ALFA.partner_id,
        "who": ALFA.actor_id,
        "at": AT,
        "digest": listed.list_digest,
    }
    page = text(
        "INSERT INTO cbi.round_check_page (round_id, check_no, page_no, partner_id, actor_id,"
        " model_id, begun_at, at, upto_payment, payments, unread, cases, is_last, list_digest)"
        " VALUES (:round, 1, :page, :partner, :who, 'm', :at, :at, :upto, :payments, 0, 0,"
        " :is_last, :digest)"
    )
    await db.set_facts(conn, ALFA)
    last = {"page": 1, "is_last": True}
    for more in (
        last | {"upto": three.entitlement_id, "payments": 2},
        last | {"upto": two.entitlement_id, "payments": 2},
        last | {"upto": three.entitlement_id, "payments": 3, "digest": b"another"},
    ):
        with pytest.raises(IntegrityError, match="round_check_page_of_list"):
            async with conn.begin_nested():
                await conn.execute(page, facts | more)
    with pytest.raises(IntegrityError, match="round_check_page_after"):
        async with conn.begin_nested():
            await conn.execute(
                page, facts | last | {"page": 2, "upto": three.entitlement_id, "payments": 3}
            )
    del one


async def test_who_can_not_be_read_is_counted_and_stops_nobody(conn):
    _, (erased, withdrawn, _), round_id = await a_round(conn, 3)
    await calculated(conn, round_id)
    await erase(conn, erased)
    await withdraw(conn, withdrawn, "duplicate_check")
    assert (await list_checked(conn, round_id)).unread == 2
    broken = Desk(
        vault=Vault({"test": b"x" * 32}),
        matching_key=DESK.matching_key,
        model=DESK.model,
        new_id=clock.new_id,
    )
    assert (await list_checked(conn, round_id, desk=broken)).unread == 3


async def test_only_a_calculated_round_of_ones_own_that_is_not_approved_is_checked(conn):
    _, _, round_id = await a_round(conn)
    with pytest.raises(StepOutOfOrder):
        await list_checked(conn, round_id)
    with pytest.raises(NotFound):
        await list_checked(conn, round_id, BETA)
    await approved(conn, round_id)
    with pytest.raises(StepDone):
        await list_checked(conn, round_id)
