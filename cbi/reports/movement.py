"""What moved an account, added up by kind and by the account on the other side."""

from typing import Literal

import msgspec

Side = Literal["debit", "credit"]


class Movement(msgspec.Struct, frozen=True, kw_only=True):
    """So many transfers of a kind debited or credited an account, against one sort of account."""

    code: str  # of the account that is looked at
    currency: str
    kind: str
    other: str  # "grant", "fund", "expense" …: what the other account is
    side: Side
    transfers: int
    amount_minor: int

    @property
    def signed_minor(self) -> int:
        """What it adds to an account that grows by debits."""
        return self.amount_minor if self.side == "debit" else -self.amount_minor


class Balance(msgspec.Struct, frozen=True, kw_only=True):
    """What the trial balance says of an account before and at the end, debits less credits."""

    code: str
    currency: str
    opening_minor: int
    closing_minor: int


def what_is(code: str) -> str:
    """Say what an account of a programme or a round is: the third part of its code."""
    parts = code.split(":")
    return parts[2] if len(parts) > 2 else code
