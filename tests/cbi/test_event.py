"""Who of a form is who of a household: pure, for any people."""

from hypothesis import given
from hypothesis import strategies as st

from cbi.document import Document
from cbi.event import EARLIER_DOCUMENTS_MAX, follow, gather, keep, pair, pair_mistaken
from cbi.person import Person, ever_shown

names = st.sampled_from(["Ana", "ana ", "Luz", "José"])
documents = st.lists(
    st.builds(
        Document,
        type=st.sampled_from(["pe-dni", "ve-cedula", "pe-tam"]),
        number=st.sampled_from(["12345678", "1-2345678", "V999", "7"]),
    ),
    max_size=4,
).map(tuple)
people = st.lists(
    st.builds(
        Person,
        given_names=names,
        surnames=names,
        birth_date=st.none() | st.dates(),
        documents=documents,
        specific_needs=st.just(("disability",)),
    ),
    max_size=6,
)


@given(known=people, told=people)
def test_nobody_is_taken_for_two_and_everybody_has_an_answer(known, told):
    for places in (pair(known, told), pair_mistaken(known, told)):
        found = [place for place in places if place is not None]
        assert len(places) == len(told)
        assert len(set(found)) == len(found)
        assert set(found) <= set(range(len(known)))


@given(told=people)
def test_the_same_people_are_all_found_again(told):
    assert None not in pair(told, told)


@given(known=people, told=people)
def test_a_mistake_is_mended_and_makes_nobody_new_while_somebody_is_left(known, told):
    found = [place for place in pair_mistaken(known, told) if place is not None]
    assert len(found) == min(len(known), len(told))


@given(one=people, other=people)
def test_what_was_shown_stays_known_and_what_was_wrong_does_not(one, other):
    for before, told in zip(map(keep, one), other, strict=False):
        changed, mended = (follow(before, told, is_error=wrong) for wrong in (False, True))
        assert changed.documents == mended.documents == told.documents
        numbers = {(each.type, each.number) for each in ever_shown(changed)}
        assert len({number[1].replace("-", "") for number in numbers}) >= len(
            {each.number.replace("-", "") for each in before.documents}
        )
        assert mended.earlier_documents == ()
        assert changed.specific_needs == ()
        assert len(gather(before, changed).earlier_documents) <= EARLIER_DOCUMENTS_MAX
