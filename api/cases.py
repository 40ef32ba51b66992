"""Match cases over HTTP: list, read, judge. What a case shows names no person."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import get, post
from litestar.params import QueryParameter
from sqlalchemy.ext.asyncio import AsyncConnection

from api import clock
from api.db import Actor
from api.once import once
from api.page import Key, Limit, Page, page
from api.state import Requested
from cbi.adjudicate import Adjudicated, adjudicate
from dedup import cases
from dedup.case import CaseView, State, Verdict


class NewJudgement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One reviewer's word. The reason must not name anybody."""

    verdict: Verdict
    reason: Annotated[str, msgspec.Meta(max_length=2000)] = ""


class CaseRow(msgspec.Struct, frozen=True, kw_only=True):
    """A case in a list."""

    case_id: UUID
    reason: str
    state: str
    strength_bits: float | None
    persons: int
    opened_at: datetime
    verdict: str | None


@get("/v1/cases", tags=["adjudication"])
async def list_cases(
    conn: AsyncConnection,
    in_state: Annotated[State | None, QueryParameter(name="state")] = None,
    after: UUID | None = None,
    limit: Limit = 50,
) -> Page[CaseRow]:
    """List the cases one may see, oldest first."""
    views = await cases.list_cases(conn, state=in_state, after=after, limit=limit)
    items = [
        CaseRow(
            case_id=view.case.case_id,
            reason=view.case.reason,
            state=view.state,
            strength_bits=view.case.strength_bits,
            persons=len(view.pairs),
            opened_at=view.case.opened_at,
            verdict=view.decision.verdict if view.decision else None,
        )
        for view in views
    ]
    return page(items, limit=limit, cursor="case_id")


@get("/v1/cases/{case_id:uuid}", tags=["adjudication"])
async def read_case(conn: AsyncConnection, case_id: UUID) -> CaseView:
    """Return a case with its evidence (levels and bits per field), judgements and decision."""
    return await cases.load_case(conn, case_id)


@post("/v1/cases/{case_id:uuid}/judgements", tags=["adjudication"])
@once
async def judge_case(
    request: Requested,
    conn: AsyncConnection,
    actor: Actor,
    case_id: UUID,
    data: NewJudgement,
    idempotency_key: Key = None,
) -> Adjudicated:
    """Judge a case for one's organisation; two that agree decide it."""
    return await adjudicate(
        conn,
        case_id=case_id,
        verdict=data.verdict,
        reason=data.reason,
        at=clock.now(),
        actor_id=actor.actor_id,
        partner_id=actor.partner_id,
    )


HANDLERS = (list_cases, read_case, judge_case)
