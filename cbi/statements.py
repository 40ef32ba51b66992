"""Take in a file of the bank: its exact bytes sealed, its lines for matching."""

from datetime import datetime
from hashlib import sha256
from uuid import UUID, uuid5

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi.vault import Vault, keyed_digest, seal
from ledger.formats.read import read_all
from ledger.formats.xml import Unreadable
from ledger.ingest import Ingested, ingest
from ledger.refusal import StatementUnreadable

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
    """Store the messages of one file, one statement each; raises StatementUnreadable.

    The bytes are sealed under a key of the file's own, for they name people.
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
        token = keyed_digest(matching_key, "account", statement.account).hex()
        stored.append(
            await ingest(
                conn,
                statement,
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
