"""Eligibility over HTTP: ask a programme's rules, decide an unknown, keep scores."""

from typing import Annotated
from uuid import UUID

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from sqlalchemy.ext.asyncio import AsyncConnection

from api import clock
from api.db import Actor
from api.once import once
from api.page import AfterNumber, Key, Limit, Page, page
from api.state import Requested, Service
from api.text import END
from cbi import eligible, enrol, scores
from cbi.eligible import HOUSEHOLDS_MAX, Asked, OverriddenBecause, Override
from cbi.scores import Score
from cbi.term import day_of
from cbi.who import Who

Number = Annotated[float, msgspec.Meta(ge=-1e9, le=1e9)]
Model = Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9._-]{0,39}" + END)]
Version = Annotated[str, msgspec.Meta(pattern="^[a-z0-9][a-z0-9._-]{0,39}" + END)]
Component = Annotated[str, msgspec.Meta(pattern="^[a-z][a-z0-9_]{0,39}" + END)]


class Question(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Households of one's own, each asked about once."""

    household_ids: Annotated[list[UUID], msgspec.Meta(min_length=1, max_length=HOUSEHOLDS_MAX)]


class Answers(msgspec.Struct, frozen=True, kw_only=True):
    """What the rules say of each, in the order asked; nothing is kept."""

    answers: list[Asked]


class NewOverride(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A person's yes where facts are missing; the reason is a word of a list."""

    household_id: UUID
    because: OverriddenBecause


class NewScore(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A score that was made elsewhere, and what it is made of."""

    model: Model
    model_version: Version
    score: Number
    components: Annotated[dict[Component, Number], msgspec.Meta(max_length=50)] = {}


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """A score with its number."""

    score_no: int
    kept: Score


# Not `once`: nothing is done.
@post("/v1/programmes/{programme_id:uuid}/eligibility", status_code=200, tags=["programmes"])
async def ask(
    conn: NamedDependency[AsyncConnection],
    service: NamedDependency[Service],
    programme_id: FromPath[UUID],
    data: JSONBody[Question],
) -> Answers:
    """Ask the rules that count today about households, without enrolling anybody."""
    await enrol.load_programme(conn, programme_id)
    return Answers(
        answers=await eligible.ask(
            conn,
            programme_id=programme_id,
            household_ids=list(dict.fromkeys(data.household_ids)),
            vault=service.vault,
            on=day_of(clock.now()),
        )
    )


@post("/v1/programmes/{programme_id:uuid}/eligibility/overrides", tags=["programmes"])
@once
async def override(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    service: NamedDependency[Service],
    programme_id: FromPath[UUID],
    data: JSONBody[NewOverride],
    idempotency_key: Key = None,
) -> Override:
    """Say yes where the rules don't know; another person enrols."""
    await enrol.load_programme(conn, programme_id)
    return await eligible.override(
        conn,
        override_id=clock.new_id(),
        programme_id=programme_id,
        household_id=data.household_id,
        because=data.because,
        vault=service.vault,
        who=Who(partner_id=actor.partner_id, actor_id=actor.actor_id, at=clock.now()),
    )


@post("/v1/households/{household_id:uuid}/scores", tags=["registration"])
@once
async def add_score(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    household_id: FromPath[UUID],
    data: JSONBody[NewScore],
    idempotency_key: Key = None,
) -> Score:
    """Keep a score of a household of one's own; nobody else ever sees it."""
    who = Who(partner_id=actor.partner_id, actor_id=actor.actor_id, at=clock.now())
    scored = Score(
        household_id=household_id,
        scored_by=who.actor_id,
        scored_at=who.at,
        **msgspec.structs.asdict(data),
    )
    return await scores.add(conn, scored, who=who)


@get("/v1/households/{household_id:uuid}/scores", tags=["registration"])
async def list_scores(
    conn: NamedDependency[AsyncConnection],
    household_id: FromPath[UUID],
    after: AfterNumber = 0,
    limit: Limit = 50,
) -> Page[Kept]:
    """List a household's scores, oldest first."""
    found = await scores.load_scores(conn, household_id, after=after, limit=limit + 1)
    items = [Kept(score_no=score_no, kept=each) for score_no, each in found]
    return page(items, limit=limit, cursor="score_no")


HANDLERS = (ask, override, add_score, list_scores)
