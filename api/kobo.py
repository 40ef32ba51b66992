"""One submission of a form, as KoboToolbox's REST service sends it.

What is faulty is refused with every fault: the submission stays in KoboToolbox, whose log of the
service shows it as failed, so that nothing is lost and it can be sent again when it is mended.
"""

from litestar import Response, post
from litestar.di import NamedDependency
from litestar.params import FromQuery
from sqlalchemy.ext.asyncio import AsyncConnection

from api import clock
from api.db import Actor
from api.households import KNOWN, told
from api.once import once
from api.page import Key
from api.state import Requested, Service
from cbi import intake
from cbi.take_in import Taken, take_in


@post("/v1/imports/kobo", tags=["registration"], responses=KNOWN)
@once
async def take_submission(
    request: Requested,
    conn: NamedDependency[AsyncConnection],
    actor: NamedDependency[Actor],
    service: NamedDependency[Service],
    ubigeo_system: FromQuery[str],
    idempotency_key: Key = None,
) -> Response[Taken]:
    """Register the one household of a submission; the same submission again changes nothing.

    One that was edited since is the household's next version: 200.
    """
    row = intake.submission(await request.body(), ubigeo_system=ubigeo_system)
    taken = await take_in(
        conn,
        intake.read(row, today=clock.today()),
        desk=service.desk,
        partner_id=actor.partner_id,
        actor_id=actor.actor_id,
        area=actor.area,
        at=clock.now(),
        today=clock.today(),
        submitted=row.submission,
    )
    return told(taken)


HANDLERS = (take_submission,)
