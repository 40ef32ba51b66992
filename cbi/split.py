"""Let some persons of a household form one of their own."""

from datetime import date
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi.event import Happened, Member, follow, pair
from cbi.household import Read, Registration
from cbi.refusal import BadValue
from cbi.register import Desk, Receipt, admitted, must_be_free, reference_key_of, register
from cbi.retain import retain
from cbi.turn import (
    Held,
    counted,
    forget,
    gone,
    hold,
    lock_families,
    must_be_past,
    note_succession,
    rewrite,
    size_of,
    turn,
)
from cbi.who import Who


async def split(
    conn: AsyncConnection,
    household_id: UUID,
    read: Read,
    *,
    desk: Desk,
    who: Who,
    area: str,
    today: date,
    on: date,
    note: str = "",
) -> Receipt:
    """Register by a form of their own, under another reference, persons of a household.

    Who of the form is of the household leaves it for the new one; others may stand in the form
    too. The new household is a family of its own, and the months that its family was promised
    before are not promised to it again. Raises as `register`, and NotFound, HouseholdEnded,
    IdentityErased, ReferenceTaken, BadValue unless somebody parts and somebody stays.
    """
    told = admitted(read, area)
    must_be_past(on, today)
    await lock_families(conn)
    before = await hold(conn, household_id, vault=desk.vault, purpose="split")
    reference_key = reference_key_of(told, desk, who.partner_id)
    await must_be_free(conn, reference_key, partner_id=who.partner_id)
    registration, parting = _parting(before, told)
    leaving = {each.person_id for each in parting.values()}
    after = msgspec.structs.replace(
        before,
        members=tuple(
            gone(each, "elsewhere") if each.person_id in leaving else each
            for each in before.members
        ),
    )
    if not parting or not size_of(after.members):
        raise BadValue(field="form", reason="somebody of the household must part, and stay")
    new_id = desk.new_id()
    happened = Happened(
        kind="split", reason="separated", on=on, note=note, other_household_id=new_id
    )
    await _leave(conn, before, after, happened, desk=desk, who=who)
    if not _agrees(registration):
        # Nobody would find them in the new household.
        await retain(conn, before, desk=desk, at=who.at, person_ids=leaving)
    # Before the check, or the new household would be found as a duplicate of the old one.
    await forget(conn, before, desk=desk, but=after)
    receipt = await register(
        conn,
        msgspec.structs.replace(read, registration=registration),
        desk=desk,
        area=area,
        today=today,
        household_id=new_id,
        **msgspec.structs.asdict(who),
    )
    became = {each.person_id: receipt.person_ids[at] for at, each in parting.items()}
    await note_succession(conn, became, partner_id=who.partner_id)
    await _part(conn, household_id, new_id, on=on, desk=desk, who=who)
    return receipt


def _agrees(registration: Registration) -> bool:
    return any(each.kind == "duplicate_check" and each.granted for each in registration.consents)


def _parting(before: Held, registration: Registration) -> tuple[Registration, dict[int, Member]]:
    """Return the form with what is known of the persons who part, and who they are, by place."""
    places = pair([each.person for each in before.present], registration.persons)
    parting: dict[int, Member] = {
        at: before.present[place] for at, place in enumerate(places) if place is not None
    }
    persons = tuple(
        msgspec.structs.replace(
            follow(parting[at].person, each, is_error=False), specific_needs=each.specific_needs
        )
        if at in parting
        else each
        for at, each in enumerate(registration.persons)
    )
    whole = msgspec.structs.replace(registration, persons=persons)
    return whole, parting


async def _leave(
    conn: AsyncConnection, before: Held, after: Held, happened: Happened, *, desk: Desk, who: Who
) -> None:
    """Record that persons parted, towards a household that is there by the end."""
    await conn.execute(text("SET CONSTRAINTS cbi.household_event_of_other DEFERRED"))
    await turn(
        conn,
        before.household_id,
        counted(happened, before, after),
        event_id=desk.new_id(),
        who=who,
        version=before.version,
        key=before.key,
    )
    await rewrite(conn, before, after)


async def _part(
    conn: AsyncConnection, household_id: UUID, new_id: UUID, *, on: date, desk: Desk, who: Who
) -> None:
    """Say of the new household where it comes from; it carries what was promised there."""
    event_id = desk.new_id()
    await turn(
        conn,
        new_id,
        Happened(kind="split_off", reason="separated", on=on, other_household_id=household_id),
        event_id=event_id,
        who=who,
        version=1,
    )
    await conn.execute(text("SELECT cbi.carry_promises(:event_id ::uuid)"), {"event_id": event_id})
