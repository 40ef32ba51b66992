"""Consent: several separate answers, each with its text, language, channel and withdrawal."""

from collections.abc import Iterable, Iterator
from datetime import date
from typing import Annotated, Literal

import msgspec

from cbi.fault import Finding

ConsentKind = Literal["registration", "duplicate_check", "fsp", "referral", "contact"]
Channel = Literal["in_person", "phone", "online", "paper"]


class Consent(msgspec.Struct, frozen=True, kw_only=True):
    """One answer to one question."""

    kind: ConsentKind
    granted: bool
    text_version: Annotated[str, msgspec.Meta(min_length=1, max_length=40)]
    language: Annotated[str, msgspec.Meta(min_length=2, max_length=20)]  # BCP 47: es, es-PE, wara
    channel: Channel
    given_on: date
    withdrawn_on: date | None = None


def stands(consents: Iterable[Consent], kind: ConsentKind, on: date) -> bool:
    """Whether the household consents to `kind` on that day. No answer is no."""
    return any(
        each.kind == kind
        and each.granted
        and each.given_on <= on
        and (each.withdrawn_on is None or each.withdrawn_on > on)
        for each in consents
    )


def faults_of(consents: tuple[Consent, ...], today: date) -> Iterator[Finding]:
    """What is wrong with a household's answers, taken together."""
    seen: set[str] = set()
    for index, each in enumerate(consents):
        if each.kind and each.kind in seen:
            yield Finding(("consents", index, "kind"), "consent_repeated")
        seen.add(each.kind)
        if each.given_on > today:
            yield Finding(("consents", index, "given_on"), "date_future")
        if each.withdrawn_on is not None and each.withdrawn_on > today:
            yield Finding(("consents", index, "withdrawn_on"), "date_future")
        if each.withdrawn_on is not None and each.withdrawn_on < each.given_on:
            yield Finding(("consents", index, "withdrawn_on"), "consent_withdrawn")
    if not stands(consents, "registration", today):
        yield Finding(("consents",), "consent_registration")
    if "duplicate_check" not in seen:
        yield Finding(("consents",), "consent_absent")


def is_news(told: Consent, known: Consent | None, *, is_error: bool) -> bool:
    """Say whether an answer of a form that comes again says something new.

    A form repeats what was answered once: it does not take back a withdrawal, and an older answer
    does not replace a newer one, unless that was an error.
    """
    if known is None:
        return True
    if told == known:
        return False
    if known.withdrawn_on is not None:
        return told.given_on > known.withdrawn_on
    return is_error or (told.withdrawn_on or told.given_on) >= known.given_on
