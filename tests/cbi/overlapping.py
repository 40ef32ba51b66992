"""Short ways to agree rules, and to promise months to families past what enrolment asks for."""

from datetime import date, datetime

from api import clock, db
from cbi import agree, enrol
from cbi.overlap import example, months_of
from cbi.who import Who
from tests.cbi.world import ALFA, AT, DESK, TODAY, registered, staff
from tests.conftest import PARTNER_A, PARTNER_B

JULY, AUGUST, OCTOBER = date(2026, 7, 1), date(2026, 8, 1), date(2026, 10, 1)
JUDGE = {"adjudicator"}


def who(actor: db.Actor, at: datetime = AT) -> Who:
    return Who(partner_id=actor.partner_id, actor_id=actor.actor_id, at=at)


async def agreed(conn, *, approved_by=(PARTNER_A, PARTNER_B), effective=TODAY, at=AT, **changes):
    """Let partner A propose the example with changes, and reviewers approve it."""
    proposer = staff(8, PARTNER_A, JUDGE)
    await db.set_facts(conn, proposer)
    rules = agree.read({**example(), **changes})
    made = await agree.propose(
        conn, rules, effective_from=effective, today=effective, by=who(proposer, at)
    )
    for partner_id in approved_by:
        approver = staff(9, partner_id, JUDGE)
        await db.set_facts(conn, approver)
        made = await agree.approve(conn, version=made.version, by=who(approver, at))
    return made


async def promised(conn, programme, household_id, actor=ALFA, *, first=None, months=3, at=AT):
    """Enrol for some months, or without, until it is closed."""
    await db.set_facts(conn, actor, request_id="request-2")
    return await enrol.enrol(
        conn,
        programme_id=programme.programme_id,
        household_id=household_id,
        enrolment_id=clock.new_id(),
        months=months_of(first, months) if first else None,
        vault=DESK.vault,
        partner_id=actor.partner_id,
        actor_id=actor.actor_id,
        at=at,
    )


async def one(conn, raw, actor=ALFA):
    return (await registered(conn, raw, actor)).household_id
