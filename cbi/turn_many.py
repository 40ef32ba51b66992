"""Turn a page of many households at once: as `cbi.turn` does it for one."""

from collections import defaultdict
from collections.abc import Sequence
from datetime import date
from uuid import UUID

import msgspec
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import consent
from cbi.consent import Consent
from cbi.event import Happened, Member
from cbi.identities import Candidates, SealedHousehold, note_access
from cbi.person import KnownPerson, SpecificNeed
from cbi.refusal import CbiRefusal, IdentityErased, NotFound
from cbi.register import Desk
from cbi.retain import retain_replaced
from cbi.turn import Held, Needs, counted, records_of, size_of
from cbi.vault import Vault, WrappedKey, open_as, seal
from cbi.who import Who
from dedup import index
from dedup.blocking import key_hasher
from dedup.case import Why
from dedup.driver import fetch
from dedup.find import Found
from dedup.find_all import find_all
from dedup.opening import Matched, open_batch, open_unchecked
from dedup.record import Record

_HOMES = """
    SELECT h.household_id, h.partner_id, h.reference_key, h.version, h.content_key, h.ubigeo,
        h.population_type, h.size, h.ended_at, h.sealed
    FROM cbi.household AS h WHERE h.household_id = ANY ($1 ::uuid[])
    ORDER BY h.household_id FOR NO KEY UPDATE"""
_KEYS = """
    SELECT w.household_id, k.kek_id, k.wrapped FROM unnest($1 ::uuid[]) AS w(household_id)
    CROSS JOIN LATERAL (SELECT d.kek_id, d.wrapped FROM cbi.data_key AS d
                        WHERE d.household_id = w.household_id OFFSET 0) AS k"""
_PERSONS = """
    SELECT w.household_id, p.person_id, p.ordinal, p.gone, p.sealed
    FROM unnest($1 ::uuid[]) AS w(household_id)
    CROSS JOIN LATERAL (SELECT x.person_id, x.ordinal, x.gone, x.sealed FROM cbi.person AS x
                        WHERE x.household_id = w.household_id OFFSET 0) AS p
    ORDER BY w.household_id, p.ordinal"""
_ANSWERS = """
    SELECT w.household_id, c.kind, c.granted, c.text_version, c.language, c.channel, c.given_on,
        c.withdrawn_on
    FROM unnest($1 ::uuid[]) AS w(household_id)
    CROSS JOIN LATERAL (
        SELECT DISTINCT ON (x.kind) x.kind, x.granted, x.text_version, x.language, x.channel,
            x.given_on, x.withdrawn_on
        FROM cbi.consent AS x WHERE x.household_id = w.household_id
        ORDER BY x.kind, x.recorded_at DESC OFFSET 0) AS c"""
_NEEDS = """
    SELECT w.person_id, n.sealed FROM unnest($1 ::uuid[]) AS w(person_id)
    CROSS JOIN LATERAL (SELECT x.sealed FROM cbi.specific_need AS x
                        WHERE x.person_id = w.person_id ORDER BY x.version DESC LIMIT 1) AS n"""
_TURN = """
    INSERT INTO cbi.household_event (event_id, household_id, partner_id, version, kind, reason,
        happened_on, persons_in, persons_out, actor_id, at, transaction_no)
    SELECT e.event_id, e.household_id, $1, e.version, e.kind, e.reason, $2, e.persons_in,
        e.persons_out, $3, $4, 0
    FROM unnest($5 ::uuid[], $6 ::uuid[], $7 ::integer[], $8 ::text[], $9 ::text[],
        $10 ::smallint[], $11 ::smallint[])
        AS e(event_id, household_id, version, kind, reason, persons_in, persons_out)
    ORDER BY e.household_id"""
_CHANGE_PERSONS = """
    UPDATE cbi.person AS p SET sealed = c.sealed, gone = c.gone, version = c.version
    FROM unnest($1 ::uuid[], $2 ::bytea[], $3 ::text[], $4 ::integer[])
        AS c(person_id, sealed, gone, version)
    WHERE p.person_id = c.person_id"""
_ADD_PERSONS = """
    INSERT INTO cbi.person (person_id, household_id, partner_id, ordinal, sealed, gone, version)
    SELECT p.person_id, p.household_id, $1, p.ordinal, p.sealed, p.gone, p.version
    FROM unnest($2 ::uuid[], $3 ::uuid[], $4 ::smallint[], $5 ::bytea[], $6 ::text[],
        $7 ::integer[]) AS p(person_id, household_id, ordinal, sealed, gone, version)"""
_ADD_NEEDS = """
    INSERT INTO cbi.specific_need (person_id, partner_id, version, sealed)
    SELECT n.person_id, $1, n.version, n.sealed
    FROM unnest($2 ::uuid[], $3 ::integer[], $4 ::bytea[]) AS n(person_id, version, sealed)"""
_CHANGE_HOMES = """
    UPDATE cbi.household AS h SET content_key = c.content_key, ubigeo = c.ubigeo,
        population_type = c.population_type, size = c.size, sealed = c.sealed
    FROM unnest($1 ::uuid[], $2 ::bytea[], $3 ::text[], $4 ::text[], $5 ::smallint[], $6 ::bytea[])
        AS c(household_id, content_key, ubigeo, population_type, size, sealed)
    WHERE h.household_id = c.household_id"""
