"""Commands about a campaign, read from its ledger."""

import csv
import io
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

import pytest

from conference_async import Ledger, Outcome
from conference_async.dialer.ledger.outcome import Campaign
from conference_async.emulator import Emulator, Fault

Files: TypeAlias = Callable[[], list[str]]

if TYPE_CHECKING:
    from tests.cli.conftest import Shell

CALLER = "+15017122661"


@pytest.fixture
async def ledger(shell: "Shell", emulator: Emulator, tmp_path: Path) -> str:
    """The ledger of a campaign in which one of two was refused."""
    people = tmp_path / "people.csv"
    people.write_text("to,label\n+15558675310,alice\n+15558675311,=bob\n")
    emulator.faults.add(Fault.LABEL_CLASH, to="+15558675311")
    path = tmp_path / "my.ledger"
    to = ("--conference", "standup", "--from", CALLER, "--cps", "30", "--ledger", str(path))
    assert (await shell.run("dial", str(people), *to)).code == 1
    return str(path)


def test_the_kept_command_is_private(ledger: str) -> None:
    """It names the caller; nobody else can read it."""
    kept = Path(f"{ledger}.command")
    assert CALLER in kept.read_text()
    assert kept.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    "command", ["list", "status", "report", "backup", "resume", "pause", "cancel", "reconcile"]
)
async def test_every_command_has_an_example(shell: "Shell", command: str) -> None:
    """Its own, not that of another one."""
    shown = await shell.run("campaign", command, "--help")
    assert f"Example: conference-async campaign {command} " in shown.out


async def test_status(shell: "Shell", emulator: Emulator, ledger: str) -> None:
    """How many are in which state, without an account."""
    shown = await shell.run("campaign", "status", ledger)
    assert shown.out.splitlines()[:3] == [
        "campaign\tpeople.csv to standup",
        f"account_sid\t{emulator.account_sid}",
        "targets\t2",
    ]
    status = await shell.run("campaign", "status", ledger, "--json")
    assert (status.json["placed"], status.json["refused"], status.json["planned"]) == (1, 1, 0)


async def test_backup(shell: "Shell", ledger: str, tmp_path: Path) -> None:
    """A whole ledger, in a file that was not there before."""
    copy = tmp_path / "copy.ledger"
    assert (await shell.run("campaign", "backup", ledger, str(copy))).code == 0

    shown = await shell.run("campaign", "status", str(copy))
    assert shown.out == (await shell.run("campaign", "status", ledger)).out
    again = await shell.run("campaign", "backup", ledger, str(copy))
    assert "File exists" in again.err
    missing = await shell.run("campaign", "backup", f"{ledger}.none", str(copy))
    assert "there is no ledger" in missing.err
    database = await shell.run("campaign", "backup", "postgresql://host/calls", str(copy))
    assert "pg_dump" in database.err
    assert {again.code, missing.code, database.code} == {2}


async def test_report(shell: "Shell", ledger: str, tmp_path: Path) -> None:
    """One row per target as CSV that no spreadsheet executes, as JSON, or in a private file."""
    printed = await shell.run("campaign", "report", ledger)
    rows = list(csv.DictReader(io.StringIO(printed.out)))
    assert [(row["to"], row["state"], row["label"]) for row in rows] == [
        ("***5310", "placed", "alice"),
        ("***5311", "refused", "'=bob"),
    ]
    listed = await shell.run("campaign", "report", ledger, "--json", "--show-numbers")
    assert [target["to"] for target in listed.json["targets"]] == ["+15558675310", "+15558675311"]
    file = tmp_path / "report.csv"
    assert (await shell.run("campaign", "report", ledger, "--to", str(file))).out == ""
    assert file.read_bytes().decode() == printed.out
    assert file.stat().st_mode & 0o777 == 0o600


