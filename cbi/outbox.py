"""Webhooks of an organisation, and the notices that go to them."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any
from uuid import UUID

import msgspec
from sqlalchemy import func, insert, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import outbox_tables as tables
from cbi.disburse import CHECK_HOURS_MAX
from cbi.refusal import BadValue, NotFound
from cbi.vault import Vault, WrappedKey
from cbi.webhook import Kind, Notice, NoticeState, Webhook, Why, again_at, url_fault
from cbi.who import Who
from ledger.violation import constraint_of

WEBHOOKS_MAX = 200
_NOTICES = text("""
    SELECT * FROM (
        SELECT n.notice_id, n.kind, n.day, n.body AS data, n.made_at, coalesce(d.attempt_no, 0)
            AS attempts, e.why, e.status,
            CASE WHEN e.why = 'delivered' THEN 'delivered'
                 WHEN e.why IS NOT NULL AND e.again_at IS NULL THEN 'dead'
                 WHEN n.made_at < :at ::timestamptz - cbi.notice_life(n.kind) THEN
                      CASE WHEN d.attempt_no IS NULL THEN 'no_endpoint' ELSE 'dead' END
                 WHEN w.webhook_id IS NULL THEN 'no_endpoint'
                 ELSE 'waiting' END AS state
        FROM cbi.notice AS n
        LEFT JOIN LATERAL (
            SELECT x.attempt_no FROM cbi.delivery AS x WHERE x.notice_id = n.notice_id
            ORDER BY x.attempt_no DESC LIMIT 1) AS d ON true
        LEFT JOIN cbi.delivery_end AS e
            ON e.notice_id = n.notice_id AND e.attempt_no = d.attempt_no
        LEFT JOIN LATERAL (
            SELECT x.webhook_id FROM cbi.webhook AS x
            WHERE x.partner_id = n.partner_id AND NOT EXISTS (
                SELECT FROM cbi.webhook_end AS o WHERE o.webhook_id = x.webhook_id)
            LIMIT 1) AS w ON true
        WHERE n.partner_id = :partner_id ::uuid
          AND (:after ::uuid IS NULL OR n.notice_id > :after ::uuid)
    ) AS n WHERE :state ::text IS NULL OR n.state = :state ::text
    ORDER BY n.notice_id LIMIT :limit
""")


class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """A notice to try to deliver now: where, and the wrapped secret that signs it."""

    notice_id: UUID
    attempt_no: int
    partner_id: UUID
    kind: Kind
    body: dict[str, Any]
    made_at: datetime
    webhook_id: UUID
    url: str
    kek_id: str
    wrapped: bytes

    @property
    def key(self) -> WrappedKey:
        return WrappedKey(kek_id=self.kek_id, wrapped=self.wrapped)


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """How a try ended; `status` is what the endpoint answered, if it did."""

    why: Why
    status: int | None = None


async def add_webhook(
    conn: AsyncConnection, url: str, *, webhook_id: UUID, local: bool, vault: Vault, who: Who
) -> tuple[Webhook, bytes]:
    """Add an endpoint, which replaces the one before, and return its secret; raises BadValue."""
    fault = url_fault(url, local=local)
    if fault is not None:
        raise BadValue(field="url", reason=fault)
    # One at a time, or of two at once neither would replace the other.
    await conn.execute(
        select(func.pg_advisory_xact_lock(func.hashtextextended(f"cbi.hook {who.partner_id}", 0)))
    )
    for before in await list_webhooks(conn, who.partner_id):
        if before.ended_at is None:
            await _end(conn, before.webhook_id, "replaced", who.partner_id, who.at)
    # The secret is a random key like those of households, and wrapped like them.
    secret, wrapped = vault.new_key(webhook_id)
    await conn.execute(
        insert(tables.webhook).values(
            webhook_id=webhook_id,
            partner_id=who.partner_id,
            url=url,
            kek_id=wrapped.kek_id,
            wrapped=wrapped.wrapped,
            added_by=who.actor_id,
            added_at=who.at,
        )
    )
    return Webhook(webhook_id=webhook_id, url=url, added_at=who.at), secret


async def close_webhook(conn: AsyncConnection, webhook_id: UUID, *, who: Who) -> Webhook:
    """Call an endpoint no more; raises NotFound, also when it had ended."""
    for webhook in await list_webhooks(conn, who.partner_id):
        if webhook.webhook_id == webhook_id and webhook.ended_at is None:
            await _end(conn, webhook_id, "closed", who.partner_id, who.at)
            return msgspec.structs.replace(webhook, ended_at=who.at, ended_because="closed")
    raise NotFound(what="webhook", wanted=webhook_id)


async def list_webhooks(conn: AsyncConnection, partner_id: UUID) -> list[Webhook]:
    """Return the endpoints of an organisation, newest first."""
    webhook, end = tables.webhook.c, tables.webhook_end.c
    rows = await conn.execute(
        select(
            webhook.webhook_id,
            webhook.url,
            webhook.added_at,
            end.ended_at,
            end.because.label("ended_because"),
        )
        .join(tables.webhook_end, end.webhook_id == webhook.webhook_id, isouter=True)
        .where(webhook.partner_id == partner_id)
        .order_by(webhook.webhook_id.desc())
        .limit(WEBHOOKS_MAX)
    )
    return [msgspec.convert(row._mapping, Webhook) for row in rows]  # noqa: SLF001 -- public by its docs


async def list_notices(
    conn: AsyncConnection,
    *,
    partner_id: UUID,
    state: NoticeState | None,
    after: UUID | None,
    limit: int,
    at: datetime,
) -> list[Notice]:
    """Return a page of an organisation's notices, oldest first, with how they stand."""
    facts = {"partner_id": partner_id, "after": after, "at": at, "state": state, "limit": limit}
    rows = await conn.execute(_NOTICES, facts)
    return [msgspec.convert(row._mapping, Notice) for row in rows]  # noqa: SLF001 -- public by its docs


