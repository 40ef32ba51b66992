"""How refusals of long work and of imported files are told: status, slug, Spanish, English."""

from cbi import import_refusal as cbi

WORDS: dict[type[Exception], tuple[int, str, str, str]] = {
    cbi.TooManyJobs: (
        429,
        "too-many-jobs",
        "Su organización ya tiene demasiados trabajos en curso",
        "Your organisation has too many jobs that are not ended",
    ),
    cbi.JobEnded: (
        409,
        "job-ended",
        "El trabajo ya había terminado",
        "The job was over already",
    ),
    cbi.TooManyImports: (
        429,
        "too-many-imports",
        "Su organización guarda demasiados archivos: decida primero sobre algunos",
        "Your organisation keeps too many files: decide on some first",
    ),
    cbi.ImportErased: (
        409,
        "import-erased",
        "El contenido del archivo ya fue borrado: envíelo de nuevo",
        "What the file said is erased: send it again",
    ),
    cbi.PieceDiffers: (
        409,
        "piece-differs",
        "Con este número ya llegó otra parte del archivo",
        "Another piece of the file came under this number",
    ),
    cbi.ImportNotReady: (
        409,
        "import-not-ready",
        "El archivo aún no se puede decidir, o ya no",
        "The file can't be decided on yet, or no longer",
    ),
    cbi.ImportDecided: (
        409,
        "import-decided",
        "Ya se decidió qué hacer con este archivo",
        "It was decided before what to do with this file",
    ),
    cbi.ImportFaulty: (
        409,
        "import-faulty",
        "Hay filas con errores: acepte las válidas, o corrija el archivo",
        "Some rows have errors: take the valid ones, or mend the file",
    ),
}
