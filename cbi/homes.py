"""Where payments belong, and by which profile they were sent."""

from collections.abc import Iterable, Mapping
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi.disburse import load_round
from cbi.payment_files.profile import Versioned
from cbi.profiles import load_profile, load_round_profile

Key = tuple[UUID, int]  # payment and attempt

# The first attempt was sent with the round, a later one with a follow-up of it.
_HOMES = text("""
    SELECT a.payment_id, a.attempt_no, e.round_id, r.programme_id, f.opened_at AS reissued_at
    FROM unnest(CAST(:payment_ids AS uuid[]), CAST(:attempt_nos AS integer[]))
        AS a(payment_id, attempt_no)
    JOIN cbi.entitlement e ON e.entitlement_id = a.payment_id
    JOIN cbi.round r ON r.round_id = e.round_id
    LEFT JOIN LATERAL (
        SELECT f.opened_at FROM cbi.followup_payment p JOIN cbi.followup f USING (followup_id)
        JOIN cbi.followup_step s ON s.followup_id = f.followup_id AND s.step = 5
        WHERE a.attempt_no > 1 AND p.payment_id = a.payment_id AND p.attempt_no = a.attempt_no
        LIMIT 1) AS f ON true""")


class Home(msgspec.Struct, frozen=True, kw_only=True):
    """The round and programme of a payment's attempt; `reissued_at` if a follow-up sent it."""

    payment_id: UUID
    attempt_no: int
    round_id: UUID
    programme_id: UUID
    reissued_at: datetime | None


async def load_homes(conn: AsyncConnection, keys: Iterable[Key]) -> dict[Key, Home]:
    """Load where attempts belong; one that is of no entitlement is left out."""
    wanted = list(keys)
    facts = {
        "payment_ids": [payment_id for payment_id, _ in wanted],
        "attempt_nos": [attempt_no for _, attempt_no in wanted],
    }
    return {
        (row.payment_id, row.attempt_no): msgspec.convert(row._mapping, Home)  # noqa: SLF001
        for row in await conn.execute(_HOMES, facts)
    }


async def sent_by_profile(conn: AsyncConnection, homes: Mapping[Key, Home]) -> dict[Key, Versioned]:
    """Return for each attempt the profile that it was sent by."""
    found: dict[tuple[UUID, datetime | None], Versioned] = {}
    for home in homes.values():
        sent = (home.round_id, home.reissued_at)
        if sent in found:
            continue
        opened = await load_round(conn, home.round_id)
        found[sent] = (
            await load_round_profile(conn, opened)
            if home.reissued_at is None
            else await load_profile(conn, opened.programme_id, as_of=home.reissued_at)
        )
    return {key: found[home.round_id, home.reissued_at] for key, home in homes.items()}
