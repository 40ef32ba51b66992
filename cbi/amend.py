"""Amend a household: the whole form again, with what was wrong or has changed since."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

import msgspec
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import consent, tables
from cbi.consent import Consent
from cbi.event import AmendReason, Happened, Kind, Member, follow, keep, pair, pair_mistaken
from cbi.household import Person, Read, Registration
from cbi.identities import SealedHousehold
from cbi.person import SpecificNeed
from cbi.refusal import BadValue, InvalidRegistration, OutsideArea, PersonDeceased
from cbi.register import Desk, Receipt, content_key_of, receipt, reference_key_of, warnings_of
from cbi.turn import (
    Held,
    Needs,
    counted,
    gone,
    hold,
    in_force,
    must_be_past,
    recheck,
    rewrite,
    turn,
)
from cbi.who import Who


async def amend(
    conn: AsyncConnection,
    household_id: UUID,
    read: Read,
    *,
    desk: Desk,
    reason: AmendReason,
    partner_id: UUID,
    actor_id: UUID,
    area: str,
    at: datetime,
    today: date,
    on: date | None = None,
    note: str = "",
) -> Receipt:
    """Make what a form says the household's next version, and check it against everybody again.

    The same content again is no event. Who stands in the form and not in the household joins it,
    and who does not stand there any more has left; with the reason `data_error` he was never of it.
    Documents that were shown stay known, unless they were an error too. Cases are opened as at
    registration, and decisions stay. Raises InvalidRegistration, OutsideArea, NotFound,
    HouseholdEnded, IdentityErased, PersonDeceased, and BadValue for another reference or
    a day to come.
    """
    if read.registration is None:
        raise InvalidRegistration(faults=read.faults)
    registration = read.registration
    if not registration.ubigeo.startswith(area):
        raise OutsideArea(area=area)
    must_be_past(on or today, today)
    before = await hold(conn, household_id, vault=desk.vault, purpose="correction")
    if before.reference_key != reference_key_of(registration, desk, partner_id):
        raise BadValue(field="reference", reason="another household's")
    content_key = content_key_of(registration, desk)
    if content_key == before.content_key:
        return await _receipt(conn, household_id, read, desk)
    is_error = reason == "data_error"
    members, needs = _members(before, registration, desk, is_error=is_error)
    after = msgspec.structs.replace(
        _told(before, registration), content_key=content_key, members=members
    )
    who = Who(partner_id=partner_id, actor_id=actor_id, at=at)
    kind: Kind = "corrected" if is_error else "updated"
    happened = Happened(kind=kind, reason=reason, on=on or today, note=note)
    await turn(
        conn,
        household_id,
        counted(happened, before, after),
        event_id=desk.new_id(),
        who=who,
        version=before.version,
        key=before.key,
    )
    await rewrite(conn, before, after, needs=needs)
    await _answer(conn, household_id, registration.consents, who, is_error=is_error)
    await recheck(conn, before, after, desk=desk, who=who)
    return await _receipt(conn, household_id, read, desk)


async def _receipt(conn: AsyncConnection, household_id: UUID, read: Read, desk: Desk) -> Receipt:
    stands = await receipt(conn, household_id, model=desk.model)
    return msgspec.structs.replace(stands, warnings=warnings_of(read, desk))


def _told(before: Held, registration: Registration) -> Held:
    return msgspec.structs.replace(
        before,
        ubigeo=registration.ubigeo,
        population_type=registration.population_type,
        home=SealedHousehold(
            reference=registration.reference,
            registered_on=registration.registered_on,
            intention=registration.intention,
            assistance_wanted=registration.assistance_wanted,
            instrument=registration.instrument,
        ),
    )


def _members(
    before: Held, registration: Registration, desk: Desk, *, is_error: bool
) -> tuple[tuple[Member, ...], Needs]:
    """Return everybody of the household as the form has it, and the needs it tells."""
    known = [*before.present, *(each for each in before.members if each.gone in _AGAIN)]
    found = _found(known, registration.persons, is_error=is_error)
    told: dict[UUID, Member] = {}
    needs: dict[UUID, tuple[SpecificNeed, ...]] = {}
    ordinal = before.last_ordinal
    for person, member in zip(registration.persons, found, strict=True):
        if member is None:
            ordinal += 1
            one = Member(person_id=desk.new_id(), ordinal=ordinal, gone=None, person=keep(person))
        elif member.gone == "deceased" and not is_error:
            raise PersonDeceased(person_id=member.person_id)
        else:
            kept = follow(member.person, person, is_error=is_error)
            one = msgspec.structs.replace(member, gone=None, person=kept)
        told[one.person_id] = one
        needs[one.person_id] = person.specific_needs
    left = [
        gone(each, "error" if is_error else "left") if each.gone is None else each
        for each in before.members
        if each.person_id not in told
    ]
    return tuple(sorted((*told.values(), *left), key=lambda one: one.ordinal)), needs


_AGAIN = ("left", "deceased")


def _found(
    known: Sequence[Member], told: Sequence[Person], *, is_error: bool
) -> list[Member | None]:
    """Return who of the household each person of the form is."""
    places = pair([each.person for each in known], told)
    found = [None if place is None else known[place] for place in places]
    if is_error:
        rest = [each for each in known if each.gone is None and each not in found]
        new = [at for at, each in enumerate(found) if each is None]
        for at, place in zip(
            new,
            pair_mistaken([each.person for each in rest], [told[at] for at in new]),
            strict=True,
        ):
            found[at] = None if place is None else rest[place]
    return found


async def _answer(
    conn: AsyncConnection,
    household_id: UUID,
    answers: Sequence[Consent],
    who: Who,
    *,
    is_error: bool,
) -> None:
    """Add the answers of the form that are newer than those in force."""
    known = await in_force(conn, household_id)
    fresh = [
        each for each in answers if consent.is_news(each, known.get(each.kind), is_error=is_error)
    ]
    if fresh:
        more = {"household_id": household_id, "partner_id": who.partner_id, "recorded_at": who.at}
        await conn.execute(
            insert(tables.consent), [msgspec.structs.asdict(each) | more for each in fresh]
        )
