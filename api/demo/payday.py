"""The second half of the example journey: enrol, sign, pay by the bank, reconcile."""

import re
from datetime import date, timedelta
from typing import Any
from uuid import UUID, uuid5

import msgspec

from api.demo.bank import MockBank, mock_iban
from api.demo.caller import Unexpected
from api.demo.journey import Cast, Registered, Tell
from api.demo.population import PartnerPopulation, Population
from cbi.account import compact

# Example values, in soles per month by household size. They are nobody's policy.
EXAMPLE_VALUES = ["300.00", "420.00", "530.00", "620.50", "700.00"]
SETTLEMENT_DAYS = 8
RETURN_DAYS = 2
CCI_DIGITS = 20
BANK_TRANSFER = re.compile(
    rb"<EndToEndId>([^<]+)</EndToEndId>.*?<CdtrAcct>.*?<Id>(\d+)</Id>.*?</CdtrAcct>", re.DOTALL
)


class Enrolled(msgspec.Struct, kw_only=True):
    """How many households were enrolled, and why the others were refused."""

    enrolled: int
    refused: dict[str, int]


class Round(msgspec.Struct, kw_only=True):
    """One partner's round on its way through the example."""

    partner: str
    programme_id: str
    round_id: str
    signed: int
    refusals: dict[str, str]


async def open_programmes(cast: Cast, population: Population) -> dict[str, str]:
    """Open, value and fund one programme for each partner; returns ids by partner."""
    programmes = {}
    for place, partner in enumerate(population.partners):
        opened = await cast(partner.code, "programa").post(
            "/v1/programmes",
            {
                "code": "MPCA-2026",
                "name": "Asistencia multipropósito (ejemplo)",
                "currency": "PEN",
                "payer_name": partner.name,
                "payer_account": mock_iban(payer_number(place)),
                "payer_agent": "MOCK",
            },
        )
        path = f"/v1/programmes/{opened['programme_id']}"
        values = {"effective_from": "2026-01-01", "by_size": EXAMPLE_VALUES}
        await cast(partner.code, "programa").post(f"{path}/values", values)
        approval = {"kind": "values", "version": 1}
        await cast(partner.code, "finanzas").post(f"{path}/terms/approval", approval)
        # A donor's deposit has an id of its own, so that booking it again changes nothing.
        deposit_id = str(uuid5(UUID(opened["programme_id"]), "first deposit"))
        deposit = {"deposit_id": deposit_id, "amount": "200000.00", "on": "2026-09-01"}
        await cast(partner.code, "finanzas").post(f"{path}/funds", deposit)
        programmes[partner.code] = opened["programme_id"]
    return programmes


async def enrol(
    cast: Cast,
    population: Population,
    registered: Registered,
    programmes: dict[str, str],
    tell: Tell,
) -> Enrolled:
    """Try to enrol every household at its own partner; the refusals are the point."""
    refused: dict[str, int] = {}
    for place, ((partner, _), household_id) in enumerate(registered.household_ids.items()):
        officer = cast(partner, "programa")
        answer = await officer.raw(
            "POST",
            f"/v1/programmes/{programmes[partner]}/enrolments",
            {"household_id": household_id},
            accepted=range(200, 500),
        )
        if answer.status_code != 201:
            slug = str(answer.json()["type"]).rpartition(":")[2]
            refused[slug] = refused.get(slug, 0) + 1
        tell("enrol", place + 1, len(registered.household_ids))
    enrolled = len(registered.household_ids) - sum(refused.values())
    await _enrol_again(cast, programmes, registered)
    return Enrolled(enrolled=enrolled, refused=refused)


async def _enrol_again(cast: Cast, programmes: dict[str, str], registered: Registered) -> None:
    """A second enrolment of one household must be refused."""
    for (partner, _), household_id in registered.household_ids.items():
        path = f"/v1/programmes/{programmes[partner]}/enrolments"
        slug = await cast(partner, "programa").refused(path, {"household_id": household_id})
        if slug == "already-enrolled":
            return
    raise Unexpected("no second enrolment was refused")


