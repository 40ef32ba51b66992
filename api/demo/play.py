"""The whole example journey and its outcome, against a service that is reached by HTTP only."""

import asyncio
import time
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from typing import Any

import httpx
import msgspec

from api.demo import journey, payday
from api.demo.bank import MockBank
from api.demo.files import Files
from api.demo.journey import Cast, Tell
from api.demo.population import Population

SEED = 1
OPENS_AT = 9  # bank time, well before its cutoff


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What the journey came to. Money in minor units of PEN; the counts must tie."""

    households: int
    persons: int
    pairs_true: int
    pairs_found: int
    pairs_false: int
    cases: int
    cases_open: int
    enrolled: int
    instructed: int
    delivered: int
    rejected: int
    returned: int
    pending: int
    breaks_open: int
    ledger_debits_minor: int
    ledger_credits_minor: int
    ledger_verified: bool
    reports_tie: bool
    refused: dict[str, int]  # why households were not enrolled, and how often
    four_eyes: dict[str, str]  # who was refused a step of a round, and how
    seconds: float


async def play(
    client: httpx.AsyncClient,
    keys: Mapping[str, str],
    bank: MockBank,
    population: Population,
    files: Files,
    pays_on: date,
    tell: Tell,
) -> Outcome:
    """Play every step; raises Unexpected where the service answers otherwise than it must."""
    start = time.perf_counter()
    cast = Cast(client, keys)
    registered = await journey.register(cast, files.partners, population, tell)
    judged = await journey.adjudicate(cast, registered, population, tell)
    programmes = await payday.open_programmes(cast, population)
    enrolled = await payday.enrol(cast, population, registered, programmes, tell)
    rounds, reports = await _pay(cast, bank, population, programmes, pays_on, tell)
    states = [_count(report) for report in reports]
    trial = await cast.auditor.get("/v1/ledger/trial-balance")
    verified = await _verified(cast)
    tell("verify", 1, 1)
    return Outcome(
        households=len(registered.household_ids),
        persons=registered.persons,
        pairs_true=judged.pairs_true,
        pairs_found=judged.pairs_found,
        pairs_false=judged.pairs_false,
        cases=judged.cases,
        cases_open=judged.open,
        enrolled=enrolled.enrolled,
        instructed=sum(report["instructed"]["payments"] for report in reports),
        delivered=sum(state.get("delivered", 0) for state in states),
        rejected=sum(state.get("rejected", 0) for state in states),
        returned=sum(state.get("returned", 0) for state in states),
        pending=sum(state.get("pending", 0) for state in states),
        breaks_open=sum(len(report["breaks"]) + len(report["unassigned"]) for report in reports),
        ledger_debits_minor=sum(row["debit_minor"] for row in trial),
        ledger_credits_minor=sum(row["credit_minor"] for row in trial),
        ledger_verified=verified,
        reports_tie=all(report["ties"] for report in reports),
        refused=enrolled.refused,
        four_eyes=rounds[0].refusals,
        seconds=round(time.perf_counter() - start, 1),
    )


def bank_opens(day: date) -> datetime:
    """Return the bank's opening on the first working day from `day` on."""
    while day.weekday() > 4:
        day += timedelta(days=1)
    return datetime(day.year, day.month, day.day, OPENS_AT)  # noqa: DTZ001 -- the bank's own time


async def _pay(
    cast: Cast,
    bank: MockBank,
    population: Population,
    programmes: dict[str, str],
    pays_on: date,
    tell: Tell,
) -> tuple[list[payday.Round], list[dict[str, Any]]]:
    await payday.open_accounts(bank, population)
    steps = len(population.partners)
    rounds = []
    for place, partner in enumerate(population.partners):
        round_ = await payday.sign_round(cast, partner, programmes[partner.code], pays_on=pays_on)
        await payday.send(cast, bank, round_, returning=place == 0)
        rounds.append(round_)
        tell("sign and send", place + 1, steps)
    await bank.advance(days=payday.SETTLEMENT_DAYS)
    reports = []
    for place, round_ in enumerate(rounds):
        reports.append(await payday.settle(cast, bank, round_))
        tell("reconcile", place + 1, steps)
    return rounds, reports


async def _verified(cast: Cast) -> bool:
    """Ask until the background sealer has taken every transfer, a minute or longer at most."""
    found: dict[str, Any] = {}
    for _ in range(120):
        found = await cast.auditor.get("/v1/ledger/verification")
        if not found["whole"] or not found["unsealed"]:
            break
        await asyncio.sleep(0.5)
    return bool(found["whole"]) and not found["unsealed"]


def _count(report: dict[str, Any]) -> dict[str, int]:
    return {state: sums["payments"] for state, sums in report["by_state"].items()}
