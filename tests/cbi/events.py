"""What happens to families of the made-up world after they were registered."""

from datetime import date, datetime, timedelta

from api import db
from cbi import household
from cbi.amend import amend
from tests.cbi.world import ALFA, AT, DESK

# What the service may change: by an event only, which keeps what stood before.
BY_EVENT = {
    ("cbi.household", "UPDATE", column)
    for column in ("content_key", "ended_at", "population_type", "sealed", "size", "ubigeo")
} | {("cbi.person", "UPDATE", column) for column in ("gone", "sealed")}
BY_EVENT |= {(f"cbi.{table}", "UPDATE", "version") for table in ("household", "person")}


def days_later(days: int) -> datetime:
    return AT + timedelta(days=days)


def facts_of(who: db.Actor, days: int) -> dict:
    return {"partner_id": who.partner_id, "actor_id": who.actor_id, "at": days_later(days)}


def day(days: int) -> date:
    return days_later(days).date()


async def amended(conn, household_id, raw, who=ALFA, *, reason="changed", days=1, **more):
    await db.set_facts(conn, who, request_id="request-4")
    return await amend(
        conn,
        household_id,
        household.read(raw, today=day(days)),
        desk=DESK,
        reason=reason,
        area=who.area,
        today=day(days),
        **facts_of(who, days),
        **more,
    )
