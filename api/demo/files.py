"""The example population as the files that partners really have, with the truth beside them.

PUENTE exports from KoboToolbox, SOLMAR keeps a spreadsheet and saves it as CSV as a Spanish Excel
does (semicolons, Windows-1252, day first), PARROQUIA's programme speaks JSON, one registration
on each line. The same population gives the same bytes.
"""

import csv
import io
from collections.abc import Callable
from functools import partial
from pathlib import Path
from random import Random
from uuid import UUID

import msgspec

from api.demo.population import PartnerPopulation, Population
from cbi.household import Registration
from cbi.intake import Format
from cbi.intake.words import fold
from cbi.person import Person

# How this form and this spreadsheet word our codes; everything else is in cbi.intake.words.
_SPANISH = {
    "in_destination": "en destino",
    "in_transit": "en tránsito",
    "host_community": "comunidad de acogida",
    "colombian_returnee": "retornado colombiano",
    "pendular": "pendular",
    "stay": "quedarse",
    "move_on": "seguir viaje",
    "undecided": "indeciso",
    "mpca": "multipropósito",
    "rent": "alquiler",
    "health": "salud",
    "food": "alimentos",
    "bank_account": "cuenta bancaria",
    "direct_cash": "efectivo",
    "in_person": "presencial",
    "primary_collector": "titular",
    "head": "jefe/a",
    "partner": "cónyuge",
    "child": "hijo/a",
    "parent": "padre o madre",
    "sibling": "hermano/a",
    "VEN": "venezolana",
    "PER": "peruana",
    "COL": "colombiana",
    "pe-dni": "DNI",
    "pe-ce": "CE",
    "pe-ptp": "PTP",
    "pe-cpp": "CPP",
    "ve-cedula": "cédula",
    "passport": "pasaporte",
    "other": "otro",
}
_CONSENT_COLUMNS = {
    "registration": "Consentimiento registro",
    "duplicate_check": "Consentimiento duplicados",
    "fsp": "Consentimiento pago",
    "referral": "Consentimiento derivación",
    "contact": "Consentimiento contacto",
}


class PartnerFile(msgspec.Struct, frozen=True, kw_only=True):
    """One partner's file, as cbi.intake.rows takes it (ubigeo_system "inei")."""

    code: str
    name: str
    path: Path
    format: Format


class Files(msgspec.Struct, frozen=True, kw_only=True):
    partners: tuple[PartnerFile, ...]
    truth: Path


def write(population: Population, folder: Path) -> Files:
    """Write one file for each partner and truth.json into `folder`, which is made if missing."""
    folder.mkdir(parents=True, exist_ok=True)
    makers: tuple[tuple[str, Format, Callable[[PartnerPopulation], bytes]], ...] = (
        ("puente_kobo.json", "kobo", partial(kobo, seed=population.seed)),
        ("solmar.csv", "csv", spreadsheet),
        ("parroquia.ndjson", "json", json_lines),
    )
    partners: list[PartnerFile] = []
    for partner, (name, kind, make) in zip(population.partners, makers, strict=True):
        path = folder / name
        path.write_bytes(make(partner))
        partners.append(
            PartnerFile(
                code=partner.code,
                name=partner.name,
                path=path,
                format=kind,
            )
        )
    truth = folder / "truth.json"
    content = {"seed": population.seed, "persons": population.truth.persons}
    truth.write_bytes(msgspec.json.format(msgspec.json.encode(content), indent=1) + b"\n")
    return Files(partners=tuple(partners), truth=truth)


def json_lines(partner: PartnerPopulation) -> bytes:
    """One registration on each line, in the form that the API takes."""
    return b"".join(msgspec.json.encode(each) + b"\n" for each in partner.registrations)


def kobo(partner: PartnerPopulation, *, seed: int) -> bytes:
    """An export of KoboToolbox's API v2: `results` with groups and nested repeats."""
    rng = Random(seed)
    results = [
        _submission(each, 41_000 + ordinal, UUID(int=rng.getrandbits(128), version=4))
        for ordinal, each in enumerate(partner.registrations)
    ]
    export = {"count": len(results), "next": None, "previous": None, "results": results}
    return msgspec.json.format(msgspec.json.encode(export), indent=1) + b"\n"


def spreadsheet(partner: PartnerPopulation) -> bytes:
    """A CSV with one line per person; what concerns the household stands on its first line."""
    lines = [
        line for registration in partner.registrations for line in _household_lines(registration)
    ]
    titles = list(dict.fromkeys(title for line in lines for title in line))
    text = io.StringIO()
    writer = csv.DictWriter(text, titles, restval="", delimiter=";", lineterminator="\r\n")
    writer.writeheader()
    writer.writerows(lines)
    return text.getvalue().encode("cp1252")


