"""A submission as KoboToolbox's REST service sends it, of the form that we ship; made-up people."""

from itertools import count

_NUMBERS = count(1)


ASKED = {
    "formhub/uuid": "f0",
    "start": "2026-02-03T10:00:00.000-05:00",
    "end": "2026-02-03T10:20:00.000-05:00",
    "hogar/fecha_registro": "2026-02-03",
    "hogar/ubigeo_inei": "240101",
    "hogar/tipo_poblacion": "in_destination",
    "hogar/intencion": "stay",
    "hogar/asistencia": "mpca rent",
    "consentimientos/consentimiento_version": "2026-1",
    "consentimientos/consentimiento_idioma": "es",
    "consentimientos/consentimiento_canal": "in_person",
    "consentimientos/consentimiento_registro": "yes",
    "consentimientos/consentimiento_duplicados": "yes",
    "consentimientos/consentimiento_pago": "yes",
    "consentimientos/consentimiento_derivacion": "no",
    "consentimientos/consentimiento_contacto": "no",
    "pago/medio_pago": "mobile_wallet",
    "pago/banco": "yape",
    "pago/cuenta": "987654321",
    "pago/titular_cuenta": "primary_collector",
}


def submission(**changes: object) -> dict[str, object]:
    """One household; each has a code and documents of its own."""
    number = next(_NUMBERS)
    record: dict[str, object] = {
        "_id": number,
        **ASKED,
        "hogar/codigo_hogar": f"K-{number}",
        "personas": [
            {
                "personas/nombres": "Yuleisy",
                "personas/apellidos": f"Ejemplar {'abcdefghij'[number % 10]}",
                "personas/fecha_nacimiento": "1991-04-12",
                "personas/sexo": "F",
                "personas/parentesco": "head",
                "personas/roles": "head primary_collector",
                "personas/vive_en_hogar": "yes",
                "personas/nacionalidad": "VEN",
                "personas/telefono": "987654321",
                "personas/necesidades": "single_parent",
                "personas/documentos": [
                    {
                        "personas/documentos/tipo_documento": "ve-cedula",
                        "personas/documentos/numero_documento": f"V{20_000_000 + number}",
                    },
                    {
                        "personas/documentos/tipo_documento": "passport",
                        "personas/documentos/numero_documento": f"{100_000_000 + number}",
                        "personas/documentos/pais_documento": "VEN",
                        "personas/documentos/vence_documento": "2030-01-31",
                    },
                ],
            },
            {
                "personas/nombres": "Usnavi",
                "personas/apellidos": "Ejemplar",
                "personas/edad": "10",
                "personas/sexo": "M",
                "personas/parentesco": "child",
                "personas/vive_en_hogar": "yes",
                "personas/nacionalidad": "VEN",
            },
        ],
        "_uuid": f"00000000-0000-4000-8000-{number:012d}",
        "_submission_time": "2026-02-03T15:20:05",
        "meta/instanceID": f"uuid:00000000-0000-4000-8000-{number:012d}",
        "_attachments": [],
        "_geolocation": [None, None],
    }
    return record | changes
