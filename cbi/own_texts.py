"""An organisation's own texts: propose a version, let another person approve it, find it."""

from collections.abc import Sequence
from datetime import date
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import Row, func, insert, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi.message import OwnWords
from cbi.outbox_tables import message_text, message_text_approval
from cbi.own_text import NewText, OwnText, faults_of, tidied
from cbi.refusal import BadValue, NotFound
from cbi.tables import partner, programme
from cbi.text_refusal import InvalidText, TextApproved, TextOfOneself
from cbi.who import Who
from ledger.violation import constraint_of

VERSIONS_MAX = 500
PROGRAMMES_MAX = 1_000
_COLUMNS = (
    message_text.c.text_id,
    message_text.c.kind,
    message_text.c.language,
    message_text.c.version,
    message_text.c.words,
    message_text.c.contact,
    message_text.c.open_to,
    message_text.c.effective_from,
    message_text.c.proposed_by,
    message_text.c.proposed_at,
    message_text_approval.c.approved_by,
    message_text_approval.c.approved_at,
)
_TEXTS = select(*_COLUMNS).join_from(
    message_text,
    message_text_approval,
    message_text.c.text_id == message_text_approval.c.text_id,
    isouter=True,
)


async def propose(conn: AsyncConnection, new: NewText, *, text_id: UUID, who: Who) -> OwnText:
    """Propose the next version of a kind and language; raises InvalidText with every fault.

    It counts when another person approves it, and not before its day.
    """
    new = msgspec.structs.replace(new, words=tidied(new.words))
    faults = faults_of(new, names=await names_of(conn, who.partner_id))
    if faults:
        raise InvalidText(faults=faults)
    # Two who propose at once get two numbers.
    await conn.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:what, 64))"),
        {"what": f"{who.partner_id} {new.kind} {new.language}"},
    )
    newest = await conn.scalar(
        select(func.max(message_text.c.version)).where(
            message_text.c.partner_id == who.partner_id,
            message_text.c.kind == new.kind,
            message_text.c.language == new.language,
        )
    )
    if newest == VERSIONS_MAX:
        raise BadValue(field="kind", reason=f"a kind has {VERSIONS_MAX} versions at most")
    proposed = OwnText(
        text_id=text_id,
        **msgspec.structs.asdict(new),
        version=(newest or 0) + 1,
        proposed_by=who.actor_id,
        proposed_at=who.at,
    )
    row = msgspec.structs.asdict(proposed)
    del row["approved_by"], row["approved_at"]
    await conn.execute(insert(message_text).values(partner_id=who.partner_id, **row))
    return proposed


async def approve(conn: AsyncConnection, text_id: UUID, *, who: Who) -> OwnText:
    """Let a text count; raises NotFound, TextOfOneself, TextApproved."""
    rows = await conn.execute(
        _TEXTS.where(message_text.c.text_id == text_id, message_text.c.partner_id == who.partner_id)
    )
    row = rows.one_or_none()
    if row is None:
        raise NotFound(what="text", wanted=text_id)
    found = _as_text(row)
    try:
        async with conn.begin_nested():
            await conn.execute(
                insert(message_text_approval).values(
                    text_id=text_id,
                    partner_id=who.partner_id,
                    proposed_by=found.proposed_by,
                    approved_by=who.actor_id,
                    approved_at=who.at,
                )
            )
    except IntegrityError as error:
        match constraint_of(error):
            case "message_text_approval_two_people":
                raise TextOfOneself(text_id=text_id) from error
            case "message_text_approval_once":
                raise TextApproved(text_id=text_id) from error
        raise
    return msgspec.structs.replace(found, approved_by=who.actor_id, approved_at=who.at)


async def list_texts(
    conn: AsyncConnection, *, partner_id: UUID, after: UUID | None, limit: int
) -> list[OwnText]:
    """Return a page of every version of an organisation's texts, oldest first."""
    query = _TEXTS.where(message_text.c.partner_id == partner_id)
    if after is not None:
        query = query.where(message_text.c.text_id > after)
    rows = await conn.execute(query.order_by(message_text.c.text_id).limit(limit))
    return [_as_text(row) for row in rows]


async def in_force(
    conn: AsyncConnection, new: NewText, *, partner_id: UUID, on: date
) -> OwnText | None:
    """Return what an organisation says of a kind on a day, to who agreed as `new.open_to` says."""
    row = await conn.execute(
        _TEXTS.where(
            message_text.c.partner_id == partner_id,
            message_text.c.kind == new.kind,
            message_text.c.language == new.language,
            message_text.c.effective_from <= on,
            message_text_approval.c.approved_at.is_not(None),
            message_text.c.open_to.is_(None) | (message_text.c.open_to == new.open_to),
        )
        .order_by(message_text.c.effective_from.desc(), message_text.c.version.desc())
        .limit(1)
    )
    found = row.one_or_none()
    return None if found is None else _as_text(found)


async def names_of(conn: AsyncConnection, partner_id: UUID) -> list[str]:
    """Return the names that a discreet text doesn't say: the organisation's and its programmes'."""
    own = await conn.execute(
        select(partner.c.code, partner.c.name).where(partner.c.partner_id == partner_id)
    )
    programmes = await conn.execute(
        select(programme.c.code, programme.c.name)
        .where(programme.c.partner_id == partner_id)
        .order_by(programme.c.programme_id.desc())
        .limit(PROGRAMMES_MAX)
    )
    return [name for row in (*own, *programmes) for name in row if name]


async def words_of(conn: AsyncConnection, notice_ids: Sequence[UUID]) -> dict[UUID, OwnWords]:
    """Return the own words of these notices, as `messenger`, where their organisation has some."""
    rows = await conn.execute(
        text("SELECT * FROM cbi.texts_of_notices(:wanted ::uuid[])"), {"wanted": list(notice_ids)}
    )
    return {
        row.notice_id: OwnWords(version=row.version, words=row.words, contact=row.contact)
        for row in rows
    }


def _as_text(row: Row[*tuple[Any, ...]]) -> OwnText:
    return msgspec.convert(row._mapping, OwnText)  # noqa: SLF001 -- public by its docs
