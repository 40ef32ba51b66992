"""What a case shows to whom: evidence and standing, never a person, a place or a document."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import date, datetime
from typing import Literal
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from api import clock
from api.access import REVIEWERS
from api.db import Actor
from cbi import adjudicate, partners
from cbi.history import gone_of
from dedup import cases, models
from dedup.case import (
    CasePair,
    CaseView,
    Decision,
    Judgement,
    Reason,
    State,
    Verdict,
    Why,
    is_same_household,
    persons_matching,
)
from dedup.cluster import Group
from dedup.deadline import due_on, holidays
from dedup.explain import Explanation, Told, explain, shown, told, told_shown
from dedup.model import Model, Strength
from dedup.refusal import ModelNotFound, ModelUnreadable
from dedup.score import Score


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

    Whoever knows one of the two could work out where the other lives, or what papers they hold,
    from levels and bits. So these (`weight_bits`, `explanation`, and a fuller `says`) are for
    reviewers of an organisation that knows neither family, or registered both. What differs is
    for reviewers only.
    """

    person_a: UUID
    person_b: UUID
    strength: Strength
    weight_bits: int | None
    agrees: tuple[str, ...]
    differs: tuple[str, ...]
    says: Told
    explanation: Explanation | None


class CaseShown(msgspec.Struct, frozen=True, kw_only=True):
    """A case as a reviewer sees it: the two households by id, evidence, judgements, decisions.

    To an organisation that is part of it the case also says which household is its own, and whom
    to ask at the other; who the parties are is told to nobody else. `persons` match; where these
    are half of the smaller household or more, the two look like one family. `smaller_size` is how
    many live there, told to who knows neither family, or registered both.
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
    persons: int
    # Of the persons that match, who are recorded as deceased or as having left.
    deceased: int
    left: int
    smaller_size: int | None
    looks_like: Literal["same_household", "same_person"] | None
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
        persons=persons_matching(view.pairs),
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
    sizes = await adjudicate.smaller_sizes(conn, [view.case.case_id for view in views])
    whole = await _seen_whole(conn, views, actor)
    known = {model.model_id: model}
    await _learn_models(conn, views, known)
    return [
        await _shown(
            conn,
            view,
            group=together.get(view.case.case_id),
            smaller_size=sizes.get(view.case.case_id),
            is_whole=view.case.case_id in whole,
            pairs=[
                _pair(pair, model, known, is_whole=view.case.case_id in whole, actor=actor)
                for pair in view.pairs
            ],
            actor=actor,
        )
        for view in views
    ]


async def _seen_whole(conn: AsyncConnection, views: Sequence[CaseView], actor: Actor) -> set[UUID]:
    """Return the cases whose evidence this actor may see whole: reviewers, as decision 16 says."""
    if not actor.roles & REVIEWERS:
        return set()
    ours, theirs = set(), []
    for view in views:
        if view.case.partner_a == view.case.partner_b == actor.partner_id:
            ours.add(view.case.case_id)
        else:
            theirs.append(view)
    met = await cases.met_by(conn, theirs, actor.partner_id)
    return ours | ({view.case.case_id for view in theirs} - met)


async def _learn_models(
    conn: AsyncConnection, views: Sequence[CaseView], known: dict[str, Model]
) -> None:
    """Add the models that these cases were scored under, but for those nobody can read now."""
    for model_id in {pair.model_id for view in views for pair in view.pairs} - known.keys():
        with suppress(ModelNotFound, ModelUnreadable):
            known[model_id] = await models.load(conn, model_id)


def _pair(
    pair: CasePair, model: Model, known: Mapping[str, Model], *, is_whole: bool, actor: Actor
) -> PairShown:
    part = shown(model.strength(pair.weight_bits), pair.evidence)
    if not actor.roles & REVIEWERS:
        part = msgspec.structs.replace(part, differs=())
    explanation = None
    if is_whole and pair.model_id in known:
        explanation = explain(_score(pair, known[pair.model_id]), known[pair.model_id])
    return PairShown(
        person_a=pair.person_a,
        person_b=pair.person_b,
        strength=part.strength,
        weight_bits=round(pair.weight_bits) if is_whole else None,
        agrees=part.agrees,
        differs=part.differs,
        says=told_shown(part) if explanation is None else told(explanation),
        explanation=explanation,
    )


def _score(pair: CasePair, model: Model) -> Score:
    return Score(
        weight_bits=pair.weight_bits,
        probability=pair.probability,
        model_id=pair.model_id,
        strength=model.strength(pair.weight_bits),
        fields=pair.evidence,
    )


async def _shown(
    conn: AsyncConnection,
    view: CaseView,
    *,
    group: Group | None,
    smaller_size: int | None,
    is_whole: bool,
    pairs: list[PairShown],
    actor: Actor,
) -> CaseShown:
    case, standing = view.case, view.standing
    sides = {
        case.partner_a: (case.household_a, case.partner_b),
        case.partner_b: (case.household_b, case.partner_a),
    }
    mine, other = sides.get(actor.partner_id, (None, None))
    due = _due(view)
    persons = persons_matching(view.pairs)
    gone = (await gone_of(conn, [case.case_id]))[case.case_id]
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
        persons=persons,
        deceased=gone["deceased"],
        left=gone["left"],
        smaller_size=smaller_size if is_whole else None,
        looks_like=_looks_like(persons, smaller_size),
        pairs=pairs,
        judgements=view.judgements,
        decisions=view.decisions,
        decision=view.decision,
    )


def _looks_like(
    persons: int, smaller_size: int | None
) -> Literal["same_household", "same_person"] | None:
    if smaller_size is None or not persons:
        return None
    return "same_household" if is_same_household(persons, smaller_size) else "same_person"


def _due(view: CaseView) -> date:
    return due_on(view.standing.waiting_since, days_off=holidays())


def _strength(weight_bits: float | None, model: Model) -> Strength | None:
    return None if weight_bits is None else model.strength(weight_bits)
