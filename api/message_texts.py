"""An organisation's own texts for people, over HTTP: propose, look at, approve, list."""

from datetime import date
from typing import Annotated
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
from api.state import Requested
from cbi import own_texts
from cbi.message import Language, words_of_program
from cbi.own_text import (
    WORDS_MAX,
    NewText,
    OwnText,
    PersonKind,
    TextFault,
    example_of,
    faults_of,
    tidied,
)
from cbi.sms import SEGMENTS_MAX, Count, count
from cbi.who import Who


class Wanted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A text to look at; without `words`, what is said today."""

    kind: PersonKind
    language: Language
    words: Annotated[str, msgspec.Meta(min_length=1, max_length=WORDS_MAX)] | None = None
    contact: Annotated[str, msgspec.Meta(pattern=r"^\+?[0-9][0-9 ]{4,18}[0-9]\Z")] | None = None
    open_to: Annotated[str, msgspec.Meta(min_length=1, max_length=40)] | None = None


class Preview(msgspec.Struct, frozen=True, kw_only=True):
    """A text as somebody would read it, with made-up facts; how long it is; what is wrong with it.

    `version` is that of the organisation's own text which is said today; null for the program's, or
    for words that were sent.
    """

    text: str | None
    version: int | None
    count: Count | None
    segments_max: int
    faults: list[TextFault]


@post("/v1/message-texts", tags=["notices"])
@once
async def propose_text(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    data: JSONBody[NewText],
    idempotency_key: Key = None,
) -> OwnText:
    """Propose one's organisation's own words for a kind of message."""
    return await own_texts.propose(conn, data, text_id=clock.new_id(), who=_who(actor))


@post("/v1/message-texts/{text_id:uuid}/approval", tags=["notices"])
@once
async def approve_text(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    text_id: FromPath[UUID],
    idempotency_key: Key = None,
) -> OwnText:
    """Approve words that somebody else proposed; they count from their day on."""
    return await own_texts.approve(conn, text_id, who=_who(actor))


@get("/v1/message-texts", tags=["notices"])
async def list_texts(
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    after: FromQuery[UUID | None] = None,
    limit: Limit = 50,
) -> Page[OwnText]:
    """List every version of one's organisation's own texts, oldest first."""
    items = await own_texts.list_texts(
        conn, partner_id=actor.partner_id, after=after, limit=limit + 1
    )
    return page(items, limit=limit, cursor="text_id")


# Not `once`: nothing is done.
@post("/v1/message-texts/preview", status_code=200, tags=["notices"])
async def preview_text(
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    data: JSONBody[Wanted],
) -> Preview:
    """Show a text as it would be read, count it as a text message, and tell what is wrong."""
    today = clock.today()
    new = _as_new(data, on=today)
    version = None
    names = await own_texts.names_of(conn, actor.partner_id)
    if data.words is None:
        own = await own_texts.in_force(conn, new, partner_id=actor.partner_id, on=today)
        if own is not None:
            version = own.version
            new = msgspec.structs.replace(new, words=own.words, contact=own.contact)
    shown = example_of(new)
    return Preview(
        text=shown,
        version=version,
        count=None if shown is None else count(shown),
        segments_max=SEGMENTS_MAX,
        faults=[] if data.words is None else faults_of(new, names=names),
    )


def _as_new(data: Wanted, *, on: date) -> NewText:
    return NewText(
        kind=data.kind,
        language=data.language,
        words=tidied(data.words or words_of_program(data.kind, data.language)),
        contact=data.contact,
        open_to=data.open_to,
        effective_from=on,
    )


def _who(actor: Actor) -> Who:
    return Who(partner_id=actor.partner_id, actor_id=actor.actor_id, at=clock.now())


HANDLERS = (propose_text, approve_text, list_texts, preview_text)
