"""A request of each route that may be sent twice, with all that must be there before it."""

import json
from collections.abc import Awaitable, Callable
from uuid import uuid4

import msgspec

from tests.api.appealing import APPEALS
from tests.api.breaking import BREAKS, CAMT, a_period
from tests.api.happening import EVENTS
from tests.api.house import (
    SIGNERS,
    House,
    new_round,
    open_case,
    open_round,
    programme,
    registration,
)
from tests.api.jobbing import JOBS
from tests.api.overlaps import OVERLAPS
from tests.api.profiling import PROFILES
from tests.api.terming import TERMS
from tests.api.test_wind_up import rejected, released

STEPS = ("calculate", "prepare", "review", "approve", "release")


class Prepared(msgspec.Struct, frozen=True):
    """A request that will be done, and another one of the same route."""

    path: str
    who: str
    body: object = None
    content: bytes = b""


async def a_registration(house: House) -> Prepared:
    return Prepared("/v1/households", "A/registrar", registration())


async def an_import(house: House) -> Prepared:
    content = json.dumps([registration(), registration()]).encode()
    return Prepared("/v1/imports?format=json&ubigeo_system=inei", "A/registrar", content=content)


async def a_judgement(house: House) -> Prepared:
    path = f"/v1/cases/{await open_case(house)}/judgements"
    return Prepared(path, "A/adjudicator", {"verdict": "different", "reason": "otra familia"})


async def an_assignment(house: House) -> Prepared:
    path = f"/v1/cases/{await open_case(house)}/assignments"
    return Prepared(path, "A/adjudicator", {"person": "adjudicator"})


async def a_group_judgement(house: House) -> Prepared:
    path = f"/v1/case-groups/{await open_case(house)}/judgements"
    return Prepared(path, "A/adjudicator", {"verdict": "different", "size": 1})


async def a_programme(house: House) -> Prepared:
    return Prepared("/v1/programmes", "A/programme", programme())


async def values(house: House) -> Prepared:
    opened = await house.made("/v1/programmes", "A/programme", programme())
    body = {"effective_from": "2026-01-01", "by_size": ["1.00", "2.50"]}
    return Prepared(f"/v1/programmes/{opened['programme_id']}/values", "A/programme", body)


async def funds(house: House) -> Prepared:
    opened = await house.made("/v1/programmes", "A/programme", programme())
    body = {"deposit_id": str(uuid4()), "amount": "10.50", "on": "2026-01-01"}
    return Prepared(f"/v1/programmes/{opened['programme_id']}/funds", "A/finance", body)


async def an_allotment(house: House) -> Prepared:
    asked = await funds(house)
    await house.made(asked.path, asked.who, {**asked.body, "grant": "NAMED"})
    body = {"allotment_id": str(uuid4()), "grant": "NAMED", "amount": "3.00", "on": "2026-01-02"}
    return Prepared(asked.path.replace("funds", "allotments"), asked.who, body)


async def an_exchange(house: House) -> Prepared:
    asked = await funds(house)
    await house.made(asked.path, asked.who, {**asked.body, "currency": "USD"})
    sale = {"reference": "TC-1", "sold": "10.00", "sold_currency": "USD", "bought": "37.45"}
    sale |= {"bought_currency": "PEN", "rate": "3.745", "rate_source": "SBS venta"}
    sale |= {"rate_on": "2026-01-02", "on": "2026-01-02", "received": "37.00"}
    return Prepared(asked.path.replace("funds", "exchanges"), asked.who, sale)


async def a_fee(house: House) -> Prepared:
    asked = await funds(house)
    await house.made(asked.path, asked.who, asked.body)
    body = {"fee_id": str(uuid4()), "amount": "1.00", "on": "2026-01-02"}
    return Prepared(asked.path.replace("funds", "fees"), asked.who, body)


async def an_enrolment(house: House) -> Prepared:
    opened = await house.made("/v1/programmes", "A/programme", programme())
    receipt = await house.made("/v1/households", "A/registrar", registration())
    body = {"household_id": receipt["household_id"]}
    return Prepared(f"/v1/programmes/{opened['programme_id']}/enrolments", "A/programme", body)


async def a_closing(house: House) -> Prepared:
    asked = await an_enrolment(house)
    opened = await house.made(asked.path, asked.who, asked.body)
    return Prepared(f"/v1/enrolments/{opened['enrolment_id']}/closing", asked.who)


