"""Judge a match case; a decision that two registrations are one household joins the families."""

from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from dedup import judge
from dedup.case import CaseView, Verdict


class Adjudicated(msgspec.Struct, frozen=True, kw_only=True):
    """The case after the judgement, and how many registrations moved to another family."""

    case: CaseView
    households_joined: int


async def adjudicate(
    conn: AsyncConnection,
    *,
    case_id: UUID,
    verdict: Verdict,
    reason: str,
    at: datetime,
    actor_id: UUID,
    partner_id: UUID,
) -> Adjudicated:
    """Add one reviewer's judgement; raises dedup's CaseNotFound, CaseDecided, AlreadyJudged."""
    view = await judge.judge(
        conn,
        case_id=case_id,
        verdict=verdict,
        reason=reason,
        at=at,
        actor_id=actor_id,
        partner_id=partner_id,
    )
    joined = 0
    if view.state == "decided":
        joined = int(
            await conn.scalar(
                text("SELECT cbi.join_families(:case_id, :at)"), {"case_id": case_id, "at": at}
            )
            or 0
        )
    return Adjudicated(case=view, households_joined=joined)
