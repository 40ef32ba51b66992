"""What happens to households over HTTP: corrections, persons, consents, erasure, history."""

from datetime import date
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, PathParameter
from sqlalchemy.ext.asyncio import AsyncConnection

from api import clock
from api.db import Actor
from api.households import Purpose
from api.once import once
from api.page import AfterNumber, Key, Limit, Page, page
from api.state import Requested, Service
from cbi import amend, asked, history, household, persons, withdraw
from cbi.consent import ConsentKind
from cbi.event import AmendReason, Happened
from cbi.history import Told
from cbi.household import PERSONS_MAX
from cbi.identities import Identity
from cbi.register import Receipt
from cbi.who import Who

Note = Annotated[str, msgspec.Meta(max_length=2000)]
PersonIds = Annotated[tuple[UUID, ...], msgspec.Meta(min_length=1, max_length=PERSONS_MAX)]


class Correction(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The whole form again; docs/registration.md has it. `on` is today unless said."""

    reason: AmendReason
    on: date | None = None
    note: Note = ""
    form: dict[str, Any]


class Arrival(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Persons who joined the household, as they stand in a registration."""

    reason: Literal["born", "arrived", "other"]
    on: date
    note: Note = ""
    persons: Annotated[list[Any], msgspec.Meta(min_length=1, max_length=PERSONS_MAX)]


class Departure(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Persons who left the household."""

    reason: Literal["moved_out", "separated", "other"]
    on: date
    note: Note = ""
    person_ids: PersonIds


class Death(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Persons who died."""

    on: date
    note: Note = ""
    person_ids: PersonIds


class Withdrawal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The family's word that a consent ends."""

    kind: ConsentKind
    on: date
    note: Note = ""


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """Which household it was done to."""

    household_id: UUID


def who_of(actor: Actor) -> Who:
    """Say who acts, and when that is."""
    return Who(partner_id=actor.partner_id, actor_id=actor.actor_id, at=clock.now())


@get("/v1/households/{household_id:uuid}/events", tags=["households"])
async def list_events(
    conn: NamedDependency[AsyncConnection],
    service: NamedDependency[Service],
    household_id: FromPath[UUID],
    after: AfterNumber = 0,
    limit: Limit = 50,
    purpose: FromQuery[Purpose | None] = None,
) -> Page[Told]:
    """List what happened to a household; notes are opened for a purpose only, which is logged."""
    told = await history.list_events(conn, household_id, after=after, limit=limit + 1)
    if purpose is not None:
        told = await history.open_notes(
            conn, household_id, told, vault=service.vault, purpose=purpose
        )
    return page(told, limit=limit, cursor="version")


@get("/v1/households/{household_id:uuid}/versions/{version:int}", tags=["households"])
async def read_version(
    conn: NamedDependency[AsyncConnection],
    service: NamedDependency[Service],
    household_id: FromPath[UUID],
    version: Annotated[int, PathParameter(ge=1, le=2**31 - 1)],
    purpose: FromQuery[Purpose],
) -> Identity:
    """Open a household as it stood in a version; the access log keeps who, when and why."""
    return await history.open_version(
        conn, household_id, version, vault=service.vault, purpose=purpose
    )


@post("/v1/households/{household_id:uuid}/corrections", tags=["households"])
@once
async def correct(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    service: NamedDependency[Service],
    actor: NamedDependency[Actor],
    household_id: FromPath[UUID],
    data: JSONBody[Correction],
    idempotency_key: Key = None,
) -> Receipt:
    """Correct or update a household by its whole form; it is checked again."""
    today = clock.today()
    return await amend.amend(
        conn,
        household_id,
        household.read(data.form, today=today),
        desk=service.desk,
        reason=data.reason,
        partner_id=actor.partner_id,
        actor_id=actor.actor_id,
        area=actor.area,
        at=clock.now(),
        today=today,
        on=data.on,
        note=data.note,
    )


@post("/v1/households/{household_id:uuid}/persons", tags=["households"])
@once
async def add_persons(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    service: NamedDependency[Service],
    actor: NamedDependency[Actor],
    household_id: FromPath[UUID],
    data: JSONBody[Arrival],
    idempotency_key: Key = None,
) -> Receipt:
    """Add persons to a household; they are checked as at registration."""
    today = clock.today()
    return await persons.join(
        conn,
        household_id,
        asked.read({"persons": data.persons}, today=today),
        Happened(kind="joined", reason=data.reason, on=data.on, note=data.note),
        desk=service.desk,
        who=who_of(actor),
        today=today,
    )


@post("/v1/households/{household_id:uuid}/departures", tags=["households"])
@once
async def take_persons_out(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    service: NamedDependency[Service],
    actor: NamedDependency[Actor],
    household_id: FromPath[UUID],
    data: JSONBody[Departure],
    idempotency_key: Key = None,
) -> Receipt:
    """Record that persons left; whoever registers them anew is told."""
    return await persons.leave(
        conn,
        household_id,
        data.person_ids,
        Happened(kind="left", reason=data.reason, on=data.on, note=data.note),
        desk=service.desk,
        who=who_of(actor),
        today=clock.today(),
    )


@post("/v1/households/{household_id:uuid}/deaths", tags=["households"])
@once
async def record_deaths(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    service: NamedDependency[Service],
    actor: NamedDependency[Actor],
    household_id: FromPath[UUID],
    data: JSONBody[Death],
    idempotency_key: Key = None,
) -> Receipt:
    """Record that persons died; whoever registers with their documents is told."""
    return await persons.leave(
        conn,
        household_id,
        data.person_ids,
        Happened(kind="deceased", reason="died", on=data.on, note=data.note),
        desk=service.desk,
        who=who_of(actor),
        today=clock.today(),
    )


@post("/v1/households/{household_id:uuid}/withdrawals", tags=["households"])
@once
async def withdraw_consent(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    service: NamedDependency[Service],
    actor: NamedDependency[Actor],
    household_id: FromPath[UUID],
    data: JSONBody[Withdrawal],
    idempotency_key: Key = None,
) -> Done:
    """Take a consent back; without `registration` the household ends."""
    await withdraw.withdraw(
        conn,
        household_id,
        data.kind,
        on=data.on,
        note=data.note,
        desk=service.desk,
        who=who_of(actor),
        today=clock.today(),
    )
    return Done(household_id=household_id)


@post("/v1/households/{household_id:uuid}/erasure", tags=["households"])
@once
async def erase(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    service: NamedDependency[Service],
    actor: NamedDependency[Actor],
    household_id: FromPath[UUID],
    idempotency_key: Key = None,
) -> Done:
    """Destroy the key to a household that has ended: its people are never read again."""
    await withdraw.erase(
        conn, household_id, desk=service.desk, who=who_of(actor), today=clock.today()
    )
    return Done(household_id=household_id)


HANDLERS = (
    list_events,
    read_version,
    correct,
    add_persons,
    take_persons_out,
    record_deaths,
    withdraw_consent,
    erase,
)
