"""Make a registration ready to be stored with many others: its ids, sealed messages and keys.

Pure but for fresh keys and ids, so that another process can do it meanwhile.
"""

from collections.abc import Callable, Mapping
from datetime import date
from uuid import UUID

import msgspec

from cbi import consent, household
from cbi.household import Registration
from cbi.identities import SealedHousehold
from cbi.vault import Vault, keyed_digest, keyed_int, seal
from dedup import index
from dedup.blocking import Hasher
from dedup.record import Record

ConsentRow = tuple[str, bool, str, str, str, date, date | None]


class Ready(msgspec.Struct, frozen=True, kw_only=True):
    """A household as it will be stored; `records` only if it may be compared with others."""

    household_id: UUID
    reference_key: int
    content_key: bytes
    ubigeo: str
    population_type: str
    size: int
    sealed: bytes
    kek_id: str
    wrapped: bytes
    persons: tuple[tuple[UUID, bytes], ...]
    needs: tuple[tuple[UUID, bytes], ...]
    consents: tuple[ConsentRow, ...]
    records: tuple[Record, ...] | None
    keys: Mapping[UUID, Mapping[int, str]]


class Maker(msgspec.Struct, frozen=True, kw_only=True):
    """What is needed to make registrations of one organisation ready, on one day."""

    vault: Vault
    matching_key: bytes
    hasher: Hasher
    new_id: Callable[[], UUID]
    partner_id: UUID
    today: date

    def __repr__(self) -> str:
        """Tell no key, wherever this is printed."""
        return f"Maker(partner_id={self.partner_id})"


def keys_of(
    registration: Registration, *, matching_key: bytes, partner_id: UUID
) -> tuple[int, bytes]:
    """Return the keyed hashes of a registration's reference and of its content."""
    content = msgspec.json.encode(registration, order="sorted").decode()
    return (
        keyed_int(matching_key, "reference", str(partner_id), registration.reference),
        keyed_digest(matching_key, "content", content),
    )


def sealed_household(registration: Registration) -> SealedHousehold:
    """Return what is sealed of a household besides its persons."""
    return SealedHousehold(
        reference=registration.reference,
        registered_on=registration.registered_on,
        intention=registration.intention,
        assistance_wanted=registration.assistance_wanted,
        instrument=registration.instrument,
    )


def make_ready(registration: Registration, maker: Maker) -> Ready:
    """Seal a registration under a key of its own, and make its records and matching keys."""
    household_id = maker.new_id()
    key, wrapped = maker.vault.new_key(household_id)
    persons, needs = [], []
    for person in registration.persons:
        person_id = maker.new_id()
        plain = msgspec.structs.replace(person, specific_needs=())
        persons.append((person_id, seal(key, plain, kind="person", owner=person_id)))
        if person.specific_needs:
            message = seal(key, person.specific_needs, kind="needs", owner=person_id)
            needs.append((person_id, message))
    records = None
    if consent.stands(registration.consents, "duplicate_check", maker.today):
        person_ids = [person_id for person_id, _ in persons]
        records = household.to_records(registration, household_id, person_ids)
    reference_key, content_key = keys_of(
        registration, matching_key=maker.matching_key, partner_id=maker.partner_id
    )
    return Ready(
        household_id=household_id,
        reference_key=reference_key,
        content_key=content_key,
        ubigeo=registration.ubigeo,
        population_type=registration.population_type,
        size=household.size(registration),
        sealed=seal(key, sealed_household(registration), kind="household", owner=household_id),
        kek_id=wrapped.kek_id,
        wrapped=wrapped.wrapped,
        persons=tuple(persons),
        needs=tuple(needs),
        consents=tuple(
            (
                *(each.kind, each.granted, each.text_version, each.language, each.channel),
                *(each.given_on, each.withdrawn_on),
            )
            for each in registration.consents
        ),
        records=records,
        keys={} if records is None else index.keyed(records, maker.hasher),
    )
