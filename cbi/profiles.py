"""Profiles of payment files: add a version, choose one for a programme, load what is in force."""

from datetime import datetime
from hashlib import sha256
from importlib import resources
from uuid import UUID

import msgspec
from sqlalchemy import func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import tables
from cbi.disbursement import Round, Step
from cbi.fault import Finding, fault, has_errors
from cbi.file_tables import fsp_profile, programme_profile
from cbi.payment_files.profile import Profile, Versioned, check
from cbi.refusal import BadValue, InvalidProfile

BUILT_IN = "pain.001.001.09"


class Listed(msgspec.Struct, frozen=True, kw_only=True):
    """A profile in a list. An example is to be copied and compared with what the provider says."""

    ref: str  # code@version
    sha256: str
    is_example: bool
    profile: Versioned


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """Which profile a programme uses from `since` on."""

    programme_id: UUID
    code: str
    version: int
    since: datetime
    actor_id: UUID


def _shipped() -> dict[str, Versioned]:
    folder = resources.files("cbi.payment_files") / "profiles"
    found = sorted(folder.iterdir(), key=lambda each: each.name)
    read = (msgspec.json.decode(each.read_bytes(), type=Profile, strict=True) for each in found)
    return {each.code: versioned(each, 0) for each in read}


def versioned(profile: Profile, version: int) -> Versioned:
    return msgspec.convert(msgspec.to_builtins(profile) | {"version": version}, Versioned)


def digest(profile: Profile) -> bytes:
    """SHA-256 of a profile's content, whatever its version."""
    content = msgspec.to_builtins(profile)
    content.pop("version", None)
    return sha256(msgspec.json.encode(content)).digest()


SHIPPED = _shipped()


def is_example(profile: Versioned) -> bool:
    """Say whether it only shows what a profile can be: no programme can choose it."""
    return profile.version == 0 and not profile.is_pain


def read(raw: object, *, is_new: bool = True) -> Profile:
    """Read a profile; raises InvalidProfile with every fault. A new one has a code of its own."""
    profile, faults = check(raw)
    if is_new and profile.code in SHIPPED:
        faults = (*faults, fault(Finding(("code",), "profile_reserved")))
    if has_errors(faults):
        raise InvalidProfile(faults=faults)
    return profile


async def load_profile(
    conn: AsyncConnection, programme_id: UUID, *, as_of: datetime | None = None
) -> Versioned:
    """Load the profile in force, or in force at a moment.

    A programme that chose none has pain.001.001.09.
    """
    choice = programme_profile.c
    query = select(choice.code, choice.version, choice.partner_id).where(
        choice.programme_id == programme_id
    )
    if as_of is not None:
        query = query.where(choice.since <= as_of)
    newest = query.order_by(choice.choice_no.desc()).limit(1)
    row = (await conn.execute(newest)).one_or_none()
    if row is None:
        return SHIPPED[BUILT_IN]
    found = await load_version(conn, row.code, row.version, partner_id=row.partner_id)
    assert found is not None
    return found


async def load_round_profile(conn: AsyncConnection, opened: Round) -> Versioned:
    """Load the profile a round is paid by: the one in force when its list was prepared.

    Whoever signs later sees it, and a choice made behind the signatures changes nothing.
    """
    step = tables.round_step.c
    prepared_at = await conn.scalar(
        select(step.at).where(step.round_id == opened.round_id, step.step == Step.PREPARED)
    )
    return await load_profile(conn, opened.programme_id, as_of=prepared_at)


async def load_version(
    conn: AsyncConnection, code: str, version: int, *, partner_id: UUID
) -> Versioned | None:
    """Load one version of a code, shipped ones being version 0; None when there is none."""
    if version == 0:
        return SHIPPED.get(code)
    profile = fsp_profile.c
    content = await conn.scalar(
        select(profile.content).where(
            profile.partner_id == partner_id, profile.code == code, profile.version == version
        )
    )
    return None if content is None else versioned(msgspec.convert(content, Profile), version)


async def list_profiles(
    conn: AsyncConnection, *, partner_id: UUID, after: str | None, limit: int
) -> list[Listed]:
    """List every version of an organisation's profiles and the shipped ones, by reference."""
    rows = await conn.execute(
        text(
            "SELECT p.content, p.version FROM (SELECT content, version,"
            " (code || '@' || lpad(version::text, 5, '0')) COLLATE \"C\" AS ref"
            " FROM cbi.fsp_profile WHERE partner_id = :partner_id) AS p"
            " WHERE p.ref > :after ORDER BY p.ref LIMIT :limit"
        ),
        {"partner_id": partner_id, "after": after or "", "limit": limit},
    )
    own = [versioned(msgspec.convert(row.content, Profile), row.version) for row in rows]
    listed = sorted(map(as_listed, (*own, *SHIPPED.values())), key=lambda each: each.ref)
    return [each for each in listed if each.ref > (after or "")][:limit]


def as_listed(profile: Versioned) -> Listed:
    return Listed(
        ref=f"{profile.code}@{profile.version:05}",
        sha256=digest(profile).hex(),
        is_example=is_example(profile),
        profile=profile,
    )


async def add(
    conn: AsyncConnection, profile: Profile, *, partner_id: UUID, actor_id: UUID, at: datetime
) -> Versioned:
    """Add the next version of a profile's code; the newest again stays the newest."""
    await conn.execute(
        text("SELECT pg_advisory_xact_lock(hashtextextended(:what, 22))"),
        {"what": f"{partner_id} {profile.code}"},
    )
    table = fsp_profile
    newest = await conn.scalar(
        select(func.max(table.c.version)).where(
            table.c.partner_id == partner_id, table.c.code == profile.code
        )
    )
    before = (
        await load_version(conn, profile.code, newest, partner_id=partner_id) if newest else None
    )
    if before is not None and digest(before) == digest(profile):
        return before
    added = versioned(profile, (newest or 0) + 1)
    await conn.execute(
        insert(table).values(
            partner_id=partner_id,
            code=profile.code,
            version=added.version,
            content=msgspec.to_builtins(profile),
            sha256=digest(profile),
            added_by=actor_id,
            added_at=at,
        )
    )
    return added


async def choose(conn: AsyncConnection, choice: Choice, *, partner_id: UUID) -> Choice:
    """Let a programme use a profile from now on; raises BadValue for one that can't be used."""
    found = await load_version(conn, choice.code, choice.version, partner_id=partner_id)
    if found is None:
        raise BadValue(field="version", reason="there is no such version of this code")
    if is_example(found):
        raise BadValue(field="code", reason="an example is added under one's own code first")
    await conn.execute(
        insert(programme_profile).values(partner_id=partner_id, **msgspec.structs.asdict(choice))
    )
    return choice
