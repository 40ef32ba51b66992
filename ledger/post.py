"""Post transfers: all of them or none, each once, and no account below its floor."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from ledger.account import Account, TrialRow
from ledger.refusal import (
    AccountConflict,
    AccountNotOpen,
    InsufficientFunds,
    TransferConflict,
    TransferRefused,
)
from ledger.transfer import Transfer
from ledger.violation import constraint_of

TRANSFERS_MAX = 10_000
# So many batches on one account are summed up for those that follow.
DELTAS_MAX = 100


class _Row(msgspec.Struct, frozen=True, kw_only=True):
    """What makes two transfers the same; who posted it and when does not."""

    transfer_id: UUID
    entry_id: UUID
    partner_id: UUID
    kind: str
    debit_account: UUID
    credit_account: UUID
    currency: str
    amount_minor: int
    payment_id: UUID | None
    attempt_no: int | None
    reverses: UUID | None
    effective_on: str


_COLUMNS = ", ".join(_Row.__struct_fields__)

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

# The service may not lock rows (that needs the right to update), so it locks their names.
_LOCK = text("""
    SELECT pg_advisory_xact_lock(hashtextextended('ledger.account:' || account_id, 0))
    FROM unnest(CAST(:account_ids AS uuid[])) AS a(account_id)""")

_KNOWN = text(f"""
    SELECT {_COLUMNS.replace("effective_on", "CAST(effective_on AS text) AS effective_on")}
    FROM ledger.transfer WHERE transfer_id = ANY(:transfer_ids)""")  # noqa: S608 - our own names

# Sorted, so that two batches that share rows wait for each other and never in a circle.
_INSERT = text(f"""
    WITH posted AS (
        INSERT INTO ledger.transfer ({_COLUMNS}, posted_at, actor_id)
        SELECT {_COLUMNS}, :at, :actor_id
        FROM json_to_recordset(CAST(:rows AS json)) AS new
            (transfer_id uuid, entry_id uuid, partner_id uuid, kind text, debit_account uuid,
             credit_account uuid, currency text, amount_minor bigint, payment_id uuid,
             attempt_no integer, reverses uuid, effective_on date)
        ORDER BY transfer_id
        ON CONFLICT (transfer_id) DO NOTHING
        RETURNING transfer_id, debit_account, credit_account, amount_minor
    ), batch AS (
        SELECT transfer_id AS batch_id FROM posted ORDER BY transfer_id LIMIT 1
    ), side AS (
        SELECT debit_account AS account_id, amount_minor AS debit_minor, 0 AS credit_minor
        FROM posted
        UNION ALL SELECT credit_account, 0, amount_minor FROM posted
    ), moved AS (
        INSERT INTO ledger.delta (account_id, batch_id, partner_id, debit_minor, credit_minor)
        SELECT account_id, batch_id, :partner_id, sum(debit_minor), sum(credit_minor)
        FROM side, batch GROUP BY account_id, batch_id ORDER BY account_id
    )
    SELECT transfer_id FROM posted""")  # noqa: S608 - our own names

# The newest snapshot of an account, or nothing. Always a row, for under row-level security the
# planner uses an index for `xid >= s.below`, and not for an expression around it.
_NEWEST = """
    FROM ledger.account AS a
    CROSS JOIN LATERAL (
        SELECT below, debit_minor, credit_minor FROM ledger.snapshot
        WHERE account_id = a.account_id
        UNION ALL SELECT 0, 0, 0
        ORDER BY below DESC LIMIT 1) AS s"""

# `ended` of the deltas since are final: nothing comes before them.
_BALANCES = text(f"""
    SELECT a.account_id, d.ended, CAST(
        (s.debit_minor + d.debit - s.credit_minor - d.credit)
        * CASE a.normal WHEN 'debit' THEN 1 ELSE -1 END AS bigint) AS balance_minor
    {_NEWEST}
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(debit_minor), 0) AS debit, coalesce(sum(credit_minor), 0) AS credit,
            count(*) FILTER (WHERE xid < ledger.ended_below()) AS ended
        FROM ledger.delta WHERE account_id = a.account_id AND xid >= s.below) AS d
    WHERE a.account_id = ANY(:account_ids)""")  # noqa: S608 -- our own text

_SNAPSHOT = text(f"""
    INSERT INTO ledger.snapshot (account_id, below, partner_id, debit_minor, credit_minor)
    SELECT a.account_id, h.below, a.partner_id, s.debit_minor + d.debit, s.credit_minor + d.credit
    {_NEWEST}
    CROSS JOIN (SELECT ledger.ended_below() AS below) AS h
    CROSS JOIN LATERAL (
        SELECT coalesce(sum(debit_minor), 0) AS debit, coalesce(sum(credit_minor), 0) AS credit
        FROM ledger.delta
        WHERE account_id = a.account_id AND xid >= s.below AND xid < h.below) AS d
    WHERE a.account_id = :account_id AND h.below > s.below
    ON CONFLICT DO NOTHING""")  # noqa: S608 -- our own text

_TRIAL = text("""
    SELECT a.code, a.currency, a.normal,
        CAST(coalesce(sum(d.debit_minor), 0) AS bigint) AS debit_minor,
        CAST(coalesce(sum(d.credit_minor), 0) AS bigint) AS credit_minor
    FROM ledger.account a LEFT JOIN ledger.delta d USING (account_id)
    GROUP BY a.account_id, a.code, a.currency, a.normal
    ORDER BY a.code COLLATE "C", a.currency COLLATE "C" """)


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
    await conn.execute(_OPEN, {"rows": _json(rows), "partner_id": partner_id})
    known = await _accounts(conn, list(wanted), partner_id=partner_id)
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
    Raises TransferConflict, AccountNotOpen, InsufficientFunds; TransferRefused after which the
    transaction (or the savepoint) is to be rolled back.
    """
    if len(transfers) > TRANSFERS_MAX:
        raise ValueError(f"{len(transfers)} transfers exceed {TRANSFERS_MAX}")
    wanted = _distinct(transfers, partner_id=partner_id)
    accounts = await _open_accounts_of(conn, transfers, partner_id=partner_id)
    floored = sorted(
        account_id
        for account_id, change in _changes(wanted.values(), accounts).items()
        if change < 0 and accounts[account_id].floor_minor is not None
    )
    if floored:
        await conn.execute(_LOCK, {"account_ids": floored})
    new = await _without_known(conn, wanted)
    await _refuse_below_floor(conn, _changes(new.values(), accounts), accounts)
    if not new:
        return 0
    posted = await _insert(conn, new, partner_id=partner_id, at=at, actor_id=actor_id)
    # Somebody else posted the same ids since we looked: equal rows are fine, others are not.
    missing = {key: row for key, row in new.items() if key not in posted}
    left = await _without_known(conn, missing)
    if left:
        raise TransferConflict(transfer_id=min(left))
    return len(posted)


