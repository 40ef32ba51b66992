"""Ask a programme's rules about households, and let people decide what the rules don't know."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Literal
from uuid import UUID

import msgspec
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import eligibility, tables, term
from cbi.eligibility import Answer, Rule, facts_asked
from cbi.facts import Known, facts_of
from cbi.identities import open_households, open_needs
from cbi.refusal import NotFound
from cbi.scores import newest_scores
from cbi.term_refusal import (
    EligibilityUnknown,
    NoRules,
    NotEligible,
    OverrideStands,
    OverrideUnfit,
)
from cbi.term_tables import eligibility_answer, eligibility_override
from cbi.terms import load_terms
from cbi.vault import Vault
from cbi.who import Who
from ledger.violation import constraint_of

HOUSEHOLDS_MAX = 1_000
# Facts that stand in no sealed message.
_OPEN = frozenset({"size", "area", "population_type", "score"})


# Words, for free text would name people and outlive their erasure.
OverriddenBecause = Literal[
    "documents_seen", "home_visit", "interview", "confirmed_elsewhere", "record_mended", "other"
]


class Ruled(msgspec.Struct, frozen=True, kw_only=True):
    """The rules that count on a day."""

    version: int
    rule: Rule


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the rules of a version say of a household."""

    household_id: UUID
    rules_version: int
    answer: Answer


class Override(msgspec.Struct, frozen=True, kw_only=True):
    """A person's yes where the rules say unknown."""

    override_id: UUID
    household_id: UUID
    rules_version: int
    because: OverriddenBecause
    decided_by: UUID


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """What an enrolment stands on: the rules' yes, or a person's."""

    programme_id: UUID
    household_id: UUID
    rules_version: int
    override: Override | None


async def load_rules(conn: AsyncConnection, programme_id: UUID, on: date) -> Ruled | None:
    """Load the rules that count on a day; None when the programme has none."""
    found = term.in_force(await load_terms(conn, programme_id, kind="eligibility"), on)
    if found is None:
        return None
    return Ruled(version=found.version, rule=eligibility.read(found.content["rule"]))


async def ask(
    conn: AsyncConnection,
    *,
    programme_id: UUID,
    household_ids: Sequence[UUID],
    vault: Vault,
    on: date,
) -> list[Asked]:
    """Ask the rules about households, in the order asked; raises NoRules, NotFound."""
    assert len(household_ids) <= HOUSEHOLDS_MAX
    ruled = await load_rules(conn, programme_id, on)
    if ruled is None:
        raise NoRules(programme_id=programme_id)
    known = await _load_known(conn, household_ids, ruled.rule, vault)
    return [
        Asked(
            household_id=household_id,
            rules_version=ruled.version,
            answer=eligibility.answer(ruled.rule, facts_of(known[household_id], on)),
        )
        for household_id in household_ids
    ]


async def must_be_eligible(
    conn: AsyncConnection, *, programme_id: UUID, household_id: UUID, vault: Vault, who: Who
) -> Standing | None:
    """Return what an enrolment of the household stands on; None where there are no rules.

    Raises NotEligible, and EligibilityUnknown unless a person has decided.
    """
    on = term.day_of(who.at)
    try:
        (asked,) = await ask(
            conn, programme_id=programme_id, household_ids=[household_id], vault=vault, on=on
        )
    except NoRules:
        return None
    found = None
    if asked.answer.verdict == "unknown":
        found = await _load_override(conn, programme_id, asked)
    if asked.answer.verdict != "yes" and found is None:
        refusal = NotEligible if asked.answer.verdict == "no" else EligibilityUnknown
        raise refusal(
            household_id=household_id,
            rules_version=asked.rules_version,
            reasons=asked.answer.reasons,
        )
    return Standing(
        programme_id=programme_id,
        household_id=household_id,
        rules_version=asked.rules_version,
        override=found,
    )


