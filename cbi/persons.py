"""Let persons join a household, leave it, or be recorded as deceased."""

from collections.abc import Callable, Sequence
from datetime import date
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import household
from cbi.asked import ReadAsked
from cbi.event import Gone, Happened, Member, follow, keep, pair
from cbi.fault import Finding, has_errors, in_order
from cbi.person import Person
from cbi.refusal import BadValue, InvalidRegistration, NotFound, PersonDeceased
from cbi.register import Desk, Receipt, receipt
from cbi.turn import (
    Held,
    Needs,
    close_enrolments,
    counted,
    gone,
    hold,
    must_be_past,
    recheck,
    rewrite,
    size_of,
    turn,
)
from cbi.who import Who


async def join(
    conn: AsyncConnection,
    household_id: UUID,
    read: ReadAsked,
    happened: Happened,
    *,
    desk: Desk,
    who: Who,
    today: date,
) -> Receipt:
    """Add persons to a household, read and checked as at registration.

    Who left and comes back is the same person again. Raises InvalidRegistration, NotFound,
    HouseholdEnded, IdentityErased, PersonDeceased, BadValue.
    """
    if read.asked is None:
        raise InvalidRegistration(faults=read.faults)
    persons = tuple(map(household.as_head, read.asked.persons))
    must_be_past(happened.on, today)
    before = await hold(conn, household_id, vault=desk.vault, purpose="persons joining")
    _check_together(before, persons, today)
    coming = _coming(before, persons, desk)
    needs = {
        member.person_id: each.specific_needs
        for member, each in zip(coming, persons, strict=True)
        if each.specific_needs
    }
    members = {each.person_id: each for each in (*before.members, *coming)}
    after = msgspec.structs.replace(before, members=tuple(members.values()))
    await _carry_out(conn, before, after, happened, desk=desk, who=who, needs=needs)
    stands = await receipt(conn, household_id, model=desk.model)
    return msgspec.structs.replace(stands, warnings=read.faults)


async def leave(
    conn: AsyncConnection,
    household_id: UUID,
    person_ids: Sequence[UUID],
    happened: Happened,
    *,
    desk: Desk,
    who: Who,
    today: date,
) -> Receipt:
    """Take persons out of a household; it ends when nobody lives there any more.

    Who left or died stays findable, so that whoever registers him anew is told. Without a
    collector the household has no payee until a form names another. `happened` says which of the
    two it is. Raises NotFound, HouseholdEnded, IdentityErased, BadValue.
    """
    must_be_past(happened.on, today)
    before = await hold(conn, household_id, vault=desk.vault, purpose="persons leaving")
    why: Gone = "deceased" if happened.kind == "deceased" else "left"
    after = without(before, person_ids, lambda each: gone(each, why))
    if not size_of(after.members):
        after = msgspec.structs.replace(after, ended_at=who.at)
    await _carry_out(conn, before, after, happened, desk=desk, who=who)
    if after.ended_at is not None:
        await close_enrolments(conn, household_id, at=who.at)
    return await receipt(conn, household_id, model=desk.model)


def without(held: Held, person_ids: Sequence[UUID], change: Callable[[Member], Member]) -> Held:
    """Return the household with these of its present persons changed; raises NotFound."""
    wanted = set(person_ids)
    for person_id in sorted(wanted - {each.person_id for each in held.present}):
        raise NotFound(what="person", wanted=person_id)
    members = tuple(change(each) if each.person_id in wanted else each for each in held.members)
    return msgspec.structs.replace(held, members=members)


def _coming(before: Held, persons: Sequence[Person], desk: Desk) -> list[Member]:
    """Return who joins as members of the household; raises PersonDeceased."""
    away = [each for each in before.members if each.gone in {"left", "deceased"}]
    places = pair([each.person for each in away], persons)
    ordinal = before.last_ordinal
    coming = []
    for each, place in zip(persons, places, strict=True):
        if place is None:
            ordinal += 1
            coming.append(
                Member(person_id=desk.new_id(), ordinal=ordinal, gone=None, person=keep(each))
            )
            continue
        known = away[place]
        if known.gone == "deceased":
            raise PersonDeceased(person_id=known.person_id)
        person = follow(known.person, each, is_error=False)
        coming.append(msgspec.structs.replace(known, gone=None, person=person))
    return coming


def _check_together(before: Held, persons: Sequence[Person], today: date) -> None:
    """Refuse what is wrong with the new persons beside those who are there."""
    present = [each.person for each in before.present]
    everybody = (*present, *persons)
    if len(everybody) > household.PERSONS_MAX:
        raise BadValue(field="persons", reason=f"over {household.PERSONS_MAX}")
    found = [
        Finding(("persons", each.path[1] - len(present), *each.path[2:]), *each[1:])
        for each in household.together_findings(everybody, today)
        if len(each.path) > 1 and isinstance(each.path[1], int) and each.path[1] >= len(present)
    ]
    faults = in_order(found, None)
    if has_errors(faults):
        raise InvalidRegistration(faults=faults)


async def _carry_out(
    conn: AsyncConnection,
    before: Held,
    after: Held,
    happened: Happened,
    *,
    desk: Desk,
    who: Who,
    needs: Needs = {},  # noqa: B006 -- a Mapping
) -> None:
    await turn(
        conn,
        before.household_id,
        counted(happened, before, after),
        event_id=desk.new_id(),
        who=who,
        version=before.version,
        key=before.key,
    )
    await rewrite(conn, before, after, needs=needs)
    await recheck(conn, before, after, desk=desk, who=who)