async def a_round(house: House) -> Prepared:
    opened = await house.made("/v1/programmes", "A/programme", programme())
    return Prepared("/v1/rounds", "A/finance", new_round(opened["programme_id"]))


def a_step(step: str) -> Callable[[House], Awaitable[Prepared]]:
    async def prepare(house: House) -> Prepared:
        opened = await open_round(house)
        signers = dict(zip(STEPS, ("first", *SIGNERS), strict=True))
        for before in STEPS[: STEPS.index(step)]:
            await house.made(f"{opened.path}/{before}", f"A/{signers[before]}")
        return Prepared(f"{opened.path}/{step}", f"A/{signers[step]}")

    return prepare


async def a_cancellation(house: House) -> Prepared:
    opened = await open_round(house, households=2)
    await house.made(f"{opened.path}/calculate", "A/first")
    payments = (await house.get(f"{opened.path}/payments", "A/first")).json()["items"]
    body = {"entitlement_id": payments[0]["payment_id"], "because": "moved_away"}
    return Prepared(f"{opened.path}/cancellations", "A/first", body)


async def a_round_that_is_over(house: House) -> Prepared:
    path = await released(house)
    await rejected(house, path)
    return Prepared(f"{path}/closing", "A/finance")


async def a_followup(house: House) -> Prepared:
    path = await released(house)
    await rejected(house, path)
    return Prepared(f"{path}/followups", "A/finance", {"pays_on": "2026-03-20"})


def a_step_again(step: str) -> Callable[[House], Awaitable[Prepared]]:
    async def prepare(house: House) -> Prepared:
        asked = await a_followup(house)
        made = await house.made(asked.path, asked.who, asked.body)
        path = f"/v1/followups/{made['followup']['followup_id']}"
        signers = dict(zip(STEPS[1:], SIGNERS, strict=True))
        for before in STEPS[1 : STEPS.index(step)]:
            await house.made(f"{path}/{before}", f"A/{signers[before]}")
        return Prepared(f"{path}/{step}", f"A/{signers[step]}")

    return prepare


async def a_check_again(house: House) -> Prepared:
    asked = await a_step_again("review")(house)
    return Prepared(asked.path.replace("/review", "/check"), asked.who)


async def a_statement(house: House) -> Prepared:
    account = f"PE{uuid4().int % 10**12:012d}"
    await house.made("/v1/programmes", "A/programme", programme() | {"payer_account": account})
    content = CAMT.format(id=uuid4().hex, account=account).encode()
    return Prepared("/v1/statements", "A/finance", content=content)


async def a_reconciliation(house: House) -> Prepared:
    return Prepared("/v1/reconciliations", "A/finance")


def asked(make: Callable[[House], Awaitable[tuple[str, str, object]]]):
    async def prepare(house: House) -> Prepared:
        return Prepared(*await make(house))

    return prepare


PREPARE: dict[str, Callable[[House], Awaitable[Prepared]]] = {
    "/v1/households": a_registration,
    "/v1/imports": an_import,
    "/v1/cases/{case_id}/judgements": a_judgement,
    "/v1/cases/{case_id}/assignments": an_assignment,
    "/v1/case-groups/{case_id}/judgements": a_group_judgement,
    "/v1/programmes": a_programme,
    "/v1/programmes/{programme_id}/values": values,
    "/v1/programmes/{programme_id}/funds": funds,
    "/v1/programmes/{programme_id}/allotments": an_allotment,
    "/v1/programmes/{programme_id}/exchanges": an_exchange,
    "/v1/programmes/{programme_id}/fees": a_fee,
    "/v1/programmes/{programme_id}/enrolments": an_enrolment,
    "/v1/enrolments/{enrolment_id}/closing": a_closing,
    "/v1/rounds": a_round,
    **{f"/v1/rounds/{{round_id}}/{step}": a_step(step) for step in STEPS},
    "/v1/rounds/{round_id}/closing": a_round_that_is_over,
    "/v1/rounds/{round_id}/cancellations": a_cancellation,
    "/v1/rounds/{round_id}/followups": a_followup,
    **{f"/v1/followups/{{followup_id}}/{step}": a_step_again(step) for step in STEPS[1:]},
    "/v1/followups/{followup_id}/check": a_check_again,
    "/v1/statements": a_statement,
    "/v1/reconciliations": a_reconciliation,
    **{
        path: asked(make)
        for path, make in (BREAKS | PROFILES | JOBS | TERMS | EVENTS | APPEALS | OVERLAPS).items()
    },
    "/v1/ledger/periods": asked(a_period),
}