async def make_notices(
    conn: AsyncConnection,
    *,
    today: date,
    cases_before: datetime,
    at: datetime,
    check_hours_max: int = CHECK_HOURS_MAX,
) -> int:
    """Write what is to be told and isn't yet, as `messenger`; returns how many notices.

    A notice is written once for a thing and a day. `cases_before` is before when a case must have
    been opened to be overdue, `check_hours_max` how long the check of a list counts.
    """
    made = await conn.scalar(
        text(
            "SELECT cbi.make_notices("
            ":today ::date, :at ::timestamptz, :before ::timestamptz, :hours ::integer)"
        ),
        {"today": today, "at": at, "before": cases_before, "hours": check_hours_max},
    )
    return int(made or 0)


async def make_payment_notices(conn: AsyncConnection, *, today: date, at: datetime) -> bool:
    """Tell the households of one page of a released list, as `messenger`; False: none is left."""
    made = await conn.scalar(
        text("SELECT cbi.make_payment_notices(:today ::date, :at ::timestamptz)"),
        {"today": today, "at": at},
    )
    return bool(made)


async def make_turn_notices(
    conn: AsyncConnection, *, after: UUID | None, most: int, at: datetime
) -> UUID | None:
    """Tell whose turn came among the next `most` entries of the waiting list, as `messenger`.

    Returns the last entry that was looked at; None when there is none after `after`. A turn is told
    once, whoever asks how often.
    """
    looked_at: UUID | None = await conn.scalar(
        text("SELECT cbi.make_turn_notices(:at ::timestamptz, :after ::uuid, :most)"),
        {"at": at, "after": after, "most": most},
    )
    return looked_at


async def claim(conn: AsyncConnection, *, at: datetime, most: int) -> list[Claimed]:
    """Claim notices that are due, as `messenger`; nobody else has them for a minute."""
    rows = await conn.execute(
        text("SELECT * FROM cbi.claim_notices(:at ::timestamptz, :most)"), {"at": at, "most": most}
    )
    return [msgspec.convert(row._mapping, Claimed) for row in rows]  # noqa: SLF001 -- public by its docs


async def note(
    conn: AsyncConnection, tries: Sequence[tuple[Claimed, Tried]], *, at: datetime
) -> None:
    """Write down how tries ended, as `messenger`; an endpoint that is gone is called no more."""
    for claimed, tried in tries:
        is_over = tried.why in ("delivered", "gone")
        await conn.execute(
            insert(tables.delivery_end)
            .values(
                notice_id=claimed.notice_id,
                attempt_no=claimed.attempt_no,
                partner_id=claimed.partner_id,
                why=tried.why,
                status=tried.status,
                ended_at=at,
                again_at=None if is_over else again_at(claimed.attempt_no, at=at),
            )
            .inline()
        )
        if tried.why == "gone":
            await _end(conn, claimed.webhook_id, "gone", claimed.partner_id, at)


async def _end(
    conn: AsyncConnection, webhook_id: UUID, because: str, partner_id: UUID, at: datetime
) -> None:
    row = {
        "webhook_id": webhook_id,
        "partner_id": partner_id,
        "because": because,
        "ended_at": at,
    }
    try:
        async with conn.begin_nested():
            await conn.execute(insert(tables.webhook_end).values(row).inline())
    except IntegrityError as error:
        # Two of its notices found it gone, or somebody closed it meanwhile: it has ended.
        if constraint_of(error) != "webhook_end_once":
            raise
