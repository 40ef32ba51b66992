"""Weigh two households anew, as when another model is taken into use."""

from collections.abc import Collection, Iterable, Sequence
from uuid import UUID

from dedup.compare import compare, prepare
from dedup.find import Likeness, in_context, one_to_one
from dedup.model import Model
from dedup.record import Record
from dedup.score import weight_bits


def between(
    ours: Sequence[Record],
    theirs: Sequence[Record],
    model: Model,
    *,
    shown: Collection[tuple[UUID, UUID]] = (),
) -> list[Likeness]:
    """Return the pairs of two households that people should see, and those already `shown`.

    Strongest first. What was shown stays to be seen, however little the model thinks of it; where
    it thinks too little to look at their families, the weight is that of the two persons alone.
    """
    compared = list(_compared(ours, theirs, model))
    sure = one_to_one(one for one in compared if one.weight_bits >= model.review_bits)
    weighed = in_context(compared, sure, model)
    known = {_two(one): one for one in (*compared, *weighed)}
    chosen = {_two(one) for one in one_to_one(weighed)} | (set(shown) & known.keys())
    return sorted((known[two] for two in chosen), key=lambda one: (-one.weight_bits, _two(one)))


def _compared(ours: Iterable[Record], theirs: Iterable[Record], model: Model) -> Iterable[Likeness]:
    others = [(other, prepare(other)) for other in theirs]
    for record in ours:
        prepared = prepare(record)
        for other, other_prepared in others:
            found = compare(prepared, other_prepared)
            yield Likeness(
                record=record,
                other=other,
                compared=found,
                weight_bits=weight_bits(found, record.ubigeo, model),
            )


def _two(one: Likeness) -> tuple[UUID, UUID]:
    return one.record.person_id, one.other.person_id
