"""A round of which payments failed, and its follow-ups."""

from datetime import timedelta

from sqlalchemy import text

from api import clock, db
from cbi import follow, reissue
from cbi.check_followup import FollowupChecked, check_followup
from cbi.disburse import load_entitlements
from cbi.disbursement import Step, end_to_end_id
from cbi.who import Who
from tests.cbi.bank import line, settled, statement, taken_in
from tests.cbi.world import (
    ALFA,
    AT,
    DESK,
    KEYS,
    PAYS_ON,
    approved,
    enrolled_families,
    opened,
    programme_of,
    released,
    staff,
)

SOURCES = {"delivered": "camt.053", "returned": "camt.053", "rejected": "pain.002"}


async def a_sent_round(conn, families=3):
    """A released round; returns its programme, its id and its entitlements."""
    programme = await programme_of(conn)
    await enrolled_families(conn, programme, families)
    round_id = (await opened(conn, programme)).round_id
    await approved(conn, round_id)
    await released(conn, round_id)
    await db.set_facts(conn, ALFA)
    return programme, round_id, await load_entitlements(conn, round_id)


async def came(conn, what, entitlements, attempt_no=1):
    """The bank says what became of this attempt of these payments."""
    lines = [
        line(
            SOURCES[what],
            ordinal,
            end_to_end_id(each.entitlement_id, attempt_no),
            each.money.amount_minor,
            status="rejected" if what == "rejected" else "booked",
            direction="credit" if what == "returned" else "debit",
        )
        for ordinal, each in enumerate(entitlements)
    ]
    await taken_in(conn, statement(*lines, message_id=f"{what}-{clock.new_id()}"))
    return await settled(conn)


async def followed(conn, round_id, who=ALFA, **more):
    await db.set_facts(conn, who, request_id="request-5")
    return await follow.open_followup(
        conn,
        round_id=round_id,
        followup_id=clock.new_id(),
        pays_on=PAYS_ON + timedelta(days=7),
        partner_id=who.partner_id,
        actor_id=who.actor_id,
        at=AT,
        **more,
    )


async def checked_again(conn, followup_id, who=ALFA, *, at=AT, desk=DESK, **more):
    """Check everybody on the list, page by page in one transaction."""
    await db.set_facts(conn, who, request_id="request-4")
    by = Who(partner_id=who.partner_id, actor_id=who.actor_id, at=at)
    done = None
    while not isinstance(done, FollowupChecked):
        done = await check_followup(conn, followup_id=followup_id, desk=desk, who=by, **more)
    return done


async def signed_on(conn, followup_id, step, who, *, at=AT, **more):
    """Sign, after what preparing does before it signs."""
    if step is Step.PREPARED:
        await checked_again(conn, followup_id, who, at=at)
    await db.set_facts(conn, who)
    return await follow.sign_followup(
        conn,
        followup_id=followup_id,
        step=step,
        partner_id=who.partner_id,
        actor_id=who.actor_id,
        at=at,
        **more,
    )


async def approved_again(conn, followup_id):
    for place, step in enumerate((Step.PREPARED, Step.REVIEWED, Step.APPROVED), start=1):
        await signed_on(conn, followup_id, step, staff(place))


async def released_again(conn, followup_id, who=None):
    who = who or staff(4)
    await db.set_facts(conn, who, request_id="request-6")
    return await reissue.release_followup(
        conn,
        followup_id=followup_id,
        partner_id=who.partner_id,
        actor_id=who.actor_id,
        at=AT,
        keys=KEYS,
    )


async def reissued(conn, round_id):
    """Open a follow-up, sign and release it."""
    made = await followed(conn, round_id)
    await approved_again(conn, made.followup.followup_id)
    await released_again(conn, made.followup.followup_id)
    await conn.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))
    return made
