"""The preview of a plan, printed before anybody is called."""

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cli.conftest import Shell

CONFERENCE = ("--conference", "standup")
CALLER = ("--from", "+15017122661")


@pytest.mark.parametrize(
    ("given", "to", "remedy"),
    [
        (CALLER, "+15558675310", "say --conference, or add a column conference"),
        (CONFERENCE, "+15558675310", "say --from, or add a column from_"),
        (CONFERENCE + CALLER, "12345", "mend them, or leave them out with --skip-bad-rows"),
    ],
)
async def test_bad_rows_are_refused_with_a_remedy(
    shell: "Shell", tmp_path: Path, given: tuple[str, ...], to: str, remedy: str
) -> None:
    """An option that was forgotten is no reason to mend a file."""
    people = tmp_path / "people.csv"
    people.write_text(f"to\n{to}\n")

    ended = await shell.run("dial", str(people), *given)

    assert ended.code == 2
    assert ended.err.endswith(f", so nobody was called; {remedy}\n")


async def test_only_what_is_known_is_said_of_the_pace(shell: "Shell", tmp_path: Path) -> None:
    """One call has no rate, nobody left has no ETA, and a run with nobody to call no progress."""
    people = tmp_path / "people.csv"
    people.write_text("to\n+15558675310\n")
    command = ("dial", str(people), *CONFERENCE, *CALLER)

    assert (await shell.run(*command)).err == "conference-async: 1 of 1: 1 placed\n"
    again = await shell.run(*command)

    assert (again.code, again.err) == (0, "")
    assert again.out.endswith("\n1 placed\n")


async def test_a_report_takes_no_place_of_what_is_read(tmp_path: Path, shell: "Shell") -> None:
    """The list of people is not lost for a slip of the hand, whatever way its path is written."""
    people = tmp_path / "people.csv"
    people.write_text("to\n+15558675310\n")
    command = ("dial", str(people), *CONFERENCE, *CALLER, "--emulator")

    way_round = tmp_path / ".." / tmp_path.name / people.name

    ended = await shell.run(*command, "--report", str(way_round))

    assert (ended.code, people.read_text()) == (2, "to\n+15558675310\n")
    assert "would take the place of what is read" in ended.err


@pytest.mark.parametrize("file", ["", ".", "/"])
async def test_a_path_without_a_name_is_no_file(file: str, shell: "Shell") -> None:
    """It is said as of any other directory."""
    ended = await shell.run("dial", file, *CONFERENCE, *CALLER, "--emulator")

    assert (ended.code, "Is a directory" in ended.err) == (2, True)


@pytest.mark.parametrize("cps", ["0", "-1", "nan", "inf", "31"])
async def test_no_rehearsal_at_a_rate_that_is_none(cps: str, shell: "Shell") -> None:
    """An emulator refuses it as the account would."""
    ended = await shell.run("demo", "--cps", cps)

    assert (ended.code, "cps must be more than 0" in ended.err) == (2, True)
