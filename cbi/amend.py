"""Amend a household: the whole form again, with what was wrong or has changed since."""

from collections.abc import Callable, Sequence
from datetime import date, datetime
from uuid import UUID

import msgspec
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import consent, retain, tables
from cbi.consent import Consent
from cbi.event import AmendReason, Happened, Kind, Member, follow, keep, pair, pair_mistaken
from cbi.household import Person, Read, Registration
from cbi.identities import SealedHousehold
from cbi.person import SpecificNeed
from cbi.refusal import (
    BadValue,
    PersonDeceased,
    ReferenceTaken,
)
from cbi.register import (
    Desk,
    Receipt,
    admitted,
    content_key_of,
    receipt,
    reference_key_of,
    warnings_of,
)
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
    by_reference: bool = False,
    keeps_reference: bool = False,
) -> Receipt:
    """Make what a form says the household's next version, and check it against everybody again.

    The same content again is no event. Who stands in the form and not in the household joins it,
    and who does not stand there any more has left; with the reason `data_error` he was never of it.
    Documents that were shown stay known, unless they were an error too; and while months promised
    to the household run, whom it takes away stays findable (`cbi/retain.py`). Cases are opened as
    at registration, and decisions stay. A form without a code of its own `keeps_reference`. Raises
    InvalidRegistration, OutsideArea, NotFound, HouseholdEnded, IdentityErased, PersonDeceased,
    BadValue for another reference or a day to come; ReferenceTaken where it is `by_reference`
    alone that the household is known, and nobody of it stands in the form.
    """
    registration = admitted(read, area)
    must_be_past(on or today, today)
    before = await hold(conn, household_id, vault=desk.vault, purpose="correction")
    if keeps_reference:
        registration = msgspec.structs.replace(registration, reference=before.home.reference)
    if before.reference_key != reference_key_of(registration, desk, partner_id):
        raise BadValue(field="reference", reason="another household's")
    content_key = content_key_of(registration, desk)
    if content_key == before.content_key:
        return await _receipt(conn, household_id, read, desk)
    is_error = reason == "data_error"
    after, needs = amended(
        before,
        registration,
        content_key=content_key,
        new_id=desk.new_id,
        is_error=is_error,
        by_reference=by_reference,
    )
    after = await retain.with_replaced(conn, before, after, desk=desk, at=at)
    who = Who(partner_id=partner_id, actor_id=actor_id, at=at)
    kind: Kind = "corrected" if is_error else "updated"
    happened = counted(Happened(kind=kind, reason=reason, on=on or today, note=note), before, after)
    await _turn(conn, before, happened, event_id=desk.new_id(), who=who)
    await rewrite(conn, before, after, needs=needs)
    await _answer(conn, household_id, registration.consents, who, is_error=is_error)
    await retain.retain_replaced(conn, before, after, desk=desk, at=at)
    await recheck(conn, before, after, desk=desk, who=who)
    return await _receipt(conn, household_id, read, desk)


async def _turn(
    conn: AsyncConnection, before: Held, happened: Happened, *, event_id: UUID, who: Who
) -> None:
    version, key = before.version, before.key
    await turn(
        conn,
        before.household_id,
        happened,
        event_id=event_id,
        who=who,
        version=version,
        key=key,
    )


async def _receipt(conn: AsyncConnection, household_id: UUID, read: Read, desk: Desk) -> Receipt:
    stands = await receipt(conn, household_id, model=desk.model)
    return msgspec.structs.replace(stands, warnings=warnings_of(read, desk))


def amended(
    before: Held,
    registration: Registration,
    *,
    content_key: bytes,
    new_id: Callable[[], UUID],
    is_error: bool = False,
    by_reference: bool = False,
) -> tuple[Held, Needs]:
    """Return a household as a form has it, and the needs it tells; raises as `amend` does."""
    members, needs = _members(before, registration, new_id, is_error=is_error)
    known = {each.person_id for each in before.present}
    there = {each.person_id for each in members if each.gone is None}
    if by_reference and not known & there:
        raise ReferenceTaken(household_id=before.household_id)
    after = msgspec.structs.replace(
        before,
        content_key=content_key,
        members=members,
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
    return after, needs


def _members(
    before: Held, registration: Registration, new_id: Callable[[], UUID], *, is_error: bool
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
            one = Member(person_id=new_id(), ordinal=ordinal, gone=None, person=keep(person))
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
