"""The control report of a round: who did which step, when, on what list, and the files of it."""

from datetime import datetime

import msgspec

from cbi.reports.sheet import Draft, Section, count, moment, money, named, text, word
from ledger.money import Money


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """A step of the round, and the list as it stood then."""

    step: str
    handle: str
    at: datetime
    payments: int
    total: Money
    list_digest: str


class File(msgspec.Struct, frozen=True, kw_only=True):
    """A part of the payment file of the round (0) or of one of its follow-ups (1, 2 …)."""

    followup_no: int
    part_no: int
    message_id: str
    sha256: str
    written_at: datetime


class Control(msgspec.Struct, frozen=True, kw_only=True):
    """What the control report stands on. `left_out` counts families by reason."""

    currency: str
    signatures: tuple[Signature, ...]
    files: tuple[File, ...]
    left_out: dict[str, int]
    cancelled: int


def sections(found: Control) -> list[Section]:
    """Return the signatures, the files, and who is not on the list."""
    return [_signatures(found), _files(found), _left_out(found)]


def _signatures(found: Control) -> Section:
    draft = Draft(
        "signatures",
        word("step"),
        text("person"),
        moment("at"),
        count("payments", adds_up=False),
        money("amount", found.currency, adds_up=False),
        named("list_digest"),
    )
    for each in found.signatures:
        draft.add(
            each.step,
            each.handle,
            each.at,
            each.payments,
            each.total.amount_minor,
            each.list_digest,
        )
    return draft.section()


def _files(found: Control) -> Section:
    draft = Draft(
        "files",
        count("followup_no", adds_up=False),
        count("part", adds_up=False),
        text("message_id"),
        moment("at"),
        named("sha256"),
    )
    for each in found.files:
        draft.add(each.followup_no, each.part_no, each.message_id, each.written_at, each.sha256)
    return draft.section()


def _left_out(found: Control) -> Section:
    draft = Draft("not_on_the_list", word("reason"), count("families"))
    for reason in sorted(found.left_out):
        draft.add(reason, found.left_out[reason])
    draft.add("cancelled", found.cancelled)
    return draft.section()
