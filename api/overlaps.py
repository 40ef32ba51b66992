"""Rules of overlap over HTTP: propose, approve, and see which are in force."""

from datetime import date
from typing import Annotated, Any

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from sqlalchemy.ext.asyncio import AsyncConnection

from api import clock
from api.db import Actor
from api.once import once
from api.page import Key, Limit, Page, page
from api.state import Requested
from cbi import agree
from cbi.agree import Version
from cbi.overlap import Rules
from cbi.refusal import BadValue
from cbi.who import Who

VERSION_MAX = 2**31 - 1
AfterVersion = Annotated[int, QueryParameter(ge=0, le=VERSION_MAX)]


class NewRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A document (docs/overlap.md has its form), and the day from which it is to count."""

    rules: dict[str, Any]
    effective_from: date


class InForce(msgspec.Struct, frozen=True, kw_only=True):
    """The rules in force on a day; version 0 is none agreed."""

    on: date
    version: int
    rules: Rules


def who(actor: Actor) -> Who:
    return Who(partner_id=actor.partner_id, actor_id=actor.actor_id, at=clock.now())


@post("/v1/overlap-rules", tags=["adjudication"])
@once
async def propose_rules(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    data: JSONBody[NewRules],
    idempotency_key: Key = None,
) -> Version:
    """Propose rules; they are in force once people of two organisations have approved them."""
    return await agree.propose(
        conn,
        agree.read(data.rules),
        effective_from=data.effective_from,
        today=clock.today(),
        by=who(actor),
    )


@post("/v1/overlap-rules/{version:int}/approval", tags=["adjudication"])
@once
async def approve_rules(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    version: FromPath[int],
    idempotency_key: Key = None,
) -> Version:
    """Approve rules for one's organisation; not by who proposed them, and once."""
    return await agree.approve(conn, version=_known(version), by=who(actor))


@get("/v1/overlap-rules", tags=["adjudication"])
async def list_rules(
    conn: NamedDependency[AsyncConnection], after: AfterVersion = 0, limit: Limit = 50
) -> Page[Version]:
    """List every version of the rules, proposed or in force, oldest first."""
    items = await agree.list_versions(conn, after=after, limit=limit + 1)
    return page(items, limit=limit, cursor="version")


@get("/v1/overlap-rules/in-force", tags=["adjudication"])
async def rules_in_force(
    conn: NamedDependency[AsyncConnection], on: FromQuery[date | None] = None
) -> InForce:
    """Return the rules in force on a day, today unless said."""
    day = on or clock.today()
    version, rules = await agree.in_force(conn, day)
    return InForce(on=day, version=version, rules=rules)


def _known(version: int) -> int:
    if not 1 <= version <= VERSION_MAX:
        raise BadValue(field="version", reason="there is no such version")
    return version


HANDLERS = (propose_rules, approve_rules, list_rules, rules_in_force)
