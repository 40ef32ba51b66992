"""Terms of a programme over HTTP: enter one, let another person approve it, list them."""

from datetime import date
from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody
from sqlalchemy.ext.asyncio import AsyncConnection

from api import clock
from api.db import Actor
from api.once import once
from api.page import Key
from api.state import Requested
from cbi import enrol, term, terms
from cbi.term import Kind, Term
from cbi.who import Who


class NewTerm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a term says depends on its kind: docs/programmes.md. Amounts are decimals as text."""

    kind: Kind
    effective_from: date
    content: dict[str, Any]


class NewApproval(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The term that counts from now on."""

    kind: Kind
    version: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 1)]


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """Every version of every kind."""

    items: list[Term]


@post("/v1/programmes/{programme_id:uuid}/terms", tags=["programmes"])
@once
async def add_term(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    programme_id: FromPath[UUID],
    data: JSONBody[NewTerm],
    idempotency_key: Key = None,
) -> Term:
    """Enter the next version of a kind of term; it counts when another person approves it."""
    programme = await enrol.load_programme(conn, programme_id)
    return await terms.add(
        conn,
        programme_id=programme_id,
        kind=data.kind,
        effective_from=data.effective_from,
        content=term.read(data.kind, data.content, currency=programme.currency),
        who=_who(actor),
    )


@post("/v1/programmes/{programme_id:uuid}/terms/approval", tags=["programmes"])
@once
async def approve_term(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    programme_id: FromPath[UUID],
    data: JSONBody[NewApproval],
    idempotency_key: Key = None,
) -> Term:
    """Approve a term that somebody else entered."""
    return await terms.approve(
        conn,
        programme_id=programme_id,
        kind=data.kind,
        version=data.version,
        who=_who(actor),
    )


@get("/v1/programmes/{programme_id:uuid}/terms", tags=["programmes"])
async def list_terms(
    conn: NamedDependency[AsyncConnection], programme_id: FromPath[UUID]
) -> Listed:
    """List the terms of a programme, by kind and version, with who entered and approved them."""
    await enrol.load_programme(conn, programme_id)
    return Listed(items=await terms.load_terms(conn, programme_id))


def _who(actor: Actor) -> Who:
    return Who(partner_id=actor.partner_id, actor_id=actor.actor_id, at=clock.now())


HANDLERS = (add_term, approve_term, list_terms)
