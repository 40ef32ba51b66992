"""Match cases over HTTP: list, read, assign, judge. What a case shows names no person."""

from typing import Annotated, Literal
from uuid import UUID

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from sqlalchemy.ext.asyncio import AsyncConnection

from api import access, clock
from api.case_views import CaseRow, CaseShown, row, show
from api.db import Actor
from api.once import once
from api.page import Key, Limit, Page, page
from api.state import Requested, Service
from api.text import NOT_NUL
from cbi import adjudicate
from dedup import cases
from dedup.case import State, Verdict
from dedup.cluster import Conflict
from dedup.deadline import holidays, overdue_before
from dedup.judge import Said

Text = Annotated[str, msgspec.Meta(max_length=2000, pattern=NOT_NUL)]
Code = Annotated[str, msgspec.Meta(max_length=60, pattern=NOT_NUL)]


class NewJudgement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One reviewer's word. The reason must not name anybody.

    `supersedes` is the judgement of one's own organisation that this one replaces.
    """

    verdict: Verdict
    reason: Text = ""
    supersedes: UUID | None = None


class NewGroupJudgement(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One word for all cases of a group; `size` is how many cases the reviewer saw."""

    verdict: Verdict
    reason: Text = ""
    size: Annotated[int, msgspec.Meta(ge=1, le=10_000)] | None = None


class NewAssignment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who is asked to judge: an organisation by code, a colleague by handle, or else oneself."""

    partner: Code | None = None
    person: Code | None = None


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """The case after a judgement, and how many registrations moved to another family.

    `conflicts` are decisions around it that join and that others contradict.
    """

    case: CaseShown
    households_joined: int
    households_parted: int
    conflicts: tuple[Conflict, ...]


class GroupJudged(msgspec.Struct, frozen=True, kw_only=True):
    """The cases of a group after one word for all, and what became of families."""

    cases: list[CaseShown]
    households_joined: int
    households_parted: int
    conflicts: tuple[Conflict, ...]


@get("/v1/cases", tags=["adjudication"])
async def list_cases(
    conn: NamedDependency[AsyncConnection],
    service: NamedDependency[Service],
    actor: NamedDependency[Actor],
    in_state: Annotated[State | None, QueryParameter(name="state")] = None,
    group: FromQuery[UUID | None] = None,
    overdue: FromQuery[bool] = False,
    assigned_to: FromQuery[Literal["me", "us"] | None] = None,
    after: FromQuery[UUID | None] = None,
    limit: Limit = 50,
) -> Page[CaseRow]:
    """List the cases one may see, oldest first; `group` lists what hangs together with a case."""
    today = clock.today()
    views = await cases.list_cases(
        conn,
        state=in_state,
        after=after,
        limit=limit + 1,
        waiting_before=overdue_before(today, days_off=holidays()) if overdue else None,
        case_ids=None if group is None else await _members(conn, group),
        assigned_partner_id=actor.partner_id if assigned_to == "us" else None,
        assigned_actor_id=actor.actor_id if assigned_to == "me" else None,
    )
    together = await cases.groups_of(conn, views)
    return page(
        [
            row(view, together.get(view.case.case_id), service.model.readable, today)
            for view in views
        ],
        limit=limit,
        cursor="case_id",
    )


@get("/v1/cases/{case_id:uuid}", tags=["adjudication"])
async def read_case(
    conn: NamedDependency[AsyncConnection],
    service: NamedDependency[Service],
    actor: NamedDependency[Actor],
    case_id: FromPath[UUID],
) -> CaseShown:
    """Return a case with its evidence, judgements and decisions."""
    (shown,) = await show(
        conn, [await cases.load_case(conn, case_id)], service.model.readable, actor
    )
    return shown


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
    """Judge a case for one's organisation, or take back what it said; two that agree decide it."""
    done = await adjudicate.adjudicate(
        conn, case_id, _said(data.verdict, data.reason, actor), supersedes=data.supersedes
    )
    (shown,) = await show(conn, done.cases, service.model.readable, actor)
    return Judged(
        case=shown,
        households_joined=done.households_joined,
        households_parted=done.households_parted,
        conflicts=done.conflicts,
    )


@post("/v1/case-groups/{case_id:uuid}/judgements", tags=["adjudication"])
@once
async def judge_case_group(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    service: NamedDependency[Service],
    case_id: FromPath[UUID],
    data: JSONBody[NewGroupJudgement],
    idempotency_key: Key = None,
) -> GroupJudged:
    """Say the same of every undecided case that hangs together with this one; all or nothing."""
    done = await adjudicate.adjudicate_group(
        conn, case_id, _said(data.verdict, data.reason, actor), size=data.size
    )
    return GroupJudged(
        cases=await show(conn, done.cases, service.model.readable, actor),
        households_joined=done.households_joined,
        households_parted=done.households_parted,
        conflicts=done.conflicts,
    )


@post("/v1/cases/{case_id:uuid}/assignments", tags=["adjudication"])
@once
async def assign_case(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    service: NamedDependency[Service],
    case_id: FromPath[UUID],
    data: JSONBody[NewAssignment],
    idempotency_key: Key = None,
) -> CaseShown:
    """Ask an organisation, a colleague or oneself to judge a case; it excludes nobody."""
    view = await adjudicate.assign(
        conn,
        case_id,
        partner=data.partner,
        person=data.person,
        is_coordinator=access.COORDINATOR in actor.roles,
        partner_id=actor.partner_id,
        actor_id=actor.actor_id,
        at=clock.now(),
    )
    (shown,) = await show(conn, [view], service.model.readable, actor)
    return shown


@get("/v1/case-conflicts", tags=["adjudication"])
async def list_conflicts(
    conn: NamedDependency[AsyncConnection],
    after: FromQuery[UUID | None] = None,
    limit: Limit = 50,
) -> Page[Conflict]:
    """List the decisions that two registrations are one family and that others contradict."""
    items = await adjudicate.conflicts(conn, after=after, limit=limit + 1)
    return page(items, limit=limit, cursor="case_id")


async def _members(conn: AsyncConnection, case_id: UUID) -> list[UUID]:
    view = await cases.load_case(conn, case_id)
    return [] if view.decision else await cases.group_members(conn, view.case)


def _said(verdict: Verdict, reason: str, actor: Actor) -> Said:
    return Said(
        verdict=verdict,
        reason=reason,
        actor_id=actor.actor_id,
        partner_id=actor.partner_id,
        at=clock.now(),
    )


HANDLERS = (
    list_cases,
    read_case,
    judge_case,
    judge_case_group,
    assign_case,
    list_conflicts,
)
