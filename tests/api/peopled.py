"""A service on a database of its own, with made-up people in it that nobody was compared with."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from api import db, rematch, settings
from api.demo.population import population
from api.embedded import EmbeddedPostgres
from api.rematch import Ended, Going
from api.state import Service, open_service
from cbi.household import Read
from cbi.register import Desk, Receipt, register
from dedup import model
from dedup.runs import Run
from tests.cbi import world
from tests.cbi.world import ALFA, AT, BETA, GAMA, TODAY, again

# Under this model nobody is worth showing, so registering opens no case.
BLIND = model.build(msgspec.structs.replace(model.load().content, review_bits=1e6, strong_bits=1e6))
CLERKS = {"PUENTE": ALFA, "SOLMAR": BETA, "PARROQUIA": GAMA}


class Place(msgspec.Struct, frozen=True):
    """The service, and a superuser's engine on its database."""

    service: Service
    owner: AsyncEngine

    @property
    def blind(self) -> Desk:
        return msgspec.structs.replace(self.service.desk, model=BLIND)

    async def partners(self) -> None:
        async with db.transaction(self.service.engine, db.SYSTEM) as conn:
            await world.add_partners(conn)

    async def people(self, *, households: int = 60, seed: int = 5, blind: bool = True) -> None:
        """Register the example's families at three partners."""
        desk = self.blind if blind else self.service.desk
        for partner in population(seed, households).partners:
            who = CLERKS[partner.code]
            for registration in partner.registrations:
                async with db.transaction(self.service.engine, who, request_id="enter") as conn:
                    await register(
                        conn,
                        Read(registration=registration, faults=()),
                        desk=desk,
                        partner_id=who.partner_id,
                        actor_id=who.actor_id,
                        area="",
                        at=AT,
                        today=TODAY,
                    )

    async def enter(self, raw: dict[str, object], who: db.Actor = ALFA) -> Receipt:
        """Register a form; nobody is found to be anybody."""
        async with db.transaction(self.service.engine, who, request_id="enter") as conn:
            return await world.registered(conn, raw, who, self.blind)

    async def twins(self, seed: int) -> tuple[UUID, UUID]:
        """Register one family at two partners; returns the two households."""
        raw = world.family(seed)
        one, other = await self.enter(raw), await self.enter(again(raw), BETA)
        return one.household_id, other.household_id

    async def start(self, *partner_ids: UUID) -> Run:
        return await rematch.start(self.service, engine="local", partner_ids=partner_ids)

    async def run(self, *partner_ids: UUID, processes: int = 2) -> Ended:
        """Do a whole run."""
        async with rematch.turn(self.service):
            return await self.go(await self.start(*partner_ids), processes=processes)

    async def go(self, run: Run, *, processes: int = 2) -> Ended:
        return await Going(self.service, run, processes=processes, told=lambda _: None).go()

    async def cases(self) -> dict[tuple[UUID, UUID], list[tuple[object, ...]]]:
        """What is shown of every two households, whoever may see it: partners, persons, levels."""
        found: dict[tuple[UUID, UUID], list[tuple[object, ...]]] = {}
        async with self.owner.connect() as conn:
            for row in await conn.execute(
                text(
                    "SELECT c.household_a, c.household_b, c.partner_a, c.partner_b, p.person_a,"
                    " p.person_b, p.model_id, round(p.weight_bits::numeric, 6), p.evidence"
                    " FROM dedup.match_case c JOIN dedup.case_pair p USING (case_id)"
                    " ORDER BY 1, 2, 5, 6, 7"
                )
            ):
                levels = [(one["field"], one["level"]) for one in row.evidence]
                found.setdefault(tuple(row[:2]), []).append((*row[2:8], levels))
        return found

    async def one(self, query: str, **facts: object) -> object:
        """Ask the database as a superuser for one value."""
        async with self.owner.begin() as conn:
            return await conn.scalar(text(query), facts)

    async def column(self, query: str) -> list[object]:
        async with self.owner.begin() as conn:
            return list(await conn.scalars(text(query)))

    @asynccontextmanager
    async def acting(self, who: db.Actor) -> AsyncIterator[object]:
        async with db.transaction(self.service.engine, who) as conn:
            yield conn


@asynccontextmanager
async def open_place(postgres: EmbeddedPostgres, folder: Path, name: str) -> AsyncIterator[Place]:
    """Open a database of this name with the keys in this folder."""
    told = settings.load({"CBI_DATA_DIR": str(folder)})
    service = open_service(told, database_url=postgres.url("cbi_app").replace("/cbi?", f"/{name}?"))
    owner = db.connect(postgres.url("postgres").replace("/cbi?", f"/{name}?"), pool_size=2)
    yield Place(service, owner)
    await owner.dispose()
    await service.engine.dispose()
