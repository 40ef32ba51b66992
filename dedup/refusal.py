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


class CaseReopened(DedupRefusal):
    """New evidence opened the case anew; the newer one is judged."""

    def __init__(self, *, case_id: UUID, reopened_as: UUID) -> None:
        super().__init__()
        self.case_id = case_id
        self.reopened_as = reopened_as


class CannotSupersede(DedupRefusal):
    """This is not what the organisation says of the case now, so it can't be replaced."""

    def __init__(self, *, case_id: UUID, judgement_id: UUID) -> None:
        super().__init__()
        self.case_id = case_id
        self.judgement_id = judgement_id


class AssignElsewhere(DedupRefusal):
    """Only a coordinator asks another organisation to judge."""

    def __init__(self, *, case_id: UUID) -> None:
        super().__init__()
        self.case_id = case_id


class GroupChanged(DedupRefusal):
    """The group has other cases than the reviewer saw."""

    def __init__(self, *, case_id: UUID, size: int) -> None:
        super().__init__()
        self.case_id = case_id
        self.size = size


class GroupTooLarge(DedupRefusal):
    """The group has more cases than one judgement may decide."""

    def __init__(self, *, case_id: UUID, size_max: int) -> None:
        super().__init__()
        self.case_id = case_id
        self.size_max = size_max


class ModelNotFound(DedupRefusal):
    """No model has this id."""

    def __init__(self, *, model_id: str) -> None:
        super().__init__()
        self.model_id = model_id


class ModelUnreadable(DedupRefusal):
    """The stored model was altered, or written by a version of the program that is not this one."""

    def __init__(self, *, model_id: str) -> None:
        super().__init__()
        self.model_id = model_id


class RunUnderway(DedupRefusal):
    """Another run compares everybody at this moment."""
