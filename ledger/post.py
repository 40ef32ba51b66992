"""Post transfers: all of them or none, each once, and no account below its floor.

What a batch may do is for the database to say (`ledger.book`), in whatever way it is inserted; here
its answer becomes a refusal.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.account import Account
from ledger.refusal import (
    AccountConflict,
    AccountNotOpen,
    InsufficientFunds,
    LedgerRefusal,
    PeriodJustClosed,
    TransferConflict,
    TransferRefused,
)
from ledger.transfer import Transfer
from ledger.violation import constraint_of, detail_of

TRANSFERS_MAX = 10_000
# From so many on, a savepoint is worth its two round trips.
MANY = 100

# What makes two transfers the same, with its type; who posted it, when, and in which period not.
_OWN = {"transfer_id": "uuid", "payment_id": "uuid", "amount_minor": "bigint"}
_SHARED = {
    "entry_id": "uuid",
    "kind": "text",
    "debit_account": "uuid",
    "credit_account": "uuid",
    "currency": "text",
    "attempt_no": "integer",
    "reverses": "uuid",
    "effective_on": "date",
}
_Row = tuple[object, ...]
_NAMES = ", ".join((*_OWN, *_SHARED))


def _arrays(columns: Mapping[str, str]) -> str:
    return ", ".join(f"CAST(:{name} AS {kind}[])" for name, kind in columns.items())


_OPEN = text("""
    INSERT INTO ledger.account (account_id, partner_id, code, currency, normal, floor_minor)
    SELECT account_id, :partner_id, code, currency, normal, floor_minor
    FROM json_to_recordset(CAST(:rows AS json)) AS new
        (account_id uuid, code text, currency text, normal text, floor_minor bigint)
    ORDER BY account_id
    ON CONFLICT DO NOTHING""")

_ACCOUNTS = text("""
    SELECT account_id, code, currency, normal, floor_minor FROM ledger.account
    WHERE account_id = ANY(:account_ids) AND partner_id = :partner_id""")

# Most of a batch's transfers are alike but for three values, and the others are sent once. Sorted,
# so that two batches that share rows wait for each other and never in a circle. What comes
# after its period was closed is booked on the first day of the open one.
_INSERT = f"""
    INSERT INTO ledger.transfer ({_NAMES}, partner_id, booked_on, posted_at, actor_id)
    SELECT {_NAMES}, :partner_id,
        CASE WHEN effective_on <= closed.until THEN closed.until + 1 END, :at, :actor_id
    FROM unnest({_arrays(_OWN)}, CAST(:alike AS integer[])) AS own({", ".join(_OWN)}, alike)
    JOIN unnest({_arrays(_SHARED)}) WITH ORDINALITY AS shared({", ".join(_SHARED)}, alike)
        USING (alike)
    CROSS JOIN (SELECT max(until) AS until FROM ledger.period
                WHERE partner_id = :partner_id) AS closed
    ORDER BY transfer_id"""  # noqa: S608 -- our own names
_INSERT_NEW = text(_INSERT)
_INSERT_ANY = text(f"{_INSERT} ON CONFLICT (transfer_id) DO NOTHING")

_KNOWN = text(f"""
    SELECT {_NAMES}, partner_id FROM ledger.transfer
    WHERE transfer_id = ANY(:transfer_ids) ORDER BY transfer_id""")  # noqa: S608 -- our own names

_BALANCES = text("""
    SELECT b.account_id, b.balance_minor
    FROM unnest(CAST(:account_ids AS uuid[])) AS wanted(account_id)
    CROSS JOIN LATERAL ledger.balance_of(wanted.account_id) AS b""")


async def open_accounts(
    conn: AsyncConnection, accounts: Sequence[Account], *, partner_id: UUID
) -> None:
    """Open the accounts that are not open yet; the same again changes nothing.

    Raises AccountConflict for one that exists with another normal side, floor or owner.
    """
    wanted = {account.account_id: account for account in accounts}
    rows = [
        {"account_id": account_id, **msgspec.structs.asdict(account)}
        for account_id, account in wanted.items()
    ]
    json = msgspec.json.encode(rows).decode()
    await conn.execute(_OPEN, {"rows": json, "partner_id": partner_id})
    found = await conn.execute(_ACCOUNTS, {"account_ids": list(wanted), "partner_id": partner_id})
    known = {row["account_id"]: msgspec.convert(dict(row), Account) for row in found.mappings()}
    for account_id, account in wanted.items():
        if known.get(account_id) != account:
            raise AccountConflict(account_code=account.code, currency=account.currency)


async def post(
    conn: AsyncConnection,
    transfers: Sequence[Transfer],
    *,
    partner_id: UUID,
    at: datetime,
    actor_id: UUID,
) -> int:
    """Post the transfers, all or none, and return how many were new.

    A transfer that is posted already is the same row. At most 10,000 at once. Floors hold after
    the whole batch. Relies on READ COMMITTED: what was committed while waiting for a lock is seen.
    Raises TransferConflict, AccountNotOpen, InsufficientFunds, PeriodJustClosed, TransferRefused;
    after each of them the transaction (or the savepoint) is to be rolled back.
    """
    if len(transfers) > TRANSFERS_MAX:
        raise ValueError(f"{len(transfers)} transfers exceed {TRANSFERS_MAX}")
    wanted = _distinct(transfers)
    if not wanted:
        return 0
    facts = {"partner_id": partner_id, "at": at, "actor_id": actor_id}
    columns = _columns(wanted.values())
    try:
        posted = await _insert(conn, {**columns, **facts}, many=len(wanted) >= MANY)
    except IntegrityError as error:
        raise _refusal(error, transfers) from error
    if posted < len(wanted):
        await _same_as_known(conn, wanted, partner_id)
    return posted


async def balances(conn: AsyncConnection, accounts: Sequence[Account]) -> dict[UUID, int]:
    """Return each account's balance in its normal direction, in minor units, by account id."""
    ids = [account.account_id for account in accounts]
    found = await conn.execute(_BALANCES, {"account_ids": ids})
    return dict.fromkeys(ids, 0) | {row.account_id: row.balance_minor for row in found}