async def stand_on(
    conn: AsyncConnection, standing: Standing, *, enrolment_id: UUID, who: Who
) -> None:
    """Keep what an enrolment stands on; the database refuses who decided the unknown."""
    found = standing.override
    await conn.execute(
        insert(eligibility_answer).values(
            enrolment_id=enrolment_id,
            programme_id=standing.programme_id,
            partner_id=who.partner_id,
            household_id=standing.household_id,
            rules_version=standing.rules_version,
            verdict="yes" if found is None else "overridden",
            asked_by=who.actor_id,
            asked_at=who.at,
            override_id=None if found is None else found.override_id,
            overridden_by=None if found is None else found.decided_by,
        )
    )


async def override(
    conn: AsyncConnection,
    *,
    override_id: UUID,
    programme_id: UUID,
    household_id: UUID,
    because: OverriddenBecause,
    vault: Vault,
    who: Who,
) -> Override:
    """Say yes where the rules say unknown; raises NoRules, NotFound, OverrideUnfit, OverrideStands.

    It holds for this version of the rules, and for another person to enrol on.
    """
    (asked,) = await ask(
        conn,
        programme_id=programme_id,
        household_ids=[household_id],
        vault=vault,
        on=term.day_of(who.at),
    )
    if asked.answer.verdict != "unknown":
        raise OverrideUnfit(household_id=household_id, verdict=asked.answer.verdict)
    said = Override(
        override_id=override_id,
        household_id=household_id,
        rules_version=asked.rules_version,
        because=because,
        decided_by=who.actor_id,
    )
    try:
        async with conn.begin_nested():
            await conn.execute(
                insert(eligibility_override).values(
                    programme_id=programme_id,
                    partner_id=who.partner_id,
                    reasons=msgspec.to_builtins(asked.answer.reasons),
                    decided_at=who.at,
                    **msgspec.structs.asdict(said),
                )
            )
    except IntegrityError as error:
        if constraint_of(error) == "eligibility_override_once":
            raise OverrideStands(household_id=household_id) from error
        raise
    return said


async def _load_override(
    conn: AsyncConnection, programme_id: UUID, asked: Asked
) -> Override | None:
    row = eligibility_override.c
    found = (
        await conn.execute(
            select(
                row.override_id, row.household_id, row.rules_version, row.because, row.decided_by
            ).where(
                row.programme_id == programme_id,
                row.household_id == asked.household_id,
                row.rules_version == asked.rules_version,
            )
        )
    ).one_or_none()
    return None if found is None else msgspec.convert(found._mapping, Override)  # noqa: SLF001 -- public by its docs


async def _load_known(
    conn: AsyncConnection, household_ids: Sequence[UUID], rule: Rule, vault: Vault
) -> Mapping[UUID, Known]:
    """Load what the rule asks for, and open nobody for what it does not ask."""
    wanted = facts_asked(rule)
    home = tables.household.c
    rows = (
        await conn.execute(
            select(home.household_id, home.ubigeo, home.population_type, home.size).where(
                home.household_id.in_(household_ids)
            )
        )
    ).all()
    known = {
        row.household_id: Known(
            ubigeo=row.ubigeo, population_type=row.population_type, size=row.size
        )
        for row in rows
    }
    for household_id in household_ids:
        if household_id not in known:
            raise NotFound(what="household", wanted=household_id)
    ids = sorted(known)
    opened = (
        await open_households(conn, ids, vault=vault, purpose="eligibility")
        if wanted - _OPEN
        else {}
    )
    needs = await open_needs(conn, ids, vault=vault) if "specific_needs" in wanted else None
    scores = await newest_scores(conn, ids) if "score" in wanted else {}
    for household_id, identity in opened.items():
        known[household_id] = msgspec.structs.replace(
            known[household_id],
            persons=identity.persons,
            intention=identity.household.intention,
            registered_on=identity.household.registered_on,
            # Of the erased nothing is known, also not that they have none.
            specific_needs=None if needs is None else frozenset(needs[household_id]),
        )
    return {
        household_id: msgspec.structs.replace(each, scores=scores.get(household_id, {}))
        for household_id, each in known.items()
    }
