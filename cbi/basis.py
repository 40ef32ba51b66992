"""What a round is calculated on: the versions that count, kept with its first page."""

from collections.abc import Sequence
from datetime import date
from typing import Literal
from uuid import UUID

import msgspec
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from cbi import term
from cbi.caps import load_limits, load_limits_kept
from cbi.disbursement import Round
from cbi.enrol import Programme
from cbi.entitlement import Basis, Schedule, ValueTable, in_force, months_between
from cbi.refusal import NoTransferValue
from cbi.term import Term
from cbi.term_refusal import InstalmentsUneven, TermsJustChanged
from cbi.term_tables import calculation_basis
from cbi.terms import as_table, load_term, load_terms
from cbi.top_up import Line, lines_of
from cbi.who import Who
from ledger.violation import constraint_of


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """The versions a round was calculated on."""

    round_id: UUID
    value_versions: tuple[int, ...]
    schedule_version: int | None
    top_up_version: int | None
    cap_nos: tuple[int, ...]
    uit_no: int | None


async def load_kept(conn: AsyncConnection, round_id: UUID) -> Kept | None:
    """Load what a round was calculated on; None before its first page."""
    row = calculation_basis.c
    found = (
        await conn.execute(
            select(
                row.round_id,
                row.value_versions,
                row.schedule_version,
                row.top_up_version,
                row.cap_nos,
                row.uit_no,
            ).where(row.round_id == round_id)
        )
    ).one_or_none()
    return None if found is None else msgspec.convert(found._mapping, Kept)  # noqa: SLF001 -- public by its docs


async def load_basis(
    conn: AsyncConnection, opened: Round, programme: Programme, *, who: Who
) -> Basis:
    """Load what a round is calculated on, and keep it if nothing is kept yet.

    Raises NoTransferValue, InstalmentsUneven, TermsJustChanged.
    """
    terms = await load_terms(conn, opened.programme_id)
    kept = await load_kept(conn, opened.round_id)
    basis = await _basis(conn, terms, kept, opened, programme)
    if not basis.tables:
        raise NoTransferValue(programme_id=programme.programme_id, on=opened.pays_on)
    if basis.schedule is not None and basis.months % basis.schedule.every_months:
        raise InstalmentsUneven(programme_id=programme.programme_id)
    if kept is None:
        await _keep(conn, opened.round_id, basis, who)
    return basis


async def _basis(
    conn: AsyncConnection,
    terms: Sequence[Term],
    kept: Kept | None,
    opened: Round,
    programme: Programme,
) -> Basis:
    tables = [
        as_table(each, programme.currency)
        for each in terms
        if each.kind == "values" and each.approved_by is not None
    ]
    schedule = _counts(terms, "schedule", opened.pays_on, kept)
    top_up = _counts(terms, "top_up", opened.pays_on, kept)
    if kept is None:
        limits, uit = await load_limits(conn, currency=programme.currency, on=opened.pays_on)
    else:
        limits, uit = await load_limits_kept(conn, cap_nos=kept.cap_nos, uit_no=kept.uit_no)
    return Basis(
        tables=_tables(tables, kept, opened.pays_on),
        first_month=opened.first_month,
        months=months_between(opened.first_month, opened.end_month),
        schedule=None if schedule is None else msgspec.convert(schedule.content, Schedule),
        schedule_version=None if schedule is None else schedule.version,
        top_up_version=None if top_up is None else top_up.version,
        limits=limits,
        uit_no=None if uit is None else uit.uit_no,
    )


def _tables(tables: Sequence[ValueTable], kept: Kept | None, on: date) -> tuple[ValueTable, ...]:
    if kept is None:
        return in_force(tables, on)
    return in_force([table for table in tables if table.version in kept.value_versions], on)


def _counts(
    terms: Sequence[Term], kind: Literal["schedule", "top_up"], on: date, kept: Kept | None
) -> Term | None:
    of_kind = [each for each in terms if each.kind == kind]
    if kept is None:
        return term.in_force(of_kind, on)
    version = kept.schedule_version if kind == "schedule" else kept.top_up_version
    return next((each for each in of_kind if each.version == version), None)


async def load_lines(
    conn: AsyncConnection, programme_id: UUID, version: int | None
) -> tuple[Line, ...]:
    """Load the lines of a version of the top-up; none without a version."""
    if version is None:
        return ()
    return lines_of((await load_term(conn, programme_id, "top_up", version)).content)


async def _keep(conn: AsyncConnection, round_id: UUID, basis: Basis, who: Who) -> None:
    try:
        async with conn.begin_nested():
            await conn.execute(
                insert(calculation_basis).values(
                    round_id=round_id,
                    partner_id=who.partner_id,
                    actor_id=who.actor_id,
                    at=who.at,
                    value_versions=sorted(table.version for table in basis.tables),
                    schedule_version=basis.schedule_version,
                    top_up_version=basis.top_up_version,
                    cap_nos=sorted(each.cap_no for each in basis.limits.values()),
                    uit_no=basis.uit_no,
                )
            )
    except IntegrityError as error:
        if constraint_of(error) in (
            "calculation_basis_in_force",
            "calculation_basis_of_approved_caps",
            "calculation_basis_once",
        ):
            raise TermsJustChanged(round_id=round_id) from error
        raise
