"""Match cases over HTTP: list, read, judge. What a case shows names no person."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from sqlalchemy.ext.asyncio import AsyncConnection

from api import clock
from api.db import Actor
from api.once import once
from api.page import Key, Limit, Page, page
from api.state import Requested, Service
from api.text import NOT_NUL
from cbi import partners
from cbi.adjudicate import adjudicate
from dedup import cases
from dedup.case import CaseView, Decision, Judgement, Reason, State, Verdict, Why
from dedup.model import Model, Strength
from dedup.score import agreeing_fields, differing_fields


class NewJudgement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One reviewer's word. The reason must not name anybody."""

    verdict: Verdict
    reason: Annotated[str, msgspec.Meta(max_length=2000, pattern=NOT_NUL)] = ""


class CaseRow(msgspec.Struct, frozen=True, kw_only=True):
    """A case in a list."""

    case_id: UUID
    reason: Reason
    state: State
    strength: Strength | None
    persons: int
    opened_at: datetime
    verdict: Verdict | None


class PairShown(msgspec.Struct, frozen=True, kw_only=True):
    """Two persons who may be one: how strong the evidence is, what agrees and what differs.

    Reviewers belong to other organisations, so neither place nor kind of document is told, nor
    the exact weight, from which both could be worked out.
    """

    person_a: UUID
    person_b: UUID
    strength: Strength
    weight_bits: int
    agrees: tuple[str, ...]
    differs: tuple[str, ...]


class CaseShown(msgspec.Struct, frozen=True, kw_only=True):
    """A case as a reviewer sees it: the two households by id, evidence, judgements, decision.

    To an organisation that is part of it the case also says which household is its own, and whom
    to ask at the other; who the parties are is told to nobody else.
    """

    case_id: UUID
    household_a: UUID
    household_b: UUID | None
    reason: Reason
    why: Why | None
    state: State
    opened_at: datetime
    pairs: list[PairShown]
    judgements: tuple[Judgement, ...]
    decision: Decision | None
    mine: UUID | None
    ask: str


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """The case after a judgement, and how many registrations moved to another family."""

    case: CaseShown
    households_joined: int


@get("/v1/cases", tags=["adjudication"])
async def list_cases(
    conn: NamedDependency[AsyncConnection],
    service: NamedDependency[Service],
    in_state: Annotated[State | None, QueryParameter(name="state")] = None,
    after: FromQuery[UUID | None] = None,
    limit: Limit = 50,
) -> Page[CaseRow]:
    """List the cases one may see, oldest first."""
    views = await cases.list_cases(conn, state=in_state, after=after, limit=limit + 1)
    items = [
        CaseRow(
            case_id=view.case.case_id,
            reason=view.case.reason,
            state=view.state,
            strength=_strength(view.case.strength_bits, service.desk.model),
            persons=len(view.pairs),
            opened_at=view.case.opened_at,
            verdict=view.decision.verdict if view.decision else None,
        )
        for view in views
    ]
    return page(items, limit=limit, cursor="case_id")


@get("/v1/cases/{case_id:uuid}", tags=["adjudication"])
async def read_case(
    conn: NamedDependency[AsyncConnection],
    service: NamedDependency[Service],
    actor: NamedDependency[Actor],
    case_id: FromPath[UUID],
) -> CaseShown:
    """Return a case with its evidence, judgements and decision."""
    return await _show(conn, await cases.load_case(conn, case_id), service.desk.model, actor)


@post("/v1/cases/{case_id:uuid}/judgements", tags=["adjudication"])
@once
async def judge_case(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    service: NamedDependency[Service],
    case_id: FromPath[UUID],
    data: JSONBody[NewJudgement],
    idempotency_key: Key = None,
) -> Judged:
    """Judge a case for one's organisation; two that agree decide it."""
    done = await adjudicate(
        conn,
        case_id=case_id,
        verdict=data.verdict,
        reason=data.reason,
        at=clock.now(),
        actor_id=actor.actor_id,
        partner_id=actor.partner_id,
    )
    return Judged(
        case=await _show(conn, done.case, service.desk.model, actor),
        households_joined=done.households_joined,
    )


async def _show(conn: AsyncConnection, view: CaseView, model: Model, actor: Actor) -> CaseShown:
    sides = {
        view.case.partner_a: (view.case.household_a, view.case.partner_b),
        view.case.partner_b: (view.case.household_b, view.case.partner_a),
    }
    mine, other = sides.get(actor.partner_id, (None, None))
    return CaseShown(
        mine=mine,
        ask=await partners.whom_to_ask(conn, other) if other else "",
        case_id=view.case.case_id,
        household_a=view.case.household_a,
        household_b=view.case.household_b,
        reason=view.case.reason,
        why=view.case.why,
        state=view.state,
        opened_at=view.case.opened_at,
        pairs=[
            PairShown(
                person_a=pair.person_a,
                person_b=pair.person_b,
                strength=model.strength(pair.weight_bits),
                weight_bits=round(pair.weight_bits),
                agrees=agreeing_fields(pair.evidence),
                differs=differing_fields(pair.evidence),
            )
            for pair in view.pairs
        ],
        judgements=view.judgements,
        decision=view.decision,
    )


def _strength(weight_bits: float | None, model: Model) -> Strength | None:
    return None if weight_bits is None else model.strength(weight_bits)


HANDLERS = (list_cases, read_case, judge_case)
