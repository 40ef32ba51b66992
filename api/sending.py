"""Send a whole file of registrations, piece by piece, the way it comes over HTTP."""

import asyncio
from hashlib import sha256

import msgspec

from api import clock
from api.db import Actor
from api.importing import order_staging
from api.state import Service
from cbi import uploads
from cbi.imported import PIECE_BYTES, Import, NewImport
from cbi.intake import Format


class Declared(msgspec.Struct, frozen=True, kw_only=True):
    """What the sender says of a file."""

    format: Format
    ubigeo_system: str
    accept_valid: bool


async def send(
    service: Service, content: bytes, declared: Declared, *, actor: Actor, request_id: str
) -> Import:
    """Send the pieces of a file that are not there yet; with the last one it is being staged."""
    digest = await asyncio.to_thread(lambda: sha256(content).digest())
    new = NewImport(sha256=digest, bytes=len(content), **msgspec.structs.asdict(declared))
    async with service.begin(actor, request_id=request_id) as conn:
        opened = await uploads.open_upload(
            conn,
            new,
            import_id=clock.new_id(),
            vault=service.vault,
            partner_id=actor.partner_id,
            actor_id=actor.actor_id,
            area=actor.area,
            at=clock.now(),
        )
        there = await uploads.received(conn, opened.import_id)
    for piece_no in range(1, opened.pieces + 1):
        if piece_no in there:
            continue
        piece = content[(piece_no - 1) * PIECE_BYTES : piece_no * PIECE_BYTES]
        async with service.begin(actor, request_id=request_id) as conn:
            if await uploads.put_piece(conn, opened, piece_no, piece, vault=service.vault):
                await order_staging(conn, opened, actor)
    return opened
