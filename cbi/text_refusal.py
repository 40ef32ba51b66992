"""Refusals of an organisation's own texts: what the caller can mend, as facts."""

from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from cbi.refusal import CbiRefusal


@dataclass(kw_only=True, eq=False)
class InvalidText(CbiRefusal):
    """A text says what no message may, or not in a way that it can be sent."""

    faults: Sequence[object]


@dataclass(kw_only=True, eq=False)
class TextApproved(CbiRefusal):
    """The text was approved before."""

    text_id: UUID


@dataclass(kw_only=True, eq=False)
class TextOfOneself(CbiRefusal):
    """Proposing a text and approving it take two people."""

    text_id: UUID
