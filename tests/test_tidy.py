"""The house rules that a machine can hold us to."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = sorted(
    path
    for package in ("api", "cbi", "dedup", "ledger", "migrations", "bench", "tests")
    for path in (ROOT / package).rglob("*.py")
)
LINES_PER_FILE_MAX = 400
LINES_PER_FUNCTION_MAX = 60


@pytest.mark.parametrize("path", OURS, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_and_functions_fit_the_page(path):
    source = path.read_text(encoding="utf-8")
    assert source.count("\n") <= LINES_PER_FILE_MAX
    long = [
        node.name
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.end_lineno - node.lineno + 1 > LINES_PER_FUNCTION_MAX
    ]
    assert long == []


# Nouns compute: no database, no web framework, no clock, no chance.
NOUNS = [
    *(ROOT / "cbi").rglob("*.py"),
    *(ROOT / "dedup").rglob("*.py"),
    *(ROOT / "ledger").rglob("*.py"),
]
VERBS = {
    "cbi": [
        "adjudicate",
        "agree",
        "amend",
        "basis",
        "appeal_counts",
        "appeal_tables",
        "appeals",
        "attempts",
        "amend_many",
        "calculate",
        "cancel",
        "caps",
        "check",
        "check_files",
        "check_followup",
        "check_tables",
        "check_staged",
        "conflicts",
        "console_tables",
        "differences",
        "disburse",
        "eligible",
        "enrol",
        "event_tables",
        "expire",
        "failed",
        "file_tables",
        "follow",
        "fund",
        "hand_back",
        "grant_tables",
        "grants",
        "holds",
        "history",
        "homes",
        "identities",
        "import_list",
        "import_tables",
        "job_tables",
        "jobs",
        "lodge",
        "lists",
        "load_books",
        "load_grants",
        "load_proof",
        "load_round",
        "make",
        "overlap_tables",
        "outbox",
        "outbox_tables",
        "own",
        "own_texts",
        "merge",
        "partners",
        "payees",
        "payer",
        "persons",
        "payout",
        "profiles",
        "quotas",
        "recheck",
        "register",
        "register_many",
        "reissue",
        "release",
        "scores",
        "rematch",
        "report",
        "reserve",
        "resolve",
        "retain",
        "seek",
        "settle",
        "sign_out",
        "signing",
        "staging",
        "slips",
        "split",
        "simulate",
        "simulation_tables",
        "split",
        "staging",
        "take_in",
        "turn_many",
        "statements",
        "store",
        "store_many",
        "suggest",
        "tables",
        "transfer",
        "turn",
        "term_tables",
        "terms",
        "uploads",
        "wait",
        "uploads",
        "wind_up",
        "withdraw",
    ],
    "dedup": [
        "cases",
        "driver",
        "find",
        "find_all",
        "find_fresh",
        "index",
        "judge",
        "models",
        "opening",
        "packed",
        "runs",
        "tables",
    ],
    "ledger": [
        "attempts",
        "breaks",
        "close",
        "events",
        "evidence",
        "exchanges",
        "ingest",
        "layouts",
        "loose",
        "post",
        "prove",
        "reconcile",
        "seal",
        "standing",
        "trial",
        "verify",
        "violation",
    ],
}
BANNED_IMPORTS = ("sqlalchemy", "asyncpg", "litestar", "random", "secrets", "os", "time")
# The vault makes keys and nonces, and the driver is the driver: that is what they are for.
EXCUSED = {("cbi", "vault", "secrets"), ("dedup", "driver", "asyncpg")}


def imports(tree: ast.AST) -> set[str]:
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found


@pytest.mark.parametrize("path", NOUNS, ids=lambda path: str(path.relative_to(ROOT)))
def test_nouns_compute_and_verbs_touch_the_database(path):
    package = path.relative_to(ROOT).parts[0]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    banned = {
        name for name in BANNED_IMPORTS if (package, path.stem, name) not in EXCUSED
    } & imports(tree)
    if path.stem in VERBS[package]:
        banned -= {"sqlalchemy"}
    assert banned == set()


@pytest.mark.parametrize("path", NOUNS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_noun_and_no_verb_reads_the_clock(path):
    source = path.read_text(encoding="utf-8")
    for call in ("datetime.now(", "date.today(", "utcnow(", "uuid4(", "uuid1("):
        assert call not in source


def test_there_is_no_float_in_the_ledger():
    for path in (ROOT / "ledger").rglob("*.py"):
        names = {
            node.id
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Name)
        }
        assert "float" not in names, path


@pytest.mark.parametrize("path", OURS, ids=lambda path: str(path.relative_to(ROOT)))
def test_annotations_are_read_at_run_time_and_no_except_swallows(path):
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            assert node.module != "__future__"
        if isinstance(node, ast.ExceptHandler):
            assert node.type is not None
            assert not all(isinstance(each, ast.Pass) for each in node.body)
