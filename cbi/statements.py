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
OUR_ID_LENGTH = 34
# So many hexadecimal characters in one piece are no word and no document.
OUR_PART = re.compile(r"(?<![0-9a-z])[0-9a-f]{12,140}(?![0-9a-z])")
OUR_MIX = re.compile(r"[0-9][a-f]|[a-f][0-9]")
# The message id of a payment file (cbi.disbursement.message_id).
OUR_FILE = re.compile(r"[0-9A-Z]{25}[0-9A-Z-]{0,10}")
UETR = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
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


def our_reference(text: str) -> str:
    """Return the longest part of a free text that may be the beginning of an id of ours, or "".

    Digits alone may be a document or a telephone: without a letter nothing is kept.
    """
    found = max(OUR_PART.findall(text.lower()), key=len, default="")
    return found[:OUR_ID_LENGTH] if OUR_MIX.search(found) else ""


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
            provider_id=hashed(line.provider_id),
            uetr=line.uetr if UETR.fullmatch(line.uetr) else hashed(line.uetr),
            batch_id=line.batch_id if OUR_FILE.fullmatch(line.batch_id) else hashed(line.batch_id),
            account="",
            account_token=payer.token_of(line.account, matching_key=matching_key)
            if line.account
            else "",
            reference=our_reference(line.reference),
        )
        for line in statement.lines
    )
    return msgspec.structs.replace(statement, lines=lines)