async def balances(conn: AsyncConnection, accounts: Sequence[Account]) -> dict[UUID, int]:
    """Return each account's balance in its normal direction, in minor units, by account id."""
    ids = [account.account_id for account in accounts]
    found = await conn.execute(_BALANCES, {"account_ids": ids})
    return dict.fromkeys(ids, 0) | {row.account_id: row.balance_minor for row in found}


async def trial_balance(conn: AsyncConnection) -> list[TrialRow]:
    """Return the sums of every account that the actor may see, by code and currency."""
    return [msgspec.convert(dict(row), TrialRow) for row in (await conn.execute(_TRIAL)).mappings()]


def _distinct(transfers: Sequence[Transfer], *, partner_id: UUID) -> dict[UUID, _Row]:
    rows: dict[UUID, _Row] = {}
    for transfer in transfers:
        row = _row(transfer, partner_id)
        if rows.setdefault(row.transfer_id, row) != row:
            raise TransferConflict(transfer_id=row.transfer_id)
    return rows


def _row(transfer: Transfer, partner_id: UUID) -> _Row:
    return _Row(
        transfer_id=transfer.transfer_id,
        entry_id=transfer.entry_id,
        partner_id=partner_id,
        kind=transfer.kind,
        debit_account=transfer.debit.account_id,
        credit_account=transfer.credit.account_id,
        currency=transfer.money.currency,
        amount_minor=transfer.money.amount_minor,
        payment_id=transfer.payment_id,
        attempt_no=transfer.attempt_no,
        reverses=transfer.reverses,
        effective_on=transfer.effective_on.isoformat(),
    )


