"""Profiles of payment files as tests need them, and programmes that use them."""

from copy import deepcopy
from datetime import timedelta

import msgspec

from api import db
from cbi import profiles
from cbi.profiles import Choice
from tests.cbi.world import ALFA, AT


def a_profile(like="pain.001.001.09", **changes):
    """A profile as an organisation would send it, made of a shipped one."""
    raw = deepcopy(msgspec.to_builtins(profiles.SHIPPED[like]))
    del raw["version"]
    return raw | {"code": "ours"} | changes


async def profiled(conn, programme, raw, who=ALFA, *, days_later=0):
    """Add a profile and let the programme use it."""
    await db.set_facts(conn, who)
    facts = {"partner_id": who.partner_id, "actor_id": who.actor_id, "at": AT}
    added = await profiles.add(conn, profiles.read(raw), **facts)
    choice = Choice(
        programme_id=programme.programme_id,
        code=added.code,
        version=added.version,
        since=AT + timedelta(days=days_later),
        actor_id=who.actor_id,
    )
    await profiles.choose(conn, choice, partner_id=who.partner_id)
    return added
