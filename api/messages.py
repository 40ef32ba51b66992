"""Sweep for what is to be told, and deliver it, beside the service."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from uuid import UUID

from api import clock
from api.db import Actor, transaction
from api.logs import LOG
from api.post import Sender
from api.state import Service
from cbi import outbox
from cbi.message import TemplateFault
from cbi.outbox import Claimed, Tried
from cbi.vault import Broken
from cbi.webhook import body_of, headers
from dedup.deadline import holidays, overdue_before

# Writes notices and delivers them for every organisation. No key can have its role.
MESSENGER = Actor(
    actor_id=UUID(int=0),
    partner_id=UUID(int=0),
    partner_code="SYSTEM",
    roles=frozenset({"messenger"}),
)
SWEEP_EVERY_SECONDS = 300.0
DELIVER_EVERY_SECONDS = 5.0
AT_ONCE_MAX = 20


async def sweep(service: Service) -> int:
    """Write the notices of today that are not written yet; returns how many."""
    today = clock.today()
    async with transaction(service.engine, MESSENGER, request_id="sweep") as conn:
        return await outbox.make_notices(
            conn,
            today=today,
            cases_before=overdue_before(today, days_off=holidays()),
            at=clock.now(),
        )


async def deliver(service: Service, sender: Sender) -> int:
    """Try every notice that is due, once; returns how many were tried.

    A claim is committed before anything is sent, and no transaction is open while it is: who dies
    in between leaves a try that another takes up after a minute, under the same id.
    """
    done = 0
    while True:
        async with transaction(service.engine, MESSENGER, request_id="deliver") as conn:
            claimed = await outbox.claim(conn, at=clock.now(), most=AT_ONCE_MAX)
        if not claimed:
            return done
        tried = await asyncio.gather(
            *(_send(service, sender, each) for each in claimed), return_exceptions=True
        )
        ended = [(one, _told(each)) for one, each in zip(claimed, tried, strict=True)]
        async with transaction(service.engine, MESSENGER, request_id="deliver") as conn:
            await outbox.note(conn, ended, at=clock.now())
        done += len(claimed)


@asynccontextmanager
async def messaging(service: Service) -> AsyncIterator[None]:
    """Sweep and deliver in the background while the service runs."""
    sender = Sender(local=service.settings.env == "development")

    async def forever() -> None:
        swept_at = 0.0
        while True:
            try:
                if not swept_at or time.monotonic() - swept_at >= SWEEP_EVERY_SECONDS:
                    await sweep(service)
                    swept_at = time.monotonic()
                await deliver(service, sender)
            except Exception as error:  # noqa: BLE001 -- the edge of a task: logged, tried again
                LOG.warning("messages_failed", exc_info=error)
            await asyncio.sleep(DELIVER_EVERY_SECONDS)

    task = asyncio.create_task(forever())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def _told(tried: Tried | BaseException) -> Tried:
    """Return how a try ended; one that nobody thought of must not keep the others untold."""
    if isinstance(tried, Tried):
        return tried
    if not isinstance(tried, Exception):
        raise tried
    LOG.warning("delivery_failed", exc_info=tried)
    return Tried(why="unreachable")


async def _send(service: Service, sender: Sender, claimed: Claimed) -> Tried:
    try:
        secret = service.vault.unwrap(claimed.key, claimed.webhook_id)
        body = body_of(claimed.kind, claimed.body, made_at=claimed.made_at)
    except (Broken, TemplateFault):
        # One that can't be signed or worded must not keep the others from going out.
        LOG.warning("notice_unreadable", extra={"facts": {"notice_id": str(claimed.notice_id)}})
        return Tried(why="unreadable")
    signed = headers(secret, notice_id=claimed.notice_id, at=clock.now(), body=body)
    return await sender.post(claimed.url, headers=signed, body=body)
