"""Rehearsals: a whole campaign on an emulator whose phones do what a file says."""

import csv
import json
import math
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from conference_async.cli.plans import Surroundings
from conference_async.cli.rehearsing import Rehearsed
from conference_async.dialer.plan.preview import Preview
from conference_async.emulator import Script
from conference_async.errors import ConfigurationError, InvalidParameter

if TYPE_CHECKING:
    from tests.cli.conftest import Shell

TO_STANDUP = ("--conference", "standup", "--from", "+15017122661", "--cps", "30", "--emulator")
ALICE, BOB, CAROL, DAVE = (f"+1555867530{n}" for n in range(4))


@pytest.fixture
def people(tmp_path: Path) -> str:
    """Return a file of four people, one of whom lets the phone ring for twenty seconds."""
    file = tmp_path / "people.csv"
    file.write_text(f"to,timeout,id\n{ALICE},,a\n{BOB},,b\n{CAROL},20,c\n{DAVE},,d\n")
    return str(file)


def script(folder: Path, text: str) -> Path:
    """Return a script of phones."""
    file = folder / "outcomes.csv"
    file.write_text(text)
    return file


def preview(count: int) -> Preview:
    """Return a plan in numbers."""
    return Preview(
        rows=count, good=count, bad=0, problems=(), duplicates=0, repeats=(), rooms=1, notes=()
    )


def around(*, lines: int | None, held: float = 0.0, staying: int = 0) -> Surroundings:
    """Return what a plan is shown with."""
    return Surroundings(
        file=Path("people.csv"),
        cps=2,
        host="http://127.0.0.1",
        ledger="my.ledger",
        lines=lines,
        held=held,
        staying=staying,
    )


async def test_a_rehearsal_is_a_campaign(bare_shell: "Shell", tmp_path: Path, people: str) -> None:
    """Its ledger and its report are kept where asked, its phones are as scripted."""
    phones = script(tmp_path, f"to;outcome;ring\n{BOB};failed;0\n{CAROL};busy;0\n")
    ledger, report = tmp_path / "my.ledger", tmp_path / "report.csv"
    ended = await bare_shell.run(
        *("dial", people, *TO_STANDUP, "--script", str(phones)),
        *("--attempts", "2", "--redial-pause", "0.1"),
        *("--ledger", str(ledger), "--report", str(report)),
    )
    assert ended.code == 0
    assert f"the report is {report}" in ended.err
    with report.open() as file:
        rows = [
            (row["row"], row["id"], row["attempts"], row["reason"]) for row in csv.DictReader(file)
        ]
    assert rows == [
        ("2", "a", "1", "joined"),
        ("3", "b", "2", "not reached"),
        ("4", "c", "2", "not reached"),
        ("5", "d", "1", "joined"),
    ]
    status = await bare_shell.run("campaign", "status", str(ledger), "--json")
    assert status.json["placed"] == 4


async def test_a_rehearsal_says_what_it_takes(
    bare_shell: "Shell", tmp_path: Path, people: str
) -> None:
    """At the pace and on the lines given, with the calls as long as scripted."""
    phones = script(tmp_path, f"to,outcome,ring,talk\n{CAROL},silent,,\n*,answer,10,50\n")
    command = ("dial", people, *TO_STANDUP, "--dry-run", "--max-live", "1", "--script", str(phones))
    # Three of a minute, and one of twenty-five seconds: three of them go before the last.
    shown = await bare_shell.run(*command)
    assert "takes        0:02:34 at 30 per second on 1 lines" in shown.out
    assert (await bare_shell.run(*command, "--json")).json["plan"]["eta_seconds"] == 153.75
    stays = await bare_shell.run(*command[:-2])
    assert "takes        until people hang up: 4 stay on the line, and there are 1;" in stays.out


def test_the_time_that_lines_cost() -> None:
    """The pace rules where lines are many; who stays takes one for good."""
    assert around(lines=None).eta(preview(101)) == 50
    assert around(lines=100, held=60).eta(preview(101)) == 50
    assert around(lines=10, held=60).eta(preview(110)) == 600
    assert around(lines=10, held=60, staying=5).eta(preview(105)) == 1200
    assert around(lines=10, held=60, staying=10).eta(preview(10)) == 4.5
    assert around(lines=10, held=60, staying=10).eta(preview(11)) is None


def test_a_script_of_phones(tmp_path: Path) -> None:
    """Every outcome, in the form that a spreadsheet saves."""
    file = script(
        tmp_path,
        "To;Outcome;Talk;note\r\n0123;busy;;x\r\n".replace("0123", ALICE)
        + f"{BOB};MACHINE;30;\r\n{CAROL};silent;;\r\n*;answer;60;\r\n",
    )
    assert Rehearsed.of(file, None).scripts == {
        ALICE: Script(outcome="busy"),
        BOB: Script(answered_by="machine_start", detected_after=2.0, hang_up_after=30),
        CAROL: Script(outcome="no_answer"),
        "": Script(hang_up_after=60),
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("to,outcome\n+15558675310,shy\n", r"line 2: outcome: must be one of answer, busy"),
        ("to,outcome\n5558675310,busy\n", r"line 2: to: the number has no \+"),
        ("to,outcome,ring\n+15558675310,busy,long\n", r"line 2: ring: must be seconds"),
        ("to,outcome,talk\n+15558675310,answer,-1\n", r"line 2: talk: must be seconds"),
        ("to,outcome\n+15558675310,busy,1\n", r"line 2: has 3 cells for 2 columns"),
        ("to\n+15558675310\n", r"none of its columns is called 'outcome'"),
    ],
)
def test_a_script_that_is_none(tmp_path: Path, text: str, words: str) -> None:
    """The line is named, and what is wrong with it."""
    with pytest.raises((ConfigurationError, InvalidParameter), match=words):
        Rehearsed.of(script(tmp_path, text), None)


async def test_what_does_not_go_together(bare_shell: "Shell", tmp_path: Path, people: str) -> None:
    """A script without a rehearsal, a report that cannot be written: nobody is called."""
    (folder := tmp_path / "folder.csv").mkdir()
    reports = [("--report", where) for where in ("x.xlsx", "not-there/x.csv", str(folder))]
    for wrong in (("--script", "x.csv"), *reports):
        ended = await bare_shell.run("dial", people, *TO_STANDUP[:-1], *wrong)
        assert ended.code == 2
        assert wrong[0] in ended.err


async def test_a_report_after_a_stop(bare_shell: "Shell", tmp_path: Path, people: str) -> None:
    """What is left has its row, too, or is counted."""
    report = tmp_path / "report.json"
    ended = await bare_shell.run(
        *("dial", people, *TO_STANDUP[:-2], "0.5", "--emulator", "--deadline", "0.1"),
        *("--report", str(report)),
    )
    assert ended.code == 1
    found = json.loads(report.read_text())
    assert sum(found["counts"].values()) == len(found["targets"]) + found["missing"] == 4
    assert math.isclose(found["counts"]["planned"], 3)
