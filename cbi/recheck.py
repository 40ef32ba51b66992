"""Check a payment list before it is paid: everybody on it is matched against everybody anew.

Page by page, each a transaction of its own. What is found opens cases as a registration does, and
those keep a first payment back. What stays is when, under which model, and of which list.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import msgspec
from sqlalchemy import Table, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi.check_tables import round_check_page
from cbi.disburse import (
    FIRST,
    load_entitlements,
    load_list,
    load_round,
    load_steps,
    lock_round,
)
from cbi.disbursement import Progress, Step
from cbi.enrol import load_programme
from cbi.identities import Candidates
from cbi.payees import look_up_by_id
from cbi.refusal import StepDone, StepOutOfOrder
from cbi.register import Desk
from cbi.seek import open_all, seek
from cbi.who import Who
from dedup import judge, runs
from dedup.blocking import key_hasher
from dedup.case import Why
from dedup.find import Found, Pair
from dedup.find_all import keyed
from dedup.opening import Matched
from dedup.runs import Ids

# Households of one transaction: some seconds, in which nobody else signs this round.
PAGE_MAX = 1_000
LAST = UUID(int=2**128 - 1)
# A check that was left lying is begun anew rather than finished: it would be stale when it ends.
LEFT_HOURS_MAX = 12


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    """A check of a whole payment list; what it says is as old as `begun_at`.

    `unread` households declined the duplicate check, withdrew, or can't be opened: their payment
    hangs on other rules. `cases` were opened, opened anew, or got more evidence.
    """

    check_no: int
    begun_at: datetime
    at: datetime
    model_id: str
    payments: int
    unread: int
    cases: int
    list_digest: str  # SHA-256, hexadecimal


class RoundChecked(Checked, frozen=True, kw_only=True):
    """A check of a round's list."""

    round_id: UUID


class Page(msgspec.Struct, frozen=True):
    """Where a check goes on."""

    check_no: int
    page_no: int
    begun_at: datetime
    after: UUID


