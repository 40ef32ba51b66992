"""Profiles of payment files over HTTP: add a version, look at it, let a programme use it."""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import Body, FromPath, JSONBody, QueryParameter
from sqlalchemy.ext.asyncio import AsyncConnection

from api import clock
from api.db import Actor
from api.once import once
from api.page import Key, Limit, Page, page
from api.state import Requested
from api.text import END
from cbi import enrol, profiles
from cbi.payment_files import delimited, sample, write
from cbi.profiles import Choice, Listed
from cbi.refusal import BadValue

Sent = Annotated[dict[str, Any], Body(description="a profile; docs/finance.md has its form")]
Ref = Annotated[str | None, QueryParameter(pattern=r"^[a-z0-9.-]{2,40}@[0-9]{5,10}" + END)]


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """What a profile writes of payees who don't exist: `text`, or the `rows` of a workbook."""

    file_name: str
    media_type: str
    text: str | None
    rows: list[list[str]] | None


class NewChoice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Version 0 is what came with the program."""

    code: Annotated[str, msgspec.Meta(pattern=r"^[a-z][a-z0-9.-]{1,39}" + END)]
    version: Annotated[int, msgspec.Meta(ge=0, le=2**31 - 1)]


@post("/v1/fsp-profiles", tags=["rounds"])
@once
async def add_profile(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    data: Sent,
    idempotency_key: Key = None,
) -> Listed:
    """Add the next version of a provider's profile; the newest again adds nothing."""
    added = await profiles.add(
        conn,
        profiles.read(data),
        partner_id=actor.partner_id,
        actor_id=actor.actor_id,
        at=clock.now(),
    )
    return profiles.as_listed(added)


@get("/v1/fsp-profiles", tags=["rounds"])
async def list_profiles(
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    after: Ref = None,
    limit: Limit = 50,
) -> Page[Listed]:
    """List every version of one's own profiles and those that came with the program."""
    items = await profiles.list_profiles(
        conn, partner_id=actor.partner_id, after=after, limit=limit + 1
    )
    return page(items, limit=limit, cursor="ref")


# Not `once`: nothing is done.
@post("/v1/fsp-profiles/preview", status_code=200, tags=["rounds"])
async def preview(data: Sent) -> Preview:
    """Write a file of made-up payees, to be compared with the provider's specification."""
    profile = profiles.read(data, is_new=False)
    batch = sample.batch()
    is_book = profile.kind == "xlsx"
    try:
        content = b"".join(write.pieces(profile, batch))
        rows = [[str(cell) for cell in line] for line in delimited.lines(profile, batch)]
    except ValueError as error:
        raise BadValue(field="profile", reason=str(error)) from error
    return Preview(
        file_name=f"{batch.message_id}.{write.suffix(profile)}",
        media_type=write.media_type(profile),
        text=None if is_book else content.decode(profile.charset),
        rows=rows if is_book else None,
    )


@post("/v1/programmes/{programme_id:uuid}/profile", tags=["programmes"])
@once
async def choose_profile(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    programme_id: FromPath[UUID],
    data: JSONBody[NewChoice],
    idempotency_key: Key = None,
) -> Choice:
    """Let a programme use a profile from now on; rounds that are prepared keep theirs."""
    await enrol.load_programme(conn, programme_id)
    choice = Choice(
        programme_id=programme_id,
        code=data.code,
        version=data.version,
        since=clock.now(),
        actor_id=actor.actor_id,
    )
    return await profiles.choose(conn, choice, partner_id=actor.partner_id)


HANDLERS = (add_profile, list_profiles, preview, choose_profile)
