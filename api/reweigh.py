"""Weigh cases anew: undecided ones to show them under another model, decided ones to learn."""

from collections.abc import Iterable, Mapping, Sequence
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from api import clock
from api.db import transaction
from api.rematch import MATCHER
from api.state import Service
from cbi.identities import Candidates, Purpose
from dedup.case import CaseView
from dedup.cases import cases_of_other_models, list_cases
from dedup.find import Likeness, Pair
from dedup.model import Model
from dedup.opening import rescore
from dedup.record import Record
from dedup.reviewed import Label, labels
from dedup.reweigh import between
from dedup.score import explained

CASES_PER_TRANSACTION = 100
Members = Mapping[UUID, Sequence[Record]]


async def reweigh(service: Service, model: Model) -> tuple[int, int]:
    """Show all undecided cases under this model; returns how many, and how many could not be.

    A case whose household withdrew from the check or was erased can't be compared again.
    """
    after: UUID | None = None
    done = left = 0
    while True:
        async with transaction(service.engine, MATCHER, request_id="cli") as conn:
            views = await cases_of_other_models(
                conn, model.model_id, after=after, limit=CASES_PER_TRANSACTION
            )
            if not views:
                return done, left
            members = await _members(conn, service, views, purpose="duplicate check")
            # In the order of ids, in which everybody takes their locks.
            for view in views:
                is_shown = await rescore(
                    conn,
                    view.case.case_id,
                    _pairs(view, members, model),
                    model,
                    at=clock.now(),
                    actor_id=MATCHER.actor_id,
                )
                done += is_shown
                left += not is_shown
        after = views[-1].case.case_id


async def reviewed(service: Service, model: Model) -> list[Label]:
    """Return what all decisions say of pairs, with their weights under this model.

    Cases whose households withdrew from the check or were erased can't be compared, and those
    that were opened anew are in doubt: both are left out.
    """
    after: UUID | None = None
    found: list[Label] = []
    while True:
        async with transaction(service.engine, MATCHER, request_id="cli") as conn:
            views = await list_cases(
                conn, state="decided", after=after, limit=CASES_PER_TRANSACTION
            )
            if not views:
                return found
            after = views[-1].case.case_id
            matches = [
                view
                for view in views
                if view.case.household_b is not None and view.standing.reopened_as is None
            ]
            members = await _members(conn, service, matches, purpose="model training")
            for view in matches:
                assert view.decision is not None
                # What nobody was shown, nobody decided.
                shown = {(pair.person_a, pair.person_b) for pair in view.pairs}
                weights = [
                    one.weight_bits
                    for one in _between(view, members, model)
                    if (one.record.person_id, one.other.person_id) in shown
                ]
                found += labels(view.decision.verdict, weights)


async def _members(
    conn: AsyncConnection, service: Service, views: Iterable[CaseView], *, purpose: Purpose
) -> Members:
    homes = {one for view in views for one in _homes(view)}
    opened = await Candidates(conn, service.vault, purpose=purpose).households(sorted(homes))
    return {home.household_id: home.persons for home in opened}


def _homes(view: CaseView) -> tuple[UUID, UUID]:
    # A case of one household alone was never weighed.
    assert view.case.household_b is not None
    return view.case.household_a, view.case.household_b


def _between(view: CaseView, members: Members, model: Model) -> list[Likeness]:
    home_a, home_b = _homes(view)
    shown = {(pair.person_a, pair.person_b) for pair in view.pairs}
    return between(members.get(home_a, ()), members.get(home_b, ()), model, shown=shown)


def _pairs(view: CaseView, members: Members, model: Model) -> list[Pair]:
    home_a, home_b = _homes(view)
    partner_b = view.case.partner_b
    assert partner_b is not None
    return [
        Pair(
            person_id=one.record.person_id,
            household_id=home_a,
            other_person_id=one.other.person_id,
            other_household_id=home_b,
            other_partner_id=partner_b,
            score=explained(one.compared, one.record.ubigeo, model),
        )
        for one in _between(view, members, model)
    ]
