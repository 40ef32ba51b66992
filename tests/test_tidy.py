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
