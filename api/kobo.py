"""One submission of a form, as KoboToolbox's REST service sends it.

What is faulty is refused with every fault: the submission stays in KoboToolbox, whose log of the
service shows it as failed, so that nothing is lost and it can be sent again when it is mended.
"""

from litestar import post
from litestar.di import NamedDependency
from litestar.params import FromQuery
from sqlalchemy.ext.asyncio import AsyncConnection

from api import clock
from api.db import Actor
from api.once import once
from api.page import Key
from api.state import Requested, Service
from cbi import intake, register
from cbi.register import Receipt


@post("/v1/imports/kobo", tags=["registration"])
@once
async def take_submission(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    service: NamedDependency[Service],
    ubigeo_system: FromQuery[str],
    idempotency_key: Key = None,
) -> Receipt:
    """Register the one household of a submission; the same submission again changes nothing."""
    row = intake.submission(await request.body(), ubigeo_system=ubigeo_system)
    return await register.register(
        conn,
        intake.read(row, today=clock.today()),
        desk=service.desk,
        partner_id=actor.partner_id,
        actor_id=actor.actor_id,
        area=actor.area,
        at=clock.now(),
        today=clock.today(),
    )


HANDLERS = (take_submission,)
