"""Rounds over HTTP: open, calculate, the four signatures, the file, the report."""

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
from api.text import LINE
from cbi import calculate as calculation
from cbi import cancel, disburse, payout, profiles, recheck, report, tables
from cbi import release as releasing
from cbi.basis import Kept, load_kept
from cbi.calculate import Calculated, LeftOut
from cbi.disburse import as_round
from cbi.disbursement import CancelledBecause, Progress, Round, Signed, Step
from cbi.enrol import load_programme
from cbi.entitlement import months_between
from cbi.profiles import Listed
from cbi.recheck import RoundChecked
from cbi.reconciliation import PaymentRow, Report
from cbi.refusal import BadValue
from cbi.release import Reserving
from cbi.who import Who


class NewRound(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The months paid, from the first of one until before the first of another."""

    programme_id: UUID
    name: Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=LINE)]
    first_month: date
    end_month: date
    pays_on: date


class Cancellation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Takes one family off the round; the reason is a word of a list."""

    entitlement_id: UUID
    because: CancelledBecause


class RoundView(msgspec.Struct, frozen=True, kw_only=True):
    """A round and its control report: who did which step, when, on which list.

    `reserving` is there from the funding on: the control total, and what of it is reserved.
    `profile` is how its file is written: of a prepared round what was in force then. `checked` is
    the last duplicate check of the whole list. `basis` says which versions of the programme's terms
    and of the caps it was calculated on.
    """

    round: Round
    steps: list[Signed]
    reserving: Reserving | None
    profile: Listed
    checked: RoundChecked | None
    basis: Kept | None


@post("/v1/rounds", tags=["rounds"])
@once
async def open_round(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    data: JSONBody[NewRound],
    idempotency_key: Key = None,
) -> Round:
    """Open a round."""
    try:
        months = months_between(data.first_month, data.end_month)
    except ValueError as error:
        raise BadValue(field="first_month", reason=str(error)) from error
    if not 1 <= months <= 12:
        raise BadValue(field="end_month", reason="a round covers 1 to 12 months")
    return await disburse.open_round(
        conn,
        Round(round_id=clock.new_id(), **msgspec.structs.asdict(data)),
        partner_id=actor.partner_id,
        actor_id=actor.actor_id,
        at=clock.now(),
    )


@get("/v1/rounds", tags=["rounds"])
async def list_rounds(
    conn: NamedDependency[AsyncConnection], after: FromQuery[UUID | None] = None, limit: Limit = 50
) -> Page[Round]:
    """List one's own rounds, oldest first."""
    query = select(tables.round_)
    if after is not None:
        query = query.where(tables.round_.c.round_id > after)
    rows = await conn.execute(query.order_by(tables.round_.c.round_id).limit(limit + 1))
    return page([as_round(row) for row in rows], limit=limit, cursor="round_id")


@get("/v1/rounds/{round_id:uuid}", tags=["rounds"])
async def read_round(conn: NamedDependency[AsyncConnection], round_id: FromPath[UUID]) -> RoundView:
    """Return a round and its control report."""
    opened = await disburse.load_round(conn, round_id)
    programme = await load_programme(conn, opened.programme_id)
    return RoundView(
        round=opened,
        steps=await disburse.load_steps(conn, round_id, programme.currency),
        profile=profiles.as_listed(await profiles.load_round_profile(conn, opened)),
        checked=await recheck.load_check(conn, round_id),
        reserving=await releasing.load_reserving(conn, round_id, programme.currency),
        basis=await load_kept(conn, round_id),
    )


@post("/v1/rounds/{round_id:uuid}/calculate", tags=["rounds"], responses=UNDER_WAY)
async def calculate(
    request: Requested,
    actor: NamedDependency[Actor],
    service: NamedDependency[Service],
    round_id: FromPath[UUID],
    idempotency_key: Key = None,
) -> Calculated:
    """Compute who gets what; says who was left out, and why.

    A large round takes several calls: 202 says how far it is, and the same call goes on.
    """

    async def piece(conn: AsyncConnection) -> Calculated | Progress:
        return await calculation.calculate(
            conn,
            round_id=round_id,
            partner_id=actor.partner_id,
            actor_id=actor.actor_id,
            at=clock.now(),
            chunk_max=service.settings.chunk_payments,
            vault=service.vault,
        )

    return cast(Calculated, await in_pieces(request, service, piece))


@get("/v1/rounds/{round_id:uuid}/left-out", tags=["rounds"])
async def list_left_out(
    conn: NamedDependency[AsyncConnection],
    round_id: FromPath[UUID],
    after: FromQuery[UUID | None] = None,
    limit: Limit = 50,
) -> Page[LeftOut]:
    """List the enrolled households that a round leaves out, with every reason, by enrolment."""
    await disburse.load_round(conn, round_id)
    rows = await calculation.load_left_out(conn, round_id, after=after, limit=limit + 1)
    return page(rows, limit=limit, cursor="enrolment_id")


@post("/v1/rounds/{round_id:uuid}/prepare", tags=["rounds"], responses=UNDER_WAY)
async def prepare(
    request: Requested,
    actor: NamedDependency[Actor],
    service: NamedDependency[Service],
    round_id: FromPath[UUID],
    idempotency_key: Key = None,
) -> Signed:
    """Check everybody on the list against everybody anew, and sign it as its preparer.

    A large list takes several calls: 202 says how far it is, and the same call goes on.
    """

    async def piece(conn: AsyncConnection) -> Signed | Progress:
        checked = await _checked(conn, service, actor, round_id, before=Step.PREPARED)
        if isinstance(checked, Progress):
            return checked
        return await _sign(conn, service, actor, round_id, Step.PREPARED)

    return cast(Signed, await in_pieces(request, service, piece))


@post("/v1/rounds/{round_id:uuid}/check", tags=["rounds"], responses=UNDER_WAY)
async def check_list(
    request: Requested,
    actor: NamedDependency[Actor],
    service: NamedDependency[Service],
    round_id: FromPath[UUID],
    idempotency_key: Key = None,
) -> RoundChecked:
    """Check everybody on a round's list anew, when its check is too old to approve it.

    What is found opens cases. A large list takes several calls, as preparing does.
    """

    async def piece(conn: AsyncConnection) -> RoundChecked | Progress:
        return await _checked(conn, service, actor, round_id, before=Step.APPROVED)

    return cast(RoundChecked, await in_pieces(request, service, piece))


@post("/v1/rounds/{round_id:uuid}/review", tags=["rounds"])
@once
async def review(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    service: NamedDependency[Service],
    round_id: FromPath[UUID],
    idempotency_key: Key = None,
) -> Signed:
    """Sign the list as its reviewer, who is not the preparer."""
    return await _sign(conn, service, actor, round_id, Step.REVIEWED)


@post("/v1/rounds/{round_id:uuid}/approve", tags=["rounds"])
@once
async def approve(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    service: NamedDependency[Service],
    round_id: FromPath[UUID],
    idempotency_key: Key = None,
) -> Signed:
    """Approve as a third person; every payee and the funds are checked as of now."""
    return await _sign(conn, service, actor, round_id, Step.APPROVED)


@post("/v1/rounds/{round_id:uuid}/release", tags=["rounds"], responses=UNDER_WAY)
async def release(
    request: Requested,
    actor: NamedDependency[Actor],
    service: NamedDependency[Service],
    round_id: FromPath[UUID],
    idempotency_key: Key = None,
) -> Signed:
    """Release as a fourth person: funds are committed and the payment file is written.

    A large round is funded, reserved part by part, and released with the last call: 202 says how
    far it is, and the same call goes on. Until then nobody is handed a file.
    """

    async def piece(conn: AsyncConnection) -> Signed | Progress:
        return await releasing.release(
            conn,
            round_id=round_id,
            partner_id=actor.partner_id,
            actor_id=actor.actor_id,
            at=clock.now(),
            keys=service.keys,
            chunk_max=service.settings.chunk_payments,
        )

    return cast(Signed, await in_pieces(request, service, piece))


@post("/v1/rounds/{round_id:uuid}/cancellations", tags=["rounds"])
@once
async def cancel_one(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    round_id: FromPath[UUID],
    data: JSONBody[Cancellation],
    idempotency_key: Key = None,
) -> Cancellation:
    """Take one family off a round, until it is released or the family's part of it reserved."""
    await cancel.cancel(
        conn,
        round_id=round_id,
        entitlement_id=data.entitlement_id,
        because=data.because,
        actor_id=actor.actor_id,
        at=clock.now(),
    )
    return data


@get("/v1/rounds/{round_id:uuid}/payments", tags=["rounds"])
async def list_payments(
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    round_id: FromPath[UUID],
    after: FromQuery[UUID | None] = None,
    limit: Limit = 50,
) -> Page[PaymentRow]:
    """List the payments of a round as they stand, by id."""
    rows = await report.payment_rows(conn, round_id=round_id, after=after, limit=limit + 1)
    return page(rows, limit=limit, cursor="payment_id")


@get("/v1/rounds/{round_id:uuid}/payment-file", tags=["rounds"], media_type="application/xml")
async def read_payment_file(
    conn: NamedDependency[AsyncConnection],
    service: NamedDependency[Service],
    round_id: FromPath[UUID],
    part: Part = None,
) -> Response[bytes]:
    """Hand out the exact bytes that were released, as the provider's profile has them.

    A round may have several parts, each a complete file with its own sums.
    """
    await disburse.load_round(conn, round_id)
    file = await payout.read_file(conn, round_id, vault=service.vault, part_no=part)
    return download(file)


@get("/v1/rounds/{round_id:uuid}/report", tags=["rounds"])
async def read_report(conn: NamedDependency[AsyncConnection], round_id: FromPath[UUID]) -> Report:
    """Reconcile the round: sums that must tie, and every break by name."""
    return await report.round_report(conn, round_id=round_id)


async def _checked(
    conn: AsyncConnection, service: Service, actor: Actor, round_id: UUID, *, before: Step
) -> RoundChecked | Progress:
    by = Who(partner_id=actor.partner_id, actor_id=actor.actor_id, at=clock.now())
    return await recheck.check_round(
        conn,
        round_id=round_id,
        desk=service.desk,
        who=by,
        before=before,
        page_max=min(recheck.PAGE_MAX, service.settings.chunk_payments),
    )


async def _sign(
    conn: AsyncConnection, service: Service, actor: Actor, round_id: UUID, step: Step
) -> Signed:
    return await disburse.sign(
        conn,
        round_id=round_id,
        step=step,
        partner_id=actor.partner_id,
        actor_id=actor.actor_id,
        at=clock.now(),
        check_hours_max=service.settings.check_hours_max,
    )


HANDLERS = (
    open_round,
    list_rounds,
    read_round,
    calculate,
    list_left_out,
    prepare,
    check_list,
    review,
    approve,
    release,
    cancel_one,
    list_payments,
    read_payment_file,
    read_report,
)
