"""Appeals over HTTP: taken in anywhere, reviewed elsewhere, and acted on where it was refused."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from sqlalchemy.ext.asyncio import AsyncConnection

from api import access, clock
from api.db import WORKER, Actor, transaction
from api.once import once
from api.page import AfterNumber, Key, Limit, Page, page
from api.state import Requested, Service
from api.text import NOT_NUL
from api.worker import Duty
from cbi import appeals, lodge
from cbi.appeal import (
    STATEMENT_CHARACTERS_MAX,
    Acted,
    Appeal,
    Because,
    Done,
    Effect,
    Event,
    Intake,
    Outcome,
    Reading,
    Refused,
    State,
    Statement,
    history,
)
from cbi.appeals import Wanted
from cbi.consent import Channel
from cbi.lodge import Days, Lodged
from cbi.slip import Language
from cbi.who import Who
from dedup.deadline import due_on, holidays

Code = Annotated[str, msgspec.Meta(max_length=60, pattern=NOT_NUL)]
Said = Annotated[
    str, msgspec.Meta(min_length=1, max_length=STATEMENT_CHARACTERS_MAX, pattern=NOT_NUL)
]
REVIEW = access.REVIEWERS


class NewAppeal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the holder of a slip says; `contact`: they may be written to about it."""

    token: Annotated[str, msgspec.Meta(max_length=200)]
    language: Language
    channel: Channel
    statement: Said
    contact: bool = False


