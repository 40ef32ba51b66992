"""What the documents say is so: settings, commands, routes, links, examples, the compose file."""

import re
import shlex
from datetime import date
from pathlib import Path

import msgspec
import pytest
import yaml
from click.testing import CliRunner
from rich_click import Group

from api.access import MAY, is_public
from api.cli import main
from api.settings import VARIABLES
from cbi import household

ROOT = Path(__file__).parent.parent
DOCS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
EXAMPLES = ROOT / "docs" / "examples"
TODAY = date(2026, 6, 1)
TEXT = {".cfg", ".json", ".lock", ".md", ".py", ".sh", ".sql", ".toml", ".yml", ".yaml", ""}
OURS = ("api", "bench", "cbi", "dedup", "docs", "ledger", "migrations", "tests", ".ci", ".")
VARIABLE_NAMES = {name for name, _, _ in VARIABLES}
FILE_VARIANTS = {f"{name}_FILE" for name in VARIABLE_NAMES}
# Put together here, or this file would find itself.
ADDRESSES = re.compile(
    "|".join(
        (
            "pypi" + r"\.org",
            "pythonhosted" + r"\.org",
            "docker" + r"\.io",
            "ghcr" + r"\.io",
            "quay" + r"\.io",
            "index" + r"-url",
            "/wo" + r"rk/",
            "/ro" + r"ot/\w",
            "/ho" + r"me/\w",
            "/Us" + r"ers/\w",
        )
    )
)


def named(path):
    return str(path.relative_to(ROOT))


def fenced(text):
    """The lines of all fenced blocks that a shell would run."""
    blocks = re.findall(r"^```(?:bash|console)\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    return [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]


def commands(text):
    """Each `cbi …` in a fenced block or in backticks, as its words up to the first that is none."""
    code = "\n".join([*fenced(text), *re.findall(r"`(cbi [^`]*)`", text)])
    for found in re.findall(r"(?:^|[\s$(;])cbi ((?:[a-z-]+ ?)+)", code):
        yield tuple(shlex.split(found))


def known(words):
    """The longest beginning of `words` that names a command, or () when the first is none."""
    node, path = main, []
    for word in words:
        if not isinstance(node, Group) or word not in node.commands:
            break
        node = node.commands[word]
        path.append(word)
    return path, node


def test_the_table_of_settings_is_the_programs_own():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if line.startswith("| `CBI_")]
    expected = [
        f"| `{name}` | {f'`{default}`' if default else ''} | {meaning} |"
        for name, default, meaning in VARIABLES
    ]
    assert rows == expected


@pytest.mark.parametrize("path", DOCS, ids=named)
def test_every_setting_that_is_named_exists(path):
    found = set(re.findall(r"\bCBI_[A-Z][A-Z_]*[A-Z]\b", path.read_text(encoding="utf-8")))
    assert found <= VARIABLE_NAMES | FILE_VARIANTS


@pytest.mark.parametrize("path", DOCS, ids=named)
def test_every_command_exists_and_explains_itself(path):
    for words in commands(path.read_text(encoding="utf-8")):
        found, node = known(words)
        assert found, words
        assert not isinstance(node, Group) or len(words) == len(found), words
        result = CliRunner().invoke(main, [*found, "--help"])
        assert result.exit_code == 0
        assert "Usage" in result.output


def test_the_commands_of_the_readme_are_all_of_them():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    told = {" ".join(known(words)[0]) for words in commands(text)}
    there = set()
    for name, command in main.commands.items():
        if isinstance(command, Group):
            there |= {f"{name} {each}" for each in command.commands}
        else:
            there.add(name)
    assert told == there


@pytest.mark.parametrize("path", DOCS, ids=named)
def test_every_relative_link_leads_somewhere(path):
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
        if re.match(r"[a-z]+:", target):
            continue
        file, _, anchor = target.partition("#")
        page = (path.parent / file).resolve() if file else path
        assert page.exists(), target
        if anchor:
            titles = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
            slugs = {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in titles}
            assert anchor in slugs, target


