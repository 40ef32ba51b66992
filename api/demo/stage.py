"""Set the example up in a data folder, so that it can be played, broken off and played on."""

import os
import shutil
from datetime import date
from pathlib import Path

import httpx
import msgspec
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine

from api import clock
from api.db import SYSTEM, connect, transaction
from api.demo import files, staff
from api.demo.bank import MockBank
from api.demo.journey import Tell
from api.demo.play import SEED, Outcome, bank_opens, play
from api.demo.population import population
from api.state import Service

HOUSEHOLDS = 600


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What the example must remember to be played on: its keys, its size and the day it pays."""

    keys: dict[str, str]
    households: int
    pays_on: date
    outcome: Outcome | None = None


class AlreadySetUp(Exception):
    """The database holds the example of another data folder or version."""


def folder_of(data_dir: Path) -> Path:
    return data_dir / "demo"


def load_state(data_dir: Path) -> State | None:
    """Return the state of an example that this version set up in this folder, or None."""
    path = folder_of(data_dir) / "state.json"
    try:
        return msgspec.json.decode(path.read_bytes(), type=State)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def save_state(data_dir: Path, state: State) -> None:
    """Write the state whole or not at all, readable by its owner only: it holds keys."""
    folder = folder_of(data_dir)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = folder / ".state.json"
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(msgspec.json.encode(state))
    fresh.rename(folder / "state.json")


async def set_up(service: Service, *, households: int = HOUSEHOLDS) -> State:
    """Add the example's partners and keys; raises AlreadySetUp when they exist without keys."""
    data_dir = service.settings.data_dir
    state = load_state(data_dir)
    if state is not None:
        return state
    # A bank of an earlier database would know payments that this one never made.
    shutil.rmtree(folder_of(data_dir), ignore_errors=True)
    async with transaction(service.engine, SYSTEM, request_id="demo") as conn:
        if await staff.is_hired(conn):
            raise AlreadySetUp
        keys = await staff.hire(conn, population(SEED, households))
        state = State(keys=keys, households=households, pays_on=bank_opens(clock.today()).date())
        # Before the commit: keys without a database are useless, the other way round is worse.
        save_state(data_dir, state)
    return state


async def perform(data_dir: Path, client: httpx.AsyncClient, state: State, tell: Tell) -> Outcome:
    """Play the journey against the service behind `client`, from wherever it broke off."""
    people = population(SEED, state.households)
    folder = folder_of(data_dir)
    written = files.write(people, folder / "files")
    bank_folder = folder / "bank"
    bank_folder.mkdir(exist_ok=True)
    async with MockBank(bank_folder, clock=bank_opens(state.pays_on)) as bank:
        outcome = await play(client, state.keys, bank, people, written, state.pays_on, tell)
    save_state(data_dir, msgspec.structs.replace(state, outcome=outcome))
    return outcome


async def attack(urls: dict[str, str]) -> dict[str, str]:
    """Try to change the ledger as each role; say how each try ended. Nothing is kept."""
    results = {}
    for role, url in urls.items():
        engine = connect(url, pool_size=1) if role == "service" else create_async_engine(url)
        try:
            for statement in (
                "UPDATE ledger.transfer SET amount_minor = amount_minor + 1",
                "DELETE FROM ledger.transfer",
            ):
                async with engine.connect() as conn:
                    results[f"{statement.split()[0]} as {role}"] = await _try(conn, statement)
        finally:
            await engine.dispose()
    return results


async def _try(conn: AsyncConnection, statement: str) -> str:
    try:
        result = await conn.execute(text(statement))
    except DBAPIError as error:
        return f"refused: {str(error.orig).rpartition('>: ')[2]}"
    finally:
        await conn.rollback()
    return f"NOT REFUSED: {result.rowcount} rows"