async def sign_round(
    cast: Cast, partner: PartnerPopulation, programme_id: str, *, pays_on: date
) -> Round:
    """Take a round through its steps by four people, and show who is refused on the way."""
    first_month = pays_on.replace(day=1)
    end_month = (first_month + timedelta(days=32)).replace(day=1)
    preparer, reviewer, treasurer = (
        cast(partner.code, handle) for handle in ("programa", "finanzas", "tesoreria")
    )
    opened = await preparer.post(
        "/v1/rounds",
        {
            "programme_id": programme_id,
            "name": f"{first_month:%Y-%m}",
            "first_month": str(first_month),
            "end_month": str(end_month),
            "pays_on": str(pays_on),
        },
    )
    path = f"/v1/rounds/{opened['round_id']}"
    view = await preparer.get(path)
    done = {signed["step"] for signed in view["steps"]}
    refusals = {}
    await preparer.post(f"{path}/calculate")
    await preparer.post(f"{path}/prepare")
    # Played on, a step that was taken must not be tried by the wrong person any more: it would
    # be answered by where the round stands now.
    if "approved" not in done:
        refusals["release before approval"] = await treasurer.refused(f"{path}/release")
    await reviewer.post(f"{path}/review")
    if "approved" not in done:
        refusals["approval by the preparer"] = await preparer.refused(f"{path}/approve")
    await cast(partner.code, "direccion").post(f"{path}/approve")
    if "released" not in done:
        refusals["release by the reviewer"] = await reviewer.refused(f"{path}/release")
    released = await treasurer.post(f"{path}/release")
    refusals["a second release"] = await treasurer.refused(f"{path}/release")
    return Round(
        partner=partner.code,
        programme_id=programme_id,
        round_id=opened["round_id"],
        signed=released["payments"],
        refusals=refusals,
    )


async def open_accounts(bank: MockBank, population: Population) -> None:
    """Open the payers' accounts in soles, and close every second creditor the bank holds."""
    for place, partner in enumerate(population.partners):
        await bank.open_account(
            partner.code,
            name=partner.name,
            iban=mock_iban(payer_number(place)),
            currency="PEN",
            balance_minor=20_000_000,
        )
    held = {
        compact(registration.instrument.account)
        for partner in population.partners
        for registration in partner.registrations
        if registration.instrument is not None and registration.instrument.bank == "MOCK"
    }
    for account in sorted(held)[::2]:
        await bank.open_closed_creditor(account)


async def send(cast: Cast, bank: MockBank, round_: Round, *, returning: bool) -> None:
    """Send a round's file to the bank; with `returning`, one payment will come back later.

    A file the bank has is not sent again: it would be refused as a duplicate.
    """
    treasurer = cast(round_.partner, "tesoreria")
    file = await treasurer.download(f"/v1/rounds/{round_.round_id}/payment-file")
    # One that goes to another bank, for those accounts are never refused.
    end_to_end_id = next(
        id_.decode() for id_, account in BANK_TRANSFER.findall(file) if len(account) == CCI_DIGITS
    )
    if returning:
        await bank.return_later(round_.partner, end_to_end_id, days=RETURN_DAYS)
    known = {payment["end_to_end_id"] for payment in await bank.payments()}
    if end_to_end_id not in known:
        await bank.send(file)


async def settle(cast: Cast, bank: MockBank, round_: Round) -> dict[str, Any]:
    """Take in all the bank has sent for a partner, reconcile, and return the round's report."""
    treasurer = cast(round_.partner, "tesoreria")
    for message in await bank.collect(round_.partner):
        await treasurer.post("/v1/statements", content=message.xml)
    # Reconciling twice books nothing twice, and must look again each time.
    await treasurer.post("/v1/reconciliations", once=False)
    report: dict[str, Any] = await treasurer.get(f"/v1/rounds/{round_.round_id}/report")
    return report


def payer_number(place: int) -> str:
    return f"19100000{place + 1}"
