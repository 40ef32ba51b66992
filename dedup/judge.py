"""Let people of different organisations decide cases, and take back what they said."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from dedup import tables
from dedup.case import CaseView, Judgement, Verdict, evidence_digest, in_force, verdict_of
from dedup.cases import cases_of_other_models, group_members, list_cases, load_case
from dedup.opening import Matched, Opened, open_batch, open_cases, open_unchecked, rescore
from dedup.refusal import (
    AlreadyJudged,
    AssignElsewhere,
    CannotSupersede,
    CaseDecided,
    CaseReopened,
    GroupChanged,
    GroupTooLarge,
)

__all__ = [
    "Matched",
    "Opened",
    "assign",
    "cases_of_other_models",
    "judge",
    "judge_group",
    "list_cases",
    "load_case",
    "open_batch",
    "open_case_ids",
    "open_cases",
    "open_unchecked",
    "rescore",
]

# So many cases a person can have looked at before one word decides them.
GROUP_JUDGED_MAX = 50


class Said(msgspec.Struct, frozen=True, kw_only=True):
    """One reviewer's word, for one organisation."""

    verdict: Verdict
    reason: str
    actor_id: UUID
    partner_id: UUID
    at: datetime


async def judge(
    conn: AsyncConnection, case_id: UUID, said: Said, *, supersedes: UUID | None = None
) -> CaseView:
    """Add one organisation's judgement; the second that agrees decides the case.

    `supersedes` names what the organisation said before and takes back, also after the decision:
    that one stays in force until two organisations agree on another verdict, which makes a new
    decision. Raises CaseNotFound, CaseDecided, CaseReopened, CannotSupersede, or AlreadyJudged
    when the organisation or the person has judged before.
    """
    await conn.execute(select(func.dedup.lock_case(case_id)))
    before = await load_case(conn, case_id)
    _check(before, said, supersedes)
    await conn.execute(
        insert(tables.judgement).values(
            case_id=case_id,
            verdict=said.verdict,
            actor_id=said.actor_id,
            partner_id=said.partner_id,
            reason=said.reason,
            judged_at=said.at,
            supersedes=supersedes,
        )
    )
    after = await load_case(conn, case_id)
    agreed = verdict_of(after.judgements)
    earlier = after.decision
    if agreed is None or (earlier is not None and earlier.verdict == agreed):
        return after
    await conn.execute(
        insert(tables.decision).values(
            case_id=case_id,
            verdict=agreed,
            decided_at=said.at,
            supersedes=earlier.decision_no if earlier else None,
            model_id=after.standing.model_id,
            evidence_digest=evidence_digest(after.pairs),
        )
    )
    return await load_case(conn, case_id)


async def judge_group(
    conn: AsyncConnection, case_id: UUID, said: Said, *, size: int | None = None
) -> list[CaseView]:
    """Say the same of every undecided case that hangs together with this one; all or nothing.

    Each is an ordinary judgement; cases on which the organisation or the person has spoken are
    passed over. With `size`, how many cases the reviewer saw, a group that has changed since is
    refused. Raises CaseNotFound, CaseDecided, GroupChanged, GroupTooLarge, AlreadyJudged.
    """
    named = await load_case(conn, case_id)
    if named.decision is not None:
        raise CaseDecided(case_id=case_id, verdict=named.decision.verdict)
    members = await group_members(conn, named.case)
    if size is not None and size != len(members):
        raise GroupChanged(case_id=case_id, size=len(members))
    if len(members) > GROUP_JUDGED_MAX:
        raise GroupTooLarge(case_id=case_id, size_max=GROUP_JUDGED_MAX)
    judged = []
    # In the order of ids, in which everybody takes their locks.
    for member in members:
        await conn.execute(select(func.dedup.lock_case(member)))
        view = await load_case(conn, member)
        if view.decision is None and not _voices(view, said):
            judged.append(await judge(conn, member, said))
    if not judged:
        raise AlreadyJudged(case_id=case_id, partner_id=said.partner_id)
    return judged


async def assign(
    conn: AsyncConnection,
    case_id: UUID,
    *,
    to_partner_id: UUID,
    to_actor_id: UUID | None = None,
    is_coordinator: bool,
    partner_id: UUID,
    actor_id: UUID,
    at: datetime,
) -> CaseView:
    """Ask an organisation, or one person of it, to judge a case; the last to be asked counts.

    It obliges and excludes nobody. Raises CaseNotFound, CaseDecided, CaseReopened, and
    AssignElsewhere unless a coordinator asks or it is one's own organisation.
    """
    await conn.execute(select(func.dedup.lock_case(case_id)))
    view = await load_case(conn, case_id)
    if view.standing.reopened_as is not None:
        raise CaseReopened(case_id=case_id, reopened_as=view.standing.reopened_as)
    if view.state == "decided" and view.decision is not None:
        raise CaseDecided(case_id=case_id, verdict=view.decision.verdict)
    if to_partner_id != partner_id and not is_coordinator:
        raise AssignElsewhere(case_id=case_id)
    await conn.execute(
        insert(tables.assignment).values(
            case_id=case_id,
            partner_id=to_partner_id,
            actor_id=to_actor_id,
            assigned_by=actor_id,
            assigned_at=at,
        )
    )
    return await load_case(conn, case_id)


async def open_case_ids(
    conn: AsyncConnection, household_ids: Sequence[UUID]
) -> dict[UUID, list[UUID]]:
    """Return the undecided cases of each household that has one, whoever registered it."""
    rows = await conn.execute(
        text("SELECT household_id, case_id FROM dedup.open_cases(:household_ids ::uuid[])"),
        {"household_ids": list(household_ids)},
    )
    found: dict[UUID, list[UUID]] = {}
    for household_id, case_id in rows:
        found.setdefault(household_id, []).append(case_id)
    return found


def _check(view: CaseView, said: Said, supersedes: UUID | None) -> None:
    case_id = view.case.case_id
    if view.standing.reopened_as is not None:
        raise CaseReopened(case_id=case_id, reopened_as=view.standing.reopened_as)
    if supersedes is None:
        if view.state == "decided" and view.decision is not None:
            raise CaseDecided(case_id=case_id, verdict=view.decision.verdict)
        for other in _voices(view, said):
            raise AlreadyJudged(case_id=case_id, partner_id=other.partner_id)
        return
    own = {
        one.judgement_id for one in in_force(view.judgements) if one.partner_id == said.partner_id
    }
    if supersedes not in own:
        raise CannotSupersede(case_id=case_id, judgement_id=supersedes)
    for other in _voices(view, said):
        if other.partner_id != said.partner_id:
            raise AlreadyJudged(case_id=case_id, partner_id=other.partner_id)


def _voices(view: CaseView, said: Said) -> list[Judgement]:
    """Return what this organisation, or this person for another one, has said of the case."""
    return [
        one
        for one in view.judgements
        if one.partner_id == said.partner_id or one.actor_id == said.actor_id
    ]
