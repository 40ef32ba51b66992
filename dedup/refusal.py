"""What matching refuses: facts for the caller, no prose and no HTTP."""

from uuid import UUID


class DedupRefusal(Exception):
    """The base of every refusal of this package."""


class CaseNotFound(DedupRefusal):
    """There is no such case, or none that this partner may see."""

    def __init__(self, *, case_id: UUID) -> None:
        super().__init__()
        self.case_id = case_id


class CaseDecided(DedupRefusal):
    """The case is decided; a decision is not judged again."""

    def __init__(self, *, case_id: UUID, verdict: str) -> None:
        super().__init__()
        self.case_id = case_id
        self.verdict = verdict


class AlreadyJudged(DedupRefusal):
    """This organisation, or this person, has judged the case already."""

    def __init__(self, *, case_id: UUID, partner_id: UUID) -> None:
        super().__init__()
        self.case_id = case_id
        self.partner_id = partner_id
