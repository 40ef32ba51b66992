"""Which things belong together, from what people decided about pairs of them."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Literal
from uuid import UUID

import msgspec

# A family registered more often than this is no family: something else was joined with it.
FAMILY_REGISTRATIONS_MAX = 20


class Tie(msgspec.Struct, frozen=True, kw_only=True):
    """What a decision in force says: two registrations are one family, or they are not.

    `decision_no` tells which was taken first.
    """

    case_id: UUID
    household_a: UUID
    household_b: UUID
    joins: bool
    decision_no: int


class Conflict(msgspec.Struct, frozen=True, kw_only=True):
    """A decision that joins and was not carried out, with the decisions that speak against it."""

    case_id: UUID
    because: Literal["contradicted", "too_large"]
    contradicted_by: tuple[UUID, ...]


class Families(msgspec.Struct, frozen=True, kw_only=True):
    """Families by their first member, members sorted, and what could not be carried out."""

    families: tuple[tuple[UUID, ...], ...]
    conflicts: tuple[Conflict, ...]


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """Cases that hang together; the smallest id names the group."""

    group_id: UUID
    size: int


def families(households: Iterable[UUID], ties: Iterable[Tie]) -> Families:
    """Place registrations into families: what decisions join, unless others part it.

    Decisions that join are carried out in the order in which they were taken. One that would
    bring together two registrations that were decided not to be one family is not, nor is one
    that would make a family of more than 20; both are conflicts for people to solve. The order in
    which households and ties are given changes nothing.
    """
    family_of = {household_id: {household_id} for household_id in households}
    against: defaultdict[UUID, dict[UUID, UUID]] = defaultdict(dict)
    ordered = sorted(ties, key=lambda tie: tie.decision_no)
    for tie in ordered:
        if not tie.joins:
            against[tie.household_a][tie.household_b] = tie.case_id
            against[tie.household_b][tie.household_a] = tie.case_id
    conflicts = []
    for tie in ordered:
        one, other = family_of[tie.household_a], family_of[tie.household_b]
        if not tie.joins or one is other:
            continue
        contradicted_by = {
            case_id
            for member in one
            for stranger, case_id in against[member].items()
            if stranger in other
        }
        if contradicted_by or len(one) + len(other) > FAMILY_REGISTRATIONS_MAX:
            conflicts.append(
                Conflict(
                    case_id=tie.case_id,
                    because="contradicted" if contradicted_by else "too_large",
                    contradicted_by=tuple(sorted(contradicted_by)),
                )
            )
            continue
        one |= other
        family_of |= dict.fromkeys(other, one)
    return Families(
        families=tuple(sorted({tuple(sorted(family)) for family in family_of.values()})),
        conflicts=tuple(conflicts),
    )


def groups(cases: Iterable[tuple[UUID, UUID, UUID]]) -> dict[UUID, Group]:
    """Group cases (id, household, household) that share households, directly or through others."""
    listed = list(cases)
    home_of = {
        member: members[0]
        for members in clusters((one, other) for _, one, other in listed)
        for member in members
    }
    together: defaultdict[UUID, list[UUID]] = defaultdict(list)
    for case_id, one, _ in listed:
        together[home_of[one]].append(case_id)
    return {
        case_id: Group(group_id=min(members), size=len(members))
        for members in together.values()
        for case_id in members
    }


def clusters(edges: Iterable[tuple[UUID, UUID]]) -> tuple[tuple[UUID, ...], ...]:
    """Group what the pairs join, members sorted, groups by their first member.

    The order of the edges changes nothing.
    """
    parent: dict[UUID, UUID] = {}

    def root(member: UUID) -> UUID:
        parent.setdefault(member, member)
        while parent[member] != member:
            parent[member] = parent[parent[member]]
            member = parent[member]
        return member

    for one, other in edges:
        low, high = sorted((root(one), root(other)))
        parent[high] = low
    found: dict[UUID, list[UUID]] = {}
    for member in sorted(parent):
        found.setdefault(root(member), []).append(member)
    return tuple(tuple(found[first]) for first in sorted(found))