async def check_round(
    conn: AsyncConnection,
    *,
    round_id: UUID,
    desk: Desk,
    who: Who,
    before: Step = Step.APPROVED,
    page_max: int = PAGE_MAX,
) -> RoundChecked | Progress:
    """Check the next page of a round's list; with the last, the list is checked.

    Progress says that there are more: call again in a transaction of its own. Raises NotFound,
    StepOutOfOrder for a round that is not calculated, StepDone once the step `before` is taken.
    """
    opened = await load_round(conn, round_id)
    programme = await load_programme(conn, opened.programme_id)
    await lock_round(conn, round_id)
    steps = {step.step: step for step in await load_steps(conn, round_id, programme.currency)}
    if Step.CALCULATED.word not in steps:
        raise StepOutOfOrder(round_id=round_id, step="checked")
    if before.word in steps:
        raise StepDone(round_id=round_id, step=before.word)
    await look_up_by_id(conn)
    owner = {"round_id": round_id}
    page = await next_page(conn, round_check_page, owner, model_id=desk.model.model_id, at=who.at)
    rows = await load_entitlements(conn, round_id, after=page.after, limit=page_max + 1)
    is_last, rows = len(rows) <= page_max, rows[:page_max]
    unread, cases = await match_anew(conn, [row.household_id for row in rows], desk=desk, who=who)
    # The digest of a long list takes a second: once, not on every page.
    listed = await load_list(conn, round_id, programme.currency) if is_last else None
    await conn.execute(
        insert(round_check_page).values(
            round_id=round_id,
            check_no=page.check_no,
            page_no=page.page_no,
            **msgspec.structs.asdict(who),
            model_id=desk.model.model_id,
            begun_at=page.begun_at,
            upto_payment=LAST if is_last else rows[-1].entitlement_id,
            payments=len(rows),
            unread=unread,
            cases=cases,
            is_last=is_last,
            list_digest=listed.list_digest if listed is not None else None,
        )
    )
    if is_last:
        checked = await load_check(conn, round_id)
        assert checked is not None
        return checked
    # Some may have been cancelled since.
    payments = steps[Step.CALCULATED.word].payments
    return Progress(
        step="checked",
        chunks_done=page.page_no,
        chunks=-(-payments // page_max),
        done=page.page_no * page_max,
        of=payments,
    )


async def load_check(conn: AsyncConnection, round_id: UUID) -> RoundChecked | None:
    """Return the last whole check of a round's list, if there is one."""
    found = await last_check(conn, round_check_page, {"round_id": round_id})
    if found is None:
        return None
    return RoundChecked(round_id=round_id, **msgspec.structs.asdict(found))


async def last_check(
    conn: AsyncConnection, pages: Table, owner: Mapping[str, UUID]
) -> Checked | None:
    """Return the last whole check of what `owner` names, if there is one."""
    column = pages.c
    of_owner = select(pages).where(*(column[name] == value for name, value in owner.items()))
    last = (
        await conn.execute(of_owner.where(column.is_last).order_by(column.check_no.desc()).limit(1))
    ).one_or_none()
    if last is None:
        return None
    found = (await conn.execute(of_owner.where(column.check_no == last.check_no))).all()
    return Checked(
        check_no=last.check_no,
        begun_at=last.begun_at,
        at=last.at,
        model_id=last.model_id,
        payments=sum(page.payments for page in found),
        unread=sum(page.unread for page in found),
        cases=sum(page.cases for page in found),
        list_digest=last.list_digest.hex(),
    )


async def next_page(
    conn: AsyncConnection,
    pages: Table,
    owner: Mapping[str, UUID],
    *,
    model_id: str,
    at: datetime,
) -> Page:
    """Return where the checks of what `owner` names go on: with a page, or with a check anew."""
    column = pages.c
    last = (
        await conn.execute(
            select(pages)
            .where(*(column[name] == value for name, value in owner.items()))
            .order_by(column.check_no.desc(), column.page_no.desc())
            .limit(1)
        )
    ).one_or_none()
    if last is None:
        return Page(1, 1, at, FIRST)
    left = at - last.begun_at > timedelta(hours=LEFT_HOURS_MAX)
    if last.is_last or last.model_id != model_id or left:
        return Page(last.check_no + 1, 1, at, FIRST)
    return Page(last.check_no, last.page_no + 1, last.begun_at, last.upto_payment)


async def match_anew(
    conn: AsyncConnection, household_ids: Sequence[UUID], *, desk: Desk, who: Who
) -> tuple[int, int]:
    """Match households against everybody, open cases; return how many went unread, and the cases.

    Who declined has a case of its own since registration, and consents are asked for elsewhere.
    """
    opener = Candidates(conn, desk.vault)
    homes = [each for each in await open_all(opener, household_ids) if each.persons]
    keys = await keyed([each.persons for each in homes], key_hasher(desk.matching_key))
    persons = [each.persons for each in homes]
    found = await seek(conn, persons, keys, model=desk.model, opener=opener)
    unread = len(household_ids) - len(homes) + found.count(None)
    pairs = _each_once(pair for one in found if one is not None for pair in one.pairs)
    cases = 0
    are_new = await runs.are_new(conn, [ids for ids, _ in pairs], model_id=desk.model.model_id)
    matched = [
        Matched(pair=pair, partner_id=who.partner_id)
        for (_, pair), is_new in zip(pairs, are_new, strict=True)
        if is_new
    ]
    if matched:
        made = await judge.open_batch(
            conn, matched, model=desk.model, at=who.at, actor_id=who.actor_id
        )
        cases = made.opened + made.reopened + made.strengthened
    for home, one in zip(homes, found, strict=True):
        why = _unsearched(one)
        if why is not None:
            await judge.open_unchecked(
                conn,
                home.household_id,
                why=why,
                partner_id=who.partner_id,
                at=who.at,
                actor_id=who.actor_id,
            )
    return unread, cases


def _unsearched(found: Found | None) -> Why | None:
    if found is None:
        return None
    return "unsearchable" if found.unsearched else "crowded" if found.crowded else None


def _each_once(pairs: Iterable[Pair]) -> list[tuple[Ids, Pair]]:
    """Keep one of each two persons, who find each other when both stand on the page."""
    known: dict[tuple[UUID, UUID], tuple[Ids, Pair]] = {}
    for pair in pairs:
        one, other = (
            (pair.household_id, pair.person_id),
            (pair.other_household_id, pair.other_person_id),
        )
        low, high = sorted((one, other))
        ids = Ids(household_a=low[0], household_b=high[0], person_a=low[1], person_b=high[1])
        known.setdefault((low[1], high[1]), (ids, pair))
    return list(known.values())
