"""Hand out slips, print them again, and list them."""

from datetime import date
from uuid import UUID

import msgspec
from sqlalchemy import ColumnElement, func, insert, select
from sqlalchemy.dialects import postgresql
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import appeal_tables, tables
from cbi.appeal_refusal import PrintsSpent, SlipsSpent, SlipUnknown
from cbi.refusal import BadValue, CbiRefusal, NotFound
from cbi.slip import NewSlip, Printed, Slip, read_token, token_digest
from cbi.who import Who
from ledger.violation import constraint_of

# A household has few; more than this is no list that anybody reads.
SLIPS_MAX = 200


class Fresh(msgspec.Struct, frozen=True, kw_only=True):
    """What chance gives a slip: its id, reference and token."""

    slip_id: UUID
    reference: str
    token: str


async def issue(
    conn: AsyncConnection,
    asked: NewSlip,
    *,
    household_id: UUID | None,
    fresh: Fresh,
    on: date,
    until: date,
    matching_key: bytes,
    who: Who,
) -> Printed:
    """Give a slip for a refusal; the same refusal on the same day is the same slip, reprinted.

    Without a household it is of somebody who was not registered: nothing of them is stored, and
    each is another slip. Raises NotFound for a household, case, enrolment or round that isn't there
    or doesn't belong together, BadValue when the reason lacks what it hangs on, PrintsSpent, and
    SlipsSpent for too many without a household on a day.
    """
    if household_id is not None:
        await _must_be_ours(conn, household_id)
    facts = msgspec.structs.asdict(asked)
    counted = {name: facts.pop(name) for name in ("document_group", "language")}
    try:
        async with conn.begin_nested():
            made = await conn.scalar(
                postgresql.insert(appeal_tables.slip)
                .values(
                    slip_id=fresh.slip_id,
                    partner_id=who.partner_id,
                    household_id=household_id,
                    reference=fresh.reference,
                    issued_by=who.actor_id,
                    issued_at=who.at,
                    issued_on=on,
                    appeal_until=until,
                    **facts,
                )
                .on_conflict_do_nothing(constraint="slip_once")
                .returning(appeal_tables.slip.c.slip_id)
            )
    except IntegrityError as error:
        raise _refused(asked, constraint_of(error)) from error
    slip_id = made or await _same(conn, household_id, on, facts)
    if made and any(counted.values()):
        # Never read back by the service, so nothing may be asked of the row that was added.
        await conn.execute(
            insert(appeal_tables.slip_group)
            .values(slip_id=slip_id, partner_id=who.partner_id, **counted)
            .inline()
        )
    return await reprint(
        conn,
        household_id=household_id,
        slip_id=slip_id,
        token=fresh.token,
        matching_key=matching_key,
        who=who,
    )


async def reprint(
    conn: AsyncConnection,
    *,
    household_id: UUID | None,
    slip_id: UUID,
    token: str,
    matching_key: bytes,
    who: Who,
) -> Printed:
    """Put a fresh token on a slip, which voids the one before; raises NotFound, PrintsSpent."""
    # Of two who print at once, the later voids what the earlier printed.
    await conn.execute(
        select(func.pg_advisory_xact_lock(func.hashtextextended(f"cbi.slip {slip_id}", 0)))
    )
    before = await load_slip(conn, household_id=household_id, slip_id=slip_id)
    print_no = before.prints + 1
    try:
        async with conn.begin_nested():
            await conn.execute(
                insert(appeal_tables.slip_print).values(
                    slip_id=slip_id,
                    print_no=print_no,
                    partner_id=who.partner_id,
                    digest=token_digest(matching_key, token),
                    printed_by=who.actor_id,
                    printed_at=who.at,
                )
            )
    except IntegrityError as error:
        if constraint_of(error) == "slip_print_no_range":
            raise PrintsSpent(slip_id=slip_id) from error
        raise
    slip = msgspec.structs.replace(before, prints=print_no)
    return Printed(slip=slip, token=token, print_no=print_no)


