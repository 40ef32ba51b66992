"""The people of the example: who works where, with which roles."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from api import auth, clock
from api.demo.population import Population
from cbi import tables

# Handles are functions, not names. Four different people sign a round.
STAFF: Mapping[str, tuple[str, ...]] = {
    "registro": ("registrar",),
    "programa": ("programme",),
    "finanzas": ("finance", "programme"),
    "direccion": ("programme",),
    "tesoreria": ("finance",),
    "proteccion": ("adjudicator",),
}
PLATFORM = ("GTRM-CBI", "Subgrupo de transferencias (ejemplo)")
PLATFORM_STAFF: Mapping[str, tuple[str, ...]] = {
    "coordinacion": ("coordinator",),
    "auditoria": ("auditor",),
}
KEY_DAYS = 90


async def hire(conn: AsyncConnection, population: Population) -> dict[str, str]:
    """Add the partners and issue one key for each person; returns keys by "PARTNER/handle"."""
    keys = {}
    organisations = [(partner.code, partner.name, STAFF) for partner in population.partners]
    for code, name, staff in [*organisations, (*PLATFORM, PLATFORM_STAFF)]:
        partner_id = clock.new_id()
        at = clock.now()
        await conn.execute(
            insert(tables.partner).values(
                partner_id=partner_id,
                code=code,
                name=name,
                contact=f"cbi@{code.lower()}.example",
                added_at=at,
            )
        )
        for handle, roles in staff.items():
            actor_id = await auth.add_actor(
                conn, actor_id=clock.new_id(), partner_id=partner_id, handle=handle, at=at
            )
            keys[f"{code}/{handle}"] = await auth.issue(
                conn,
                key_id=clock.new_id(),
                actor_id=actor_id,
                roles=roles,
                area="",
                at=at,
                expires_at=expiry(at),
            )
    return keys


async def is_hired(conn: AsyncConnection) -> bool:
    """Say whether the example was set up in this database."""
    found = await conn.scalar(
        select(tables.partner.c.code).where(tables.partner.c.code == PLATFORM[0])
    )
    return found is not None


def expiry(at: datetime) -> datetime:
    return at + timedelta(days=KEY_DAYS)
