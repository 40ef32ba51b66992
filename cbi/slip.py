"""The slip that somebody who was refused takes away: it says how to appeal, and names nobody."""

import base64
import re
from datetime import date, datetime
from typing import Literal
from uuid import UUID

import msgspec

from cbi.vault import keyed_digest

Reason = Literal[
    "family_assisted",
    "overlap",
    "open_case",
    "duplicate_decision",
    "already_enrolled",
    "not_eligible",
    "left_out",
    "consent_missing",
    "no_instrument",
    "no_funds",
    "not_registered",
    "row_refused",
    "check_review",
    "check_blocked",
]
AssistanceGroup = Literal[
    "mpca", "transit_grant", "food", "rent", "health", "protection", "education", "livelihood"
]
# BCP 47. A list, because a rare language would name the one person who speaks it.
Language = Literal["es", "en", "pt", "fr", "ht", "qu", "ay", "wba", "guc", "other"]
DocumentGroup = Literal["peruvian", "venezuelan", "other", "none"]
# What the slip itself says: a finer word would tell its finder what is not theirs to know.
Said = Literal["not_accepted", "must_wait"]

TOKEN_BYTES = 20
REFERENCE_BYTES = 5
_TOKEN = re.compile(r"[A-Z2-7]{32}")
# No sign that is taken for another one when it is read out: no 0 and O, 1 and I.
_READABLE = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"


class NewSlip(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A refusal, by what it hangs on.

    `document_group` and `language` (the person's) are for the figures and are not shown again.

    Of somebody who was not registered: turned away at the desk or as a row of a file, or what a
    check said of them. Such a slip hangs on nothing.

    An open case or a decision on duplicates names its case, a family left out of a round its
    enrolment and the round; an enrolment comes with its group of assistance.
    """

    reason: Reason
    assistance_group: AssistanceGroup | None = None
    case_id: UUID | None = None
    enrolment_id: UUID | None = None
    round_id: UUID | None = None
    document_group: DocumentGroup | None = None
    language: Language | None = None


class Slip(msgspec.Struct, frozen=True, kw_only=True):
    """A slip as the organisation that gave it sees it; `appeal_id` once there is an appeal.

    Without a household it is of somebody who was not registered.
    """

    slip_id: UUID
    household_id: UUID | None
    reference: str
    reason: Reason
    assistance_group: AssistanceGroup | None
    case_id: UUID | None
    enrolment_id: UUID | None
    round_id: UUID | None
    issued_at: datetime
    appeal_until: date
    prints: int
    appeal_id: UUID | None


class Printed(msgspec.Struct, frozen=True, kw_only=True):
    """A slip with the token to print on it, which is told once; `print_no` counts from 1."""

    slip: Slip
    token: str
    print_no: int


def said(reason: Reason) -> Said:
    """Return what the slip says of a reason, in general terms."""
    return "must_wait" if reason in ("open_case", "no_funds", "check_review") else "not_accepted"


def token_of(random: bytes) -> str:
    """Write 20 random bytes as a token: 32 letters and digits."""
    assert len(random) == TOKEN_BYTES
    return base64.b32encode(random).decode()


def reference_of(random: bytes) -> str:
    """Write 5 random bytes as a reference that can be read out, like `K7M2-9QXA`."""
    assert len(random) == REFERENCE_BYTES
    number = int.from_bytes(random, "big")
    signs = "".join(_READABLE[number >> 5 * place & 31] for place in range(8))
    return f"{signs[:4]}-{signs[4:]}"


def read_token(text: str) -> str | None:
    """Return a token as it was made, however it was typed; None for what can't be one."""
    # Letters of other alphabets have capitals in ours, and must not be taken for them.
    if not text.isascii():
        return None
    found = re.sub(r"[\s-]", "", text).upper()
    return found if _TOKEN.fullmatch(found) else None


def token_digest(matching_key: bytes, token: str) -> bytes:
    """Return the keyed hash that is stored of a token."""
    return keyed_digest(matching_key, "slip", token)


def in_fours(token: str) -> str:
    """Write a token in groups of four, to be typed where no camera is."""
    return " ".join(token[at : at + 4] for at in range(0, len(token), 4))
