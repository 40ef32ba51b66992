"""Add, find and list organisations."""

from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import tables
from cbi.partner import Partner
from cbi.refusal import BadValue
from ledger.violation import constraint_of

# Which field a constraint is about.
FIELDS = {
    "partner_code_once": ("code", "taken"),
    "partner_code_form": ("code", "2 to 20 capitals, digits or hyphens"),
    "partner_name_length": ("name", "1 to 200 characters"),
    "partner_contact_length": ("contact", "at most 200 characters"),
}


async def add(
    conn: AsyncConnection, *, partner_id: UUID, code: str, name: str, contact: str, at: datetime
) -> Partner:
    """Add an organisation; raises BadValue."""
    try:
        async with conn.begin_nested():
            await conn.execute(
                insert(tables.partner).values(
                    partner_id=partner_id, code=code, name=name, contact=contact, added_at=at
                )
            )
    except IntegrityError as error:
        field, reason = FIELDS[constraint_of(error)]
        raise BadValue(field=field, reason=reason) from error
    return Partner(partner_id=partner_id, code=code, name=name, contact=contact)


async def find(conn: AsyncConnection, code: str) -> UUID | None:
    """Return the id of the organisation with this code, or None."""
    partner = tables.partner.c
    found: UUID | None = await conn.scalar(select(partner.partner_id).where(partner.code == code))
    return found


async def list_partners(conn: AsyncConnection, *, after: str | None, limit: int) -> list[Partner]:
    """List organisations by code, from the one behind `after`."""
    partner = tables.partner.c
    query = select(partner.partner_id, partner.code, partner.name, partner.contact)
    if after is not None:
        query = query.where(partner.code > after)
    rows = await conn.execute(query.order_by(partner.code).limit(limit))
    return [msgspec.convert(row._mapping, Partner) for row in rows]  # noqa: SLF001 -- public by its docs


async def whom_to_ask(conn: AsyncConnection, partner_id: UUID) -> str:
    """Return an organisation's code and contact, as other partners may know them."""
    partner = tables.partner.c
    row = (
        await conn.execute(
            select(partner.code, partner.contact).where(partner.partner_id == partner_id)
        )
    ).one()
    return f"{row.code}: {row.contact}"
