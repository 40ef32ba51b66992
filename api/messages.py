"""Sweep for what is to be told, and deliver it: duties of the jobs' worker."""

import asyncio
from functools import cache
from uuid import UUID

from api import clock
from api.db import Actor, transaction
from api.logs import LOG
from api.post import Sender
from api.state import Service
from api.worker import Duty
from cbi import outbox, own_texts
from cbi.message import OwnWords, TemplateFault
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
# 20,000 entries take 40 seconds to go through.
TURNS_EVERY_SECONDS = 900.0
DELIVER_EVERY_SECONDS = 5.0
AT_ONCE_MAX = 20
TURNS_AT_ONCE = 500


async def sweep(service: Service) -> int:
    """Write the notices of today that are not written yet; returns how many."""
    today = clock.today()
    async with transaction(service.engine, MESSENGER, request_id="sweep") as conn:
        return await outbox.make_notices(
            conn,
            today=today,
            cases_before=overdue_before(today, days_off=holidays()),
            at=clock.now(),
            check_hours_max=service.settings.check_hours_max,
        )


async def tell_payments(service: Service) -> None:
    """Tell households of released lists whose day has come, a page in each transaction."""
    is_more = True
    while is_more:
        async with transaction(service.engine, MESSENGER, request_id="payments") as conn:
            is_more = await outbox.make_payment_notices(conn, today=clock.today(), at=clock.now())


async def tell_turns(service: Service) -> None:
    """Tell whose turn came on the waiting list, a page of it in each transaction."""
    after: UUID | None = None
    while True:
        async with transaction(service.engine, MESSENGER, request_id="turns") as conn:
            after = await outbox.make_turn_notices(
                conn, after=after, most=TURNS_AT_ONCE, at=clock.now()
            )
        if after is None:
            return


async def deliver(service: Service, sender: Sender) -> int:
    """Try every notice that is due, once; returns how many were tried.

    A claim is committed before anything is sent, and no transaction is open while it is: who dies
    in between leaves a try that another takes up after a minute, under the same id.
    """
    done = 0
    while True:
        async with transaction(service.engine, MESSENGER, request_id="deliver") as conn:
            claimed = await outbox.claim(conn, at=clock.now(), most=AT_ONCE_MAX)
            own = await own_texts.words_of(conn, [one.notice_id for one in claimed])
        if not claimed:
            return done
        tried = await asyncio.gather(
            *(_send(service, sender, each, own.get(each.notice_id)) for each in claimed),
            return_exceptions=True,
        )
        ended = [(one, _told(each)) for one, each in zip(claimed, tried, strict=True)]
        async with transaction(service.engine, MESSENGER, request_id="deliver") as conn:
            await outbox.note(conn, ended, at=clock.now())
        done += len(claimed)


def _told(tried: Tried | BaseException) -> Tried:
    """Return how a try ended; one that nobody thought of must not keep the others untold."""
    if isinstance(tried, Tried):
        return tried
    if not isinstance(tried, Exception):
        raise tried
    LOG.warning("delivery_failed", exc_info=tried)
    return Tried(why="unreachable")


async def _send(service: Service, sender: Sender, claimed: Claimed, own: OwnWords | None) -> Tried:
    try:
        secret = service.vault.unwrap(claimed.key, claimed.webhook_id)
        body = body_of(claimed.kind, claimed.body, made_at=claimed.made_at, own=own)
    except (Broken, TemplateFault):
        # One that can't be signed or worded must not keep the others from going out.
        LOG.warning("notice_unreadable", extra={"facts": {"notice_id": str(claimed.notice_id)}})
        return Tried(why="unreadable")
    signed = headers(secret, notice_id=claimed.notice_id, at=clock.now(), body=body)
    return await sender.post(claimed.url, headers=signed, body=body)


@cache
def _sender(*, local: bool) -> Sender:
    return Sender(local=local)


async def _sweep(service: Service) -> None:
    await sweep(service)


async def _deliver(service: Service) -> None:
    await deliver(service, _sender(local=service.settings.env == "development"))


DUTIES = (
    Duty(name="sweep-notices", every_seconds=SWEEP_EVERY_SECONDS, do=_sweep),
    Duty(name="tell-turns", every_seconds=TURNS_EVERY_SECONDS, do=tell_turns),
    Duty(name="tell-payments", every_seconds=SWEEP_EVERY_SECONDS, do=tell_payments),
    Duty(name="deliver-notices", every_seconds=DELIVER_EVERY_SECONDS, do=_deliver),
)
