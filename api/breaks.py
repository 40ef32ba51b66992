"""Breaks over HTTP: what nobody can explain yet, what people say of it, and how it ends."""

from datetime import date
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from sqlalchemy.ext.asyncio import AsyncConnection

from api import clock
from api.db import Actor
from api.once import once
from api.page import Key, Limit, Page, page
from api.state import Requested, Service
from api.text import NOT_NUL
from cbi import resolve, suggest
from cbi.refusal import BadValue
from cbi.who import Who
from ledger import breaks
from ledger.breaks import Kept, Owner
from ledger.events import Ending, Event, Said
from ledger.matching import Break, BreakKind
from ledger.suggestion import Suggestion

Note = Annotated[str, msgspec.Meta(min_length=1, max_length=500, pattern=NOT_NUL)]
AttemptNo = Annotated[int, msgspec.Meta(ge=1, le=99)]


class BreakRow(msgspec.Struct, frozen=True, kw_only=True):
    """A break in a list; whose it is is a person once somebody took it."""

    break_id: UUID
    found: Break
    owner: Owner
    owner_id: UUID | None
    opened_on: date
    age_days: int
    is_over: bool
    waits_for_second_person: bool


class BreakView(msgspec.Struct, frozen=True, kw_only=True):
    """A break with its history, and what it may turn out to be: a person decides."""

    row: BreakRow
    events: list[Event]
    suggestions: list[Suggestion]


class Remark(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A note, which must name nobody; `take` makes the break yours, `decline` ends a proposal."""

    note: Note
    what: Literal["note", "take", "decline"] = "note"


class Explanation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why a break that moved no money is none."""

    note: Note


class Proposal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a break ends: as this payment, a fee, a claim, that claim paid back, or written off."""

    ending: Literal["payment", "fee", "claim", "recovered", "write_off"]
    note: Note
    payment_id: UUID | None = None
    attempt_no: AttemptNo | None = None
    of_break: UUID | None = None


class Unmatched(msgspec.Struct, frozen=True, kw_only=True):
    """Which match of the line was taken back: its first, its second."""

    line_id: UUID
    nth: int


@get("/v1/breaks", tags=["reconciliation"])
async def list_breaks(
    conn: NamedDependency[AsyncConnection],
    kind: FromQuery[BreakKind | None] = None,
    is_over: FromQuery[bool | None] = None,
    after: FromQuery[UUID | None] = None,
    limit: Limit = 50,
) -> Page[BreakRow]:
    """List breaks as the last reconciliation left them, by id."""
    found = await breaks.load(conn, kind=kind, is_over=is_over, after=after, limit=limit + 1)
    return page([_row(kept) for kept in found], limit=limit, cursor="break_id")


@get("/v1/breaks/{break_id:uuid}", tags=["reconciliation"])
async def read_break(
    conn: NamedDependency[AsyncConnection],
    service: NamedDependency[Service],
    break_id: FromPath[UUID],
) -> BreakView:
    """Show a break: who said what about it, and what it may be."""
    return await _view(conn, break_id, service)


@post("/v1/breaks/{break_id:uuid}/remarks", tags=["reconciliation"])
@once
async def remark(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    service: NamedDependency[Service],
    break_id: FromPath[UUID],
    data: JSONBody[Remark],
    idempotency_key: Key = None,
) -> BreakView:
    """Note something, take the break, or decline what was proposed."""
    what = {"note": "noted", "take": "assigned", "decline": "declined"}
    said = Said(
        what=msgspec.convert(what[data.what], Literal["noted", "assigned", "declined"]),
        note=data.note,
        owner_id=actor.actor_id if data.what == "take" else None,
    )
    await resolve.remark(conn, break_id, said, _who(actor))
    return await _view(conn, break_id, service)


@post("/v1/breaks/{break_id:uuid}/explanation", tags=["reconciliation"])
@once
async def explain(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    service: NamedDependency[Service],
    break_id: FromPath[UUID],
    data: JSONBody[Explanation],
    idempotency_key: Key = None,
) -> BreakView:
    """Settle a break that moved no money."""
    await resolve.explain(conn, break_id, data.note, _who(actor))
    return await _view(conn, break_id, service)


@post("/v1/breaks/{break_id:uuid}/proposal", tags=["reconciliation"])
@once
async def propose(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    service: NamedDependency[Service],
    break_id: FromPath[UUID],
    data: JSONBody[Proposal],
    idempotency_key: Key = None,
) -> BreakView:
    """Propose how a break ends; nothing is booked before another person confirms it."""
    if (data.ending == "payment") != (data.payment_id is not None) or (data.payment_id is None) != (
        data.attempt_no is None
    ):
        raise BadValue(field="payment_id", reason="a payment and its attempt, or neither")
    if (data.ending == "recovered") != (data.of_break is not None):
        raise BadValue(field="of_break", reason="the break whose claim was paid back")
    ending: Ending = data.ending
    said = Said(
        what="proposed",
        note=data.note,
        ending=ending,
        payment_id=data.payment_id,
        attempt_no=data.attempt_no,
        of_break=data.of_break,
    )
    await resolve.propose(
        conn,
        break_id,
        said,
        _who(actor),
        write_off_max_minor=service.settings.write_off_max_minor,
    )
    return await _view(conn, break_id, service)


@post("/v1/breaks/{break_id:uuid}/confirmation", tags=["reconciliation"])
@once
async def confirm(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    service: NamedDependency[Service],
    break_id: FromPath[UUID],
    idempotency_key: Key = None,
) -> BreakView:
    """Settle a break as another person proposed, and book it."""
    await resolve.confirm(
        conn,
        break_id,
        _who(actor),
        write_off_max_minor=service.settings.write_off_max_minor,
    )
    return await _view(conn, break_id, service)


@post("/v1/lines/{line_id:uuid}/unmatching", tags=["reconciliation"])
@once
async def unmatch(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    line_id: FromPath[UUID],
    data: JSONBody[Explanation],
    idempotency_key: Key = None,
) -> Unmatched:
    """Take back all that a line was matched to; what was booked stands until it is settled."""
    nth = await resolve.unmatch(conn, line_id, data.note, _who(actor))
    return Unmatched(line_id=line_id, nth=nth)


async def _view(conn: AsyncConnection, break_id: UUID, service: Service) -> BreakView:
    kept, events = await resolve.load_one(conn, break_id)
    suggestions = [] if kept.is_over else await suggest.suggest(conn, kept)
    return BreakView(row=_row(kept), events=events, suggestions=suggestions)


def _row(kept: Kept) -> BreakRow:
    return BreakRow(
        break_id=kept.break_id,
        found=kept.found,
        owner=kept.owner,
        owner_id=kept.owner_id,
        opened_on=kept.opened_on,
        age_days=kept.age_days(clock.today()),
        is_over=kept.is_over,
        waits_for_second_person=kept.proposal_no is not None,
    )


def _who(actor: Actor) -> Who:
    return Who(partner_id=actor.partner_id, actor_id=actor.actor_id, at=clock.now())


HANDLERS = (list_breaks, read_break, remark, explain, propose, confirm, unmatch)