class NewAppealWithout(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same from a household of one's own that lost its slip."""

    slip_id: UUID
    language: Language
    channel: Channel
    statement: Said
    contact: bool = False


class NewReviewer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who is asked to review: an organisation by code, a colleague by handle, or else oneself."""

    partner: Code | None = None
    person: Code | None = None


class NewOutcome(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the appeal ends, and why; both are words of a list, so that nobody is named."""

    outcome: Outcome
    because: Because


class NewDone(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the organisation that refused did about the reversal; whom it registered."""

    what: Done
    household_id: UUID | None = None


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """An appeal as its viewer may know it.

    Who only took it in sees its reference, where it stands and how it ended, to tell the person:
    neither what was refused nor who reviews.
    """

    appeal_id: UUID
    reference: str
    state: State
    language: Language
    channel: Channel
    contact: bool
    taken_at: datetime
    due_on: date
    overdue: bool
    outcome: Outcome | None
    because: Because | None = None
    refused: Refused | None = None
    refused_by: UUID | None = None
    reviewer: UUID | None = None
    effect: Effect | None = None
    acted: Acted | None = None
    history: Sequence[Event] = ()


# Not `once`: the token itself says which appeal it is, and a stored answer is one place more.
@post("/v1/appeals", tags=["appeals"])
async def take_appeal(
    request: Requested,
    service: NamedDependency[Service],
    actor: NamedDependency[Actor],
    data: JSONBody[NewAppeal],
) -> Shown:
    """Take in an appeal by a slip's token, whoever gave the slip; a used one shows its appeal."""
    request_id = str(request.scope["request_id"])  # type: ignore[typeddict-item]
    now, today = clock.now(), clock.today()
    # Committed before the token is looked at, so that a refusal doesn't undo the count.
    async with service.begin(actor, request_id=request_id) as conn:
        await lodge.claim_try(
            conn,
            tries_per_day=service.settings.appeal_tries_per_day,
            on=today,
            opens_again_at=_begin(today + timedelta(days=1)),
            partner_id=actor.partner_id,
            at=now,
        )
    async with service.begin(actor, request_id=request_id) as conn:
        done = await lodge.lodge_by_token(
            conn,
            data.token,
            _intake(data),
            appeal_id=clock.new_id(),
            days=_days(service, now),
            vault=service.vault,
            matching_key=service.settings.matching_key,
            who=_who(actor),
        )
        return await _lodged(conn, done, actor)


@post("/v1/households/{household_id:uuid}/appeals", tags=["appeals"])
@once
async def take_appeal_without_slip(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    service: NamedDependency[Service],
    actor: NamedDependency[Actor],
    household_id: FromPath[UUID],
    data: JSONBody[NewAppealWithout],
    idempotency_key: Key = None,
) -> Shown:
    """Take in the appeal of a household of one's own that lost its slip."""
    done = await lodge.lodge_without(
        conn,
        _intake(data),
        household_id=household_id,
        slip_id=data.slip_id,
        appeal_id=clock.new_id(),
        days=_days(service, clock.now()),
        vault=service.vault,
        who=_who(actor),
    )
    return await _lodged(conn, done, actor)


@get("/v1/appeals", tags=["appeals"])
async def list_appeals(
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    in_state: Annotated[State | None, QueryParameter(name="state")] = None,
    overdue: FromQuery[bool] = False,
    assigned_to: FromQuery[Literal["me", "us"] | None] = None,
    after: FromQuery[UUID | None] = None,
    limit: Limit = 50,
) -> Page[Shown]:
    """List the appeals one may see, oldest first."""
    today = clock.today()
    wanted = Wanted(
        state=in_state,
        overdue_on=today if overdue else None,
        reviewer_partner_id=actor.partner_id if assigned_to == "us" else None,
        reviewer_actor_id=actor.actor_id if assigned_to == "me" else None,
        after=after,
    )
    found = await appeals.list_appeals(conn, wanted, limit=limit + 1)
    return page([shown(each, actor, today) for each in found], limit=limit, cursor="appeal_id")


@get("/v1/appeals/{appeal_id:uuid}", tags=["appeals"])
async def read_appeal(
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    appeal_id: FromPath[UUID],
) -> Shown:
    """Return an appeal with its history, as far as it may be known."""
    return shown(await appeals.load_appeal(conn, appeal_id), actor, clock.today())


@get("/v1/appeals/{appeal_id:uuid}/statement", tags=["appeals"])
async def read_statement(
    conn: NamedDependency[AsyncConnection],
    service: NamedDependency[Service],
    actor: NamedDependency[Actor],
    appeal_id: FromPath[UUID],
) -> Statement:
    """Open what the person said, for the organisation that reviews; the reading is logged."""
    return await appeals.read_statement(conn, appeal_id, vault=service.vault, who=_who(actor))


@post("/v1/appeals/{appeal_id:uuid}/assignments", tags=["appeals"])
@once
async def assign_appeal(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    appeal_id: FromPath[UUID],
    data: JSONBody[NewReviewer],
    idempotency_key: Key = None,
) -> Shown:
    """Ask an organisation, a colleague or oneself to review; the last to be asked counts."""
    appeal = await appeals.assign(
        conn,
        appeal_id,
        partner=data.partner,
        person=data.person,
        is_coordinator=access.COORDINATOR in actor.roles,
        who=_who(actor),
    )
    return shown(appeal, actor, clock.today())


@post("/v1/appeals/{appeal_id:uuid}/outcome", tags=["appeals"])
@once
async def decide_appeal(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    service: NamedDependency[Service],
    actor: NamedDependency[Actor],
    appeal_id: FromPath[UUID],
    data: JSONBody[NewOutcome],
    idempotency_key: Key = None,
) -> Shown:
    """End an appeal. A reversal opens the decided case anew, or asks who refused to act."""
    now = clock.now()
    appeal = await appeals.decide(
        conn,
        appeal_id,
        outcome=data.outcome,
        because=data.because,
        new_case_id=clock.new_id(),
        act_by=_due(now, service.settings.act_working_days),
        who=_who(actor),
    )
    return shown(appeal, actor, clock.today())


@post("/v1/appeals/{appeal_id:uuid}/done", tags=["appeals"])
@once
async def act_on_appeal(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    appeal_id: FromPath[UUID],
    data: JSONBody[NewDone],
    idempotency_key: Key = None,
) -> Shown:
    """Say what one's organisation, which had refused, did about a reversal."""
    appeal = await appeals.act(
        conn, appeal_id, what=data.what, who=_who(actor), household_id=data.household_id
    )
    return shown(appeal, actor, clock.today())


@get("/v1/appeal-readings", tags=["access"])
async def list_readings(
    conn: NamedDependency[AsyncConnection], after: AfterNumber = 0, limit: Limit = 50
) -> Page[Reading]:
    """List who opened what people said in their appeals, oldest first."""
    items = await appeals.list_readings(conn, after=after, limit=limit + 1)
    return page(items, limit=limit, cursor="reading_no")


def shown(appeal: Appeal, actor: Actor, today: date) -> Shown:
    """Return what this viewer may know of an appeal."""
    until, decided = appeal.waits_until(), appeal.decided
    little = Shown(
        appeal_id=appeal.appeal_id,
        reference=appeal.refused.reference,
        state=appeal.state,
        language=appeal.language,
        channel=appeal.channel,
        contact=appeal.contact,
        taken_at=appeal.taken_at,
        due_on=appeal.due_on,
        overdue=until is not None and until < today,
        outcome=decided.outcome if decided else None,
    )
    if actor.partner_id != appeal.partner_id and not actor.roles & REVIEW:
        return little
    return msgspec.structs.replace(
        little,
        because=decided.because if decided else None,
        refused=appeal.refused,
        refused_by=appeal.partner_id,
        reviewer=appeal.assignments[-1].reviewer_partner_id if appeal.assignments else None,
        effect=appeal.effect,
        acted=_acted(appeal, actor),
        history=history(appeal),
    )


def _acted(appeal: Appeal, actor: Actor) -> Acted | None:
    """Whom it registered is for the organisation that did to know."""
    if appeal.acted is None or actor.partner_id == appeal.partner_id:
        return appeal.acted
    return msgspec.structs.replace(appeal.acted, household_id=None)


async def _lodged(conn: AsyncConnection, done: Lodged, actor: Actor) -> Shown:
    return shown(await appeals.load_appeal(conn, done.appeal_id), actor, clock.today())


def _intake(data: NewAppeal | NewAppealWithout) -> Intake:
    return Intake(
        language=data.language,
        channel=data.channel,
        contact=data.contact,
        statement=Statement(said=data.statement),
    )


def _days(service: Service, now: datetime) -> Days:
    return Days(on=clock.today(), due_on=_due(now, service.settings.appeal_working_days))


def _due(now: datetime, working_days: int) -> date:
    return due_on(now, days_off=holidays(), working_days=working_days)


def _who(actor: Actor) -> Who:
    return Who(partner_id=actor.partner_id, actor_id=actor.actor_id, at=clock.now())


def _begin(day: date) -> datetime:
    return datetime.combine(day, time(), tzinfo=clock.PERU).astimezone(UTC)


async def _erase(service: Service) -> None:
    """Destroy what was said in appeals that ended long enough ago."""
    before = clock.now() - timedelta(days=service.settings.appeal_kept_days)
    async with transaction(service.engine, WORKER, request_id="erase") as conn:
        await lodge.erase_decided(conn, before=before)


ERASE = Duty(name="erase_decided_appeals", every_seconds=3_600.0, do=_erase)
HANDLERS = (
    take_appeal,
    take_appeal_without_slip,
    list_appeals,
    read_appeal,
    read_statement,
    assign_appeal,
    decide_appeal,
    act_on_appeal,
    list_readings,
)
