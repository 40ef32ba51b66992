"""The example journey, over HTTP from end to end: register, adjudicate, then `payday`."""

from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

import httpx
import msgspec

from api.demo.caller import Caller
from api.demo.files import PartnerFile
from api.demo.population import Population
from cbi import intake

Tell = Callable[[str, int, int], None]  # step, done, total
PersonKey = tuple[str, str, int]  # partner, reference, index
# Every so many cases one is left for people to look at.
LEFT_OPEN_EVERY = 15


class Registered(msgspec.Struct, kw_only=True):
    """Who was registered as what: the example's own memory, to judge with the truth."""

    household_ids: dict[tuple[str, str], str]  # (partner, reference) → household id
    persons: int
    review: int
    faulty: int


class Adjudication(msgspec.Struct, kw_only=True):
    """What the check flagged, held against the truth, and what was decided."""

    cases: int
    decided: int
    open: int
    pairs_true: int
    pairs_found: int
    pairs_false: int


class Cast:
    """The callers of the journey by "PARTNER/handle"."""

    def __init__(self, client: httpx.AsyncClient, keys: Mapping[str, str]) -> None:
        self._callers = {who: Caller(client, key) for who, key in keys.items()}
        self.platform = next(who for who in keys if who.endswith("/coordinacion")).split("/")[0]

    def __call__(self, partner: str, handle: str) -> Caller:
        return self._callers[f"{partner}/{handle}"]

    @property
    def coordinator(self) -> Caller:
        return self(self.platform, "coordinacion")

    @property
    def auditor(self) -> Caller:
        return self(self.platform, "auditoria")


async def register(
    cast: Cast, files: tuple[PartnerFile, ...], population: Population, tell: Tell
) -> Registered:
    """Bring each partner's file in by its own door: two imports, and JSON one by one."""
    done = Registered(household_ids={}, persons=population.persons, review=0, faulty=0)
    for file in files:
        content = file.path.read_bytes()
        rows = list(intake.rows(content, format=file.format, ubigeo_system="inei"))
        clerk = cast(file.code, "registro")
        if file.format == "json":
            for row in rows:
                receipt = await clerk.post("/v1/households", row.raw)
                done.household_ids[file.code, row.reference] = receipt["household_id"]
                done.review += receipt["status"] == "review"
                tell("register", len(done.household_ids), population.households)
            continue
        imported = await clerk.post(
            "/v1/imports", content=content, format=file.format, ubigeo_system="inei"
        )
        references = {row.number: row.reference for row in rows}
        for result in imported["rows"]:
            if result["household_id"] is not None:
                reference = references[result["row"]]
                done.household_ids[file.code, reference] = result["household_id"]
        done.review += imported["review"]
        done.faulty += imported["faulty"]
        tell("register", len(done.household_ids), population.households)
    return done


async def adjudicate(
    cast: Cast, registered: Registered, population: Population, tell: Tell
) -> Adjudication:
    """Judge the cases with the known truth, two organisations each, and leave some open."""
    truth = _Truth(population, registered)
    reviewers = [cast(partner.code, "proteccion") for partner in population.partners]
    listed = await cast.coordinator.all("/v1/cases")
    flagged: set[frozenset[PersonKey]] = set()
    decided = 0
    for place, row in enumerate(listed, start=1):
        view = await reviewers[0].get(f"/v1/cases/{row['case_id']}")
        flagged |= await truth.pairs_of(cast, view)
        if place % LEFT_OPEN_EVERY:
            verdict = truth.verdict(view)
            for reviewer in (reviewers[place % 3], reviewers[(place + 1) % 3]):
                answer = await reviewer.post(
                    f"/v1/cases/{row['case_id']}/judgements", {"verdict": verdict}
                )
            decided += answer["case"]["state"] == "decided"
        tell("adjudicate", place, len(listed))
    return Adjudication(
        cases=len(listed),
        decided=decided,
        open=len(listed) - decided,
        pairs_true=len(truth.pairs),
        pairs_found=len(flagged & truth.pairs),
        pairs_false=len(flagged - truth.pairs),
    )


class _Truth:
    """The generator's truth, by the ids that the service gave."""

    def __init__(self, population: Population, registered: Registered) -> None:
        self.pairs = {frozenset(pair) for pair in population.truth.pairs()}
        self._homes = {UUID(id_): key for key, id_ in registered.household_ids.items()}
        self._families = {
            (person.partner, person.reference): person.household
            for person in population.truth.persons
            if person.index == 0
        }
        self._persons: dict[str, PersonKey] = {}

    def verdict(self, case: dict[str, Any]) -> str:
        """Judge as somebody would who knew both families."""
        one = self._homes[UUID(case["household_a"])]
        if case["household_b"] is None:
            return "different"
        other = self._homes[UUID(case["household_b"])]
        if self._families[one] == self._families[other]:
            return "same_household"
        members = [
            {person for pair in self.pairs for person in pair if person[:2] == home}
            for home in (one, other)
        ]
        shared = any(frozenset((a, b)) in self.pairs for a in members[0] for b in members[1])
        return "same_person" if shared else "relative"

    async def pairs_of(self, cast: Cast, view: dict[str, Any]) -> set[frozenset[PersonKey]]:
        """Translate a case's pairs of ids; each partner says which persons are its own."""
        for side in ("household_a", "household_b"):
            if view[side] is not None:
                await self._learn(cast, UUID(view[side]))
        return {
            frozenset((self._persons[pair["person_a"]], self._persons[pair["person_b"]]))
            for pair in view["pairs"]
        }

    async def _learn(self, cast: Cast, household_id: UUID) -> None:
        partner, reference = self._homes[household_id]
        if any(key[:2] == (partner, reference) for key in self._persons.values()):
            return
        receipt = await cast(partner, "registro").get(f"/v1/households/{household_id}/receipt")
        for index, person_id in enumerate(receipt["person_ids"]):
            self._persons[person_id] = (partner, reference, index)
