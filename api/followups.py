"""Follow-ups over HTTP: what failed in a round is paid again, under four signatures."""

from datetime import date
from typing import Annotated, cast
from uuid import UUID

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from api import clock
from api.db import Actor
from api.download import Part, download
from api.once import once
from api.page import Key, Limit, Page, page
from api.pieces import UNDER_WAY, in_pieces
from api.state import Requested, Service
from api.text import NOT_NUL
from cbi import disburse, expire, follow, reissue, tables
from cbi.check_followup import FollowupChecked, check_followup
from cbi.disbursement import Progress, Signed, Step
from cbi.expire import Expiry
from cbi.follow import FollowupList
from cbi.followup import Followup
from cbi.recheck import PAGE_MAX
from cbi.who import Who


class NewFollowup(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The day on which the provider is to pay."""

    pays_on: date


class NotCollected(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the provider confirmed it; this must name nobody."""

    because: Annotated[str, msgspec.Meta(min_length=1, max_length=500, pattern=NOT_NUL)]


@post("/v1/rounds/{round_id:uuid}/followups", tags=["rounds"])
@once
async def open_followup(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    round_id: FromPath[UUID],
    data: JSONBody[NewFollowup],
    idempotency_key: Key = None,
) -> FollowupList:
    """List every failed payment of a released round that can be paid again now.

    It takes the place of one that was opened before and is not released.
    """
    return await follow.open_followup(
        conn,
        round_id=round_id,
        followup_id=clock.new_id(),
        pays_on=data.pays_on,
        partner_id=actor.partner_id,
        actor_id=actor.actor_id,
        at=clock.now(),
    )


@get("/v1/rounds/{round_id:uuid}/followups", tags=["rounds"])
async def list_followups(
    conn: NamedDependency[AsyncConnection],
    round_id: FromPath[UUID],
    after: FromQuery[UUID | None] = None,
    limit: Limit = 50,
) -> Page[Followup]:
    """List the follow-ups of a round, oldest first."""
    await disburse.load_round(conn, round_id)
    row = tables.followup.c
    query = select(tables.followup).where(row.round_id == round_id)
    if after is not None:
        query = query.where(row.followup_id > after)
    rows = await conn.execute(query.order_by(row.followup_id).limit(limit + 1))
    return page([follow.as_followup(one) for one in rows], limit=limit, cursor="followup_id")


@get("/v1/followups/{followup_id:uuid}", tags=["rounds"])
async def read_followup(
    conn: NamedDependency[AsyncConnection], followup_id: FromPath[UUID]
) -> FollowupList:
    """Return a follow-up: its list, its signatures, and who was left out of it with the reasons."""
    return await follow.load_list(conn, followup_id)


@post("/v1/followups/{followup_id:uuid}/prepare", tags=["rounds"], responses=UNDER_WAY)
async def prepare_followup(
    request: Requested,
    actor: NamedDependency[Actor],
    service: NamedDependency[Service],
    followup_id: FromPath[UUID],
    idempotency_key: Key = None,
) -> Signed:
    """Check everybody on the list against everybody anew, and sign it as its preparer.

    A large list takes several calls: 202 says how far it is, and the same call goes on.
    """

    async def piece(conn: AsyncConnection) -> Signed | Progress:
        checked = await _checked(conn, service, actor, followup_id, before=Step.PREPARED)
        if isinstance(checked, Progress):
            return checked
        return await _sign(conn, service, actor, followup_id, Step.PREPARED)

    return cast(Signed, await in_pieces(request, service, piece))


@post("/v1/followups/{followup_id:uuid}/check", tags=["rounds"], responses=UNDER_WAY)
async def check_followup_list(
    request: Requested,
    actor: NamedDependency[Actor],
    service: NamedDependency[Service],
    followup_id: FromPath[UUID],
    idempotency_key: Key = None,
) -> FollowupChecked:
    """Check everybody on a follow-up's list anew, when its check is too old to approve it."""

    async def piece(conn: AsyncConnection) -> FollowupChecked | Progress:
        return await _checked(conn, service, actor, followup_id, before=Step.APPROVED)

    return cast(FollowupChecked, await in_pieces(request, service, piece))


@post("/v1/followups/{followup_id:uuid}/review", tags=["rounds"])
@once
async def review_followup(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    service: NamedDependency[Service],
    followup_id: FromPath[UUID],
    idempotency_key: Key = None,
) -> Signed:
    """Sign the list as its reviewer, who is not the preparer."""
    return await _sign(conn, service, actor, followup_id, Step.REVIEWED)


@post("/v1/followups/{followup_id:uuid}/approve", tags=["rounds"])
@once
async def approve_followup(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    service: NamedDependency[Service],
    followup_id: FromPath[UUID],
    idempotency_key: Key = None,
) -> Signed:
    """Approve as a third person; every payee and the money are checked as of now."""
    return await _sign(conn, service, actor, followup_id, Step.APPROVED)


@post("/v1/followups/{followup_id:uuid}/release", tags=["rounds"])
@once
async def release_followup(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    service: NamedDependency[Service],
    followup_id: FromPath[UUID],
    idempotency_key: Key = None,
) -> Signed:
    """Release as a fourth person: the next attempts are opened, booked and written to a file."""
    return await reissue.release_followup(
        conn,
        followup_id=followup_id,
        partner_id=actor.partner_id,
        actor_id=actor.actor_id,
        at=clock.now(),
        keys=service.keys,
    )


@get(
    "/v1/followups/{followup_id:uuid}/payment-file",
    tags=["rounds"],
    media_type="application/xml",
)
async def read_followup_file(
    conn: NamedDependency[AsyncConnection],
    service: NamedDependency[Service],
    followup_id: FromPath[UUID],
    part: Part = None,
) -> Response[bytes]:
    """Hand out the exact bytes that were released, as the provider's profile has them."""
    file = await reissue.read_file(conn, followup_id, vault=service.vault, part_no=part)
    return download(file)


@post("/v1/payments/{payment_id:uuid}/expiry", tags=["rounds"])
@once
async def propose_expiry(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    payment_id: FromPath[UUID],
    data: JSONBody[NotCollected],
    idempotency_key: Key = None,
) -> Expiry:
    """Declare that the provider confirmed: this payment was not collected. Books nothing yet."""
    return await expire.propose_expiry(
        conn,
        payment_id=payment_id,
        because=data.because,
        partner_id=actor.partner_id,
        actor_id=actor.actor_id,
        at=clock.now(),
    )


@post("/v1/payments/{payment_id:uuid}/expiry/confirmation", tags=["rounds"])
@once
async def confirm_expiry(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    payment_id: FromPath[UUID],
    idempotency_key: Key = None,
) -> Expiry:
    """Say it too, as another person: the payment is void, and can be paid again."""
    return await expire.confirm_expiry(
        conn,
        payment_id=payment_id,
        partner_id=actor.partner_id,
        actor_id=actor.actor_id,
        at=clock.now(),
    )


async def _checked(
    conn: AsyncConnection, service: Service, actor: Actor, followup_id: UUID, *, before: Step
) -> FollowupChecked | Progress:
    by = Who(partner_id=actor.partner_id, actor_id=actor.actor_id, at=clock.now())
    return await check_followup(
        conn,
        followup_id=followup_id,
        desk=service.desk,
        who=by,
        before=before,
        page_max=min(PAGE_MAX, service.settings.chunk_payments),
    )


async def _sign(
    conn: AsyncConnection, service: Service, actor: Actor, followup_id: UUID, step: Step
) -> Signed:
    return await follow.sign_followup(
        conn,
        followup_id=followup_id,
        step=step,
        partner_id=actor.partner_id,
        actor_id=actor.actor_id,
        at=clock.now(),
        check_hours_max=service.settings.check_hours_max,
    )


HANDLERS = (
    open_followup,
    list_followups,
    read_followup,
    prepare_followup,
    check_followup_list,
    review_followup,
    approve_followup,
    release_followup,
    read_followup_file,
    propose_expiry,
    confirm_expiry,
)
