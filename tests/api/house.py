"""A service under test: the app on a database of its own, and a key for everybody."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from random import Random
from uuid import UUID, uuid4

import httpx
import msgspec
from litestar import Litestar
from sqlalchemy import insert, text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from api import access, auth, db, settings
from api.app import make_app
from api.embedded import EmbeddedPostgres
from api.state import Service, open_service
from cbi import tables
from cbi.account import cci

AT = datetime(2026, 1, 1, tzinfo=UTC)
NEVER = datetime(2090, 1, 1, tzinfo=UTC)
SIGNERS = ("first", "second", "third", "fourth")
CONSENTS = ("registration", "duplicate_check", "fsp")
_serial = count(1)


class House(msgspec.Struct, frozen=True, kw_only=True):
    """A running service; keys by "A/registrar", "B/finance", "A/first" (of four signers)."""

    app: Litestar
    service: Service
    client: httpx.AsyncClient
    owner: AsyncEngine
    partners: dict[str, UUID]
    keys: dict[str, str]

    async def call(
        self, method: str, path: str, who: str = "", *, key: str = "", **how: object
    ) -> httpx.Response:
        """Send one request as `who`; `key` is its Idempotency-Key."""
        headers = dict(how.pop("headers", {}))
        if who:
            headers.setdefault("Authorization", f"Bearer {self.keys[who]}")
        if key:
            headers["Idempotency-Key"] = key
        return await self.client.request(method, path, headers=headers, **how)

    async def get(self, path: str, who: str, **how: object) -> httpx.Response:
        return await self.call("GET", path, who, **how)

    async def post(self, path: str, who: str, body: object = None, **how: object) -> httpx.Response:
        if body is not None:
            how["json"] = body
        return await self.call("POST", path, who, **how)

    async def made(self, path: str, who: str, body: object = None, **how: object) -> dict:
        """Post what must succeed."""
        answer = await self.post(path, who, body, **how)
        # 200: it was there before.
        assert answer.status_code in {200, 201}, answer.text
        return answer.json()

    async def sql(self, statement: str, **facts: object) -> object:
        """Ask the database as a superuser for one value."""
        async with self.owner.begin() as conn:
            return await conn.scalar(text(statement), facts)

    async def hire(self, letter: str, *roles: str) -> None:
        """Add a partner with a person for each role, unless it is there with its people."""
        partner_id = self.partners.setdefault(letter, uuid4())
        if f"{letter}/{roles[0]}" in self.keys:
            return
        async with db.transaction(self.service.engine, db.SYSTEM) as conn:
            await conn.execute(
                insert(tables.partner).values(
                    partner_id=partner_id,
                    code=f"PARTNER-{letter}",
                    name=f"Partner {letter}",
                    contact=f"desk@{letter.lower()}.example",
                    added_at=AT,
                )
            )
        for role in roles:
            await self.issue(letter, role, role)

    async def issue(
        self,
        partner: str,
        handle: str,
        *roles: str,
        area: str = "",
        expires_at: datetime = NEVER,
    ) -> str:
        """Issue a key to a person of a partner and remember it as "PARTNER/handle"."""
        async with db.transaction(self.service.engine, db.SYSTEM) as conn:
            actor_id = await auth.add_actor(
                conn,
                actor_id=uuid4(),
                partner_id=self.partners[partner],
                handle=handle,
                at=AT,
            )
            key = await auth.issue(
                conn,
                key_id=uuid4(),
                actor_id=actor_id,
                roles=roles,
                area=area,
                at=AT,
                expires_at=expires_at,
            )
        self.keys[f"{partner}/{handle}"] = key
        return key


@asynccontextmanager
async def own_database(postgres: EmbeddedPostgres, template: str = "cbi") -> AsyncIterator[str]:
    """A fresh copy of the migrated database, or another nobody is connected to; then dropped."""
    name = f"api_{uuid4().hex[:12]}"
    server = postgres.url("postgres").replace("/cbi?", "/postgres?")
    admin = create_async_engine(server, isolation_level="AUTOCOMMIT")
    async with admin.connect() as conn:
        await conn.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}"))
    try:
        yield name
    finally:
        async with admin.connect() as conn:
            await conn.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))
        await admin.dispose()


@asynccontextmanager
async def open_house(
    postgres: EmbeddedPostgres, name: str, folder: str, **environ: str
) -> AsyncIterator[House]:
    """Run the service on a database, with two partners and a key for each role at both."""
    # Tests work on jobs themselves, when they want them worked on.
    limits = {
        "CBI_STATEMENT_BYTES_MAX": "12000000",
        "CBI_JOBS_AT_ONCE": "0",
        "CBI_APPEAL_TRIES_PER_DAY": "100000",
    }
    told = settings.load({"CBI_DATA_DIR": folder, **limits, **environ})
    url = postgres.url("cbi_app").replace("/cbi?", f"/{name}?")
    service = open_service(told, database_url=url)
    app = make_app(service)
    owner = db.connect(postgres.url("postgres").replace("/cbi?", f"/{name}?"), pool_size=2)
    transport = httpx.ASGITransport(app)
    async with (
        app.lifespan(),
        httpx.AsyncClient(transport=transport, base_url="http://cbi.test") as client,
    ):
        house = House(
            app=app,
            service=service,
            client=client,
            owner=owner,
            partners={"A": uuid4(), "B": uuid4()},
            keys={},
        )
        await _hire(house)
        yield house
    await owner.dispose()


async def _hire(house: House) -> None:
    for letter in list(house.partners):
        await house.hire(letter, *access.ROLES)
        for handle in SIGNERS:
            await house.issue(letter, handle, "programme", "finance")


def registration(**changes: object) -> dict:
    """A valid registration of one person who resembles nobody else."""
    serial = next(_serial)
    rng = Random(serial * 7919)
    return {
        "reference": f"R-{serial:06d}-{uuid4().hex[:6]}",
        "registered_on": "2026-02-03",
        "ubigeo": "240101",
        "population_type": "in_destination",
        "consents": [
            {
                "kind": kind,
                "granted": True,
                "text_version": "1",
                "language": "es",
                "channel": "in_person",
                "given_on": "2026-02-03",
            }
            for kind in CONSENTS
        ],
        "persons": [
            {
                "given_names": _word(rng),
                "surnames": f"{_word(rng)} {_word(rng)}",
                "birth_date": str((AT - timedelta(days=rng.randint(7000, 25000))).date()),
                "sex": rng.choice("FM"),
                "relationship": "head",
                "nationality": "VEN",
                "documents": [
                    {"type": "passport", "number": str(rng.randint(10**8, 10**9)), "country": "VEN"}
                ],
                "phones": [f"+519{rng.randint(10_000_000, 99_999_999)}"],
            }
        ],
        "instrument": {
            "kind": "bank_account",
            "bank": "002",
            "account": cci(bank_and_office="002191", account=str(rng.randint(10**11, 10**12 - 1))),
        },
        **changes,
    }


def programme(code: str = "") -> dict:
    return {
        "code": code or f"P{uuid4().hex[:10].upper()}",
        "name": "Asistencia de prueba",
        "currency": "PEN",
        "payer_name": "Partner",
        "payer_account": "PE1910000001",
        "payer_agent": "MOCK",
    }


class Paid(msgspec.Struct, frozen=True, kw_only=True):
    """A programme with households enrolled and one round."""

    programme_id: str
    household_ids: list[str]
    round_id: str

    @property
    def path(self) -> str:
        return f"/v1/rounds/{self.round_id}"


async def open_round(house: House, *, partner: str = "A", households: int = 1) -> Paid:
    """Register, enrol and open a round; nothing of it is signed yet."""
    clerk, officer = f"{partner}/registrar", f"{partner}/programme"
    opened = await house.made("/v1/programmes", officer, programme())
    path = f"/v1/programmes/{opened['programme_id']}"
    values = {"effective_from": "2026-01-01", "by_size": ["300.00", "420.00"]}
    await house.made(f"{path}/values", officer, values)
    approval = {"kind": "values", "version": 1}
    await house.made(f"{path}/terms/approval", f"{partner}/finance", approval)
    deposit = {"deposit_id": str(uuid4()), "amount": "50000", "on": "2026-01-01"}
    await house.made(f"{path}/funds", f"{partner}/finance", deposit)
    household_ids = []
    for _ in range(households):
        receipt = await house.made("/v1/households", clerk, registration())
        assert receipt["status"] == "clear", receipt
        household_ids.append(receipt["household_id"])
        await house.made(f"{path}/enrolments", officer, {"household_id": receipt["household_id"]})
    round_ = await house.made("/v1/rounds", officer, new_round(opened["programme_id"]))
    return Paid(
        programme_id=opened["programme_id"],
        household_ids=household_ids,
        round_id=round_["round_id"],
    )


def new_round(programme_id: str, name: str = "2026-03") -> dict:
    return {
        "programme_id": programme_id,
        "name": name,
        "first_month": "2026-03-01",
        "end_month": "2026-04-01",
        "pays_on": "2026-03-10",
    }


async def release(house: House, paid: Paid, *, partner: str = "A") -> None:
    """Take a round through its five steps by four people."""
    steps = ("calculate", "prepare", "review", "approve", "release")
    for step, signer in zip(steps, ("first", *SIGNERS), strict=True):
        await house.made(f"{paid.path}/{step}", f"{partner}/{signer}")


async def open_case(house: House) -> str:
    """Register one family at both partners; returns the case between them."""
    one = registration()
    await house.made("/v1/households", "A/registrar", one)
    other = {**one, "reference": registration()["reference"]}
    receipt = await house.made("/v1/households", "B/registrar", other)
    assert receipt["status"] == "review"
    return receipt["flags"][0]["case_id"]


def routes(app: Litestar) -> Iterator[tuple[str, str]]:
    """Every method and path template the app serves."""
    for route in app.routes:
        for method in getattr(route, "methods", ()):
            if method != "OPTIONS":
                yield method, route.path_format


def _word(rng: Random) -> str:
    syllables = [rng.choice("bcdfgklmnprstvz") + rng.choice("aeiou") for _ in range(5)]
    return "".join(syllables).capitalize()