@pytest.mark.parametrize("path", DOCS, ids=named)
def test_every_route_exists(path):
    # The recipe of CONTRIBUTING.md adds a route that is not there yet.
    text = re.sub(
        r"^````.*?^````", "", path.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE
    )
    for method, route in re.findall(r"\b(GET|POST) (/(?:v1/[^\s?`'\"]+|health/\w+))", text):
        assert (method, route) in MAY or is_public(route), (method, route)


def test_the_calls_of_the_first_ten_minutes_exist():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    templates = {(method, re.sub(r"\{\w+\}", "ID", route)) for method, route in MAY}
    calls = re.findall(r"as \S+(?: \S+\))? (GET|POST) \"?/([^\s?\"|)]+)", text)
    assert len(calls) > 20
    for method, route in calls:
        assert (
            method,
            "/v1/" + re.sub(r"\$\w+|(?<=^reports/)[a-z-]+", "ID", route),
        ) in templates, (method, route)


def test_the_examples_are_registrations_without_a_fault():
    for name in ("family.json", "same-family.json"):
        raw = msgspec.json.decode((EXAMPLES / name).read_bytes())
        read = household.read(raw, today=TODAY)
        assert read.faults == ()
        assert read.registration is not None


def test_the_faulty_example_has_the_faults_that_the_readme_shows():
    raw = msgspec.json.decode((EXAMPLES / "faulty.json").read_bytes())
    faults = household.read(raw, today=TODAY).faults
    shown = (ROOT / "README.md").read_text(encoding="utf-8")
    assert len(faults) == 5
    for fault in faults:
        assert f'{{"path":"{fault.path}","code":"{fault.code}"' in shown


def test_the_page_on_registration_shows_the_example_and_every_code():
    text = (ROOT / "docs" / "registration.md").read_text(encoding="utf-8")
    block = re.search(r"```json\n(.*?)```", text, re.DOTALL)
    assert block is not None
    assert block[1] == (EXAMPLES / "family.json").read_text(encoding="utf-8")
    schema = msgspec.json.schema(household.Registration)
    codes = {code for value in schema["$defs"].values() for code in _codes(value)}
    assert {code for code in codes if f"`{code}`" not in text} == set()


def _codes(node):
    if isinstance(node, dict):
        yield from (each for each in node.get("enum", ()) if each)
        for value in node.values():
            yield from _codes(value)
    elif isinstance(node, list):
        for value in node:
            yield from _codes(value)


def test_the_compose_file_is_whole():
    compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text(encoding="utf-8"))
    services = compose["services"]
    assert set(services) == {"postgres", "migrate", "cbi"}
    assert services["postgres"]["image"] == "postgres:18"
    for service in services.values():
        assert set(service["secrets"]) <= set(compose["secrets"])
        assert set(service.get("depends_on", {})) <= set(services)
    # Whoever serves can't migrate: the owner's password is not among its secrets.
    assert "owner_password" not in services["cbi"]["secrets"]
    assert "owner_password" in services["migrate"]["secrets"]
    for name in ("migrate", "cbi"):
        (words,) = (tuple(services[name]["command"]),)
        assert known(words)[0] == list(words)


@pytest.mark.parametrize("name", ["docker-compose.yml", "Dockerfile", "Makefile"])
def test_every_variable_of_the_packaging_exists(name):
    text = (ROOT / name).read_text(encoding="utf-8")
    assert set(re.findall(r"\bCBI_[A-Z_]+\b", text)) <= VARIABLE_NAMES | FILE_VARIANTS


def test_the_image_copies_what_is_there():
    lines = (ROOT / "Dockerfile").read_text(encoding="utf-8").splitlines()
    copied = [word for line in lines if line.startswith("COPY") for word in line.split()[1:-1]]
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    for path in copied:
        assert (ROOT / path).exists()
        assert f"!{path}" in ignored


def test_no_file_holds_an_address_of_a_registry_or_a_path_of_one_machine():
    found = []
    for folder in OURS:
        top = ROOT / folder
        for path in top.glob("*") if folder == "." else top.rglob("*"):
            if path.is_file() and path.suffix in TEXT and "__pycache__" not in path.parts:
                match = ADDRESSES.search(path.read_text(encoding="utf-8", errors="replace"))
                if match:
                    found.append(f"{named(path)}: {match[0]}")
    assert found == []
