"""Partners: the organisations that register, check and pay."""

from uuid import UUID

import msgspec


class Partner(msgspec.Struct, frozen=True, kw_only=True):
    """An organisation, and whom to ask about a match with one of its registrations."""

    partner_id: UUID
    code: str
    name: str
    contact: str