async def load_slip(conn: AsyncConnection, *, household_id: UUID | None, slip_id: UUID) -> Slip:
    """Return a slip of the caller's partner; raises NotFound."""
    slip = appeal_tables.slip.c
    if household_id is not None:
        await _must_be_ours(conn, household_id)
    found = await _slips(
        conn, slip.household_id.is_not_distinct_from(household_id), slip.slip_id == slip_id
    )
    if not found:
        raise NotFound(what="slip", wanted=slip_id)
    return found[0]


async def list_slips(conn: AsyncConnection, household_id: UUID) -> list[Slip]:
    """Return the slips of a household of the caller's partner, oldest first; raises NotFound."""
    await _must_be_ours(conn, household_id)
    return await _slips(conn, appeal_tables.slip.c.of_whom == household_id)


async def _must_be_ours(conn: AsyncConnection, household_id: UUID) -> None:
    home = tables.household.c
    if not await conn.scalar(select(home.size).where(home.household_id == household_id)):
        raise NotFound(what="household", wanted=household_id)


async def _slips(conn: AsyncConnection, *which: ColumnElement[bool]) -> list[Slip]:
    slip = appeal_tables.slip.c
    printed, appeal = appeal_tables.slip_print.c, appeal_tables.appeal.c
    prints = (
        select(func.count()).where(printed.slip_id == slip.slip_id).correlate(appeal_tables.slip)
    )
    rows = await conn.execute(
        select(appeal_tables.slip, prints.scalar_subquery().label("prints"), appeal.appeal_id)
        .join(appeal_tables.appeal, appeal.slip_id == slip.slip_id, isouter=True)
        .where(*which, slip.partner_id == func.cbi.partner_id())
        .order_by(slip.slip_id)
        .limit(SLIPS_MAX)
    )
    return [msgspec.convert(row._mapping, Slip) for row in rows]  # noqa: SLF001 -- public by its docs


async def printable(
    conn: AsyncConnection,
    *,
    household_id: UUID | None,
    slip_id: UUID,
    token: str,
    matching_key: bytes,
    on: date,
) -> Printed:
    """Return a slip for whoever holds its token; raises NotFound, SlipUnknown.

    SlipUnknown is said of a token that is another slip's, was replaced, or whose time is over.
    """
    slip = await load_slip(conn, household_id=household_id, slip_id=slip_id)
    known, printed = read_token(token), appeal_tables.slip_print.c
    newest = (
        await conn.execute(
            select(printed.print_no, printed.digest)
            .where(printed.slip_id == slip_id)
            .order_by(printed.print_no.desc())
            .limit(1)
        )
    ).one()
    if (
        known is None
        or newest.digest != token_digest(matching_key, known)
        or slip.appeal_until < on
    ):
        raise SlipUnknown
    return Printed(slip=slip, token=known, print_no=newest.print_no)


async def _same(
    conn: AsyncConnection, household_id: UUID | None, on: date, facts: dict[str, object]
) -> UUID:
    slip = appeal_tables.slip.c
    same = [slip[name].is_not_distinct_from(value) for name, value in facts.items()]
    found = await conn.execute(
        select(slip.slip_id).where(slip.of_whom == household_id, slip.issued_on == on, *same)
    )
    slip_id: UUID = found.scalar_one()
    return slip_id


def _refused(asked: NewSlip, constraint: str) -> CbiRefusal:
    match constraint:
        case "slip_of_case" | "slip_case_of_household":
            assert asked.case_id is not None
            return NotFound(what="case", wanted=asked.case_id)
        case "slip_of_enrolment":
            assert asked.enrolment_id is not None
            return NotFound(what="enrolment", wanted=asked.enrolment_id)
        case "slip_of_left_out":
            assert asked.round_id is not None
            return NotFound(what="round", wanted=asked.round_id)
        case "slip_of_unregistered_max":
            return SlipsSpent()
        case "slip_of_unregistered":
            return BadValue(field="reason", reason="whether the household is registered")
        case "slip_facts_of_reason":
            return BadValue(field="reason", reason="it needs its case, enrolment, round or group")
        case other:
            raise AssertionError(other)
