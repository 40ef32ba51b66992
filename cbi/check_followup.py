"""Check a follow-up's list before it is paid: everybody on it is matched anew, as on a round's."""

from uuid import UUID

import msgspec
from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import tables
from cbi.check_tables import followup_check_page
from cbi.disburse import lock_round
from cbi.disbursement import Progress, Step
from cbi.follow import load_followup, load_followup_steps, load_sums, must_be_newest, programme_of
from cbi.payees import look_up_by_id
from cbi.recheck import LAST, PAGE_MAX, Checked, last_check, match_anew, next_page
from cbi.refusal import StepDone
from cbi.register import Desk
from cbi.who import Who


class FollowupChecked(Checked, frozen=True, kw_only=True):
    """A check of a follow-up's list."""

    followup_id: UUID


async def check_followup(
    conn: AsyncConnection,
    *,
    followup_id: UUID,
    desk: Desk,
    who: Who,
    before: Step = Step.APPROVED,
    page_max: int = PAGE_MAX,
) -> FollowupChecked | Progress:
    """Check the next page of a follow-up's list; with the last, the list is checked.

    Progress says that there are more: call again in a transaction of its own. Raises NotFound,
    FollowupSuperseded, StepDone once the step `before` is taken.
    """
    followup = await load_followup(conn, followup_id)
    programme = await programme_of(conn, followup)
    await lock_round(conn, followup.round_id)
    await must_be_newest(conn, followup)
    steps = await load_followup_steps(conn, followup_id, programme.currency)
    if before.word in {each.step for each in steps}:
        raise StepDone(round_id=followup.round_id, step=before.word)
    await look_up_by_id(conn)
    owner = {"followup_id": followup_id}
    page = await next_page(
        conn, followup_check_page, owner, model_id=desk.model.model_id, at=who.at
    )
    rows = await _payees(conn, followup_id, after=page.after, limit=page_max + 1)
    is_last, rows = len(rows) <= page_max, rows[:page_max]
    unread, cases = await match_anew(conn, [one for _, one in rows], desk=desk, who=who)
    listed = await load_sums(conn, followup_id, programme.currency)
    await conn.execute(
        insert(followup_check_page).values(
            followup_id=followup_id,
            round_id=followup.round_id,
            check_no=page.check_no,
            page_no=page.page_no,
            **msgspec.structs.asdict(who),
            model_id=desk.model.model_id,
            begun_at=page.begun_at,
            upto_payment=LAST if is_last else rows[-1][0],
            payments=len(rows),
            unread=unread,
            cases=cases,
            is_last=is_last,
            list_digest=listed.list_digest if is_last else None,
        )
    )
    if is_last:
        checked = await load_check(conn, followup_id)
        assert checked is not None
        return checked
    return Progress(
        step="checked",
        chunks_done=page.page_no,
        chunks=-(-listed.payments // page_max),
        done=page.page_no * page_max,
        of=listed.payments,
    )


async def load_check(conn: AsyncConnection, followup_id: UUID) -> FollowupChecked | None:
    """Return the last whole check of a follow-up's list, if there is one."""
    found = await last_check(conn, followup_check_page, {"followup_id": followup_id})
    if found is None:
        return None
    return FollowupChecked(followup_id=followup_id, **msgspec.structs.asdict(found))


async def _payees(
    conn: AsyncConnection, followup_id: UUID, *, after: UUID, limit: int
) -> list[tuple[UUID, UUID]]:
    """Return the next payments of the list, and to which household each is."""
    payment = tables.followup_payment.c
    rows = await conn.execute(
        select(payment.payment_id, payment.household_id)
        .where(payment.followup_id == followup_id, payment.payment_id > after)
        .order_by(payment.payment_id)
        .limit(limit)
    )
    return [(row.payment_id, row.household_id) for row in rows]
