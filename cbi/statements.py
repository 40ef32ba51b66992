"""Take in a file of the bank: its exact bytes sealed, its lines for matching."""

import re
from datetime import datetime
from hashlib import sha256
from uuid import UUID, uuid5

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import payer
from cbi.refusal import AccountNotOurs
from cbi.vault import Vault, keyed_digest, seal
from ledger.formats.read import read_all
from ledger.formats.xml import Unreadable
from ledger.ingest import Ingested, ingest
from ledger.refusal import StatementUnreadable
from ledger.statement import Statement

# These report on an account of ours; the others answer a file of ours.
ACCOUNT_SOURCES = ("camt.053", "camt.054")
OUR_ID = re.compile(r"[0-9a-f]{32}[0-9]{2}")
NAMESPACE = UUID("5b0a1f0e-6d0c-5c55-9a7e-0c6b1f4f2a22")


async def take_in(
    conn: AsyncConnection,
    content: bytes,
    *,
    vault: Vault,
    matching_key: bytes,
    partner_id: UUID,
    actor_id: UUID,
    at: datetime,
) -> list[Ingested]:
    """Store the messages of one file, one statement each.

    The bytes are sealed under a key of the file's own, for they name people. A bank may write
    anything where an id belongs, a name too: an id that is not ours is kept as a keyed hash.
    Raises StatementUnreadable, and AccountNotOurs for a statement of somebody else's account:
    what it says must not settle our payments.
    """
    try:
        found = read_all(content)
    except Unreadable as error:
        raise StatementUnreadable(where=error.where, reason=error.reason) from error
    stored = []
    for place, statement in enumerate(found):
        digest = sha256(content + place.to_bytes(4, "big") if place else content).digest()
        file_id = uuid5(NAMESPACE, f"{partner_id}|{digest.hex()}")
        key, wrapped = vault.new_key(file_id)
        # The first of several messages in a file carries the bytes of all.
        sealed = seal(key, b"" if place else content, kind="statement", owner=file_id)
        token = payer.token_of(statement.account, matching_key=matching_key)
        if statement.source in ACCOUNT_SOURCES and not await payer.is_ours(conn, token):
            raise AccountNotOurs(source=statement.source, message_id=statement.message_id[:35])
        stored.append(
            await ingest(
                conn,
                without_names(statement, matching_key=matching_key),
                file_digest=digest,
                account_token=token if statement.account else "",
                sealed=sealed,
                wrapped_key=msgspec.json.encode(wrapped),
                partner_id=partner_id,
                at=at,
                actor_id=actor_id,
            )
        )
    return stored


def without_names(statement: Statement, *, matching_key: bytes) -> Statement:
    """Return the statement with every id that we did not make as a keyed hash, equal for equal."""

    def hashed(text: str) -> str:
        return f"h-{keyed_digest(matching_key, 'bank id', text).hex()[:30]}" if text else ""

    lines = tuple(
        msgspec.structs.replace(
            line,
            end_to_end_id=line.end_to_end_id
            if OUR_ID.fullmatch(line.end_to_end_id)
            else hashed(line.end_to_end_id),
            bank_reference=hashed(line.bank_reference),
        )
        for line in statement.lines
    )
    return msgspec.structs.replace(statement, lines=lines)