async def _insert(conn: AsyncConnection, facts: Mapping[str, object], *, many: bool) -> int:
    if many:
        # To look for each row first costs a tenth; most batches are new as a whole.
        try:
            async with conn.begin_nested():
                return (await conn.execute(_INSERT_NEW, facts)).rowcount
        except IntegrityError as error:
            if constraint_of(error) != "transfer_pkey":
                raise
    return (await conn.execute(_INSERT_ANY, facts)).rowcount


def _distinct(transfers: Sequence[Transfer]) -> dict[UUID, _Row]:
    rows: dict[UUID, _Row] = {}
    for transfer in transfers:
        row = _row(transfer)
        if rows.setdefault(transfer.transfer_id, row) != row:
            raise TransferConflict(transfer_id=transfer.transfer_id)
    return rows


def _row(transfer: Transfer) -> _Row:
    """Return the values of _OWN and _SHARED."""
    return (
        transfer.transfer_id,
        transfer.payment_id,
        transfer.money.amount_minor,
        transfer.entry_id,
        transfer.kind,
        transfer.debit.account_id,
        transfer.credit.account_id,
        transfer.money.currency,
        transfer.attempt_no,
        transfer.reverses,
        transfer.effective_on,
    )


def _columns(rows: Collection[_Row]) -> dict[str, list[object]]:
    """Return the columns of _OWN, and of _SHARED once for all rows that are alike in it."""
    places: dict[_Row, int] = {}
    alike = [places.setdefault(row[len(_OWN) :], len(places) + 1) for row in rows]
    own = zip(*(row[: len(_OWN)] for row in rows), strict=True)
    shared = zip(*places, strict=True)
    columns = dict(zip((*_OWN, *_SHARED), map(list, (*own, *shared)), strict=True))
    return {**columns, "alike": list(alike)}


async def _same_as_known(conn: AsyncConnection, wanted: dict[UUID, _Row], partner_id: UUID) -> None:
    """Refuse where another transfer has the id of one of these; equal ones are fine."""
    found = await conn.execute(_KNOWN, {"transfer_ids": list(wanted)})
    known = {row[0]: tuple(row) for row in found}
    for key in sorted(wanted):
        # One that is there and can't be seen is another organisation's.
        if known.get(key) != (*wanted[key], partner_id):
            raise TransferConflict(transfer_id=key)


def _refusal(error: DBAPIError, transfers: Sequence[Transfer]) -> LedgerRefusal:
    constraint = constraint_of(error)
    told = detail_of(error)
    match constraint:
        case "account_floor":
            return InsufficientFunds(**msgspec.json.decode(told))
        case "transfer_debit_account" | "transfer_credit_account":
            wrong = msgspec.json.decode(told)["account_id"]
            account = next(
                account
                for transfer in transfers
                for account in (transfer.debit, transfer.credit)
                if str(account.account_id) == wrong
            )
            return AccountNotOpen(account_code=account.code, currency=account.currency)
        case "transfer_in_open_period" | "transfer_late_in_open_period":
            return PeriodJustClosed()
    return TransferRefused(constraint=constraint)
