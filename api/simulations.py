"""Trying rules of overlap over HTTP, who tried which, and dropping refused attempts in time."""

from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any

import msgspec
from litestar import get, post
from litestar.di import NamedDependency
from litestar.params import JSONBody
from sqlalchemy.ext.asyncio import AsyncConnection

from api import clock
from api.access import COORDINATOR
from api.db import WORKER, Actor, transaction
from api.overlaps import VERSION_MAX
from api.page import AfterNumber, Limit, Page, page
from api.settings import Settings
from api.state import Service
from api.worker import Duty
from cbi import agree, attempts, simulate
from cbi.overlap_refusal import RulesNotProposed
from cbi.refusal import BadValue
from cbi.simulate import Quota, Simulation, Tried

DROP_EVERY_SECONDS = 3600.0
DAYS_A_MONTH_MAX = 31


class NewSimulation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A version that was proposed, or from coordination any document; and for how many months."""

    rules: dict[str, Any] | None = None
    version: Annotated[int, msgspec.Meta(ge=1, le=VERSION_MAX)] | None = None
    months: Annotated[int, msgspec.Meta(ge=1, le=simulate.MONTHS_MAX)] = 6


# Not `once`: it changes nothing but the list of who tried.
@post("/v1/overlap-rules/simulation", status_code=200, tags=["adjudication"])
async def try_rules(
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    service: NamedDependency[Service],
    data: JSONBody[NewSimulation],
) -> Simulation:
    """Say what rules would have refused, and let through, of the last months.

    Coordination tries any rules on all; others what somebody proposed, on their own, rounded.
    """
    settings, now = service.settings, clock.now()
    key = attempts.key_of(settings.matching_key)
    if COORDINATOR in actor.roles:
        if (data.rules is None) == (data.version is None):
            raise BadValue(field="rules", reason="a document or a version")
        rules = (
            agree.read(data.rules)
            if data.version is None
            else (await agree.load_version(conn, data.version)).rules
        )
        return await simulate.try_rules(
            conn,
            rules,
            months=data.months,
            own=actor.partner_id,
            attempt_key=key,
            at=now,
            version=data.version,
        )
    if data.version is None or data.rules is not None:
        raise RulesNotProposed
    return await simulate.try_proposed(
        conn,
        data.version,
        months=data.months,
        own=actor.partner_id,
        quota=_quota(settings, clock.today()),
        attempt_key=key,
        at=now,
    )


@get("/v1/overlap-rules/simulations", tags=["access"])
async def list_simulations(
    conn: NamedDependency[AsyncConnection], after: AfterNumber = 0, limit: Limit = 50
) -> Page[Tried]:
    """List who tried which rules, oldest first."""
    items = await simulate.list_tried(conn, after=after, limit=limit + 1)
    return page(items, limit=limit, cursor="simulation_no")


def _quota(settings: Settings, today: date) -> Quota:
    begins = datetime.combine(today + timedelta(days=1), time(), tzinfo=clock.PERU)
    return Quota(
        simulations_per_day=settings.simulations_per_day,
        day=today,
        opens_again_at=begins.astimezone(UTC),
    )


async def _drop(service: Service) -> None:
    kept = timedelta(days=service.settings.refused_months * DAYS_A_MONTH_MAX)
    async with transaction(service.engine, WORKER, request_id="worker") as conn:
        await attempts.drop(conn, before=clock.now() - kept)


DROP = Duty(name="drop-refused-attempts", every_seconds=DROP_EVERY_SECONDS, do=_drop)
HANDLERS = (try_rules, list_simulations)