def _submission(registration: Registration, number: int, uuid: UUID) -> dict[str, object]:
    day = registration.registered_on.isoformat()
    consent = registration.consents[0]
    record: dict[str, object] = {
        "_id": number,
        "formhub/uuid": "7f1d5b0a3c6e4d2f9b8a7c6d5e4f3a2b",
        "start": f"{day}T09:12:44.318-05:00",
        "end": f"{day}T09:31:02.870-05:00",
        "hogar/codigo_hogar": registration.reference,
        "hogar/fecha_registro": day,
        "hogar/distrito": registration.ubigeo,
        "hogar/tipo_poblacion": _choice(registration.population_type),
        "hogar/intencion": _choice(registration.intention),
        "hogar/asistencia": " ".join(map(_choice, registration.assistance_wanted)),
    }
    if (instrument := registration.instrument) is not None:
        record["pago/medio_pago"] = _choice(instrument.kind)
        record["pago/titular_cuenta"] = _choice(instrument.holder)
        if instrument.account:
            record["pago/banco"] = instrument.bank
            record["pago/cuenta"] = instrument.account
    for each in registration.consents:
        question = _choice(_CONSENT_COLUMNS[each.kind])
        record[f"consentimientos/{question}"] = "si" if each.granted else "no"
    return record | {
        "consentimientos/consentimiento_version": consent.text_version,
        "consentimientos/consentimiento_idioma": consent.language,
        "consentimientos/consentimiento_canal": _choice(consent.channel),
        "personas": [_repeat(person) for person in registration.persons],
        "__version__": "vKq3XbPfZ7",
        "meta/instanceID": f"uuid:{uuid}",
        "_xform_id_string": "aRegistroHogares2026",
        "_uuid": str(uuid),
        "_attachments": [],
        "_status": "submitted_via_web",
        "_geolocation": [None, None],
        "_submission_time": f"{day}T14:31:09",
        "_tags": [],
        "_notes": [],
        "_validation_status": {},
        "_submitted_by": None,
    }


def _repeat(person: Person) -> dict[str, object]:
    answers: dict[str, object] = {
        "nombres": person.given_names,
        "apellidos": person.surnames,
        "fecha_nacimiento": "" if person.birth_date is None else person.birth_date.isoformat(),
        "sexo": {"F": "mujer", "M": "hombre"}.get(person.sex, "no_indica"),
        "parentesco": _choice(person.relationship),
        "nacionalidad": _choice(person.nationality),
        "telefono": person.phones[0] if person.phones else "",
    }
    documents = [
        {
            "personas/documentos/tipo_documento": _choice(each.type),
            "personas/documentos/numero_documento": each.number,
            "personas/documentos/pais_documento": each.country,
        }
        for each in person.documents
    ]
    # KoboToolbox leaves out what was not answered.
    record: dict[str, object] = {
        f"personas/{question}": answer for question, answer in answers.items() if answer
    }
    if documents:
        record["personas/documentos"] = documents
    return record


def _household_lines(registration: Registration) -> list[dict[str, str]]:
    consent = registration.consents[0]
    household = {
        "Fecha de registro": f"{registration.registered_on:%d/%m/%Y}",
        "UBIGEO": registration.ubigeo,
        "Tipo de población": _SPANISH[registration.population_type],
        "Intención": _SPANISH[registration.intention],
        "Asistencia solicitada": ", ".join(_SPANISH[x] for x in registration.assistance_wanted),
    }
    if (instrument := registration.instrument) is not None:
        household |= {
            "Medio de pago": _SPANISH[instrument.kind],
            "Banco": instrument.bank,
            "N° de cuenta / CCI": instrument.account,
            "Titular de la cuenta": _SPANISH[instrument.holder],
        }
    for each in registration.consents:
        household[_CONSENT_COLUMNS[each.kind]] = "Sí" if each.granted else "No"
    household |= {
        "Versión consentimiento": consent.text_version,
        "Idioma": consent.language,
        "Canal": _SPANISH[consent.channel],
    }
    lines = [_person_line(person) for person in registration.persons]
    lines[0] = household | lines[0]
    return [{"Código hogar": registration.reference} | line for line in lines]


def _person_line(person: Person) -> dict[str, str]:
    line = {
        "Nombres": person.given_names,
        "Apellidos": person.surnames,
        "Fecha de nacimiento": "" if person.birth_date is None else f"{person.birth_date:%d/%m/%Y}",
        "Sexo": {"F": "M", "M": "H"}.get(person.sex, ""),
        "Parentesco": _SPANISH[person.relationship],
        "Nacionalidad": _SPANISH[person.nationality],
        "Celular": _as_dialled(person.phones[0]) if person.phones else "",
    }
    for number, each in enumerate(person.documents, start=1):
        suffix = f" {number}" if number > 1 else ""
        line[f"Tipo de documento{suffix}"] = _SPANISH[each.type]
        line[f"Número de documento{suffix}"] = each.number
        line[f"País de documento{suffix}"] = _SPANISH[each.country]
    return line


def _choice(code: str) -> str:
    """The code as a choice of the form: no blanks, no accents."""
    return fold(_SPANISH.get(code, code))


def _as_dialled(phone: str) -> str:
    national = phone.removeprefix("+51")
    return phone if national == phone else f"{national[:3]} {national[3:6]} {national[6:]}"
