"""`cbi partner` and `cbi key`: organisations and the keys of their people."""

from collections.abc import Sequence
from datetime import timedelta

import msgspec
import rich_click as click

from api import auth, clock
from api.access import ROLES
from api.db import SYSTEM, transaction
from api.terminal import CONSOLE, NO, STDERR, WRONG_USE, Run, as_json, command, leave, show
from cbi import partners

DAYS_MAX = 730


@click.group()
def partner() -> None:
    """Add and list the organisations that share this platform."""


@partner.command("add")
@click.argument("code")
@click.argument("name")
@click.option("--contact", default="", help="Whom to ask about a match, told to other partners.")
@command
async def partner_add(run: Run, *, code: str, name: str, contact: str) -> int:
    """Add an organisation: CODE in capitals (UNHCR, PARROQUIA-1), NAME in words."""
    async with transaction(run.service.engine, SYSTEM, request_id="cli") as conn:
        added = await partners.add(
            conn, partner_id=clock.new_id(), code=code, name=name, contact=contact, at=clock.now()
        )
    CONSOLE.print(f"added {added.code}")
    return 0


@partner.command("list")
@as_json
@command
async def partner_list(run: Run, *, as_json: bool) -> int:
    """List the organisations."""
    async with transaction(run.service.engine, SYSTEM, request_id="cli") as conn:
        found = await partners.list_partners(conn, after=None, limit=1000)
    rows = [msgspec.structs.asdict(each) for each in found]
    show(rows, as_json=as_json, title="partners")
    return 0


@click.group()
def key() -> None:
    """Issue, list and revoke API keys. A key belongs to one person at one partner."""


@key.command("issue")
@click.option("--partner", "code", required=True, help="Code of the organisation.")
@click.option(
    "--holder",
    required=True,
    help="Handle of the person, such as m.quispe. Two keys of one holder are one person.",
)
@click.option(
    "--role", "roles", multiple=True, required=True, type=click.Choice(ROLES), help="May repeat."
)
@click.option("--area", default="", help="Only this area: UBIGEO of 2, 4 or 6 digits (INEI).")
@click.option(
    "--days", type=click.IntRange(1, DAYS_MAX), default=365, show_default=True, help="Validity."
)
@as_json
@command
async def key_issue(
    run: Run, *, code: str, holder: str, roles: Sequence[str], area: str, days: int, as_json: bool
) -> int:
    """Issue a key and print it, once: only a digest is stored."""
    at = clock.now()
    async with transaction(run.service.engine, SYSTEM, request_id="cli") as conn:
        partner_id = await partners.find(conn, code)
        if partner_id is None:
            leave(f"no partner {code}; add it with: cbi partner add {code} NAME", WRONG_USE)
        actor_id = await auth.add_actor(
            conn, actor_id=clock.new_id(), partner_id=partner_id, handle=holder, at=at
        )
        issued = await auth.issue(
            conn,
            key_id=clock.new_id(),
            actor_id=actor_id,
            roles=roles,
            area=area,
            at=at,
            expires_at=at + timedelta(days=days),
        )
    if as_json:
        click.echo(msgspec.json.encode({"key": issued, "prefix": issued.split("_")[1]}).decode())
    else:
        click.echo(issued)
        STDERR.print("keep it now: it can't be shown again")
    return 0


@key.command("revoke")
@click.argument("prefix")
@command
async def key_revoke(run: Run, *, prefix: str) -> int:
    """End the key with this PREFIX (the part between the underscores) at once."""
    async with transaction(run.service.engine, SYSTEM, request_id="cli") as conn:
        ended = await auth.revoke(conn, prefix=prefix, at=clock.now())
    CONSOLE.print("revoked" if ended else "no living key has this prefix")
    return 0 if ended else NO


@key.command("list")
@as_json
@command
async def key_list(run: Run, *, as_json: bool) -> int:
    """List keys by their prefixes, newest first; no secret is shown, for none is stored."""
    async with transaction(run.service.engine, SYSTEM, request_id="cli") as conn:
        found = await auth.list_keys(conn)
    rows: list[dict[str, object]] = [
        {
            "prefix": each.prefix,
            "partner": each.partner,
            "holder": each.handle,
            "roles": " ".join(each.roles),
            "area": each.area,
            "expires": f"{each.expires_at:%Y-%m-%d}",
            "revoked": f"{each.revoked_at:%Y-%m-%d}" if each.revoked_at else "",
        }
        for each in found
    ]
    show(rows, as_json=as_json, title="keys")
    return 0
