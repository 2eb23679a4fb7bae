"""Credentials come from the environment or from a guarded file."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from conference_async.emulator import Emulator

if TYPE_CHECKING:
    from tests.cli.conftest import Shell

TOML = 'account_sid = "{sid}"\nauth_token = "{token}"\n'
LINES = "# mine\nexport TWILIO_ACCOUNT_SID={sid}\n\nTWILIO_AUTH_TOKEN='{token}'\n"


@pytest.fixture
def elsewhere(bare_shell: "Shell", emulator: Emulator) -> "Shell":
    """A shell that knows the emulator's address, and no account."""
    bare_shell.environment["CONFERENCE_ASYNC_BASE_URL"] = emulator.base_url
    return bare_shell


def guarded_file(path: Path, text: str) -> str:
    """Write a file that nobody else may read."""
    path.write_text(text)
    path.chmod(0o600)
    return str(path)


@pytest.mark.parametrize(
    ("name", "text"),
    [("twilio.toml", TOML), (".env", LINES), ("notepad.toml", f"\ufeff{TOML}")],
)
async def test_credentials_from_a_file(
    elsewhere: "Shell", emulator: Emulator, tmp_path: Path, name: str, text: str
) -> None:
    """A TOML file and a file of variables are both understood."""
    text = text.format(sid=emulator.account_sid, token=emulator.auth_token)
    path = guarded_file(tmp_path / name, text)
    ended = await elsewhere.run("conferences", "--credentials", path)
    assert (ended.code, ended.err) == (0, "")


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620])
async def test_a_file_open_to_others_is_refused(
    elsewhere: "Shell", tmp_path: Path, mode: int
) -> None:
    """A secret that others may read is not used, and the remedy is said."""
    path = tmp_path / "twilio.toml"
    path.write_text(TOML)
    path.chmod(mode)
    ended = await elsewhere.run("conferences", "--credentials", os.fspath(path))
    assert ended.code == 2
    assert "chmod 600" in ended.err


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("twilio.toml", "auth_token = secret-token", "does not hold TOML"),
        (".env", "secret-token", "does not hold lines of NAME=VALUE"),
        (".env", "TWILIO_AUTH_TOKEN='secret-token", "does not hold lines of NAME=VALUE"),
        (".env", "TWILIO_AUTH_TOKEN=secret-token", ".env: set TWILIO_ACCOUNT_SID ("),
    ],
)
async def test_a_file_that_makes_no_sense(
    elsewhere: "Shell", tmp_path: Path, name: str, text: str, words: str
) -> None:
    """A file that cannot be read is one line that does not repeat what is in it."""
    ended = await elsewhere.run("conferences", "--credentials", guarded_file(tmp_path / name, text))
    assert ended.code == 2
    assert words in ended.err
    assert "secret-token" not in ended.err


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
@pytest.mark.parametrize(
    "command",
    [
        ["conferences", "--credentials"],
        ["worker", "--ledger", "postgresql://127.0.0.1:1/calls", "--account-from"],
    ],
    ids=lambda command: command[0],
)
async def test_a_file_of_another_encoding_is_not_shown(
    elsewhere: "Shell", tmp_path: Path, command: list[str], encoding: str
) -> None:
    """Python's own error would hold all of it."""
    path = tmp_path / "twilio.toml"
    path.write_text(f"# the café's\n{TOML}", encoding=encoding)
    path.chmod(0o600)
    ended = await elsewhere.run(*command, str(path))
    assert ended.code == 2
    assert ended.err == (f"conference-async: error: {path} is not UTF-8 text; save it as UTF-8\n")


async def test_a_file_that_is_not_there(elsewhere: "Shell", tmp_path: Path) -> None:
    """A missing file is named."""
    path = tmp_path / "nothing"
    ended = await elsewhere.run("conferences", "--credentials", str(path))
    assert ended.code == 2
    assert ended.err.endswith("nothing: No such file or directory\n")


MANY = """
[[account]]
account_sid = "AC00000000000000000000000000000001"
auth_token = "secret-token"
cps = 5

[[account]]
account_sid = "AC00000000000000000000000000000002"
"""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("auth_token = secret-token", "does not hold accounts as TOML"),
        ('account_sid = "AC0"', "each below a line [[account]]"),
        ("account = [5]", "account 1 in {path} is no table"),
        ("account = 5", "each below a line [[account]]"),
        (MANY, "account 2 in {path}: set TWILIO_AUTH_TOKEN ("),
        (MANY + 'token = "secret-token"', "account 2 in {path}: TWILIO_TOKEN is no setting"),
        (MANY + 'auth_token = "secret-token"\ncps = 500', "account 2 in {path}: cps must be"),
        (MANY + 'auth_token = "secret-token"\ncps = "fast"', "account 2 in {path}: cps must be"),
        (MANY + 'auth_token = "secret-token"\nmax_live = "all"', "account 2 in {path}: max_live"),
    ],
)
async def test_a_file_of_many_accounts_that_makes_no_sense(
    elsewhere: "Shell", tmp_path: Path, text: str, words: str
) -> None:
    """It says which account is meant, and repeats nothing that is in it."""
    path = guarded_file(tmp_path / "accounts.toml", text)
    nowhere = ("--ledger", "postgresql://127.0.0.1:1/calls")
    ended = await elsewhere.run("worker", *nowhere, "--account-from", path)
    assert ended.code == 2
    assert words.format(path=path) in ended.err
    assert "secret-token" not in ended.err


async def test_many_accounts_come_from_one_guarded_file(elsewhere: "Shell", tmp_path: Path) -> None:
    """Nobody else may read it, and no other names accounts."""
    path = tmp_path / "accounts.toml"
    path.write_text(MANY)
    path.chmod(0o640)
    command = ("worker", "--ledger", "postgresql://127.0.0.1:1/calls", "--account-from", str(path))
    ended = await elsewhere.run(*command)
    assert "chmod 600" in ended.err
    path.chmod(0o600)
    ended = await elsewhere.run(*command, "--credentials", str(path))
    assert "either --credentials or --account-from" in ended.err
