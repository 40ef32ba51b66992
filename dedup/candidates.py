"""Choose whom to compare a person with among those who share matching keys.

Keys of crowds count for less (decision record 13).
"""

from collections import defaultdict
from collections.abc import Container, Mapping, Sequence
from collections.abc import Set as AbstractSet
from uuid import UUID

import msgspec

# A key of more persons than this is a crowd's: far more than most keys have among a million, but
# for defaults such as 1 January.
PER_KEY = 30
# Whoever has the document of somebody else may be nobody but that person: as evidence it is never
# too weak to matter, as a name, a date or a phone of a crowd is.
DOCUMENT = "document"
PER_DOCUMENT = 500
# From crowds, so many persons are opened who share most with the one searched.
PER_PERSON = 500
# So many of a crowd are looked through for another key in common.
SCAN_MAX = 20_000
# Rules whose keys strangers mostly share: one of these alone is asked about only for a person
# whom nothing better has found.
WEAK = frozenset(("token-date", "date-place", "document-near", "phone-year"))


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How far a search goes into crowds."""

    per_key: int = PER_KEY
    per_document: int = PER_DOCUMENT
    per_person: int = PER_PERSON
    scan_max: int = SCAN_MAX

    def of(self, rule: str) -> int:
        """Return how many persons may have a key of this rule before they are a crowd."""
        return self.per_document if rule == DOCUMENT else self.per_key


class Candidates(msgspec.Struct, frozen=True, kw_only=True):
    """Whom to compare a person with; `weak` only if that is nobody.

    Not `is_searched`: there was no key, or one only and a crowd has it. `is_lost`: searched, but
    somebody who may be the same person was lost in a crowd.
    """

    strong: Sequence[UUID]
    weak: Sequence[UUID]
    is_searched: bool
    is_lost: bool


def choose(
    keys: Mapping[int, str],
    sharing: Mapping[int, Sequence[UUID]],
    crowds: AbstractSet[int],
    *,
    own: Container[UUID],
    limits: Limits,
) -> Candidates:
    """Return the candidates of a person who has `keys`, each with its rule.

    `sharing` says who has each key: all of them, but of a key in `crowds` no more than
    `scan_max` + 1. `own` are the persons of one's own household. The order of what is given
    changes nothing but the order of what is returned.
    """
    shared: defaultdict[UUID, list[int]] = defaultdict(list)
    for key in keys:
        for person_id in sharing.get(key, ()):
            shared[person_id].append(key)
    strong, weak, in_crowds = [], [], []
    for person_id, by in shared.items():
        if person_id in own:
            continue
        if crowds and all(key in crowds for key in by):
            if len(by) > 1:
                in_crowds.append(person_id)
        elif len(by) == 1 and keys[by[0]] in WEAK:
            weak.append(person_id)
        else:
            strong.append(person_id)
    in_crowds.sort(key=lambda one: (-len(shared[one]), one))
    crowded = crowds & keys.keys()
    return Candidates(
        strong=strong + in_crowds[: limits.per_person],
        weak=weak,
        is_searched=len(keys) > 1 or len(keys) > len(crowded),
        is_lost=len(in_crowds) > limits.per_person
        or any(keys[key] == DOCUMENT or len(sharing[key]) > limits.scan_max for key in crowded),
    )
