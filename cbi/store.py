"""Store a household whole and sealed, in one statement: it is there with everything, or not."""

from datetime import datetime
from uuid import UUID

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import household
from cbi.household import Registration
from cbi.identities import SealedHousehold
from cbi.vault import Vault, seal

# Rows hang on `home`: when the reference is taken it is empty, and nothing is stored.
_STORE = text("""
    WITH home AS (
        INSERT INTO cbi.household (household_id, partner_id, reference_key, content_key, ubigeo,
            population_type, size, sealed, registered_at, registered_by)
        VALUES (:household_id ::uuid, :partner_id ::uuid, :reference_key ::bigint,
            :content_key ::bytea, :ubigeo ::text, :population_type ::text, :size ::smallint,
            :sealed ::bytea, :at ::timestamptz, :actor_id ::uuid)
        ON CONFLICT ON CONSTRAINT household_reference_once DO NOTHING
        RETURNING household_id, partner_id
    ), data_key AS (
        INSERT INTO cbi.data_key (household_id, partner_id, kek_id, wrapped)
        SELECT h.household_id, h.partner_id, :kek_id ::text, :wrapped ::bytea FROM home AS h
    ), person AS (
        INSERT INTO cbi.person (person_id, household_id, partner_id, ordinal, sealed)
        SELECT p.person_id, h.household_id, h.partner_id, p.place - 1, p.sealed
        FROM home AS h, unnest(:person_ids ::uuid[], :persons ::bytea[])
            WITH ORDINALITY AS p(person_id, sealed, place)
    ), need AS (
        INSERT INTO cbi.specific_need (person_id, partner_id, sealed)
        SELECT n.person_id, h.partner_id, n.sealed
        FROM home AS h, unnest(:needy ::uuid[], :needs ::bytea[]) AS n(person_id, sealed)
    ), consent AS (
        INSERT INTO cbi.consent (household_id, partner_id, recorded_at, kind, granted,
            text_version, language, channel, given_on, withdrawn_on)
        SELECT h.household_id, h.partner_id, :at ::timestamptz, c.*
        FROM home AS h, unnest(:kinds ::text[], :granted ::boolean[], :text_versions ::text[],
            :languages ::text[], :channels ::text[], :given_on ::date[], :withdrawn_on ::date[])
            AS c
    ), membership AS (
        -- A new registration is a family of its own until people judge otherwise.
        INSERT INTO cbi.membership (household_id, partner_id, beneficiary_id, since)
        SELECT h.household_id, h.partner_id, h.household_id, :at ::timestamptz FROM home AS h
    )
    SELECT count(*) FROM home
""")


async def store(
    conn: AsyncConnection,
    registration: Registration,
    *,
    vault: Vault,
    household_id: UUID,
    person_ids: tuple[UUID, ...],
    keys: tuple[int, bytes],
    partner_id: UUID,
    actor_id: UUID,
    at: datetime,
) -> bool:
    """Store a household; False, and nothing stored, when its reference is taken.

    `keys` are the keyed hashes of its reference and of its content.
    """
    key, wrapped = vault.new_key(household_id)
    sealed = SealedHousehold(
        reference=registration.reference,
        registered_on=registration.registered_on,
        intention=registration.intention,
        assistance_wanted=registration.assistance_wanted,
        instrument=registration.instrument,
    )
    consents = registration.consents
    facts = {
        "household_id": household_id,
        "partner_id": partner_id,
        "reference_key": keys[0],
        "content_key": keys[1],
        "ubigeo": registration.ubigeo,
        "population_type": registration.population_type,
        "size": household.size(registration),
        "sealed": seal(key, sealed, kind="household", owner=household_id),
        "at": at,
        "actor_id": actor_id,
        "kek_id": wrapped.kek_id,
        "wrapped": wrapped.wrapped,
        "person_ids": list(person_ids),
        "kinds": [each.kind for each in consents],
        "granted": [each.granted for each in consents],
        "text_versions": [each.text_version for each in consents],
        "languages": [each.language for each in consents],
        "channels": [each.channel for each in consents],
        "given_on": [each.given_on for each in consents],
        "withdrawn_on": [each.withdrawn_on for each in consents],
    }
    return bool(await conn.scalar(_STORE, facts | _sealed_persons(registration, key, person_ids)))


def _sealed_persons(
    registration: Registration, key: bytes, person_ids: tuple[UUID, ...]
) -> dict[str, object]:
    """Seal the persons, and apart from them the needs of those who have any."""
    persons, needy, needs = [], [], []
    for person, person_id in zip(registration.persons, person_ids, strict=True):
        plain = msgspec.structs.replace(person, specific_needs=())
        persons.append(seal(key, plain, kind="person", owner=person_id))
        if person.specific_needs:
            needy.append(person_id)
            needs.append(seal(key, person.specific_needs, kind="needs", owner=person_id))
    return {"persons": persons, "needy": needy, "needs": needs}
