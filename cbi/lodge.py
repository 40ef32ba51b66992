"""Take an appeal in: by a slip's token at any organisation, or by one's own slip without it."""

from datetime import date, datetime
from uuid import UUID

import msgspec
from sqlalchemy import func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import appeal_tables
from cbi.appeal import Intake
from cbi.appeal_refusal import AppealTriesSpent, SlipUnknown
from cbi.slip import read_token, token_digest
from cbi.slips import load_slip
from cbi.vault import Vault, seal
from cbi.who import Who

_LODGE = text("""
    SELECT appeal_id, is_new FROM cbi.lodge_appeal(:digest ::bytea, :slip_id ::uuid, :on ::date,
        :appeal_id ::uuid, :at ::timestamptz, :language, :channel, :contact, :due_on ::date,
        :sealed ::bytea, :kek_id, :wrapped ::bytea)
""")


class Lodged(msgspec.Struct, frozen=True, kw_only=True):
    """The appeal of a slip; not `is_new` when it was lodged before, and nothing was added."""

    appeal_id: UUID
    is_new: bool


class Days(msgspec.Struct, frozen=True, kw_only=True):
    """Peru's day, and the last one on which the appeal is to be decided."""

    on: date
    due_on: date


async def claim_try(
    conn: AsyncConnection,
    *,
    tries_per_day: int,
    on: date,
    opens_again_at: datetime,
    partner_id: UUID,
    at: datetime,
) -> None:
    """Note that a token is tried, in a transaction of its own; raises AppealTriesSpent."""
    # One at a time, or two at once would both find room for themselves.
    await conn.execute(
        select(func.pg_advisory_xact_lock(func.hashtextextended(f"cbi.try {partner_id}", 0)))
    )
    tried = appeal_tables.appeal_try.c
    spent = await conn.scalar(
        select(func.count()).where(tried.partner_id == partner_id, tried.day == on)
    )
    if int(spent or 0) >= tries_per_day:
        raise AppealTriesSpent(tries_per_day=tries_per_day, opens_again_at=opens_again_at)
    await conn.execute(insert(appeal_tables.appeal_try).values(at=at, day=on))


async def lodge_by_token(
    conn: AsyncConnection,
    token: str,
    intake: Intake,
    *,
    appeal_id: UUID,
    days: Days,
    vault: Vault,
    matching_key: bytes,
    who: Who,
) -> Lodged:
    """Take in the appeal of whoever holds the token; raises SlipUnknown.

    A token that was used before gives its appeal again and adds nothing: so its holder asks for
    the answer wherever they are.
    """
    known = read_token(token)
    lodged = None
    if known is not None:
        digest = token_digest(matching_key, known)
        facts: dict[str, object] = {"digest": digest, "slip_id": None}
        lodged = await _lodge(conn, intake, facts, appeal_id, days=days, vault=vault, who=who)
    if lodged is None:
        raise SlipUnknown
    return lodged


async def lodge_without(
    conn: AsyncConnection,
    intake: Intake,
    *,
    household_id: UUID,
    slip_id: UUID,
    appeal_id: UUID,
    days: Days,
    vault: Vault,
    who: Who,
) -> Lodged:
    """Take in the appeal of a household of one's own whose slip is lost; raises NotFound.

    SlipUnknown is raised when its time is over.
    """
    slip = await load_slip(conn, household_id=household_id, slip_id=slip_id)
    facts: dict[str, object] = {"digest": None, "slip_id": slip.slip_id}
    lodged = await _lodge(conn, intake, facts, appeal_id, days=days, vault=vault, who=who)
    if lodged is None:
        raise SlipUnknown
    return lodged


async def erase_decided(conn: AsyncConnection, *, before: datetime) -> int:
    """Destroy the keys of what was said in appeals decided before; by the worker, who counts."""
    erased: int = await conn.scalar(
        text("SELECT cbi.erase_decided_appeals(:before ::timestamptz)"), {"before": before}
    )
    return erased


async def _lodge(
    conn: AsyncConnection,
    intake: Intake,
    facts: dict[str, object],
    appeal_id: UUID,
    *,
    days: Days,
    vault: Vault,
    who: Who,
) -> Lodged | None:
    key, wrapped = vault.new_key(appeal_id)
    row = (
        await conn.execute(
            _LODGE,
            facts
            | {
                "on": days.on,
                "appeal_id": appeal_id,
                "at": who.at,
                "language": intake.language,
                "channel": intake.channel,
                "contact": intake.contact,
                "due_on": days.due_on,
                "sealed": seal(key, intake.statement, kind="appeal", owner=appeal_id),
                "kek_id": wrapped.kek_id,
                "wrapped": wrapped.wrapped,
            },
        )
    ).one_or_none()
    return None if row is None else Lodged(appeal_id=row.appeal_id, is_new=row.is_new)
