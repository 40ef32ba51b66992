"""What is said of an organisation's quota of checks, in Spanish and English."""

from datetime import datetime

import msgspec

from api import clock
from cbi.check_refusal import CheckFileTooLarge
from cbi.quotas import Quota
from cbi.refusal import CheckQuotaSpent


class Says(msgspec.Struct, frozen=True, kw_only=True):
    """One sentence or two, in both languages."""

    es: str
    en: str


def standing(persons_left: int, quota: Quota) -> Says:
    """Say how much is left, and when the quota is whole again."""
    es, en = _renewed(quota.opens_again_at)
    left, whole = persons_left, quota.persons_per_day
    return Says(
        es=f"Hoy puede consultar {_es(left)} de {_es(whole)} personas. {es}",
        en=f"{left:,} of {whole:,} persons are left to check today. {en}",
    )


def spent(refused: CheckQuotaSpent) -> Says:
    """Say what was asked, what is left, how many households fit, and when the rest can come."""
    es, en = _renewed(refused.opens_again_at)
    asked, left, fit = refused.persons_asked, refused.persons_left, refused.households_fit
    return Says(
        es=f"Se consultan {_es(asked)} personas y hoy quedan {_es(left)} de"
        f" {_es(refused.persons_per_day)}: caben los primeros {_es(fit)} hogares. {es}",
        en=f"{asked:,} persons are asked about, and {left:,} of {refused.persons_per_day:,} are"
        f" left today: the first {fit:,} households fit. {en}",
    )


def too_large(refused: CheckFileTooLarge) -> Says:
    """Say how much of a file would fit the days that a file is spread over."""
    persons, fit, days = refused.persons, refused.persons_fit, refused.days
    return Says(
        es=f"El archivo tiene {_es(persons)} personas; en {days} días caben {_es(fit)}. Divídalo, o"
        " pida a la coordinación una cuota mayor.",
        en=f"The file has {persons:,} persons; {fit:,} fit into {days} days. Part it, or ask the"
        " coordination for a larger quota.",
    )


def _renewed(at: datetime) -> tuple[str, str]:
    local = at.astimezone(clock.PERU)
    return (
        f"La cuota se renueva el {local:%d/%m/%Y} a las {local:%H:%M} (hora del Perú).",
        f"The quota is whole again on {local:%Y-%m-%d} at {local:%H:%M} (Peru).",
    )


def _es(number: int) -> str:
    # Peru parts thousands with a blank, which must not break a line.
    return f"{number:,}".replace(",", "\u00a0")
