"""Let two households of one organisation become one: the other ends in it."""

from datetime import date
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi.event import FINDABLE, Happened, Member, gather, pair
from cbi.household import PERSONS_MAX
from cbi.person import SpecificNeed
from cbi.refusal import BadValue
from cbi.register import Desk, Receipt, receipt
from cbi.turn import (
    Held,
    Needs,
    close_enrolments,
    counted,
    forget,
    gone,
    hold,
    load_needs,
    lock_families,
    must_be_past,
    note_succession,
    recheck,
    rewrite,
    succeed,
    turn,
)
from cbi.who import Who


async def merge(
    conn: AsyncConnection,
    household_id: UUID,
    other_id: UUID,
    *,
    on: date,
    desk: Desk,
    who: Who,
    today: date,
    note: str = "",
) -> Receipt:
    """Take the persons of another household of one's own into this one, which goes on.

    Who stands in both is one person, known by the documents of both. The other's head is no head
    here, and this one's account stays. The other's enrolments close; what it was promised is paid,
    and blocks those months for the whole family. Raises NotFound, HouseholdEnded, IdentityErased,
    FamiliesApart and BadValue.
    """
    must_be_past(on, today)
    if household_id == other_id:
        raise BadValue(field="household_id", reason="the same household")
    # Evidence may be added to cases: nobody judges meanwhile, who would then wait for the families.
    await conn.execute(text("SELECT dedup.lock_all_cases()"))
    await lock_families(conn)
    # In the order of ids, in which everybody takes their locks.
    held = {
        one: await hold(conn, one, vault=desk.vault, purpose="joining households")
        for one in sorted((household_id, other_id))
    }
    before, other = held[household_id], held[other_id]
    after, became = _together(before, other, desk)
    if len(after.present) > PERSONS_MAX:
        raise BadValue(field="household_id", reason=f"over {PERSONS_MAX} persons together")
    await _end(conn, other, household_id, on=on, desk=desk, who=who)
    happened = Happened(
        kind="merged", reason="same_household", on=on, note=note, other_household_id=other_id
    )
    await turn(
        conn,
        household_id,
        counted(happened, before, after),
        event_id=desk.new_id(),
        who=who,
        version=before.version,
        key=before.key,
    )
    known = {each.person_id for each in before.members}
    moved = {old: new for old, new in became.items() if new not in known}
    needs = await load_needs(conn, other, list(moved))
    await rewrite(conn, before, after, needs=_under(needs, moved))
    await note_succession(conn, became, partner_id=who.partner_id)
    await recheck(conn, before, after, desk=desk, who=who)
    return await receipt(conn, household_id, model=desk.model)


def _together(before: Held, other: Held, desk: Desk) -> tuple[Held, dict[UUID, UUID]]:
    """Return the household with everybody of both, and under which id the other's stand in it."""
    coming = [each for each in other.members if each.gone in FINDABLE]
    known = [each for each in before.members if each.gone in FINDABLE]
    places = pair([each.person for each in known], [each.person for each in coming])
    members = {each.person_id: each for each in before.members}
    ordinal = before.last_ordinal
    became: dict[UUID, UUID] = {}
    for each, place in zip(coming, places, strict=True):
        if place is not None:
            same = known[place]
            members[same.person_id] = msgspec.structs.replace(
                same, person=gather(same.person, each.person)
            )
            became[each.person_id] = same.person_id
            continue
        ordinal += 1
        person = msgspec.structs.replace(each.person, roles=())
        if person.relationship == "head":
            person = msgspec.structs.replace(person, relationship="not_stated")
        new = Member(person_id=desk.new_id(), ordinal=ordinal, gone=each.gone, person=person)
        members[new.person_id] = new
        became[each.person_id] = new.person_id
    return msgspec.structs.replace(before, members=tuple(members.values())), became


def _under(needs: Needs, moved: dict[UUID, UUID]) -> dict[UUID, tuple[SpecificNeed, ...]]:
    return {moved[person_id]: told for person_id, told in needs.items()}


async def _end(
    conn: AsyncConnection, other: Held, successor: UUID, *, on: date, desk: Desk, who: Who
) -> None:
    ending = desk.new_id()
    members = tuple(
        gone(each, "moved" if each.gone is None else "elsewhere") if each.gone in FINDABLE else each
        for each in other.members
    )
    after = msgspec.structs.replace(other, members=members, ended_at=who.at)
    happened = Happened(
        kind="merged_into", reason="same_household", on=on, other_household_id=successor
    )
    await turn(
        conn,
        other.household_id,
        counted(happened, other, after),
        event_id=ending,
        who=who,
        version=other.version,
    )
    await rewrite(conn, other, after)
    await close_enrolments(conn, other.household_id, at=who.at)
    await forget(conn, other, desk=desk)
    await succeed(conn, other.household_id, successor, ending=ending, at=who.at)
