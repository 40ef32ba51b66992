"""What the log seals, read from the database with the bytes of its leaf encoded already.

The encoding is `ledger/merkle.py`'s, said once more as an expression: PostgreSQL encodes rows while
Python hashes those before them. A test holds the two together.
"""

from datetime import date, datetime
from types import NoneType
from typing import get_args, get_type_hints
from uuid import UUID

from ledger.merkle import Sealed, SealedDigest, SealedTransfer, head_of

# Its length, the letter of its type, and then the value: lengths that never change stand here.
_NOTHING = r"'\x000000016e'::bytea"
_FIXED = {
    UUID: r"'\x0000001175'::bytea || uuid_send({0})",
    date: r"'\x0000000b64'::bytea || convert_to(to_char({0}, 'YYYY-MM-DD'), 'UTF8')",
}
_VARYING = {
    int: ("69", "convert_to({0}::text, 'UTF8')"),
    str: ("73", "convert_to({0}, 'UTF8')"),
    bytes: ("62", "{0}"),
    datetime: ("74", "convert_to((extract(epoch FROM {0}) * 1000000)::bigint::text, 'UTF8')"),
}


def _field(column: str, kind: object) -> str:
    of = next(one for one in (get_args(kind) or (kind,)) if one is not NoneType)
    if of in _FIXED:
        said = _FIXED[of].format(column)
    else:
        letter, value = _VARYING[of]
        value = value.format(column)
        said = rf"int4send(octet_length({value}) + 1) || '\x{letter}'::bytea || {value}"
    return f"coalesce({said}, {_NOTHING})" if NoneType in get_args(kind) else said


def _body(sealed: type[Sealed], alias: str) -> str:
    fields = get_type_hints(sealed).items()
    return " || ".join(_field(f"{alias}.{name}", kind) for name, kind in fields)


TRANSFER_BODY = _body(SealedTransfer, "t")
DIGEST_BODY = _body(SealedDigest, "d")
TRANSFER_HEAD = head_of(SealedTransfer)
DIGEST_HEAD = head_of(SealedDigest)
