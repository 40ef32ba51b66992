"""Slips over HTTP: given with a refusal, printed, printed again; a token is told once."""

import asyncio
import secrets
from datetime import timedelta
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, HeaderParameter, JSONBody
from sqlalchemy.ext.asyncio import AsyncConnection

from api import clock
from api.db import Actor
from api.state import Service
from cbi import slip_page, slips
from cbi.slip import (
    REFERENCE_BYTES,
    TOKEN_BYTES,
    NewSlip,
    Printed,
    Slip,
    reference_of,
    token_of,
)
from cbi.slip_page import Language
from cbi.slips import Fresh
from cbi.who import Who

SlipToken = Annotated[
    str | None,
    HeaderParameter(
        name="Slip-Token",
        description="the token to print on the slip; only its newest one is taken",
        max_length=200,
    ),
]


class Slips(msgspec.Struct, frozen=True, kw_only=True):
    """The slips of one household, oldest first."""

    items: list[Slip]


# Not `once`: a stored answer would keep the token. The same refusal on a day is the same slip.
@post("/v1/households/{household_id:uuid}/slips", tags=["appeals"])
async def give_slip(
    conn: NamedDependency[AsyncConnection],
    service: NamedDependency[Service],
    actor: NamedDependency[Actor],
    household_id: FromPath[UUID],
    data: JSONBody[NewSlip],
) -> Printed:
    """Give a slip with a refusal, by which the family may appeal at any organisation."""
    return await _issue(conn, data, household_id, service=service, actor=actor)


@get("/v1/households/{household_id:uuid}/slips", tags=["appeals"])
async def list_slips(conn: NamedDependency[AsyncConnection], household_id: FromPath[UUID]) -> Slips:
    """List the slips that were given to a household of one's own."""
    return Slips(items=await slips.list_slips(conn, household_id))


@get("/v1/households/{household_id:uuid}/slips/{slip_id:uuid}", tags=["appeals"])
async def read_slip(
    conn: NamedDependency[AsyncConnection],
    service: NamedDependency[Service],
    household_id: FromPath[UUID],
    slip_id: FromPath[UUID],
    format: FromQuery[Literal["json", "pdf"]] = "json",  # noqa: A002 -- the word of the query
    language: FromQuery[Language] = "es",
    slip_token: SlipToken = None,
) -> Response[Slip] | Response[bytes]:
    """Return a slip; as a PDF for whoever holds its token, which no address carries."""
    if format == "json":
        return Response(await slips.load_slip(conn, household_id=household_id, slip_id=slip_id))
    printed = await slips.printable(
        conn,
        household_id=household_id,
        slip_id=slip_id,
        token=slip_token or "",
        matching_key=service.settings.matching_key,
        on=clock.today(),
    )
    return await _page(printed, language)


# Not `once`, as above.
@post("/v1/households/{household_id:uuid}/slips/{slip_id:uuid}/prints", tags=["appeals"])
async def print_slip_again(
    conn: NamedDependency[AsyncConnection],
    service: NamedDependency[Service],
    actor: NamedDependency[Actor],
    household_id: FromPath[UUID],
    slip_id: FromPath[UUID],
) -> Printed:
    """Put a fresh token on a slip that was lost; the one before is void from now on."""
    return await slips.reprint(
        conn,
        household_id=household_id,
        slip_id=slip_id,
        token=_token(),
        matching_key=service.settings.matching_key,
        who=_who(actor),
    )


# Not `once`, as above; and each is another slip, for nothing tells one person from the next.
@post("/v1/slips", tags=["appeals"])
async def give_slip_without_household(
    conn: NamedDependency[AsyncConnection],
    service: NamedDependency[Service],
    actor: NamedDependency[Actor],
    data: JSONBody[NewSlip],
) -> Printed:
    """Give a slip to somebody who was not registered; nothing of the person is stored."""
    return await _issue(conn, data, None, service=service, actor=actor)


@get("/v1/slips/{slip_id:uuid}", tags=["appeals"])
async def read_slip_without_household(
    conn: NamedDependency[AsyncConnection],
    service: NamedDependency[Service],
    slip_id: FromPath[UUID],
    format: FromQuery[Literal["json", "pdf"]] = "json",  # noqa: A002 -- the word of the query
    language: FromQuery[Language] = "es",
    slip_token: SlipToken = None,
) -> Response[Slip] | Response[bytes]:
    """Return a slip of somebody who was not registered; as a PDF for whoever holds its token."""
    if format == "json":
        return Response(await slips.load_slip(conn, household_id=None, slip_id=slip_id))
    printed = await slips.printable(
        conn,
        household_id=None,
        slip_id=slip_id,
        token=slip_token or "",
        matching_key=service.settings.matching_key,
        on=clock.today(),
    )
    return await _page(printed, language)


# Not `once`, as above.
@post("/v1/slips/{slip_id:uuid}/prints", tags=["appeals"])
async def print_slip_without_household_again(
    conn: NamedDependency[AsyncConnection],
    service: NamedDependency[Service],
    actor: NamedDependency[Actor],
    slip_id: FromPath[UUID],
) -> Printed:
    """Put a fresh token on a slip whose paper was spoilt; the one before is void from now on."""
    return await slips.reprint(
        conn,
        household_id=None,
        slip_id=slip_id,
        token=_token(),
        matching_key=service.settings.matching_key,
        who=_who(actor),
    )


async def _issue(
    conn: AsyncConnection,
    asked: NewSlip,
    household_id: UUID | None,
    *,
    service: Service,
    actor: Actor,
) -> Printed:
    today = clock.today()
    return await slips.issue(
        conn,
        asked,
        household_id=household_id,
        fresh=Fresh(
            slip_id=clock.new_id(),
            reference=reference_of(secrets.token_bytes(REFERENCE_BYTES)),
            token=_token(),
        ),
        on=today,
        until=today + timedelta(days=service.settings.slip_days),
        matching_key=service.settings.matching_key,
        who=_who(actor),
    )


def _token() -> str:
    return token_of(secrets.token_bytes(TOKEN_BYTES))


def _who(actor: Actor) -> Who:
    return Who(partner_id=actor.partner_id, actor_id=actor.actor_id, at=clock.now())


async def _page(printed: Printed, language: Language) -> Response[bytes]:
    return Response(
        await asyncio.to_thread(slip_page.write, printed, language),
        media_type="application/pdf",
        headers={
            "Content-Disposition": f'inline; filename="{printed.slip.reference}.pdf"',
        },
    )


HANDLERS = (
    give_slip,
    list_slips,
    read_slip,
    print_slip_again,
    give_slip_without_household,
    read_slip_without_household,
    print_slip_without_household_again,
)
