"""An organisation's webhook and its notices, over HTTP."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody, QueryParameter
from sqlalchemy.ext.asyncio import AsyncConnection

from api import clock
from api.db import Actor
from api.once import once
from api.page import Key, Limit, Page, page
from api.state import Requested, Service
from cbi import outbox
from cbi.webhook import URL_CHARACTERS_MAX, Notice, NoticeState, Webhook, secret_text
from cbi.who import Who


class NewWebhook(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where notices go."""

    url: Annotated[str, msgspec.Meta(min_length=1, max_length=URL_CHARACTERS_MAX)]


class Added(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook with the secret that its notices are signed with, which is told once."""

    webhook_id: UUID
    url: str
    added_at: datetime
    secret: str


class Webhooks(msgspec.Struct, frozen=True, kw_only=True):
    """An organisation's webhooks, newest first; of those not ended there is one at most."""

    items: list[Webhook]


# Not `once`: a stored answer would keep the secret. Another call replaces the webhook.
@post("/v1/webhooks", tags=["notices"])
async def add_webhook(
    conn: NamedDependency[AsyncConnection],
    service: NamedDependency[Service],
    actor: NamedDependency[Actor],
    data: JSONBody[NewWebhook],
) -> Added:
    """Have one's organisation's notices sent to an address, instead of the one before."""
    webhook, secret = await outbox.add_webhook(
        conn,
        data.url,
        webhook_id=clock.new_id(),
        local=service.settings.env == "development",
        vault=service.vault,
        who=_who(actor),
    )
    return Added(
        webhook_id=webhook.webhook_id,
        url=webhook.url,
        added_at=webhook.added_at,
        secret=secret_text(secret),
    )


@get("/v1/webhooks", tags=["notices"])
async def list_webhooks(
    conn: NamedDependency[AsyncConnection], actor: NamedDependency[Actor]
) -> Webhooks:
    """List one's organisation's webhooks; their secrets are not told again."""
    return Webhooks(items=await outbox.list_webhooks(conn, actor.partner_id))


@post("/v1/webhooks/{webhook_id:uuid}/closing", tags=["notices"])
@once
async def close_webhook(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    webhook_id: FromPath[UUID],
    idempotency_key: Key = None,
) -> Webhook:
    """Have a webhook called no more."""
    return await outbox.close_webhook(conn, webhook_id, who=_who(actor))


@get("/v1/notices", tags=["notices"])
async def list_notices(
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    in_state: Annotated[NoticeState | None, QueryParameter(name="state")] = None,
    after: FromQuery[UUID | None] = None,
    limit: Limit = 50,
) -> Page[Notice]:
    """List one's organisation's notices, oldest first, with how their delivery stands."""
    items = await outbox.list_notices(
        conn,
        partner_id=actor.partner_id,
        state=in_state,
        after=after,
        limit=limit + 1,
        at=clock.now(),
    )
    return page(items, limit=limit, cursor="notice_id")


def _who(actor: Actor) -> Who:
    return Who(partner_id=actor.partner_id, actor_id=actor.actor_id, at=clock.now())


HANDLERS = (add_webhook, list_webhooks, close_webhook, list_notices)
