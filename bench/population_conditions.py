"""How often things happen in the made-up population: in an ordinary one and in a hard one.

The shares are judgements after DOMAIN.md, not measurements: no labelled data of real partners was
available. Their level was set with Splink and with a supervised classifier as gauges, so that the
data are neither easy nor hopeless and kin are what is hard; the matcher of `dedup` played no part.
"""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Conditions:
    """Shares between 0 and 1 of what each name says, unless a comment says otherwise."""

    # Families: how many clans have one, two, three, four related households.
    clan_households: tuple[float, ...]
    twin_birth: float
    # Sets of brothers and sisters whose given names begin alike, or who share the second one.
    names_alike: float
    second_shared: float
    # Brothers who are all José something, sisters who are all María something.
    first_shared: float
    # Families whose first son bears the father's name; half as many where a daughter has her
    # mother's.
    one_name: float
    # Sisters' or a whole family's papers made together: numbers in sequence.
    papers_together: float
    grown_child_leaves: float

    # Registrations. Families with one, two, three, four of them.
    registrations: tuple[float, ...]
    # Of a family registered again: partly, one person alone, split in two.
    again_partly: float
    again_alone: float
    again_split: float
    twice_inside: float
    moved: float

    # What is shown: nothing; a second document; how much a person prefers one (0 = none).
    nothing_shown: float
    nothing_shown_child: float
    two_shown: float
    same_document_pull: float
    parents_document: float
    # Partners (by size) that ask one document per family and write it for whoever shows none.
    one_document_desks: float
    number_changed: float
    phone_withheld: float
    phone_neighbour: float
    office_phone: float

    # Factor over the clerks' ordinary error rates.
    spelling: float
    slips: float
    dates: float


NORMAL = Conditions(
    clan_households=(0.45, 0.32, 0.16, 0.07),
    twin_birth=0.022,
    names_alike=0.30,
    second_shared=0.25,
    first_shared=0.18,
    one_name=0.25,
    papers_together=0.35,
    grown_child_leaves=0.45,
    registrations=(0.70, 0.23, 0.055, 0.015),
    again_partly=0.42,
    again_alone=0.12,
    again_split=0.16,
    twice_inside=0.003,
    moved=0.15,
    nothing_shown=0.08,
    nothing_shown_child=0.26,
    two_shown=0.35,
    same_document_pull=2.2,
    parents_document=0.012,
    one_document_desks=0.18,
    number_changed=0.20,
    phone_withheld=0.10,
    phone_neighbour=0.02,
    office_phone=0.002,
    spelling=1.0,
    slips=1.0,
    dates=1.0,
)

HARD = Conditions(
    clan_households=(0.36, 0.34, 0.20, 0.10),
    twin_birth=0.025,
    names_alike=0.40,
    second_shared=0.30,
    first_shared=0.24,
    one_name=0.30,
    papers_together=0.45,
    grown_child_leaves=0.55,
    registrations=(0.70, 0.22, 0.06, 0.02),
    again_partly=0.46,
    again_alone=0.15,
    again_split=0.20,
    twice_inside=0.003,
    moved=0.24,
    nothing_shown=0.17,
    nothing_shown_child=0.42,
    two_shown=0.25,
    same_document_pull=1.4,
    parents_document=0.02,
    one_document_desks=0.18,
    number_changed=0.38,
    phone_withheld=0.22,
    phone_neighbour=0.03,
    office_phone=0.003,
    spelling=2.5,
    slips=1.7,
    dates=2.9,
)

# Ordinary error rates of a middling partner: per name for spellings and nicknames, else per record.
SPELLING = {
    "given_respelled": 0.055,
    "surname_respelled": 0.02,
    "familiar": 0.008,
    "typo": 0.018,
}
SLIPS = {
    "given2_dropped": 0.10,
    "surname2_dropped": 0.06,
    "given2_initial": 0.02,
    "surname2_initial": 0.008,
    "known_by_second": 0.008,
    "givens_swapped": 0.010,
    "surnames_swapped": 0.008,
    "given_surname_swapped": 0.010,
    "givens_in_one": 0.020,
    "surnames_in_one": 0.010,
    "givens_joined": 0.006,
    "word_split": 0.004,
    "particle_dropped": 0.15,
    "married_name": 0.012,
    "name_missing": 0.0007,
    "sex_wrong": 0.004,
    "sex_missing": 0.015,
    "nationality_missing": 0.03,
    "ubigeo_missing": 0.03,
    "ubigeo_near": 0.03,
    "number_wrong": 0.018,
    "number_swapped": 0.007,
    "number_lost": 0.005,
    "document_type_wrong": 0.015,
    "phone_wrong": 0.015,
}
DATES = {
    "missing": 0.008,
    "default": 0.013,
    "year_guessed": 0.004,
    "swapped": 0.010,
    "digit": 0.010,
    "part": 0.006,
    "relatives": 0.002,
}
