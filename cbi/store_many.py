"""Store many households, whole and sealed, in one statement."""

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from cbi.ready import Ready
from dedup.driver import fetch

# As in cbi.store, rows hang on `home`: of a household whose reference is taken nothing is stored.
_STORE = """
    WITH home AS (
        INSERT INTO cbi.household (household_id, partner_id, reference_key, content_key, ubigeo,
            population_type, size, sealed, registered_at, registered_by)
        SELECT h.household_id, $1, h.reference_key, h.content_key, h.ubigeo, h.population_type,
            h.size, h.sealed, $2, $3
        FROM unnest($4 ::uuid[], $5 ::bigint[], $6 ::bytea[], $7 ::text[], $8 ::text[],
            $9 ::smallint[], $10 ::bytea[])
            AS h(household_id, reference_key, content_key, ubigeo, population_type, size, sealed)
        ON CONFLICT ON CONSTRAINT household_reference_once DO NOTHING
        RETURNING household_id, partner_id
    ), data_key AS (
        INSERT INTO cbi.data_key (household_id, partner_id, kek_id, wrapped)
        SELECT h.household_id, h.partner_id, k.kek_id, k.wrapped
        FROM unnest($4 ::uuid[], $11 ::text[], $12 ::bytea[]) AS k(household_id, kek_id, wrapped)
        JOIN home AS h USING (household_id)
    ), person AS (
        INSERT INTO cbi.person (person_id, household_id, partner_id, ordinal, sealed)
        SELECT p.person_id, h.household_id, h.partner_id, p.ordinal, p.sealed
        FROM unnest($13 ::uuid[], $14 ::uuid[], $15 ::smallint[], $16 ::bytea[])
            AS p(household_id, person_id, ordinal, sealed)
        JOIN home AS h USING (household_id)
    ), need AS (
        INSERT INTO cbi.specific_need (person_id, partner_id, sealed)
        SELECT n.person_id, h.partner_id, n.sealed
        FROM unnest($17 ::uuid[], $18 ::uuid[], $19 ::bytea[])
            AS n(household_id, person_id, sealed)
        JOIN home AS h USING (household_id)
    ), consent AS (
        INSERT INTO cbi.consent (household_id, partner_id, recorded_at, kind, granted,
            text_version, language, channel, given_on, withdrawn_on)
        SELECT h.household_id, h.partner_id, $2, c.kind, c.granted, c.text_version, c.language,
            c.channel, c.given_on, c.withdrawn_on
        FROM unnest($20 ::uuid[], $21 ::text[], $22 ::boolean[], $23 ::text[], $24 ::text[],
            $25 ::text[], $26 ::date[], $27 ::date[])
            AS c(household_id, kind, granted, text_version, language, channel, given_on,
                withdrawn_on)
        JOIN home AS h USING (household_id)
    ), membership AS (
        INSERT INTO cbi.membership (household_id, partner_id, beneficiary_id, since)
        SELECT h.household_id, h.partner_id, h.household_id, $2 FROM home AS h
        ORDER BY h.household_id
    )
    SELECT household_id FROM home"""


async def store_many(
    conn: AsyncConnection,
    homes: Sequence[Ready],
    *,
    partner_id: UUID,
    actor_id: UUID,
    at: datetime,
) -> set[UUID]:
    """Store households; return those that are new: of the others the reference is taken."""
    persons = [
        (home.household_id, person_id, place, sealed)
        for home in homes
        for place, (person_id, sealed) in enumerate(home.persons)
    ]
    needs = [(home.household_id, *need) for home in homes for need in home.needs]
    consents = [(home.household_id, *each) for home in homes for each in home.consents]
    rows = await fetch(
        conn,
        _STORE,
        *(partner_id, at, actor_id),
        [home.household_id for home in homes],
        [home.reference_key for home in homes],
        [home.content_key for home in homes],
        [home.ubigeo for home in homes],
        [home.population_type for home in homes],
        [home.size for home in homes],
        [home.sealed for home in homes],
        [home.kek_id for home in homes],
        [home.wrapped for home in homes],
        *_columns(persons, 4),
        *_columns(needs, 3),
        *_columns(consents, 8),
    )
    return {row[0] for row in rows}


def _columns(rows: Sequence[tuple[object, ...]], width: int) -> list[list[object]]:
    return [[row[at] for row in rows] for at in range(width)]
