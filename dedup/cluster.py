"""Which things belong together, from pairs of them that were decided to be one."""

from collections.abc import Iterable
from uuid import UUID


def clusters(edges: Iterable[tuple[UUID, UUID]]) -> tuple[tuple[UUID, ...], ...]:
    """Group what the decided pairs join, members sorted, groups by their first member.

    Only decisions of people may be given here: a chain of guesses would join strangers. The
    order of the edges changes nothing.
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
    groups: dict[UUID, list[UUID]] = {}
    for member in sorted(parent):
        groups.setdefault(root(member), []).append(member)
    return tuple(tuple(groups[first]) for first in sorted(groups))
