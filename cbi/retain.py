"""Keep families findable while months promised to them run, whatever takes them out of the index.

Who withdraws or is corrected into somebody else could otherwise register anew, unknown, and be
promised the same months again. Once they are over, a duty of the worker lets them go.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import household
from cbi.event import Member
from cbi.refusal import PromisesStand
from cbi.register import Desk
from cbi.turn import Held, consents, records_of
from dedup import index
from dedup.blocking import key_hasher
from dedup.index import Keyed
from dedup.record import Record

HOUSEHOLDS_AT_ONCE = 500
# Another telephone or district makes nobody somebody else.
_WHO = frozenset({"document", "token-date", "pair-year", "pair-day", "all"})


async def retained_until(conn: AsyncConnection, household_id: UUID, *, at: datetime) -> date | None:
    """Return the first day on which nothing promised to one's own household runs any more.

    None when nothing does, or when it was never found by matching; `date.max` without an end.
    """
    ends: date | None = await conn.scalar(
        text("SELECT cbi.retained_until(:household_id ::uuid, :at ::timestamptz)"),
        {"household_id": household_id, "at": at},
    )
    return ends


async def promised_of(
    conn: AsyncConnection, household_ids: Sequence[UUID], *, at: datetime
) -> set[UUID]:
    """Return to which of these households something promised runs, and must be kept findable."""
    found = await conn.scalars(
        text(
            "SELECT w.household_id FROM unnest(CAST(:household_ids AS uuid[])) AS w(household_id)"
            " WHERE cbi.retained_until(w.household_id, :at ::timestamptz) IS NOT NULL"
        ),
        {"household_ids": list(household_ids), "at": at},
    )
    return set(found)


async def retain(
    conn: AsyncConnection,
    before: Held,
    *,
    desk: Desk,
    at: datetime,
    person_ids: Iterable[UUID] | None = None,
) -> None:
    """Keep these persons (by default all) findable as they were before this event.

    Only if months promised to the household run, and only by keys that they are found by now: who
    declined the check stays unknown. Call it before the keys are dropped.
    """
    wanted = None if person_ids is None else set(person_ids)
    records = [one for one in records_of(before) if wanted is None or one.person_id in wanted]
    await _retain(conn, index.keyed(records, key_hasher(desk.matching_key)), at=at)


async def with_replaced(
    conn: AsyncConnection, before: Held, after: Held, *, desk: Desk, at: datetime
) -> Held:
    """Return the household with those of whom a form tells something else, as they were told.

    Whoever loses a name, a date or a document by which he is found stays in it as one more who is
    gone, `replaced`. Nobody does when nothing that was promised to the household runs.
    """
    if await retained_until(conn, after.household_id, at=at) is None:
        return after
    hasher = key_hasher(desk.matching_key)
    had = index.keyed(records_of(before), hasher)
    has = index.keyed(records_of(after), hasher)
    known = [each.person for each in after.members if each.gone == "replaced"]
    taken = {each.person_id for each in after.members if each.gone == "error"}
    ordinal = max(after.last_ordinal, *(each.ordinal for each in after.members))
    more: list[Member] = []
    for each in before.members:
        if each.person_id in taken or each.person in known:
            continue
        lost = had.get(each.person_id, {}).items() - has.get(each.person_id, {}).items()
        if any(rule in _WHO for _, rule in lost):
            ordinal += 1
            more.append(
                Member(
                    person_id=desk.new_id(), ordinal=ordinal, gone="replaced", person=each.person
                )
            )
    return msgspec.structs.replace(after, members=(*after.members, *more))


async def retain_replaced(
    conn: AsyncConnection, before: Held, after: Held, *, desk: Desk, at: datetime
) -> None:
    """Keep whom a form took away findable; call it before the household is checked anew.

    It locks their keys together with those of who is there now, so that who registers one of them
    at the same moment is seen, or sees.
    """
    hasher = key_hasher(desk.matching_key)
    before_ids = {each.person_id for each in before.members}
    new = [
        each
        for each in after.members
        if each.gone == "replaced" and each.person_id not in before_ids
    ]
    agrees = await consents(conn, after.household_id, "duplicate_check")
    records = _records(after, new)
    there = records_of(after) if agrees else ()
    keys = index.keyed((*records, *there), hasher)
    if records:
        await index.add(conn, (*records, *there), keys)
    taken = {each.person_id for each in after.members if each.gone == "error"}
    await retain(conn, before, desk=desk, at=at, person_ids=taken if agrees else None)
    origin = {
        shadow.person_id: each.person_id
        for shadow in new
        for each in before.members
        if each.person == shadow.person
    }
    of_new = {one.person_id: keys[one.person_id] for one in records}
    await _retain(conn, of_new, at=at, stand_for=origin)


async def must_be_over(conn: AsyncConnection, household_id: UUID, *, at: datetime) -> None:
    """Raise PromisesStand while months promised to one's own household run that it is found for."""
    until = await retained_until(conn, household_id, at=at)
    if until is not None:
        raise PromisesStand(household_id=household_id, until=None if until == date.max else until)


async def let_go_erased(conn: AsyncConnection, household_id: UUID, *, at: datetime) -> None:
    """Let nobody find a household that an event of this transaction erases."""
    await conn.execute(
        text("SELECT cbi.let_go_erased(:household_id ::uuid, :at ::timestamptz)"),
        {"household_id": household_id, "at": at},
    )


async def let_go(conn: AsyncConnection, *, at: datetime, after: UUID | None = None) -> UUID | None:
    """Let nobody find those of whom nothing promised runs any more, as the worker.

    Looks at the next households after this one; returns the last of them, None when there was none.
    """
    last: UUID | None = await conn.scalar(
        text("SELECT cbi.release_retained(:at ::timestamptz, :after ::uuid, :most ::integer)"),
        {"at": at, "after": after, "most": HOUSEHOLDS_AT_ONCE},
    )
    return last


async def _retain(
    conn: AsyncConnection,
    keys: Keyed,
    *,
    at: datetime,
    stand_for: Mapping[UUID, UUID] = {},
) -> None:
    person_ids = sorted(keys)
    rows = [(place, key) for place, one in enumerate(person_ids, 1) for key in sorted(keys[one])]
    if not rows:
        return
    await conn.execute(
        text(
            "SELECT cbi.retain(:person_ids ::uuid[], :stand_for ::uuid[], :owners ::integer[],"
            " :keys ::bigint[], :at ::timestamptz)"
        ),
        {
            "person_ids": person_ids,
            "stand_for": [stand_for.get(one) for one in person_ids],
            "owners": [place for place, _ in rows],
            "keys": [key for _, key in rows],
            "at": at,
        },
    )


def _records(held: Held, members: Sequence[Member]) -> tuple[Record, ...]:
    return household.records_of(
        [each.person for each in members],
        household_id=held.household_id,
        person_ids=[each.person_id for each in members],
        ubigeo=held.ubigeo,
    )
