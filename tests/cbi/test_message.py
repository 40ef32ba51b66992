"""Texts for people are data; nothing but what they may say can be filled in."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbi.message import (
    CHARACTERS_MAX,
    PLACEHOLDERS,
    TemplateFault,
    message_of,
    placeholders,
    render,
    templates,
)
from cbi.webhook import Kind

FACTS = {"reference": "K7M2-9QXA", "due_on": "2026-06-15", "household_id": "x", "language": "es"}


def test_every_text_is_there_in_both_languages_and_asks_for_nothing_else():
    assert set(templates()) == {kind for kind in Kind.__args__ if kind.startswith("person.")}
    for versions in templates().values():
        assert [each.version for each in versions] == list(range(1, len(versions) + 1))
        for each in versions:
            assert set(placeholders(each.es)) == set(placeholders(each.en)) <= PLACEHOLDERS
            for text in (each.es, each.en):
                assert len(render(text, FACTS)) <= CHARACTERS_MAX


def test_a_text_is_told_in_the_persons_language_or_in_spanish():
    spanish, english, warao = [
        message_of("person.appeal_taken", {**FACTS, "language": language})
        for language in ("es", "en", "wba")
    ]
    assert (spanish.language, english.language) == ("es", "en")
    assert warao == spanish
    assert "15/06/2026" in spanish.text
    assert "K7M2-9QXA" in english.text
    assert message_of("cases.waiting", FACTS) is None


@pytest.mark.parametrize(
    "template",
    [
        "{name}",
        "{household_id}",
        "{}",
        "{0}",
        "{reference.__class__}",
        "{reference[0]}",
        "{reference!r}",
        "{reference:>999999}",
        "{reference",
        "}",
        "{ reference }",
    ],
)
def test_a_template_that_asks_for_anything_else_is_refused(template):
    with pytest.raises(TemplateFault):
        render(template, FACTS)


def test_a_placeholder_that_is_not_given_is_refused():
    with pytest.raises(TemplateFault):
        render("{due_on}", {"reference": "x"})


@given(st.text())
def test_any_text_is_rendered_or_refused(template):
    try:
        told = render(template, FACTS)
    except TemplateFault:
        return
    assert "household" not in told or "household" in template