async def _open_accounts_of(
    conn: AsyncConnection, transfers: Sequence[Transfer], *, partner_id: UUID
) -> dict[UUID, Account]:
    touched = {
        account.account_id: account
        for transfer in transfers
        for account in (transfer.debit, transfer.credit)
    }
    known = await _accounts(conn, list(touched), partner_id=partner_id)
    for account_id, account in touched.items():
        if account_id not in known:
            raise AccountNotOpen(account_code=account.code, currency=account.currency)
    return known


async def _accounts(
    conn: AsyncConnection, account_ids: list[UUID], *, partner_id: UUID
) -> dict[UUID, Account]:
    found = await conn.execute(_ACCOUNTS, {"account_ids": account_ids, "partner_id": partner_id})
    return {row["account_id"]: msgspec.convert(dict(row), Account) for row in found.mappings()}


def _changes(rows: Iterable[_Row], accounts: dict[UUID, Account]) -> dict[UUID, int]:
    """Add up what the rows do to each account, in its normal direction."""
    changes: dict[UUID, int] = {}
    for row in rows:
        for account_id, side in ((row.debit_account, "debit"), (row.credit_account, "credit")):
            grows = accounts[account_id].normal == side
            amount = row.amount_minor if grows else -row.amount_minor
            changes[account_id] = changes.get(account_id, 0) + amount
    return changes


async def _without_known(conn: AsyncConnection, wanted: dict[UUID, _Row]) -> dict[UUID, _Row]:
    """Return the rows that are not posted; raise TransferConflict where another one is."""
    if not wanted:
        return wanted
    found = await conn.execute(_KNOWN, {"transfer_ids": list(wanted)})
    known = {row["transfer_id"]: msgspec.convert(dict(row), _Row) for row in found.mappings()}
    for key, row in known.items():
        if wanted[key] != row:
            raise TransferConflict(transfer_id=key)
    return {key: row for key, row in wanted.items() if key not in known}


async def _refuse_below_floor(
    conn: AsyncConnection, changes: dict[UUID, int], accounts: dict[UUID, Account]
) -> None:
    falling = [accounts[account_id] for account_id, change in changes.items() if change < 0]
    floored = [account for account in falling if account.floor_minor is not None]
    if not floored:
        return
    ids = [account.account_id for account in floored]
    found = (await conn.execute(_BALANCES, {"account_ids": ids})).all()
    now = {row.account_id: row.balance_minor for row in found}
    for account in sorted(floored, key=lambda account: account.code):
        assert account.floor_minor is not None
        available = now[account.account_id] - account.floor_minor
        wanted = -changes[account.account_id]
        if wanted > available:
            raise InsufficientFunds(
                account_code=account.code,
                currency=account.currency,
                available_minor=available,
                wanted_minor=wanted,
            )
    # Whoever draws on a busy account sums it up for those who follow; its name is locked.
    for row in found:
        if row.ended >= DELTAS_MAX:
            await conn.execute(_SNAPSHOT, {"account_id": row.account_id})


async def _insert(
    conn: AsyncConnection, new: dict[UUID, _Row], *, partner_id: UUID, at: datetime, actor_id: UUID
) -> set[UUID]:
    facts = {
        "rows": _json(list(new.values())),
        "partner_id": partner_id,
        "at": at,
        "actor_id": actor_id,
    }
    try:
        return set((await conn.execute(_INSERT, facts)).scalars())
    except IntegrityError as error:
        raise TransferRefused(constraint=constraint_of(error)) from error


def _json(rows: object) -> str:
    return msgspec.json.encode(rows).decode()