async def test_resume_needs_nothing_but_the_ledger(
    shell: "Shell", emulator: Emulator, ledger: str, tmp_path: Path
) -> None:
    """The command that began the campaign is known; whoever was added to its file is called."""
    with (tmp_path / "people.csv").open("a") as people:
        people.write("+15558675312,carol\n")
    for _ in range(2):
        resumed = await shell.run("campaign", "resume", ledger, "--yes")
        assert resumed.code == 1
        assert resumed.out.splitlines()[-1].startswith("2 placed, 1 refused (1: ")
    assert emulator.rings("+15558675310") == emulator.rings("+15558675312") == 1


@pytest.mark.parametrize("said", [["--yes"], ["--yes=true"], []])
async def test_resume_may_say_yes_again(
    shell: "Shell", emulator: Emulator, tmp_path: Path, said: list[str]
) -> None:
    """Whether the command that began the campaign said so or not, and however it ended."""
    people = tmp_path / "people.csv"
    people.write_text("to\n+15558675310\n")
    command = ("dial", "--conference", "standup", "--from", CALLER, *said, "--", str(people))
    assert (await shell.run(*command)).code == 0

    resumed = await shell.run("campaign", "resume", f"{people}.standup.ledger", "--yes")

    assert (resumed.code, resumed.out.splitlines()[-1]) == (0, "1 placed")
    assert emulator.rings("+15558675310") == 1


@pytest.mark.parametrize("form", [[], ["--json"]])
async def test_a_ledger_is_for_one_campaign(
    shell: "Shell", emulator: Emulator, ledger: str, tmp_path: Path, form: list[str]
) -> None:
    """Another conference with the same ledger is one line, and nobody is called."""
    before = emulator.count("create")
    ended = await shell.run(
        *("dial", str(tmp_path / "people.csv"), "--conference", "retro", "--from", CALLER),
        *("--ledger", ledger, *form),
    )
    assert ended.code == 2
    assert not form or ended.json["outcomes"] == []
    assert "this ledger belongs to the campaign" in ended.err
    assert emulator.count("create") == before


async def test_a_ledger_that_was_never_used(shell: "Shell", tmp_path: Path) -> None:
    """A ledger without a campaign says so."""
    async with Ledger(tmp_path / "my.ledger"):
        pass
    ended = await shell.run("campaign", "status", str(tmp_path / "my.ledger"))
    assert ended.code == 2
    assert "nothing was dialled with it" in ended.err


async def test_reconcile_says_what_it_looked_at(
    shell: "Shell", emulator: Emulator, tmp_path: Path
) -> None:
    """What was not placed stays for a person to decide, and the exit code says so."""
    path, to = tmp_path / "lost.ledger", "+15558675310"
    target = Outcome(target="t", to=to, conference="standup", caller=CALLER)
    async with Ledger(path) as ledger:
        await ledger.begin(Campaign(name="lost", account_sid=emulator.account_sid, total=1))
        await ledger.enrol([target])
        sent_at = datetime.now(UTC) - timedelta(minutes=5)
        await ledger.swap(target, target.claimed("token", "alice", sent_at))
        await ledger.end()

    ended = await shell.run("campaign", "reconcile", str(path), "--json")

    (lost,) = ended.json["outcomes"]
    assert (ended.code, lost["state"]) == (5, "unknown")
    assert lost["reason"].startswith("nothing was placed: looked for its label")
    assert to not in ended.out
    assert CALLER not in ended.out
    assert emulator.count("create") == 0


@pytest.mark.parametrize("command", ["status", "report", "resume", "reconcile"])
async def test_a_ledger_that_is_not_there(
    shell: "Shell", tmp_path: Path, files: Files, command: str
) -> None:
    """A missing ledger is one line, and is not made by looking at it."""
    ended = await shell.run("campaign", command, str(tmp_path / "my.ledger"))
    assert ended.code == 2
    assert f"there is no ledger {tmp_path / 'my.ledger'}" in ended.err
    assert files() == []
