"""The payment file of a round: written from opened identities, kept sealed, handed out again.

A chunk of a round has one part of the file, or several where the provider's profile splits it; a
part is a file of its own, with its own sums.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from hashlib import sha256
from uuid import UUID

import msgspec
from sqlalchemy import Table, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import payer, profiles
from cbi.disbursement import Round, message_id
from cbi.enrol import Programme
from cbi.entitlement import Entitlement, Why
from cbi.file_tables import payment_file
from cbi.identities import SealedPayee, load_sealed_payees, note_access, open_payee
from cbi.payment_files import write
from cbi.payment_files.profile import Profile, Versioned
from cbi.payment_files.record import Batch, Entry
from cbi.refusal import BadValue, NotReleased, PayeesBlocked, WhichPart
from cbi.vault import Vault, WrappedKey, open_bytes, seal
from dedup.driver import fetch
from ledger.attempt import Attempt

PURPOSE = "payment file"

# All parts in one statement: the database checks that together they pay what is to be paid.
KEEP = """
    INSERT INTO {table} ({owner}, partner_id, kek_id, wrapped, written_at,
        profile_code, profile_version, part_no, message_id, sha256, sealed, payment_ids)
    SELECT $1, $2, $3, $4, $5, $6, $7, $8, p.part_no, p.message_id, p.sha256, p.sealed,
        ($9 ::uuid[])[p.first : p.last]
    FROM unnest($10 ::integer[], $11 ::text[], $12 ::bytea[], $13 ::bytea[], $14 ::integer[],
        $15 ::integer[]) AS p(part_no, message_id, sha256, sealed, first, last)"""
_KEEP = KEEP.format(table="cbi.payment_file", owner="round_id, chunk_no")

_SHOWN = """
    SELECT e.household_id FROM unnest($1 ::uuid[]) AS p(payment_id)
    JOIN cbi.entitlement AS e ON e.entitlement_id = p.payment_id"""


class PaymentFile(msgspec.Struct, frozen=True, kw_only=True):
    """The exact bytes of a part as they were released, and their SHA-256 in hexadecimal."""

    message_id: str
    sha256: str
    content: bytes
    part_no: int
    parts: int
    media_type: str
    suffix: str


class Keys(msgspec.Struct, frozen=True, kw_only=True):
    """What opens payees, and what makes the keyed hash of an account."""

    vault: Vault
    matching_key: bytes


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """Where the parts of a file are kept, and what they are sealed as."""

    table: Table
    owner: UUID  # the round, or the follow-up
    round_id: UUID
    purpose: str


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A part that was written, and the payments it pays."""

    part_no: int
    message_id: str
    payment_ids: tuple[UUID, ...]
    account_tokens: tuple[str, ...]  # of the payees' accounts, in the same order; "" where none
    content: bytes


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """Which parts of which round's file are to be written; `is_whole` when no others come."""

    opened: Round
    programme: Programme
    profile: Versioned
    first_part: int
    is_whole: bool
    at: datetime


class Sealed(msgspec.Struct, frozen=True, kw_only=True):
    """All that a part is written from, the payees not opened yet."""

    order: Order
    attempts: Sequence[Attempt]
    household_of: dict[UUID, UUID]  # payment → household
    payees: dict[UUID, SealedPayee]  # by household
    debtor_account: str
    keys: Keys


async def load_sealed(
    conn: AsyncConnection,
    order: Order,
    attempts: Sequence[Attempt],
    entitlements: Sequence[Entitlement],
    *,
    keys: Keys,
) -> Sealed:
    """Load what a part is written from; the access log has every household of it."""
    household_of = {each.entitlement_id: each.household_id for each in entitlements}
    return Sealed(
        order=order,
        attempts=attempts,
        household_of=household_of,
        payees=await load_sealed_payees(conn, list(household_of.values()), purpose=PURPOSE),
        debtor_account=await payer.load(conn, order.programme.programme_id, vault=keys.vault),
        keys=keys,
    )


def compose(sealed: Sealed) -> list[Part]:
    """Write the parts of a chunk. Pure: a thread may do it.

    Raises PayeesBlocked when a payee can't be paid, and BadValue when the profile has no room for
    what must stand in it.
    """
    order = sealed.order
    entries: list[tuple[UUID, Entry]] = []
    blocked: dict[UUID, tuple[Why, ...]] = {}
    for attempt in sealed.attempts:
        household_id = sealed.household_of[attempt.payment_id]
        stored = sealed.payees.get(household_id)
        payee = None if stored is None else open_payee(stored, sealed.keys.vault, order.profile)
        if payee is None:
            blocked[household_id] = ("erased",) if stored is None else ("no_instrument",)
            continue
        entry = Entry(end_to_end_id=attempt.end_to_end_id, money=attempt.money, payee=payee)
        entries.append((attempt.payment_id, entry))
    if blocked:
        raise PayeesBlocked(round_id=order.opened.round_id, blocked=blocked)
    groups = list(split(order.profile, entries))
    is_only = order.is_whole and len(groups) == 1
    return [
        _part(sealed, order.first_part + place, group, is_only=is_only)
        for place, group in enumerate(groups)
    ]


def split(
    profile: Profile, entries: Sequence[tuple[UUID, Entry]]
) -> Iterator[list[tuple[UUID, Entry]]]:
    """Divide payments into files: by district or branch in order, and so many at most in each."""
    groups: dict[str, list[tuple[UUID, Entry]]] = {}
    for one in entries:
        key = getattr(one[1].payee, profile.split_by) if profile.split_by else ""
        groups.setdefault(key, []).append(one)
    for _, group in sorted(groups.items()):
        at_most = profile.payments_per_file_max or len(group)
        for start in range(0, len(group), at_most):
            yield group[start : start + at_most]