_ADD_ANSWERS = """
    INSERT INTO cbi.consent (household_id, partner_id, recorded_at, kind, granted, text_version,
        language, channel, given_on, withdrawn_on)
    SELECT c.household_id, $1, $2, c.kind, c.granted, c.text_version, c.language, c.channel,
        c.given_on, c.withdrawn_on
    FROM unnest($3 ::uuid[], $4 ::text[], $5 ::boolean[], $6 ::text[], $7 ::text[], $8 ::text[],
        $9 ::date[], $10 ::date[]) AS c(household_id, kind, granted, text_version, language,
            channel, given_on, withdrawn_on)"""
_OPEN = "SELECT DISTINCT household_id FROM dedup.open_cases($1 ::uuid[])"


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A household before and after an event, with what a form says of needs and consents."""

    before: Held
    after: Held
    happened: Happened
    needs: Needs
    consents: tuple[Consent, ...]
    # Months promised to it run: whom the event takes away stays findable.
    is_promised: bool = False

    def __repr__(self) -> str:
        """Tell nothing of the people, wherever this is printed."""
        return f"Page({self.before!r})"


async def hold_many(
    conn: AsyncConnection, household_ids: Sequence[UUID], *, vault: Vault, purpose: str
) -> dict[UUID, Held | CbiRefusal]:
    """Lock households and open them; NotFound or IdentityErased in place of those that can't be."""
    held: dict[UUID, Held | CbiRefusal] = {
        each: NotFound(what="household", wanted=each) for each in household_ids
    }
    homes = {row["household_id"]: dict(row) for row in await fetch(conn, _HOMES, household_ids)}
    if not homes:
        return held
    await note_access(conn, list(homes), purpose=purpose)
    wrapped = {
        row[0]: WrappedKey(kek_id=row[1], wrapped=row[2])
        for row in await fetch(conn, _KEYS, list(homes))
    }
    people: defaultdict[UUID, list[Member]] = defaultdict(list)
    last: dict[UUID, int] = {}
    keys = {each: vault.unwrap(one, each) for each, one in wrapped.items()}
    for household_id, person_id, ordinal, gone, sealed in await fetch(conn, _PERSONS, list(keys)):
        last[household_id] = ordinal
        if not sealed:
            # Who parted and was erased since is empty.
            continue
        person = open_as(keys[household_id], sealed, KnownPerson, kind="person", owner=person_id)
        people[household_id].append(
            Member(person_id=person_id, ordinal=ordinal, gone=gone, person=person)
        )
    for each, facts in homes.items():
        if each not in keys:
            held[each] = IdentityErased(household_id=each)
            continue
        home = open_as(
            keys[each], facts.pop("sealed"), SealedHousehold, kind="household", owner=each
        )
        held[each] = Held(
            **facts,
            home=home,
            key=keys[each],
            members=tuple(people[each]),
            last_ordinal=last[each],
        )
    return held


async def turn_many(
    conn: AsyncConnection, pages: Sequence[Page], *, desk: Desk, who: Who, on: date
) -> set[UUID]:
    """Record the events of households, write what is so now, and check all of them again.

    Says of which a case is to be decided. What one of them would find of another is what that one
    is after its event, whichever comes first.
    """
    if not pages:
        return set()
    told = [counted(page.happened, page.before, page.after) for page in pages]
    await fetch(
        conn,
        _TURN,
        *(who.partner_id, on, who.actor_id, who.at),
        [desk.new_id() for _ in pages],
        [page.before.household_id for page in pages],
        [page.before.version + 1 for page in pages],
        [each.kind for each in told],
        [each.reason for each in told],
        [each.persons_in for each in told],
        [each.persons_out for each in told],
    )
    await _rewrite(conn, pages, who)
    agreeing = await _answer(conn, pages, who)
    for page in pages:
        if page.is_promised:
            await retain_replaced(conn, page.before, page.after, desk=desk, at=who.at)
    await _recheck(conn, pages, agreeing, desk=desk, who=who)
    return await undecided_of(conn, [page.before.household_id for page in pages])


async def undecided_of(conn: AsyncConnection, household_ids: Sequence[UUID]) -> set[UUID]:
    """Return of which of these households a case is to be decided."""
    return {row[0] for row in await fetch(conn, _OPEN, household_ids)}


