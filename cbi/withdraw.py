"""Take a consent back: the answer stays, and its withdrawal stands beside it."""

from datetime import date
from uuid import UUID

import msgspec
from sqlalchemy import delete, insert, text
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import tables
from cbi.consent import Consent, ConsentKind
from cbi.event import Happened
from cbi.refusal import (
    BadValue,
    ConsentNotGiven,
    HouseholdStands,
    IdentityErased,
    PaymentsPending,
)
from cbi.register import Desk
from cbi.retain import let_go_erased, must_be_over, retain
from cbi.turn import (
    close_enrolments,
    forget,
    hold,
    in_force,
    lock_families,
    must_be_past,
    recheck,
    rewrite,
    turn,
)
from cbi.who import Who

# Promised and not sent yet, or sent and nobody knows how it ended.
_PENDING = text("""
    SELECT count(*) FROM cbi.entitlement AS e
    WHERE e.household_id IN (SELECT g FROM cbi.gone_on_as(:household_id ::uuid) AS g)
        AND e.cancelled_at IS NULL AND (
        NOT EXISTS (SELECT FROM cbi.round_step AS s WHERE s.round_id = e.round_id AND s.step = 5)
        OR EXISTS (SELECT FROM ledger.attempt AS a
            LEFT JOIN ledger.outcome AS o USING (payment_id, attempt_no)
            WHERE a.payment_id = e.entitlement_id AND o.payment_id IS NULL))""")


async def withdraw(
    conn: AsyncConnection,
    household_id: UUID,
    kind: ConsentKind,
    *,
    on: date,
    desk: Desk,
    who: Who,
    today: date,
    note: str = "",
) -> None:
    """Record that a consent ends on that day.

    Without the duplicate check nobody finds the household any more, and a person looks at it.
    Without the registration itself every other consent ends too, and so do the household and its
    enrolments; payments that are on their way go on. While months promised to it run, it is still
    found by who registers it anew. Raises NotFound, HouseholdEnded,
    IdentityErased, ConsentNotGiven, BadValue.
    """
    must_be_past(on, today)
    ends = kind == "registration"
    if ends:
        # What is being promised at this moment is seen, or sees that it has ended.
        await lock_families(conn)
    before = await hold(conn, household_id, vault=desk.vault, purpose="withdrawal")
    answers = await in_force(conn, household_id)
    given = answers.get(kind)
    if given is None or not given.granted or given.withdrawn_on is not None:
        raise ConsentNotGiven(household_id=household_id, kind=kind)
    if on < given.given_on:
        raise BadValue(field="on", reason="before it was given")
    happened = Happened(
        kind="withdrawn" if ends else "consent_withdrawn",
        reason="family_asked",
        on=on,
        note=note,
        consent=kind,
    )
    await turn(
        conn,
        household_id,
        happened,
        event_id=desk.new_id(),
        who=who,
        version=before.version,
        key=before.key,
    )
    taken = [each for each in answers.values() if ends or each.kind == kind]
    await _take_back(conn, household_id, taken, on=on, who=who)
    if ends:
        await rewrite(conn, before, msgspec.structs.replace(before, ended_at=who.at))
        await close_enrolments(conn, household_id, at=who.at)
        await retain(conn, before, desk=desk, at=who.at)
        await forget(conn, before, desk=desk)
    elif kind == "duplicate_check":
        await retain(conn, before, desk=desk, at=who.at)
        await recheck(conn, before, before, desk=desk, who=who)


async def erase(
    conn: AsyncConnection, household_id: UUID, *, desk: Desk, who: Who, today: date
) -> None:
    """Destroy the data key of an ended household: nobody reads it, or a version of it, again.

    The database erases with it what other households of the organisation keep of its persons, the
    households that went on as it, and what it said in appeals. What counts and pays stays. Raises
    NotFound, HouseholdStands, IdentityErased, PaymentsPending, PromisesStand.
    """
    before = await hold(conn, household_id, vault=desk.vault, purpose="erasure", has_ended=True)
    if before.ended_at is None:
        raise HouseholdStands(household_id=household_id)
    pending = await conn.scalar(_PENDING, {"household_id": household_id})
    if pending:
        raise PaymentsPending(household_id=household_id, payments=pending)
    await must_be_over(conn, household_id, at=who.at)
    happened = Happened(kind="erased", reason="family_asked", on=today)
    await turn(
        conn,
        household_id,
        happened,
        event_id=desk.new_id(),
        who=who,
        version=before.version,
    )
    await let_go_erased(conn, household_id, at=who.at)
    await forget(conn, before, desk=desk)
    key = tables.data_key
    erased = await conn.execute(delete(key).where(key.c.household_id == household_id))
    if erased.rowcount != 1:
        raise IdentityErased(household_id=household_id)


async def _take_back(
    conn: AsyncConnection, household_id: UUID, taken: list[Consent], *, on: date, who: Who
) -> None:
    more = {"household_id": household_id, "partner_id": who.partner_id, "recorded_at": who.at}
    await conn.execute(
        insert(tables.consent),
        [
            {**msgspec.structs.asdict(each), "withdrawn_on": max(on, each.given_on), **more}
            for each in taken
            if each.granted and each.withdrawn_on is None
        ],
    )
