"""Settings come from the environment, are refused by name, and never show a secret."""

import base64
import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from api.settings import SECRETS, VARIABLES, Settings, SettingsFault, load, masked

KEY = base64.b64encode(bytes(range(32))).decode()
OUTSIDE = {f"CBI_{name.upper()}": KEY for name in SECRETS}


def loaded(folder: Path, **environ: str) -> Settings:
    return load({"CBI_DATA_DIR": str(folder), **environ})


@pytest.fixture(autouse=True)
def masked_umask() -> Iterator[None]:
    """A generous umask must not make a key readable."""
    before = os.umask(0)
    yield
    os.umask(before)


def test_the_defaults_serve_on_loopback_with_the_embedded_database(tmp_path: Path):
    found = loaded(tmp_path)
    assert (found.env, found.host, found.port) == ("development", "127.0.0.1", 8000)
    assert found.embedded
    assert found.pool_size >= 5
    assert found.body_bytes_max == 10 * 1024**2
    assert found.log_level == "INFO"
    assert found.data_dir == tmp_path


def test_every_setting_has_a_variable_and_each_its_meaning():
    names = {name.removeprefix("CBI_").lower() for name, _, _ in VARIABLES}
    assert names == set(Settings.__struct_fields__)
    assert all(meaning for _, _, meaning in VARIABLES)


def test_an_empty_variable_is_one_that_is_not_set(tmp_path: Path):
    names = [name for name, _, _ in VARIABLES if name != "CBI_DATA_DIR"]
    assert loaded(tmp_path, **dict.fromkeys(names, "")) == loaded(tmp_path)


@pytest.mark.parametrize("name", SECRETS)
def test_production_is_refused_while_a_key_is_missing(tmp_path: Path, name: str):
    variable = f"CBI_{name.upper()}"
    given = {key: value for key, value in OUTSIDE.items() if key != variable}
    with pytest.raises(SettingsFault, match=variable):
        loaded(tmp_path, CBI_ENV="production", **given)
    assert not (tmp_path / "keys").exists()


def test_production_starts_with_keys_from_outside_and_makes_none(tmp_path: Path):
    found = loaded(tmp_path, CBI_ENV="production", **OUTSIDE)
    assert found.sealing_key == bytes(range(32))
    assert not (tmp_path / "keys").exists()


def test_a_key_may_come_from_a_file(tmp_path: Path):
    file = tmp_path / "key"
    file.write_text(f"  {KEY}\n")
    files = {f"CBI_{name.upper()}_FILE": str(file) for name in SECRETS}
    found = loaded(tmp_path, CBI_ENV="production", **files)
    assert found.matching_key == found.signing_key == bytes(range(32))


@pytest.mark.parametrize("content", [None, b"", b"\xff\xfe", b"not base64!", b"c2hvcnQ="])
def test_a_key_file_that_is_no_key_is_refused_by_name(tmp_path: Path, content: bytes | None):
    file = tmp_path / "key"
    if content is not None:
        file.write_bytes(content)
    environ = {**OUTSIDE, "CBI_SEALING_KEY": "", "CBI_SEALING_KEY_FILE": str(file)}
    with pytest.raises(SettingsFault, match="CBI_SEALING_KEY") as refused:
        loaded(tmp_path, CBI_ENV="production", **environ)
    assert content is None or not content or content.decode("latin-1") not in str(refused.value)


@pytest.mark.parametrize("value", ["x", "c2hvcnQ=", KEY[:-1], KEY + "AAAA", "ñ" * 44, KEY + "\n"])
def test_a_malformed_key_is_refused_by_name_and_not_shown(tmp_path: Path, value: str):
    with pytest.raises(SettingsFault, match="CBI_MATCHING_KEY") as refused:
        loaded(tmp_path, CBI_MATCHING_KEY=value)
    if len(value) > 1:
        assert value not in str(refused.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("CBI_ENV", "prod"),
        ("CBI_ENV", "Production"),
        ("CBI_PORT", "65536"),
        ("CBI_PORT", "-1"),
        ("CBI_PORT", "80a"),
        ("CBI_PORT", "٨٠"),
        ("CBI_PORT", "9" * 5000),
        ("CBI_POOL_SIZE", "0"),
        ("CBI_POOL_SIZE", "101"),
        ("CBI_BODY_BYTES_MAX", "10"),
        ("CBI_BODY_BYTES_MAX", "1e6"),
        ("CBI_LOG_LEVEL", "LOUD"),
        ("CBI_DATABASE_URL", "mysql://root@localhost/cbi"),
        ("CBI_DATABASE_URL", "nonsense"),
    ],
)
def test_a_malformed_setting_is_refused_by_name(tmp_path: Path, name: str, value: str):
    with pytest.raises(SettingsFault, match=name):
        loaded(tmp_path, **{name: value})


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+asyncpg"])
def test_an_address_of_postgresql_gets_the_driver(tmp_path: Path, scheme: str):
    found = loaded(tmp_path, CBI_DATABASE_URL=f"{scheme}://cbi_app:pw@db/cbi")
    assert found.database_url == "postgresql+asyncpg://cbi_app:pw@db/cbi"
    assert not found.embedded


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://cbi_app:S3CRET@db:5432/cbi",
        "postgresql://cbi_app:S3CRET@[::1]/cbi",
        "postgresql://cbi_app:S3:CRET@x@db/cbi",
        "postgresql://db/cbi?user=cbi_app&password=S3CRET",
        "postgresql:///cbi?password=S3CRET&host=/run/postgresql",
    ],
)
def test_no_secret_is_shown(tmp_path: Path, url: str):
    found = loaded(tmp_path, CBI_DATABASE_URL=url, CBI_OWNER_DATABASE_URL=url, **OUTSIDE)
    shown = masked(found)
    assert set(shown) == {name for name, _, _ in VARIABLES}
    for text in shown.values():
        assert "CRET" not in text
        assert KEY not in text
        assert "\\x" not in text


def test_development_keys_are_made_once_and_for_the_owner_only(tmp_path: Path):
    folder = tmp_path / "data"
    first = loaded(folder)
    keys = folder / "keys"
    assert stat.S_IMODE(keys.stat().st_mode) == 0o700
    assert sorted(path.name for path in keys.iterdir()) == sorted(SECRETS)
    for path in keys.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert loaded(folder) == first
    assert len({first.sealing_key, first.matching_key, first.signing_key}) == len(SECRETS)


def test_processes_that_start_at_once_get_the_same_keys(tmp_path: Path):
    script = (
        "import sys; from api.settings import load; sys.stdin.readline();"
        "found = load(dict(CBI_DATA_DIR=sys.argv[1]));"
        "print((found.sealing_key + found.matching_key + found.signing_key).hex())"
    )
    root = Path(__file__).parents[2]
    started = [
        subprocess.Popen(
            [sys.executable, "-c", script, str(tmp_path / "data")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=root,
        )
        for _ in range(4)
    ]
    for process in started:
        process.stdin.write("go\n")
        process.stdin.flush()
    shown = {process.communicate(timeout=60)[0] for process in started}
    assert len(shown) == 1
    assert len(shown.pop().strip()) == 3 * 64
    assert sorted(path.name for path in (tmp_path / "data/keys").iterdir()) == sorted(SECRETS)
