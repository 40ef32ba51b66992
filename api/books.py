"""Money over HTTP: reconcile, read the ledger and the access log."""

from datetime import date, datetime
from typing import Annotated
from uuid import UUID

import msgspec
from litestar import Response, get, post
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, QueryParameter
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from api import clock
from api.db import Actor, snapshot
from api.page import AfterNumber, Key, Limit, Page, page
from api.pieces import UNDER_WAY, in_pieces
from api.state import CHECKPOINT_NAME, Requested, Service
from cbi import settle, tables
from cbi.disbursement import Progress
from cbi.settle import Settled
from ledger import prove, verify
from ledger.note import verifier_key
from ledger.receipt import Receipt
from ledger.verify import Verification
from ledger.witness import Consistency

Size = Annotated[int, QueryParameter(ge=1, le=2**62)]


class TransferRow(msgspec.Struct, frozen=True, kw_only=True):
    """A transfer in a list; accounts by their codes. `booked_on` if its own period was closed."""

    transfer_id: UUID
    entry_id: UUID
    kind: str
    debit: str
    credit: str
    amount_minor: int
    currency: str
    effective_on: date
    booked_on: date | None
    reverses: UUID | None
    posted_at: datetime
    actor_id: UUID


class CheckpointRow(msgspec.Struct, frozen=True, kw_only=True):
    """A signed checkpoint (C2SP signed note) over the first `size` transfers."""

    size: int
    sealed_at: datetime
    note: str


class LogKey(msgspec.Struct, frozen=True, kw_only=True):
    """The log's verifier key as a C2SP signed note has it: name+hash+key."""

    key: str


class AccessRow(msgspec.Struct, frozen=True, kw_only=True):
    """One opening of a sealed identity."""

    access_no: int
    at: datetime
    actor_id: UUID
    partner_id: UUID
    request_id: str
    purpose: str
    household_id: UUID


@post("/v1/reconciliations", tags=["reconciliation"], responses=UNDER_WAY)
async def reconcile(
    request: Requested,
    actor: NamedDependency[Actor],
    service: NamedDependency[Service],
    as_of: FromQuery[date | None] = None,
    idempotency_key: Key = None,
) -> Settled | Response[Progress]:
    """Match what came in, book what is proved, name every break; call again until it is 201."""

    async def piece(conn: AsyncConnection) -> Settled | Progress:
        return await settle.settle(
            conn,
            run_id=clock.new_id(),
            partner_id=actor.partner_id,
            actor_id=actor.actor_id,
            at=clock.now(),
            as_of=as_of or clock.today(),
        )

    return await in_pieces(request, service, piece)


@get("/v1/ledger/transfers", tags=["ledger"])
async def list_transfers(
    conn: NamedDependency[AsyncConnection], after: FromQuery[UUID | None] = None, limit: Limit = 50
) -> Page[TransferRow]:
    """List transfers, by id."""
    rows = await conn.execute(
        text(
            "SELECT t.transfer_id, t.entry_id, t.kind, d.code AS debit, c.code AS credit,"
            " t.amount_minor, t.currency, t.effective_on, t.booked_on, t.reverses, t.posted_at,"
            " t.actor_id"
            " FROM ledger.transfer t JOIN ledger.account d ON d.account_id = t.debit_account"
            " JOIN ledger.account c ON c.account_id = t.credit_account"
            " WHERE t.transfer_id > :after ORDER BY t.transfer_id LIMIT :limit"
        ),
        {"after": after or UUID(int=0), "limit": limit + 1},
    )
    items = [msgspec.convert(row._mapping, TransferRow) for row in rows]  # noqa: SLF001
    return page(items, limit=limit, cursor="transfer_id")


@get("/v1/ledger/checkpoints", tags=["ledger"])
async def list_checkpoints(
    conn: NamedDependency[AsyncConnection], after: AfterNumber = 0, limit: Limit = 50
) -> Page[CheckpointRow]:
    """List the signed checkpoints, for partners to keep."""
    rows = await conn.execute(
        text(
            "SELECT size, sealed_at, note FROM ledger.checkpoint WHERE size > :after"
            " ORDER BY size LIMIT :limit"
        ),
        {"after": after, "limit": limit + 1},
    )
    items = [msgspec.convert(row._mapping, CheckpointRow) for row in rows]  # noqa: SLF001
    return page(items, limit=limit, cursor="size")


@get("/v1/ledger/key", tags=["ledger"])
async def log_key(service: NamedDependency[Service]) -> LogKey:
    """Return the log's verifier key, which checks its checkpoints and receipts: keep it."""
    return LogKey(key=verifier_key(CHECKPOINT_NAME, service.signer.public_key()))


@get("/v1/ledger/consistency", tags=["ledger"])
async def consistency(
    conn: NamedDependency[AsyncConnection], old_size: Size, new_size: Size
) -> Consistency:
    """Show that one checkpoint's log is the beginning of another's (RFC 9162, 2.1.4)."""
    return await prove.consistency(conn, old_size, new_size)


@get("/v1/payments/{payment_id:uuid}/receipt", tags=["ledger"])
async def payment_receipt(
    conn: NamedDependency[AsyncConnection], payment_id: FromPath[UUID]
) -> Receipt:
    """Return what is sealed of a payment, to be checked offline: `python -m ledger.receipt`.

    It names accounts, amounts, dates and ids of the payment's transfers, and nobody.
    """
    return await prove.receipt(conn, payment_id)


@get("/v1/ledger/verification", tags=["ledger"])
async def verification(
    request: Requested, service: NamedDependency[Service], actor: NamedDependency[Actor]
) -> Verification:
    """Walk the whole ledger and say whether it is whole."""
    public_key = service.signer.public_key()
    async with snapshot(
        service.engine,
        actor,
        request_id=request.scope["request_id"],  # type: ignore[typeddict-item]
    ) as conn:
        return await verify.verify(conn, public_key=public_key, name=CHECKPOINT_NAME)


@get("/v1/access-log", tags=["access"])
async def access_log(
    conn: NamedDependency[AsyncConnection],
    household_id: FromQuery[UUID | None] = None,
    after: AfterNumber = 0,
    limit: Limit = 50,
) -> Page[AccessRow]:
    """List who opened which identity, when and why, oldest first."""
    entry = tables.access_log.c
    query = select(tables.access_log).where(entry.access_no > after)
    if household_id is not None:
        query = query.where(entry.household_id == household_id)
    rows = await conn.execute(query.order_by(entry.access_no).limit(limit + 1))
    items = [msgspec.convert(row._mapping, AccessRow) for row in rows]  # noqa: SLF001
    return page(items, limit=limit, cursor="access_no")


HANDLERS = (
    reconcile,
    list_transfers,
    list_checkpoints,
    log_key,
    consistency,
    payment_receipt,
    verification,
    access_log,
)
