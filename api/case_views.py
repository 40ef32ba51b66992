"""What a case shows to whom: evidence and standing, never a person, a place or a document."""

from collections.abc import Sequence
from datetime import date, datetime
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from api import clock
from api.db import Actor
from cbi import partners
from dedup import cases
from dedup.case import CaseView, Decision, Judgement, Reason, State, Verdict, Why
from dedup.cluster import Group
from dedup.deadline import due_on, holidays
from dedup.model import Model, Strength
from dedup.score import agreeing_fields, differing_fields


class CaseRow(msgspec.Struct, frozen=True, kw_only=True):
    """A case in a list. `group` names the undecided cases that hang together with this one."""

    case_id: UUID
    reason: Reason
    state: State
    strength: Strength | None
    persons: int
    opened_at: datetime
    due_on: date
    overdue: bool
    verdict: Verdict | None
    group: UUID | None
    group_size: int
    assigned_to: UUID | None
    reopens: UUID | None


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
    """A case as a reviewer sees it: the two households by id, evidence, judgements, decisions.

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
    due_on: date
    overdue: bool
    group: UUID | None
    group_size: int
    assigned_to: UUID | None
    assigned_to_me: bool
    reopens: UUID | None
    reopened_as: UUID | None
    pairs: list[PairShown]
    judgements: tuple[Judgement, ...]
    decisions: tuple[Decision, ...]
    decision: Decision | None
    mine: UUID | None
    ask: str


def row(view: CaseView, group: Group | None, model: Model, today: date) -> CaseRow:
    """Show a case in a list."""
    due = _due(view)
    return CaseRow(
        case_id=view.case.case_id,
        reason=view.case.reason,
        state=view.state,
        strength=_strength(view.standing.strength_bits, model),
        persons=len(view.pairs),
        opened_at=view.case.opened_at,
        due_on=due,
        overdue=view.state != "decided" and due < today,
        verdict=view.decision.verdict if view.decision else None,
        group=group.group_id if group else None,
        group_size=group.size if group else 0,
        assigned_to=view.standing.assigned_partner_id,
        reopens=view.case.reopens,
    )


async def show(
    conn: AsyncConnection, views: Sequence[CaseView], model: Model, actor: Actor
) -> list[CaseShown]:
    """Show cases whole, as far as this actor may know."""
    together = await cases.groups_of(conn, views)
    return [
        await _shown(conn, view, together.get(view.case.case_id), model, actor) for view in views
    ]


async def _shown(
    conn: AsyncConnection, view: CaseView, group: Group | None, model: Model, actor: Actor
) -> CaseShown:
    case, standing = view.case, view.standing
    sides = {
        case.partner_a: (case.household_a, case.partner_b),
        case.partner_b: (case.household_b, case.partner_a),
    }
    mine, other = sides.get(actor.partner_id, (None, None))
    due = _due(view)
    return CaseShown(
        mine=mine,
        ask=await partners.whom_to_ask(conn, other) if other else "",
        case_id=case.case_id,
        household_a=case.household_a,
        household_b=case.household_b,
        reason=case.reason,
        why=case.why,
        state=view.state,
        opened_at=case.opened_at,
        due_on=due,
        overdue=view.state != "decided" and due < clock.today(),
        group=group.group_id if group else None,
        group_size=group.size if group else 0,
        assigned_to=standing.assigned_partner_id,
        assigned_to_me=standing.assigned_actor_id == actor.actor_id,
        reopens=case.reopens,
        reopened_as=standing.reopened_as,
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
        decisions=view.decisions,
        decision=view.decision,
    )


def _due(view: CaseView) -> date:
    return due_on(view.standing.waiting_since, days_off=holidays())


def _strength(weight_bits: float | None, model: Model) -> Strength | None:
    return None if weight_bits is None else model.strength(weight_bits)
