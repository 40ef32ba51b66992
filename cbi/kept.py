"""What may be kept of a statement's line: nothing that could name a person."""

import re
from collections.abc import Callable
from functools import lru_cache

import msgspec

from cbi import payer
from cbi.vault import keyed_digest
from ledger.statement import MOVED, Line, movement

OUR_ID = re.compile(r"[0-9a-f]{32}[0-9]{2}")
# As cbi.disbursement.message_id names files and their parts.
OUR_FILE = re.compile(r"CBI[0-9A-Z]{20,32}(?:-[0-9]{1,6})?")
UETR = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
WORDS = re.compile(r"[\s\-]+")
RUN = re.compile(r"[0-9a-f]+")
RUN_MIN = 12
RUN_MAX = 34
DIGITS_MAX = 5


def without_names(*, matching_key: bytes) -> Callable[[Line], Line]:
    """Return a function that takes from a line whatever could name a person, equal for equal.

    An id that is none of ours may be a name: it becomes a keyed hash. Of the other side's account
    its keyed hash is kept, of a free text what may be an id of ours.
    """

    def hashed(text: str) -> str:
        return f"h-{keyed_digest(matching_key, 'bank id', text).hex()[:30]}" if text else ""

    batch = lru_cache(maxsize=1024)(lambda text: file_id(text, matching_key=matching_key))
    token = lru_cache(maxsize=1024)(
        lambda account: payer.payee_token(account, matching_key=matching_key)
    )

    def kept(line: Line) -> Line:
        ours = OUR_ID.fullmatch(line.end_to_end_id)
        told = keyed_digest(matching_key, "movement", movement(line)).hex()[:32]
        return msgspec.structs.replace(
            line,
            end_to_end_id=line.end_to_end_id if ours else hashed(line.end_to_end_id),
            bank_reference=hashed(line.bank_reference),
            uetr=line.uetr if UETR.fullmatch(line.uetr) else hashed(line.uetr),
            provider_id=hashed(line.provider_id),
            batch_id=batch(line.batch_id),
            account="",
            account_token=token(line.account),
            reference=part_of_id(line.reference) if line.reference else "",
            identity=told if line.status in MOVED else "",
        )

    return kept


def file_id(text: str, *, matching_key: bytes) -> str:
    """Return the id of a file as it is if it is one of ours, else its keyed hash."""
    if not text or OUR_FILE.fullmatch(text):
        return text
    return f"h-{keyed_digest(matching_key, 'bank id', text).hex()[:30]}"


def part_of_id(text: str) -> str:
    """Return what of a free text may be a part of an end-to-end id of ours, or "".

    The longest run of hexadecimal digits, with blanks and hyphens within it taken out. A word of
    letters alone may be a name, and a longer one of digits alone an account, a document or a
    telephone: neither is kept, nor joined to what stands beside it.
    """
    best, run = "", ""
    for word in (*WORDS.split(text.lower()), ""):
        if RUN.fullmatch(word) and not _may_name(word):
            run += word
            continue
        if len(best) < len(run) >= RUN_MIN and not run.isdecimal():
            best = run
        run = ""
    return best[:RUN_MAX]


def _may_name(word: str) -> bool:
    return word.isalpha() or (word.isdecimal() and len(word) > DIGITS_MAX)
