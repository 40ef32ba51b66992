"""How clerks write people down: freely, hastily, and differently at each partner."""

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from random import Random

from api.demo.family import TruePerson
from api.demo.names import SPELLINGS
from cbi.document import DocumentType
from cbi.intake.words import fold

Mistake = Callable[[TruePerson, Random], TruePerson]

# Keyboard neighbours and look-alikes: typos keep a number's length.
_NEIGHBOURS = {"0": "9", "1": "7", "2": "3", "3": "8", "4": "5", "5": "6", "6": "9", "7": "1"}


def write_down(person: TruePerson, rng: Random) -> TruePerson:
    """The person as a later partner's clerk writes them, with none to three mistakes."""
    count = rng.choices((0, 1, 2, 3), (28, 42, 24, 6))[0]
    for mistake in rng.sample(MISTAKES, count):
        person = mistake(person, rng)
    return replace(person, documents=_shown(person, rng), phone=_phone(person, rng))


def respell(person: TruePerson, rng: Random) -> TruePerson:
    """Jacqueline for Yaquelin."""
    return replace(
        person,
        given=tuple(rng.choice(SPELLINGS.get(name, (name,))) for name in person.given),
        surnames=tuple(rng.choice(SPELLINGS.get(name, (name,))) for name in person.surnames),
    )


def swap_names(person: TruePerson, _: Random) -> TruePerson:
    """Given names in the surnames' place."""
    return replace(person, given=person.surnames, surnames=person.given)


def drop_second_name(person: TruePerson, _: Random) -> TruePerson:
    return replace(person, given=person.given[:1])


def drop_maternal_surname(person: TruePerson, _: Random) -> TruePerson:
    return replace(person, surnames=person.surnames[:1])


def capitals(person: TruePerson, _: Random) -> TruePerson:
    """PEREZ for Pérez, as forms in capitals have it."""
    return replace(
        person,
        given=tuple(fold(name).upper() for name in person.given),
        surnames=tuple(fold(name).upper() for name in person.surnames),
    )


def particle(person: TruePerson, rng: Random) -> TruePerson:
    """«de» before a surname: after marriage, or by habit."""
    if len(person.surnames) < 2:
        return person
    word = rng.choice(("de", "del", "de la"))
    return replace(person, surnames=(person.surnames[0], f"{word} {person.surnames[1]}"))


def join_words(person: TruePerson, _: Random) -> TruePerson:
    """Two given names in one word."""
    joined = person.given[0] + "".join(name.lower() for name in person.given[1:])
    return replace(person, given=(joined,))


def split_word(person: TruePerson, _: Random) -> TruePerson:
    """One name in two words."""
    name = person.given[0]
    if len(name) < 8:
        return person
    return replace(person, given=(name[:4], name[4:].capitalize(), *person.given[1:]))


def initial(person: TruePerson, _: Random) -> TruePerson:
    """Only the first letter of the second name."""
    return replace(person, given=(person.given[0], *(f"{name[0]}." for name in person.given[1:])))


def swap_day_and_month(person: TruePerson, _: Random) -> TruePerson:
    born = person.birth_date
    if born.day > 12:
        return person
    return replace(person, birth_date=date(born.year, born.day, born.month))


def first_of_january(person: TruePerson, _: Random) -> TruePerson:
    return replace(person, birth_date=person.birth_date.replace(month=1, day=1))


def mistype_document(person: TruePerson, rng: Random) -> TruePerson:
    """One digit wrong, or two neighbours swapped, in one document without check digit."""
    kinds = [kind for kind in person.documents if kind != "pe-dni"]
    if not kinds:
        return person
    kind = rng.choice(kinds)
    number = person.documents[kind]
    place = rng.randrange(2, len(number) - 1)
    swapped = number[:place] + number[place + 1] + number[place] + number[place + 2 :]
    typed = number[:place] + _NEIGHBOURS.get(number[place], "0") + number[place + 1 :]
    return replace(person, documents=person.documents | {kind: rng.choice((swapped, typed))})


MISTAKES: tuple[Mistake, ...] = (
    respell,
    respell,
    swap_names,
    drop_second_name,
    drop_maternal_surname,
    capitals,
    particle,
    join_words,
    split_word,
    initial,
    swap_day_and_month,
    first_of_january,
    mistype_document,
)


def _shown(person: TruePerson, rng: Random) -> dict[DocumentType, str]:
    """Which documents were shown this time: over the years not always the same."""
    kinds = list(person.documents)
    if not kinds or rng.random() < 0.06:
        return {}
    if len(kinds) == 1 or rng.random() < 0.55:
        shown = kinds[:1]
    else:
        shown = rng.sample(kinds, rng.randint(1, len(kinds) - 1))
    return {kind: person.documents[kind] for kind in kinds if kind in shown}


def _phone(person: TruePerson, rng: Random) -> str:
    if not person.phone or rng.random() < 0.12:
        return ""
    if rng.random() < 0.2:
        return f"+519{rng.randint(90_000_000, 99_999_999)}"
    return person.phone