async def _rewrite(conn: AsyncConnection, pages: Sequence[Page], who: Who) -> None:
    changed: list[tuple[object, ...]] = []
    added: list[tuple[object, ...]] = []
    for page in pages:
        after, version = page.after, page.before.version + 1
        known = {each.person_id: each for each in page.before.members}
        for each in after.members:
            if known.get(each.person_id) == each:
                continue
            sealed = seal(after.key, each.person, kind="person", owner=each.person_id)
            if each.person_id in known:
                changed.append((each.person_id, sealed, each.gone, version))
            else:
                place = (each.person_id, after.household_id, each.ordinal)
                added.append((*place, sealed, each.gone, version))
    if changed:
        await fetch(conn, _CHANGE_PERSONS, *_columns(changed, 4))
    if added:
        await fetch(conn, _ADD_PERSONS, who.partner_id, *_columns(added, 6))
    needs = await _new_needs(conn, pages)
    if needs:
        await fetch(conn, _ADD_NEEDS, who.partner_id, *_columns(needs, 3))
    homes = [
        (
            *(page.after.household_id, page.after.content_key, page.after.ubigeo),
            *(page.after.population_type, size_of(page.after.members) or page.before.size),
            seal(page.after.key, page.after.home, kind="household", owner=page.after.household_id),
        )
        for page in pages
    ]
    await fetch(conn, _CHANGE_HOMES, *_columns(homes, 6))


async def _new_needs(conn: AsyncConnection, pages: Sequence[Page]) -> list[tuple[object, ...]]:
    wanted = [person_id for page in pages for person_id in page.needs]
    sealed = {row[0]: row[1] for row in await fetch(conn, _NEEDS, wanted)}
    kind: type[tuple[SpecificNeed, ...]] = tuple[SpecificNeed, ...]
    rows: list[tuple[object, ...]] = []
    for page in pages:
        for person_id, told in page.needs.items():
            stored: tuple[SpecificNeed, ...] = ()
            if person_id in sealed:
                stored = open_as(
                    page.after.key, sealed[person_id], kind, kind="needs", owner=person_id
                )
            if tuple(told) != stored:
                message = seal(page.after.key, told, kind="needs", owner=person_id)
                rows.append((person_id, page.before.version + 1, message))
    return rows


async def _answer(conn: AsyncConnection, pages: Sequence[Page], who: Who) -> set[UUID]:
    """Add answers that are newer than those in force; return who agrees to the duplicate check."""
    ids = [page.before.household_id for page in pages]
    known: defaultdict[UUID, dict[str, Consent]] = defaultdict(dict)
    for row in await fetch(conn, _ANSWERS, ids):
        facts = dict(row)
        household_id = facts.pop("household_id")
        known[household_id][facts["kind"]] = msgspec.convert(facts, Consent)
    fresh: list[tuple[object, ...]] = []
    for page in pages:
        answers = known[page.before.household_id]
        for each in page.consents:
            is_error = page.happened.reason == "data_error"
            if consent.is_news(each, answers.get(each.kind), is_error=is_error):
                fresh.append((page.before.household_id, *(getattr(each, name) for name in _ANSWER)))
                answers[each.kind] = each
    if fresh:
        await fetch(conn, _ADD_ANSWERS, who.partner_id, who.at, *_columns(fresh, 8))
    return {
        household_id
        for household_id, answers in known.items()
        if (check := answers.get("duplicate_check")) is not None
        and check.granted
        and check.withdrawn_on is None
    }


_ANSWER = ("kind", "granted", "text_version", "language", "channel", "given_on", "withdrawn_on")


async def _recheck(
    conn: AsyncConnection, pages: Sequence[Page], agreeing: set[UUID], *, desk: Desk, who: Who
) -> None:
    """Let matching follow: new keys, one search for everybody, cases, and old keys gone."""
    hasher = key_hasher(desk.matching_key)
    records: dict[UUID, tuple[Record, ...]] = {}
    for page in pages:
        if page.before.household_id in agreeing and (them := records_of(page.after)):
            records[page.before.household_id] = them
    everybody = [record for them in records.values() for record in them]
    keys = index.keyed(everybody, hasher)
    whys: dict[UUID, Why] = {
        page.before.household_id: "declined"
        for page in pages
        if page.before.household_id not in agreeing
    }
    if everybody:
        await index.add(conn, everybody, keys)
        opener = Candidates(conn, desk.vault)
        found = await find_all(conn, list(records.values()), keys, model=desk.model, opener=opener)
        matched = _once(found, who.partner_id)
        if matched:
            await open_batch(conn, matched, model=desk.model, at=who.at, actor_id=who.actor_id)
        for household_id, each in zip(records, found, strict=True):
            if each.unsearched or each.crowded:
                # "Could not search" is never "found nothing".
                whys[household_id] = "unsearchable" if each.unsearched else "crowded"
    for household_id, why in whys.items():
        await open_unchecked(conn, household_id, why=why, **msgspec.structs.asdict(who))
    had = index.keyed((one for page in pages for one in records_of(page.before)), hasher)
    await index.drop(conn, {one: set(each) - set(keys.get(one, {})) for one, each in had.items()})


def _once(found: Sequence[Found], partner_id: UUID) -> list[Matched]:
    """Keep one of each two persons, who find each other when both are searched for."""
    known: dict[frozenset[UUID], Matched] = {}
    for each in found:
        for pair in each.pairs:
            persons = frozenset({pair.person_id, pair.other_person_id})
            known.setdefault(persons, Matched(pair=pair, partner_id=partner_id))
    return list(known.values())


def _columns(rows: Sequence[tuple[object, ...]], width: int) -> list[list[object]]:
    return [[row[at] for row in rows] for at in range(width)]
