"""The account a programme pays from: sealed, and known by its token."""

from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import tables
from cbi.account import compact
from cbi.payment_files.pain001 import CCI, is_iban
from cbi.vault import Vault, WrappedKey, keyed_digest, open_bytes, seal

KIND = "payer account"


def token_of(account: str, *, matching_key: bytes) -> str:
    """Return the keyed hash by which an account is told from others, blanks and case apart."""
    return keyed_digest(matching_key, "account", compact(account).upper()).hex()


def payee_token(account: str, *, matching_key: bytes) -> str:
    """Return the token of a payee's account, or "" for one that banks write in several ways.

    A CCI and an IBAN are the same wherever they stand; a bank's own number may come back as either.
    """
    plain = compact(account).upper()
    if not (CCI.fullmatch(plain) or is_iban(plain)):
        return ""
    return token_of(plain, matching_key=matching_key)


async def store(
    conn: AsyncConnection,
    account: str,
    *,
    programme_id: UUID,
    vault: Vault,
    matching_key: bytes,
    partner_id: UUID,
) -> None:
    """Seal the account of a new programme under a key of its own."""
    key, wrapped = vault.new_key(programme_id)
    await conn.execute(
        insert(tables.payer_account).values(
            programme_id=programme_id,
            partner_id=partner_id,
            token=token_of(account, matching_key=matching_key),
            kek_id=wrapped.kek_id,
            wrapped=wrapped.wrapped,
            sealed=seal(key, account.encode(), kind=KIND, owner=programme_id),
        )
    )


async def load(conn: AsyncConnection, programme_id: UUID, *, vault: Vault) -> str:
    """Open the account of one's own programme."""
    payer = tables.payer_account
    row = (await conn.execute(select(payer).where(payer.c.programme_id == programme_id))).one()
    key = vault.unwrap(WrappedKey(kek_id=row.kek_id, wrapped=row.wrapped), programme_id)
    return open_bytes(key, row.sealed, kind=KIND, owner=programme_id).decode()


async def is_ours(conn: AsyncConnection, token: str) -> bool:
    """Say whether an account of this token pays one of the organisation's own programmes."""
    payer = tables.payer_account.c
    return await conn.scalar(select(payer.token).where(payer.token == token).limit(1)) is not None