def _part(
    sealed: Sealed, part_no: int, group: Sequence[tuple[UUID, Entry]], *, is_only: bool
) -> Part:
    order, programme = sealed.order, sealed.order.programme
    batch = Batch(
        message_id=message_id(order.opened.round_id, None if is_only else part_no),
        created_at=order.at.replace(microsecond=0),
        pays_on=order.opened.pays_on,
        payer_name=programme.payer_name,
        payer_account=sealed.debtor_account,
        payer_agent=programme.payer_agent,
        currency=programme.currency,
        entries=tuple(entry for _, entry in group),
    )
    try:
        content = b"".join(write.pieces(order.profile, batch))
    except ValueError as error:
        raise BadValue(field="profile", reason=str(error)) from error
    return Part(
        part_no=part_no,
        message_id=batch.message_id,
        payment_ids=tuple(payment_id for payment_id, _ in group),
        account_tokens=tuple(
            payer.payee_token(entry.payee.account, matching_key=sealed.keys.matching_key)
            for _, entry in group
        ),
        content=content,
    )


def payees_of(parts: Sequence[Part], attempts: Sequence[Attempt]) -> dict[tuple[UUID, int], str]:
    """Return the token of the account each attempt is paid to, where there is one to compare."""
    number = {attempt.payment_id: attempt.attempt_no for attempt in attempts}
    return {
        (payment_id, number[payment_id]): token
        for part in parts
        for payment_id, token in zip(part.payment_ids, part.account_tokens, strict=True)
        if token
    }


async def keep(
    conn: AsyncConnection,
    order: Order,
    parts: Sequence[Part],
    *,
    chunk_no: int,
    vault: Vault,
    partner_id: UUID,
) -> None:
    """Keep a chunk's parts sealed, each with its digest; nobody gets one before the release."""
    round_id = order.opened.round_id
    key, wrapped = vault.new_key(round_id)
    head = kept_with(order, wrapped, partner_id)
    await fetch(
        conn, _KEEP, round_id, chunk_no, *head, *sealed_parts(parts, key, round_id, PURPOSE)
    )


def kept_with(order: Order, wrapped: WrappedKey, partner_id: UUID) -> tuple[object, ...]:
    """Return what all parts are kept with, as KEEP takes it."""
    return (
        partner_id,
        wrapped.kek_id,
        wrapped.wrapped,
        order.at,
        order.profile.code,
        order.profile.version,
    )


def sealed_parts(
    parts: Sequence[Part], key: bytes, owner: UUID, purpose: str
) -> tuple[list[object], ...]:
    """Seal parts and return them as KEEP takes them, column by column."""
    ends: list[int] = []
    for part in parts:
        ends.append((ends[-1] if ends else 0) + len(part.payment_ids))
    return (
        [payment_id for part in parts for payment_id in part.payment_ids],
        [part.part_no for part in parts],
        [part.message_id for part in parts],
        [sha256(part.content).digest() for part in parts],
        [
            seal(key, part.content, kind=kind_of(purpose, part.part_no), owner=owner)
            for part in parts
        ],
        [end - len(part.payment_ids) + 1 for part, end in zip(parts, ends, strict=True)],
        [*ends],
    )


async def read_file(
    conn: AsyncConnection, round_id: UUID, *, vault: Vault, part_no: int | None = None
) -> PaymentFile:
    """Return a part as it was released, and log whose identities it shows.

    Without `part_no` the only one. Raises NotReleased, and WhichPart where there are others.
    """
    stored = Stored(table=payment_file, owner=round_id, round_id=round_id, purpose=PURPOSE)
    return await read_part(conn, stored, vault=vault, part_no=part_no)


async def read_part(
    conn: AsyncConnection, stored: Stored, *, vault: Vault, part_no: int | None
) -> PaymentFile:
    """Open a part of a round's file, or of a follow-up's; raises as `read_file` does."""
    file = stored.table
    owned = file.primary_key.columns[0] == stored.owner
    parts = await conn.scalar(select(func.count()).where(owned))
    if not parts:
        raise NotReleased(round_id=stored.round_id)
    wanted = 1 if part_no is None and parts == 1 else part_no
    if wanted is None or not 1 <= wanted <= parts:
        raise WhichPart(round_id=stored.round_id, parts=parts)
    row = (await conn.execute(select(file).where(owned, file.c.part_no == wanted))).one()
    shown = await fetch(conn, _SHOWN, row.payment_ids)
    await note_access(conn, [household_id for (household_id,) in shown], purpose=PURPOSE)
    key = vault.unwrap(WrappedKey(kek_id=row.kek_id, wrapped=row.wrapped), stored.owner)
    profile = await profiles.load_version(
        conn, row.profile_code, row.profile_version, partner_id=row.partner_id
    )
    assert profile is not None
    kind = kind_of(stored.purpose, wanted)
    return PaymentFile(
        message_id=row.message_id,
        sha256=row.sha256.hex(),
        content=open_bytes(key, row.sealed, kind=kind, owner=stored.owner),
        part_no=wanted,
        parts=parts,
        media_type=write.media_type(profile),
        suffix=write.suffix(profile),
    )


def kind_of(purpose: str, part_no: int) -> str:
    """Bind a sealed part to its number, so that one can't be passed off as another."""
    return purpose if part_no == 1 else f"{purpose} {part_no}"
